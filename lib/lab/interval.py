"""An estimate with its interval on an axis, as one SVG without a script: it fits any width and any theme.

Horizontal places are percentages, so text keeps its size when the cell is narrow; lines take the colour of the text
around them, and the colour of the verdict is never the only sign of it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from html import escape
from typing import Any

from lib.lab.change import number

COLOURS = {"supported": "#3A8DC9", "contradicted": "#D55E00", "inconclusive": "#808080", "untested": "#808080"}
"""Blue, vermilion and grey near those of `lib.plots.style`, each apart from a white and from a black page."""
BAND = 0.08  # opacity: each colour keeps a contrast of 3 on it, on a white and on a black page
HEIGHT, ROW, AXIS = 78, 34, 56
MARGIN = 0.06  # of the width, on both sides, so that the outermost numbers fit


def ticks(low: float, high: float, *, most: int = 5) -> list[float]:
    """Round numbers between two ends, zero among them where it lies there.

    Examples
    --------
    >>> ticks(-1.2, 5.9)
    [0.0, 2.0, 4.0]
    """
    raw = (high - low) / most
    size = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * size for factor in (1, 2, 5, 10) if factor * size >= raw)
    first, last = math.ceil(low / step), math.floor(high / step)
    return [float(f"{place * step:.12g}") for place in range(first, last + 1)]


def svg(claim: Any, estimate: Any, verdict: str, *, name: str) -> str:
    """The picture of an estimate: interval, point, zero, the smallest effect of interest, the paper's own effect.

    Parameters
    ----------
    claim, estimate : Claim, Estimate
    verdict : str
        Its colour.
    name : str
        What the ids of title and description begin with, unique on the page.

    Returns
    -------
    str
        An ``<svg>`` element with title and description.
    """
    low, high = _ends(claim, estimate)

    def at(value: float) -> str:
        share = (min(max(value, low), high) - low) / (high - low)
        return f"{100 * (MARGIN + (1 - 2 * MARGIN) * share):.2f}%"

    parts = [*_background(claim, at, low, high), *_estimate(estimate, COLOURS[verdict], at), *_paper(claim, at)]
    return (
        f'<svg role="img" aria-labelledby="{name}-t {name}-d" width="100%" height="{HEIGHT}" '
        'xmlns="http://www.w3.org/2000/svg" style="display:block;overflow:visible;color:inherit" font-size="12">'
        f'<title id="{name}-t">{escape(claim.quantity)}</title><desc id="{name}-d">{escape(words(claim, estimate))}'
        f"</desc>{''.join(parts)}</svg>"
    )


def words(claim: Any, estimate: Any) -> str:
    """What the picture shows, for whoever does not see it."""
    point, d = float(estimate.estimate), float(claim.smallest_effect)
    span = f", 95 % interval from {number(estimate.low)} to {number(estimate.high)}" if known(estimate) else ""
    band = f"zero and a band from {number(-d)} to {number(d)} are marked"
    paper = "" if claim.paper_effect is None else f"; the paper's own effect is {number(claim.paper_effect)}"
    return f"Estimate {number(point)}{span}, in {claim.unit}; {band}{paper}."


def known(estimate: Any) -> bool:
    """Whether the estimate has an interval."""
    return not (math.isnan(estimate.low) or math.isnan(estimate.high))


def _ends(claim: Any, estimate: Any) -> tuple[float, float]:
    d = float(claim.smallest_effect)
    shown = [0.0, -d, d, estimate.estimate, estimate.low, estimate.high, claim.paper_effect]
    finite = [float(value) for value in shown if value is not None and math.isfinite(value)]
    low, high = min(finite), max(finite)
    if high - low <= 1e-12 * max(abs(low), abs(high), 1e-300):
        low, high = low - 1.0, high + 1.0
    pad = 0.04 * (high - low)
    return low - pad, high + pad


def _background(claim: Any, at: Any, low: float, high: float) -> Iterator[str]:
    """The band, the axis with its numbers, zero, and which side is claimed."""
    d, line = float(claim.smallest_effect), 'stroke="currentColor"'
    if d > 0:
        left, right = at(-d), at(d)
        width = f"{float(right[:-1]) - float(left[:-1]):.2f}%"
        yield f'<rect x="{left}" y="16" width="{width}" height="{AXIS - 16}" fill="currentColor" opacity="{BAND}"/>'
        for edge in (left, right):
            yield f'<line x1="{edge}" x2="{edge}" y1="16" y2="{AXIS}" {line} stroke-dasharray="2 3" opacity="0.6"/>'
    yield f'<line x1="{at(low)}" x2="{at(high)}" y1="{AXIS}" y2="{AXIS}" {line} opacity="0.5"/>'
    yield f'<line x1="{at(0)}" x2="{at(0)}" y1="16" y2="{AXIS + 5}" {line} stroke-width="1.5"/>'
    for tick in ticks(low, high):
        yield f'<line x1="{at(tick)}" x2="{at(tick)}" y1="{AXIS}" y2="{AXIS + 5}" {line}/>'
        yield f'<text x="{at(tick)}" y="{AXIS + 19}" text-anchor="middle" fill="currentColor">{number(tick)}</text>'
    text = {"> 0": "claimed: this side →", "< 0": "← claimed: this side", "= 0": "claimed: inside the band"}
    share = float(at(0)[:-1])
    middle = ("start", "0%") if share < 30 else ("end", "100%") if share > 70 else ("middle", at(0))
    anchor, place = {"> 0": ("end", "100%"), "< 0": ("start", "0%"), "= 0": middle}[claim.expected]
    style = f'text-anchor="{anchor}" fill="currentColor" opacity="0.8"'
    yield f'<text x="{place}" y="10" {style}>{text[claim.expected]}</text>'


def _estimate(estimate: Any, colour: str, at: Any) -> Iterator[str]:
    if known(estimate):
        left, right = at(estimate.low), at(estimate.high)
        yield f'<line x1="{left}" x2="{right}" y1="{ROW}" y2="{ROW}" stroke="{colour}" stroke-width="4"/>'
        for end, value in ((left, estimate.low), (right, estimate.high)):
            if math.isfinite(value):
                yield f'<line x1="{end}" x2="{end}" y1="{ROW - 6}" y2="{ROW + 6}" stroke="{colour}" stroke-width="2"/>'
    if math.isfinite(estimate.estimate):
        fill = colour if known(estimate) else "none"
        yield (
            f'<circle cx="{at(estimate.estimate)}" cy="{ROW}" r="6" fill="{fill}" stroke="currentColor" '
            'stroke-width="1.5"/>'
        )


def _paper(claim: Any, at: Any) -> Iterator[str]:
    """The paper's own effect: a diamond on the axis."""
    if claim.paper_effect is not None:
        yield (
            f'<svg x="{at(claim.paper_effect)}" y="{AXIS}" overflow="visible"><path d="M0-7 6 0 0 7-6 0Z" '
            'fill="none" stroke="currentColor" stroke-width="1.5"/></svg>'
        )
