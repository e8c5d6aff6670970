"""Bag classifiers trained with and without hidden instances, from literals to weights, and what they know.

Tang et al. 2023, MHIM-MIL (arXiv:2307.15254): a trained attention classifier becomes the teacher of a second training,
in which it hides the instances it attends to most, and the student learns from the rest. The student keeps the
teacher's first layer, as in the commands of the public code. Arms that hide otherwise, or nothing, are its controls.

Differences: frozen features are principal components; a step takes several bags; the last weights are judged, where the
paper picks an epoch by validation; the parts that an arm hides are disjoint, see `lib.masks.bags`.

Conventions: one value per positive bag comes back; their mean is the area under the curve. All arms of a seed share
bags, features, the first training, the student's first weights and the order of the bags.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from lib import data, masks, train
from lib.data.bags import Bags, draw_bags
from lib.models.mil import GatedAttentionMIL, MaskedStudent, Whitening, agreement_loss, cosine_share

ARMS = ("unmasked", "random", "easy", "mhim", "low")
DRAWN = 0.5  # every second of the highest instances is hidden


def train_bags(
    source: str,
    *,
    seed: int,
    rate: float,
    witness: int,
    n_images: int,
    n_bags: int,
    size: int,
    epochs: int,
    easy: float = 0.03,
    share: float = 0.5,
    agreement: float = 0.1,
    decay: float = 0.99,
    components: int = 32,
    width: int = 32,
    batch_size: int = 16,
    lr: float = 4e-3,
    device: str = "cpu",
) -> dict[str, Tensor]:
    """Train a bag classifier, and from it a student for each of `ARMS`.

    Parameters
    ----------
    source : str
        Data id of an image set.
    seed : int
        Images, bags, weights and order.
    rate, witness, n_bags, size
        See `lib.data.bags.draw_bags`; ``n_bags`` are for training.
    n_images : int
        Labelled images to fill bags from.
    epochs : int
        Of the first training, and of each student's.
    easy, share
        Shares hidden, see `choose`; ``easy`` decays to zero.
    agreement : float
        Weight of `lib.models.mil.agreement_loss`; the public commands use 0.1 or 0.5.
    decay : float in [0, 1]
        Of the teacher's moving average; the paper's .9999 would hardly move in a few hundred steps.
    components, width, batch_size, lr, device
        Instance features; units of the classifier; bags in a step; peak rate; where to train.

    Returns
    -------
    dict of str to Tensor
        States under "features/", "untrained/", "abmil/" and the name of each arm; under "<arm> loss" the mean of
        each epoch.

    Raises
    ------
    ValueError
        A size, rate or share that does not fit.
    """
    images = data.images(source, n=n_images, seed=seed)
    features = Whitening.of(images.x, components)
    chance = torch.Generator().manual_seed(seed)
    bags = draw_bags(images.y, witness=witness, n=n_bags, size=size, rate=rate, generator=chance)
    x, y = instances(features, images.x, bags).to(device), bags.y.to(device)
    recipe = _Recipe(epochs, batch_size, lr, easy, share, agreement, decay)
    first = empty_mil(seed, components=components, width=width).to(device)
    untrained = {name: value.clone() for name, value in first.state_dict().items()}
    losses = {"abmil": recipe.run(first, _cross_entropy, x, y, seed + 2, f"abmil seed {seed}")}
    found = {"features": features.state_dict(), "untrained": untrained, "abmil": first.state_dict()}
    for arm in ARMS:
        student = empty_mil(seed + 1, components=components, width=width).to(device)
        student.layer.load_state_dict(first.layer.state_dict())
        pair = MaskedStudent(student, first)
        loss = _student_loss(pair, arm, recipe, steps=epochs * math.ceil(n_bags / batch_size))
        losses[arm] = recipe.run(pair, loss, x, y, seed + 3, f"{arm} seed {seed}")
        found[arm] = pair.state_dict()
    states = {f"{arm}/{name}": value for arm, state in found.items() for name, value in state.items()}
    return states | {f"{arm} loss": values for arm, values in losses.items()}


def choose(arm: str, scores: Tensor, valid: Tensor, *, easy: float, share: float, generator: torch.Generator) -> Tensor:
    """Hide instances as one of the arms does.

    Parameters
    ----------
    arm : {"unmasked", "random", "easy", "mhim", "low"}
        Hides nothing; random instances; every second of the most attended; these and random ones of the rest, the
        arm of the paper; the least attended.
    scores : float Tensor (n, instances)
        The teacher's attention.
    valid : bool Tensor (n, instances)
        False = padding.
    easy, share : float in [0, 1)
        Share of a bag that is hidden as easy, and share hidden at random (or as least attended) of what is left.
    generator : torch.Generator

    Returns
    -------
    bool Tensor (n, instances)
        True = hidden.

    Raises
    ------
    ValueError
        An unknown arm, or a share out of range.

    Source
    ------
    arXiv:2307.15254, masking strategies; shares among those that the public code tries on CAMELYON-16.
    """
    if arm not in ARMS:
        raise ValueError(f"arm must be one of {', '.join(ARMS)}, got {arm!r}")
    hidden = torch.zeros_like(valid)
    if arm in ("easy", "mhim") and easy > 0:
        hidden = masks.bag_random_easy(scores, valid, share=easy, drawn=DRAWN, generator=generator)
    if arm in ("random", "mhim") and share > 0:
        hidden = hidden | masks.bag_random(valid & ~hidden, share=share, generator=generator)
    if arm == "low" and share > 0:
        hidden = masks.bag_low(scores, valid, share=share)
    return hidden


def empty_mil(seed: int, *, components: int, width: int) -> GatedAttentionMIL:
    """Build an untrained bag classifier whose weights follow the seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return GatedAttentionMIL(components, width=width, attention=width // 2)


def instances(features: Whitening, images: Tensor, bags: Bags) -> Tensor:
    """Features of the instances of bags: float32 (n, size, components)."""
    return train.predict(features, images)[bags.rows]


def part_of(states: dict[str, Tensor], arm: str) -> dict[str, Tensor]:
    """State of one part of what `train_bags` returned: "features", "untrained", "abmil" or an arm.

    Raises
    ------
    KeyError
        There is no such part.
    """
    found = {name.removeprefix(f"{arm}/"): value for name, value in states.items() if name.startswith(f"{arm}/")}
    if not found:
        held = sorted({name.split("/")[0] for name in states if "/" in name})
        raise KeyError(f"no part {arm!r} in these tensors; they hold {', '.join(held)}")
    return found


def features_of(states: dict[str, Tensor]) -> Whitening:
    """Rebuild the frozen instance features of a training."""
    state = part_of(states, "features")
    found = Whitening(*state["turn"].shape)
    found.load_state_dict(state)
    return found


def classifier_of(states: dict[str, Tensor], arm: str) -> GatedAttentionMIL:
    """Rebuild a classifier in eval mode: "untrained", "abmil", or the student of an arm."""
    state = part_of(states, arm)
    if arm in ARMS:
        state = {name.removeprefix("student."): value for name, value in state.items() if name.startswith("student.")}
    width, components = state["layer.weight"].shape
    model = empty_mil(0, components=components, width=width)
    model.load_state_dict(state)
    return model.eval()


@torch.no_grad()
def judged(model: GatedAttentionMIL, x: Tensor, bags: Bags) -> dict[str, Tensor]:
    """Ask a classifier about bags with nothing hidden.

    Parameters
    ----------
    model : GatedAttentionMIL
    x : float32 Tensor (n, size, d)
        Instances of the bags, see `instances`.
    bags : Bags
        Of both kinds.

    Returns
    -------
    dict of str to float64 Tensor (positive bags,)
        "bag": share of the negative bags that get a lower score. "instances": share of a bag's other instances that
        get less attention, mean over its witnesses. Ties count half; the mean over bags is an AUC: 1 = perfect, .5 =
        chance.
    """
    with train.evaluating(model):
        said = model(x, torch.ones_like(bags.witness, device=x.device))
    score, positive = (said.logits[:, 1] - said.logits[:, 0]).cpu(), bags.y == 1
    rows = zip(said.attention.cpu()[positive], bags.witness[positive], strict=True)
    ranked = torch.stack([above(attention[truth], attention[~truth]).mean() for attention, truth in rows])
    return {"bag": above(score[positive], score[~positive]), "instances": ranked}


def witnesses_hidden(hidden: Tensor, bags: Bags) -> dict[str, Tensor]:
    """What a mask takes away from positive bags.

    Parameters
    ----------
    hidden : bool Tensor (n, size)
        True = hidden.
    bags : Bags

    Returns
    -------
    dict of str to float64 Tensor (positive bags,)
        "of hidden": share of the hidden instances that are witnesses, NaN where nothing is hidden. "of witnesses":
        share of the witnesses that are hidden. "emptied": 1 = no witness is left, so that the label is wrong.
    """
    positive = bags.y == 1
    gone, truth = hidden.cpu()[positive], bags.witness[positive]
    lost = (gone & truth).sum(dim=1).double()
    share = lost / truth.sum(dim=1)
    return {"of hidden": lost / gone.sum(dim=1), "of witnesses": share, "emptied": (share == 1).double()}


def above(first: Tensor, second: Tensor) -> Tensor:
    """For each value of ``first`` the share of ``second`` that lies below it, ties half; their mean is the AUC.

    Parameters
    ----------
    first, second : Tensor (n,), (m,)

    Returns
    -------
    float64 Tensor (n,)

    Examples
    --------
    >>> above(torch.tensor([2.0, 0.0]), torch.tensor([1.0, 2.0])).tolist()
    [0.75, 0.0]
    """
    held = second.sort().values
    below, up_to = (torch.searchsorted(held, first.contiguous(), right=right) for right in (False, True))
    return (below + up_to).double() / (2 * len(held))


def mean_auc(values: Tensor) -> float:
    """Area under the curve in points, 50 = chance, 100 = perfect, of what `judged` returned."""
    return 100 * float(values.mean())


def _cross_entropy(model: nn.Module, batch: tuple[Tensor, ...], generator: torch.Generator) -> Tensor:
    x, y = batch
    return functional.cross_entropy(model(x, torch.ones(x.shape[:2], dtype=torch.bool, device=x.device)).logits, y)


@dataclass(frozen=True)
class _Recipe:
    """How a training goes, and what a student's adds: arguments of `train_bags`."""

    epochs: int
    batch_size: int
    lr: float
    easy: float
    share: float
    agreement: float
    decay: float

    def run(self, model: nn.Module, loss: train.Loss, x: Tensor, y: Tensor, seed: int, label: str) -> Tensor:
        """Train in place; the mean loss of each epoch."""
        history = train.fit(
            model, loss, (x, y), epochs=self.epochs, batch_size=self.batch_size, lr=self.lr, label=label,
            generator=torch.Generator().manual_seed(seed),
        )  # fmt: skip
        return torch.tensor(history.loss)


def _student_loss(pair: MaskedStudent, arm: str, recipe: _Recipe, *, steps: int) -> train.Loss:
    """Loss of a step in which the teacher follows, looks and hides, and the student learns from the rest."""

    def loss(trained: nn.Module, batch: tuple[Tensor, ...], generator: torch.Generator) -> Tensor:
        bags, labels = batch
        easy = cosine_share(int(pair.steps), steps=steps, start=recipe.easy)
        pair.follow(recipe.decay if int(pair.steps) else 1.0)  # before its first step the student knows nothing
        valid = torch.ones(bags.shape[:2], dtype=torch.bool, device=bags.device)
        seen = pair.survey(bags, valid)
        hidden = choose(arm, seen.attention, valid, easy=easy, share=recipe.share, generator=generator)
        said = trained(bags, valid & ~hidden)
        apart = agreement_loss(said.feature, seen.feature)
        return functional.cross_entropy(said.logits, labels) + recipe.agreement * apart

    return loss
