"""Logistic heads on a kernel, by penalty or by training time: many models from one matrix of similarities.

A linear kernel gives ordinary logistic regression. The arc-cosine kernel of Cho & Saul 2009 gives the same head on the
hidden layer of an infinitely wide rectified network whose first layer stays as drawn (Neal 1996). Both are written in
coordinates of the training rows, so that the cost of a model depends on their number and not on that of the features.
Differences from a trained network: the first layer does not move, and all rows are seen in every pass.

Conventions: similarities float64, rows of the training set first; a head answers with logits, above 0 = positive.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor
from torch.nn import functional

KEPT = 1e-9  # share of the largest eigenvalue below which a direction is rounding


def arc_cosine(products: Tensor, squares: Tensor, other_squares: Tensor) -> Tensor:
    """Similarity of rows as a wide layer of rectified units sees them.

    Parameters
    ----------
    products : Tensor (m, n)
        Inner products of m rows with n rows.
    squares, other_squares : Tensor (m,), (n,)
        Squared lengths of the m and of the n rows.

    Returns
    -------
    Tensor (m, n)
        Twice the mean product of two rectified standard normal projections; a row with itself gives its squared length.

    Raises
    ------
    ValueError
        If the lengths do not fit the products.

    Source
    ------
    Cho & Saul 2009, order 1.

    Examples
    --------
    >>> rows = torch.eye(2, dtype=torch.float64)
    >>> arc_cosine(rows @ rows.T, torch.ones(2), torch.ones(2)).diagonal().tolist()
    [1.0, 1.0]
    """
    if products.shape != (len(squares), len(other_squares)):
        shapes = tuple(products.shape), len(squares), len(other_squares)
        raise ValueError(f"products must be (m, n) with m and n squared lengths, got {shapes}; pass one length per row")
    lengths = (squares[:, None] * other_squares).clamp_min(0).sqrt()
    cosine = (products / lengths.clamp_min(1e-300)).clamp(-1, 1)
    angle = torch.arccos(cosine)
    return lengths * (torch.sin(angle) + (math.pi - angle) * cosine) / math.pi


def coordinates(kernel: Tensor, asked: Tensor) -> tuple[Tensor, Tensor]:
    """Rows as points whose inner products are the kernel, centred on the training rows.

    Parameters
    ----------
    kernel : Tensor (n, n)
        Similarities of the training rows.
    asked : Tensor (m, n)
        Similarities of other rows with the training rows.

    Returns
    -------
    two of Tensor, float64 (n, n), (m, n)
        Scaled so that the training rows have a largest variance of 1. Directions without variance are 0.

    Raises
    ------
    ValueError
        If shapes do not fit, or all training rows are alike.
    """
    n = len(kernel)
    if kernel.shape != (n, n) or asked.ndim != 2 or asked.shape[1] != n:
        raise ValueError(f"kernel must be (n, n) and asked (m, n), got {tuple(kernel.shape)} and {tuple(asked.shape)}")
    kernel, asked = kernel.double(), asked.double()
    mean = kernel.mean(0)
    centred = kernel - mean - mean[:, None] + mean.mean()
    others = asked - asked.mean(1, keepdim=True) - mean + mean.mean()
    values, axes = torch.linalg.eigh(centred)
    if float(values[-1]) <= 0:
        raise ValueError("training rows must differ, got a kernel without variance; pass other features")
    known = values > KEPT * values[-1]
    root = torch.where(known, values.clamp_min(1e-300), torch.ones_like(values)).sqrt()
    scale = known / (values[-1] / n).sqrt()
    return axes * root * scale, others @ (axes / root) * scale


def penalised(x: Tensor, y: Tensor, asked: Tensor, *, penalties: Sequence[float]) -> Tensor:
    """Logistic regression for several penalties.

    Parameters
    ----------
    x : Tensor (n, d)
    y : bool Tensor (n,)
        Both classes must occur.
    asked : Tensor (m, d)
    penalties : sequence of float > 0
        On half the squared norm of the coefficients, beside the mean loss; the intercept is free.

    Returns
    -------
    Tensor float64 (penalties, m)
        Logits.

    Raises
    ------
    ValueError
        If a penalty is not positive or a class is missing.
    """
    _check(y)
    if min(penalties) <= 0:
        raise ValueError(f"penalties must be > 0, got {tuple(penalties)}; a small one such as 1e-3 comes near none")
    rows, goal, others = x.double().numpy(), y.numpy(), asked.double().numpy()
    heads = [LogisticRegression(C=1 / (value * len(rows)), tol=1e-4, max_iter=500) for value in penalties]
    return torch.stack([torch.from_numpy(head.fit(rows, goal).decision_function(others)) for head in heads])


def stopped(x: Tensor, y: Tensor, asked: Tensor, *, passes: Sequence[int]) -> Tensor:
    """Logistic regression by gradient descent from zero, asked after some numbers of passes.

    Parameters
    ----------
    x : Tensor (k, n, d)
        k training sets, each with a head of its own; directions of large variance are learnt first.
    y : bool Tensor (n,)
    asked : Tensor (k, m, d)
    passes : sequence of int, >= 1
        Steps over all rows at once, of length 1 over the largest curvature of the loss.

    Returns
    -------
    Tensor float64 (k, passes, m)
        Logits.

    Raises
    ------
    ValueError
        If a number of passes is below 1 or a class is missing.
    """
    _check(y)
    if min(passes) < 1:
        raise ValueError(f"passes must be at least 1, got {tuple(passes)}; a head that was never trained is a constant")
    k, n, d = x.shape
    rows = torch.cat([x.double(), torch.ones(k, n, 1, dtype=torch.float64)], -1)  # the last column is the intercept
    others = torch.cat([asked.double(), torch.ones(k, asked.shape[1], 1, dtype=torch.float64)], -1)
    curvature = torch.linalg.matrix_norm(rows, 2)[:, None, None].square() / (4 * n)
    goal, weights, found = y.double()[:, None], torch.zeros(k, d + 1, 1, dtype=torch.float64), {}
    for step in range(1, max(passes) + 1):
        error = torch.sigmoid(rows @ weights) - goal
        weights = weights - rows.transpose(1, 2) @ error / n / curvature
        if step in passes:
            found[step] = (others @ weights)[..., 0]
    return torch.stack([found[step] for step in passes], dim=1)


def standardised_twins(films: Tensor, others: Tensor) -> tuple[Tensor, Tensor]:
    """Give every feature mean 0 and variance 1 over ``films``, divide by the root of their number, flatten rows.

    Parameters
    ----------
    films, others : Tensor (..., d)

    Returns
    -------
    two of Tensor, float64 (rows, d)
        Inner products of rows are then of order 1, however many features there are; constant features become 0.

    Examples
    --------
    >>> standardised_twins(torch.tensor([[0.0], [2.0]]), torch.tensor([[4.0]]))[1].tolist()
    [[3.0]]
    """
    first, second = films.double().flatten(0, -2), others.double().flatten(0, -2)
    mean, spread = first.mean(0), first.std(0, correction=0)
    factor = (spread > 1e-9) / spread.clamp_min(1e-9) / math.sqrt(films.shape[-1])
    return (first - mean) * factor, (second - mean) * factor


def pooled(films: Tensor, cells: int) -> Tensor:
    """Mean grey values in a grid of cells, each film centred and scaled by its own grey values.

    Parameters
    ----------
    films : Tensor (n, 1, h, w)
    cells : int
        Along a side, at most the film's.

    Returns
    -------
    Tensor (n, cells ** 2)
    """
    small = functional.adaptive_avg_pool2d(films, cells).flatten(1)
    return (small - small.mean(1, keepdim=True)) / small.std(1, keepdim=True).clamp_min(1e-6)


def _check(y: Tensor) -> None:
    if y.dtype != torch.bool or bool(y.all()) or not bool(y.any()):
        raise ValueError(
            f"y must be bool and hold both classes, got {y.dtype} with {int(y.sum())} of {len(y)} positive"
        )
