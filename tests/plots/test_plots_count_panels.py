"""Numbers stand in their cells, and nobody looks unlike few."""

import matplotlib.pyplot as plt
import pandas as pd
import pytest

from lib.plots.count_panels import count_panels

ONE = pd.DataFrame([[3, 0], [10, 7]], index=pd.Index(["a", "b"], name="group"), columns=["c", "d"])


def test_numbers_titles_and_empty_cells() -> None:
    fig = count_panels({"one shift": ONE, "other": 2 * ONE})
    left, right = fig.axes
    assert [text.get_text() for text in left.texts] == ["3", "0", "10", "7"]
    assert [text.get_text() for text in right.texts] == ["6", "0", "20", "14"]
    assert left.get_ylabel() == "group" and left.images[0].get_clim() == right.images[0].get_clim() == (0, 20)
    assert [len([p for p in ax.patches if p.get_hatch()]) for ax in fig.axes] == [1, 1]
    plt.close(fig)


def test_tables_must_match() -> None:
    with pytest.raises(ValueError, match="two or more with the same rows"):
        count_panels({"one": ONE, "other": ONE.T})
    with pytest.raises(ValueError, match="got 1"):
        count_panels({"one": ONE})
