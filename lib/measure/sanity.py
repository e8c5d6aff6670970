"""Does a map depend on what the model learned, and on the class it is asked about?

Papers: Adebayo et al. 2018, Sanity Checks for Saliency Maps (arXiv:1810.03307): a map that stays the same when the
weights are drawn anew, from the output downwards (cascading) or one layer at a time (independent), cannot explain them;
Rebuffi et al. 2020 (arXiv:2004.02866): the maps of the most and of the least likely class should not agree.

Differences: one value per image and layer, not a mean; layers are drawn anew by their own first-weights rule, or, where
they have none, from a normal distribution with the spread of their trained weights.

Conventions: a correlation is 1 for maps that agree, 0 for unrelated maps and where a map is constant, since it orders
nothing. For both checks a low value is the good one. Rank correlation is Spearman's, tied values share their mean rank.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from scipy.stats import rankdata
from torch import Tensor, nn

from lib.explain import Score, check_inputs

Order = Literal["cascading", "independent"]


@dataclass(frozen=True)
class Cascade:
    """How maps change as layers lose what they learned.

    Attributes
    ----------
    layers : tuple of str
        Layers drawn anew, the output first.
    correlation : Tensor, float32 (layers, n)
        Of each image's map with its map from the trained model.
    order : {"cascading", "independent"}
        Whether a layer's row includes all layers before it or the layer alone.
    """

    layers: tuple[str, ...]
    correlation: Tensor
    order: Order


def correlation(first: Tensor, second: Tensor, *, by: Literal["rank", "value"] = "rank") -> Tensor:
    """Correlation of two maps over the pixels of each image.

    Parameters
    ----------
    first, second : Tensor, float (n, h, w)
        Take magnitudes before, where the sign should not count.
    by : {"rank", "value"}
        Spearman's or Pearson's.

    Returns
    -------
    Tensor, float32 (n,), [-1, 1]
        1 = same order (or same up to scale), 0 = unrelated or one of them constant.

    Raises
    ------
    ValueError
        If the shapes differ.

    Examples
    --------
    >>> correlation(torch.tensor([[[1.0, 2.0, 9.0]]]), torch.tensor([[[0.0, 3.0, 4.0]]]))
    tensor([1.])
    """
    if first.shape != second.shape or first.ndim != 3:
        raise ValueError(
            f"first and second must be equally shaped (n, h, w), got {tuple(first.shape)} and {tuple(second.shape)}; "
            "enlarge one or merge the channels"
        )
    one, two = (each.detach().flatten(1).double().cpu() for each in (first, second))
    if by == "rank":
        one, two = (torch.from_numpy(rankdata(each.numpy(), axis=1)) for each in (one, two))
    one, two = (each - each.mean(1, keepdim=True) for each in (one, two))
    scale = one.norm(dim=1) * two.norm(dim=1)
    constant = (first.flatten(1).amax(1) == first.flatten(1).amin(1)) | (
        second.flatten(1).amax(1) == second.flatten(1).amin(1)
    )
    agree = (one * two).sum(1) / scale.clamp_min(torch.finfo(torch.float64).tiny)
    return torch.where(constant.cpu(), 0.0, agree).clamp(-1, 1).float()


def weighted_layers(model: nn.Module) -> list[str]:
    """Names of the modules that hold weights of their own, the last defined (as a rule the output) first.

    Examples
    --------
    >>> weighted_layers(nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8, 2)))
    ['3', '0']
    """
    names = [name for name, part in model.named_modules() if list(part.parameters(recurse=False))]
    return names[::-1]


def randomised(
    model: nn.Module,
    *,
    generator: torch.Generator,
    order: Order = "cascading",
    layers: Sequence[str] | None = None,
) -> Iterator[tuple[str, nn.Module]]:
    """Copies of a model that lose one more layer (cascading), or one layer only (independent).

    Parameters
    ----------
    model : nn.Module
        Left as it is.
    generator : torch.Generator
        On the CPU; the same for both orders gives each layer the same new weights.
    order : {"cascading", "independent"}
    layers : sequence of str, optional
        Names of modules, from the output downwards; a module stands for all modules inside it. By default
        `weighted_layers`.

    Yields
    ------
    (str, nn.Module)
        The layer just drawn anew, and the copy, in the mode of the model.

    Raises
    ------
    ValueError
        If a layer is unknown or ``order`` is neither of the two.
    """
    if order not in get_args(Order):
        raise ValueError(f"order must be one of {get_args(Order)}, got {order!r}")
    names = weighted_layers(model) if layers is None else list(layers)
    known = dict(model.named_modules())
    if unknown := [name for name in names if name not in known]:
        raise ValueError(f"layers {unknown} are not in the model; choose from: {', '.join(weighted_layers(model))}")
    running = copy.deepcopy(model)
    for name in names:
        if order == "independent":
            running = copy.deepcopy(model)
        seed = int(torch.randint(2**31, (1,), generator=generator))
        _redraw(running.get_submodule(name), seed)
        yield name, copy.deepcopy(running)


def cascade(
    model: nn.Module,
    attribute: Callable[[nn.Module], Tensor],
    *,
    generator: torch.Generator,
    order: Order = "cascading",
    layers: Sequence[str] | None = None,
    by: Literal["rank", "value"] = "rank",
) -> Cascade:
    """Correlation of every image's map with itself as the model forgets.

    Parameters
    ----------
    model : nn.Module
    attribute : callable
        Model to maps (n, h, w), for example ``lambda m: saliency(m, images, target)``, of the same classes each time.
    generator, order, layers
        As `randomised`.
    by : {"rank", "value"}
        As `correlation`.

    Returns
    -------
    Cascade

    Source
    ------
    arXiv:1810.03307, cascading and independent randomisation of parameters.
    """
    trained = attribute(model)
    names, rows = [], []
    for name, changed in randomised(model, generator=generator, order=order, layers=layers):
        names.append(name)
        rows.append(correlation(trained, attribute(changed), by=by))
    return Cascade(tuple(names), torch.stack(rows), order)


def class_sensitivity(
    score: Score,
    images: Tensor,
    attribute: Callable[[Tensor], Tensor],
    *,
    by: Literal["rank", "value"] = "rank",
    max_batch: int = 128,
) -> Tensor:
    """Correlation between the maps of the most and of the least likely class of each image.

    Parameters
    ----------
    score : callable
        Images (m, c, h, w) to scores (m, classes), 2 classes or more.
    images : Tensor, float32 (n, c, h, w)
    attribute : callable
        Classes, int64 (n,), to maps (n, h, w), for example ``lambda t: saliency(score, images, t)``.
    by : {"rank", "value"}
        As `correlation`.
    max_batch : int, images

    Returns
    -------
    Tensor, float32 (n,), [-1, 1]
        1 = the map does not depend on the class; below 0 = what speaks for one class speaks against the other.

    Raises
    ------
    ValueError
        If there is one class only, or shapes do not fit together.

    Source
    ------
    arXiv:2004.02866, section on class sensitivity.
    """
    check_inputs(images, torch.zeros(len(images), dtype=torch.int64), max_batch)
    with torch.no_grad():
        scores = torch.cat([score(part) for part in images.split(max_batch)])
    if scores.shape[1] < 2:
        raise ValueError(
            f"score must have at least 2 classes, got {scores.shape[1]}; the least likely is the most likely"
        )
    return correlation(attribute(scores.argmax(1)), attribute(scores.argmin(1)), by=by)


def _redraw(module: nn.Module, seed: int) -> None:
    """Draw the weights of a module and of all inside it anew; torch's global generator is put back."""
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        for part in module.modules():
            own = list(part.parameters(recurse=False))
            if own and hasattr(part, "reset_parameters"):
                device = own[0].device
                part.cpu().reset_parameters()  # type: ignore[operator]  # drawn on the CPU, equal on every device
                part.to(device)
                continue
            for value in own:
                spread = value.std() if value.numel() > 1 else value.abs().mean()
                value.copy_(torch.randn(value.shape).to(value) * spread)
