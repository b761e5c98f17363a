"""`stress`: what recipes lose where patients or their files are not as in training."""

from __future__ import annotations

from collections.abc import Mapping
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
    require_page,
    require_picture,
    require_table,
    show_written,
    told_how_to_go_on,
)

TOLD = """
The widest radius, in standard deviations of the training tokens, by who knows network and outcome; --out has all.
Noise: random moves of that size. Lost: share of what the metric has above chance. (all): every modality at once, the
attack to judge a recipe by."""


def stress(
    cohort: CohortPath,
    recipes: Annotated[
        list[str] | None, typer.Option(help="Names with options. Default: late-fusion, stacked-fusion, early-fusion.")
    ] = None,
    faults: Annotated[
        str | None,
        typer.Option(
            help="drift, lost, mixed, labels, sites, by commas. Default: those that can be put in. "
            "attack (noise, fgsm, pgd) moves the tokens of networks."
        ),
    ] = None,
    folds: Folds = 5,
    repeats: Repeats = None,
    out: Annotated[Path | None, typer.Option(help="stress.csv or stress.parquet: every level.")] = None,
    plot: Annotated[Path | None, typer.Option(help="stress.png, .svg or .pdf: metric against level.")] = None,
    page: Annotated[Path | None, typer.Option(help="stress.html: the picture and every level, as one file.")] = None,
    seed: Seed = 0,
    jobs: Jobs = None,
    engine: Engine = "local",
    device: Device = "cpu",
    force: Force = False,
    json: Json = False,
) -> None:
    """What recipes lose by faults that are put in on purpose.

    A modality drifts, is lost or mixed up between tested patients, or training outcomes are wrong.
    """
    from chiasm import api

    if out is not None:
        require_table(out, "levels", force)
    if plot is not None:
        require_picture(plot, force)
    if page is not None:
        require_page(page, force)
    api.require_faults([] if faults is None else [kind.strip() for kind in faults.split(",")])
    if engine == "local":
        api.require_device(device)
    named = [name for text in recipes or () for name in api.split_specs(text)]
    named = named or list(api.STRESSED)
    ready = prepared(cohort, named, engine=engine, jobs=jobs)
    with screen.Progressing("training sets") as progress, told_how_to_go_on(None):
        found = api.stress(
            ready, named, faults=faults, protocol=api.Protocol(folds=folds, repeats=repeats), seed=seed, jobs=jobs,
            engine=engine, device=device, progress=progress,
        )  # fmt: skip
    if out is not None:
        api.write_predictions(found.table.set_index("recipe"), out)
    if plot is not None:
        found.plot(plot)
    if page is not None:
        found.report(page)
    rows = found.table.to_dict("records")
    if json:
        attacks = for_json(found.attacks.to_dict("records"))
        told = {"metric": found.metric, "findings": list(found.findings), "rows": for_json(rows)}
        screen.show_json({**told, "attacks": attacks, "not_attacked": dict(found.not_attacked)})
        return
    for leak in found.leaks:
        screen.hint(f"a leak was found: {leak}")
    attacked = {*found.attacks["attack"], "noise"} if len(found.attacks) else set()
    last = {  # the highest level of each fault
        (row["recipe"], row["fault"], row["modality"]): row for row in rows if row["fault"] not in attacked
    }
    headings = ["recipe", "fault", "modality", "level", "struck", f"{found.metric} (95 %)", "change (95 %)"]
    screen.show_table(
        [*headings, "explained", "change"], [_row(row) for row in last.values()], right=["level", "struck"]
    )
    screen.show(
        "\nThe highest level of each fault; --out has all. Struck: patients a fold. Explained: share of the outcome."
    )
    for row in rows:
        if row["fault"] == "sites":
            known, left_out = _figure(row["metric"] - row["change"]), _figure(row["metric"])
            screen.show(
                f"Sites: within sites, '{row['recipe']}' reaches {known} where the site was known and "
                f"{left_out} where it was left out, in {row['level']:g} parts."
            )
    _show_attacks(found)
    show_written(out, plot, page)


def _show_attacks(found: Any) -> None:
    """Print what attacks take, at the widest radius, and who was not attacked."""
    rows = found.attacks.to_dict("records")
    if rows:
        last = {(row["recipe"], row["attack"], row["modality"]): row for row in rows}
        screen.show("")
        headings = ["recipe", "attack", "modality", "radius", "clean", "noise", f"{found.metric} (95 %)", "lost"]
        screen.show_table(headings, [_attack(row) for row in last.values()], right=["radius", "clean", "noise", "lost"])
        screen.show(TOLD)
        if any(row["lost"] != row["lost"] for row in last.values()):
            screen.show(
                "Not estimable: the interval of the clean score is not above chance, so there is nothing to lose."
            )
    for recipe, why in found.not_attacked.items():
        screen.show(f"{recipe}: {why}")


def _attack(row: Mapping[Any, Any]) -> list[str]:
    """A line of the attacks; nothing is lost where nothing is known."""
    lost = "not estimable" if row["lost"] != row["lost"] else f"{100 * row['lost']:.0f} %"
    metric = screen.interval(row["attacked"], row["low"], row["high"])
    shown = [row["recipe"], row["attack"], row["modality"], f"{row['radius']:g}"]
    return [*shown, _figure(row["clean"]), _figure(row["noise"]), metric, lost]


def _figure(value: float) -> str:
    return "not estimable" if value != value else f"{value:.3f}"


def _row(row: Mapping[Any, Any]) -> list[str]:
    """A line of the table; without a fault nothing has changed."""
    shown = [row["recipe"], row["fault"], row["modality"]]
    metric, share = screen.interval(row["metric"], row["low"], row["high"]), f"{row['explained']:.3f}"
    if row["fault"] == "none":
        return [*shown, "", "", metric, "", share, ""]
    change = screen.interval(row["change"], row["change_low"], row["change_high"])
    struck = f"{row['struck']:.0f}"
    return [*shown, f"{row['level']:g}", struck, metric, change, share, f"{row['explained_change']:+.3f}"]
