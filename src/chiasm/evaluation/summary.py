"""Summary of a trial's predictions as its document: scores with intervals, picks on inner folds, the verdict."""

from __future__ import annotations

import json
import math
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, is_dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from chiasm.artifact import write_text
from chiasm.citation import Citation
from chiasm.cohort import Cohort
from chiasm.cohort.accepted import Finding, settle
from chiasm.evaluation.answered_places import place_rows
from chiasm.evaluation.channels import channel_document
from chiasm.evaluation.composed import REFERENCE_ROWS, compose_references
from chiasm.evaluation.decisions import d_calibration_rows, decision_rows
from chiasm.evaluation.description import describe_cohort, units_in
from chiasm.evaluation.fits import Fit
from chiasm.evaluation.found import found_document
from chiasm.evaluation.intervals import scorable_folds, trial_scores
from chiasm.evaluation.judging import Inner, named_contrasts, reach_verdict
from chiasm.evaluation.patient_by_patient import grouped_document
from chiasm.evaluation.protocol import Protocol, Split, uses_given_folds
from chiasm.evaluation.said import said_document
from chiasm.evaluation.sites import site_summary
from chiasm.evaluation.stored_outcomes import boxes_of, lists_of, maps_of, texts_of
from chiasm.evaluation.subgroups import PREFIX as SUBGROUP
from chiasm.evaluation.subgroups import subgroup_document
from chiasm.evaluation.trial import SCHEMA, VALUE_OF, Trial
from chiasm.evaluation.trial_findings import trial_findings
from chiasm.fitting.named_files import contents_of
from chiasm.fitting.sides import (
    NULL,
    REFERENCE,
    REFERENCES,
    forms_of,
    reads_knowledge,
    reads_of,
    reads_presence,
    settings_of,
    side_of,
)
from chiasm.metrics.scores import METRICS, PRIMARY, score
from chiasm.protocols import DescribesOptions
from chiasm.targets.stratify import fewest

PACKAGES = ("chiasm", "torch", "numpy", "pandas", "scikit-learn", "scipy", "lifelines", "xgboost-cpu", "optuna")
_version = cache(version)  # of what this process has imported: the file of a package is read once


@dataclass(frozen=True)
class Setting:
    """Inputs of a trial: the patients, those kept together, the recipes with their sides, and the findings.

    Args:
        cohort: the usable patients; `together` is the same cohort with the groups that the folds keep on one side.
        excluded: number of patients left out.
        findings: findings of the check, each with the reason for which it is accepted, or None.
        contrasts: pairs of recipes, named beforehand.
        unlabelled: number of patients without an outcome whom recipes read beside the training patients.
    """

    cohort: Cohort
    together: Cohort
    excluded: int
    recipes: Sequence[Any]
    protocol: Protocol
    seed: int
    splits: Sequence[Split]
    sides: Mapping[str, str]
    findings: tuple[Finding, ...] = ()
    contrasts: tuple[tuple[str, str], ...] = ()
    unlabelled: int = 0


