"""Bag classifiers: gated attention over instances, and a student that is trained on what its teacher leaves visible.

Ilse et al. 2018, Attention-based Deep Multiple Instance Learning (arXiv:1802.04712), equations 7 and 9: a bag is the
mean of its instances' features weighted by a gated attention. Tang et al. 2023, MHIM-MIL (arXiv:2307.15254): a slow
average of the network scores all instances, some are hidden, and the student learns from the rest to classify the bag
and to agree with the teacher's feature of the whole bag.

Differences: bags are padded and handled together; the paper takes one at a time. The teacher works without dropout. The
public code's attention has no gate. `Whitening` stands where the paper has a network trained on photographs.

Conventions: bags float32 (n, instances, d); ``visible`` bool (n, instances), False = padding or hidden, at least one
True in every row. What is not visible has attention 0 and no influence, whatever it holds.
"""

import copy
import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

EPS = 1e-6


class Pooled(NamedTuple):
    """What a bag classifier says: ``logits`` (n, classes), ``attention`` (n, instances), ``feature`` (n, width).

    Attention sums to one in every bag; the feature is the one of the bag.
    """

    logits: Tensor
    attention: Tensor
    feature: Tensor


class GatedAttentionMIL(nn.Module):
    """One hidden layer for each instance, gated attention over the instances of a bag, one linear classifier.

    Parameters
    ----------
    inputs : int
        Width of the instances.
    width, attention : int
        Units of the hidden layer and of the attention.
    classes : int
    dropout : float in [0, 1)
        On the hidden layer, in training; the public code of MHIM-MIL uses 0.25.
    """

    def __init__(
        self, inputs: int, *, width: int = 32, attention: int = 16, classes: int = 2, dropout: float = 0.25
    ) -> None:
        super().__init__()
        self.layer = nn.Linear(inputs, width)
        self.dropout = nn.Dropout(dropout)
        self.content = nn.Linear(width, attention)
        self.gate = nn.Linear(width, attention)
        self.weight = nn.Linear(attention, 1, bias=False)
        self.head = nn.Linear(width, classes)

    def forward(self, x: Tensor, visible: Tensor) -> Pooled:
        """Classify bags.

        Parameters
        ----------
        x : float Tensor (n, instances, inputs)
        visible : bool Tensor (n, instances)

        Returns
        -------
        Pooled

        Raises
        ------
        ValueError
            A bag of which nothing is visible, or shapes that do not fit.
        """
        if visible.shape != x.shape[:2] or visible.dtype != torch.bool:
            got = f"{visible.dtype} {tuple(visible.shape)}"
            raise ValueError(f"visible must be bool {tuple(x.shape[:2])} like the bags, got {got}; True = visible")
        if not visible.any(dim=1).all():
            raise ValueError("visible must leave an instance in every bag, got an empty one; hide fewer")
        x = x.masked_fill(~visible.unsqueeze(-1), 0)  # not even NaN leaks out of padding
        h = self.dropout(functional.relu(self.layer(x)))  # (n, instances, width)
        raw = self.weight(torch.tanh(self.content(h)) * torch.sigmoid(self.gate(h))).squeeze(-1)  # (n, instances)
        attention = raw.masked_fill(~visible, -torch.inf).softmax(dim=1)
        feature = (attention.unsqueeze(1) @ h).squeeze(1)  # (n, width)
        return Pooled(self.head(feature), attention, feature)


