"""Text that is cut or covered is refused; text that can be read is not."""

from __future__ import annotations

import io

import numpy as np
import pandas as pd
import pytest

from lib import plots
from lib.plots import legible

LONG = "a label that is much too long for the picture " * 3


def checked(fig):
    fig.savefig(io.BytesIO(), format="svg")
    fig.savefig(io.BytesIO())
    legible.check(fig, "fig")


def cut_xlabel():
    fig, ax = plots.figure()
    ax.plot([1, 2])
    ax.set_xlabel(LONG)
    return fig


def cut_title():
    fig, ax = plots.figure()
    ax.set_title(LONG)
    return fig


def cut_suptitle():
    fig, _ = plots.figure()
    fig.suptitle(LONG)
    return fig


def cut_ylabel():
    fig, ax = plots.figure(height=1.5)
    ax.set_ylabel(LONG)
    return fig


def cut_tick_label():
    fig, ax = plots.figure()
    fig.set_layout_engine("none")
    ax.barh([0, 1], [1, 2])
    ax.set_yticks([0, 1], ["short", LONG])
    return fig


def cut_legend():
    fig, ax = plots.figure()
    fig.set_layout_engine("none")
    ax.plot([1, 2], label=LONG)
    ax.legend(loc="upper right")
    return fig


def cut_annotation():
    fig, ax = plots.figure()
    fig.set_layout_engine("none")
    ax.plot([1, 2])
    ax.annotate(LONG, (0, 1))
    return fig


def cut_in_an_inset():
    fig, ax = plots.figure()
    ax.inset_axes((0.7, 0.2, 0.2, 0.2)).set_title(LONG)
    return fig


def cut_in_a_subfigure():
    fig, ax = plots.figure()
    ax.remove()
    part = fig.subfigures(1, 2)[1]
    part.subplots().set_title(LONG)
    return fig


@pytest.mark.parametrize(
    "broken",
    [cut_xlabel, cut_title, cut_suptitle, cut_ylabel, cut_tick_label, cut_legend, cut_annotation, cut_in_an_inset,
     cut_in_a_subfigure],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:constrained_layout not applied")
def test_cut_text_is_named(broken):
    with pytest.raises(ValueError, match=r"figure fig: text must lie inside the picture, 'a label that is .* reaches"):
        checked(broken())


def test_covered_titles_are_named():
    fig, axes = plots.figure(width="double", columns=2)
    fig.set_layout_engine("none")
    axes[0].set_title("this title runs over its own axes and far into those beside")
    axes[1].set_title("this one")
    with pytest.raises(ValueError, match="titles and labels must not lie upon each other, .*'this one'"):
        checked(fig)


def test_a_title_upon_a_suptitle():
    fig, ax = plots.figure()
    fig.set_layout_engine("none")
    ax.set_position((0.1, 0.1, 0.8, 0.83))
    ax.set_title("the same place", loc="center")
    fig.suptitle("the same place", y=0.99)
    with pytest.raises(ValueError, match="must not lie upon each other"):
        checked(fig)


def everyday():
    """Figures as notebooks draw them."""
    table = pd.DataFrame({"x": [0.0, 1.0] * 4, "y": np.arange(8.0), "arm": list("aabbccdd"), "seed": [0, 0, 1, 1] * 2})
    yield plots.curve(table, x="x", y="y", hue="arm").figure
    yield plots.dots(table, x="y", y="arm").figure
    yield plots.heat(pd.DataFrame(np.eye(5), index=list("abcde"), columns=[f"column {k}" for k in range(5)])).figure
    yield plots.images(np.zeros((12, 4, 4)), titles=["picture"] * 12, columns=6)
    fig, axes = plots.figure(width="double", columns=3, rows=2, height=5)
    for ax in axes.ravel():
        plots.curve(table, x="x", y="y", hue="arm", ax=ax).set_title("A title of a panel")
    fig.suptitle("All together")
    fig.supxlabel("shared")
    fig.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    yield fig


def test_figures_that_can_be_read_pass():
    for fig in everyday():
        checked(fig)


def outside_but_not_drawn(ax):
    """Texts that nobody sees: out of the limits, invisible, clipped by the axes, empty, or of hidden axes."""
    ax.plot([0, 1])
    ax.set_xticks([0, 0.5, 90], ["a", "b", LONG])
    ax.set_xlim(0, 1)
    ax.text(0, 0, LONG, visible=False)
    ax.text(0.9, 0.5, LONG, clip_on=True)
    ax.annotate(LONG, (50, 50), annotation_clip=True)
    ax.text(90, 90, "  ")
    ax.legend([], title=LONG).set_visible(False)


def test_text_that_is_not_drawn_is_not_judged():
    fig, axes = plots.figure(columns=2)
    fig.set_layout_engine("none")
    outside_but_not_drawn(axes[0])
    axes[1].set_xlabel(LONG)
    axes[1].axis("off")
    checked(fig)
    axes[1].axis("on")
    axes[1].set_visible(False)
    checked(fig)


def test_a_picture_that_grows_cuts_nothing(monkeypatch):
    import matplotlib as mpl

    fig = cut_annotation()
    monkeypatch.setitem(mpl.rcParams, "savefig.bbox", "tight")
    checked(fig)


def test_slanted_tick_labels_pass():
    fig, ax = plots.figure()
    ax.bar(range(6), range(6))
    ax.set_xticks(range(6), [f"a rather long name {k}" for k in range(6)], rotation=45, ha="right")
    ax.set_xlabel("slanted", rotation=20)
    ax.set_title("beneath", rotation=20)
    checked(fig)