def summarise(setting: Setting, fits: Mapping[tuple[str, str], Fit], inner: Inner, own: Inner) -> Trial:
    """Build the finished trial from its fits.

    Args:
        fits: predictions by (recipe, split).
        inner, own: inner scores over all patients, and of one-modality recipes over the patients with that modality.
    """
    trial, complete = bare_trial(setting, fits, own)
    document, cohort = trial.document, setting.cohort
    assert isinstance(document, dict)  # it is filled here
    rows: list[Any] = [*setting.recipes, *(REFERENCE_ROWS[name] for name in REFERENCES)]
    for row in rows:
        if row.name in complete:
            described = describe_recipe(trial, row, complete[row.name], setting.splits, inner)
            side = setting.sides.get(row.name, REFERENCE)
            reads = list(reads_of(row, cohort)) if side != REFERENCE else []
            document["recipes"].append(
                {
                    **described,
                    "side": side,
                    "reads": reads,
                    "forms": list(forms_of(row, cohort)) if reads else [],
                    "reads_presence": reads_presence(row),
                    "reads_knowledge": reads_knowledge(row, cohort),
                    "settings": settings_of(row, cohort),
                }
            )
    found = [*setting.findings, *settle(trial_findings(trial), cohort.accepted)]
    document["findings"] = [{**asdict(own.problem), "accepted": own.reason} for own in found]
    document["contrasts"] = named_contrasts(trial, setting.contrasts)
    verdict = reach_verdict(trial, inner)
    document["verdict"] = None if verdict is None else plain(asdict(verdict))
    document["sites"] = (
        [plain(site_summary(trial, name)) for name in looked_at(trial)] if "site" in trial.outcomes else []
    )
    if cohort.target is not None and cohort.target.has_options:
        document["places"] = plain(place_rows(trial, [*looked_at(trial), NULL]))
    document["decisions"] = plain(decision_rows(trial, looked_at(trial)))
    document["d_calibration"] = plain(d_calibration_rows(trial, looked_at(trial)))
    if trial.target.has_texts:
        document["said"] = plain(said_document(trial, [*looked_at(trial), NULL]))
    if trial.target.is_drawn:
        document["found"] = plain(found_document(trial, [*looked_at(trial), NULL]))
    elif trial.target.has_channels:
        document["channels"] = plain(channel_document(trial, looked_at(trial)))
    if grouped := grouped_document(trial, [*looked_at(trial), NULL]):
        document["grouped"] = plain(grouped)
    if cohort.subgroups:
        document["subgroups"] = plain(subgroup_document(trial, cohort.subgroups, looked_at(trial)))
    return trial


PRESENCE = "presence"


def looked_at(trial: Trial) -> list[str]:
    """Recipes that are looked at closely: those that inner folds picked most often, else the one with the best mean."""
    if (verdict := trial.verdict) is not None:
        return list(dict.fromkeys([verdict.best_fused, verdict.best_single]))
    rows = [row for row in trial.document["recipes"] if side_of(row) != REFERENCE and row["name"] != PRESENCE]
    own = [row for row in rows if row["mean"] is not None]
    return [str(max(own, key=lambda row: row["mean"])["name"])] if own else []


def bare_trial(
    setting: Setting, fits: Mapping[tuple[str, str], Fit], own: Inner
) -> tuple[Trial, dict[str, dict[str, Fit]]]:
    """Build the trial with predictions and outcomes alone, and the fits of each row that has one in every outer fold.

    Its document still lacks what follows from them: recipes, findings, contrasts and the verdict.
    """
    cohort, protocol, splits = setting.cohort, setting.protocol, setting.splits
    composed = compose_references(setting, fits, own)
    by_recipe = {row.name: {split.key: fits.get((row.name, split.key)) for split in splits} for row in setting.recipes}
    by_recipe |= {name: dict(made) for name, made in composed.items()}
    complete = {
        name: {key: fit for key, fit in own_fits.items() if fit is not None}
        for name, own_fits in by_recipe.items()
        if own_fits and all(own_fits.values())
    }
    outer = [fit for own_fits in complete.values() for fit in own_fits.values()]
    document: dict[str, Any] = {
        "schema": SCHEMA,
        "cohort": {
            **describe_cohort(cohort, setting.excluded),
            "units": units_in(setting.together),
            **({"read_without_outcome": setting.unlabelled} if setting.unlabelled else {}),
        },
        "protocol": {
            **protocol.as_json(),
            "seed": setting.seed,
            "given_folds": uses_given_folds(cohort, protocol),
            "test_folds": len(splits),
            "n_train": float(np.mean([len(split.train) for split in splits])),
            "n_test": float(np.mean([len(split.test) for split in splits])),
        },
        "versions": versions(),
        "recipes": [],
        "findings": [],
        "contrasts": [],
        "verdict": None,
    }
    outcomes = outcome_table(cohort, setting.together, sites=protocol.by == "site")
    return Trial(document, prediction_table(splits, outer), outcomes), complete


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that the numbers depend on, where the trial was run."""
    found = {"Python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = _version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found


def prediction_table(splits: Sequence[Split], fits: Sequence[Fit]) -> pd.DataFrame:
    """Table of all outer predictions: `recipe, repeat, fold, patient, pattern` and the prediction's columns."""
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


