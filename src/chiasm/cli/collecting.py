"""`collect`: whether a modality is worth collecting for patients who lack it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from chiasm import screen
from chiasm.cli.options import (
    CohortPath,
    Device,
    Engine,
    Folds,
    Force,
    Jobs,
    Json,
    Repeats,
    Seed,
    for_json,
    prepared,
    require_picture,
    require_table,
    show_written,
    told_how_to_go_on,
)

PRICED = "write cost = 120 into its section of the manifest, or add --cost NAME=120"
SHOWN = 20  # questions on the screen; --out and --json have all


def collect(
    cohort: CohortPath,
    worth: Annotated[
        float | None,
        typer.Option(help="What knowing one patient's outcome for certain is worth, in the currency of the costs."),
    ] = None,
    cost: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=PRICE", help="What a modality costs, before the manifest's; again for each."),
    ] = None,
    recipe: Annotated[str, typer.Option(help="What predicts, with its options.")] = "stacked-fusion",
    folds: Folds = 5,
    repeats: Repeats = None,
    out: Annotated[Path | None, typer.Option(help="advice.csv or advice.parquet: every question.")] = None,
    plot: Annotated[Path | None, typer.Option(help="gain.png, .svg or .pdf: net gain against worth.")] = None,
    seed: Seed = 0,
    jobs: Jobs = None,
    engine: Engine = "local",
    device: Device = "cpu",
    force: Force = False,
    json: Json = False,
) -> None:
    """What each modality would add for patients who lack it, and whether it is worth its price.

    The price of a modality is `cost` in the manifest, for one patient. Gains are shares of the outcome explained, on
    patients who have the modality, in cross-validation.
    """
    from chiasm import api

    api.require_worth(worth)
    if out is not None:
        require_table(out, "questions", force)
    if plot is not None:
        require_picture(plot, force)
    if engine == "local":
        api.require_device(device)
    costs = _prices(cost or ())
    ready = prepared(cohort, [recipe], engine=engine, jobs=jobs)
    if plot is not None and not {**ready.cohort.costs, **costs}:
        raise ValueError(f"'{plot}' shows gains against prices, and no modality has one: {PRICED}")
    protocol = api.Protocol(folds=folds, repeats=repeats)
    with screen.Progressing("training sets") as progress, told_how_to_go_on(None):
        found = api.collect(
            ready, worth=worth, cost=costs, recipe=recipe, protocol=protocol, seed=seed, jobs=jobs, engine=engine,
            device=device, progress=progress,
        )  # fmt: skip
    if out is not None:
        api.write_predictions(found.table.set_index("have"), out)
    if plot is not None:
        found.plot(plot)
    rows = found.table.to_dict("records")
    if json:
        screen.show_json(
            {
                "recipe": found.recipe,
                "folds": found.folds,
                "worth": worth,
                "leaks": list(found.leaks),
                "questions": for_json(rows),
            }
        )
        return
    for leak in found.leaks:
        screen.hint(f"a leak was found, so that nothing is advised: {leak}")
    priced = bool(found.table["cost"].notna().any())
    answered = [row for row in rows if row["gain"] == row["gain"]]
    headings = ["patients who have", "add", "how many", "more explained (95 %)"]
    headings += ["break-even (95 %)"] if priced else []
    headings += ["advice"] if priced and worth is not None else []
    screen.show_table(headings, [_row(row, priced, worth is not None) for row in answered[:SHOWN]], right=["how many"])
    if len(answered) > SHOWN:
        screen.hint(f"and {len(answered) - SHOWN:,} more questions: --out has them")
    if len(rows) > len(answered):
        screen.hint(f"{len(rows) - len(answered):,} questions have too few patients to answer them")
    screen.show(f"\n'{found.recipe}' on {found.folds:,} test folds; as if who lacks it were like who has it.")
    if len(answered) > 1:
        screen.hint(f"{len(answered):,} answers, each by an interval of its own: of many a few are wrong by chance")
    if not priced:
        screen.hint(f"no modality has a price: {PRICED}")
    elif worth is None:
        screen.hint("worth collecting where an outcome known for certain is worth more than the break-even: --worth")
    show_written(out, plot)


def _prices(texts: Sequence[str]) -> dict[str, float]:
    """Modalities and their prices, each as `mri=120`."""
    found: dict[str, float] = {}
    for text in texts:
        name, _, price = text.rpartition("=")
        if name in found:
            raise ValueError(f"--cost names '{name}' twice: give one price")
        try:
            found[name] = float(price)
        except ValueError:
            what = f"--cost '{text}' is no price: write the modality and what it costs, as in mri=120"
            raise ValueError(what) from None
    return found


def _row(row: dict[Any, Any], priced: bool, asked: bool) -> list[str]:
    shown = [
        row["have"] or "nothing", row["add"], f"{row['asked']:,}", screen.interval(row["gain"], row["low"], row["high"])
    ]  # fmt: skip
    if priced:
        ends = [row[name] for name in ("break_even", "break_even_low", "break_even_high")]
        shown.append(
            "no price" if ends[0] != ends[0] else f"{_money(ends[0])} ({_money(ends[1])} to {_money(ends[2])})"
        )
    return [*shown, row["decision"]] if priced and asked else shown


def _money(value: float) -> str:
    return "never" if value == float("inf") else f"{float(f'{value:.3g}'):,.6g}"
