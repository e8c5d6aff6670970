"""Does it pay, when something stands in front of the object, to have trained with patches hidden?

Wu et al. 2025, ORTrack (arXiv:2504.09228): the task's loss plus a weight times the mean squared error between the
features of a template with and without a mask. The mask comes from a spatial Cox process around the target; the
ablation puts a uniform mask and none beside it.

Differences: the task is classification, the template the whole picture, and the object lies in its middle because the
sets used are made so. The paper's weight, 2e-4, belongs to its losses and network. The test is an occluder painted on
pictures that were never seen, which the paper's videos have by nature. `matched` asks the question nearest to
tracking that needs no search image: is a covered picture still most like its own uncovered one? Nothing is localised.

Conventions: the arguments of a training are literals; ``seed`` decides images, initial weights and order, and
trainings of one seed share these whatever they hide. Every answer is one value per picture.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor, nn
from torch.nn import functional

from lib import data, masks, train
from lib.masks.contract import Grid
from lib.masks.occluders import PLACES, flat, occluders, painted, strangers
from lib.models.recogniser import Recogniser

KINDS = ("square", "blob")
Spot = tuple[str, str, float]  # kind, place and side of an occluder
CLEAR: Spot = ("none", "clear", 0.0)


def rim(n: int, grid: Grid, *, ratio: float, generator: torch.Generator) -> Tensor:
    """Hide what a Cox process would leave visible: the border more often than the middle, a control for the place.

    The tokens that stay visible are those that `lib.masks.cox_process` would hide at ratio ``1 - ratio``.

    Returns
    -------
    bool Tensor (n, tokens)
        True = hidden, ``round(ratio * tokens)`` in every row; where that is a tie, one more or less.

    Examples
    --------
    >>> rim(2, 4, ratio=0.25, generator=torch.Generator().manual_seed(0)).sum(1).tolist()
    [4, 4]
    """
    return ~masks.cox_process(n, grid, ratio=1 - ratio, generator=generator)


SAMPLERS: dict[str, Callable[..., Tensor]] = {"uniform": masks.random, "cox": masks.cox_process, "rim": rim}
ARMS = ("none", *SAMPLERS)


def empty_recogniser(source: str, *, seed: int, patch: int, width: int, depth: int) -> Recogniser:
    """Build the untrained network that `train_recogniser` starts from.

    Parameters
    ----------
    source : str
        Id of an image set; gives size, channels and classes.
    seed : int
        Of the initial weights.
    patch, width, depth : int
        Side of a patch in px; token dimension (a multiple of 16) and blocks.

    Returns
    -------
    Recogniser
    """
    channels, size, classes = _shape(source)
    return Recogniser(
        size, channels=channels, classes=classes, patch=patch, width=width, depth=depth, heads=max(4, width // 64),
        generator=torch.Generator().manual_seed(seed),
    )  # fmt: skip


@cache
def _shape(source: str) -> tuple[int, int, int]:
    """Channels, side in pixels and classes of an image set; read once, not for every model."""
    found = data.images(source, split="test", n=1)
    return found.x.shape[1], found.x.shape[2], len(found.classes)


def train_recogniser(
    source: str,
    *,
    seed: int,
    hiding: str,
    ratio: float,
    weight: float,
    n_images: int,
    epochs: int,
    patch: int,
    width: int,
    depth: int,
    batch_size: int = 64,
    lr: float = 2e-3,
    device: str = "cpu",
    checkpoint: str | None = None,
) -> dict[str, Tensor]:
    """Train a classifier whose features should not mind hidden patches.

    Parameters
    ----------
    source, seed, patch, width, depth
        As in `empty_recogniser`; ``seed`` also chooses the images, their order and the masks.
    hiding : {"none", "uniform", "cox", "rim"}
        What is hidden in the second look at each image; "none" = there is no second look.
    ratio : float in (0, 1)
        Share of patches hidden in it.
    weight : float
        Of the mean squared error between the two looks' features, beside the cross-entropy of the first.
    n_images, epochs, batch_size, lr
        Images seen, passes over them, and `lib.train.fit`'s options.
    device : str
        Where to train, for example "cuda".
    checkpoint : str, optional
        See `lib.train.fit`.

    Returns
    -------
    dict of str to Tensor
        The network's state, and under "loss" the mean loss of each epoch (epochs,), which is comparable between arms
        only for weight 0.

    Raises
    ------
    ValueError
        An unknown way of hiding, a negative weight; sizes that do not fit.
    """
    if hiding not in ARMS:
        raise ValueError(f"hiding must be one of {', '.join(ARMS)}, got {hiding!r}; none trains on whole pictures only")
    if weight < 0:
        raise ValueError(f"weight must not be negative, got {weight:g}; 0 leaves the term out")
    model = empty_recogniser(source, seed=seed, patch=patch, width=width, depth=depth)
    images = data.images(source, n=n_images, seed=seed)
    history = train.fit(
        model, occlusion_loss(model, SAMPLERS.get(hiding), ratio=ratio, weight=weight),
        (images.x.to(device), images.y.to(device)), epochs=epochs, batch_size=batch_size, lr=lr,
        generator=torch.Generator().manual_seed(seed + 1), checkpoint=checkpoint, label=f"{hiding} seed {seed}",
    )  # fmt: skip
    state = {name: value.cpu() for name, value in model.state_dict().items()}
    return state | {"loss": torch.tensor(history.loss)}


def occlusion_loss(
    model: Recogniser, sampler: Callable[..., Tensor] | None, *, ratio: float, weight: float
) -> train.Loss:
    """A loss for `lib.train.fit`: cross-entropy of whole images, and the distance of their features when masked.

    Parameters
    ----------
    model : Recogniser
        Gives the grid; what is trained is the model that the loss is called with.
    sampler : callable or None
        ``(n, grid, *, ratio, generator) -> bool (n, tokens)``, True = hidden; None = cross-entropy alone.
    ratio, weight
        As in `train_recogniser`.

    Returns
    -------
    callable
        ``loss(model, batch, generator) -> scalar Tensor``; ``batch`` are images and labels.

    Source: ORTrack, section on occlusion-robust representations.
    """

    def loss(trained: nn.Module, batch: tuple[Tensor, ...], generator: torch.Generator) -> Tensor:
        images, labels = batch
        whole = torch.zeros(len(images), model.tokens, dtype=torch.bool, device=images.device)
        if sampler is None:
            return functional.cross_entropy(trained(images, whole)[0], labels)
        hidden = sampler(len(images), model.grid, ratio=ratio, generator=generator).to(images.device)
        logits, tokens = trained(torch.cat([images, images]), torch.cat([whole, hidden]))
        clear, masked = tokens.chunk(2)
        return functional.cross_entropy(logits[: len(images)], labels) + weight * (clear - masked).square().mean()

    return loss


def load_recogniser(state: dict[str, Tensor], source: str, *, patch: int, width: int, depth: int) -> Recogniser:
    """Rebuild the network that `train_recogniser` returned the state of, in eval mode.

    Raises
    ------
    RuntimeError
        From torch, when the sizes are not those of the state.
    """
    model = empty_recogniser(source, seed=0, patch=patch, width=width, depth=depth)
    model.load_state_dict({name: value for name, value in state.items() if name != "loss"})
    return model.eval()


def covered(found: data.Images, *, kind: str, place: str, side: float, generator: torch.Generator) -> Tensor:
    """Pictures with something in front of them.

    Parameters
    ----------
    found : Images
    kind : {"square", "blob"}
        A square of one grey level, each picture its own; or a blob cut out of a picture of another class.
    place, side
        As in `lib.masks.occluders.occluders`.
    generator : torch.Generator

    Returns
    -------
    float32 Tensor (n, c, h, w)

    Raises
    ------
    ValueError
        An unknown kind or place, or a side out of range.
    """
    n, _, height, width = found.x.shape
    over = occluders(n, (height, width), shape=kind, place=place, side=side, generator=generator)
    fill = flat(n, generator=generator) if kind == "square" else strangers(found.x, found.y, generator=generator)
    return painted(found.x, over, fill)


@dataclass(frozen=True)
class Answers:
    """What a network said about pictures, one value each.

    Attributes
    ----------
    correct : bool Tensor (n,)
        The picture got its own label.
    matched : bool Tensor (n,)
        Among all uncovered pictures its own was the most similar.
    moved : float32 Tensor (n,)
        Squared distance of its features from those of the uncovered picture, over the mean squared distance of
        uncovered pictures from their mean: 0 = not moved, 1 = as far as pictures lie from their mean.
    """

    correct: Tensor
    matched: Tensor
    moved: Tensor


def features(model: Recogniser, images: Tensor) -> Tensor:
    """Features of every patch, nothing hidden: float (n, tokens, width) on the images' device."""
    return train.predict(model.encode_tokens, images)


