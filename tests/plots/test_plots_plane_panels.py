import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from lib.plots.plane_panels import plane_panels


def points(n: int = 20) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    kinds = {"sex": ["F", "M"] * (n // 2), "age": ["old", "new"] * (n // 2)}
    parts = [
        pd.DataFrame(rng.normal(size=(n, 2)), columns=["x", "y"]).assign(plane=plane, attribute=name, kind=kinds[name])
        for plane in ("PCA", "t-SNE")
        for name in kinds
    ]
    return pd.concat(parts, ignore_index=True)


def test_every_panel_holds_its_points_and_one_colour_and_marker_per_kind() -> None:
    table = points()
    fig = plane_panels(table)
    assert len(fig.axes) == 4
    for ax, (plane, name) in zip(fig.axes, [(p, a) for p in ("PCA", "t-SNE") for a in ("sex", "age")], strict=True):
        part = table[(table["plane"] == plane) & (table["attribute"] == name)]
        drawn = ax.collections[0]
        np.testing.assert_allclose(drawn.get_offsets(), part[["x", "y"]])
        colours = pd.Series(map(tuple, drawn.get_facecolors()), index=part.index)
        assert (colours.groupby(part["kind"]).nunique() == 1).all()
        assert colours.nunique() == 2
        corners = pd.Series([len(path.vertices) for path in drawn.get_paths()], index=part.index)
        assert (corners.groupby(part["kind"]).nunique() == 1).all() and corners.nunique() == 2, "seen without colour"
    assert [text.get_text() for text in fig.axes[1].get_legend().get_texts()] == ["old", "new"]
    plt.close(fig)


def test_the_table_is_checked() -> None:
    with pytest.raises(ValueError, match="must have rows"):
        plane_panels(points().drop(columns="kind"))
    with pytest.raises(ValueError, match="must have rows"):
        plane_panels(points().iloc[:0])
