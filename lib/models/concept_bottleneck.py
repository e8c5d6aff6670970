"""A linear concept bottleneck: features give concepts, and concepts alone give the label.

Koh et al. 2020, Concept Bottleneck Models (arXiv:2007.04612), section 3: the head can be trained on the true concepts
(independent), on the predicted ones (sequential), or together with them (joint), and at test time a reader may put true
concepts in the place of predicted ones. Random directions of the same number are the control. Differences: both halves
are linear, so that the direct model is a logistic model on the same features; hard concepts are 0 or 1 on either side
of a cut, and are trained sequentially or independently.

Conventions: features float64 (n, d), best with mean 0 and deviation 1; concepts float64 (n, k) in deviations; labels
0/1 (n,). A penalty is half the squared norm of the coefficients times a factor, added to the mean loss; intercepts are
not penalised. Nothing is drawn at random but the control's directions, yet sums of matrix products depend on where the
memory lies: a second fit gives the same coefficients to about 1e-8, not to the bit.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from scipy.optimize import minimize
from torch import Tensor
from torch.nn import functional

__all__ = ["TRAININGS", "ConceptBottleneck", "Linear", "concept_map", "label_head", "random_concepts"]

TRAININGS = ("independent", "sequential", "joint")
STEPS, NEWTON = 100, 50  # of L-BFGS in joint training, and of a head, at most


@dataclass(frozen=True)
class Linear:
    """An affine map: ``weight`` float64 (d, k) and ``bias`` float64 (k,); calling it maps (n, d) to (n, k)."""

    weight: Tensor
    bias: Tensor

    def __call__(self, rows: Tensor) -> Tensor:
        """Raises ValueError if the rows are not (n, d)."""
        if rows.ndim != 2 or rows.shape[1] != len(self.weight):
            raise ValueError(f"rows must be (n, {len(self.weight)}), got {tuple(rows.shape)}; use the fitted columns")
        return rows.to(self.weight) @ self.weight + self.bias


def concept_map(features: Tensor, concepts: Tensor, *, penalty: float) -> Linear:
    """Ridge regression of every concept on the features.

    Parameters
    ----------
    features, concepts : Tensor (n, d), (n, k)
    penalty : float, >= 0
        See the conventions; the loss is half the mean squared error.

    Returns
    -------
    Linear
        From features to concepts.

    Raises
    ------
    ValueError
        If the rows differ in number, or the penalty is negative.

    Examples
    --------
    >>> x = torch.tensor([[-1.0], [0.0], [1.0]])
    >>> concept_map(x, 2 * x + 1, penalty=0.0)(x).round(decimals=6).flatten().tolist()
    [-1.0, 1.0, 3.0]
    """
    x, goal = _pair(features, concepts, penalty)
    centre, middle = x.mean(0), goal.mean(0)
    gram = (x - centre).T @ (x - centre) / len(x)
    goal_sum = (x - centre).T @ (goal - middle) / len(x)
    if penalty > 0:
        weight = torch.linalg.solve(gram + penalty * torch.eye(len(gram)).to(gram), goal_sum)
    else:  # the features may be dependent
        weight = torch.linalg.lstsq(gram.cpu(), goal_sum.cpu(), driver="gelsd").solution.to(gram)
    weight = weight.contiguous()
    return Linear(weight, middle - centre @ weight)


def label_head(concepts: Tensor, labels: Tensor, *, penalty: float) -> Linear:
    """Logistic model of the label; on features instead of concepts it is the direct model.

    Parameters
    ----------
    concepts : Tensor (n, k)
    labels : Tensor (n,)
        0 and 1.
    penalty : float, > 0
        Without one the coefficients of a separable label would grow for ever.

    Returns
    -------
    Linear
        From concepts to the logit (n, 1).

    Raises
    ------
    ValueError
        If labels are not (n,) of 0 and 1, or the penalty is not positive.
    """
    x, goal = _labelled(concepts, labels, penalty)
    rows = torch.cat([x, x.new_ones(len(x), 1)], dim=1)  # (n, k + 1), the intercept last
    ridge = torch.full((rows.shape[1],), float(penalty)).to(x)
    ridge[-1] = 0
    found = x.new_zeros(rows.shape[1])
    value = _logistic_loss(rows, goal, ridge, found)
    for _ in range(NEWTON):
        probability = torch.sigmoid(rows @ found)
        slope = rows.T @ (probability - goal) / len(x) + ridge * found
        if float(slope.abs().max()) < 1e-10:
            break
        curvature = (rows * (probability * (1 - probability))[:, None]).T @ rows / len(x) + torch.diag(ridge + 1e-12)
        step = torch.linalg.solve(curvature, slope)
        while (tried := _logistic_loss(rows, goal, ridge, found - step)) > value + 1e-14:
            step = step / 2
        found, value = found - step, tried
    return Linear(found[:-1, None].clone(), found[-1:].clone())


def random_concepts(features: Tensor, k: int, *, generator: torch.Generator) -> Linear:
    """The control: k random directions of the features, each with mean 0 and deviation 1 over the rows.

    Parameters
    ----------
    features : Tensor (n, d)
    k : int
        As many as the concepts that are compared with.
    generator : torch.Generator

    Returns
    -------
    Linear
        From features to random concepts.

    Raises
    ------
    ValueError
        If k is not positive, or the features do not vary.
    """
    if k < 1:
        raise ValueError(f"k must be at least 1, got {k}; pass the number of concepts")
    x = features.double()
    weight = torch.randn(x.shape[1], k, generator=generator, dtype=torch.float64).to(x.device)
    spread = (x @ weight).std(0, correction=0)
    if not bool((spread > 0).all()):
        raise ValueError(f"features must vary over the {len(x)} rows; pass other rows")
    weight = weight / spread
    return Linear(weight, -x.mean(0) @ weight)


class ConceptBottleneck:
    """Features -> concepts -> label.

    Parameters
    ----------
    training : {"independent", "sequential", "joint"}
        Whether the head sees true concepts, predicted ones, or is trained together with the map.
    form : {"soft", "hard"}
        What the head reads: the concept itself, or whether it lies above its cut.
    penalty, head_penalty : float
        Of the map from features to concepts, and of the head.
    weight : float
        Of the concepts' loss in joint training; 0 = a direct model of rank k, large = sequential.
    concepts : Linear, optional
        A map learnt on other patients, or a random one; it is kept as it is, and training is then sequential.

    Attributes
    ----------
    map_, head_ : Linear
        After `fit`: features to concepts, concepts to logit.
    cuts_ : Tensor (k,)
        Mean of every concept in training.

    Raises
    ------
    ValueError
        For an unknown training or form, or a joint training that is hard or has its map given.

    Source
    ------
    Koh et al. 2020, section 3. Joint training starts from the sequential solution.
    """

    def __init__(
        self,
        *,
        training: str = "sequential",
        form: str = "soft",
        penalty: float = 0.1,
        head_penalty: float = 1e-3,
        weight: float = 1.0,
        concepts: Linear | None = None,
    ) -> None:
        if training not in TRAININGS or form not in ("soft", "hard"):
            raise ValueError(f"training must be one of {TRAININGS} and form soft or hard, got {training!r}, {form!r}")
        if training == "joint" and (form == "hard" or concepts is not None):
            raise ValueError("training must not be 'joint' with hard or given concepts, which have no gradient; "
                             "use 'sequential'")  # fmt: skip
        self.training, self.form, self.penalty, self.head_penalty = training, form, penalty, head_penalty
        self.weight, self.given = weight, concepts

    def fit(self, features: Tensor, concepts: Tensor, labels: Tensor) -> ConceptBottleneck:
        """Train on features (n, d), concepts (n, k) and labels (n,) of 0 and 1.

        Raises
        ------
        ValueError
            If the shapes do not fit, or labels are not 0 and 1.
        """
        x, truth = _pair(features, concepts, self.penalty)
        self.map_ = self.given or concept_map(x, truth, penalty=self.penalty)
        if self.map_(x).shape[1] != truth.shape[1]:
            raise ValueError(f"concepts must be (n, {self.map_(x).shape[1]}), as the given map, got {truth.shape[1]}")
        self.cuts_ = truth.mean(0)
        read = truth if self.training == "independent" else self.map_(x)
        self.head_ = label_head(self._formed(read), labels, penalty=self.head_penalty)
        if self.training == "joint":
            self._fit_joint(x, truth, labels.to(x))
        return self

    def concepts(self, features: Tensor) -> Tensor:
        """What the head reads: soft concepts float64 (n, k), or 0 and 1 if they are hard."""
        return self._formed(self.map_(features))

    def predict(self, features: Tensor) -> Tensor:
        """Probability of the label: float64 (n,) in [0, 1]."""
        return torch.sigmoid(self.head_(self.concepts(features))[:, 0])

    def intervene(self, features: Tensor, truth: Tensor, *, which: tuple[int, ...] | None = None) -> Tensor:
        """Probability of the label with true concepts in the place of predicted ones.

        Parameters
        ----------
        features, truth : Tensor (n, d), (n, k)
            Truth in the units of the training concepts.
        which : tuple of int, optional
            Concepts that are replaced; all by default, () = none.

        Returns
        -------
        Tensor
            float64 (n,) in [0, 1].

        Raises
        ------
        ValueError
            If truth has another shape than the concepts, or ``which`` names one that does not exist.
        """
        read, corrected = self.concepts(features).clone(), truth.to(self.cuts_)
        if corrected.shape != read.shape:
            raise ValueError(f"truth must be {tuple(read.shape)}, got {tuple(corrected.shape)}; one row per film")
        chosen = list(range(read.shape[1]) if which is None else which)
        if any(not 0 <= place < read.shape[1] for place in chosen):
            raise ValueError(f"which must hold numbers of concepts, 0 to {read.shape[1] - 1}, got {which}")
        read[:, chosen] = self._formed(corrected)[:, chosen]
        return torch.sigmoid(self.head_(read)[:, 0])

    def _formed(self, concepts: Tensor) -> Tensor:
        return concepts if self.form == "soft" else (concepts > self.cuts_).double()

    def _fit_joint(self, x: Tensor, truth: Tensor, goal: Tensor) -> None:
        """Both halves at once: label loss + weight * half the mean squared error of the concepts + both penalties."""

        def loss(weight: Tensor, bias: Tensor, head: Tensor, level: Tensor) -> Tensor:
            read = x @ weight + bias
            missed = functional.binary_cross_entropy_with_logits((read @ head + level)[:, 0], goal)
            apart = 0.5 * (read - truth).square().sum(1).mean() + 0.5 * self.penalty * weight.square().sum()
            return missed + self.weight * apart + 0.5 * self.head_penalty * head.square().sum()

        first = [self.map_.weight, self.map_.bias, self.head_.weight, self.head_.bias]
        weight, bias, head, level = _minimise(loss, first)
        self.map_, self.head_ = Linear(weight, bias), Linear(head, level)


def _logistic_loss(rows: Tensor, goal: Tensor, ridge: Tensor, found: Tensor) -> float:
    missed = functional.binary_cross_entropy_with_logits(rows @ found, goal)
    return float(missed + 0.5 * (ridge * found.square()).sum())


def _minimise(loss: Callable[..., Tensor], start: list[Tensor]) -> list[Tensor]:
    """Where L-BFGS ends from ``start``; the loss takes the tensors of the list."""
    sizes = [part.numel() for part in start]

    def parts(flat: np.ndarray) -> list[Tensor]:
        pieces = torch.tensor(flat).to(start[0]).split(sizes)
        return [piece.view_as(part).requires_grad_() for piece, part in zip(pieces, start, strict=True)]

    def value_and_slope(flat: np.ndarray) -> tuple[float, np.ndarray]:
        held = parts(flat)
        value = loss(*held)
        slopes = torch.autograd.grad(value, held)
        return float(value.detach()), torch.cat([slope.flatten() for slope in slopes]).cpu().numpy()

    first = torch.cat([part.flatten() for part in start]).cpu().numpy()
    options = {"maxiter": STEPS, "maxcor": 20}
    best = minimize(value_and_slope, first, jac=True, method="L-BFGS-B", options=options).x
    return [part.detach() for part in parts(best)]


def _pair(features: Tensor, concepts: Tensor, penalty: float) -> tuple[Tensor, Tensor]:
    if features.ndim != 2 or concepts.ndim != 2 or len(features) != len(concepts) or not len(features):
        raise ValueError(
            f"features and concepts must be (n, d) and (n, k), got {tuple(features.shape)}, {tuple(concepts.shape)}; "
            "give one row per film"
        )
    if penalty < 0:
        raise ValueError(f"penalty must be >= 0, got {penalty}; 0 = none")
    return features.double(), concepts.double()


def _labelled(concepts: Tensor, labels: Tensor, penalty: float) -> tuple[Tensor, Tensor]:
    if concepts.ndim != 2 or labels.shape != concepts.shape[:1] or not bool(((labels == 0) | (labels == 1)).all()):
        raise ValueError(
            f"labels must be (n,) of 0 and 1 for concepts (n, k), got {tuple(labels.shape)} for "
            f"{tuple(concepts.shape)}; give one label per row"
        )
    if not penalty > 0:
        raise ValueError(f"penalty must be > 0, got {penalty}; a small one such as 0.001 will do")
    return concepts.double(), labels.double()
