"""Verdict on whether combining modalities was worth it: pays, does not pay, predicts more patients, or cannot tell."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from scipy import stats  # type: ignore[import-untyped]

from chiasm.evaluation.contrasts import UNKNOWN, Contrast
from chiasm.shown import html_page, html_table, interval_cells, visible

PAYS = "pays"
DOES_NOT_PAY = "does not pay"
PREDICTS_MORE = "predicts more patients"
CANNOT_TELL = "cannot tell"
MARGIN = 0.01
POWER = 0.8
_MOST_PATIENTS = 10**9
Numbers = tuple[float, float, float]
NO_NUMBERS: Numbers = (math.nan, math.nan, math.nan)


@dataclass(frozen=True)
class Verdict:
    """Outcome of the comparison and the evidence for it. Triples are (mean, low, high), NaN where not estimable.

    The ends alone are NaN where there is no interval.

    Args:
        outcome: "pays", "does not pay", "predicts more patients" or "cannot tell".
        difference, low, high: the total: picked combined recipe minus picked single recipe, over all test patients.
        coverage: `best-available` minus the picked single recipe, over all test patients.
        combining: picked combined recipe minus `best-available`, within the patterns of the patients who have two
            modalities or more.
        beyond_presence: picked combined recipe minus `presence`, over all test patients.
        fixed: `best_fused` minus `best_single`, held fixed in all folds.
        best_single, best_fused: the recipes picked most often on inner folds; `single_counts` and `fused_counts` say
            how often each was picked.
        findings: leaks not accepted, which rule out a plain verdict.
        sentence: the verdict in words, with its numbers.
        why: name of the rule that decided.
        several: number of tested patients with two modalities or more.
        settle: number of patients that would settle the question at 80 % power, (fewest, most), or None.
        margin: the smallest gain worth having.
    """

    outcome: str
    difference: float
    low: float
    high: float
    coverage: Numbers
    combining: Numbers
    best_single: str
    best_fused: str
    findings: tuple[str, ...]
    sentence: str
    beyond_presence: Numbers = NO_NUMBERS
    fixed: Numbers = NO_NUMBERS
    single_counts: Mapping[str, int] = field(default_factory=dict)
    fused_counts: Mapping[str, int] = field(default_factory=dict)
    why: str = ""
    several: int = 0
    settle: tuple[int, int] | None = None
    margin: float = MARGIN

    def __repr__(self) -> str:
        return visible(f"Verdict: {self.outcome}\n{self.sentence}")

    def _repr_html_(self) -> str:
        """What a notebook shows: the sentence, and the contrasts with their intervals."""
        total = (self.difference, self.low, self.high)
        parts = {"total": total, "coverage": self.coverage, "combining": self.combining, "fixed pair": self.fixed}
        rows = [(name, *interval_cells(*numbers)) for name, numbers in parts.items()]
        return html_page(
            f"Verdict: {self.outcome}",
            self.sentence,
            html_table(("contrast", "difference", "95 % interval"), rows),
        )


@dataclass(frozen=True)
class Evidence:
    """Evidence on which the verdict is decided.

    Args:
        total, coverage, combining, beyond_presence, fixed: as in `Verdict`.
        next_total, next_combining: the same contrasts with the combined recipe that ranks second on inner folds, used
            where the first is zero by construction; UNKNOWN where there is no other.
        leaks: leaks that were found and not accepted.
        too_few: why too few patients have two modalities to learn combining from; "" where there are enough.
        margin: the smallest gain worth having, 0 or more.
    """

    total: Contrast
    coverage: Contrast
    combining: Contrast
    beyond_presence: Contrast
    fixed: Contrast
    next_total: Contrast = UNKNOWN
    next_combining: Contrast = UNKNOWN
    leaks: tuple[str, ...] = ()
    too_few: str = ""
    margin: float = MARGIN


def decide(evidence: Evidence) -> tuple[str, str]:
    """Return the outcome and the name of the rule that decided it. The rules apply in this order.

    cannot tell, "leak": a leak was found and not accepted;
    "too few": with too few patients to learn combining from, only predicts more patients or cannot tell can follow;
    does not pay, "total": the upper end of the total lies below the margin; "parts": the upper ends of combining and of
        coverage both do, and what remains of the total is ranking between patterns;
    pays, "gain": the lower ends of the total, of combining and of the gain over `presence` lie above zero, and the two
        recipes picked most often, held fixed, differ in the same direction;
    predicts more patients: the lower end of coverage lies above zero;
    cannot tell: otherwise. The last two are named after the first condition that kept combining from paying:
        "not estimable", "no interval" (of the total), "total", "combining", "presence" or "fixed".
    """
    total, combining, margin = evidence.total, evidence.combining, evidence.margin
    if evidence.leaks:
        return CANNOT_TELL, "leak"
    more = evidence.coverage.bounded and not evidence.coverage.same and evidence.coverage.low > 0
    if evidence.too_few:
        return (PREDICTS_MORE, "too few") if more else (CANNOT_TELL, "too few")
    if small(total, evidence.next_total, margin):
        return DOES_NOT_PAY, "total"
    no_coverage = evidence.coverage.same or (evidence.coverage.bounded and evidence.coverage.high < margin)
    if small(combining, evidence.next_combining, margin) and no_coverage:
        return DOES_NOT_PAY, "parts"
    obstacle = next(
        (
            name
            for name, ok in (
                ("not estimable", total.estimable),
                ("no interval", total.same or total.bounded),
                ("total", above_zero(total)),
                ("combining", above_zero(combining)),
                ("presence", above_zero(evidence.beyond_presence)),
                ("fixed", math.isfinite(evidence.fixed.mean) and evidence.fixed.mean > 0),
            )
            if not ok
        ),
        "",
    )
    if not obstacle:
        return PAYS, "gain"
    return (PREDICTS_MORE, obstacle) if more else (CANNOT_TELL, obstacle)


def above_zero(found: Contrast) -> bool:
    """Return True if the lower end of a contrast with an interval lies above zero."""
    return found.bounded and not found.same and found.low > 0


def small(found: Contrast, other: Contrast, margin: float) -> bool:
    """Return True if any gain lies below the margin; `other` is judged instead of a contrast zero by construction."""
    asked = other if found.same else found
    return asked.bounded and asked.high < margin


def patients_to_settle(contrasts: tuple[Contrast, ...], margin: float, n_patients: int) -> tuple[int, int] | None:
    """Estimate how many patients, (fewest, most), would settle the verdict at 80 % power, rounded up to two digits.

        n(gain) = n ((z_.975 + z_.8) h / (z_.975 gain))^2

    h is the half-width of the interval with n patients; the gain is the upper end of the interval for the fewest
    patients, and the margin for the most. The most demanding of several contrasts counts. None where a contrast has no
    interval or is zero by construction, where its upper end does not exceed the margin, where the margin is zero, or
    where the number exceeds a billion.
    """
    ask = (stats.norm.ppf(0.975) + stats.norm.ppf(POWER)) / stats.norm.ppf(0.975)
    fewest = most = 0.0
    for found in contrasts:
        if not found.bounded or found.same or not 0 < margin < found.high:
            return None
        half = max(found.mean - found.low, found.high - found.mean)
        fewest = max(fewest, n_patients * (ask * half / found.high) ** 2)
        most = max(most, n_patients * (ask * half / margin) ** 2)
    if not contrasts or most > _MOST_PATIENTS:
        return None
    return rounded_up(max(fewest, n_patients + 1.0)), rounded_up(max(most, n_patients + 1.0))


def rounded_up(number: float) -> int:
    """Round up to two significant digits."""
    unit = int(10 ** max(0, math.floor(math.log10(number)) - 1))
    return math.ceil(number / unit) * unit
