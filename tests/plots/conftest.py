"""Every figure in house style, none left open."""

from __future__ import annotations

import pytest
from matplotlib import pyplot as plt

from lib import plots


@pytest.fixture(autouse=True)
def _closed():
    plots.house_style()
    yield
    plt.close("all")
