"""The card of a model with what a trial says of its recipe: scores, calibration, patterns, subgroups, explanation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from chiasm.cohort.small_cells import LEAST
from chiasm.evaluation import Trial, TrialError
from chiasm.fitting.card import Described, card_of
from chiasm.fitting.model import FittedModel
from chiasm.metrics.scores import PRIMARY
from chiasm.metrics.table import CALIBRATION, HORIZONS, PERFORMANCE
from chiasm.models.same_target import stored_columns
from chiasm.report.cohort import tested_told
from chiasm.report.markdown import escaped, table
from chiasm.report.measures import of_table, text_of
from chiasm.report.patients import characteristics_table, characteristics_told
from chiasm.report.subgroups import subgroups_part
from chiasm.report.tables import MASKED
from chiasm.report.wording import better, count, interval, listing, metric_of, number
from chiasm.targets import kind_of

OF_THE_RECIPE = (
    "These are scores of the recipe on patients whom its models of each fold had not seen, not of this one model, "
    "which may have learned from all of them. They are given the fitted models, and speak for patients like these."
)
EXPLAINED = (
    "What each modality brings to the predictions, by exact Shapley values with a modality taken away as if it had "
    "never been there. It says what the model uses, and not what causes the outcome."
)


def card_text(model: Described, trial: Trial | None = None, summary: pd.DataFrame | None = None) -> str:
    """Write the card of a model, with what a trial says of its recipe and what each modality brings, where given.

    Args:
        summary: one row an output and modality, with `patients, mean, size, low, high`, of an explanation.

    Raises:
        TrialError: the trial is of another target (kind, columns, classes, unit) or other modalities, or has no such
            recipe.
    """
    parts = [card_of(model).rstrip("\n")]
    if trial is not None:
        require_same(model, trial)
        parts += trial_told(trial, model.recipe)
    if summary is not None:
        parts += ["## What it uses", EXPLAINED, summary_table(summary)]
    return "\n\n".join(parts) + "\n"


def require_same(model: Described, trial: Trial) -> None:
    """Refuse a trial that says nothing of this model."""
    rows = [str(row["name"]) for row in trial.document["recipes"]]
    if model.recipe not in rows:
        raise TrialError(f"the trial has no recipe '{model.recipe}': it has {', '.join(rows)}")
    target = trial.document["cohort"]["target"]
    if model.target.get("kind") != target["kind"]:
        raise TrialError(f"the model predicts a target of kind {model.target.get('kind')}, the trial {target['kind']}")
    columns = stored_columns(model.target)
    classes = list[str]()
    if isinstance(model, FittedModel) and not kind_of(model.response.kind).has_options:
        classes = sorted(map(str, model.response.classes))
    ours_unit, unit = ([str(own)] if own else [] for own in (model.target.get("unit"), target.get("unit")))
    compared = [
        ("the outcome", sorted(columns), sorted(map(str, target["columns"]))),
        ("classes or labels", classes, sorted(trial.classes)),
        ("the unit", ours_unit, unit),
    ]
    for what, ours, theirs in compared:
        if ours and theirs and ours != theirs:
            raise TrialError(
                f"the model predicts {what} {listing(ours)}, the trial {listing(theirs)}: give the trial of its cohort"
            )
    unknown = sorted(set(model.kinds) - set(trial.document["cohort"]["modalities"]))
    if unknown:
        raise TrialError(
            f"the model reads '{unknown[0]}', which is no modality of the trial: give the trial of its cohort"
        )


def trial_told(trial: Trial, recipe: str) -> list[str]:
    """Say how a recipe did in a trial: scores and calibration, by pattern of modalities, by subgroup, and in whom."""
    cohort, protocol = trial.document["cohort"], trial.document["protocol"]
    row = next(own for own in trial.document["recipes"] if own["name"] == recipe)
    apart = f" (tested: {tested})" if (tested := tested_told(trial)) else ""
    said = [
        "## How the recipe did in a trial",
        f"In '{escaped(cohort['name'])}', {count(cohort['patients'], 'patient')}{apart}, "
        f"{count(protocol['test_folds'], 'test fold')}. {OF_THE_RECIPE}",
        measure_table(trial, row, (PERFORMANCE, HORIZONS)),
    ]
    if calibration := measure_table(trial, row, (CALIBRATION,)):
        said += ["### Calibration", calibration]
    if patterns := pattern_table(trial, recipe):
        label = metric_of(trial.kind, PRIMARY[trial.kind]).label
        said += [
            "### By the modalities that a patient has",
            f"{label} among patients of the same modalities.",
            patterns,
        ]
    said += subgroups_told(trial, recipe)
    found = (trial.document.get("description") or {}).get("characteristics")
    if found is not None and (own := characteristics_table(found)).rows:
        heads = [f"{head.label}{f', {head.note}' if head.note else ''}" for head in own.headings]
        said += ["### The patients of the trial", characteristics_told(found), made(heads, own.rows)]
    return said


def measure_table(trial: Trial, row: Mapping[str, Any], tables: Sequence[str]) -> str:
    """Tabulate the measures of some tables of the page; "" where none is known."""
    metrics = [metric for name in tables for metric in of_table(trial.kind, name) if metric.id in row["metrics"]]
    rows = [[metric.label, better(metric), text_of(row["metrics"][metric.id])] for metric in metrics]
    return made(["measure", "how it is read", "mean (95 % interval)"], rows) if rows else ""


def pattern_table(trial: Trial, recipe: str) -> str:
    """Tabulate the primary measure in each pattern of modalities; "" where there is one pattern."""
    found = trial.patterns()
    rows = [
        [
            str(row["pattern"]),
            MASKED if row["n"] < LEAST else f"{row['n']:,}",
            interval(row["mean"], row["low"], row["high"]),
        ]
        for row in found[found["recipe"] == recipe].to_dict("records")
    ]
    return made(["modalities", "tested patients", "mean (95 % interval)"], rows) if len(rows) > 1 else ""


def subgroups_told(trial: Trial, recipe: str) -> list[str]:
    """Tabulate the declared subgroups, where the trial looked at this recipe in them."""
    part = subgroups_part(trial)
    own = [] if part is None else [table for table in part.tables if table.name == recipe]
    if part is None or not own:
        return []
    heads = ["group", "level", "patients", *([part.counted] if part.counted else []), *part.columns]
    rows = [
        [group, level, n, *([fewest] if part.counted else []), *texts] for group, level, n, fewest, texts in own[0].rows
    ]
    return ["### Subgroups", f"{part.said} {part.cuts}".strip(), made(heads, rows)]


def summary_table(summary: pd.DataFrame) -> str:
    """Tabulate what each modality brings to each output; not of fewer than five patients."""
    rows = []
    for row in summary.to_dict("records"):
        few = row["patients"] < LEAST
        size = MASKED if few else f"{number(row['size'])} ({number(row['low'])} to {number(row['high'])})"
        rows.append([str(row["output"]), str(row["modality"]), MASKED if few else f"{row['patients']:,}", size])
    return made(["output", "modality", "patients who have it", "mean absolute share (95 % interval)"], rows)


def made(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Write a table whose texts are no Markdown."""
    return table([escaped(text) for text in heads], [[escaped(text) for text in row] for row in rows])
