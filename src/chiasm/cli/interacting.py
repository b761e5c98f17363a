"""`interaction`: what each two modalities know of the outcome in common, each alone, and only together."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from chiasm import screen
from chiasm.cli.options import (
    CohortPath,
    Engine,
    Folds,
    Force,
    Jobs,
    Json,
    Repeats,
    Seed,
    for_json,
    kept_on_page,
    prepared,
    require_picture,
    require_table,
    show_written,
    told_how_to_go_on,
)

SHOWN = 20  # pairs on the screen; --out and --json have all
DRAWS = 200
FEW, BOUNDS = "too few to say", "bounds"


def interaction(
    cohort: CohortPath,
    modalities: Annotated[str | None, typer.Option(help="Those to compare, by commas; default: all.")] = None,
    states: Annotated[
        str, typer.Option(help="How patients are put into states: by predictions, clusters, or both.")
    ] = "predictions,clusters",
    horizon: Annotated[
        float | None, typer.Option(help="Time by which an event is asked for; default: the middle horizon.")
    ] = None,
    trial: Annotated[
        Path | None, typer.Option(help="The run folder of a trial of this cohort: beside its verdict.")
    ] = None,
    folds: Folds = 5,
    repeats: Repeats = None,
    out: Annotated[Path | None, typer.Option(help="parts.csv or parts.parquet: every figure.")] = None,
    plot: Annotated[Path | None, typer.Option(help="parts.png, .svg or .pdf: a bar a pair.")] = None,
    keep: Annotated[
        bool, typer.Option("--keep", help="Keep it in the folder of --trial, as a section of its page.")
    ] = False,
    seed: Seed = 0,
    jobs: Jobs = None,
    engine: Engine = "local",
    force: Force = False,
    json: Json = False,
) -> None:
    """What two modalities know of the outcome in common, each alone, and only both together.

    In bits, estimated of patients who have both and the outcome; where they are too few, what only both tell is bounded
    from patients who have either. Modalities are read by a few states, learned on training patients.
    """
    from chiasm import api

    ways = api.require_states(states)
    if out is not None:
        require_table(out, "parts", force)
    if plot is not None:
        require_picture(plot, force)
    if keep and trial is None:
        raise ValueError("--keep puts it on the page of a trial: name its run folder by --trial")
    beside = None if trial is None else api.load_trial(trial)
    ready = prepared(cohort, engine=engine, jobs=jobs)
    protocol = api.Protocol(folds=folds, repeats=repeats, draws=DRAWS)
    named = None if modalities is None else [name.strip() for name in modalities.split(",")]
    with screen.Progressing("training sets") as progress, told_how_to_go_on(None):
        found = api.interaction(
            ready, modalities=named, states=ways, horizon=horizon, trial=beside, protocol=protocol, seed=seed,
            jobs=jobs, engine=engine, progress=progress,
        )  # fmt: skip
    if out is not None:
        api.write_predictions(found.table.set_index("first"), out)
    kept = () if not keep or trial is None else kept_on_page(trial, found.keep)
    rows = found.table.to_dict("records")
    answered = [row for row in rows if row["basis"] != FEW]
    if plot is not None and answered:
        found.plot(plot)
    if json:
        screen.show_json({"findings": list(found.findings), "leaks": list(found.leaks), "rows": for_json(rows)})
        return
    for leak in found.leaks:
        screen.hint(f"a leak was found, and what it tells is counted: {leak}")
    headings = ["modalities", "of", "states by", "patients", "together (95 %)", "either", "one alone", "only both"]
    if answered:
        screen.show_table(headings, [_row(row) for row in answered[:SHOWN]], right=["patients"])
        screen.show("\nBits of the outcome; in brackets 95 % intervals, given the states of each modality.")
    if len(answered) > SHOWN:
        screen.hint(f"and {len(answered) - SHOWN:,} more: --out has them")
    for row in found.foremost[:SHOWN]:
        of = "" if len({own["outcome"] for own in answered}) == 1 else f" of {row['outcome']}"
        screen.show(f"{row['first']}, {row['second']}{of}: {row['says']}.")
    for finding in found.findings:
        screen.show(f"Note: {finding}.")
    few = [f"{row['first']}, {row['second']}, {row['outcome']}: {row['says']}." for row in rows if row["basis"] == FEW]
    for words in dict.fromkeys(few):
        screen.show(words)
    show_written(out, plot if answered else None, *kept)
    if plot is not None and not answered:
        screen.hint("no picture is written: there are too few patients for every pair")


def _row(row: Mapping[Any, Any]) -> list[str]:
    """A line of the table."""
    shown = [f"{row['first']}, {row['second']}", row["outcome"], row["states_by"], f"{row['patients']:,}"]
    either = screen.interval(*(row[f"redundant{end}"] for end in ("", "_low", "_high")))
    alone = ", ".join(f"{row[own]} {row[f'{own}_alone']:.3f}" for own in ("first", "second"))
    if row["basis"] == BOUNDS:
        return [*shown, "not known", either, alone, f"between {row['synergy_low']:.3f} and {row['synergy_high']:.3f}"]
    together = screen.interval(*(row[f"together{end}"] for end in ("", "_low", "_high")))
    both = screen.interval(*(row[f"synergy{end}"] for end in ("", "_low", "_high")))
    return [*shown, f"{together} of {row['entropy']:.2f}", either, alone, both]
