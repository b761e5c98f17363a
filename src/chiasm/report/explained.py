"""Part of the page on what a model's predictions rest on: modalities, and the columns and sets of columns in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from chiasm.evaluation import Trial
from chiasm.evaluation.beside import EXPLAINED
from chiasm.report.tables import Heading, Table
from chiasm.report.wording import count, interval, number, rounded

CHANGED = (
    "It was asked of other predictions than this trial has now, so that nothing of it is shown: run chiasm evaluate "
    "--full-report again."
)
AGAINST = {
    "halves": "two halves of the patients, which should agree",
    "fits": "models of two halves of the patients, which should agree",
    "nothing": "a model that has learned nothing, which should not",
}
Row = Mapping[str, Any]


@dataclass(frozen=True)
class ExplainedPart:
    """How it was asked and what a reader is to know, and a table each of modalities, of columns, and of checks."""

    said: list[str]
    modalities: Table
    columns: Table
    checks: Table


def explained_part(trial: Trial) -> ExplainedPart | None:
    """Build the part from what the folder of the trial keeps; None where it keeps nothing of it."""
    kept = trial.document.get(EXPLAINED)
    if kept is None:
        return None
    if kept["changed"]:
        return ExplainedPart([CHANGED], *(Table(f"{name}-table", []) for name in ("share", "column", "order")))
    asked = kept["asked"]
    said = (
        f"'{asked['recipe']}', fitted on {count(asked['fitted'], 'patient')} and asked of the {asked['patients']:,} "
        "others, whom it had not seen."
    )
    return ExplainedPart([said, *kept["said"]], _modalities(kept["rows"]), _columns(kept["columns"]), _checks(kept))


def _modalities(rows: Sequence[Row]) -> Table:
    heads = [Heading("modality", number=False), Heading("output", number=False), Heading("patients")]
    return Table("share-table", [*heads, Heading("moves it by", "95 %"), Heading("up or down", "mean")], [
        [row["modality"], row["output"], f"{row['patients']:,}", _of(row, "size", ""), rounded(row["mean"], 3)]
        for row in rows
    ])  # fmt: skip


def _columns(rows: Sequence[Row]) -> Table:
    heads = [
        Heading("column or set", number=False), Heading("modality", number=False), Heading("by", number=False),
        Heading("output", number=False), Heading("moves it by", "95 %"), Heading("coefficient"),
        Heading("the metric loses", "95 %"), Heading("by a model of nothing"),
    ]  # fmt: skip
    return Table("column-table", heads, [
        [
            f"{row['name']} ({row['columns']:,} columns)" if row["what"] == "set" else row["name"],
            row["modality"], row["way"], row["output"],
            "" if row["way"] == "coefficient" else _of(row, "size", ""),
            "" if row["effect"] is None else rounded(row["effect"], 2),
            "" if row["loss"] is None else _of(row, "loss", "loss_"),
            "" if row["nothing"] is None else rounded(row["nothing"], 2),
        ]
        for row in rows
    ])  # fmt: skip


def _checks(kept: Row) -> Table:
    heads = [
        Heading("its order beside that of", number=False),
        Heading("of", number=False),
        Heading("rank correlation", "95 %"),
    ]
    return Table("order-table", heads, [
        [
            AGAINST[row["check"]], f"{row['things']:,} {row['what']}s of '{row['modality']}' by {row['way']}",
            row["note"] or _of(row, "correlation", ""),
        ]
        for row in kept["checks"]
    ])  # fmt: skip


def _of(row: Row, name: str, start: str) -> str:
    value = row[name]
    if value is not None and 0 < abs(value) < 0.0005:  # three places would say nothing
        ends = [row[f"{start}{end}"] for end in ("low", "high")]
        texts = [number(None) if own is None else rounded(own, 2) for own in (value, *ends)]
        return f"{texts[0]} ({texts[1]} to {texts[2]})"
    return interval(value, row[f"{start}low"], row[f"{start}high"])
