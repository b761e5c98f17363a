"""How a recipe does in each declared subgroup of the tested patients: its metric, its calibration, the differences.

In each level of a column the primary metric is computed within each fold and averaged over folds, as for all patients;
calibration is that of all patients of the level who were tested in a repeat together. A level is compared with the
largest one of its column, on the same bootstrap draws for both. A level of fewer than 30 patients, or of fewer than 10
events or members of a class, is too few to say anything of, and nothing is computed for it. Nobody's level enters a
model. Of many comparisons some differ by chance: one interval in twenty misses zero where nothing differs.

Source: TRIPOD+AI (Collins et al. 2024, doi:10.1136/bmj-2023-078378), which asks for performance with its uncertainty in
each group that matters; no single index of fairness is made of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from chiasm.cohort.small_cells import LEAST, told
from chiasm.cohort.subgroups import Subgroup
from chiasm.evaluation.estimates import NOT_KNOWN, Estimate, draws_of_labels, estimate_of, mean_over_folds
from chiasm.evaluation.intervals import fold_values, one_label, tested_outcome
from chiasm.evaluation.stored_rows import table_of_rows
from chiasm.metrics.scores import METRICS, PRIMARY
from chiasm.metrics.weighted import Floats

if TYPE_CHECKING:
    from chiasm.evaluation.trial import Trial

PREFIX = "subgroup_"
"""Before the name of a subgroup's column in the table of outcomes."""
LEAST_PATIENTS, LEAST_EVENTS = 30, 10
TOO_FEW = "too few to say"
OTHERS = "others, fewer than five each"
"""Level that stands for all those of one to four patients, whose names are not told."""
MEASURES = ("calibration_slope", "calibration_intercept", "observed_expected")
ENDS = ("_t2", "_t1", "")
"""Ends of a measure's name: at the middle horizon where a target has several, at its only one, or without a time."""
COLUMNS = (
    *("recipe", "subgroup", "level", "n", "fewest", "said", "metric", "mean", "low", "high"),
    *("against", "difference", "difference_low", "difference_high"),
    *(f"{name}{end}" for name in MEASURES for end in ("", "_low", "_high")),
)

Part = tuple[float, Floats]
"""A value, and its draws (R,); of a target with labels there is one for each label."""


def subgroup_document(trial: Trial, subgroups: Sequence[Subgroup], recipes: Sequence[str]) -> dict[str, Any]:
    """What `trial.json` holds of the subgroups: how they are divided, and a row for each level of each recipe."""
    columns = [own.described() for own in subgroups]
    rows = [row for name in recipes for row in subgroup_rows(trial, name, columns)]
    return {"columns": columns, "least_patients": LEAST_PATIENTS, "least_events": LEAST_EVENTS, "rows": rows}


def subgroup_table(trial: Trial, recipe: str | None = None) -> pd.DataFrame:
    """Table of a trial's subgroups, `COLUMNS`: of the stored recipes, or of another one.

    Raises:
        ValueError: the cohort declared no subgroups, or there is no such recipe.
    """
    stored = trial.document.get("subgroups")
    if not stored:
        raise ValueError("the cohort of this trial declares no subgroups: name columns in [patients] subgroups")
    texts = ("recipe", "subgroup", "level", "said", "metric", "against")
    return table_of_rows(
        trial, recipe, stored["rows"], lambda name: subgroup_rows(trial, name, stored["columns"]), COLUMNS, texts
    )


