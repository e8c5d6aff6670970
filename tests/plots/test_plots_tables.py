"""A forest and a heat map show the numbers given."""

from __future__ import annotations

import pandas as pd
import pytest

from lib import plots


def test_forest_and_heat():
    rows = pd.DataFrame({"label": ["x"], "estimate": [1.0], "low": [0.0], "high": [2.0], "verdict": ["supported"]})
    assert plots.forest(rows).lines[0].get_xdata() == pytest.approx([0.0, 2.0])
    ax = plots.heat(pd.DataFrame([[1.0, 2.0]], index=["r"], columns=["a", "b"]))
    assert [text.get_text() for text in ax.texts] == ["1.00", "2.00"]
