"""`plan`: spacing, window and batch of networks that draw label maps, as a file that a person can change."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from chiasm import screen
from chiasm.cli.options import Force, Json, require_new, show_written


def plan(
    cohort: Annotated[Path, typer.Argument(metavar="COHORT", help="Manifest of a cohort with a target of label maps.")],
    out: Annotated[Path, typer.Option(help="File of the plan, .json.")],
    modality: Annotated[str, typer.Option(help="The modality that is read; default: all that are images.")] = "",
    force: Force = False,
    json: Json = False,
) -> None:
    """Spacing, window and batch of networks that draw label maps, planned from the shapes and spacings of the images.

    Read and change the file, and name it: --recipes unet:plan=plan.json.
    """
    from chiasm.api.planning import plan as planned

    require_new(out, force, "--out")
    found = planned(cohort, out, modality=modality)
    if json:
        screen.show_json(
            {"spacing": found.spacing, "window": found.window, "batch": found.batch, "crops": found.crops,
             "scale": dict(found.scale), "written": str(out)}
        )  # fmt: skip
        return
    at = " x ".join(f"{own:g}" for own in found.spacing) + " mm" if found.spacing else "as it is, alike in all images"
    screen.show(f"Spacing: {at}")
    screen.show(f"Window: {' x '.join(map(str, found.window))}, {found.crops} of each of {found.batch} patients a step")
    for name, way in sorted(found.scale.items()):
        screen.show(f"{name}: scaled by {'numbers inside labels' if way == 'labels' else 'all pixels'} of training")
    show_written(out)
