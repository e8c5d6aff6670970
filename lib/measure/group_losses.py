"""The parts of training with groups: balanced batches, weights, and the two penalties that equalise scores.

Sagawa et al. 2020 (arXiv:1911.08731), algorithm 1, for the exponentiated weights of GroupDRO; Pfohl et al. 2021
(arXiv:2007.10306) for matching the mean score of each group within a label; Zhang, Lemoine & Mitchell 2018
(arXiv:1801.07593) for an adversary that guesses the group from score and label. Zhang et al. 2022 (arXiv:2203.12609)
compare all of them on chest X-rays. Difference: means are matched on the logit, not on the log-probability, so that
the penalty stays the same when all scores move together.

Conventions: ``y`` is 0 or 1, ``groups`` are codes 0 .. k-1, both int64 (n,); logits are float (n,). A penalty of 0
says that the groups cannot be told apart by it.
"""

import torch
from torch import Tensor, nn

HIDDEN = 8  # units of the adversary: it sees one logit and one label


def balanced_rows(groups: Tensor, n: int, *, generator: torch.Generator) -> Tensor:
    """Draw rows with replacement, the same number from every group.

    Parameters
    ----------
    groups : Tensor, int64 (rows,)
    n : int
        Rows wanted; ``n // k`` come from each of the k groups.
    generator : torch.Generator
        On the CPU.

    Returns
    -------
    Tensor, int64 (k * (n // k),)
        Row numbers, group after group.

    Raises
    ------
    ValueError
        If n is below the number of groups.

    Examples
    --------
    >>> rows = balanced_rows(torch.tensor([0, 0, 0, 1]), 6, generator=torch.Generator())
    >>> torch.bincount(torch.tensor([0, 0, 0, 1])[rows]).tolist()
    [3, 3]
    """
    codes = groups.unique()
    if n < len(codes):
        raise ValueError(f"n must be at least the number of groups, {len(codes)}, got {n}; take larger batches")
    drawn = []
    for code in codes:
        members = torch.nonzero(groups == code)[:, 0]
        drawn.append(members[torch.randint(len(members), (n // len(codes),), generator=generator).to(members.device)])
    return torch.cat(drawn)


def balanced_subset(groups: Tensor, *, generator: torch.Generator) -> Tensor:
    """Draw rows without replacement, from every group as many as the smallest group has.

    Parameters
    ----------
    groups : Tensor, int64 (rows,)
    generator : torch.Generator
        On the CPU.

    Returns
    -------
    Tensor, int64 (k * smallest,)
        Row numbers, group after group.
    """
    codes, counts = groups.unique(return_counts=True)
    kept = []
    for code in codes:
        members = torch.nonzero(groups == code)[:, 0]
        order = torch.randperm(len(members), generator=generator)[: int(counts.min())]
        kept.append(members[order.to(members.device)])
    return torch.cat(kept)


def group_weights(groups: Tensor) -> Tensor:
    """Weights with which every group counts the same.

    Parameters
    ----------
    groups : Tensor, int64 (n,)

    Returns
    -------
    Tensor, float32 (n,)
        ``n / (k * size of the group)``; the mean is 1.

    Examples
    --------
    >>> [round(weight, 2) for weight in group_weights(torch.tensor([0, 0, 0, 1])).tolist()]
    [0.67, 0.67, 0.67, 2.0]
    """
    counts = torch.bincount(groups).float()
    return len(groups) / (int((counts > 0).sum()) * counts[groups])


def group_means(values: Tensor, groups: Tensor, k: int) -> Tensor:
    """Mean value of each of k groups: float (n,), int64 (n,) -> float (k,); a group without rows has mean 0."""
    member = nn.functional.one_hot(groups, k).to(values.dtype)  # (n, k)
    return values @ member / member.sum(0).clamp_min(1)


def exponentiated(weights: Tensor, losses: Tensor, *, eta: float) -> Tensor:
    """One update of GroupDRO's weights: the group with the larger loss gains.

    Parameters
    ----------
    weights, losses : Tensor, float (k,)
        Weights sum to 1; losses are mean losses of the groups, nats.
    eta : float
        Step size, >= 0; 0 = the weights stay.

    Returns
    -------
    Tensor, float (k,)
        ``weights * exp(eta * losses)``, divided by its sum.

    Examples
    --------
    >>> moved = exponentiated(torch.tensor([0.5, 0.5]), torch.log(torch.tensor([3.0, 1.0])), eta=1.0)
    >>> [round(weight, 4) for weight in moved.tolist()]
    [0.75, 0.25]
    """
    moved = weights * torch.exp(eta * (losses.detach() - losses.detach().max()))
    return moved / moved.sum()


def mean_match(logits: Tensor, y: Tensor, groups: Tensor) -> Tensor:
    """How far the mean score of each group lies from that of everybody with the same label.

    Parameters
    ----------
    logits, y, groups
        See above.

    Returns
    -------
    Tensor, float scalar
        Sum over labels and groups of the squared difference of mean logits; a group without rows of a label adds
        nothing. 0 = sick and healthy score the same in all groups, on average.

    Examples
    --------
    >>> float(mean_match(torch.tensor([1.0, 3.0]), torch.tensor([1, 1]), torch.tensor([0, 1])))
    2.0
    """
    k = int(groups.max()) + 1
    cell = y * k + groups
    present = torch.bincount(cell, minlength=2 * k).view(2, k) > 0
    means = group_means(logits, cell, 2 * k).view(2, k)
    return ((means - group_means(logits, y, 2)[:, None]).square() * present).sum()


def reversed_gradient(values: Tensor, weight: float) -> Tensor:
    """The same values; the gradient that comes back through them is multiplied by ``-weight``."""
    return values.detach() - weight * (values - values.detach())


class Against(nn.Module):
    """A classifier together with an adversary that guesses the group from its logit and the label.

    Parameters
    ----------
    model : nn.Module
        Rows -> one logit each, (n,) or (n, 1).
    k : int
        Groups.
    weight : float
        What reaches the classifier of the adversary's gradient, reversed; 0 = nothing.
    seed : int
        Of the adversary's first weights.
    """

    def __init__(self, model: nn.Module, k: int, *, weight: float, seed: int) -> None:
        super().__init__()
        self.model, self.weight = model, weight
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.adversary = nn.Sequential(nn.Linear(2, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, k))

    def forward(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Rows and labels -> logits of the finding (n,) and of the groups (n, k)."""
        logits = self.model(x).reshape(len(x))
        seen = torch.stack([reversed_gradient(logits, self.weight), y.to(logits)], 1)  # (n, 2)
        return logits, self.adversary(seen)