def outcome_table(cohort: Cohort, together: Cohort, *, sites: bool = False) -> pd.DataFrame:
    """Table of outcomes and modalities by patient, so that the report can be computed again from the run folder.

    `together` is the same cohort with the groups that are kept on one side, or drawn as a whole; with `sites` the table
    says of which site each patient is.
    """
    assert cohort.outcome is not None  # evaluate refuses a cohort without a target
    value = cohort.outcome.value
    columns: dict[str, Any] = {"value": value}
    if cohort.target is not None and cohort.target.has_labels:
        columns = {f"{VALUE_OF}{label}": value[:, k] for k, label in enumerate(cohort.target.names)}
    if cohort.target is not None and cohort.target.has_channels:
        columns = lists_of(cohort.outcome)
    if cohort.target is not None and cohort.target.has_texts:
        columns = texts_of(cohort.outcome)
    if cohort.target is not None and cohort.target.has_boxes:
        columns = boxes_of(cohort.outcome)
    if cohort.target is not None and cohort.target.has_masks:
        columns = maps_of(cohort.outcome)
    if cohort.outcome.event is not None:
        columns["event"] = cohort.outcome.event
    if cohort.outcome.cause is not None:
        columns["cause"] = cohort.outcome.cause
    columns["pattern"] = cohort.pattern()
    columns["modalities"] = cohort.present.sum(axis=1)
    if together.group is not None:
        columns["unit"] = together.group
    for name in ("fold", "group", "site") if sites else ("fold", "group"):
        labels = getattr(cohort, name)
        if labels is not None:
            columns[name] = labels
    for own in cohort.subgroups:
        columns[SUBGROUP + own.column] = own.level
    return pd.DataFrame(columns, index=pd.Index(cohort.ids, name="patient", dtype=object))


def describe_recipe(
    trial: Trial, recipe: Any, fits: Mapping[str, Fit], splits: Sequence[Split], inner: Inner
) -> dict[str, Any]:
    """Build the row of one recipe in `trial.json`."""
    primary, labels = PRIMARY[trial.kind], trial.target.has_labels
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
                **({"start": start} if (start := fits[split.key].start) else {}),
                **({"tuning": tuning} if (tuning := fits[split.key].tuning) else {}),
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
            **({"link": link} if (link := recipe.paper.link if isinstance(recipe.paper, Citation) else "") else {}),
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
    """Convert the fields of a recipe to JSON, with hashes of what files that it names hold.

    A value that JSON cannot hold is replaced by its type's name.
    """

    def told(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {str(key): told(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [told(item) for item in value]
        known = value is None or isinstance(value, bool | int | float | str | np.generic)
        return plain(value) if known else str(value) if isinstance(value, Path) else type(value).__name__

    if isinstance(recipe, DescribesOptions):
        return {name: told(value) for name, value in recipe.described_options.items()} | contents_of(recipe)
    named = [field.name for field in fields(recipe)] if is_dataclass(recipe) else vars(recipe)
    return {name: told(getattr(recipe, name)) for name in named} | contents_of(recipe)


def write_document(file: Path, document: Mapping[str, Any]) -> None:
    """Write a JSON file whole or not at all, mode 600; numbers that are not finite become null."""
    write_text(file, json.dumps(plain(document), indent=1, allow_nan=False))


def plain(value: Any) -> Any:
    """Convert to JSON types; numbers that are not finite become null."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, float | np.floating):
        return float(value) if math.isfinite(value) else None
    return value.item() if isinstance(value, np.generic) else value
