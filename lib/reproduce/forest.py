"""Where a claim lies: its interval in multiples of the smallest effect of interest, the claimed side to the right.

The strip beside a claim and the forest plot of a family share this scale, so that claims in different units can be
read side by side: [-1, 1] holds effects too small to matter. Both are cut at `REACH` multiples and say so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lib.reproduce.ledger import Report, measured, number

REACH = 10.0  # multiples of the smallest effect of interest that a strip shows to either side
STEP = 3.2  # height of a line in the forest plot; one multiple is 10 wide


def scale(claim: Mapping[str, Any]) -> float | None:
    """What turns the claim's unit into multiples of the smallest effect; a claim of no difference keeps its sign."""
    if claim["estimate"] is None or not claim["smallest_effect"]:
        return None
    return (-1 if claim["expected"].startswith("<") else 1) / claim["smallest_effect"]


def strip(claim: Mapping[str, Any]) -> dict[str, float | bool] | None:
    """Where a claim's interval lies, in multiples of the smallest effect of interest.

    Returns
    -------
    dict or None
        ``estimate``, ``low`` and ``high``, cut at `REACH` multiples to either side, and whether the interval goes on
        beyond it (``beyond_low``, ``beyond_high``); None for a claim without an interval or without a scale.

    Examples
    --------
    >>> strip({"estimate": -3.0, "low": -30.0, "high": 1.0, "smallest_effect": 2.0, "expected": "< 0"})
    {'estimate': 1.5, 'low': -0.5, 'high': 10.0, 'beyond_low': False, 'beyond_high': True}
    """
    by = scale(claim)
    if by is None or claim["low"] is None or claim["high"] is None:
        return None
    low, high = sorted((claim["low"] * by, claim["high"] * by))
    cut = {
        name: min(max(value, -REACH), REACH)
        for name, value in (("estimate", claim["estimate"] * by), ("low", low), ("high", high))
    }
    return {**cut, "beyond_low": low < -REACH, "beyond_high": high > REACH}


def effect(claim: Mapping[str, Any]) -> str:
    """The estimate in multiples of the smallest effect, as a number to sort by; empty where there is none.

    Examples
    --------
    >>> effect({"estimate": -3.0, "smallest_effect": 2.0, "expected": "< 0"})
    '1.5'
    """
    by = scale(claim)
    return "" if by is None else f"{claim['estimate'] * by + 0.0:.6g}"


def details(claim: Mapping[str, Any]) -> list[str]:
    """What stands behind a strip, one line each: the ledger's own numbers, the quantity, the units and the rule."""
    by = scale(claim)
    lines = [measured(dict(claim))]
    expected = f"expected {claim['expected']}, smallest effect of interest {number(claim['smallest_effect'])}"
    lines.append(f"{number(claim['estimate'] * by)} times the smallest effect; {expected}" if by else expected)
    if claim.get("rule"):
        p = f", p (Holm) {number(claim['p_holm'])}" if claim.get("p_holm") is not None else ""
        lines.append(f"{claim.get('n', '–')} {claim.get('n_unit', '')}, rule: {claim['rule']}{p}".strip())
    return [*lines, *(str(claim[name]) for name in ("quantity", "reason") if claim.get(name))]


@dataclass(frozen=True)
class Line:
    """One claim in a forest plot.

    Attributes
    ----------
    words : str
        Notebook, claim, numbers and verdict.
    verdict : str
    at : dict
        See `strip`.
    y : float
        Its height in the plot.
    """

    words: str
    verdict: str
    at: dict[str, float | bool]
    y: float


def lines(reports: list[Report]) -> list[Line]:
    """The claims of some reports that have an interval, the largest effect on the claimed side first."""
    found = []
    for report in reports:
        for claim in report.claims:
            at = strip(claim)
            if at is not None:
                said = f"{report.experiment.id} {claim['id']}: {measured(claim)}, {claim['verdict']}"
                found.append((float(effect(claim)), said, claim["verdict"], at))
    found.sort(key=lambda entry: -entry[0])
    return [Line(said, verdict, at, (row + 0.5) * STEP) for row, (_, said, verdict, at) in enumerate(found)]
