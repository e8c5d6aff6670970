"""Eight ways to train a classifier when it is known to which group each patient belongs.

Zhang et al. 2022 (arXiv:2203.12609) compare them on chest X-rays. Plain training (`erm`), batches balanced over groups
(`balanced`), weights (`reweighted`), GroupDRO (Sagawa et al. 2020, arXiv:1911.08731), training twice with the first
errors raised (`jtt`, Liu et al. 2021, arXiv:2107.09044), the last layer trained anew on balanced subsets (`dfr`,
Kirichenko et al. 2023, arXiv:2204.02937), and two penalties with a weight: equal mean scores (`mean_matched`) and an
adversary (`adversarial`).

Differences: no hyper-parameter is chosen on a validation set; groups are the given groups, not groups crossed with
labels; `jtt` weighs errors instead of repeating them, which is the same on average; `dfr` leaves out the L1 penalty,
and for a model that is one linear layer takes its subsets from all rows, because features that saw no label need none
held out.

Conventions: ``x`` is float (n, ...), ``y`` 0 or 1 and ``groups`` codes 0 .. k-1, both int64 (n,). Every method copies
``model``, starts from its weights, visits rows in the order of ``seed`` and returns the copy in eval mode. Every
training takes about the same number of steps, however few rows it sees, but for the short first one of `jtt`.
Gradients are not clipped.
"""

import copy
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from lib.measure import group_losses
from lib.train import fit, predict


@dataclass(frozen=True)
class Training:
    """How long and how fast: as `lib.train.fit`; the decay acts on weights with two dimensions."""

    epochs: int = 30
    batch_size: int = 200
    lr: float = 0.03
    weight_decay: float = 1.0


def erm(model: nn.Module, x: Tensor, y: Tensor, groups: Tensor, *, seed: int, training: Training) -> nn.Module:
    """Train on all rows alike; the groups are only checked.

    Parameters
    ----------
    model : nn.Module
        Rows -> one logit each, (n,) or (n, 1); unchanged.
    x, y, groups
        See above.
    seed : int
        Of the order of rows.
    training : Training

    Returns
    -------
    nn.Module
        The trained copy.

    Raises
    ------
    ValueError
        For tensors of different lengths, labels other than 0 and 1, or groups that are not 0 .. k-1 with k > 1.

    Examples
    --------
    >>> x, y = torch.tensor([[0.0], [1.0]]).repeat(50, 1), torch.tensor([0, 1]).repeat(50)
    >>> model = nn.Linear(1, 1)
    >>> start = model.weight.item()
    >>> trained = erm(model, x, y, torch.arange(100) % 4 // 2, seed=0, training=Training(weight_decay=0.0))
    >>> trained.weight.item() > start
    True
    """
    return _weighted(model, x, y, groups, torch.ones(len(y)), seed=seed, training=training)


def reweighted(model: nn.Module, x: Tensor, y: Tensor, groups: Tensor, *, seed: int, training: Training) -> nn.Module:
    """Train on all rows with weights that let every group count the same; arguments as `erm`."""
    _k(x, y, groups)
    return _weighted(model, x, y, groups, group_losses.group_weights(groups), seed=seed, training=training)


def balanced(model: nn.Module, x: Tensor, y: Tensor, groups: Tensor, *, seed: int, training: Training) -> nn.Module:
    """Train on batches with the same number of rows from every group, drawn with replacement; arguments as `erm`."""

    def loss(net: nn.Module, batch: tuple[Tensor, ...], generator: torch.Generator) -> Tensor:
        rows = group_losses.balanced_rows(groups, len(batch[0]), generator=generator)
        return binary_cross_entropy_with_logits(_logits(net, x[rows]), y[rows].to(x))

    _k(x, y, groups)
    return _fitted(model, loss, (x,), seed=seed, training=training)


def group_dro(
    model: nn.Module, x: Tensor, y: Tensor, groups: Tensor, *, seed: int, training: Training, eta: float = 0.1
) -> nn.Module:
    """Train on balanced batches, the mean losses of the groups weighted by what has been worst so far.

    Parameters
    ----------
    model, x, y, groups, seed, training
        As `erm`.
    eta : float
        Step size of the weights, >= 0; 0 = as `balanced`, but for rounding.

    Raises
    ------
    ValueError
        As `erm`; for a negative eta.
    """
    loss = Robust(x, y, groups, eta=eta)
    return _fitted(model, loss, (x,), seed=seed, training=training)


