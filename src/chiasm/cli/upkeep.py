"""`update`, `extend` and `monitor`: what a fitted model needs after it went to work."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from chiasm import screen
from chiasm.cli.models import require_place
from chiasm.cli.options import (
    CohortPath,
    Draws,
    Force,
    Json,
    ModelPath,
    Seed,
    Strict,
    Trust,
    for_json,
    require_page,
    show_notes,
    show_written,
)

if TYPE_CHECKING:
    from chiasm.api import Monitored, Updated


def monitor(
    model: ModelPath,
    cohorts: Annotated[
        list[Path], typer.Argument(metavar="COHORT...", help="Manifests; each of several is a look of its own.")
    ],
    date: Annotated[str, typer.Option(metavar="COLUMN", help="Of the patients' table: when they came in.")] = "",
    every: Annotated[str, typer.Option(metavar="PERIOD", help="A look each day, week or month.")] = "",
    since: Annotated[str, typer.Option(metavar="DATE", help="The first date, as 2026-01-31.")] = "",
    outcomes: Annotated[Path | None, typer.Option(help="The same patients with the outcomes known by now.")] = None,
    reference: Annotated[Path | None, typer.Option(help="Compare with these patients, whom it has not seen.")] = None,
    rate: Annotated[float, typer.Option(help="False alarms, over all looks.")] = 0.05,
    looks: Annotated[int | None, typer.Option(min=1, help="Looks that the rate is for; default: a year's.")] = None,
    strict: Strict = True,
    out: Annotated[Path | None, typer.Option(help="The page, as monitor.html.")] = None,
    trust: Trust = None,
    force: Force = False,
    json: Json = False,
) -> None:
    """Compare patients who come in with those of training.

    Who has what, the columns of each modality, predictions, and calibration where outcomes are known. Exit 1 on an
    alarm.
    """
    from chiasm import api

    if out is not None:
        require_page(out, force, "--out")
    api.hush_findings()
    start = time.monotonic()
    opened = [api.open_cohort(path) for path in cohorts]
    with screen.Progressing("sources") as progress:
        found = api.monitor(
            model, opened, date=date, every=every, since=since,
            outcomes=None if outcomes is None else api.open_cohort(outcomes),
            reference=None if reference is None else api.open_cohort(reference), rate=rate, looks=looks, strict=strict,
            progress=progress.named, trusted=trust,
        )  # fmt: skip
    if out is not None:
        found.report(out)
    if json:
        told = found.as_json()
        screen.show_json({**told, "tests": for_json(told["tests"])})
    else:
        show_monitored(found, time.monotonic() - start)
        show_written(out)
    if found.alarm:
        raise typer.Exit(1)


def show_monitored(found: Monitored, seconds: float) -> None:
    """The latest look and every alarm of earlier ones, then whether there is an alarm and what that is worth."""
    latest = found.found[-1].label
    screen.show(f"{len(found.found):,} look{'' if len(found.found) == 1 else 's'}, in {screen.duration(seconds)}\n")
    rows = [
        [row["look"], row["test"], f"{row['scope']}, {row['patients']:,}", f"{row['p']:.2g}", f"{row['level']:.2g}",
         "ALARM" if row["alarm"] else "", row["said"] if row["alarm"] else ""]
        for row in found.table().to_dict("records")
        if row["look"] == latest
    ]  # fmt: skip
    screen.show_table(["look", "test", "patients", "p", "level", "", "what differs most"], rows, right=["p", "level"])
    earlier = sum(look.alarm for look in found.found[:-1])
    if earlier:
        screen.hint(f"{earlier:,} earlier look{'' if earlier == 1 else 's'} with an alarm: --out and --json have them")
    screen.show(f"\n{found.sentence}\n{found.promise} Compared with {found.against}.")
    show_notes(found.notes)


def extend(
    model: ModelPath,
    cohort: CohortPath,
    modality: Annotated[str, typer.Option(metavar="NAME", help="The modality of the cohort that is added.")],
    out: Annotated[Path, typer.Option(help="The folder of the newer model.")],
    strict: Strict = True,
    draws: Draws = 1000,
    seed: Seed = 0,
    trust: Trust = None,
    force: Force = False,
    json: Json = False,
) -> None:
    """Add a modality to a model.

    Patients without it are predicted as before, to the bit. The new block learns what the model leaves, and is kept as
    far as it pays on inner folds.
    """
    from chiasm import api

    require_place(out, force)
    require_apart(model, out)
    api.hush_findings()
    start = time.monotonic()
    with screen.Progressing("sources") as progress:
        found = api.extend(
            model, api.open_cohort(cohort), modality, seed=seed, strict=strict, draws=draws, progress=progress.named,
            trusted=trust,
        )  # fmt: skip
    found.model.save(out)
    tell_unsigned(model, out)
    if json:
        told = found.as_json()
        (gain,) = for_json([told["gain"]])
        screen.show_json(
            {"model": str(out), "parent": str(model), **told, "gain": gain, "scores": for_json(told["scores"])}
        )
        return
    events = "" if found.scores.events is None else f" with {found.scores.events:,} events"
    screen.show(f"{found.scores.patients:,} patients{events}, in {screen.duration(time.monotonic() - start)}\n")
    rows = [
        [row["recipe"], row["label"], screen.interval(*(row[key] for key in ("mean", "low", "high")))]
        for row in found.table().to_dict("records")
    ]
    screen.show_table(["model", "metric", "value (95 % interval, out of fold)"], rows)
    screen.show(f"\n{found.sentence}")
    show_notes([*found.notes, api.LEAK])
    screen.show(f"\nModel: {out}" + ("" if found.is_extended else ", equal to the one of before"))
    if found.is_extended:
        screen.show(f"Back:  chiasm update {out} --undo --out older")


def require_apart(model: Path, out: Path) -> None:
    """The newer model does not replace the one of before."""
    if out.absolute() == model.absolute():
        raise ValueError("--out is the model itself: name another folder, so that the one of before stays")


def tell_unsigned(model: Path, out: Path) -> None:
    """Say that a newer model is not signed where the one of before was: nobody has said yet that it is right."""
    from chiasm import api

    if api.is_signed(model):
        screen.hint(f"not signed, as the one of before was: chiasm sign {out} --key KEY.pem")


def update(
    model: ModelPath,
    out: Annotated[Path, typer.Option(help="The folder of the newer model.")],
    cohort: Annotated[
        Path | None, typer.Argument(metavar="COHORT", help="The manifest of patients with later outcomes.")
    ] = None,
    undo: Annotated[bool, typer.Option("--undo", help="Take the last step back: the model of before.")] = False,
    level: Annotated[float, typer.Option(help="Size of the test that something is changed.")] = 0.05,
    by_pattern: Annotated[bool, typer.Option(help="Levels of patterns.")] = True,
    strict: Strict = True,
    draws: Draws = 1000,
    seed: Seed = 0,
    trust: Trust = None,
    force: Force = False,
    json: Json = False,
) -> None:
    """Recalibrate a model on later outcomes.

    No change, intercept, intercept and slope, or a level for each pattern: chosen by a closed test. The model of before
    stays where it is, and the newer one knows it.
    """
    from chiasm import api

    require_place(out, force)
    require_apart(model, out)
    if undo == (cohort is not None):
        raise ValueError("update takes either a cohort with later outcomes, or --undo")
    if cohort is None:
        taken = api.undo(model, trusted=trust)
        taken.save(out)
        tell_unsigned(model, out)
        same = api.identity(out)
        if json:
            screen.show_json({"model": str(out), "identity": same, "steps": len(taken.history)})
            return
        screen.show(f"Took the last step back: {out}, which is model {same[:12]}.")
        return
    api.hush_findings()
    start = time.monotonic()
    with screen.Progressing("sources") as progress:
        found = api.update(
            model, api.open_cohort(cohort), level=level, by_pattern=by_pattern, strict=strict, draws=draws, seed=seed,
            progress=progress.named, trusted=trust,
        )  # fmt: skip
    found.model.save(out)
    tell_unsigned(model, out)
    if json:
        told = found.as_json()
        shown = {
            key: for_json(own) if key in ("candidates", "calibration_before") else own for key, own in told.items()
        }
        screen.show_json({"model": str(out), "parent": str(model), **shown})
        return
    show_update(found, time.monotonic() - start)
    screen.show(f"\nModel: {out}" + ("" if found.is_changed else ", equal to the one of before"))
    if found.is_changed:
        screen.show(f"Back:  chiasm update {out} --undo --out older")


def show_update(found: Updated, seconds: float) -> None:
    """The calibration before, the candidates with their tests, and what was chosen."""
    before = found.before
    events = "" if before.events is None else f" with {before.events:,} events"
    screen.show(f"Calibration of the model among {before.patients:,} patients{events}, in {screen.duration(seconds)}\n")
    rows = [
        [row["label"], screen.interval(*(row[key] for key in ("mean", "low", "high")))]
        for row in found.calibration().to_dict("records")
    ]
    screen.show_table(["before", "value (95 % interval)"], rows)
    screen.show("")
    table = found.table()
    rows = [
        [
            row["change"], f"{row['slope']:.3f}", f"{row['log_likelihood'] - table['log_likelihood'][0]:+.2f}",
            "-" if row["p"] != row["p"] else f"{row['p']:.3g}", "kept" if row["chosen"] else "",
        ]
        for row in table.to_dict("records")
    ]  # fmt: skip
    columns = ["change", "slope", "log likelihood", "p of the fullest against it", ""]
    screen.show_table(columns, rows, right=columns[1:4])
    screen.show(f"\n{found.sentence}")
    for why, number in found.left_out.items():
        screen.show(f"Left out {number:,}: {why}.")
    show_notes(found.notes)
