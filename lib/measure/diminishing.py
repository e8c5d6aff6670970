"""Does a set function have diminishing returns, does it grow, and how close does a greedy choice come to the best?

Nemhauser, Wolsey & Fisher 1978: f is submodular if an element added to a set A gains at least as much as when it is
added to any larger set B that holds A; if f also never falls, the greedy choice of s elements gains at least
1 - 1 / e of what the best choice of s elements gains. SMDL (arXiv:2402.09164) claims both of its set function.

Differences: neither property can be checked on all sets of many elements, so nested sets A, B are drawn at random and
the share of violations is what is measured; the guarantee is checked on all sets of few elements.

Conventions: a subset is bool (k,), True = taken; a set function maps subsets (m, k) to values (m,) or terms (m, t).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

Values = Callable[[Tensor], Tensor]
SHARE = 1 - 1 / math.e  # what a greedy choice is guaranteed of a growing submodular function
MOST = 16  # elements whose subsets are all listed


@dataclass(frozen=True)
class NestedSets:
    """Random pairs, A inside B, and an element in neither.

    Attributes
    ----------
    small, large : Tensor, bool (n, k)
        A and B; A is inside B and smaller.
    added : Tensor, int64 (n,)
        The element.
    """

    small: Tensor
    large: Tensor
    added: Tensor


def nested_sets(n: int, k: int, *, generator: torch.Generator) -> NestedSets:
    """Draw pairs: the first a and the first b > a elements of a random order, and the element after them.

    Parameters
    ----------
    n : int
        Pairs; the sizes a < b < k are uniform over all pairs.
    k : int, >= 2
        Elements.
    generator : torch.Generator
        On the CPU.

    Raises
    ------
    ValueError
        If there are fewer than two elements.
    """
    if k < 2:
        raise ValueError(f"k must be at least 2 elements, got {k}; a pair needs one in B and one to add")
    place = torch.rand(n, k, generator=generator).argsort(1).argsort(1)  # of every element in the order
    pairs = torch.tensor([(a, b) for b in range(1, k) for a in range(b)])
    sizes = pairs[torch.randint(len(pairs), (n,), generator=generator)]
    small, large = (place < size for size in sizes.T[..., None])
    return NestedSets(small, large, (place == sizes[:, 1:]).long().argmax(1))


def gains(function: Values, nested: NestedSets, index: int) -> Tensor:
    """What the element adds to A and what it adds to B, for one pair, float32 (2, ...).

    Parameters
    ----------
    function : callable
        Subsets bool (4, k) to values (4,) or terms (4, t).
    nested : NestedSets
    index : int
        Which pair.

    Returns
    -------
    Tensor, float32 (2,) or (2, t)
        Submodular: the first is never below the second. Growing: neither is negative.

    Examples
    --------
    >>> gains(lambda sets: sets.sum(1) ** 2, nested_sets(5, 4, generator=torch.Generator()), 0).diff().item() > 0
    True
    """
    sets = torch.stack([nested.small[index], nested.large[index]]).repeat(2, 1)  # A, B, A + v, B + v
    sets[2:, nested.added[index]] = True
    found = function(sets)
    return found[2:] - found[:2]


def share_of_best(function: Values, order: Tensor) -> Tensor:
    """What each prefix of an order gains over the empty set, as a share of the best gain of a set of its size.

    Parameters
    ----------
    function : callable
        Subsets bool (m, k) to values (m,); asked for all 2^k subsets.
    order : Tensor, int64 (k,)
        Usually the greedy one; k at most 16.

    Returns
    -------
    Tensor, float32 (k,)
        1 = no set of that size gains more, or none gains anything; `SHARE` is the greedy guarantee. For a function
        that grows, the best set of a size is also the best of all sets up to it.

    Raises
    ------
    ValueError
        For more than 16 elements.

    Examples
    --------
    >>> share_of_best(lambda sets: sets.float() @ torch.tensor([1.0, 3.0]), torch.tensor([0, 1]))
    tensor([0.3333, 1.0000])
    """
    k = len(order)
    if k > MOST:
        raise ValueError(
            f"order must hold at most {MOST} elements, got {k}; all subsets are listed, use larger regions"
        )
    bits = 2 ** torch.arange(k, device=order.device)
    sets = torch.arange(2**k, device=order.device)[:, None].bitwise_and(bits) > 0  # (2^k, k)
    values = function(sets)
    gained = values - values[0]
    sizes = sets.sum(1)
    best = torch.stack([gained[sizes == size].max() for size in range(1, k + 1)])
    own = gained[bits[order].cumsum(0)]
    return torch.where(best > 0, own / best, torch.ones_like(own))
