"""A black box for tables with thousands of columns: one hidden layer, trained and probed quickly.

Karim et al. 2022 (arXiv:2208.13405) train a network on all columns and probe it by perturbing one column after another.
With d columns that asks the network d times; since only the first layer sees the columns, the effect of one changed
column on the hidden sums is a multiple of that column's weights, and everything else stays.

Differences: the paper's box is a convolutional autoencoder with a classifier; ours is scikit-learn's multi-layer
perceptron with one hidden layer. Columns are standardised by the training rows.

Conventions: two classes; the answer is the probability of class 1, float64.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier

__all__ = ["NetworkBox", "train_box"]

BATCH = 32  # rows of one step


@dataclass(frozen=True)
class NetworkBox:
    """A fitted network.

    Attributes
    ----------
    centre, scale : ndarray, float64 (d,)
        Of the training rows.
    weights, bias : ndarray, float64 (d, h) and (h,)
        First layer, for standardised columns.
    out, out_bias : ndarray, float64 (h,), and float
        From the hidden units, which are rectified, to the log-odds.
    """

    centre: np.ndarray
    scale: np.ndarray
    weights: np.ndarray
    bias: np.ndarray
    out: np.ndarray
    out_bias: float

    def answer(self, X: np.ndarray) -> np.ndarray:
        """Probability of class 1 for rows X (n, d), float64 (n,)."""
        return self._from_sums((np.asarray(X) - self.centre) / self.scale @ self.weights + self.bias)

    def _from_sums(self, sums: np.ndarray) -> np.ndarray:
        log_odds = np.maximum(sums, 0) @ self.out + self.out_bias
        return np.asarray(0.5 * (1 + np.tanh(log_odds / 2)))

    def column_change(self, X: np.ndarray, *, generator: np.random.Generator) -> np.ndarray:
        """Mean size of the change of the answers when one column changes rows, as `lib.measure.rules.answer_change`.

        Parameters
        ----------
        X : ndarray of shape (n, d)
        generator : numpy.random.Generator
            Source of one order of rows, which serves all columns.

        Returns
        -------
        ndarray of shape (d,), float64, in [0, 1]
            The same numbers up to rounding, in time n d h instead of n d d h.
        """
        order = generator.permutation(len(X))
        rows = (np.asarray(X, dtype=np.float64) - self.centre) / self.scale
        sums = rows @ self.weights + self.bias  # (n, h)
        before, shift = self._from_sums(sums), (rows[order] - rows).T  # (d, n)
        found = np.zeros(rows.shape[1])
        for column in np.flatnonzero(shift.any(axis=1)):
            after = self._from_sums(sums + shift[column][:, None] * self.weights[column])
            found[column] = np.abs(after - before).mean()
        return found


def train_box(
    X: np.ndarray, y: np.ndarray, *, n_hidden: int = 32, n_epochs: int = 40, decay: float = 1.0, seed: int
) -> NetworkBox:
    """Fit the network with Adam for a fixed number of epochs.

    Parameters
    ----------
    X : ndarray of shape (n, d), finite
    y : ndarray of shape (n,), 0 or 1
    n_hidden : int, >= 1
    n_epochs : int, >= 1
    decay : float, >= 0
        Squared-weight penalty, scikit-learn's ``alpha``.
    seed : int
        First weights and order of rows.

    Returns
    -------
    NetworkBox

    Raises
    ------
    ValueError
        If the classes are not 0 and 1, both present.

    Source
    ------
    Kingma and Ba 2015, arXiv:1412.6980; sklearn.neural_network.MLPClassifier.

    Examples
    --------
    >>> rows = np.random.default_rng(0).normal(size=(200, 5))
    >>> box = train_box(rows, (rows[:, 1] > 0).astype(int), seed=0)
    >>> int(box.column_change(rows, generator=np.random.default_rng(0)).argmax())
    1
    """
    if not np.array_equal(np.unique(y), [0, 1]):
        raise ValueError(f"y must hold the classes 0 and 1, got {np.unique(y)[:5].tolist()}; see lib.data.two_classes")
    centre, scale = X.mean(axis=0), X.std(axis=0)
    scale = np.where(scale > 0, scale, 1.0)
    model = MLPClassifier(
        (n_hidden,), alpha=decay, batch_size=min(BATCH, len(y)), max_iter=n_epochs, n_iter_no_change=n_epochs, tol=0.0,
        random_state=seed,
    )  # fmt: skip
    with warnings.catch_warnings(action="ignore", category=ConvergenceWarning):  # the number of epochs is fixed
        model.fit((X - centre) / scale, y)
    first, last = model.coefs_
    return NetworkBox(centre, scale, first, model.intercepts_[0], last[:, 0], float(model.intercepts_[1][0]))
