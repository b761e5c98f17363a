"""`seal` and `open-seal`: a test set that nothing sees until it is opened."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from chiasm import screen
from chiasm.cli.options import CohortPath, Device, Json, Sources


def seal(
    cohort: CohortPath,
    test: Annotated[
        float | None, typer.Option(help="Share of the patients of known outcome. Default: what [seal] says, else 0.2.")
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Of the draw. Default: what [seal] says, else 0.")] = None,
    by: Annotated[str | None, typer.Option(metavar="site", help="Keep each site on one side of the seal.")] = None,
    json: Json = False,
) -> None:
    """Hold a test set apart before the first look.

    Written beside the manifest, without an identifier; every later command opens the other patients alone.
    """
    from chiasm import api

    file = api.seal(cohort, test, seed=seed, by=by)
    made = api.read_seal(file)
    counts = made.counts
    if json:
        screen.show_json(
            {"seal": str(file), "identity": made.identity, **counts.model_dump(), **made.drawn.model_dump()}
        )
        return
    everyone = counts.patients + counts.outside
    screen.show(f"Sealed {counts.patients:,} of {everyone:,} patients, {made.rare}: {file}")
    screen.show(f"Every command reads the other {counts.outside:,} alone from now on. Keep this file with the data.")


def open_seal(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder that chiasm evaluate wrote.")],
    cohort: CohortPath,
    source: Sources = None,
    device: Device = "cpu",
    json: Json = False,
) -> None:
    """Score a trial's picks on the sealed patients.

    Meant for once, at the end: each opening is noted first, and a second one is printed on every later page.
    """
    from chiasm import api

    api.require_device(device)
    api.hush_findings()
    trial = api.open_seal(run, cohort, device=device, sources=source or ())
    if json:
        screen.show((run / "sealed.json").read_text(encoding="utf-8"))
        return
    screen.show_opening(trial.document["sealed"], api.told_openings(trial.document))
    screen.show(f"\nReport: {run / 'report.html'}")