class Robust:
    """The loss of `group_dro`; ``weights`` (k,) holds its present weights, 1 / k at first."""

    def __init__(self, x: Tensor, y: Tensor, groups: Tensor, *, eta: float) -> None:
        if eta < 0:
            raise ValueError(f"eta must be at least 0, got {eta}; a larger loss must not lose weight")
        self.k, self.eta = _k(x, y, groups), eta
        self.x, self.y, self.groups = x, y, groups
        self.weights = torch.full((self.k,), 1 / self.k, device=x.device)

    def __call__(self, net: nn.Module, batch: tuple[Tensor, ...], generator: torch.Generator) -> Tensor:
        """Draw a balanced batch of the same length, move the weights, and return the weighted loss, nats."""
        rows = group_losses.balanced_rows(self.groups, len(batch[0]), generator=generator)
        each = binary_cross_entropy_with_logits(_logits(net, self.x[rows]), self.y[rows].to(self.x), reduction="none")
        losses = group_losses.group_means(each, self.groups[rows], self.k)
        self.weights = group_losses.exponentiated(self.weights, losses, eta=self.eta)
        return self.weights @ losses


def jtt(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    groups: Tensor,
    *,
    seed: int,
    training: Training,
    raised: float = 4.0,
    first: float = 0.25,
) -> nn.Module:
    """Train shortly, then from the start again with the rows that were wrong counting more.

    Parameters
    ----------
    model, x, y, groups, seed, training
        As `erm`; the groups are only checked, the method needs none.
    raised : float
        Weight of a row on the wrong side of one half after the first training, over that of any other row; 1 = `erm`.
    first : float
        Length of the first training, as a share of the epochs, rounded, at least one.

    Raises
    ------
    ValueError
        As `erm`; if ``raised`` is below 1 or ``first`` is not in (0, 1].
    """
    if raised < 1 or not 0 < first <= 1:
        raise ValueError(f"raised must be at least 1 and first in (0, 1], got {raised} and {first}; first is a share")
    short = replace(training, epochs=max(1, round(first * training.epochs)))
    scores = scored(erm(model, x, y, groups, seed=seed, training=short), x)
    weights = torch.where((scores > 0) == (y == 1), 1.0, raised)
    return _weighted(model, x, y, groups, weights / weights.mean(), seed=seed, training=training)


def dfr(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    groups: Tensor,
    *,
    seed: int,
    training: Training,
    held: float = 0.5,
    draws: int = 3,
) -> nn.Module:
    """Train on a part of the rows, then the last linear layer anew on balanced subsets of the others, and average it.

    Parameters
    ----------
    model, x, y, groups, seed, training
        As `erm`; the model holds at least one nn.Linear.
    held : float
        Share of rows, in (0, 1), kept for the last layer; a model that is one linear layer uses all rows for it.
    draws : int
        Balanced subsets; each starts from the layer's first weights.

    Raises
    ------
    ValueError
        As `erm`; for a share or number out of range, a model without nn.Linear, a part that lacks a group.
    """
    k = _k(x, y, groups)
    if not 0 < held < 1 or draws < 1:
        raise ValueError(f"held must be in (0, 1) and draws at least 1, got {held} and {draws}; held is a share")
    generator = torch.Generator().manual_seed(seed)
    trained, rows = copy.deepcopy(model), torch.arange(len(y))
    if len(list(model.parameters())) > len(list(_last(model).parameters())):
        first, rows = _parts(len(y), held, generator)
        if min(len(groups[part].unique()) for part in (first, rows)) < k:
            raise ValueError(f"held leaves a part without one of {k} groups, got {held}; hold more, or take more rows")
        trained = erm(model, x[first], y[first], groups[first], seed=seed, training=training)
        _last(trained).load_state_dict(_last(model).state_dict())
    trained.requires_grad_(False)
    _last(trained).requires_grad_(True)
    layers = []
    for draw in range(draws):
        subset = rows[group_losses.balanced_subset(groups[rows].cpu(), generator=generator)]
        as_long = _as_long(training, len(y), len(subset))
        again = erm(trained, x[subset], y[subset], groups[subset], seed=seed + draw, training=as_long)
        layers.append(_last(again).state_dict())
    _last(trained).load_state_dict({name: torch.stack([at[name] for at in layers]).mean(0) for name in layers[0]})
    return trained.requires_grad_(True).eval()


def mean_matched(
    model: nn.Module, x: Tensor, y: Tensor, groups: Tensor, *, weight: float, seed: int, training: Training
) -> nn.Module:
    """Train as `erm` with a penalty on mean scores that differ between groups within a label.

    Parameters
    ----------
    model, x, y, groups, seed, training
        As `erm`.
    weight : float
        Of `group_losses.mean_match`, >= 0; 0 = `erm` to the bit.

    Raises
    ------
    ValueError
        As `erm`; for a negative weight.
    """
    _k(x, y, groups, weight)

    def loss(net: nn.Module, batch: tuple[Tensor, ...], _: torch.Generator) -> Tensor:
        rows, label, group = batch
        logits = _logits(net, rows)
        return binary_cross_entropy_with_logits(logits, label.to(rows)) + weight * group_losses.mean_match(
            logits, label, group
        )

    return _fitted(model, loss, (x, y, groups), seed=seed, training=training)


