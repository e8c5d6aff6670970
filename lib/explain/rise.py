"""Black-box attributions from masked queries: RISE and sliding-window occlusion.

Papers: Petsiuk et al. 2018, RISE (arXiv:1806.07421), S(pixel) = 1 / (N E[M]) * sum_i f(x * M_i) M_i(pixel);
Zeiler & Fergus 2014 (arXiv:1311.2901), occlusion.

Differences: masks are rendered in pieces, so memory is bounded by ``max_batch`` at every image size and number of
masks; what is hidden is replaced by ``fill`` (the public code normalises first, so its zero is the data mean).
`running` returns the estimate after several numbers of masks, which is what a convergence study needs. As in the
paper, the map is not centred: a constant score gives the coverage of the masks, which is lower near the border.

Conventions: see `lib.explain`. ``score`` should return probabilities, as in the paper; logits work but have no scale.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from lib.explain import Score, check_inputs, need_generator
from lib.explain.queries import fill_values, masked_scores
from lib.masks.designs import RiseDesign, corners, rise_design, squares


def running(
    score: Score,
    images: Tensor,
    target: Tensor,
    design: RiseDesign,
    *,
    sizes: Sequence[int],
    keep: float = 0.5,
    fill: Tensor | float = 0.0,
    max_batch: int = 128,
) -> Tensor:
    """RISE estimates after the first ``sizes[0]``, ``sizes[1]``, ... masks of one design.

    Parameters
    ----------
    score : callable
        Images (m, c, h, w) to probabilities (m, classes).
    images : Tensor, float32 (n, c, h, w), [0, 1]
    target : Tensor, int64 (n,)
    design : RiseDesign
        Shared by all images.
    sizes : sequence of int, increasing
        Numbers of masks; the last is at most ``len(design)``.
    keep : float, (0, 1)
        E[M], the probability with which the design kept a cell.
    fill : Tensor (c,) or (c, h, w), or float
        Value of hidden pixels.
    max_batch : int, images

    Returns
    -------
    Tensor, float32 (len(sizes), n, h, w)

    Raises
    ------
    ValueError
        If the sizes are not increasing or exceed the design, or shapes do not fit together.

    Source
    ------
    Petsiuk et al. 2018, arXiv:1806.07421.
    """
    check_inputs(images, target, max_batch)
    if not sizes or sizes[0] < 1 or list(sizes) != sorted(set(sizes)) or sizes[-1] > len(design):
        raise ValueError(
            f"sizes must increase from at least 1 to at most {len(design)} masks, got {list(sizes)}; "
            "draw a larger design or drop sizes"
        )
    values = fill_values(fill, images)
    total = torch.zeros(len(images), *images.shape[-2:], dtype=torch.float64, device=images.device)
    results, done = [], 0
    for size in sizes:
        for start in range(done, size, max_batch):
            masks = design.render(start, min(start + max_batch, size), device=images.device)
            flat = masks.flatten(1).double()  # (m, h * w)
            for index in range(len(images)):
                weights = masked_scores(score, images[index], int(target[index]), masks, values, max_batch)
                total[index] += (weights.double() @ flat).view(total.shape[1:])
        done = size
        results.append((total / (size * keep)).float())
    return torch.stack(results)


def rise(
    score: Score,
    images: Tensor,
    target: Tensor,
    *,
    generator: torch.Generator | None,
    max_batch: int = 128,
    n_masks: int = 2000,
    grid: int = 7,
    keep: float = 0.5,
    fill: Tensor | float = 0.0,
) -> Tensor:
    """RISE: the mean of random masks, weighted by the score that the masked image reaches.

    Parameters
    ----------
    score, images, target, keep, fill, max_batch
        As `running`.
    generator : torch.Generator
        On the CPU; one design is drawn and shared by all images.
    n_masks : int
        Queries per image; the error of the map falls with its square root.
    grid : int
        Coarse cells per edge.

    Returns
    -------
    Tensor, float32 (n, h, w), >= 0 for probabilities

    Raises
    ------
    ValueError
        If the generator is missing or a number is out of range.

    Source
    ------
    Petsiuk et al. 2018, arXiv:1806.07421.
    """
    check_inputs(images, target, max_batch)
    size = (int(images.shape[2]), int(images.shape[3]))
    design = rise_design(n_masks, size, generator=need_generator(generator, "rise"), grid=grid, keep=keep)
    return running(score, images, target, design, sizes=[n_masks], keep=keep, fill=fill, max_batch=max_batch)[0]


def occlusion(
    score: Score,
    images: Tensor,
    target: Tensor,
    *,
    generator: torch.Generator | None = None,
    max_batch: int = 128,
    window: int = 7,
    stride: int = 3,
    fill: Tensor | float = 0.0,
) -> Tensor:
    """Occlusion: how far the score falls when a square is hidden, averaged over the squares that cover a pixel.

    Parameters
    ----------
    score, images, target, fill, max_batch
        As `running`; any score works, since differences are taken.
    generator : torch.Generator, optional
        Unused: there is no chance in it.
    window, stride : int, pixels
        Edge of the square and its step; every pixel is covered.

    Returns
    -------
    Tensor, float32 (n, h, w)
        Signed; 0 = hiding the surroundings of the pixel changes nothing.

    Raises
    ------
    ValueError
        If the window does not fit or the stride would leave gaps.

    Source
    ------
    Zeiler & Fergus 2014, arXiv:1311.2901.
    """
    check_inputs(images, target, max_batch)
    size = (int(images.shape[2]), int(images.shape[3]))
    places, values = corners(size, window=window, stride=stride), fill_values(fill, images)
    kept = torch.ones(1, *size, device=images.device)
    pairs = list(zip(images, target.tolist(), strict=True))
    whole = [masked_scores(score, image, label, kept, values, max_batch) for image, label in pairs]
    total = torch.zeros(len(images), size[0] * size[1], dtype=torch.float64, device=images.device)
    cover = torch.zeros_like(total[0])
    for piece in places.split(max_batch):
        masks = squares(piece.to(images.device), size, window=window)
        hidden = (1 - masks).flatten(1).double()  # (windows, h * w)
        cover += hidden.sum(0)
        for index, (image, label) in enumerate(pairs):
            falls = (whole[index] - masked_scores(score, image, label, masks, values, max_batch)).double()
            total[index] += falls @ hidden
    return (total / cover).view(len(images), *size).float()
