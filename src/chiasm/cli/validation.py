"""`validate`: a fitted model on the patients of another cohort."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from chiasm import screen
from chiasm.cli.options import (
    CohortPath,
    Draws,
    Force,
    Json,
    ModelPath,
    Seed,
    Strict,
    Trust,
    require_writable,
    show_notes,
)
from chiasm.cli.subgroups import show_subgroups

if TYPE_CHECKING:
    from chiasm.api import Validation


def validate(
    model: ModelPath,
    cohort: CohortPath,
    out: Annotated[Path, typer.Option(help="The folder: validation.json, predictions.parquet, report.html.")],
    strict: Strict = True,
    by: Annotated[str | None, typer.Option(metavar="site", help="Draw whole sites for the intervals.")] = None,
    draws: Draws = 1000,
    seed: Seed = 0,
    trust: Trust = None,
    force: Force = False,
    json: Json = False,
) -> None:
    """Score a model on another cohort.

    Every metric with its interval, calibration, and who was left out. The patients must be none that it learned from.
    """
    from chiasm import api

    require_writable(out)
    loaded = api.load_model(model, trust)
    api.hush_findings()
    start = time.monotonic()
    with screen.Progressing("sources") as progress:
        found = api.validate(
            loaded, api.open_cohort(cohort), out=out, replace=force, strict=strict, by=by, draws=draws, seed=seed,
            progress=progress.named,
        )  # fmt: skip
    if json:
        screen.show((out / "validation.json").read_text(encoding="utf-8"))
        return
    show_validation(found, out, time.monotonic() - start)


def show_validation(found: Validation, out: Path, seconds: float) -> None:
    """The scores, what is unlike training, who was left out, and where the page lies."""
    document = found.document
    screen.show(f"{found.title}, in {screen.duration(seconds)}\n")
    rows = [
        [row["label"], screen.interval(*(row[key] for key in ("mean", "low", "high")))]
        for row in found.table().to_dict("records")
    ]
    screen.show_table(["metric", "value (95 % interval, given the fitted model)"], rows)
    unit, times = document["cohort"]["target"].get("unit") or "", document["cohort"]["target"].get("times")
    if times:
        screen.show(
            f"\nThe horizons are those of the model: {', '.join(f'{time:g}' for time in times)} {unit}".rstrip() + "."
        )
    if len(document["patterns"]) > 1:
        screen.show("")
        screen.show_table(["modalities", "patients", document["metric"]], map(row_of, document["patterns"]))
    show_subgroups(document)
    events = "" if document["events"] is None else f" with {document['events']:,} events"
    screen.show(f"\nScored {document['patients']:,} patients{events}.")
    for why, number in document["left_out"].items():
        screen.show(f"Left out {number:,}: {why}.")
    show_notes(document["notes"], ", in the report")
    if document["findings"]:
        number = len(document["findings"])
        screen.hint(f"{number:,} finding{'' if number == 1 else 's'} of the check: the report lists every one")
    screen.show(f"\nReport: {out / 'report.html'}")


def row_of(pattern: dict[str, Any]) -> list[str]:
    """A pattern of modalities, its patients, and the metric with its interval."""
    score = screen.interval(*(pattern[key] for key in ("mean", "low", "high")))
    return [str(pattern["pattern"]), f"{pattern['n']:,}", score]
