"""Two representations of one image: what all images vary in, and what only the target set varies in.

Louiset et al. 2024, SepCLR (arXiv:2402.11928): a background set (healthy) and a target set (sick). Two encoders learn
by alignment and uniformity (Wang & Isola 2020, arXiv:2005.10242): the *common* one on everybody, the *salient* one on
the target set, with every background image at one constant place. A kernel estimate of the joint entropy of both is
made large, so that neither repeats the other. The weights are those of the public code for chest radiographs.
Differences: any modules serve as encoders; both views go through them in one pass, so batch normalisation sees both.

Conventions: rows are float (n, d); the constant of the background is the origin; the common code enters on the unit
sphere, the salient one does not; the kernel is exp(-distance ** 2 / (2 temperature)); smaller losses are better.
Weights of modules follow torch's global seed. `supervised_contrastive` is a rival (Khosla et al. 2020,
arXiv:2004.11362).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["SepCLR", "alignment", "entropy", "information", "joint_entropy", "projector", "sepclr_loss", "sepclr_terms"]
__all__ += ["supervised_contrastive", "uniformity"]

TEMPERATURE = 0.5
TERMS = ("common", "salient", "constant", "joint")
Outputs = tuple[Tensor, Tensor, Tensor, Tensor]


def projector(dimensions: int, *, hidden: int = 128) -> nn.Sequential:
    """The head between a representation and its loss: linear, batch normalisation, ReLU, linear; (n, d) -> (n, d)."""
    if dimensions < 1 or hidden < 1:
        raise ValueError(f"dimensions and hidden must be at least 1, got {dimensions} and {hidden}; raise them")
    return nn.Sequential(
        nn.Linear(dimensions, hidden), nn.BatchNorm1d(hidden), nn.ReLU(), nn.Linear(hidden, dimensions)
    )


class SepCLR(nn.Module):
    """A common and a salient encoder, each with a head that is dropped after training.

    Parameters
    ----------
    common, salient : nn.Module
        Encoders with outputs of ``dimensions`` each.
    dimensions : int
        Length of either representation.

    Raises
    ------
    ValueError
        If ``dimensions`` is below 1.

    Examples
    --------
    >>> model = SepCLR(nn.Linear(6, 4), nn.Linear(6, 4), dimensions=4)
    >>> [tuple(part.shape) for part in model(torch.zeros(3, 6))]
    [(3, 4), (3, 4), (3, 4), (3, 4)]
    """

    def __init__(self, common: nn.Module, salient: nn.Module, *, dimensions: int) -> None:
        super().__init__()
        self.common, self.salient = common, salient
        self.common_head, self.salient_head = projector(dimensions), projector(dimensions)

    def forward(self, x: Tensor) -> Outputs:
        """Common representation and its head on the unit sphere, salient representation and its head, each (n, d)."""
        common, salient = self.common(x), self.salient(x)
        return common, functional.normalize(self.common_head(common), dim=1), salient, self.salient_head(salient)

    def spaces(self, x: Tensor) -> Tensor:
        """Common and salient representation side by side, (n, 2 d): what probes see."""
        return torch.cat([self.common(x), self.salient(x)], dim=1)


def alignment(first: Tensor, second: Tensor, *, temperature: float = TEMPERATURE) -> Tensor:
    """Mean squared distance of pairs over twice the temperature: 0 = both views of every image agree.

    Raises
    ------
    ValueError
        If the shapes differ.

    Examples
    --------
    >>> float(alignment(torch.tensor([[3.0, 0.0]]), torch.tensor([[0.0, 4.0]])))
    25.0
    """
    if first.shape != second.shape or first.ndim != 2:
        shapes = (tuple(first.shape), tuple(second.shape))
        raise ValueError(f"first and second must be (n, d) alike, got {shapes}; pass two views of the same images")
    if len(first) == 0:
        return first.sum()
    return (first - second).square().sum(dim=1).mean() / (2 * temperature)


def uniformity(x: Tensor, *, temperature: float = TEMPERATURE) -> Tensor:
    """Logarithm of the mean kernel over pairs of different rows: 0 = all in one place, the more negative the wider.

    Raises
    ------
    ValueError
        With fewer than two rows.

    Examples
    --------
    >>> round(float(uniformity(torch.tensor([[0.0], [1.0]]))), 4)
    -1.0
    """
    if x.ndim != 2 or len(x) < 2:
        raise ValueError(f"x must be (n, d) with two rows or more, got {tuple(x.shape)}; raise the batch size")
    return torch.logsumexp(-torch.pdist(x).square() / (2 * temperature), dim=0) - _log(len(x) * (len(x) - 1) / 2)


def entropy(x: Tensor, *, temperature: float = TEMPERATURE) -> Tensor:
    """Kernel estimate of an entropy, nats: 0 = all rows in one place, log n = all rows far apart.

    Parameters
    ----------
    x : Tensor (n, d)
    temperature : float, > 0
        Squared bandwidth of the kernel; the constant of its normalisation is left out.

    Returns
    -------
    Tensor
        Scalar: minus the mean over rows of the log of the mean kernel to all rows, itself included.

    Raises
    ------
    ValueError
        If ``x`` is no table with rows, or the temperature not positive.
    """
    if x.ndim != 2 or len(x) == 0 or not temperature > 0:
        raise ValueError(f"x must be (n, d), temperature > 0, got {tuple(x.shape)} and {temperature}; pass rows")
    length = x.square().sum(dim=1)
    squared = (length[:, None] + length[None] - 2 * x @ x.T).clamp_min(0)  # (n, n)
    return _log(len(x)) - torch.logsumexp(-squared / (2 * temperature), dim=1).mean()


def joint_entropy(common: Tensor, salient: Tensor, *, temperature: float = TEMPERATURE) -> Tensor:
    """Kernel estimate of the entropy of both codes together, nats, in [0, log n].

    The product of two such kernels is the kernel of the two codes side by side.

    Raises
    ------
    ValueError
        If the numbers of rows differ; as `entropy`.

    Source
    ------
    Louiset et al. 2024, k-JEM; the loss is its negative.

    Examples
    --------
    >>> far = 100 * torch.eye(4)
    >>> round(float(joint_entropy(far, torch.zeros(4, 2)).exp()), 4)
    4.0
    """
    if len(common) != len(salient):
        raise ValueError(f"common and salient must have equally many rows, got {len(common)} and {len(salient)}")
    return entropy(torch.cat([common, salient], dim=1), temperature=temperature)


def information(common: Tensor, salient: Tensor, *, temperature: float = TEMPERATURE) -> Tensor:
    """Kernel estimate of the mutual information, nats: the two entropies minus the joint one; 0 if one is constant.

    The training term is the last part alone: it can also grow because the first two do.
    """
    alone = entropy(common, temperature=temperature) + entropy(salient, temperature=temperature)
    return alone - joint_entropy(common, salient, temperature=temperature)


def sepclr_terms(first: Outputs, second: Outputs, target: Tensor) -> dict[str, Tensor]:
    """The four parts of the loss, from two views of one batch.

    Parameters
    ----------
    first, second : tuples of four Tensor (n, d)
        `SepCLR.forward` of either view.
    target : bool Tensor (n,)
        True = target, False = background.

    Returns
    -------
    dict of str to Tensor
        Scalars. "common": alignment plus twice the uniformity of all rows. "salient": alignment of the target rows
        plus twice the uniformity of all rows, the background's set to the origin. "constant": what moves the salient
        codes of the background to the origin. "joint": minus the joint entropy.

    Raises
    ------
    ValueError
        If ``target`` is no bool (n,); as the parts.
    """
    if target.dtype != torch.bool or target.shape != first[1].shape[:1]:
        raise ValueError(
            f"target must be bool ({len(first[1])},), got {target.dtype} {tuple(target.shape)}; use y == 1"
        )
    common = alignment(first[1], second[1]) + uniformity(first[1]) + uniformity(second[1])
    fixed = [view[3] * target[:, None] for view in (first, second)]
    salient = alignment(first[3][target], second[3][target]) + uniformity(fixed[0]) + uniformity(fixed[1])
    away = [view[3][~target] for view in (first, second)]
    constant = (alignment(away[0], torch.zeros_like(away[0])) + alignment(away[1], torch.zeros_like(away[1]))) / 2
    joint = -(joint_entropy(first[1], fixed[0]) + joint_entropy(second[1], fixed[1])) / 2
    return dict(zip(TERMS, (common, salient, constant, joint), strict=True))


def sepclr_loss(
    first: Outputs, second: Outputs, target: Tensor, *, constant: float = 10.0, independence: float = 10.0
) -> Tensor:
    """Weighted sum of `sepclr_terms`; the weights of the public code for chest radiographs are the defaults.

    Parameters
    ----------
    first, second, target
        As `sepclr_terms`.
    constant, independence : float, >= 0
        Weights of the background's constant and of the joint entropy; 0 = without.

    Raises
    ------
    ValueError
        For a negative weight; as `sepclr_terms`.
    """
    if constant < 0 or independence < 0:
        raise ValueError(f"constant and independence must be >= 0, got {constant} and {independence}; 0 = without")
    terms = sepclr_terms(first, second, target)
    return terms["common"] + terms["salient"] + constant * terms["constant"] + independence * terms["joint"]


def supervised_contrastive(x: Tensor, labels: Tensor, *, temperature: float = 0.1) -> Tensor:
    """Rows of a class must find each other among all rows, by cosine.

    Parameters
    ----------
    x : Tensor (n, d)
        Both views of a batch, one below the other.
    labels : int64 Tensor (n,)
        Rows without a second of their class are left out of the mean.
    temperature : float, > 0
        Divides the cosines.

    Returns
    -------
    Tensor
        Scalar, nats: log(n - 1) when all rows are in one place.

    Raises
    ------
    ValueError
        If the labels do not fit, or no class has two rows.

    Source
    ------
    Khosla et al. 2020, equation 2 (the sum outside the logarithm).
    """
    if x.ndim != 2 or labels.shape != x.shape[:1]:
        raise ValueError(f"x must be (n, d) and labels (n,), got {tuple(x.shape)} and {tuple(labels.shape)}")
    itself = torch.eye(len(x), dtype=torch.bool, device=x.device)
    friends = (labels[:, None] == labels[None]) & ~itself
    kept = friends.any(dim=1)
    if not kept.any():
        raise ValueError("labels must give some class two rows, got none; pass both views of every image")
    unit = functional.normalize(x, dim=1)
    share = torch.log_softmax((unit @ unit.T / temperature).masked_fill(itself, -torch.inf), dim=1)
    found = share.masked_fill(~friends, 0.0).sum(dim=1) / friends.sum(dim=1).clamp_min(1)
    return -found[kept].mean()


def _log(value: float) -> Tensor:
    return torch.tensor(float(value)).log()
