"""External validation: scores of fitted models on the patients of another cohort, whom none of them has seen.

The patients are one test set: nothing is averaged over folds. What a metric compares with, the null model and the
distribution of censoring, is taken from these patients themselves unless outcomes are given, as `riskRegression::Score`
and `timeROC` of R do: a model does not keep when its training patients were censored, and how long another hospital
follows its patients is that hospital's own. Horizons are those at which the model predicts survival.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from chiasm.cohort import Cohort, Outcome, Unsupported
from chiasm.evaluation.answered_places import place_rows
from chiasm.evaluation.decisions import d_calibration_rows, decision_rows
from chiasm.evaluation.description import describe_cohort, units_in
from chiasm.evaluation.estimates import NOT_KNOWN, Estimate, estimate_of
from chiasm.evaluation.intervals import trial_differences, trial_scores
from chiasm.evaluation.protocol import Protocol
from chiasm.evaluation.run import kept_together
from chiasm.evaluation.subgroups import subgroup_document
from chiasm.evaluation.summary import outcome_table, plain, versions
from chiasm.evaluation.trial import SCHEMA, Trial, main_events
from chiasm.metrics.scores import METRICS, MIN_EVENTS, PRIMARY, horizons_of
from chiasm.metrics.time_dependent import PLACES, place_of

FOLD = "external"
ENDS = tuple(f"_t{place + 1}" for place in range(PLACES))
OWN, OTHERS = "the validated patients", "other patients"
"""Whose outcomes the null model and the censoring are taken from."""
AGAINST_TRAINING = frozenset({"r2_null", "bits_per_spike"})
"""Metrics that mean nothing without outcomes of training patients."""


@dataclass(frozen=True)
class External:
    """Scores of one or several models on the same new patients.

    Args:
        trial: the predictions, outcomes and scores as a trial of one test set, without a verdict.
        left_out: why patients of the cohort are not scored, each with their number.
        own_reference: True if the null model and the censoring are those of the new patients themselves.
    """

    trial: Trial
    left_out: Mapping[str, int]
    own_reference: bool

    @property
    def patients(self) -> int:
        """Number of patients who are scored."""
        return len(self.trial.outcomes)

    @property
    def events(self) -> int | None:
        """Number of events among them, of competing risks of the main cause; None for an outcome without events."""
        return main_events(self.trial.outcomes)

    def as_json(self) -> dict[str, Any]:
        """What was scored on whom, by counts and scores alone: no identifier and no value of a patient."""
        protocol = self.trial.document["protocol"]
        told: dict[str, Any] = plain(
            {
                "cohort": self.trial.document["cohort"],
                "patients": self.patients,
                "events": self.events,
                "left_out": dict(self.left_out),
                "reference": OWN if self.own_reference else OTHERS,
                "bootstrap": {key: protocol[key] for key in ("draws", "seed", "by")},
                "recipes": self.trial.document["recipes"],
            }
        )
        return told

    @property
    def scores(self) -> dict[str, dict[str, Estimate]]:
        """Every metric of every model with its 95 % interval, by name and id; NaN where it is not estimable."""
        return {
            row["name"]: {key: known_estimate(entry) for key, entry in row["metrics"].items()}
            for row in self.trial.document["recipes"]
        }

    def table(self) -> pd.DataFrame:
        """Table of the scores: recipe, metric, label, mean, low, high (NaN if not estimable)."""
        rows = [
            {"recipe": name, "metric": metric.id, "label": metric.label, **asdict(found[metric.id])}
            for name, found in self.scores.items()
            for metric in METRICS[self.trial.kind]
            if metric.id in found
        ]
        return pd.DataFrame(rows, columns=["recipe", "metric", "label", "mean", "low", "high"])

    def patterns(self) -> pd.DataFrame:
        """Table of the primary metric for each model and pattern of modalities, with n, events and interval."""
        return self.trial.patterns()

    def difference(self, recipe: str, against: str) -> Estimate:
        """Difference in the primary metric between two models, with the interval from the same draws for both."""
        trial, (key,) = self.trial, self.trial.folds
        ours, theirs = ([trial.frames[name][key]] for name in (recipe, against))
        point, drawn = trial_differences(trial.kind, [trial.folds[key]], ours, theirs, trial.classes, trial.draws)
        return estimate_of(float(point[0]), drawn)


def score_external(
    cohort: Cohort,
    predictions: Mapping[str, pd.DataFrame],
    *,
    reference: Outcome | None = None,
    by: str | None = None,
    draws: int = 1000,
    seed: int = 0,
    described: Mapping[str, Mapping[str, Any]] | None = None,
) -> External:
    """Score predictions for patients with known outcomes, each metric with its bootstrap interval.

    Patients are drawn; groups, and with `by="site"` sites, are drawn as a whole. A metric that too few patients or
    events carry is not estimable.

    Args:
        cohort: the new patients with their outcomes; patients of unknown outcome, or with no modality, are left out and
            counted. Its modalities are those that the models may use.
        predictions: name to what a model predicts, a row for each patient that is not left out, indexed by identifier.
        reference: outcomes from which the null model and the distribution of censoring are taken, such as those of the
            training patients of the same population; None takes the new patients' own.
        described: name to what is to be said of the model beside its scores: `side`, `family`, `trained_parameters`.

    Raises:
        Unsupported: no target, or nobody to score.
        ValueError: a patient without a prediction, columns that do not fit the kind of target, or an unknown `by`.
    """
    used, left_out = scored_patients(cohort)
    assert used.target is not None and used.outcome is not None
    together = kept_together(used, Protocol(by=by, draws=draws))
    kind, names = used.target.kind, list(predictions)
    nowhere = not_reached(list(predictions.values()))
    metrics = [
        metric.id
        for metric in METRICS[kind]
        if (reference is not None or metric.id not in AGAINST_TRAINING) and not metric.id.endswith(nowhere)
    ]
    document: dict[str, Any] = {
        "schema": SCHEMA,
        "cohort": {**describe_cohort(used, sum(left_out.values())), "units": units_in(together)},
        "protocol": {"draws": draws, "seed": seed, "by": by, "test_folds": 1, "n_test": len(used)},
        "versions": versions(),
        "recipes": [],
        "findings": [],
        "contrasts": [],
        "verdict": None,
    }
    if used.target.has_times:
        document["cohort"]["target"]["times"] = shared_horizons(list(predictions.values()))
    table = pd.concat([_rows(used, name, predictions[name]) for name in names], ignore_index=True)
    trial = Trial(
        document, table, outcome_table(used, together), reference=used.outcome if reference is None else reference
    )
    (key,) = trial.folds
    for name in names:
        scores = trial_scores(kind, [trial.folds[key]], [trial.frames[name][key]], trial.classes, trial.draws, metrics)
        if used.target.has_times:
            scores |= dict.fromkeys(too_few_by(kind, used.outcome, horizons_of(predictions[name])), NOT_KNOWN)
        primary = PRIMARY[kind]
        row = {"name": name, "family": "", "side": "combined", "paper": "", "seconds": 0.0, "trained_parameters": 0}
        row |= {**(described or {}).get(name, {}), "metric": primary, **asdict(scores[primary])}
        document["recipes"].append(plain({**row, "metrics": {key: asdict(own) for key, own in scores.items()}}))
    document["decisions"] = plain(decision_rows(trial, names))
    if used.target.has_options:
        document["places"] = plain(place_rows(trial, names))
    document["d_calibration"] = plain(d_calibration_rows(trial, names))
    if used.subgroups:
        document["subgroups"] = plain(subgroup_document(trial, used.subgroups, names))
    return External(trial, left_out, reference is None)


def scored_patients(cohort: Cohort) -> tuple[Cohort, dict[str, int]]:
    """Restrict the cohort to the patients who can be scored, and count the others by why they cannot.

    Raises:
        Unsupported: no target, or nobody to score.
    """
    if cohort.target is None or cohort.outcome is None:
        raise Unsupported(
            f"the cohort '{cohort.name}' has no target, and predictions are scored by what came of the patients: name "
            "the column in [target], or give target=... to cohort_from_frames"
        )
    known, has_any = cohort.outcome.known, cohort.present.any(1)
    left_out = {
        "their outcome is not known": int((~known).sum()),
        "they have none of the model's modalities": int((known & ~has_any).sum()),
    }
    keep = known & has_any
    if not keep.any():
        raise Unsupported(
            f"no patient of '{cohort.name}' has both a known outcome and a modality of the model: there is nothing to "
            "score"
        )
    return cohort if keep.all() else cohort.subset(keep), {why: n for why, n in left_out.items() if n}


def shared_horizons(predictions: Sequence[pd.DataFrame]) -> list[float]:
    """Horizons of the predictions, to four digits; empty where the models have different ones, or none."""
    own = {horizons_of(frame) for frame in predictions}
    return [float(f"{time:.4g}") for time in own.pop()] if len(own) == 1 else []


def not_reached(predictions: Sequence[pd.DataFrame]) -> tuple[str, ...]:
    """Ends of the metrics at horizons that no prediction has: with two horizons nothing stands at the third."""
    most = max((len(horizons_of(frame)) for frame in predictions), default=0)
    return tuple(end for place, end in enumerate(ENDS) if place_of(most, place) is None)


def too_few_by(kind: str, outcome: Outcome, horizons: Sequence[float]) -> list[str]:
    """Metrics at the horizons by which fewer than `MIN_EVENTS` patients had the event, or were known not to.

    Of competing risks, who had another cause by then is known never to have the main one.
    """
    event = outcome.main_event
    assert event is not None and outcome.event is not None
    never = outcome.event & ~event
    lacking = []
    for place, end in enumerate(ENDS):
        number = place_of(len(horizons), place)
        if number is not None:
            time = horizons[number]
            happened, free = int((event & (outcome.value <= time)).sum()), int((never | (outcome.value > time)).sum())
            lacking += [end] if min(happened, free) < MIN_EVENTS else []
    return [metric.id for metric in METRICS[kind] if metric.id.endswith(tuple(lacking))]


def known_estimate(entry: Mapping[str, float | None]) -> Estimate:
    """Read an estimate from a document, in which None stands for not estimable, or for no interval."""
    found = (entry[name] for name in ("mean", "low", "high"))
    return Estimate(*(np.nan if value is None else float(value) for value in found))


def _rows(cohort: Cohort, name: str, predicted: pd.DataFrame) -> pd.DataFrame:
    """Rows of one model in the table of predictions, with the cohort's patterns."""
    lacking = len(set(cohort.ids.tolist()) - set(predicted.index))
    if lacking:
        raise ValueError(f"'{name}' predicts nothing for {lacking:,} of {len(cohort):,} patients: predict every one")
    own = predicted.loc[list(cohort.ids)].drop(columns="pattern", errors="ignore").reset_index(drop=True)
    first = {
        "recipe": name,
        "repeat": 0,
        "fold": FOLD,
        "patient": cohort.ids.astype(object),
        "pattern": cohort.pattern().astype(object),
    }
    return pd.concat([pd.DataFrame(first, index=own.index), own], axis=1)
