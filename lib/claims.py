"""What follows: a claim declared before it was measured, an estimate, and the verdict that the rule decides.

A claim of a difference (``"> 0"`` or ``"< 0"``) is *supported* when the 95 % interval lies beyond the smallest effect
of interest on the claimed side, *contradicted* when it lies beyond it on the other side or when two one-sided tests
put the effect inside plus or minus the smallest effect. A claim of no difference (``"= 0"``) is *supported* by two
one-sided tests and *contradicted* when the interval lies wholly beyond the margin. Anything else is *inconclusive*,
and an estimate with a reason is *untested*.

Papers: Schuirmann 1987 (two one-sided tests); Holm 1979 (several claims). Difference: Holm runs over the claims of one
notebook, once for the evidence in favour and once for the evidence against, so that neither verdict comes from asking
often; an untested claim stays a member of the family without evidence, so the family never shrinks after the fact.

Conventions: a directed p is doubled, so that without other claims it is below .05 exactly when the 95 % interval says
the same; an equivalence p is the larger one of its two tests.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:  # reading declarations needs no scipy: only judging does
    from lib.stats import Estimate

VERDICTS = ("supported", "contradicted", "inconclusive", "untested")
EXPECTED = ("> 0", "< 0", "= 0")
RULES = (
    "paired", "hierarchical", "clustered", "page_trend", "equivalence", "corrected_resampled", "exact_binomial",
)  # fmt: skip
ALPHA = 0.05


@dataclass(frozen=True)
class Claim:
    """A claim as ``experiments.toml`` declares it.

    Attributes
    ----------
    id, says, where : str
        Name, the statement in our words, and its place in the paper.
    quantity, unit : str
        What is estimated, signed, and the unit of ``smallest_effect``.
    expected : {"> 0", "< 0", "= 0"}
        Direction of the effect, or no difference.
    smallest_effect : float
        Smallest effect of interest, >= 0; for ``"= 0"`` the equivalence margin, > 0.
    rule : str
        Name of the :mod:`lib.stats` function that must make the estimate.
    paper_effect, paper_effect_source
        The paper's own effect in ``unit`` and where it stands; None and empty when it is not known.

    Raises
    ------
    ValueError
        If ``expected``, ``rule`` or ``smallest_effect`` is not one of those.
    """

    id: str
    says: str
    where: str
    quantity: str
    unit: str
    expected: str
    smallest_effect: float
    rule: str
    paper_effect: float | None = None
    paper_effect_source: str = ""

    def __post_init__(self) -> None:
        if self.expected not in EXPECTED:
            raise ValueError(f"expected must be one of {EXPECTED}, got {self.expected!r}; mind the blank")
        if self.rule not in RULES:
            raise ValueError(f"rule must be one of {RULES}, got {self.rule!r}; it names a function of lib.stats")
        if not 0 <= self.smallest_effect < math.inf or (self.expected == "= 0" and self.smallest_effect == 0):
            raise ValueError(
                f"smallest_effect must be finite and >= 0 (> 0 for '= 0'), got {self.smallest_effect}; "
                "the direction belongs in `expected`"
            )


@dataclass(frozen=True)
class Verdict:
    """What the rule decides about one claim.

    Attributes
    ----------
    verdict : {"supported", "contradicted", "inconclusive", "untested"}
    reason : str
        One sentence, with the figures it rests on.
    p_holm : float
        Holm-corrected p of the evidence *for* the claim; NaN when untested.
    """

    verdict: str
    reason: str
    p_holm: float

    def as_record(self, claim: Claim, estimate: Estimate, paper: str) -> dict[str, str | float | int | None]:
        """The entry of ``claims.json``; what is not finite becomes None, which JSON can hold."""
        record: dict[str, str | float | int | None] = {
            "id": claim.id, "statement": claim.says, "paper": paper, "where": claim.where, "quantity": claim.quantity,
            "expected": claim.expected, "smallest_effect": claim.smallest_effect, "rule": claim.rule,
            "estimate": estimate.estimate, "low": estimate.low, "high": estimate.high, "n": estimate.n,
            "unit": claim.unit, "n_unit": estimate.unit, "p_holm": self.p_holm, "verdict": self.verdict,
            "reason": self.reason, "paper_effect": claim.paper_effect, "paper_effect_source": claim.paper_effect_source,
        }  # fmt: skip
        return {name: _plain(value) for name, value in record.items()}


def judge(claim: Claim, estimate: Estimate, *, untested_reason: str = "") -> Verdict:
    """The verdict on a claim that is alone in its notebook; see :func:`judge_all`.

    Examples
    --------
    >>> from lib import stats
    >>> claim = Claim("c", "It rises.", "figure 1", "rise", "points", "> 0", 1.0, "paired")
    >>> judge(claim, stats.paired([2.0, 2.1, 1.9, 2.2, 1.8])).verdict
    'supported'
    """
    return judge_all([(claim, estimate)], untested_reason=untested_reason)[0]


def judge_all(pairs: Sequence[tuple[Claim, Estimate]], *, untested_reason: str = "") -> list[Verdict]:
    """The verdicts on all claims of one notebook, Holm-corrected.

    Parameters
    ----------
    pairs : sequence of (Claim, Estimate)
        Every claim that the notebook declared, with its estimate.
    untested_reason : str
        If given, no claim gets a verdict, for this reason (the smoke profile).

    Returns
    -------
    list of Verdict
        In the order of ``pairs``.

    Raises
    ------
    ValueError
        If an estimate was not made by the rule of its claim, or an equivalence test used another margin.
    """
    from lib import stats

    for claim, estimate in pairs:
        _agree(claim, estimate)
    reasons = [untested_reason or estimate.reason for _, estimate in pairs]
    evidence = np.array(
        [(math.nan, math.nan) if why else _evidence(*pair) for pair, why in zip(pairs, reasons, strict=True)]
    ).reshape(-1, 2)
    in_favour, against = stats.holm(evidence[:, 0]), stats.holm(evidence[:, 1])
    return [
        Verdict("untested", why, math.nan) if why else _decide(claim, estimate, float(pro), float(contra))
        for (claim, estimate), why, pro, contra in zip(pairs, reasons, in_favour, against, strict=True)
    ]


def _agree(claim: Claim, estimate: Estimate) -> None:
    if estimate.method != claim.rule:
        raise ValueError(
            f"claim {claim.id} must be estimated by stats.{claim.rule}, got stats.{estimate.method}; "
            "use the declared rule, or change the declaration before measuring"
        )
    if not math.isnan(estimate.margin) and estimate.margin != claim.smallest_effect:
        raise ValueError(
            f"claim {claim.id}: margin must be its smallest_effect {claim.smallest_effect}, got {estimate.margin}; "
            "pass the declared value"
        )


def _evidence(claim: Claim, estimate: Estimate) -> tuple[float, float]:
    """p for the claim and p against it, before Holm."""
    d = claim.smallest_effect
    above, below = min(1.0, 2 * estimate.p_greater(d)), min(1.0, 2 * estimate.p_less(-d))
    inside = max(estimate.p_greater(-d), estimate.p_less(d))
    if claim.expected == "= 0":
        return inside, min(above, below)
    pro, contra = (above, below) if claim.expected == "> 0" else (below, above)
    return pro, min(contra, inside)


def _decide(claim: Claim, estimate: Estimate, pro: float, contra: float) -> Verdict:
    d = claim.smallest_effect
    above, below = estimate.low > d, estimate.high < -d
    inside = max(estimate.p_greater(-d), estimate.p_less(d)) < ALPHA
    supports = {"> 0": above, "< 0": below, "= 0": inside}[claim.expected]
    reverses = {"> 0": below, "< 0": above, "= 0": above or below}[claim.expected]
    span = f"95 % interval [{estimate.low:.3g}, {estimate.high:.3g}]"
    negligible = f"negligible: inside ±{d:g} by two one-sided tests"
    if supports and pro < ALPHA:
        text = negligible if claim.expected == "= 0" else f"{span} lies beyond {d:g} on the claimed side"
        return Verdict("supported", text, pro)
    if reverses and contra < ALPHA:
        side = f"beyond ±{d:g}" if claim.expected == "= 0" else f"beyond {d:g} on the other side"
        return Verdict("contradicted", f"{span} lies {side}", pro)
    if inside and contra < ALPHA and claim.expected != "= 0":
        return Verdict("contradicted", negligible, pro)
    if supports or reverses or inside:
        return Verdict("inconclusive", f"{span}; the evidence does not survive Holm's correction", pro)
    return Verdict("inconclusive", f"{span} does not settle it against {d:g}", pro)


def _plain(value: str | float | int | None) -> str | float | int | None:
    if isinstance(value, (float, np.floating)):
        return float(value) if math.isfinite(value) else None
    return int(value) if isinstance(value, np.integer) else value
