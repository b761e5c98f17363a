"""From predictions to the document of a trial: scores with intervals, the picks on inner folds, the verdict."""

from __future__ import annotations

import math
import platform
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from chiasm.cohort import Cohort, Multilabel, class_names
from chiasm.cohort.stratify import fewest
from chiasm.evaluation.fits import Fit
from chiasm.evaluation.intervals import scorable_folds, trial_differences, trial_scores
from chiasm.evaluation.metrics import METRICS, PRIMARY, score
from chiasm.evaluation.protocol import Protocol, Split, uses_given_folds
from chiasm.evaluation.sides import COMBINED, SINGLE, side_of, sides_of
from chiasm.evaluation.trial import SCHEMA, VALUE_OF, Trial
from chiasm.evaluation.verdict import Verdict, decide

Inner = Mapping[tuple[str, int, str], float]  # (recipe, repeat, fold) -> mean primary metric over its inner folds
PACKAGES = ("chiasm", "torch", "numpy", "pandas", "scikit-learn", "scipy", "lifelines")


def summarise(
    cohort: Cohort, excluded: int, recipes: Sequence[Any], protocol: Protocol, seed: int,
    splits: Sequence[Split], fits: Sequence[Fit], inner: Inner,
) -> Trial:  # fmt: skip
    """The trial that these outer fits and inner scores make."""
    predictions = prediction_table(splits, fits)
    outcomes = outcome_table(cohort)
    document: dict[str, Any] = {
        "schema": SCHEMA,
        "cohort": describe_cohort(cohort, excluded),
        "protocol": {
            **protocol.as_json(),
            "seed": seed,
            "given_folds": uses_given_folds(cohort, protocol),
            "test_folds": len(splits),
            "n_train": float(np.mean([len(split.train) for split in splits])),
            "n_test": float(np.mean([len(split.test) for split in splits])),
        },
        "versions": versions(),
        "recipes": [],
        "verdict": None,
    }
    trial = Trial(document, predictions, outcomes)
    by_recipe: dict[str, dict[str, Fit]] = {}
    for fit in fits:
        by_recipe.setdefault(fit.recipe, {})[fit.split] = fit
    sides = sides_of(recipes, cohort)
    for recipe in recipes:
        described = describe_recipe(trial, recipe, by_recipe[recipe.name], splits, inner)
        document["recipes"].append({**described, "side": sides[recipe.name]})
    verdict = reach_verdict(trial, inner)
    document["verdict"] = None if verdict is None else plain(asdict(verdict))
    return trial


