"""Tables for feature selection and fairness: a float64 matrix, integer labels, and names for both.

Readers for the scikit-feature matrices (.mat), UCI's comma-separated files, mixed tables (categories become one 0/1
column per value, named ``column=value``) and scikit-learn's bundled sets, and synthetic twins.

Conventions: integer matrices are cast to float64 (differences of unsigned integers wrap around); labels are coded
0..k-1 in the order of ``classes``; a set's caveats stand in data/registry.toml and in ``lib.data.entry(id).caveat``.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lib.data.fetch import file_path
from lib.data.registry import DataError, Entry, expect

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Table:
    """A classification table.

    Attributes
    ----------
    X : ndarray, float64, (n, d)
        Values, in the units of the source.
    y : ndarray, int64, (n,)
        Class codes, an index into ``classes``.
    names : tuple of str
        Names of the d columns.
    classes : tuple of str
        Class names.
    source : str
        What a report says the table is.
    groups : ndarray or None, int64, (n,)
        Rows of one individual (mouse) share a number; split by it. None: rows are independent.
    """

    X: np.ndarray
    y: np.ndarray
    names: tuple[str, ...]
    classes: tuple[str, ...]
    source: str
    groups: np.ndarray | None = None


def table(id: str, *, missing: str = "median") -> Table:
    """Load a table.

    Parameters
    ----------
    id : str
        "colon", "leukemia", "lung-small", "allaml", "prostate-ge", "tox-171", "arcene", "madelon", "isolet", "coil20",
        "basehock", "relathe", "usps", "mice-protein", "spambase", "sonar", "ionosphere", "breast-cancer-original",
        "wine-quality-red", "adult", "german", "compas", "breast-cancer", "wine", "iris", "digits-table", or one of
        these with ``-twin`` (at most 200 rows).
    missing : {"median", "keep"}
        Missing values become the column's median over all rows, or stay NaN. Only "mice-protein" and
        "breast-cancer-original" have any; impute inside the folds where that matters.

    Returns
    -------
    Table

    Raises
    ------
    DataError
        If the set is unknown, of another kind or not to be had, or a file does not fit its entry.
    ValueError
        If ``missing`` is neither word.
    """
    found = expect(id, "table", "lib.data.table")
    if missing not in ("median", "keep"):
        raise ValueError(f"missing must be 'median' or 'keep', got {missing!r}")
    X, y, groups = _read(found)
    if X.shape[1] != len(found.names) or y.min() < 0 or y.max() >= len(found.classes):
        raise DataError(
            f"table {id!r} must have {len(found.names)} columns and {len(found.classes)} classes, got {X.shape[1]} "
            f"columns and codes {y.min()}..{y.max()}; check its entry in data/registry.toml"
        )
    X = X.astype(np.float64)
    if missing == "median" and np.isnan(X).any():
        X = np.where(np.isnan(X), np.nanmedian(X, axis=0), X)
    y = y.astype(np.int64)
    return Table(X=X, y=y, names=found.names, classes=found.classes, source=found.source, groups=groups)


def _read(found: Entry) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Return X, y and groups as the set's own reader gives them."""
    if found.is_twin:
        from lib.data.twins import twin_table

        return twin_table(found)
    reader = found.facts["reader"]
    if reader == "mice":
        return _mice(found)
    if found.bundled:
        return *_bundled(reader), None
    return *{"mat": _mat, "usps": _usps, "csv": _csv, "onehot": _onehot}[reader](found), None


def _path(found: Entry, place: int = 0) -> Path:
    return file_path(found.id, found.files[place].name)


def _codes(labels: np.ndarray) -> np.ndarray:
    return np.unique(labels, return_inverse=True)[1].reshape(-1)


def _mat(found: Entry) -> tuple[np.ndarray, np.ndarray]:
    from scipy.io import loadmat

    content = loadmat(_path(found))
    return content["X"].astype(np.float64), _codes(content["Y"].ravel())


def _usps(found: Entry) -> tuple[np.ndarray, np.ndarray]:
    from scipy.io import loadmat

    content = loadmat(_path(found))
    columns = np.concatenate([content["Train_DAT"], content["Test_DAT"]], axis=1).T
    X = columns.reshape(-1, 16, 16).transpose(0, 2, 1).reshape(-1, 256)  # column-major to row-major pixels
    labels = np.concatenate([content["trainlabels"].ravel(), content["testlabels"].ravel()]).astype(np.int64)
    return X, labels % 10  # the file writes 0 as 10


def _csv(found: Entry) -> tuple[np.ndarray, np.ndarray]:
    import pandas as pd

    frame = pd.read_csv(_path(found), header=0 if found.facts.get("header") else None, na_values="?")
    return frame.iloc[:, :-1].to_numpy(np.float64), _codes(frame.iloc[:, -1].to_numpy())


def _mice(found: Entry) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    import pandas as pd

    frame = pd.read_csv(_path(found))
    mouse = frame["MouseID"].str.rsplit("_", n=1).str[0].to_numpy()
    labels = pd.Categorical(frame["class"], categories=list(found.classes)).codes.astype(np.int64)
    return frame[list(found.names)].to_numpy(np.float64), labels, _codes(mouse).astype(np.int64)


def _onehot(found: Entry) -> tuple[np.ndarray, np.ndarray]:
    import pandas as pd

    fields, target = found.facts["fields"], found.facts["target"]
    header = found.facts.get("header", False)
    parts = []
    for place in range(len(found.files)):
        path = _path(found, place)
        if header:
            parts.append(pd.read_csv(path, usecols=fields)[fields])
        else:
            parts.append(pd.read_csv(path, header=None, names=fields, skipinitialspace=True))
    frame = pd.concat(parts, ignore_index=True)
    labels = frame[target].astype(str).str.strip().str.rstrip(".").to_numpy()
    return encode(frame.drop(columns=target), found.names), _codes(labels)


def encode(frame: pd.DataFrame, names: tuple[str, ...]) -> np.ndarray:
    """Return the columns ``names`` of a mixed table: numbers as they are, ``column=value`` as 0/1.

    Parameters
    ----------
    frame : DataFrame, n rows
        Numeric and text columns.
    names : tuple of str
        Wanted columns in their order.

    Returns
    -------
    ndarray, float64, (n, len(names))

    Raises
    ------
    DataError
        If a text column has a value for which there is no name.
    """
    columns = []
    for name in names:
        column, _, value = name.partition("=")
        values = frame[column].astype(str).str.strip() == value if value else frame[column]
        columns.append(values.to_numpy(np.float64))
    for column in frame.columns.difference([name for name in names if "=" not in name]):
        known = {name.partition("=")[2] for name in names if name.partition("=")[0] == column}
        strange = set(frame[column].astype(str).str.strip()) - known
        if strange:
            raise DataError(f"column {column!r} must hold {sorted(known)}, got {sorted(strange)}; check the file")
    return np.stack(columns, axis=1)


def _bundled(function: str) -> tuple[np.ndarray, np.ndarray]:
    from sklearn import datasets

    bunch = getattr(datasets, function)()
    return bunch.data, bunch.target
