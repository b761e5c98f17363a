"""External part of the report: the picks of the trial, fitted on the whole cohort, on the patients of another one."""

from __future__ import annotations

from dataclasses import dataclass

from chiasm.evaluation import Trial
from chiasm.metrics.scores import PRIMARY
from chiasm.report.measures import MeasureTable, calibration_table, horizon_table, performance_table
from chiasm.report.wording import count, interval, metric_of


@dataclass(frozen=True)
class ExternalPart:
    """What was scored on whom in sentences, what is unlike training, and the tables of the scores."""

    name: str
    said: list[str]
    notes: list[str]
    performance: MeasureTable
    horizons: MeasureTable
    calibration: MeasureTable


def external_part(trial: Trial) -> ExternalPart | None:
    """Build the part from the trial's document; None where no external cohort was given."""
    found = trial.document.get("external")
    if found is None:
        return None
    rows, cohort = found["recipes"], found["cohort"]
    label = metric_of(trial.kind, PRIMARY[trial.kind]).label
    whom = count(found["patients"], "patient")
    if found["events"] is not None:
        whom += f" with {count(found['events'], 'event')}"
    said = [
        f"The picks of the trial, each fitted on all of its patients, on {whom} of '{cohort['name']}', whom no model "
        "has seen. The verdict above does not change by it."
    ]
    if found["left_out"]:
        said.append("Left out: " + "; ".join(f"{n:,}, {why}" for why, n in found["left_out"].items()) + ".")
    if found["difference"] is not None:
        apart = interval(*(found["difference"][key] for key in ("mean", "low", "high")))
        said.append(f"'{rows[0]['name']}' less '{rows[1]['name']}' is {apart} in {label}.")
    names = [str(row["name"]) for row in rows]
    return ExternalPart(
        str(cohort["name"]),
        said,
        list(found["notes"]),
        performance_table(trial, rows),
        horizon_table(trial, rows),
        calibration_table(trial, rows, names),
    )
