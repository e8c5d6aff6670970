"""House widths, reproducible output, and a facade that counts name by name."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from lib import plots
from lib.closure import Library

LIBRARY = Library(Path(plots.__file__).parent.parent)


def test_unknown_width():
    with pytest.raises(ValueError, match="width must be one of single, double"):
        plots.figure(width="wide")


def test_the_same_figure_gives_the_same_svg(tmp_path):
    table = pd.DataFrame({"ratio": [0.5, 0.75] * 2, "accuracy": [1.0, 3.0, 2.0, 5.0], "arm": list("aabb")})
    for name in ("a", "b"):
        fig = plots.curve(table, x="ratio", y="accuracy", hue="arm").figure
        fig.savefig(tmp_path / f"{name}.svg", metadata={"Date": None, "Creator": None})
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()


@pytest.mark.parametrize(
    ("name", "modules"),
    [("curve", {"series", "style"}), ("images", {"pictures", "style"}), ("portraits", {"masks", "style"}),
     ("PALETTE", {"style"})],
)  # fmt: skip
def test_a_notebook_depends_on_the_figures_it_uses(name, modules):
    reached = LIBRARY.closure(["from lib import plots", f"plots.{name}"])
    assert {module for module in reached if module.startswith("lib.plots")} == {f"lib.plots.{m}" for m in modules}


def test_the_facade_hands_on_what_it_names():
    assert set(LIBRARY.facades["lib.plots"]) - {"__all__"} == set(plots.__all__)
