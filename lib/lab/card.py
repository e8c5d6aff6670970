"""A claim as a card: what it says, the estimate with its interval, the verdict so far, and what would change it.

One HTML fragment without a script, a style sheet or a request: styles stand on the elements, colours come from
JupyterLab's theme where there is one and from the text around the card elsewhere.
"""

from __future__ import annotations

import hashlib
import math
from html import escape
from typing import Any

from lib.lab import interval
from lib.lab.change import number, what_would

RULES = {
    "paired": "mean of paired differences, t interval",
    "hierarchical": "mean over seeds of the units inside them, two-stage bootstrap and t interval",
    "clustered": "percentile interval over resampled clusters",
    "page_trend": "rank correlation with the claimed order, Page's test and t interval",
    "equivalence": "mean of paired differences, two one-sided t tests",
    "corrected_resampled": "mean over random splits, interval corrected for their overlap",
    "exact_binomial": "share above chance, exact binomial interval",
}
EDGES = {"supported": "solid", "contradicted": "double", "inconclusive": "dashed", "untested": "dotted"}
OUTER = (
    "box-sizing:border-box;max-width:44rem;margin:.5em 0;padding:.7em 1em .8em;line-height:1.45;"
    "color:var(--jp-content-font-color1,inherit);border:1px solid var(--jp-border-color2,#8886);border-left:8px {edge};"
    "font-family:var(--jp-content-font-family,system-ui,sans-serif);font-size:var(--jp-content-font-size1,14px);"
    "overflow-wrap:anywhere"
)
SMALL = "margin:.5em 0 0;font-size:.9em"
CODE = "font-family:var(--jp-code-font-family,monospace);color:inherit;background:none;padding:0"


def html(card: Any, *, family: int = 1, command: str = "") -> str:
    """The card of one claim.

    Parameters
    ----------
    card : ClaimCard
        Of :mod:`lib.run`: ``claim``, ``estimate`` and ``verdict``.
    family : int
        Claims of the notebook.
    command : str
        The command that runs the notebook at a size that may give a verdict.

    Returns
    -------
    str
        An HTML fragment.
    """
    claim, estimate, verdict = card.claim, card.estimate, card.verdict
    name = f"claim-{hashlib.sha256(repr((claim, estimate)).encode()).hexdigest()[:10]}"
    edge = f"{EDGES[verdict.verdict]} {interval.COLOURS[verdict.verdict]}"
    shown = value(float(estimate.estimate), float(estimate.low), float(estimate.high), claim.unit)
    parts = [
        f'<p style="margin:0 0 .3em"><strong>{verdict.verdict.capitalize()}</strong>{_stage(verdict, family)}</p>',
        f'<p style="margin:0;font-size:1.1em;font-weight:600" id="{name}">{escape(claim.says)}</p>',
        f'<p style="{SMALL};margin-bottom:.7em">{escape(claim.quantity)}: {shown}, '
        f"n&nbsp;=&nbsp;{estimate.n:,}&nbsp;{escape(estimate.unit)}</p>",
        interval.svg(claim, estimate, verdict.verdict, name=name),
        f'<p style="{SMALL};opacity:.85">{_legend(claim, estimate)}</p>',
        f'<p style="{SMALL}"><strong>Why.</strong> {escape(sentence(verdict.reason))}</p>' if verdict.reason else "",
        f'<p style="{SMALL}"><strong>What would change it.</strong> {_change(card, family, command)}</p>',
        f'<p style="{SMALL};opacity:.85">Declared beforehand: {escape(_rule(claim))}</p>',
    ]
    style = OUTER.format(edge=edge)
    return f'<div role="group" aria-labelledby="{name}" style="{style}">{"".join(parts)}</div>'


def _stage(verdict: Any, family: int) -> str:
    """When the verdict holds: Holm's correction comes when the run finishes."""
    if verdict.verdict == "untested":
        return ""
    claims = f" over the {family} claims of this notebook" if family > 1 else ""
    return f", before Holm's correction{claims} (run.finish)"


def value(estimate: float, low: float, high: float, unit: str) -> str:
    """An estimate with its interval and unit as HTML; ends that are NaN are no interval."""
    known = not (math.isnan(low) or math.isnan(high))
    span = f" [{number(low)}, {number(high)}]" if known else ""
    return f"<strong>{number(estimate)}{span}</strong> {escape(unit)}" + ("" if known else ", no interval")


def _change(card: Any, family: int, command: str) -> str:
    """What would change the verdict, with the command as code."""
    text = escape(what_would(card.claim, card.estimate, card.verdict, family=family, command=command))
    code = f'<code style="{CODE}">{escape(command)}</code>'
    return text.replace(escape(command), code) if command else text


def _legend(claim: Any, estimate: Any) -> str:
    signs = ["Dot and bar: estimate and 95 % interval." if interval.known(estimate) else "Ring: estimate, no interval."]
    if claim.smallest_effect > 0:
        signs.append(f"Band: ±{number(claim.smallest_effect)} {claim.unit}, the smallest effect of interest.")
    if claim.paper_effect is not None:
        source = f" ({claim.paper_effect_source})" if claim.paper_effect_source else ""
        signs.append(f"Diamond: the paper's own effect, {number(claim.paper_effect)}{source}.")
    return escape(" ".join(signs))


def sentence(text: str) -> str:
    """A reason as a sentence of its own."""
    return text[:1].upper() + text[1:] + ("" if text.endswith(".") else ".")


def _rule(claim: Any) -> str:
    expected = {"> 0": "an effect above 0", "< 0": "an effect below 0", "= 0": "no difference"}[claim.expected]
    smallest = f"{number(claim.smallest_effect)} {claim.unit}"
    margin = f"margin ±{smallest}" if claim.expected == "= 0" else f"smallest effect of interest {smallest}"
    rule = f"rule {claim.rule}: {RULES.get(claim.rule, 'see lib.stats')}"
    return f"{expected}, {margin}; {rule}. In the paper: {claim.where}."
