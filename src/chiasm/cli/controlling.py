"""`control`: a controller trained in a simulator of patients, beside PID, constant doses and none."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from chiasm import screen
from chiasm.cli.options import Force, Json, require_new, told_how_to_go_on


def control(
    settings: Annotated[Path, typer.Argument(metavar="TWIN", help="The file twin.toml: twin, goal, limits.")],
    out: Annotated[Path | None, typer.Option(help="A folder: page, JSON, figures by patient, the controller.")] = None,
    force: Force = False,
    json: Json = False,
) -> None:
    """Train a controller of doses in a simulator of patients, and hold it to PID, constant doses and none.

    All are chosen on some patients and tried on others, under limits that always hold. Not for treatment.
    """
    from chiasm.api import controlling

    if out is not None:
        require_new(out, force, "--out")
        if out.exists():
            controlling.require_control_folder(out)
    with screen.Progressing("epochs") as progress, told_how_to_go_on(None):
        found = controlling.control(settings, progress=progress)
    if out is not None:
        found.save(out, replace=force)
    if json:
        screen.show_json(found.document)
        return
    own = found.study.settings
    each = "a day" if own.test.minutes else "in 100 steps"
    heads = ["controller", "cost (95 %)", "in range, % (95 %)", "below, %", f"low episodes {each}", "mean dose"]
    screen.show_table(heads, [_row(row) for row in found.table.to_dict("records")])
    screen.show("")
    if (fitted := found.document["fitted"]) is not None:
        heads = ["parameter", "geometric mean (95 %)", "unit", "patients"]
        shown = ("mean", "low", "high")
        screen.show_table(heads, [
            [row["parameter"], screen.interval(*(row[key] for key in shown)), row["unit"], f"{row['patients']:,}"]
            for row in fitted
        ])  # fmt: skip
        screen.show("")
    for sentence in found.sentences:
        screen.show(sentence)
    screen.hint(controlling.DISCLAIMER)
    if out is not None:
        screen.show(
            f"Written: {out / controlling.PAGE}, and beside it {controlling.DOCUMENT}, {controlling.CONTROLLER}"
        )


def _row(row: dict[Any, Any]) -> list[str]:
    def of(name: str, times: float, digits: int) -> str:
        middle, low, high = (times * row[f"{name}{end}"] for end in ("", "_low", "_high"))
        return screen.interval(middle, low, high, digits)

    return [
        row["controller"], of("cost", 1, 3), of("in_range", 100, 1), of("below", 100, 1), of("episodes", 1, 2),
        of("dose", 1, 3),
    ]  # fmt: skip
