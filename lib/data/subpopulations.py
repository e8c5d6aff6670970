"""Four ways in which training patients can differ from those met later, as joint counts of group and label.

Yang et al. 2023 (arXiv:2302.12254) sort subpopulation shifts into four kinds. *Spurious correlation*: an attribute goes
with the label in training only. *Attribute imbalance*: one attribute is rare. *Class imbalance*: one label is rare.
*Attribute generalisation*: an attribute does not occur at all. Difference: archives mix the four; here each is made
alone, from patients of `lib.data.thorax`, with one share for the rarest cell of all four.

Conventions: the attribute is the acquisition group A, B, C and stands for nothing else; the label is the pneumothorax;
a *cell* is one attribute with one label, coded 0 .. 5 in the order of `CELLS`. Later patients fill all cells equally.
Tables of shares or counts have the attributes in rows and the labels in columns.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from pandas import DataFrame

from lib.data import thorax

__all__ = ["ATTRIBUTES", "CELLS", "LABELS", "NONE", "SHIFTS", "counts", "enough", "rows_of", "sample_cells", "shares"]

ATTRIBUTES = tuple(thorax.GROUPS)
LABELS = ("healthy", "sick")
CELLS = tuple(f"{attribute} {label}" for attribute in ATTRIBUTES for label in LABELS)
NONE = "no shift"
SHIFTS = ("spurious correlation", "attribute imbalance", "class imbalance", "attribute generalisation")


def shares(shift: str, *, rare: float) -> DataFrame:
    """Share of the training patients in every cell.

    Parameters
    ----------
    shift : str
        One of SHIFTS, or NONE.
    rare : float
        Share of each of the rarest cells that are not empty, in (0, 1 / 6]; at 1 / 6 the first three shifts vanish.

    Returns
    -------
    DataFrame, float (3, 2)
        Sums to 1. No shift: all alike. Spurious correlation: A is rarely sick, C rarely healthy, B is even. Attribute
        imbalance: C is rare. Class imbalance: the sick are rare. Attribute generalisation: C is absent; B is rare, so
        that balancing what is seen has something to do.

    Raises
    ------
    ValueError
        For an unknown shift or a share out of range.

    Examples
    --------
    >>> shares("class imbalance", rare=0.05)["sick"].sum().round(2)
    np.float64(0.15)
    """
    if not 0 < rare <= 1 / 6:
        raise ValueError(f"rare must be in (0, 1/6], got {rare}; it is the share of one of six cells")
    even, rest = 1 / 6, 1 / 3 - rare
    cells = {
        NONE: [even, even, even, even, even, even],
        SHIFTS[0]: [rest, rare, even, even, rare, rest],
        SHIFTS[1]: [(0.5 - rare) / 2] * 4 + [rare, rare],
        SHIFTS[2]: [rest, rare] * 3,
        SHIFTS[3]: [0.5 - rare, 0.5 - rare, rare, rare, 0.0, 0.0],
    }
    if shift not in cells:
        raise ValueError(f"shift must be one of {', '.join(cells)}, got {shift!r}; see SHIFTS")
    return _table(np.array(cells[shift]))


def counts(shift: str, n: int, *, rare: float) -> DataFrame:
    """Whole patients in every cell, ``n`` together, as near to the shares as can be.

    Parameters
    ----------
    shift, rare
        As in `shares`.
    n : int
        Training patients.

    Returns
    -------
    DataFrame, int64 (3, 2)
        Largest remainders are rounded up.

    Raises
    ------
    ValueError
        As `shares`; if a cell that has a share gets nobody.

    Examples
    --------
    >>> counts("attribute generalisation", 100, rare=0.05).to_numpy().tolist()
    [[45, 45], [5, 5], [0, 0]]
    """
    wanted = shares(shift, rare=rare).to_numpy().ravel()
    exact = (n * wanted).round(9)
    whole = np.floor(exact).astype(np.int64)
    order = np.argsort(-(exact - whole), kind="stable")
    whole[order[: n - int(whole.sum())]] += 1
    if ((whole == 0) & (wanted > 0)).any():
        raise ValueError(f"n must give every cell a patient, got {n} with rare={rare}; draw more patients")
    return _table(whole)


def enough(tables: Iterable[DataFrame]) -> DataFrame:
    """The smallest counts that serve every table: the largest entry of each cell, int64 (3, 2)."""
    return _table(np.max([table.to_numpy().ravel() for table in tables], axis=0))


def sample_cells(
    table: DataFrame, *, rng: np.random.Generator, shrink: tuple[float, float], first: int = 0
) -> DataFrame:
    """Draw patients for `lib.data.thorax.render`, as many in each cell as the table says.

    Parameters
    ----------
    table : DataFrame
        From `counts` or `enough`.
    rng : numpy.random.Generator
    shrink : (float, float)
        Range of the lung's shrinkage; see `lib.data.thorax.SEVERITIES`.
    first : int
        Number of the first patient; parts of one study take different ones.

    Returns
    -------
    DataFrame
        As `lib.data.thorax.sample_patients` with the column cell, in blocks of cells. Drains and all other findings are
        independent of cell.

    Raises
    ------
    ValueError
        If the table has no patients.
    """
    sizes = table.loc[list(ATTRIBUTES), list(LABELS)].to_numpy()
    if sizes.sum() < 1:
        raise ValueError("table must hold at least one patient, got none; see counts")
    parts = []
    for place, name in enumerate(ATTRIBUTES):
        size = int(sizes[place].sum())
        if size == 0:
            continue
        sick = np.repeat([0, 1], sizes[place])
        drawn = thorax.sample_patients(size, rng=rng, groups={name: 1.0})
        drawn["pneumothorax_shrink"] = rng.uniform(*shrink, size)
        parts.append(drawn.assign(pneumothorax=sick, cell=2 * place + sick))
    people = pd.concat(parts, ignore_index=True)
    numbers = first + np.arange(len(people))
    return people.assign(patient_id=numbers, image_id=[f"thorax-{i:06d}" for i in numbers])


def rows_of(cells: ArrayLike, table: DataFrame) -> NDArray[np.int64]:
    """The first rows of every cell, as many as the table says.

    Parameters
    ----------
    cells : array_like of int (n,)
        Codes into CELLS. Rows of a cell must be in random order, as `sample_cells` has them.
    table : DataFrame
        From `counts`.

    Returns
    -------
    ndarray, int64 (table.sum().sum(),)
        Row numbers, cell after cell.

    Raises
    ------
    ValueError
        If a cell has fewer rows than the table asks for.
    """
    codes, wanted = np.asarray(cells), table.to_numpy().ravel()
    have = np.bincount(codes, minlength=len(CELLS))
    if (have < wanted).any():
        raise ValueError(f"cells must hold {wanted.tolist()} rows of each code, got {have.tolist()}; see enough")
    kept = [np.flatnonzero(codes == code)[:size] for code, size in enumerate(wanted)]
    return np.concatenate(kept).astype(np.int64)


def _table(cells: NDArray[np.float64] | NDArray[np.int64]) -> DataFrame:
    """Six values in the order of CELLS as a table of attributes and labels."""
    table = DataFrame(cells.reshape(len(ATTRIBUTES), len(LABELS)), index=list(ATTRIBUTES), columns=list(LABELS))
    return table.rename_axis(index="group", columns="label")
