"""Part of the page on what recipes lose by faults that are put in on purpose, at sites not seen, and to attacks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from chiasm.evaluation import Trial
from chiasm.evaluation.beside import STRESSED, table_of
from chiasm.evaluation.stress.faults import ATTACKS, LEVELS, SITES
from chiasm.report.drawing import NewSheet, Picture, sheet
from chiasm.report.explained import CHANGED
from chiasm.report.stress import draw_stress
from chiasm.report.tables import Heading, Table
from chiasm.report.wording import interval, number, percent
from chiasm.shown import NOT_ESTIMABLE

Row = Mapping[str, Any]


@dataclass(frozen=True)
class StressedPart:
    """What a reader is to know, the picture, and a table each of faults, sites and attacks."""

    said: list[str]
    picture: Picture | None
    faults: Table
    sites: Table
    attacks: Table


def stressed_part(trial: Trial, new: NewSheet = sheet) -> StressedPart | None:
    """Build the part from what the folder of the trial keeps; None where it keeps nothing of it."""
    kept = trial.document.get(STRESSED)
    if kept is None:
        return None
    if kept["changed"]:
        names = "fault-table", "site-fault-table", "attack-table"
        return StressedPart([CHANGED], None, *(Table(name, []) for name in names))
    rows, metric = kept["rows"], kept["metric"]
    drawn = any(row["fault"] in LEVELS or row["fault"] in ATTACKS for row in rows)
    said = [f"'{row['recipe']}' without a fault: {_of(row, 'metric', '')}." for row in rows if row["fault"] == "none"]
    said += [f"'{recipe}' is {why}." for recipe, why in kept["not_attacked"].items()]
    said += [f"A leak was found: {leak}" for leak in kept["leaks"]]
    heads = [Heading("recipe", number=False), Heading("fault", number=False), Heading("modality", number=False)]
    change = Heading("change", "95 %")
    fault_heads = [*heads, Heading("level"), Heading("struck", "patients a fold"), Heading(metric, "95 %"), change]
    site_heads = [heads[0], Heading("parts"), Heading("site known"), Heading("site left out", "95 %"), change]
    attack_heads = [heads[0], Heading("attack", number=False), heads[2], Heading("radius"), Heading("clean")]
    return StressedPart(
        said,
        draw_stress(table_of(rows), metric, new=new) if drawn else None,
        Table("fault-table", fault_heads, [
            [
                row["recipe"], row["fault"], row["modality"], f"{row['level']:g}", f"{row['struck']:.0f}",
                _of(row, "metric", ""), _of(row, "change", "change_"),
            ]
            for row in rows if row["fault"] in LEVELS
        ]),
        Table("site-fault-table", site_heads, [
            [
                row["recipe"], f"{row['level']:g}", _known(row), _of(row, "metric", ""), _of(row, "change", "change_"),
            ]
            for row in rows if row["fault"] == SITES
        ]),
        Table("attack-table", [*attack_heads, Heading("noise"), Heading(metric, "95 %"), Heading("lost")], [
            [
                row["recipe"], row["attack"], row["modality"], f"{row['radius']:g}", number(row["clean"]),
                number(row["noise"]), _of(row, "attacked", ""),
                NOT_ESTIMABLE if row["lost"] is None else percent(row["lost"]),
            ]
            for row in kept["attacks"]
        ]),
    )  # fmt: skip


def _known(row: Row) -> str:
    known = row["metric"] is not None and row["change"] is not None
    return number(row["metric"] - row["change"] if known else None)


def _of(row: Row, name: str, start: str) -> str:
    return interval(row[name], row[f"{start}low"], row[f"{start}high"])
