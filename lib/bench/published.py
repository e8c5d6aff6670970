"""Published ways to draw masks and to judge attributions, stated anew: peers of `lib.bench.masks` and `explain`.

Each function follows the public code of its paper step by step, in our words: the same sorts, copies and loops over
images, because these are what is measured. Where a step could be left out without changing the result it stays in, as
published; nothing is added. Two things differ everywhere: randomness comes from a generator given by the caller, which
costs the same, and the masks of a batch are stacked where a data loader would do it.

Conventions: as published, a mask holds 1 = hidden; the count of hidden tokens is ``tokens - int(tokens * (1 - ratio))``
unless said otherwise.
"""

import math
import random
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def mae_masking(tokens: Tensor, *, ratio: float, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Shuffle, gather the visible tokens, and restore the mask: He et al. 2022 (facebookresearch/mae, random_masking).

    Parameters
    ----------
    tokens : Tensor (n, length, width)
        Embedded patches; the public code draws no mask without gathering them. With width 1 the gather costs next to
        nothing, and what is left is the drawing.
    ratio : float in (0, 1)
    generator : torch.Generator

    Returns
    -------
    visible tokens (n, kept, width), mask (n, length), index that undoes the shuffle (n, length)
    """
    n, length, width = tokens.shape
    kept = int(length * (1 - ratio))
    order = torch.rand(n, length, generator=generator, device=tokens.device).argsort(dim=1)
    back = order.argsort(dim=1)
    index = order[:, :kept].unsqueeze(-1).repeat(1, 1, width)  # the index of a token, once for each dimension
    visible = tokens.gather(1, index)
    mask = torch.ones(n, length, device=tokens.device)
    mask[:, :kept] = 0
    return visible, mask.gather(1, back), back


def colour_masking(
    bank: Tensor, n: int, *, side: int, ratio: float, generator: torch.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Cut masks from a bank of noise: Hinojosa et al. 2024 (carlosh93/ColorMAE, extract_windows, color_noise_mask).

    One crop and one pair of flips for all patterns of the bank, each window divided by its maximum, then the first n
    of them sorted twice. It filters no noise and repeats the same n patterns; ours draws every mask anew.

    Parameters
    ----------
    bank : Tensor (length, height, width)
        At least n patterns; the public one has 3,072.
    n, side : int
        Masks and their side in patches.
    ratio : float in (0, 1)
    generator : torch.Generator

    Returns
    -------
    mask (n, side * side), index that undoes the sort, index of the visible tokens (n, kept)
    """
    top, left = (int(torch.randint(room - side + 1, (), generator=generator)) for room in bank.shape[1:])
    windows = bank[:, top : top + side, left : left + side]
    for axis in (-1, -2):
        if torch.rand((), generator=generator) < 0.5:
            windows = windows.flip(axis)
    largest = windows.max(dim=-1).values.max(dim=-1).values
    windows = (windows / largest[:, None, None])[:n].reshape(n, -1)
    kept = int(windows.shape[1] * (1 - ratio))
    order = windows.argsort(dim=1, descending=True)
    back = order.argsort(dim=1)
    mask = torch.ones(windows.shape)
    mask[:, :kept] = 0
    return mask.gather(1, back), back, order[:, :kept]


def shuffled_masks(n: int, tokens: int, *, ratio: float, rng: np.random.RandomState) -> Tensor:
    """Shuffle zeros and ones for one image after the other: UM-MAE and HPM (RandomMaskingGenerator, "random").

    In the public code this runs in the workers of a data loader. It hides ``int(ratio * tokens)``.
    """
    hidden = int(ratio * tokens)
    masks = []
    for _ in range(n):
        mask = np.hstack([np.zeros(tokens - hidden), np.ones(hidden)])
        rng.shuffle(mask)
        masks.append(mask)
    return torch.from_numpy(np.stack(masks))


def lattice_masks(n: int, side: int, *, rng: np.random.RandomState) -> Tensor:
    """Leave one token of every 2 x 2 cell visible: UM-MAE and HPM (RandomMaskingGenerator, "regular"); ratio 0.75.

    A table of cells, each of the four phases about equally often and twice as many as needed, is copied and shuffled
    for every image; the first quarter of tokens is used.
    """
    cells = side * side // 4
    table = 1 - np.tile(np.eye(4), (-(-2 * cells // 4), 1))  # (at least 2 * cells, 4)
    masks = []
    for _ in range(n):
        mixed = table.copy()
        rng.shuffle(mixed)
        mask = mixed[:cells].reshape(side // 2, side // 2, 2, 2).transpose(0, 2, 1, 3)  # (down, 2, across, 2)
        masks.append(mask.reshape(-1))
    return torch.from_numpy(np.stack(masks))


def grown_blocks(
    n: int, side: int, *, count: int, rng: random.Random, smallest: int = 16, aspect: float = 0.3
) -> Tensor:
    """Grow blocks in each image, patch by patch: Bao et al. 2022, BEiT (microsoft/unilm, MaskingGenerator).

    A rectangle is refused when it would hide too many tokens, and an image is given up after ten refusals, so the
    count is at most ``count`` and often below it. Ours reaches it in every image.
    """
    steepest = math.log(1 / aspect)
    masks = []
    for _ in range(n):
        mask, hidden = np.zeros((side, side), dtype=int), 0
        while hidden < count:
            missing, fresh = count - hidden, 0
            for _ in range(10):
                area, stretch = rng.uniform(smallest, missing), math.exp(rng.uniform(-steepest, steepest))
                down, across = round(math.sqrt(area * stretch)), round(math.sqrt(area / stretch))
                if across < side and down < side:
                    top, left = rng.randint(0, side - down), rng.randint(0, side - across)
                    covered = mask[top : top + down, left : left + across].sum()
                    if 0 < down * across - covered <= missing:
                        for row in range(top, top + down):
                            for column in range(left, left + across):
                                if mask[row, column] == 0:
                                    mask[row, column] = 1
                                    fresh += 1
                    if fresh > 0:
                        break
            if fresh == 0:
                break
            hidden += fresh
        masks.append(mask)
    return torch.from_numpy(np.stack(masks)).flatten(1)


def filled_blocks(
    n: int, side: int, *, count: int, rng: random.Random, smallest: int = 4, aspect: float = 0.3
) -> Tensor:
    """Fill blocks in each image as slices of a tensor: lightly (random_block_mask_image), after DINOv2.

    The same growth as `grown_blocks`, without the loop over patches. Every image gets the same ``count`` here, where
    lightly spreads it over the batch; it is at most ``count``.
    """
    steepest = math.log(1 / aspect)
    masks = []
    for _ in range(n):
        mask, hidden = torch.zeros(side, side, dtype=torch.bool), 0
        while hidden < count:
            missing, fresh = count - hidden, 0
            for _ in range(10):
                area, stretch = rng.uniform(smallest, missing), math.exp(rng.uniform(-steepest, steepest))
                down, across = round(math.sqrt(area * stretch)), round(math.sqrt(area / stretch))
                if across < side and down < side:
                    top, left = rng.randint(0, side - down), rng.randint(0, side - across)
                    new = down * across - int(mask[top : top + down, left : left + across].sum().item())
                    if 0 < new <= missing:
                        mask[top : top + down, left : left + across] = 1
                        fresh = new
                        break
            if fresh == 0:
                break
            hidden += fresh
        masks.append(mask)
    return torch.stack(masks).flatten(1)


def hard_masks(predicted: Tensor, *, ratio: float, share: float, rng: np.random.RandomState) -> Tensor:
    """Hide the patches of highest predicted loss and fill up at random: Wang et al. 2023, HPM (generate_mask).

    Parameters
    ----------
    predicted : Tensor (n, tokens)
        Predicted loss of each patch.
    ratio : float in (0, 1)
    share : float in (0, 1]
        Share of the hidden that is chosen by loss; HPM raises it from 0 to 0.5 over the epochs. At least one token.
    rng : numpy RandomState

    Returns
    -------
    Tensor (n, tokens)
        Drawn by a loop over images that leaves torch for numpy and comes back, as published.
    """
    n, tokens = predicted.shape
    kept = int(tokens * (1 - ratio))
    hard = int((tokens - kept) * share)
    ranked = predicted.argsort(dim=1)
    order = torch.zeros_like(ranked).int()
    for image in range(n):
        order[image, -hard:] = ranked[image, -hard:]
        rest = np.delete(torch.arange(tokens).numpy(), order[image, -hard:].numpy())
        rng.shuffle(rest)
        order[image, : tokens - hard] = torch.LongTensor(rest)
    back = order.argsort(dim=1)
    mask = torch.ones(n, tokens)
    mask[:, :kept] = 0
    return mask.gather(1, back)


def ranking_loss(predicted: Tensor, true: Tensor) -> Tensor:
    """Cross-entropy over all pairs of patches, harder or easier: HPM (forward_learning_loss, relative).

    The whole table of pairs is held several times over, each pair in both orders, as published.

    Parameters
    ----------
    predicted, true : Tensor (n, hidden)
        Predicted loss, and the reconstruction's loss without gradient.

    Returns
    -------
    Tensor ()
    """
    harder = true.unsqueeze(1) > true.unsqueeze(2)
    easier = true.unsqueeze(1) < true.unsqueeze(2)
    counted = harder + easier
    difference = predicted.unsqueeze(1) - predicted.unsqueeze(2)  # (n, hidden, hidden)
    loss = -harder.int() * torch.log(torch.sigmoid(difference) + 1e-6)
    loss = loss - easier.int() * torch.log(1 - torch.sigmoid(difference) + 1e-6)
    return loss.sum() / counted.sum()


def rise_draws(
    n: int, side: int, *, grid: int, keep: float, rng: np.random.RandomState
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """What chance decides in masks of RISE: kept cells (n, grid, grid), 0 or 1, and shifts (n, 2) of the crop, px.

    The public code draws the two shifts of a mask inside its loop; drawing them together costs less.
    """
    kept = (rng.rand(n, grid, grid) < keep).astype(np.float32)
    return kept, rng.randint(0, -(-side // grid), (n, 2))


def rise_masks(kept: NDArray[np.float32], shifts: NDArray[np.int64], side: int) -> NDArray[np.float64]:
    """Enlarge one grid after the other and cut out a square: Petsiuk et al. 2018, RISE (eclique/RISE, generate_masks).

    Parameters
    ----------
    kept, shifts
        From `rise_draws`.
    side : int, px

    Returns
    -------
    ndarray, float64 (n, side, side), [0, 1]
        1 = kept. Each grid is enlarged as a whole by scikit-image, one cell more than fits, with mirrored borders.
    """
    from skimage.transform import resize

    grid = kept.shape[1]
    large = (grid + 1) * -(-side // grid)
    masks = np.empty((len(kept), side, side))
    for index, (down, right) in enumerate(shifts):
        whole = resize(kept[index], (large, large), order=1, mode="reflect", anti_aliasing=False)
        masks[index] = whole[down : down + side, right : right + side]
    return masks


def causal_curve(
    score: Callable[[Tensor], Tensor], image: Tensor, empty: Tensor, values: Tensor, *, insertion: bool, step: int
) -> NDArray[np.float64]:
    """Follow one image step by step: Petsiuk et al. 2018, RISE (eclique/RISE, CausalMetric.single_run).

    Parameters
    ----------
    score : callable
        Images (1, c, h, w) to probabilities (1, classes), asked for the decision and then once per step.
    image, empty : Tensor (1, c, h, w)
        The image, and what stands where it is hidden.
    values : Tensor (h, w)
        Larger = exchanged earlier.
    insertion : bool
        Whether to start from the empty image.
    step : int
        Pixels per step.

    Returns
    -------
    ndarray, float64 (steps + 1,)
        Of the class decided for the image. The two best classes are found at every step, as for the printout.
    """
    label = score(image).max(1).indices
    pixels, channels = values.numel(), image.shape[1]
    count = -(-pixels // step)
    start, end = (empty, image) if insertion else (image, empty)
    order, now, found = np.flip(np.argsort(values.reshape(-1).numpy())), start.clone(), np.empty(count + 1)
    for number in range(count + 1):
        shown = score(now)
        shown.topk(2)
        found[number] = shown[0, label]
        exchanged = order[step * number : step * (number + 1)]
        now.numpy().reshape(channels, pixels)[:, exchanged] = end.numpy().reshape(channels, pixels)[:, exchanged]
    return found
