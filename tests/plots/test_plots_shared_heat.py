"""Shared colours: one scale, every number written, NaN left white."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from lib.plots.shared_heat import shared_heat

LABELS = {"unit_label": "AUC", "xlabel": "x", "ylabel": "y"}


def table(seed: int) -> pd.DataFrame:
    return pd.DataFrame(np.random.default_rng(seed).random((2, 3)), index=["a", "b"], columns=["u", "v", "w"])


def test_one_scale_and_all_numbers():
    tables = {"left": table(0), "right": table(1) * 0.1}
    fig = shared_heat(tables, limits=(0.0, 1.0), **LABELS)
    for ax, values in zip(fig.axes, tables.values(), strict=False):
        assert ax.images[0].get_clim() == (0.0, 1.0)
        assert [text.get_text() for text in ax.texts] == [f"{value:.2f}" for value in values.to_numpy().ravel()]
    assert len(fig.axes) == 3, "two panels and one colour bar"
    plt.close(fig)


def test_nan_has_no_number():
    holed = table(0)
    holed.loc["a", "u"] = np.nan
    fig = shared_heat({"only": holed}, limits=(0, 1), **LABELS)
    assert len(fig.axes[0].texts) == 5
    plt.close(fig)


def test_errors():
    with pytest.raises(ValueError, match="at least one table"):
        shared_heat({}, limits=(0, 1), **LABELS)
    with pytest.raises(ValueError, match="same rows and columns"):
        shared_heat({"a": table(0), "b": table(1).T}, limits=(0, 1), **LABELS)
    with pytest.raises(ValueError, match="limits must be increasing"):
        shared_heat({"a": table(0)}, limits=(1, 0), **LABELS)