def adversarial(
    model: nn.Module, x: Tensor, y: Tensor, groups: Tensor, *, weight: float, seed: int, training: Training
) -> nn.Module:
    """Train as `erm` while an adversary guesses the group from logit and label, and its gradient is turned round.

    Parameters
    ----------
    model, x, y, groups, seed, training
        As `erm`.
    weight : float
        Of the reversed gradient, >= 0; 0 = `erm` to the bit.

    Raises
    ------
    ValueError
        As `erm`; for a negative weight.
    """
    both = group_losses.Against(model, _k(x, y, groups, weight), weight=weight, seed=seed)

    def loss(net: nn.Module, batch: tuple[Tensor, ...], _: torch.Generator) -> Tensor:
        rows, label, group = batch
        logits, guesses = net(rows, label)
        return binary_cross_entropy_with_logits(logits, label.to(rows)) + cross_entropy(guesses, group)

    trained = _fitted(both, loss, (x, y, groups), seed=seed, training=training)
    assert isinstance(trained, group_losses.Against)
    return trained.model.eval()


METHODS: dict[str, Callable[..., nn.Module]] = {
    "plain": erm,
    "balanced": balanced,
    "reweighted": reweighted,
    "GroupDRO": group_dro,
    "JTT": jtt,
    "last layer": dfr,
}
PENALTIES: dict[str, Callable[..., nn.Module]] = {"mean match": mean_matched, "adversary": adversarial}


def scored(model: nn.Module, x: Tensor) -> Tensor:
    """The logits of a trained model: float (n, ...) -> (n,)."""
    return predict(model, x).reshape(len(x))


def _weighted(
    model: nn.Module, x: Tensor, y: Tensor, groups: Tensor, weights: Tensor, *, seed: int, training: Training
) -> nn.Module:
    """A copy of the model trained on rows with weights (n,)."""

    def loss(net: nn.Module, batch: tuple[Tensor, ...], _: torch.Generator) -> Tensor:
        rows, label, weight = batch
        return binary_cross_entropy_with_logits(_logits(net, rows), label.to(rows), weight=weight)

    _k(x, y, groups)
    return _fitted(model, loss, (x, y, weights.to(x)), seed=seed, training=training)


def _fitted(
    model: nn.Module, loss: Callable[..., Tensor], tensors: tuple[Tensor, ...], *, seed: int, training: Training
) -> nn.Module:
    trained = copy.deepcopy(model)
    generator = torch.Generator().manual_seed(seed)
    fit(trained, loss, tensors, generator=generator, clip=0.0, compile="off", **asdict(training))
    return trained


def _logits(net: nn.Module, rows: Tensor) -> Tensor:
    return net(rows).reshape(len(rows))


def _as_long(training: Training, rows: int, part: int) -> Training:
    """A training on a part of the rows with at least as many steps as one on all rows."""
    steps = training.epochs * math.ceil(rows / training.batch_size)
    return replace(training, epochs=math.ceil(steps / math.ceil(part / training.batch_size)))


def _last(model: nn.Module) -> nn.Linear:
    """The last linear layer."""
    layers = [module for module in model.modules() if isinstance(module, nn.Linear)]
    if not layers:
        raise ValueError(f"model must hold an nn.Linear, got {type(model).__name__}; end it with one")
    return layers[-1]


def _parts(n: int, held: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    order = torch.randperm(n, generator=generator)
    cut = n - round(held * n)
    return order[:cut], order[cut:]


def _k(x: Tensor, y: Tensor, groups: Tensor, weight: float = 0.0) -> int:
    """The number of groups, or a readable error."""
    if not len(x) == len(y) == len(groups):
        raise ValueError(f"x, y and groups must be equally long, got {len(x)}, {len(y)} and {len(groups)}")
    if not bool(((y == 0) | (y == 1)).all()):
        raise ValueError(f"y must hold 0 and 1 only, got {y.unique().tolist()}; drop rows without a label")
    codes = groups.unique().tolist()
    if len(codes) < 2 or codes != list(range(len(codes))):
        raise ValueError(f"groups must be the codes 0 .. k-1 of at least two groups, got {codes}; number them anew")
    if weight < 0:
        raise ValueError(f"weight must be at least 0, got {weight}; a penalty is added, never taken off")
    return len(codes)
