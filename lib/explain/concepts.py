"""Concepts as a dictionary: a layer's activations written with a few directions, and what follows as their function.

Fel et al. 2023 (arXiv:2306.07304): extracting concepts is dictionary learning. Activations A (n, d) are nearly U V with
coefficients U (n, k) and concepts V (k, d); k-means allows one concept per row, principal components are orthogonal,
non-negative factorisation (Lee & Seung 1999) lets neither factor be negative. The importance of a concept is then an
attribution whose features are the coefficients.

Differences: scikit-learn fits. New activations get their coefficients with the dictionary held fixed, and exactly, so
they do not depend on the activations beside them. Concepts of the factorisation have length 1. One dictionary may serve
all classes.

Conventions: activations float32 (n, d), one row per image; coefficients float32 (n, k). A row of coefficients is a
table for `lib.explain.features`: an image (1, 1, k) whose columns are the concepts; 0 = the concept is absent.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch
from scipy.optimize import nnls
from sklearn.cluster import KMeans
from sklearn.decomposition import NMF, PCA
from torch import Tensor, nn

Kind = Literal["nmf", "kmeans", "pca"]
STARTS = 4  # first centres of k-means, of which the best is kept


@dataclass(frozen=True)
class Dictionary:
    """Concepts that stay as they are.

    Parameters
    ----------
    kind : {"nmf", "kmeans", "pca"}
        Decides how `encode` finds coefficients.
    atoms : Tensor, float32 (k, d)
        One concept per row: a direction of length 1 or, for k-means, a centre.
    offset : Tensor, float32 (d,)
        What stands where all concepts are absent; 0 except for principal components.
    """

    kind: Kind
    atoms: Tensor
    offset: Tensor

    def encode(self, activations: Tensor) -> Tensor:
        """Coefficients (n, k) of activations (n, d).

        Non-negative least squares for "nmf", 1 for the nearest centre for "kmeans", projections for "pca".

        Raises
        ------
        ValueError
            If the activations have another number of columns.
        """
        _check(activations, width=self.atoms.shape[1])
        if self.kind == "kmeans":
            nearest = torch.cdist(activations.double(), self.atoms.double()).argmin(1)
            return nn.functional.one_hot(nearest, len(self.atoms)).to(activations)
        if self.kind == "pca":
            return (activations - self.offset) @ self.atoms.T
        # the same problem in k rows instead of d: what lies outside the span of the atoms has no say
        basis, small = np.linalg.qr(self.atoms.double().cpu().numpy().T)  # (d, k), (k, k)
        rows = activations.double().cpu().numpy() @ basis
        return torch.from_numpy(np.stack([nnls(small, row)[0] for row in rows])).to(activations)

    def decode(self, coefficients: Tensor) -> Tensor:
        """Activations (n, d) that coefficients (n, k) stand for.

        Examples
        --------
        >>> Dictionary("nmf", torch.eye(2), torch.zeros(2)).decode(torch.tensor([[3.0, 4.0]]))
        tensor([[3., 4.]])
        """
        return coefficients @ self.atoms + self.offset


def learn(activations: Tensor, *, kind: Kind, n_concepts: int, seed: int, max_iter: int = 500) -> Dictionary:
    """Fit a dictionary.

    Parameters
    ----------
    activations : Tensor, float32 (n, d)
        Non-negative for kind="nmf", as after a ReLU.
    kind : {"nmf", "kmeans", "pca"}
    n_concepts : int
        At most n and, except for k-means, d.
    seed : int
        First values of the fit; principal components need none.
    max_iter : int
        Largest number of steps; scikit-learn warns where the factorisation has not settled by then.

    Returns
    -------
    Dictionary
        On the device of the activations.

    Raises
    ------
    ValueError
        If an argument is out of range or activations for "nmf" are negative.

    Source
    ------
    arXiv:2306.07304, its dictionary-learning view; scikit-learn's NMF (coordinate descent), KMeans and PCA.
    """
    _check(activations, width=activations.shape[-1])
    if kind not in get_args(Kind):
        raise ValueError(f"kind must be one of {get_args(Kind)}, got {kind!r}")
    most = len(activations) if kind == "kmeans" else min(activations.shape)
    if not 1 <= n_concepts <= most:
        raise ValueError(
            f"n_concepts must be between 1 and {most} for kind={kind!r} and activations "
            f"{tuple(activations.shape)}, got {n_concepts}; give more rows or ask for fewer"
        )
    if kind == "nmf" and activations.min() < 0:
        raise ValueError(
            f"activations must not be negative for kind='nmf', got {float(activations.min()):.3g}; "
            "take them after a ReLU"
        )
    rows = activations.double().cpu().numpy()
    offset = np.zeros(rows.shape[1])
    if kind == "nmf":
        atoms = NMF(n_concepts, random_state=seed, max_iter=max_iter).fit(rows).components_
        atoms = atoms / np.maximum(np.linalg.norm(atoms, axis=1, keepdims=True), np.finfo(float).tiny)
    elif kind == "kmeans":
        atoms = KMeans(n_concepts, n_init=STARTS, random_state=seed, max_iter=max_iter).fit(rows).cluster_centers_
    else:
        fitted = PCA(n_concepts, svd_solver="full").fit(rows)
        atoms, offset = fitted.components_, fitted.mean_
    return Dictionary(kind, torch.from_numpy(atoms).to(activations), torch.from_numpy(offset).to(activations))


class ConceptHead(nn.Module):
    """What follows a layer, asked about concepts: tables of coefficients (m, 1, 1, k) to logits (m, classes).

    Parameters
    ----------
    dictionary : Dictionary
    head : nn.Module
        Activations (m, d) to logits (m, classes).

    Examples
    --------
    >>> head = ConceptHead(Dictionary("nmf", torch.eye(2), torch.zeros(2)), nn.Identity())
    >>> head(torch.tensor([[[[3.0, 4.0]]]]))
    tensor([[3., 4.]])
    """

    def __init__(self, dictionary: Dictionary, head: nn.Module) -> None:
        super().__init__()
        self.dictionary = dictionary
        self.head = head

    def forward(self, tables: Tensor) -> Tensor:
        """Float (m, 1, 1, k) to logits (m, classes)."""
        return self.head(self.dictionary.decode(tables.flatten(1)))


def _check(activations: Tensor, *, width: int) -> None:
    if activations.ndim != 2 or activations.shape[1] != width or not activations.is_floating_point():
        raise ValueError(
            f"activations must be float (n, {width}), got {activations.dtype} {tuple(activations.shape)}; "
            "flatten what belongs to one image"
        )
