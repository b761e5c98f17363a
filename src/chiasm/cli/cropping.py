"""`crops`: a cohort of what stands in the boxes of images."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from chiasm import screen
from chiasm.cli.options import Force, Json, require_new, show_written


def crops(
    cohort: Annotated[Path, typer.Argument(metavar="COHORT", help="Manifest of a cohort with a target of boxes.")],
    out: Annotated[Path, typer.Option(help="Folder of the cohort of crops: cohort.toml, crops.csv, crops/*.png.")],
    modality: Annotated[str, typer.Option(help="Modality of the images, where there are several.")] = "",
    margin: Annotated[float, typer.Option(help="How much more than the box is cut out, as a share of it.")] = 0.1,
    force: Force = False,
    json: Json = False,
) -> None:
    """A cohort of the crops of boxes: each is a patient, with the box's label as its class.

    The crops of an image are one group, which no fold parts.
    """
    from chiasm.api.cropping import crops as cut_out

    require_new(out / "cohort.toml", force, "--out")
    found = cut_out(cohort, out, modality=modality, margin=margin)
    images = found.table["image"].nunique()
    if json:
        facts = {"crops": len(found.table), "images": images, "unread": found.unread, "small": found.small}
        screen.show_json({**facts, "written": str(out / "cohort.toml")})
        return
    screen.show(f"{len(found.table):,} crops of {images:,} images")
    if found.unread:
        screen.hint(f"images that could not be read, and have no crop: {found.unread:,}")
    if found.small:
        screen.hint(f"boxes of less than two pixels a side, left out: {found.small:,}")
    show_written(out / "cohort.toml")
