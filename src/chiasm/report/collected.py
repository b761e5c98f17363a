"""Part of the page on what each modality would add for patients who lack it, and whether it is worth its price."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from chiasm.evaluation import Trial
from chiasm.evaluation.beside import COLLECTED, table_of
from chiasm.report.collecting import draw_net_gain
from chiasm.report.drawing import NewSheet, Picture, sheet
from chiasm.report.explained import CHANGED
from chiasm.report.tables import Heading, Table
from chiasm.report.wording import count, interval, listing, rounded

Row = Mapping[str, Any]


@dataclass(frozen=True)
class CollectedPart:
    """How it was asked, in sentences, the picture of net gains where there are prices, and the table of questions."""

    said: list[str]
    picture: Picture | None
    table: Table
    few: str


def collected_part(trial: Trial, new: NewSheet = sheet) -> CollectedPart | None:
    """Build the part from what the folder of the trial keeps; None where it keeps nothing of it."""
    kept = trial.document.get(COLLECTED)
    if kept is None:
        return None
    if kept["changed"]:
        return CollectedPart([CHANGED], None, Table("collect-table", []), "")
    asked, rows = kept["asked"], kept["rows"]
    priced = any(row["cost"] is not None for row in rows)
    advised = any(row["net"] is not None for row in rows)
    said = [
        f"By '{asked['recipe']}', in {count(asked['folds'], 'test fold')}: the share of the outcome that is explained "
        "beyond what the patients' own modalities explain, on patients who have both."
    ]
    if priced:
        said.append("Break-even: what knowing a patient's outcome for certain must be worth for the price to be paid.")
    else:
        said.append("No modality has a price: cost in its section of the manifest gives it one.")
    said += [f"A leak was found, so that nothing is advised: {leak}" for leak in kept["leaks"]]
    heads = [Heading("patients who have", number=False), Heading("add", number=False), Heading("how many")]
    heads += [Heading("more explained", "95 %")]
    heads += [Heading("break-even", "95 %")] if priced else []
    heads += [Heading("advice", number=False)] if advised else []
    answered = [row for row in rows if row["gain"] is not None]
    few = [f"'{row['add']}' for {row['have'] or 'nothing'}" for row in rows if row["gain"] is None]
    return CollectedPart(
        said,
        draw_net_gain(table_of(rows), asked["worth"], new=new),
        Table("collect-table", heads, [
            [
                row["have"] or "nothing", row["add"], f"{row['asked']:,}",
                interval(row["gain"], row["low"], row["high"]),
                *([_price(row)] if priced else []), *([row["decision"]] if advised else []),
            ]
            for row in answered
        ]),
        f"Too few patients to say: {listing(few)}." if few else "",
    )  # fmt: skip


def _price(row: Row) -> str:
    if row["cost"] is None:
        return "no price"
    return "{} ({} to {})".format(*(_money(row[f"break_even{end}"]) for end in ("", "_low", "_high")))


def _money(value: float | None) -> str:
    return "never" if value is None or math.isinf(value) else rounded(value, 3)
