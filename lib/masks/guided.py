"""Token masks that follow attention: hide the attended (AttMask), or keep them (A-CLIP, MILAN).

Papers: Kakogeorgiou et al. 2022, AttMask (arXiv:2203.12719), for high, hint and low; Yang et al. 2023, A-CLIP
(arXiv:2212.08653), for `aclip`; Hou et al. 2022, MILAN (arXiv:2208.06049), semantic-aware mask sampling, for `milan`.

Differences: all hide exactly ``round(ratio * tokens)``. AttMask masks an image with probability one half and lets the
ratio vary; that choice is the caller's. Its hints come out of the count, here the next most attended tokens take their
place. A-CLIP's code keeps ``int(0.5 * 49) + 1 = 25`` of 49 cells; here the last cell is cut and its less attended
tokens are hidden. MILAN draws a whole permutation with `torch.multinomial`, which fails where fewer tokens than asked
for have attention; here tokens without attention come last, in random order.

Conventions: see `lib.masks.contract`. Attention is float (n, tokens), at least 0, such as the mean over heads of a
teacher's attention from the class token to the patches, without the class token itself. Rows need not sum to one. The
mask lies on the attention's device. Where no generator is asked for, images with the same attention get the same mask.
"""

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from lib.masks.contract import Grid, check_call, grid_size, hidden_count, hide_highest
from lib.masks.draws import arrivals, check_rows, uniform


def attmask_high(attention: Tensor, *, ratio: float) -> Tensor:
    """Hide the most attended tokens.

    Parameters
    ----------
    attention : float Tensor (n, tokens)
        At least 0.
    ratio : float in (0, 1)
        Share of tokens to hide.

    Returns
    -------
    bool Tensor (n, tokens)
        True = hidden.

    Raises
    ------
    TypeError
        If the attention is not floating point.
    ValueError
        If it is not a finite, non-negative matrix, or the ratio is out of range.

    Source: AttMask, "AttMask-High".

    Examples
    --------
    >>> attmask_high(torch.tensor([[0.1, 0.6, 0.3, 0.0]]), ratio=0.5).tolist()
    [[False, True, True, False]]
    """
    _check(attention)
    return hide_highest(attention, ratio=ratio)


def attmask_hint(attention: Tensor, *, ratio: float, generator: torch.Generator, hint: float = 0.1) -> Tensor:
    """Hide the most attended tokens, but show a few of the very top as hints.

    Parameters
    ----------
    attention, ratio
        As in `attmask_high`.
    generator : torch.Generator
        Source of randomness.
    hint : float in [0, 1)
        The top share of tokens from which hints are drawn; ``round(hint * ratio * tokens)`` of them stay visible.
        0 = `attmask_high`.

    Returns
    -------
    bool Tensor (n, tokens)
        True = hidden.

    Raises
    ------
    ValueError
        If ``hint`` is out of range, or there would be more hints than visible tokens.

    Source: AttMask, "AttMask-Hint"; the number of hints as in its public code.
    """
    _check(attention)
    n, tokens = attention.shape
    check_call(n, (1, tokens), ratio=ratio, generator=generator)
    if not 0 <= hint < 1:
        raise ValueError(f"hint must be in [0, 1), got {hint:g}; 0.1 draws the hints from the top tenth")
    shown, visible = round(hint * ratio * tokens), tokens - hidden_count(tokens, ratio=ratio)
    if shown > visible:
        raise ValueError(
            f"hint must leave hidden tokens enough, got {hint:g}, which shows {shown} where {visible} may be visible; "
            f"use at most {visible / tokens / ratio:.2g}"
        )
    top = attention.topk(round(hint * tokens), dim=1, sorted=False).indices  # (n, pool)
    pick = uniform(tuple(top.shape), generator=generator, device=top.device).topk(shown, dim=1, sorted=False).indices
    return hide_highest(attention.scatter(1, top.gather(1, pick), -1.0), ratio=ratio)


def attmask_low(attention: Tensor, *, ratio: float) -> Tensor:
    """Hide the least attended tokens: float (n, tokens) to bool (n, tokens); see `attmask_high`."""
    _check(attention)
    return hide_highest(-attention, ratio=ratio)


def aclip(attention: Tensor, grid: Grid, *, ratio: float, cell: int = 2) -> Tensor:
    """Keep the most attended square cells visible; one cell may be kept in part.

    Parameters
    ----------
    attention, ratio
        As in `attmask_high`; tokens run row by row over the grid.
    grid : int or (int, int)
        Patch grid.
    cell : int
        Side of a cell in patches; a cell counts by the mean attention of its tokens. 1 gives `attmask_low`.

    Returns
    -------
    bool Tensor (n, tokens)
        True = hidden.

    Raises
    ------
    ValueError
        If the cell does not fit into the grid, or the grid does not fit the attention.

    Source: A-CLIP, public code (14 x 14 tokens, 7 x 7 cells, ratio 0.5).
    """
    _check(attention)
    height, width = grid_size(grid)
    n, tokens = attention.shape
    if tokens != height * width:
        raise ValueError(
            f"attention must have shape (n, {height * width}) for a {height} x {width} grid, got {(n, tokens)}; "
            "leave the class token out"
        )
    if not 1 <= cell <= min(height, width):
        raise ValueError(f"cell must be in [1, {min(height, width)}] patches, got {cell}; A-CLIP uses 2")
    means = avg_pool2d(attention.float().view(n, 1, height, width), cell, ceil_mode=True)  # (n, 1, down, across)
    rank = means.flatten(1).argsort(1).argsort(1).view(n, *means.shape[2:])  # 0 = the least attended cell
    rank = rank.repeat_interleave(cell, 1).repeat_interleave(cell, 2)[:, :height, :width].reshape(n, tokens)
    return hide_highest(-(rank * tokens + attention.argsort(1).argsort(1)), ratio=ratio)


def milan(attention: Tensor, *, ratio: float, generator: torch.Generator) -> Tensor:
    """Draw the visible tokens without replacement, each with a probability by its attention.

    Parameters
    ----------
    attention, ratio
        As in `attmask_high`. Constant attention gives the law of `lib.masks.tokens.random`.
    generator : torch.Generator
        Source of randomness.

    Returns
    -------
    bool Tensor (n, tokens)
        True = hidden.

    Source: MILAN, section on semantic-aware mask sampling. I2P-MAE (arXiv:2212.06785) does the same with a softmax of
    its saliency.
    """
    _check(attention)
    check_call(len(attention), (1, attention.shape[1]), ratio=ratio, generator=generator)
    weight = attention.float()
    time = arrivals(weight.clamp(min=torch.finfo(weight.dtype).tiny).log(), generator=generator)  # (n, tokens)
    return hide_highest(time, ratio=ratio)


def _check(attention: Tensor) -> None:
    """Check type, shape and sign of an attention."""
    check_rows(attention, "attention")
    if (attention < 0).any():
        raise ValueError(
            f"attention must be at least 0, got {float(attention.min()):.3g}; take it after the softmax, not before"
        )
