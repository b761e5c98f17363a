"""Bootstrap intervals of a trial, which resample patients within test folds.

A patient (or group) is drawn once for the whole trial, so that its count in a draw is the same for every recipe and in
every repeat of the cross-validation. A metric is computed within each test fold and averaged over folds, each counting
the same however many patients it has; calibration and scaled losses, which do not compare patients with each other, are
pooled over the folds of a repeat and averaged over repeats.
The intervals are conditional on the fitted models: they reflect the sampling of test patients, not of training sets.
Where the patients of a fold are all of one group, a draw holds them equally often, and the metric is the same in each:
there is nothing to draw. The other folds alone would give too narrow an interval for the mean over all, so that there
is none unless every fold with a value can be drawn. It is decided here (`all_redrawn`), for whoever asks for one.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from chiasm.evaluation.estimates import Estimate, estimate, estimate_of_labels, mean_over_folds, mean_over_labels
from chiasm.metrics.scores import MIN_EVENTS, PRIMARY, chosen_metrics, estimable, scorable, score, score_pooled
from chiasm.metrics.weighted import Floats
from chiasm.targets import Outcome, kind_of

Counts = NDArray[np.uint16]


@dataclass(frozen=True)
class TestFold:
    """Patients tested in one fold of one repeat, with their outcomes.

    Args:
        repeat: index of the repeat, from 0.
        fold: name of the fold.
        patients: (n,) int, their rows in the cohort.
        outcome: their outcomes, in that order.
        train: outcomes of the patients that the models of this fold were trained on.
        groups: (n,) group labels, or None. Patients of a group are drawn together, and a group lies in one fold.
    """

    repeat: int
    fold: str
    patients: NDArray[np.intp]
    outcome: Outcome
    train: Outcome
    groups: NDArray[np.str_] | None = None

    __test__ = False  # tells pytest that this class is not a test

    def __post_init__(self) -> None:
        n = len(self.patients)
        if len(self.outcome.value) != n or (self.groups is not None and len(self.groups) != n):
            raise ValueError(f"fold '{self.fold}' has {n} patients but not as many outcomes or groups")

    @property
    def n_train(self) -> int:
        return len(self.train.value)

    def take(self, rows: NDArray[np.intp] | NDArray[np.bool_]) -> TestFold:
        """Restrict the fold to some of its patients, e.g. those with one pattern of modalities; `train` stays."""
        groups = None if self.groups is None else self.groups[rows]
        return replace(self, patients=self.patients[rows], outcome=self.outcome.take(rows), groups=groups)

    def label(self, number: int) -> TestFold:
        """Restrict the fold to one of several labels; patients with an unknown label stay, as unknown."""
        value, trained = self.outcome.value[:, [number]], self.train.value[:, [number]]
        return replace(
            self,
            outcome=Outcome(value, None, ~np.isnan(value[:, 0])),
            train=Outcome(trained, None, ~np.isnan(trained[:, 0])),
        )


Tested = tuple[TestFold, pd.DataFrame]
"""A fold with what a recipe predicts for its patients, in their order."""


def bootstrap_weights(n: int, draws: int, rng: np.random.Generator, groups: ArrayLike | None = None) -> Counts:
    """Draw bootstrap counts: how often each of n patients occurs in each draw.

    Args:
        n: number of patients.
        draws: number of draws, R.
        rng: random generator.
        groups: (n,) labels; whole groups are drawn, as many as there are, and all patients of a group share its count.

    Returns:
        (R, n) counts; without groups each row sums to n.
    """
    if groups is None:
        return _multinomial(n, draws, rng)
    unique, member = np.unique(np.asarray(groups), return_inverse=True)
    if len(member) != n:
        raise ValueError(f"{len(member)} group labels for {n} patients: give one a patient")
    return _multinomial(len(unique), draws, rng)[:, member]


def patient_draws(folds: Sequence[TestFold], n_patients: int, draws: int, seed: int) -> Counts:
    """Draw one bootstrap for a whole trial: counts over the cohort, from which each fold takes its columns.

    Patients are drawn within strata. A stratum holds the patients who are first tested by the same fold, in the order
    of (repeat, fold). With k-fold cross-validation the strata are the folds of the first repeat, which thus keep their
    size; in later repeats the same patient has the same count, and the size of a fold varies between draws.

    Args:
        folds: all test folds of the trial.
        n_patients: number of rows of the cohort, N.
        draws: number of draws, R.
        seed: seed of the bootstrap; the same folds and seed give the same draws.

    Returns:
        (R, N) counts, zero for a patient who is never tested. A fold uses `draws[:, fold.patients]`.
    """
    counts = np.zeros((draws, n_patients), dtype=np.uint16)
    drawn = np.zeros(n_patients, dtype=np.bool_)
    rng = np.random.default_rng(seed)
    for fold in sorted(folds, key=lambda fold: (fold.repeat, fold.fold)):
        new = ~drawn[fold.patients]
        rows = fold.patients[new]
        if len(rows):
            groups = None if fold.groups is None else fold.groups[new]
            counts[:, rows] = bootstrap_weights(len(rows), draws, rng, groups)
            drawn[rows] = True
    return counts


def redrawn(draws: Counts, folds: Sequence[TestFold]) -> bool:
    """Return True if a draw counts some patients of these folds otherwise than others, among those of known outcome.

    Patients of one group are counted alike. The only group of a fold is counted the same in every draw, and where one
    of several folds is so, the folds together are not drawn again either.

    Args:
        draws: (R, N) counts over the cohort.
        folds: one fold, or those of a repeat, whose patients are pooled.
    """
    known = [rows for fold in folds if len(rows := fold.patients[fold.outcome.known])]
    if not known or any((draws[:, rows] == draws[:1, rows[:1]]).all() for rows in known):
        return False
    counts = draws[:, np.concatenate(known)]
    return bool((counts != counts[:, :1]).any())


def all_redrawn(points: Floats, can: Sequence[bool]) -> bool:
    """Return True if every fold that has a value can be drawn again, and there is one that can.

    Args:
        points: (J, 1) values in the folds, or in the repeats for a pooled metric; NaN where there is none.
        can: J answers of `redrawn`.
    """
    return any(can) and bool(np.all(np.isnan(points[:, 0]) | np.asarray(can)))


def fold_metric_draws(
    kind: str,
    predictions: pd.DataFrame,
    fold: TestFold,
    classes: Sequence[str] = (),
    weights: ArrayLike | None = None,
    metrics: Collection[str] | None = None,
) -> dict[str, Floats]:
    """Compute the metrics of one model on one test fold, for each draw: {metric id: (R,)}.

    `predictions` has a row for each of `fold.patients`, in that order; `weights` is `draws[:, fold.patients]`, or None
    for the point estimate. NaN where the metric is undefined. The minimum number of events applies to a whole trial
    (`trial_estimable`), not to each fold, since the mean over small folds is sound where one fold alone is not.
    """
    return score(kind, predictions, fold.outcome, classes, weights, fold.train, metrics, min_events=0)


def trial_estimable(kind: str, folds: Sequence[TestFold], n_classes: int = 0, *, min_events: int = MIN_EVENTS) -> bool:
    """Apply `scores.estimable` to all tested patients together, each counted once whatever the number of repeats."""
    return bool(folds) and estimable(kind, tested_outcome(folds), n_classes, min_events=min_events)


def tested_outcome(folds: Sequence[TestFold]) -> Outcome:
    """Outcomes of all tested patients together, each patient once."""
    patients = np.concatenate([fold.patients for fold in folds])
    first = np.unique(patients, return_index=True)[1]
    events = [fold.outcome.event for fold in folds if fold.outcome.event is not None]
    causes = [fold.outcome.cause for fold in folds if fold.outcome.cause is not None]
    return Outcome(
        np.concatenate([fold.outcome.value for fold in folds])[first],
        np.concatenate(events)[first] if len(events) == len(folds) else None,
        np.concatenate([fold.outcome.known for fold in folds])[first],
        np.concatenate(causes)[first] if len(causes) == len(folds) else None,
    )


def scorable_folds(kind: str, folds: Sequence[TestFold]) -> list[TestFold]:
    """Mask the labels that are too rare among all tested patients (`scores.scorable`), the same ones in each fold."""
    if not kind_of(kind).has_labels or not folds:
        return list(folds)
    kept = ~np.isnan(scorable(kind, tested_outcome(folds)).value).all(axis=0)  # (K,)
    cut = []
    for fold in folds:
        value = np.where(kept, fold.outcome.value, np.nan)
        cut.append(replace(fold, outcome=Outcome(value, None, np.asarray(~np.isnan(value).all(axis=1)))))
    return cut


def trial_scores(
    kind: str,
    folds: Sequence[TestFold],
    predictions: Sequence[pd.DataFrame],
    classes: Sequence[str],
    draws: Counts,
    metrics: Collection[str] | None = None,
) -> dict[str, Estimate]:
    """Estimate each metric of one recipe: the mean over test folds (repeats if pooled) and its interval from `draws`.

    Args:
        kind, classes, metrics: as for `scores.score`.
        folds: J test folds, of one or several repeats.
        predictions: J frames, aligned with the patients of each fold.
        draws: (R, N) counts from `patient_draws`, the same for every recipe that is compared.

    Returns:
        {metric id: estimate}; one without an interval where the patients of a fold with a value are of one group.
    """
    if kind_of(kind).has_labels:
        several = [
            fold_values(kind, *one_label(folds, predictions, classes, k), draws, metrics) for k in range(len(classes))
        ]
        names = several[0] if several and folds else {}
        return {name: estimate_of_labels([values[name] for values in several]) for name in names}
    values = fold_values(kind, folds, predictions, classes, draws, metrics)
    return {name: estimate(point, drawn) for name, (point, drawn) in values.items()}


def fold_values(
    kind: str,
    folds: Sequence[TestFold],
    predictions: Sequence[pd.DataFrame],
    classes: Sequence[str],
    draws: Counts,
    metrics: Collection[str] | None = None,
) -> dict[str, tuple[Floats, Floats]]:
    """Compute each metric within each fold, (J, 1), and in each draw, (J, R); all NaN if there are too few events.

    For a pooled metric J is the number of repeats, because the folds of a repeat form one set of patients. The draws
    are (J, 0) where a fold, or such a set, has a value and cannot be drawn otherwise (`all_redrawn`).
    """
    enough = trial_estimable(kind, folds, len(classes))
    both = list(zip(folds, predictions, strict=True))
    repeats = [[pair for pair in both if pair[0].repeat == repeat] for repeat in sorted({own.repeat for own in folds})]

    def of_fold(part: Sequence[Tested], names: Sequence[str], counts: Counts | None) -> dict[str, Floats]:
        ((fold, frame),) = part
        weights = None if counts is None else counts[:, fold.patients]
        return fold_metric_draws(kind, frame, fold, classes, weights, names)

    def of_repeat(part: Sequence[Tested], names: Sequence[str], counts: Counts | None) -> dict[str, Floats]:
        weights = [None if counts is None else counts[:, fold.patients] for fold, _ in part]
        parts = [(frame, fold.outcome, fold.train, own) for (fold, frame), own in zip(part, weights, strict=True)]
        return score_pooled(kind, parts, classes, names)

    found: dict[str, tuple[Floats, Floats]] = {}
    for pooled, values, parts in ((False, of_fold, [[pair] for pair in both]), (True, of_repeat, repeats)):
        names = [metric.id for metric in chosen_metrics(kind, metrics) if metric.pooled == pooled]
        if not names or not parts:
            continue
        each = [values(part, names, None) for part in parts]
        point = {name: np.stack([own[name] if enough else np.full(1, np.nan) for own in each]) for name in names}
        can = [redrawn(draws, [fold for fold, _ in part]) for part in parts]
        wanted = [name for name in names if all_redrawn(point[name], can)]
        drawn = [values(part, wanted, draws) if wanted and enough else {} for part in parts]
        unknown = np.full(len(draws), np.nan)
        for name in names:
            rows = [own.get(name, unknown if name in wanted else np.zeros(0)) for own in drawn]
            found[name] = point[name], np.stack(rows)
    return found


def one_label(
    folds: Sequence[TestFold], predictions: Sequence[pd.DataFrame], labels: Sequence[str], number: int
) -> tuple[list[TestFold], list[pd.DataFrame], list[str]]:
    """Restrict folds, predictions and label names to one of several labels."""
    column = f"p_{labels[number]}"
    return [fold.label(number) for fold in folds], [frame[[column]] for frame in predictions], [labels[number]]


def trial_differences(
    kind: str,
    folds: Sequence[TestFold],
    combined: Sequence[pd.DataFrame],
    single: Sequence[pd.DataFrame],
    classes: Sequence[str],
    draws: Counts,
) -> tuple[Floats, Floats]:
    """Compute the difference in the primary metric between the `combined` and the `single` predictions.

    Args:
        combined, single: J frames each, from the recipes picked in each fold, aligned with the patients of the fold.
        kind, folds, classes, draws: as for `trial_scores`.

    Returns:
        (J,) differences in the folds and (R,) means over folds in the draws, which are the same for both sides, R = 0
        where there is nothing to draw. All are NaN when the trial has too few events (`trial_estimable`).
    """
    name = PRIMARY[kind]

    def apart(ours: tuple[Floats, Floats], theirs: tuple[Floats, Floats]) -> tuple[Floats, Floats]:
        return ours[0] - theirs[0], ours[1] - theirs[1]

    if not kind_of(kind).has_labels:
        sides = [fold_values(kind, folds, frames, classes, draws, [name])[name] for frames in (combined, single)]
        point, drawn = apart(*sides)
        return point[:, 0], mean_over_folds(drawn)
    several = []
    for k in range(len(classes)):
        sides = [fold_values(kind, *one_label(folds, f, classes, k), draws, [name])[name] for f in (combined, single)]
        several.append(apart(*sides))
    return mean_over_labels(several)


def _multinomial(n: int, draws: int, rng: np.random.Generator) -> Counts:
    if n == 0:
        return np.zeros((draws, 0), dtype=np.uint16)
    return rng.multinomial(n, np.full(n, 1 / n), size=draws).astype(np.uint16)