class MaskedStudent(nn.Module):
    """A bag classifier that is trained, and its slow average, which says what is easy.

    Parameters
    ----------
    student : GatedAttentionMIL
    teacher : GatedAttentionMIL
        Copied; the paper starts from a trained one.

    Attributes
    ----------
    steps : int64 Tensor ()
        How often the teacher followed; part of the state, so that a resumed training goes on with its schedule.
    """

    def __init__(self, student: GatedAttentionMIL, teacher: GatedAttentionMIL) -> None:
        super().__init__()
        self.student = student
        self.teacher = copy.deepcopy(teacher).requires_grad_(False).eval()
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))
        self.steps: Tensor

    def train(self, mode: bool = True) -> "MaskedStudent":
        """Switch the student; the teacher always evaluates."""
        super().train(mode)
        self.teacher.eval()
        return self

    def forward(self, x: Tensor, visible: Tensor) -> Pooled:
        """Let the student classify bags from their visible instances."""
        return self.student(x, visible)

    @torch.no_grad()
    def survey(self, x: Tensor, valid: Tensor) -> Pooled:
        """Let the teacher look at whole bags; its attention is the score that masks follow."""
        return self.teacher(x, valid)

    @torch.no_grad()
    def follow(self, decay: float) -> None:
        """Move the teacher: ``decay`` of itself, the rest from the student; 1 = it stays, 0 = it copies."""
        for slow, fast in zip(self.teacher.parameters(), self.student.parameters(), strict=True):
            slow.lerp_(fast, 1 - decay)
        self.steps += 1


def agreement_loss(student: Tensor, teacher: Tensor, *, temperature: float = 0.1) -> Tensor:
    """Cross-entropy between bag features read as distributions over their units, the teacher's sharpened.

    Parameters
    ----------
    student, teacher : float Tensor (n, width)
        No gradient flows into the teacher's.
    temperature : float > 0
        Of the teacher; the student's is 1. The paper's public code uses 0.1.

    Returns
    -------
    Tensor ()
        At least the mean entropy of the teacher's distributions; log(width) = a student that says nothing.

    Raises
    ------
    ValueError
        The temperature is not positive.

    Source
    ------
    arXiv:2307.15254, consistency loss; temperature and form as in its public code.
    """
    if not temperature > 0:
        raise ValueError(f"temperature must be > 0, got {temperature:g}; 0.1 sharpens the teacher's feature")
    goal = (teacher.detach() / temperature).softmax(dim=-1)
    return -(goal * student.log_softmax(dim=-1)).sum(dim=-1).mean()


def cosine_share(step: int, *, steps: int, start: float) -> float:
    """Share that is hidden in a step, counted from 0: half a cosine from ``start`` down to zero after ``steps``.

    Examples
    --------
    >>> [round(cosine_share(step, steps=4, start=0.04), 4) for step in range(5)]
    [0.04, 0.0341, 0.02, 0.0059, 0.0]
    """
    if steps < 1 or step < 0:
        raise ValueError(f"step must be at least 0 and steps at least 1, got {step} and {steps}; count steps from 0")
    return start * 0.5 * (1 + math.cos(math.pi * min(step, steps) / steps))


class Whitening(nn.Module):
    """Frozen instance features: the first principal components of images, each scaled to variance one.

    Parameters
    ----------
    inputs, outputs : int
        Pixels times channels, and components.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(inputs))
        self.register_buffer("turn", torch.zeros(inputs, outputs))
        self.mean: Tensor
        self.turn: Tensor

    @classmethod
    def of(cls, images: Tensor, outputs: int) -> "Whitening":
        """Fit to images, without their labels.

        Parameters
        ----------
        images : float Tensor (n, c, h, w)
        outputs : int
            Components to keep, at most the images' pixels and their number.

        Raises
        ------
        ValueError
            Too many components.
        """
        x = images.flatten(1).double()
        if not 1 <= outputs <= min(x.shape[1], len(x) - 1):
            limit = min(x.shape[1], len(x) - 1)
            raise ValueError(f"outputs must be in 1..{limit} for these images, got {outputs}; 32 suit small pictures")
        found = cls(x.shape[1], outputs).to(images.device)
        mean = x.mean(dim=0)
        values, axes = torch.linalg.eigh((x - mean).T @ (x - mean) / len(x))
        values, axes = values.flip(0)[:outputs].clamp(min=EPS), axes.flip(1)[:, :outputs]
        axes = axes * axes.gather(0, axes.abs().argmax(dim=0, keepdim=True)).sign()  # a sign that no library decides
        found.mean.copy_(mean)
        found.turn.copy_(axes / values.sqrt())
        return found

    def forward(self, images: Tensor) -> Tensor:
        """Float (n, c, h, w) -> features (n, outputs)."""
        return (images.flatten(1) - self.mean) @ self.turn