def versions() -> dict[str, str]:
    """Of Python and of what the numbers rest on, where the trial was run."""
    found = {"Python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found


def prediction_table(splits: Sequence[Split], fits: Sequence[Fit]) -> pd.DataFrame:
    """All outer predictions, `recipe, repeat, fold, patient, pattern` and the prediction's columns."""
    of = {split.key: split for split in splits}
    parts = []
    for fit in fits:
        split = of[fit.split]
        part = fit.frame.reset_index(names="patient")
        part.insert(0, "recipe", fit.recipe)
        part.insert(1, "repeat", split.repeat)
        part.insert(2, "fold", split.fold)
        parts.append(part)
    return pd.concat(parts, ignore_index=True)


def outcome_table(cohort: Cohort) -> pd.DataFrame:
    """What is known of each patient, so that every number of the report can be computed again from the run folder."""
    assert cohort.outcome is not None  # evaluate refuses a cohort without a target
    value = cohort.outcome.value
    columns: dict[str, Any] = {"value": value}
    if isinstance(cohort.target, Multilabel):
        columns = {f"{VALUE_OF}{label}": value[:, k] for k, label in enumerate(cohort.target.columns)}
    if cohort.outcome.event is not None:
        columns["event"] = cohort.outcome.event
    columns["pattern"] = cohort.pattern()
    for name in ("fold", "group"):
        labels = getattr(cohort, name)
        if labels is not None:
            columns[name] = labels
    return pd.DataFrame(columns, index=pd.Index(cohort.ids, name="patient", dtype=object))


def describe_cohort(cohort: Cohort, excluded: int) -> dict[str, Any]:
    """Counts only: no identifier and no value of a patient."""
    target, outcome = cohort.target, cohort.outcome
    assert target is not None and outcome is not None
    described: dict[str, Any] = {
        "kind": target.kind,
        "columns": list(target.columns),
        "unit": getattr(target, "unit", ""),
    }
    if isinstance(target, Multilabel):
        described["classes"] = list(target.columns)
        described["counts"] = (outcome.value == 1).sum(axis=0).tolist()
        described["known"] = (~np.isnan(outcome.value)).sum(axis=0).tolist()
    elif classes := class_names(target):
        described["classes"] = list(classes)
        described["counts"] = np.bincount(outcome.value.astype(int), minlength=len(classes)).tolist()
    if outcome.event is not None:
        described["events"] = int(outcome.event.sum())
        described["times"] = list(getattr(target, "times", ()))
    patterns = Counter(cohort.pattern().tolist())
    return {
        "name": cohort.name,
        "patients": len(cohort),
        "excluded": excluded,
        "groups": None if cohort.group is None else len(set(cohort.group.tolist()) - {""}),
        "sites": None if cohort.site is None else len(set(cohort.site.tolist()) - {""}),
        "target": described,
        "modalities": {
            name: {**describe_modality(cohort, name), "present": int(cohort.present[:, m].sum())}
            for m, name in enumerate(cohort.modalities)
        },
        "patterns": dict(patterns.most_common()),
    }


def describe_modality(cohort: Cohort, name: str) -> dict[str, Any]:
    """Its kind in the manifest; where it was encoded also by what, and how many sources could not be read."""
    own = cohort.encodings.get(name)
    if own is None:
        return {"kind": cohort.kinds[name]}
    return {"kind": own.kind, "encoder": own.encoder, "identity": own.identity, "refused": own.refused}


def describe_recipe(
    trial: Trial, recipe: Any, fits: Mapping[str, Fit], splits: Sequence[Split], inner: Inner
) -> dict[str, Any]:
    """The row of one recipe in `trial.json`."""
    primary, labels = PRIMARY[trial.kind], trial.kind == "multilabel"
    frames = trial.frames[recipe.name]
    scores = trial_scores(
        trial.kind, list(trial.folds.values()), [frames[key] for key in trial.folds], trial.classes, trial.draws
    )
    scored = dict(zip(trial.folds, scorable_folds(trial.kind, list(trial.folds.values())), strict=True))
    folds = []
    for split in splits:
        fold = scored[(split.repeat, split.fold)]
        own_frame = frames[(split.repeat, split.fold)]
        value = score(trial.kind, own_frame, fold.outcome, trial.classes, None, fold.train, [primary], min_events=1)
        folds.append(
            {
                "repeat": split.repeat,
                "fold": split.fold,
                "n_train": len(split.train),
                "n_test": len(split.test),
                "value": float(value[primary][0]),
                "inner": inner.get((recipe.name, split.repeat, split.fold), math.nan),
                "seconds": fits[split.key].seconds,
                "trained_parameters": fits[split.key].trained_parameters,
                **({"labels": int(fewest(fold.outcome.value).astype(bool).sum())} if labels else {}),
            }
        )
    own = scores[primary]
    described: dict[str, Any] = plain(
        {
            "name": recipe.name,
            "family": recipe.family,
            "options": options_of(recipe),
            "paper": str(recipe.paper),
            "metric": primary,
            "mean": own.mean,
            "low": own.low,
            "high": own.high,
            "metrics": {m.id: asdict(scores[m.id]) for m in METRICS[trial.kind] if m.id in scores},
            "seconds": float(np.sum([fold["seconds"] for fold in folds])),
            "trained_parameters": max(fit.trained_parameters for fit in fits.values()),
            "folds": folds,
        }
    )
    return described


def options_of(recipe: Any) -> dict[str, Any]:
    """The fields of a recipe as JSON has them; of what it has no word for, the kind."""

    def told(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {str(key): told(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [told(item) for item in value]
        known = value is None or isinstance(value, bool | int | float | str | np.generic)
        return plain(value) if known else str(value) if isinstance(value, Path) else type(value).__name__

    return {name: told(value) for name, value in getattr(recipe, "__dict__", {}).items()}


def reach_verdict(trial: Trial, inner: Inner) -> Verdict | None:
    """The verdict of the design: in each outer fold the single and the fused recipe that inner folds prefer."""
    rows = trial.document["recipes"]
    singles = [row["name"] for row in rows if side_of(row) == SINGLE]
    fused = [row["name"] for row in rows if side_of(row) == COMBINED]
    if not singles or not fused:
        return None
    picks = [(pick(singles, inner, key), pick(fused, inner, key)) for key in trial.folds]
    one = [trial.frames[single][key] for key, (single, _) in zip(trial.folds, picks, strict=True)]
    many = [trial.frames[best][key] for key, (_, best) in zip(trial.folds, picks, strict=True)]
    differences, drawn = trial_differences(
        trial.kind, list(trial.folds.values()), many, one, trial.classes, trial.draws
    )
    single_counts = Counter(single for single, _ in picks)
    fused_counts = Counter(best for _, best in picks)
    protocol = trial.document["protocol"]
    primary = next(metric for metric in METRICS[trial.kind] if metric.id == PRIMARY[trial.kind])
    return decide(
        differences,
        drawn,
        n_test=protocol["n_test"],
        n_train=protocol["n_train"],
        n_patients=trial.predictions["patient"].nunique(),
        metric=primary.label,
        best_single=single_counts.most_common(1)[0][0],
        best_fused=fused_counts.most_common(1)[0][0],
        single_counts=single_counts,
        fused_counts=fused_counts,
        margin=protocol["margin"],
    )


def pick(names: Sequence[str], inner: Inner, key: tuple[int, str]) -> str:
    """The recipe with the best inner score in this outer fold; the first named where scores are equal or missing."""
    return max(names, key=lambda name: value if (value := inner.get((name, *key), -math.inf)) == value else -math.inf)


def plain(value: Any) -> Any:
    """JSON: what is not finite becomes null."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, float | np.floating):
        return float(value) if math.isfinite(value) else None
    return value.item() if isinstance(value, np.generic) else value
