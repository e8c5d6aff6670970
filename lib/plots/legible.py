"""Whether a reader can read a saved figure: no text outside the picture, no title or label upon another."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import RendererAgg
from matplotlib.figure import Figure, FigureBase
from matplotlib.legend import Legend
from matplotlib.text import Annotation, Text

OUTSIDE = 2.0  # points that a text may reach over the edge: glyphs end before their boxes
OVERLAP = 0.3  # share of the smaller box


def check(fig: Figure, name: str) -> None:
    """Refuse a figure with text that is cut or covered.

    All visible text counts as text that may be cut: titles, axis labels, tick labels within the limits, legends and
    annotations; a text that its axes clip on purpose is left alone. Titles and axis labels may also not lie upon each
    other.

    Parameters
    ----------
    fig : Figure
        After ``savefig`` to a picture of pixels, which settles the layout.
    name : str
        For the message.

    Raises
    ------
    ValueError
        Names the text and what is wrong with it.

    Notes
    -----
    With ``savefig.bbox: tight`` the picture grows around its text, so nothing is cut.
    """
    before, saved = fig.dpi, mpl.rcParams["savefig.dpi"]
    try:  # a legend's texts lie where the last drawing has put them, in its pixels
        fig.dpi = before if saved == "figure" else saved
        texts, headings, extents = _drawn(fig)
        _nothing_cut(fig, name, texts, extents)
        rows = [row for row, heading in enumerate(headings) if heading]
        _nothing_covered(name, [texts[row] for row in rows], extents[rows])
    finally:
        fig.dpi = before


def _drawn(fig: Figure) -> tuple[list[Text], list[bool], np.ndarray]:
    """The texts that are drawn, whether each is a title or label to be kept free, and the corners of its box."""
    renderer = RendererAgg(*fig.bbox.size, fig.dpi)
    texts, headings, boxes = [], [], []
    for text, heading in _texts(fig):
        if not text.get_visible() or not text.get_text().strip():
            continue
        if isinstance(text, Annotation) and not getattr(text.get_tightbbox(renderer), "width", 0) > 0:
            continue  # it points to a place outside its axes and is not drawn
        if text.get_clip_on() and not (text.get_clip_box() is None and text.get_clip_path() is None):
            continue
        texts.append(text)
        boxes.append(Text.get_window_extent(text, renderer).extents)  # without an annotation's arrow
        headings.append(heading and text.get_rotation() % 90 == 0)  # the box of a slanted text is mostly empty
    return texts, headings, np.array(boxes, dtype=float).reshape(-1, 4)


def _nothing_cut(fig: Figure, name: str, texts: list[Text], extents: np.ndarray) -> None:
    if mpl.rcParams["savefig.bbox"] == "tight":
        return
    width, height = fig.bbox.size
    reach = np.stack([-extents[:, 0], -extents[:, 1], extents[:, 2] - width, extents[:, 3] - height], 1) * 72 / fig.dpi
    for text, over in zip(texts, reach, strict=True):
        if over.max() > OUTSIDE:
            side = ("left", "bottom", "right", "top")[int(over.argmax())]
            raise ValueError(
                f"figure {name}: text must lie inside the picture, {text.get_text()!r} reaches {over.max():.0f} points "
                f"over the {side} edge; shorten or wrap it, or make the figure larger"
            )


def _nothing_covered(name: str, texts: list[Text], extents: np.ndarray) -> None:
    low = np.maximum(extents[:, None, :2], extents[None, :, :2])
    high = np.minimum(extents[:, None, 2:], extents[None, :, 2:])
    common = np.clip(high - low, 0, None).prod(-1)
    area = (extents[:, 2:] - extents[:, :2]).prod(-1)
    share = np.triu(common / np.maximum(np.minimum(area[:, None], area[None, :]), 1e-9), 1)
    if share.max(initial=0.0) > OVERLAP:
        first, second = np.unravel_index(share.argmax(), share.shape)
        raise ValueError(
            f"figure {name}: titles and labels must not lie upon each other, {texts[first].get_text()!r} covers "
            f"{100 * share[first, second]:.0f} % of {texts[second].get_text()!r} (or is covered by it); shorten or "
            f"wrap them, or make the figure larger"
        )


def _texts(fig: FigureBase) -> Iterator[tuple[Text, bool]]:
    """Every text of a figure, and whether it is a title or an axis label."""
    for text in fig.texts:
        yield text, text in (fig._suptitle, fig._supxlabel, fig._supylabel)  # type: ignore[attr-defined]
    for legend in fig.legends:
        yield from _legend(legend)
    for subfigure in fig.subfigs:
        if subfigure.get_visible():
            yield from _texts(subfigure)
    everywhere: Any = fig.axes  # subfigures' too
    for ax in everywhere:
        if ax.get_figure(root=False) is fig:
            yield from _axes(ax)


def _axes(ax: Any) -> Iterator[tuple[Text, bool]]:
    if not ax.get_visible():
        return
    for title in (ax.title, ax._left_title, ax._right_title):
        yield title, True
    for text in ax.texts:
        yield text, False
    for child in ax.get_children():
        if isinstance(child, Legend):
            yield from _legend(child)
    for inset in ax.child_axes:
        yield from _axes(inset)
    if ax.axison:
        for axis in (getattr(ax, letter + "axis", None) for letter in "xyz"):
            if axis is not None and axis.get_visible():
                yield axis.label, True
                yield axis.offsetText, False
                yield from ((label, False) for label in _tick_labels(axis))


def _tick_labels(axis: Axis) -> Iterator[Text]:
    """Labels of ticks within the limits; the others are not drawn."""
    low, high = sorted(axis.get_view_interval())
    slack = 1e-9 * (high - low)
    for tick in [*axis.get_major_ticks(), *axis.get_minor_ticks()]:
        if tick.get_visible() and low - slack <= tick.get_loc() <= high + slack:
            yield from (label for label in (tick.label1, tick.label2) if label.get_visible())


def _legend(legend: Legend) -> Iterator[tuple[Text, bool]]:
    if legend.get_visible():
        yield from ((text, False) for text in [legend.get_title(), *legend.get_texts()])
