"""Instance masks for bags: hide the easy, the unimportant or any instances, so that a student meets the hard ones.

Paper: Tang et al. 2023, MHIM-MIL (arXiv:2307.15254), section on masked hard instance mining: an averaged teacher gives
each instance a score (attention, or class score); the highest are easy and hidden. `bag_random` with a large share is
the paper's large-scale random masking, `bag_random_easy` its randomised high-attention masking.

Differences: exact counts, ``round(share * instances)`` of each bag, where the public code rounds up; a bag always keeps
an instance, so the smallest bags may hide none. Bags are padded and handled together, not one by one with Python
sets. The schedule that lets the share decay is the caller's.

The paper's mixtures are compositions, each on what the last one left visible, as here high and low::

    easy = bag_easy(scores, valid, share=0.03)
    hidden = easy | bag_low(scores, valid & ~easy, share=0.8)

The code draws the parts from the whole bag, so that they may overlap; here they are disjoint.

Conventions: scores are float (n, instances), higher = easier; ``valid`` is bool (n, instances), False = padding. Masks
are bool (n, instances), True = hidden, on the device of ``valid``; padding is never hidden.
"""

import torch
from torch import Tensor

from lib.masks.draws import uniform


def bag_easy(scores: Tensor, valid: Tensor, *, share: float) -> Tensor:
    """Hide the instances with the highest score of each bag.

    Parameters
    ----------
    scores : float Tensor (n, instances)
        Teacher's attention or class score; only the order within a bag counts, and padding may hold anything.
    valid : bool Tensor (n, instances)
        False = padding.
    share : float in (0, 1)
        Share of a bag's instances to hide; the paper uses 0.01 to 0.03.

    Returns
    -------
    bool Tensor (n, instances)
        True = hidden.

    Raises
    ------
    TypeError
        If ``valid`` is not bool.
    ValueError
        If the shapes differ, a bag is empty, a valid score is not finite, or the share is out of range.

    Source: MHIM-MIL, high-attention masking.

    Examples
    --------
    >>> bag_easy(torch.tensor([[1.0, 3.0, 2.0, 9.0]]), torch.tensor([[True, True, True, False]]), share=0.3).tolist()
    [[False, True, False, False]]
    """
    counts = _counts(valid, share)
    return _rank(-_checked(scores, valid), valid) < counts


def bag_low(scores: Tensor, valid: Tensor, *, share: float) -> Tensor:
    """Hide the instances with the lowest score of each bag; arguments, result and errors as in `bag_easy`."""
    counts = _counts(valid, share)
    return _rank(_checked(scores, valid), valid) < counts


def bag_random(valid: Tensor, *, share: float, generator: torch.Generator) -> Tensor:
    """Hide random instances of each bag.

    Parameters
    ----------
    valid, share
        As in `bag_easy`; the public code's commands hide 0.5 to 0.7.
    generator : torch.Generator
        Source of randomness.

    Returns
    -------
    bool Tensor (n, instances)
        True = hidden.

    Source: MHIM-MIL, large-scale random masking.
    """
    counts = _counts(valid, share)
    return _rank(uniform(tuple(valid.shape), generator=generator, device=valid.device), valid) < counts


def bag_random_easy(
    scores: Tensor, valid: Tensor, *, share: float, generator: torch.Generator, drawn: float = 0.5
) -> Tensor:
    """Hide a random part of the instances with the highest scores of each bag.

    Parameters
    ----------
    scores, valid, share
        As in `bag_easy`; the counts are the same.
    generator : torch.Generator
        Source of randomness.
    drawn : float in (0, 1]
        Part of the candidates that is hidden: they are the highest ``round(share / drawn * instances)`` of a bag, or
        all of them where that is more. 1 = `bag_easy`; at or below ``share`` the law of `bag_random`.

    Returns
    -------
    bool Tensor (n, instances)
        True = hidden.

    Raises
    ------
    ValueError
        As in `bag_easy`, or if ``drawn`` is out of range.

    Source: MHIM-MIL, randomised high-attention masking; the public code uses 0.5.
    """
    counts = _counts(valid, share)
    if not 0 < drawn <= 1:
        raise ValueError(f"drawn must be in (0, 1], got {drawn:g}; 0.5 hides every second of the highest instances")
    pool = (valid.sum(1, keepdim=True).double() * (share / drawn)).round().maximum(counts.double())
    candidate = _rank(-_checked(scores, valid), valid) < pool
    chance = uniform(tuple(valid.shape), generator=generator, device=valid.device)
    return _rank(chance + ~candidate, valid) < counts


def _counts(valid: Tensor, share: float) -> Tensor:
    """Instances to hide in each bag, int64 (n, 1), after checking ``valid`` and the share."""
    if valid.dtype != torch.bool:
        raise TypeError(f"valid must be bool with False = padding, got {valid.dtype}; use `valid.bool()`")
    if valid.ndim != 2:
        raise ValueError(f"valid must have shape (n, instances), got {tuple(valid.shape)}; add a dimension for one bag")
    if not 0 < share < 1:
        percent = f"the paper writes percent, use {share / 100:g}"
        raise ValueError(f"share must be in (0, 1), got {share:g}; {percent if 1 < share < 100 else '0.03 is usual'}")
    size = valid.sum(1, keepdim=True)
    if (size == 0).any():
        raise ValueError(f"valid must mark an instance in every bag, got none in {int((size == 0).sum())}; drop them")
    return (share * size.double()).round().long().minimum(size - 1)


def _checked(scores: Tensor, valid: Tensor) -> Tensor:
    """Check scores against ``valid`` and return them."""
    if scores.shape != valid.shape:
        raise ValueError(f"scores must have shape {tuple(valid.shape)} like valid, got {tuple(scores.shape)}")
    if (~scores.isfinite() & valid).any():
        raise ValueError("scores must be finite for valid instances, got NaN or infinity; look at the teacher")
    return scores


def _rank(keys: Tensor, valid: Tensor) -> Tensor:
    """Place of each instance in its bag, 0 = lowest key, padding last: int64 (n, instances)."""
    return keys.masked_fill(~valid, torch.inf).argsort(1).argsort(1)
