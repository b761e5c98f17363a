"""`bench skills`, `forgetting`, `table` and `claims`: what finished runs, or released results, say together."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from chiasm import screen
from chiasm.cli.options import Draws, Json, Seed, for_json

Runs = Annotated[Path, typer.Argument(metavar="RUNS", help="A folder of runs, one a suite.")]


def skills(
    first: Annotated[Path, typer.Argument(metavar="RUN", help="The --out of a finished run.")],
    second: Annotated[
        Path | None,
        typer.Argument(metavar="OTHER", help="Another candidate's, on the same items: it against the first."),
    ] = None,
    tags: Annotated[str | None, typer.Option(help="Tags to look at, with commas between; default: all.")] = None,
    draws: Draws = 500,
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """Say which skills a candidate lacks, by the tags of the items, with all other tags held fixed."""
    from chiasm.api import bench_reports

    names = None if tags is None else [own.strip() for own in tags.split(",") if own.strip()]
    found = bench_reports.bench_skills(first, second, tags=names, draws=draws, seed=seed)
    rows = found.table.to_dict("records")
    if json:
        screen.show_json({"paired": found.paired, "sentence": found.sentence, "skills": for_json(rows)})
        return
    headings = ["tag", "value", "items", "second less first" if found.paired else "above chance", "own effect"]
    shown = [
        [
            row["tag"],
            row["level"],
            f"{row['n']:,}",
            _span(row, "mean", "low", "high"),
            _span(row, "own", "own_low", "own_high"),
        ]
        for row in rows
    ]
    screen.show_table(headings, shown, right=["items"])
    screen.show(f"\n{found.sentence}")
    if any(row["own"] != row["own"] for row in rows):
        screen.hint("no own effect: these items cannot tell the value from those of other tags")


def forgetting(
    before: Runs,
    after: Annotated[Path, typer.Argument(metavar="AFTER", help="The runs of the model after fine-tuning.")],
    learned: Annotated[str, typer.Option(help="Suites that it was for, with commas between; all others are held.")],
    draws: Draws = 1000,
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """Say what fine-tuning has taught, and what it has cost on the suites that it was not for."""
    from chiasm.api import bench_reports

    names = [own.strip() for own in learned.split(",") if own.strip()]
    found = bench_reports.bench_forgetting(before, after, names, draws=draws, seed=seed)
    rows = found.table.to_dict("records")
    if json:
        ends = {key: for_json([dict(zip(("mean", "low", "high"), own, strict=True))])[0] for key, own in _both(found)}
        screen.show_json({"sentence": found.sentence, "suites": for_json(rows), **ends})
        return
    shown = [
        [
            row["suite"], row["side"], f"{row['n']:,}", f"{row['before']:.3f}", f"{row['after']:.3f}",
            _span(row, "difference", "low", "high"),
        ]
        for row in rows
    ]  # fmt: skip
    screen.show_table(["suite", "", "items", "before", "after", "difference"], shown, right=["items"])
    screen.show(f"\n{found.sentence}")


def table(runs: Runs, json: Json = False) -> None:
    """Show one candidate over all suites of a folder; refused where the weights that answered differ."""
    from chiasm.api import bench_reports

    rows = bench_reports.bench_table(runs).to_dict("records")
    if json:
        screen.show_json(for_json(rows))
        return
    shown = [
        [
            row["suite"], row["figure"], f"{row['n']:,}", _span(row, "value", "low", "high"),
            "-" if row["chance"] != row["chance"] else f"{row['chance']:.3f}", row["outcome"],
        ]
        for row in rows
    ]  # fmt: skip
    screen.show_table(["suite", "figure", "items", "value", "chance", "verdict"], shown, right=["items"])


def claims(
    data: Annotated[Path, typer.Option(help="The folder with SegBook's released results.")],
    draws: Draws = 2000,
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """Compute SegBook's claims on pretraining for segmentation anew from its released results."""
    from chiasm.api import bench_reports

    found = bench_reports.segbook_claims(data, draws=draws, seed=seed)
    rows = found.claims.to_dict("records")
    if json:
        screen.show_json({"files": found.files, "claims": for_json(rows)})
        return
    screen.show_table(
        ["claim", "of", "n", "Dice gained", "holds"],
        [
            [row["claim"], row["group"], f"{row['n']:,}", _span(row, "gain", "low", "high"), row["holds"]]
            for row in rows
        ],
        right=["n"],
    )
    screen.hint("targets or data sets are drawn; training runs, of which the release has one each, are not")


def _both(found: Any) -> list[tuple[str, tuple[float, float, float]]]:
    return [("gain", found.gain), ("loss", found.loss)]


def _span(row: dict[Any, Any], value: str, low: str, high: str) -> str:
    return "-" if row[value] != row[value] else screen.interval(row[value], row[low], row[high])
