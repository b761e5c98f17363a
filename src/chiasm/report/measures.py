"""Tables of every metric of every recipe: performance, performance at the horizons of survival, and calibration."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from chiasm.evaluation import Trial
from chiasm.fitting.sides import REFERENCE, side_of
from chiasm.metrics.scores import METRICS, PRIMARY
from chiasm.metrics.table import CALIBRATION, HORIZONS, PERFORMANCE, Metric
from chiasm.report.wording import better, duration, interval
from chiasm.shown import NOT_ESTIMABLE

CONDITIONAL = "95 % interval, given the fitted models"
PLACES = {"_t1": "first", "_t2": "second", "_t3": "third"}
_OF_PLACE = " at the {} horizon"


@dataclass(frozen=True)
class MeasureRow:
    """Row of one recipe; `values` are its metrics as text, in the order of the table's columns."""

    name: str
    family: str
    reference: bool
    values: list[str]
    seconds: str = ""
    trained: str = ""
    place: str = ""


@dataclass(frozen=True)
class MeasureTable:
    """Table with columns as (label, how it is read) and a row per recipe; `rows` is empty if nothing is to be shown."""

    columns: list[tuple[str, str]]
    rows: list[MeasureRow]


def performance_table(trial: Trial, rows: Sequence[Mapping[str, Any]]) -> MeasureTable:
    """Tabulate discrimination and the size of prediction errors, the primary metric first."""
    metrics = sorted(of_table(trial.kind, PERFORMANCE), key=lambda metric: metric.id != PRIMARY[trial.kind])
    return table(metrics, rows)


def horizon_table(trial: Trial, rows: Sequence[Mapping[str, Any]]) -> MeasureTable:
    """Tabulate the metrics at each horizon of survival."""
    metrics = of_table(trial.kind, HORIZONS)
    return table(metrics, [row for row in rows if known(row, metrics)])


def calibration_table(trial: Trial, rows: Sequence[Mapping[str, Any]], closely: Collection[str]) -> MeasureTable:
    """Tabulate calibration; for survival at the middle horizon, and for the recipes `closely` at each horizon."""
    metrics = of_table(trial.kind, CALIBRATION)
    if not trial.target.has_times:
        return table(metrics, [row for row in rows if known(row, metrics)])
    found: list[MeasureRow] = []
    for row in rows:
        for end, place in PLACES.items():
            own = [metric for metric in metrics if metric.id.endswith(end)]
            if (place == "second" or row["name"] in closely) and known(row, own):
                found += table(own, [row], place).rows
    columns = [metric for metric in metrics if metric.id.endswith("_t2")]
    labels = [metric.label.removesuffix(_OF_PLACE.format("second")) for metric in columns]
    return MeasureTable(list(zip(labels, map(better, columns), strict=True)), found)


def labels_of(kind: str) -> list[str]:
    """Name the metrics of a kind of target, those at several horizons once."""
    at_each = (re.sub(r" at the \w+ horizon$", " at each horizon", metric.label) for metric in METRICS[kind])
    return list(dict.fromkeys(at_each))


def of_table(kind: str, name: str) -> list[Metric]:
    """List the metrics of a table."""
    return [metric for metric in METRICS[kind] if metric.table == name]


def known(row: Mapping[str, Any], metrics: Sequence[Metric]) -> bool:
    """Return True if a recipe has a value of any of these metrics."""
    return any((row["metrics"].get(metric.id) or {}).get("mean") is not None for metric in metrics)


def table(metrics: Sequence[Metric], rows: Sequence[Mapping[str, Any]], place: str = "") -> MeasureTable:
    """Tabulate these metrics of these recipes, as they stand in the trial's document."""
    made = [
        MeasureRow(
            str(row["name"]),
            str(row["family"]),
            is_reference(row),
            [text_of(row["metrics"].get(metric.id)) for metric in metrics],
            duration(row["seconds"]) if row["seconds"] else "",
            f"{row['trained_parameters']:,}" if row["trained_parameters"] else "",
            place,
        )
        for row in rows
    ]
    return MeasureTable([(metric.label, better(metric)) for metric in metrics], made if metrics else [])


def text_of(entry: Mapping[str, float | None] | None) -> str:
    """Format a metric as `mean (low to high)`, `mean (no interval)`, or "not estimable"."""
    return NOT_ESTIMABLE if entry is None else interval(entry["mean"], entry["low"], entry["high"])


def is_reference(row: Mapping[str, Any]) -> bool:
    """Return True if a row is for comparison only: composed by the trial, or reading presence but no content."""
    return side_of(row) == REFERENCE or row["name"] == "presence"
