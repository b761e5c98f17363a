"""Test whether having a modality goes with the outcome: absence that a model may read as signal."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtrc  # type: ignore[import-untyped]  # the upper tail of chi-squared

from chiasm.cohort.cohort import Cohort
from chiasm.errors import Problem, warning

BY_CHANCE = 0.001  # over all modalities and labels together (Bonferroni)
FEWEST = 5  # patients who have it, and who lack it

Bools = NDArray[np.bool_]
Array = NDArray[np.float64]


def presence_problems(cohort: Cohort) -> list[Problem]:
    """Warn about each modality whose presence goes with the outcome, p < .001 over all modalities together.

    The test is chi-squared for classes, Fisher's exact one for two classes and for each of several labels, the rank sum
    test for a number and the log-rank test for times.
    """
    outcome, target = cohort.outcome, cohort.target
    if outcome is None or target is None or not outcome.known.any():
        return []
    known = outcome.known
    tested = {
        name: cohort.present[known, m]
        for m, name in enumerate(cohort.modalities)
        if FEWEST <= cohort.present[known, m].sum() <= known.sum() - FEWEST
    }
    if not tested:
        return []
    found, value = [], target.in_one_number(outcome)[known]
    for name, has in tested.items():
        if target.has_classes:
            p, strength = _of_classes(has, value)
        elif target.has_labels:
            p, strength = _of_labels(has, value, target.names)
        elif target.has_times and outcome.event is not None:
            p, strength = log_rank(has, value, outcome.event[known])
        else:
            p, strength = _of_numbers(has, value)
        if p * len(tested) < BY_CHANCE:
            what = f"whether a patient has the modality goes with the outcome ({strength})"
            fix = "look why it was gathered for these patients: a recipe may score by absence alone, see `presence`"
            path = cohort.sources[name].path
            found.append(warning(what, fix, path=path, modality=name, finding="presence-follows-outcome"))
    return found


def _auroc(value: float) -> str:
    return f"AUROC {max(value, 1 - value):.2f}"


def _of_numbers(has: Bools, value: Array) -> tuple[float, str]:
    from scipy import stats  # type: ignore[import-untyped]  # half a second, where it is needed

    test = stats.mannwhitneyu(value[has], value[~has])
    return float(test.pvalue), _auroc(float(test.statistic) / (has.sum() * (~has).sum()))


def _of_classes(has: Bools, codes: Array) -> tuple[float, str]:
    from scipy import stats  # half a second, where it is needed

    classes, places = np.unique(codes, return_inverse=True)
    table = np.stack([np.bincount(places[own], minlength=len(classes)) for own in (has, ~has)])  # (2, K)
    if len(classes) < 2:
        return 1.0, ""
    if len(classes) == 2:
        shares = table / table.sum(axis=0)
        return float(stats.fisher_exact(table).pvalue), _auroc(0.5 + (shares[0, 1] - shares[0, 0]) / 2)
    test = stats.chi2_contingency(table, correction=False)
    return float(test.pvalue), f"Cramer's V {np.sqrt(test.statistic / table.sum()):.2f}"


def _of_labels(has: Bools, value: Array, columns: tuple[str, ...]) -> tuple[float, str]:
    best, strength = 1.0, ""
    for column, label in zip(value.T, columns, strict=True):
        known = ~np.isnan(column)
        p, how = _of_classes(has[known], column[known]) if has[known].any() and not has[known].all() else (1.0, "")
        if p < best:
            best, strength = p, f"{how} for label '{label}'"
    return best * len(columns), strength


def log_rank(member: Bools, time: Array, event: Bools) -> tuple[float, str]:
    """Log-rank test of members against others: its p, and the observed over the expected events of members as text."""
    order = np.argsort(time, kind="stable")
    time, member, event = time[order], member[order], event[order]
    starts = np.flatnonzero(np.diff(time, prepend=-np.inf))
    n = len(time)
    at_risk = (n - starts).astype(float)
    of_members = member[::-1].cumsum()[::-1][starts].astype(float)
    events = np.add.reduceat(event.astype(float), starts)
    among_members = np.add.reduceat((event & member).astype(float), starts)
    expected = events * of_members / at_risk
    spread = np.divide(at_risk - events, at_risk - 1, out=np.zeros_like(at_risk), where=at_risk > 1)
    variance = float((expected * (1 - of_members / at_risk) * spread).sum())
    if variance <= 0 or expected.sum() <= 0:
        return 1.0, ""
    difference = float(among_members.sum() - expected.sum())
    ratio = float(among_members.sum() / expected.sum())
    return float(chdtrc(1, difference**2 / variance)), f"observed over expected events {ratio:.2f}"