def ask(model: Recogniser, pictures: Tensor, labels: Tensor, *, templates: Tensor) -> Answers:
    """Classify pictures and look for each among the uncovered ones.

    Parameters
    ----------
    model : Recogniser
        On any device.
    pictures : Tensor (n, c, h, w)
        Covered or not.
    labels : int64 Tensor (n,)
    templates : Tensor (n, tokens, width)
        `features` of the same pictures uncovered, in the same order.

    Returns
    -------
    Answers

    Raises
    ------
    ValueError
        Another number of templates than pictures.
    """
    if len(templates) != len(pictures):
        raise ValueError(f"templates must be those of the {len(pictures)} pictures, got {len(templates)}")
    tokens = features(model, pictures)
    with torch.no_grad():
        correct = model.classify(tokens.to(model.places.device)).argmax(dim=1).to(labels.device) == labels
    spread = (templates - templates.mean(dim=0)).square().sum((1, 2)).mean()
    return Answers(correct, matched(templates, tokens), (tokens - templates).square().sum((1, 2)) / spread)


def covers(clear: data.Images, *, sides: Sequence[float], seed: int) -> Iterator[tuple[Spot, Tensor]]:
    """The pictures as they are, then under every kind of occluder in every place and size.

    Parameters
    ----------
    clear : Images
    sides : sequence of float in (0, 1)
        As in `covered`.
    seed : int
        Of the occluders; every spot draws its own from it.

    Yields
    ------
    (str, str, float), Tensor (n, c, h, w)
        Kind, place and side of the occluder, `CLEAR` for none; and the pictures.
    """
    yield CLEAR, clear.x
    spots = [(kind, place, side) for kind in KINDS for place in PLACES for side in sides]
    for kind, place, side in spots:
        generator = torch.Generator().manual_seed(seed)
        yield (kind, place, side), covered(clear, kind=kind, place=place, side=side, generator=generator)


def survey(model: Recogniser, clear: data.Images, *, sides: Sequence[float], seed: int) -> dict[Spot, Answers]:
    """The answers of a network to all `covers` of the same pictures, by spot; pictures go to the network's device."""
    device = model.places.device
    labels, templates = clear.y.to(device), features(model, clear.x.to(device))
    return {
        spot: ask(model, pictures.to(device), labels, templates=templates)
        for spot, pictures in covers(clear, sides=sides, seed=seed)
    }


def matched(templates: Tensor, tokens: Tensor) -> Tensor:
    """Whether each row of tokens correlates best with its own template, place by place.

    The similarity is the mean over places of the cosine between the two tokens there.

    Parameters
    ----------
    templates, tokens : Tensor (n, tokens, d)
        Row i of one belongs to row i of the other.

    Returns
    -------
    bool Tensor (n,)
        Chance is 1 / n.

    Examples
    --------
    >>> matched(torch.eye(4)[:, None], torch.eye(4)[:, None]).tolist()
    [True, True, True, True]
    """
    own, asked = (functional.normalize(part, dim=-1).flatten(1) for part in (templates, tokens))
    return (asked @ own.T).argmax(dim=1) == torch.arange(len(own), device=own.device)
