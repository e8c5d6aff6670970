"""Two variants of the sparse autoencoder: one that loses its weights to a shared array, and a dense one.

Both stand beside `lib.models.sparse_autoencoder` for comparisons with QuickSelection (arXiv:2012.00560).

``overwritten``: the authors' code (v. 2023) asks SciPy for the places of the weights, ``coo_matrix(w)``, and writes the
gradient into the values of what it gets. Where SciPy hands out a view instead of a copy, the gradient lands in the
weights themselves: in the decoder before the error is sent back through it, in the encoder before the step. A step
then starts from the gradient, and nothing but momentum and biases is remembered. Where SciPy makes a copy, the same
code trains as the paper says.

``dense``: all connections between neighbouring layers, same initial spread, same steps, dense products.

Conventions: as `lib.models.sparse_layer`; with the same generator ``sparse`` and ``overwritten`` start from the same
weights.
"""

from __future__ import annotations

from typing import Self

import numpy as np

from lib.models.sparse_autoencoder import SparseAutoencoder
from lib.models.sparse_layer import SparseLayer

__all__ = ["VARIANTS", "DenseLayer", "OverwrittenLayer", "autoencoder"]

VARIANTS = ("sparse", "overwritten", "dense")


class OverwrittenLayer(SparseLayer):
    """A sparse layer whose gradient is written into its weights, as through an array that both share."""

    @classmethod
    def of(cls, layer: SparseLayer) -> Self:
        """The same layer, with the defect; arrays are shared with the original."""
        made = cls.__new__(cls)
        vars(made).update(vars(layer))
        return made

    def weight_gradient(self, delta: np.ndarray, x: np.ndarray) -> np.ndarray:
        """delta x' at the places of the weights, shape (k,); afterwards the weights hold the same values."""
        slope = super().weight_gradient(delta, x)
        self.weights[:] = slope
        return slope


class DenseLayer(SparseLayer):
    """A sparse layer that has all its connections, with dense products.

    Parameters
    ----------
    n_in, n_out : int >= 1
        Units before and after.
    generator : numpy.random.Generator
        Values, as in :class:`lib.models.sparse_layer.SparseLayer`.
    dtype : {"float32", "float64"}
    """

    def __init__(self, n_in: int, n_out: int, *, generator: np.random.Generator, dtype: str = "float32") -> None:
        super().__init__(n_in, n_out, epsilon=max(1, n_in * n_out), generator=generator, dtype=dtype)

    def _full(self) -> np.ndarray:
        return self.weights.reshape(self.n_out, self.n_in)  # a view: the cells are all there, in order

    def forward(self, x: np.ndarray) -> np.ndarray:
        """W x + b, (n_in, cases) to (n_out, cases)."""
        return self._full() @ x + self.bias[:, None]

    def backward(self, delta: np.ndarray) -> np.ndarray:
        """W' delta, (n_out, cases) to (n_in, cases)."""
        return self._full().T @ delta

    def weight_gradient(self, delta: np.ndarray, x: np.ndarray) -> np.ndarray:
        """delta x' of all weights, shape (n_out * n_in,): a new array."""
        return (delta @ x.T).ravel()


def autoencoder(
    n_inputs: int, *, variant: str = "sparse", hidden: int = 1000, epsilon: float = 13.0, output: str = "linear",
    dropout: float = 0.2, generator: np.random.Generator,
) -> SparseAutoencoder:  # fmt: skip
    """An autoencoder of one of the three kinds.

    Parameters
    ----------
    n_inputs : int >= 1
        Columns of the table, d.
    variant : {"sparse", "overwritten", "dense"}
        See the module.
    hidden, epsilon, output, dropout
        See :class:`lib.models.sparse_autoencoder.SparseAutoencoder`; "dense" pays no heed to epsilon.
    generator : numpy.random.Generator

    Returns
    -------
    SparseAutoencoder

    Raises
    ------
    ValueError
        If the variant is unknown, or as the class.

    Examples
    --------
    >>> [autoencoder(8, variant=kind, hidden=5, epsilon=1, generator=np.random.default_rng(0)).n_weights
    ...  for kind in VARIANTS]
    [26, 26, 80]
    """
    if variant not in VARIANTS:
        raise ValueError(f"variant must be one of {VARIANTS}, got {variant!r}; 'sparse' is the one that works")
    network = SparseAutoencoder(
        n_inputs, hidden=hidden, epsilon=epsilon, output=output, dropout=dropout, generator=generator
    )
    if variant == "overwritten":
        network.encoder = OverwrittenLayer.of(network.encoder)
        network.decoder = OverwrittenLayer.of(network.decoder)
    if variant == "dense":
        network.encoder = DenseLayer(n_inputs, hidden, generator=generator)
        network.decoder = DenseLayer(hidden, n_inputs, generator=generator)
    return network
