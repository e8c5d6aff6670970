"""What would change a verdict: how far the estimate would have to move, or how narrow its interval would have to be.

Computed from a claim and its estimate alone. Difference from :mod:`lib.claims`: nothing is decided here; the distances
are those of the declared rule, and how many more units would do is an approximation (the half-width shrinks with one
over the root of their number, and the estimate stays where it is).
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any

ALPHA = 0.05
BISECTIONS = 50
OVERLAPPING = ("corrected_resampled",)
"""Rules whose units share their rows: more units hardly narrow the interval, more rows do."""


def number(value: float) -> str:
    """A number with three significant figures, as people write it.

    Examples
    --------
    >>> number(-1234.5), number(0.04567), number(0.0), number(2e-7)
    ('−1,234', '0.0457', '0', '2e−07')
    """
    if math.isnan(value):
        return "unknown"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    size = abs(value)
    text = f"{value:,.0f}" if 1000 <= size < 1e6 else f"{value + 0.0:.3g}"  # + 0.0: minus zero is zero
    return text.replace("-", "−")


def what_would(claim: Any, estimate: Any, verdict: Any, *, family: int = 1, command: str = "") -> str:
    """One to four sentences on what would change a verdict.

    Parameters
    ----------
    claim, estimate, verdict : Claim, Estimate, Verdict
        As in :mod:`lib.claims`; the verdict before Holm's correction.
    family : int
        Claims of the notebook, over which Holm's correction will run.
    command : str
        The command that runs the notebook at a size that may give a verdict; named where the verdict is *untested*.

    Returns
    -------
    str
        Plain text.
    """
    if verdict.verdict == "untested":
        return _tested_by(estimate, verdict.reason, command)
    view = View(claim, estimate)
    word, side = verdict.verdict, view.side
    if word == "inconclusive":
        return " ".join(_settle(view))
    if claim.expected == "= 0":
        beyond = 0 if word == "supported" else math.copysign(1, estimate.estimate)
    else:
        beyond = side if word == "supported" else -side * (view.near(-side) > view.d)
    return " ".join([view.holds_beyond(beyond) if beyond else view.holds_inside(), view.family(beyond, family)]).strip()


def _settle(view: View) -> list[str]:
    """What would make an inconclusive claim supported, and what would make it contradicted."""
    if view.side:
        here = view.side * view.estimate.estimate
        found = [view.needs_beyond(view.side, "supported")]
        if here < -view.d:
            found.append(view.needs_beyond(-view.side, "contradicted"))
        elif here < view.d:
            found.append(view.needs_inside("contradicted"))
        return found
    found = [view.needs_inside("supported")]
    if abs(view.estimate.estimate) > view.d:
        found.append(view.needs_beyond(math.copysign(1, view.estimate.estimate), "contradicted"))
    return found


def _tested_by(estimate: Any, reason: str, command: str) -> str:
    few = re.search(r"fewer than (\d+)", reason)
    if "smoke profile" in reason:
        return f"A run at a larger size: {command or 'make reproduce PROFILE=cpu'} gives a verdict."
    if few:
        return (
            f"At least {few[1]} {estimate.unit} instead of {estimate.n}: raise the parameter that sets their number, "
            "or run a larger profile."
        )
    if "get the data itself" in reason:
        return "The data themselves instead of their stand-in; the CONTRIBUTING file says how a data set is fetched."
    return "An estimate without the fault named in the reason."


@dataclass(frozen=True)
class View:
    """An estimate as its claim sees it; ``d`` is the smallest effect of interest, a side is 1 (above 0) or -1."""

    claim: Any
    estimate: Any

    @property
    def d(self) -> float:
        """The smallest effect of interest."""
        return float(self.claim.smallest_effect)

    @property
    def side(self) -> int:
        """The claimed side; 0 where no difference is claimed."""
        return {"> 0": 1, "< 0": -1}.get(self.claim.expected, 0)

    def near(self, side: float) -> float:
        """The end of the 95 % interval nearest to 0 for an effect on this side, positive towards that side."""
        return float(self.estimate.low if side > 0 else -self.estimate.high)

    def inner(self) -> tuple[float, float]:
        """Both ends of the 90 % interval, the one that two one-sided tests at 5 % agree with."""
        middle = float(self.estimate.estimate)
        below, above = middle - float(self.estimate.low), float(self.estimate.high) - middle
        low = middle - _reach(lambda by: self.estimate.p_greater(middle - by), below)
        return low, middle + _reach(lambda by: self.estimate.p_less(middle + by), above)

    def unit(self, value: float) -> str:
        """A value with the claim's unit."""
        return f"{number(value)} {self.claim.unit}"

    def holds_beyond(self, side: float) -> str:
        """How much room there is where the interval lies beyond ``d`` on one side."""
        room, here = self.near(side) - self.d, side * self.estimate.estimate
        return (
            f"The nearer end of the interval, {number(side * self.near(side))}, lies {self.unit(room)} beyond "
            f"{number(side * self.d)}. The verdict would fall if the estimate came closer to 0 by more than that, or "
            f"if the half-width grew from {number(here - self.near(side))} to {number(here - self.d)}"
            f"{self.fewer(here - self.near(side), here - self.d)}."
        )

    def holds_inside(self) -> str:
        """How much room there is where two one-sided tests put the effect inside ±d."""
        low, high = self.inner()
        far, half = max(-low, high), max(-low, high) - abs(self.estimate.estimate)
        return (
            f"The 90 % interval of the two one-sided tests, [{number(low)}, {number(high)}], lies inside "
            f"±{number(self.d)} with {self.unit(self.d - far)} to spare. The verdict would fall if the estimate moved "
            f"away from 0 by more than that, or if this interval's half-width grew from {number(half)} to "
            f"{number(self.d - abs(self.estimate.estimate))}{self.fewer(half, self.d - abs(self.estimate.estimate))}."
        )

    def needs_beyond(self, side: float, word: str) -> str:
        """What would put the interval beyond ``d`` on one side."""
        near, here = self.near(side), side * self.estimate.estimate
        if near > self.d:
            p = 2 * (self.estimate.p_greater(self.d) if side > 0 else self.estimate.p_less(-self.d))
            return f"{word.capitalize()} takes p < {ALPHA} of the rule's own test as well; it is {number(p)}."
        move = (
            f"{'the estimate' if here > self.d else 'it'} would have to {'rise' if side > 0 else 'fall'} by more than "
            f"{self.unit(self.d - near)}"
        )
        if here > self.d:
            return (
                f"{word.capitalize()} takes a half-width below {number(here - self.d)} instead of "
                f"{number(here - near)} around the same estimate{self.more(here - near, here - self.d)}; at this "
                f"width, {move}."
            )
        return (
            f"However narrow, this interval cannot make it {word}, since the estimate itself does not lie beyond "
            f"{number(side * self.d)}; at this width, {move}."
        )

    def needs_inside(self, word: str) -> str:
        """What would put the 90 % interval inside ±d."""
        if self.d == 0:
            return f"A smallest effect of 0 leaves no room for a negligible effect, so it cannot be {word} that way."
        low, high = self.inner()
        far, here = max(-low, high), abs(self.estimate.estimate)
        if here >= self.d:
            return (
                f"{word.capitalize()} takes a 90 % interval inside ±{number(self.d)}, and the estimate itself does not "
                f"lie there; at this width, it would have to come closer to 0 by more than {self.unit(far - self.d)}."
            )
        return (
            f"{word.capitalize()}{' as negligible' if word == 'contradicted' else ''} takes a 90 % interval inside "
            f"±{number(self.d)}: a half-width below {number(self.d - here)} instead of {number(far - here)} around the "
            f"same estimate{self.more(far - here, self.d - here)}."
        )

    def more(self, half: float, wanted: float) -> str:
        """How many units would narrow a half-width, in brackets; empty where they would not."""
        if self.claim.rule in OVERLAPPING:
            return f" (more rows; more {self.estimate.unit} of the same rows narrow it little)"
        if not (0 < wanted <= half < math.inf) or self.estimate.n < 2:
            return ""
        times = (half / wanted) ** 2
        units = f"{math.ceil(self.estimate.n * times):,} {self.estimate.unit} instead of {self.estimate.n:,}"
        return f" (roughly {units}, if it shrinks with 1/√n)" if times < 1000 else " (over 1,000 times as many units)"

    def fewer(self, half: float, allowed: float) -> str:
        """With how few units a half-width would have grown; empty where that says nothing."""
        if self.claim.rule in OVERLAPPING or not 0 < half < allowed < math.inf:
            return ""
        units = math.floor(self.estimate.n * (half / allowed) ** 2)
        return f" (as with roughly {units:,} {self.estimate.unit} instead of {self.estimate.n:,})" if units > 1 else ""

    def family(self, side: float, claims: int) -> str:
        """What Holm's correction may still ask of the p of the evidence."""
        if claims < 2:
            return ""
        p = 2 * (self.estimate.p_greater(self.d) if side > 0 else self.estimate.p_less(-self.d))
        if not side:
            p = max(self.estimate.p_greater(-self.d), self.estimate.p_less(self.d))
        strictest = ALPHA / claims
        safe = "passes" if p < strictest else "would not pass, so the other claims decide"
        return (
            f"Holm's correction over {claims} claims asks at most for p < {number(strictest)}; p = {number(p)} {safe}."
        )


def _reach(p: Any, widest: float) -> float:
    """How far from the estimate a one-sided p falls to 5 %; found by halving, at most the 95 % interval's reach."""
    if not widest > 0 or not math.isfinite(widest):
        return widest
    if math.isnan(p(widest)):
        return widest * 1.645 / 1.960
    near, far = 0.0, widest
    for _ in range(BISECTIONS):
        middle = (near + far) / 2
        near, far = (middle, far) if p(middle) > ALPHA else (near, middle)
    return far
