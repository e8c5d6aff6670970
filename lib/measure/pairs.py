"""Vision transformers that know two objects in one picture, and how well a map tells the two apart.

Chefer et al. 2021 (arXiv:2012.09838) ask whether a map of one class lies on that class's object. Here both objects of
a picture are right answers: the network is trained to give each half of its probability.

Conventions: pictures are `lib.data.composites.Composites`; arguments of the trainings are literals, so that a run finds
a finished training again by them. Another pretraining of the same set needs other literals.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, one_hot

from lib.data.composites import composites
from lib.models.vit import small_vit
from lib.train import fit, predict

SHAPE = "shape"  # name of the sizes among the weights


def halves(y: Tensor, classes: int) -> Tensor:
    """Wanted probabilities, float32 (n, classes): one half for each class of a pair, int64 (n, 2).

    Examples
    --------
    >>> halves(torch.tensor([[2, 0]]), 3)
    tensor([[0.5000, 0.0000, 0.5000]])
    """
    return one_hot(y, classes).float().mean(1)


def pair_loss(model: nn.Module, batch: tuple[Tensor, ...], generator: torch.Generator) -> Tensor:
    """Cross-entropy of logits against wanted probabilities, for `lib.train.fit`; ``generator`` is not used."""
    return cross_entropy(model(batch[0]), batch[1])


def train_vit(
    *,
    dataset: str,
    n_images: int,
    epochs: int,
    seed: int,
    patch: int = 7,
    width: int = 48,
    depth: int = 4,
    heads: int = 4,
    batch_size: int = 64,
    lr: float = 3e-3,
    device: str = "cpu",
) -> dict[str, Tensor]:
    """Train a small ViT on pictures of two objects.

    Parameters
    ----------
    dataset : str
        Identifier understood by `lib.data.composites`.
    n_images, epochs, batch_size : int
        Size of the training.
    seed : int
        First weights, choice and order of pictures.
    patch, width, depth, heads : int
        As `lib.models.vit.small_vit`.
    lr : float
        Peak learning rate.
    device : str

    Returns
    -------
    dict of Tensor
        Weights and sizes on the CPU, for `vit`.

    Raises
    ------
    ValueError
        If the data set is unknown or a size is out of range.
    """
    data = composites(dataset, n=n_images, seed=seed)
    size, classes = (data.x.shape[2], data.x.shape[3]), len(data.classes)
    shape = [*size, data.x.shape[1], classes, patch, width, depth, heads]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = _build(shape).to(device)
    fit(
        model,
        pair_loss,
        (data.x.to(device), halves(data.y, classes).to(device)),
        epochs=epochs,
        batch_size=batch_size,
        lr=lr,
        warmup=0.1,
        generator=torch.Generator().manual_seed(seed),
        label=f"ViT, seed {seed}",
    )
    state = {name: value.detach().cpu().clone() for name, value in model.state_dict().items()}
    return state | {SHAPE: torch.tensor(shape)}


def vit(state: dict[str, Tensor], *, seed: int | None = None, device: torch.device | str = "cpu") -> nn.Module:
    """Rebuild a ViT in evaluation mode, frozen.

    Parameters
    ----------
    state : dict of Tensor
        From `train_vit`.
    seed : int, optional
        With a seed the weights are drawn anew instead: the untrained control of the same sizes.

    Returns
    -------
    nn.Module
        timm VisionTransformer.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0 if seed is None else seed)
        model = _build(state[SHAPE].tolist())
    if seed is None:
        model.load_state_dict({name: value for name, value in state.items() if name != SHAPE})
    return model.requires_grad_(False).eval().to(device)


def _build(shape: list[int]) -> nn.Module:
    height, width, channels, classes, patch, dimension, depth, heads = shape
    return small_vit(
        (height, width), channels=channels, classes=classes, patch=patch, width=dimension, depth=depth, heads=heads
    )


def both_named(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """Share of a picture's two classes among the network's best two, float32 (n,): 0, one half or 1.

    Parameters
    ----------
    model : nn.Module
        Images to logits.
    x : Tensor, float32 (n, c, h, w)
    y : Tensor, int64 (n, 2)
    """
    best = predict(model, x).topk(2).indices
    return (best[:, :, None] == y[:, None, :]).any(1).float().mean(1)


def own_share(maps: Tensor, masks: Tensor, place: Tensor) -> Tensor:
    """How much of a map lies on the target's object rather than on the other one.

    Parameters
    ----------
    maps : Tensor, float32 (n, h, w), >= 0
    masks : Tensor, bool (n, 2, h, w)
        Pixels of both objects.
    place : Tensor, int64 (n,), 0 or 1
        Which of them is the target's.

    Returns
    -------
    Tensor, float32 (n,), [0, 1]
        Mean over the target's pixels, divided by the sum of both means, so that size plays no part: 1 = all on the
        target, one half = no preference (also where the map is 0 on both), 0 = all on the other object.

    Raises
    ------
    ValueError
        If shapes do not fit together, an object has no pixel, or a map is negative somewhere.

    Examples
    --------
    >>> masks = torch.tensor([[[[True, True, False]], [[False, False, True]]]])
    >>> own_share(torch.tensor([[[3.0, 3.0, 1.0]]]), masks, torch.tensor([0]))
    tensor([0.7500])
    """
    if masks.shape != (len(maps), 2, *maps.shape[1:]) or place.shape != maps.shape[:1]:
        raise ValueError(
            f"masks must be {(len(maps), 2, *maps.shape[1:])} and place ({len(maps)},), got {tuple(masks.shape)} and "
            f"{tuple(place.shape)}; take both from the same pictures"
        )
    if bool((maps < 0).any()):
        raise ValueError(f"maps must not be negative, got {float(maps.min()):.3g}; keep their positive part")
    sizes = masks.sum((2, 3))
    if bool((sizes == 0).any()):
        raise ValueError("every object must have a pixel, got an empty mask; lower the threshold of object_labels")
    means = (maps[:, None].double() * masks).sum((2, 3)) / sizes  # (n, 2)
    own, total = means.gather(1, place[:, None])[:, 0], means.sum(1)
    return torch.where(total > 0, own / total.clamp_min(1e-300), 0.5).float()
