"""Tables of which it is known what y depends on: the truth that selectors of columns are scored against.

Guyon et al. 2005 (NIPS 2003 challenge, "madelon"): clusters on the corners of a hypercube, linear repeats and probes.
Differences: a repeat is an exact sum of two dimensions, and the classes of the corners are drawn by lot, while with all
corners in use scikit-learn's ``make_classification`` lets them alternate in counting order, so that the last dimension
alone is the class. The others are ours. Causal graphs are in `lib.data.planted_causal`, extra columns beside a given
table in `lib.data.planted_extras`.

Conventions: X float64 (n, d); ``relevant`` are the columns that the law of y uses, ``redundant`` those that depend on y
only together with or because of them, all others are independent of y. Columns are in random order; a name says what a
column is. All chance comes from the generator.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["Planted", "identifiers", "madelon", "second_order", "shuffled_columns", "xor"]


_MOST_DIMENSIONS = 12  # 4,096 corners


@dataclass(frozen=True)
class Planted:
    """A table and the truth about it.

    Attributes
    ----------
    X : ndarray, float64 (n, d)
    y : ndarray, (n,)
        int64 classes, or float64 where the generator says so.
    relevant, redundant : ndarray, int64, ascending
        Column numbers; see the module.
    names : tuple of str
        Of the d columns: "relevant 0", "noise 3" and so on.
    graph : ndarray, bool (d + 1, d + 1), or None
        ``graph[i, j]``: i acts on j; y is the last node.
    """

    X: np.ndarray
    y: np.ndarray
    relevant: np.ndarray
    redundant: np.ndarray
    names: tuple[str, ...]
    graph: np.ndarray | None = None

    def recall(self, columns: np.ndarray) -> float:
        """Share of the relevant columns among those given (numbers or a mask); k of d at random: k / d on average."""
        columns = np.asarray(columns)
        chosen = np.flatnonzero(columns) if columns.dtype == bool else columns
        return float(np.isin(self.relevant, chosen).mean())

    @property
    def parents(self) -> np.ndarray:
        """Columns that act on y; empty without a graph."""
        return np.array([], dtype=np.int64) if self.graph is None else np.flatnonzero(self.graph[:, -1])

    @property
    def children(self) -> np.ndarray:
        """Columns that y acts on; empty without a graph."""
        return np.array([], dtype=np.int64) if self.graph is None else np.flatnonzero(self.graph[-1])


def shuffled_columns(
    X: np.ndarray, y: np.ndarray, kinds: list[str], generator: np.random.Generator, graph: np.ndarray | None = None
) -> Planted:
    """Columns in random order, named by their kind; "relevant" and "redundant" kinds are noted."""
    order = generator.permutation(X.shape[1])
    names = [f"{kind} {kinds[:place].count(kind)}" for place, kind in enumerate(kinds)]
    kind = np.array([one.partition(",")[0] for one in kinds])[order]
    if graph is not None:
        nodes = np.r_[order, X.shape[1]]
        graph = graph[np.ix_(nodes, nodes)]
    relevant, redundant = np.flatnonzero(kind == "relevant"), np.flatnonzero(kind == "redundant")
    of_columns = tuple(names[one] for one in order)
    return Planted(np.ascontiguousarray(X[:, order]), y, relevant, redundant, of_columns, graph)


def _check(**counts: int) -> None:
    for name, (count, least) in {key: (value, 2 if key == "n" else 0) for key, value in counts.items()}.items():
        if count < least:
            raise ValueError(f"{name} must be an int >= {least}, got {count}")


def _chance(flip: float) -> None:
    if not 0 <= flip < 0.5:
        raise ValueError(f"flip must be in [0, 0.5), got {flip}; at 0.5 the classes are noise")


def madelon(
    n: int,
    *,
    n_relevant: int = 5,
    n_redundant: int = 15,
    n_noise: int = 480,
    distance: float = 2.0,
    flip: float = 0.01,
    generator: np.random.Generator,
) -> Planted:
    """Clusters on all corners of a cube, half of them at random in each class, beside sums of dimensions and probes.

    Parameters
    ----------
    n : int, >= 2
        Rows.
    n_relevant : int in 2..12
        Dimensions of the cube: single ones say little or nothing of the class, all together say it.
    n_redundant, n_noise : int, >= 0
        Sums of two dimensions with random signs; standard normal columns.
    distance : float, > 0
        From the centre to a side, in standard deviations of a cluster.
    flip : float in [0, 0.5)
        Chance that a class is turned over.
    generator : numpy.random.Generator

    Returns
    -------
    Planted
        Two classes; every column has variance 1.

    Raises
    ------
    ValueError
        If a count, ``distance`` or ``flip`` is out of range.

    Examples
    --------
    >>> found = madelon(100, n_noise=20, generator=np.random.default_rng(0))
    >>> found.X.shape, found.relevant.size, found.redundant.size
    ((100, 40), 5, 15)
    """
    _check(n=n, n_redundant=n_redundant, n_noise=n_noise)
    _chance(flip)
    if not 2 <= n_relevant <= _MOST_DIMENSIONS or not distance > 0:
        raise ValueError(
            f"n_relevant in 2..{_MOST_DIMENSIONS} and distance > 0 are needed, got {n_relevant} and {distance}; a cube "
            "has 2 ** n_relevant corners"
        )
    of_corner = generator.permutation(np.arange(2**n_relevant) % 2)
    corner = generator.integers(2**n_relevant, size=n)
    bits = (corner[:, None] >> np.arange(n_relevant)) & 1  # (n, n_relevant)
    inside = (distance * (2 * bits - 1) + generator.standard_normal((n, n_relevant))) / np.sqrt(distance**2 + 1)
    pairs = [generator.choice(n_relevant, size=2, replace=False) for _ in range(n_redundant)]
    signs = generator.choice([-1.0, 1.0], size=(n_redundant, 2))
    repeats = [inside[:, pair] @ sign / np.sqrt(2) for pair, sign in zip(pairs, signs, strict=True)]
    X = np.column_stack([inside, *repeats, generator.standard_normal((n, n_noise))])
    y = (of_corner[corner] + (generator.random(n) < flip)) % 2
    kinds = ["relevant"] * n_relevant + ["redundant"] * n_redundant + ["noise"] * n_noise
    return shuffled_columns(X, y.astype(np.int64), kinds, generator)


def xor(n: int, *, order: int = 2, n_noise: int = 18, flip: float = 0.0, generator: np.random.Generator) -> Planted:
    """The class is the parity of the signs of some columns: any fewer of them say nothing.

    Parameters
    ----------
    n : int, >= 2
        Rows.
    order : int, >= 2
        Relevant columns.
    n_noise : int, >= 0
        Others; all columns are standard normal.
    flip : float in [0, 0.5)
        Chance that a class is turned over.
    generator : numpy.random.Generator

    Returns
    -------
    Planted
        Two classes.

    Raises
    ------
    ValueError
        If a count or ``flip`` is out of range.

    Examples
    --------
    >>> found = xor(50, generator=np.random.default_rng(0))
    >>> bool((found.y == (found.X[:, found.relevant] > 0).sum(axis=1) % 2).all())
    True
    """
    _check(n=n, n_noise=n_noise)
    _chance(flip)
    if order < 2:
        raise ValueError(f"order must be an int >= 2, got {order}; a single column is no parity")
    X = generator.standard_normal((n, order + n_noise))
    y = ((X[:, :order] > 0).sum(axis=1) + (generator.random(n) < flip)) % 2
    return shuffled_columns(X, y.astype(np.int64), ["relevant"] * order + ["noise"] * n_noise, generator)


def second_order(
    n: int,
    *,
    n_pairs: int = 2,
    n_squares: int = 1,
    n_noise: int = 15,
    noise: float = 0.5,
    generator: np.random.Generator,
) -> Planted:
    """y is a sum of products and squares of standard normal columns: no column is correlated with it.

    Parameters
    ----------
    n : int, >= 2
        Rows.
    n_pairs, n_squares, n_noise : int, >= 0
        Products of two columns, squares of one, columns in neither; at least one product or square.
    noise : float, >= 0
        Standard deviation of the additive noise, in units of one product's.
    generator : numpy.random.Generator

    Returns
    -------
    Planted
        y is float64 with mean 0; every term has variance 1.

    Raises
    ------
    ValueError
        If a count or ``noise`` is out of range.

    Examples
    --------
    >>> second_order(10, n_pairs=1, n_squares=0, n_noise=2, generator=np.random.default_rng(0)).relevant.size
    2
    """
    _check(n=n, n_pairs=n_pairs, n_squares=n_squares, n_noise=n_noise)
    if n_pairs + n_squares < 1 or noise < 0:
        raise ValueError(f"one pair or square and noise >= 0 are needed, got {n_pairs}, {n_squares} and noise={noise}")
    used = 2 * n_pairs + n_squares
    X = generator.standard_normal((n, used + n_noise))
    products = X[:, : 2 * n_pairs : 2] * X[:, 1 : 2 * n_pairs : 2]
    squares = (X[:, 2 * n_pairs : used] ** 2 - 1) / np.sqrt(2)
    y = products.sum(axis=1) + squares.sum(axis=1) + noise * generator.standard_normal(n)
    return shuffled_columns(X, y, ["relevant"] * used + ["noise"] * n_noise, generator)


def identifiers(
    n: int,
    *,
    n_relevant: int = 3,
    agreement: float = 0.65,
    n_identifiers: int = 2,
    cardinalities: tuple[int, ...] = (10, 100, 1000),
    generator: np.random.Generator,
) -> Planted:
    """Weak binary signals beside row identifiers and noise of high cardinality, all as category codes.

    Parameters
    ----------
    n : int, >= 2
        Rows.
    n_relevant : int, >= 0
        Binary columns, independent given y.
    agreement : float in (0.5, 1]
        Chance that a relevant column equals y.
    n_identifiers : int, >= 0
        Columns in which every row has its own value.
    cardinalities : tuple of int, >= 2
        One noise column each, uniform over that many values.
    generator : numpy.random.Generator

    Returns
    -------
    Planted
        Two classes.

    Raises
    ------
    ValueError
        If a count, cardinality or ``agreement`` is out of range.

    Examples
    --------
    >>> found = identifiers(20, n_identifiers=1, cardinalities=(4,), generator=np.random.default_rng(0))
    >>> sorted(found.names)
    ['identifier 0', 'noise of 4 0', 'relevant 0', 'relevant 1', 'relevant 2']
    """
    _check(n=n, n_relevant=n_relevant, n_identifiers=n_identifiers)
    if not 0.5 < agreement <= 1 or min(cardinalities, default=2) < 2:
        raise ValueError(f"agreement in (0.5, 1] and cardinalities >= 2 are needed, got {agreement}, {cardinalities}")
    y = generator.integers(2, size=n)
    signals = [np.where(generator.random(n) < agreement, y, 1 - y) for _ in range(n_relevant)]
    unique = [generator.permutation(n) for _ in range(n_identifiers)]
    many = [generator.integers(size, size=n) for size in cardinalities]
    kinds = ["relevant"] * n_relevant + ["identifier"] * n_identifiers + [f"noise of {size}" for size in cardinalities]
    X = np.stack([*signals, *unique, *many], axis=1).astype(np.float64)
    return shuffled_columns(X, y.astype(np.int64), kinds, generator)
