"""Was combining the modalities worth it: pays, does not pay, or cannot tell."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats  # type: ignore[import-untyped]

from chiasm.evaluation.estimates import CONFIDENCE, MAX_MISSING, percentile_interval
from chiasm.evaluation.weighted import Floats

PAYS = "pays"
DOES_NOT_PAY = "does not pay"
CANNOT_TELL = "cannot tell"
MARGIN = 0.01
_MOST_DIGITS = 6
_MOST_PATIENTS = 10**9


@dataclass(frozen=True)
class Verdict:
    """The difference in the primary metric between the fused and the single recipe, and what follows from it.

    `outcome` is "does not pay", "pays" or "cannot tell"; `difference`, `low` and `high` are NaN when not estimable.
    `best_single` and `best_fused` are the recipes picked most often on inner folds; the counts say how often each was.
    `n_needed` is about how many patients would settle it, None where it is settled or cannot be said. `margin` is the
    smallest gain that is worth having.
    """

    outcome: str
    difference: float
    low: float
    high: float
    best_single: str
    best_fused: str
    sentence: str
    single_counts: Mapping[str, int] = field(default_factory=dict)
    fused_counts: Mapping[str, int] = field(default_factory=dict)
    n_needed: int | None = None
    margin: float = MARGIN


def decide(
    differences: ArrayLike,
    bootstrap_differences: ArrayLike,
    *,
    n_test: float,
    n_train: float,
    n_patients: int,
    metric: str,
    best_single: str,
    best_fused: str,
    single_counts: Mapping[str, int] | None = None,
    fused_counts: Mapping[str, int] | None = None,
    margin: float = MARGIN,
) -> Verdict:
    """The verdict on d_k, the difference fused - single of a metric of which more is better, in test folds k = 1..J.

    The difference is the mean of d_k. Its 95 % interval is the one of the larger width of two: the corrected resampled
    t interval, and the percentiles of the bootstrap. With one fold there is only the bootstrap, and the sentence says
    so. Asked in this order: does not pay (high < margin), pays (low > 0), else cannot tell.

    "Cannot tell" says how many patients would settle it, n (h / h')^2: h is the distance from the difference to the
    farther end of the interval, and h' = max(difference, margin - difference) what h would have to fall below.

    Args:
        differences: (J,), NaN for a fold in which the metric is not defined.
        bootstrap_differences: (R,) means over folds of the same difference, one a draw.
        n_test, n_train: mean numbers of test and training patients of a fold.
        n_patients: number of different patients tested.
        metric: its label, as it stands in the sentence.
        best_single, best_fused, single_counts, fused_counts: see `Verdict`.
        margin: smallest gain worth having, 0 or more.

    Raises:
        ValueError: a negative margin, no fold, or numbers of patients that are not positive.
    """
    d = np.asarray(differences, dtype=np.float64)
    draws = np.asarray(bootstrap_differences, dtype=np.float64)
    if d.ndim != 1 or len(d) == 0 or draws.ndim != 1:
        raise ValueError(f"differences have shape {d.shape}: give one for each of one or more test folds")
    if not margin >= 0 or n_test <= 0 or n_train <= 0 or n_patients <= 0:
        raise ValueError(f"margin {margin} must not be negative, and the numbers of patients must be positive")

    known = d[np.isfinite(d)]
    mean = float(known.mean()) if len(known) >= max(1, (1 - MAX_MISSING) * len(d)) else math.nan
    low, high = _wider(corrected_interval(known, n_test, n_train), percentile_interval(draws))
    if math.isnan(mean) or math.isnan(low):
        mean = low = high = math.nan
    outcome, n_needed = CANNOT_TELL, None
    if high < margin:
        outcome = DOES_NOT_PAY
    elif low > 0:
        outcome = PAYS
    elif not math.isnan(mean):
        n_needed = patients_needed(mean, low, high, margin, n_patients)
    names = _name(best_fused, fused_counts, len(d)), _name(best_single, single_counts, len(d))
    sentence = _sentence(outcome, mean, low, high, margin, n_needed, metric, names, len(d), n_patients)
    return Verdict(
        outcome, mean, low, high, best_single, best_fused, sentence,
        dict(single_counts or {}), dict(fused_counts or {}), n_needed, margin,
    )  # fmt: skip


def corrected_interval(
    differences: Floats, n_test: float, n_train: float, confidence: float = CONFIDENCE
) -> tuple[float, float]:
    """The corrected resampled t interval of a mean over J folds that share training patients.

        mean(d) ± t(J - 1) sqrt( (1/J + n_test/n_train) var(d) ),    var with J - 1 in the denominator

    NaN for fewer than two folds. Source: Nadeau and Bengio 2003, doi:10.1023/A:1024068626366.
    """
    folds = len(differences)
    if folds < 2:
        return math.nan, math.nan
    error = math.sqrt((1 / folds + n_test / n_train) * float(differences.var(ddof=1)))
    half = float(stats.t.ppf((1 + confidence) / 2, folds - 1)) * error
    return float(differences.mean()) - half, float(differences.mean()) + half


def patients_needed(difference: float, low: float, high: float, margin: float, n_patients: int) -> int | None:
    """About how many patients would settle the question if the difference stayed, rounded up to two digits.

    None above a billion, as when the margin is zero and so is the difference: no study would settle it.
    """
    target = max(difference, margin - difference)
    half = max(difference - low, high - difference)
    if half**2 * n_patients >= _MOST_PATIENTS * target**2:
        return None
    needed = max(n_patients * (half / target) ** 2, float(n_patients + 1))
    unit = int(10 ** max(0, math.floor(math.log10(needed)) - 1))
    return math.ceil(needed / unit) * unit


def _wider(corrected: tuple[float, float], bootstrap: tuple[float, float]) -> tuple[float, float]:
    """The interval of the larger width. NaN without a bootstrap; the bootstrap where there is one fold only."""
    if math.isnan(bootstrap[0]) or math.isnan(corrected[0]):
        return bootstrap
    return corrected if corrected[1] - corrected[0] > bootstrap[1] - bootstrap[0] else bootstrap


def _name(best: str, counts: Mapping[str, int] | None, folds: int) -> str:
    often = (counts or {}).get(best, folds)
    return f"'{best}'" if often == folds else f"'{best}' (picked in {often} of {folds} folds)"


def _sentence(
    outcome: str,
    difference: float,
    low: float,
    high: float,
    margin: float,
    n_needed: int | None,
    metric: str,
    names: tuple[str, str],
    folds: int,
    n_patients: int,
) -> str:
    fused, single = names
    data = f"{n_patients:,} patients, {folds} test fold{'s' if folds > 1 else ''}"
    if math.isnan(difference):
        return (
            f"These data cannot tell whether combining modalities pays: the difference in {metric} between {fused} and "
            f"{single} is not estimable ({data}), because there are too few events, members of a class or different "
            f"values in the test folds."
        )
    digits = _digits(low, high, margin)
    gap, from_, to, least = (_number(value, digits) for value in (abs(difference), low, high, margin))
    verb = "beats" if difference > 0 else "falls behind"
    found = f"{fused} {verb} {single} by {gap} {metric} (95 % interval {from_} to {to}; {data})"
    if float(gap) == 0:
        found = (
            f"{fused} and {single} have about equal {metric} (difference {gap}, 95 % interval {from_} to {to}; {data})"
        )
    if outcome == DOES_NOT_PAY:
        text = f"Combining modalities does not pay: {found}, so any gain lies below the margin of {least}."
    elif outcome == PAYS:
        size = "" if low >= margin else f", though the gain may be smaller than the margin of {least}"
        text = f"Combining modalities pays: {found}, an interval above zero{size}."
    else:
        settle = f"; about {n_needed:,} patients would settle it" if n_needed else ""
        text = (
            f"These data cannot tell whether combining modalities pays: {found}, which holds both no gain and a gain "
            f"of {least} or more{settle}."
        )
    if folds == 1:
        text += (
            " With one split the interval is a bootstrap of its test patients only and says nothing of other splits."
        )
    return text


def _digits(low: float, high: float, margin: float) -> int:
    """Decimals, three or more, at which the rounded numbers stand to zero and the margin as the exact ones do."""

    def sides(x: float, y: float, m: float) -> tuple[bool, ...]:
        return (x > 0, x >= m, y >= m, y > 0)

    for digits in range(3, _MOST_DIGITS):
        if sides(round(low, digits), round(high, digits), round(margin, digits)) == sides(low, high, margin):
            return digits
    return _MOST_DIGITS


def _number(value: float, digits: int) -> str:
    """Fixed decimals, without the sign of a zero."""
    return f"{round(value, digits) + 0.0:.{digits}f}"