def subgroup_rows(trial: Trial, recipe: str, columns: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Rows of one recipe: each level of each column, in order, then those of few patients, and without a filled cell.

    Levels of one to four tested patients are one row, `OTHERS`: a name that so few bear tells who they are. Labels are
    averaged over those that are estimable in each level that is told, so that levels are compared in the same ones.
    """
    tested = np.zeros(len(trial.outcomes), dtype=bool)
    for fold in trial.folds.values():
        tested[fold.patients] = True
    names, rows = measures_of(trial.kind), []
    for column in columns:
        level = trial.outcomes[PREFIX + column["column"]].to_numpy(str)
        here = {name: tested & (level == name) for name in column["levels"]}
        here = {name: own for name, own in here.items() if own.sum() >= LEAST}
        here[OTHERS] = tested & ~np.isin(level, ["", *here])
        here = {name: own for name, own in (here | {"": tested & (level == "")}).items() if own.any()}
        levels = list(here)
        enough = [name for name in levels if not too_few(trial, here[name])]
        scores = {name: level_scores(trial, recipe, here[name], [PRIMARY[trial.kind], *names]) for name in enough}
        scores = in_the_same_labels(scores)
        whole = [name for name in enough if name not in ("", OTHERS)]
        against = max(whole, key=lambda name: int(here[name].sum()), default="")
        for name in levels:
            n = told(int(here[name].sum()))
            row: dict[str, Any] = {
                **dict.fromkeys(COLUMNS),
                "recipe": recipe,
                "subgroup": column["column"],
                "level": name,
                "n": n,
                "fewest": None if n is None else told(fewest_of(trial, here[name])),
                "said": "" if name in scores else TOO_FEW,
                "metric": PRIMARY[trial.kind],
            }
            if name in scores:
                own = scores[name]
                row |= numbers_of("", estimate_of_parts(own[PRIMARY[trial.kind]]), ("mean", "low", "high"))
                for key, short in zip(names, MEASURES, strict=True):
                    found = NOT_KNOWN if key is None else estimate_of_parts(own[key])
                    row |= numbers_of(short, found, ("", "_low", "_high"))
                if name and against and name != against:
                    apart = difference(own[PRIMARY[trial.kind]], scores[against][PRIMARY[trial.kind]])
                    row |= {"against": against, **numbers_of("difference", apart, ("", "_low", "_high"))}
            rows.append(row)
    return rows


def in_the_same_labels(scores: Mapping[str, dict[str, list[Part]]]) -> dict[str, dict[str, list[Part]]]:
    """Keep of each metric the parts that have a value in every level which has any; all where none has one in each."""
    found = {name: dict(own) for name, own in scores.items()}
    for key in {key for own in scores.values() for key in own}:
        known = [np.isfinite([point for point, _ in own[key]]) for own in scores.values()]
        known = [own for own in known if own.any()]
        both = np.all(known, axis=0) if known else np.zeros(0, dtype=bool)
        if both.any() and len(both) > 1:
            for name, own in scores.items():
                found[name][key] = [
                    part if kept else (np.nan, np.zeros(0)) for part, kept in zip(own[key], both, strict=True)
                ]
    return found


def measures_of(kind: str) -> list[str | None]:
    """The metric of a kind of target for each of `MEASURES`, at its middle horizon where it has any; None without."""
    there = {metric.id for metric in METRICS[kind]}
    return [next((name + end for end in ENDS if name + end in there), None) for name in MEASURES]


def fewest_of(trial: Trial, here: NDArray[np.bool_]) -> int:
    """Size of the smallest group that a score of the patients `here` (N,) rests on: events, or members of a class."""
    outcome = trial.all_outcomes.take(np.flatnonzero(here))
    return trial.target.rarest(outcome, len(trial.classes)) if here.any() else 0


def too_few(trial: Trial, here: NDArray[np.bool_]) -> bool:
    """True if the patients `here` (N,) are too few to say how a model does among them."""
    return int(here.sum()) < LEAST_PATIENTS or fewest_of(trial, here) < LEAST_EVENTS


def level_scores(
    trial: Trial, recipe: str, here: NDArray[np.bool_], metrics: Sequence[str | None]
) -> dict[str, list[Part]]:
    """Values and draws of these metrics among the patients `here` (N,), for each label apart where there are labels."""
    chosen = [(key, np.flatnonzero(here[fold.patients])) for key, fold in trial.folds.items()]
    chosen = [(key, rows) for key, rows in chosen if len(rows)]
    folds = [trial.folds[key].take(rows) for key, rows in chosen]
    frames = [trial.frames[recipe][key].iloc[rows] for key, rows in chosen]
    names = [name for name in metrics if name is not None]
    labels = range(len(trial.classes)) if trial.target.has_labels else [None]
    found: dict[str, list[Part]] = {name: [] for name in names}
    for label in labels:
        own = (folds, frames, list(trial.classes)) if label is None else one_label(folds, frames, trial.classes, label)
        rare = label is not None and trial.target.rarest(tested_outcome(own[0]), 1) < LEAST_EVENTS
        values = {} if rare else fold_values(trial.kind, *own, trial.draws, names)
        for name in names:
            point, drawn = values.get(name, (np.full((1, 1), np.nan), np.zeros((1, 0))))
            found[name].append((float(mean_over_folds(point)[0]), mean_over_folds(drawn)))
    return found


def estimate_of_parts(parts: Sequence[Part]) -> Estimate:
    """Estimate the mean over the parts that have a value."""
    kept = [own for own in parts if np.isfinite(own[0])]
    if len(parts) == 1 or not kept:
        return estimate_of(*parts[0]) if len(parts) == 1 else NOT_KNOWN
    return estimate_of(float(np.mean([point for point, _ in kept])), draws_of_labels([d[None] for _, d in kept]))


def difference(ours: Sequence[Part], theirs: Sequence[Part]) -> Estimate:
    """Estimate ours less theirs, over the parts that have a value in both."""
    pairs = []
    for (a, drawn_a), (b, drawn_b) in zip(ours, theirs, strict=True):
        if np.isfinite(a) and np.isfinite(b):
            both = len(drawn_a) and len(drawn_b)
            pairs.append((a - b, drawn_a - drawn_b if both else np.zeros(0)))
    return estimate_of_parts(pairs) if pairs else NOT_KNOWN


def numbers_of(name: str, found: Estimate, ends: Sequence[str]) -> dict[str, float]:
    """The value and the two ends of an estimate under their names in a row."""
    return {name + end: value for end, value in zip(ends, (found.mean, found.low, found.high), strict=True)}
