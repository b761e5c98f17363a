"""`tune`: the options of one recipe on inner folds of a cohort's patients."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from chiasm import screen
from chiasm.cli.options import (
    Budget,
    CohortPath,
    Device,
    Engine,
    GpusPerTrial,
    Jobs,
    Json,
    Seed,
    prepared,
    require_writable,
    told_how_to_go_on,
    told_spaces,
)

SHOWN = 20  # settings on the screen; --json has all


def tune(
    cohort: CohortPath,
    recipe: Annotated[str, typer.Option(help="A name with its options, as in lego-fuse:mode=weave.")],
    space: Annotated[
        list[str] | None,
        typer.Option(metavar="OPTION=...", help="Values a;b;c or a range 1..6, 1e-4..1e-2 log; again for each option."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Where scores are kept, so that a stopped search goes on.")] = None,
    budget: Budget = None,
    inner: Annotated[int | None, typer.Option(min=2, help="Inner folds; 3 unless the recipe names its own.")] = None,
    tune_seconds: Annotated[
        float | None, typer.Option(min=0, help="Stop then, without a pick; the same command goes on from --out.")
    ] = None,
    seed: Seed = 0,
    engine: Engine = "local",
    device: Device = "cpu",
    gpus_per_trial: GpusPerTrial = None,
    jobs: Jobs = None,
    json: Json = False,
) -> None:
    """Search the options of one recipe.

    On inner folds of every patient whose outcome is known. What tuning is worth, evaluate says of the same recipe.
    """
    from chiasm import api

    asked: dict[str, str] = {}
    for text in space or ():
        option, equals, values = text.partition("=")
        if not equals:
            raise ValueError(f"--space {text} has no values: write {text}=a;b, or {text}=low..high")
        if option in asked:
            raise ValueError(f"--space names the option '{option}' twice: give all its values at once")
        asked[option] = values
    if engine == "local":
        api.require_device(device)  # a cluster's machines have their own
    if out is not None:
        require_writable(out)
    made = api.searched(recipe, asked, budget=budget, inner=inner)
    told_spaces([made.name])
    ready = prepared(cohort, [made.name], engine=engine, jobs=jobs)
    advice = "nothing is kept: name a folder by --out" if out is None else "the same command goes on"
    with screen.Progressing("settings") as progress, told_how_to_go_on(advice):
        try:
            found = api.tune(
                made,
                {},
                ready,
                seed=seed,
                device=device,
                engine=engine,
                gpus_per_trial=gpus_per_trial,
                jobs=jobs,
                out=out,
                seconds=tune_seconds,
                progress=progress,
            )
        except api.Paused as paused:
            screen.hint(f"stopped: {paused}")
            raise typer.Exit(3) from None
    if json:
        screen.show_json({"recipe": found.recipe, "chosen": found.chosen, **found.as_json()})
        return
    table = found.table().sort_values(["picked", "mean"], ascending=False, kind="stable")
    folds = [name for name in table.columns if name.startswith("inner_")]
    rows = [
        [
            row["options"],
            *(_number(row[name]) for name in ("mean", *folds)),
            "picked" if row["picked"] else row["status"],
        ]
        for row in table.head(SHOWN).to_dict("records")
    ]
    heads = [found.metric, *(f"fold {number}" for number in range(1, len(folds) + 1))]
    screen.show_table(["setting", *heads, ""], rows, right=heads)
    if len(table) > SHOWN:
        screen.show(f"and {len(table) - SHOWN:,} more, which --json has")
    screen.show(f"\n{found.sentence} It is the best of several, which flatters it.")
    screen.show(f"Fit:    chiasm fit {cohort} --recipe '{found.chosen}' --out model")
    screen.show(f"Judge:  chiasm evaluate {cohort} --recipes '{found.recipe}' --out run")


def _number(value: float) -> str:
    return "-" if value != value else f"{value:.3f}"
