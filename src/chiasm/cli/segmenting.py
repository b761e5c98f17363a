"""`segment`: the label map of one patient's image, as a file that lies on it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from chiasm import screen
from chiasm.cli.options import Force, Json, require_new, show_written

ON_ONE_GRID = Path("on-one-grid")


def segment(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="Folder of a model of label maps.")],
    images: Annotated[list[str], typer.Argument(metavar="IMAGE...", help="The image, or name=image for each.")],
    out: Annotated[
        Path, typer.Option(help="File of the map: .nii.gz of a volume, .dcm of a DICOM series, .png of a picture.")
    ],
    click: Annotated[
        list[str] | None,
        typer.Option(metavar="Y,X,SIGN", help="A place inside (+) or outside (-) of a label; in a volume Z,Y,X,SIGN."),
    ] = None,
    grid: Annotated[
        str, typer.Option(metavar="NAME", help="Resample the other images onto the grid of this one first.")
    ] = "",
    force: Force = False,
    json: Json = False,
) -> None:
    """The label map of a patient's image, drawn in its geometry, and how much there is of each label.

    Of a model that reads several modalities name each image, as t1=a.nii.gz; any may be left out.
    A click is counted in pixels from 0, rows before columns, as --click 12,40,+; of several labels name its own, as
    --click 12,40,+,kidney. The model then is one that takes clicks, as sam-med2d.
    """
    from chiasm.api.segmenting import segment as drawn

    require_new(out, force, "--out")
    named = dict(own.partition("=")[::2] for own in images) if all("=" in own for own in images) else None
    if named is None and len(images) > 1:
        raise typer.BadParameter("of several images name each, as t1=a.nii.gz t2=b.nii.gz", param_hint="IMAGE")
    found = drawn(model, images[0] if named is None else named, out, click or (), grid=grid)
    if json:
        screen.show_json({"volumes": found, "written": str(out)})
        return
    for name, volume in found.items():
        screen.show(f"{name}: {volume:,.6g}")
    show_written(out)


def regrid(
    cohort: Annotated[Path, typer.Argument(metavar="COHORT", help="Manifest of a cohort of volumes.")],
    out: Annotated[Path, typer.Option(help="New folder of the volumes, within the manifest's own.")] = ON_ONE_GRID,
    json: Json = False,
) -> None:
    """The volumes of each patient, resampled onto the grid of the label map, or else of the first volume.

    Nothing is registered: what lies at the same millimetres of the scanner is taken for the same place.
    """
    from chiasm.api.regridding import regrid as resampled

    found = resampled(cohort, out)
    if json:
        screen.show_json({"written": found.written, "lines": found.lines, "little": found.little})
        return
    if not found.written:
        screen.show("The volumes of each patient lie on one grid already: nothing was written.")
        return
    for name, many in found.written.items():
        screen.show(f"{name}: {many:,} volumes")
    if found.little:
        screen.hint(
            f"volumes that cover less than half of their grid, and have their least number beyond: {found.little:,}"
        )
    screen.show(f"Write this into {cohort.name} in place of what stands there of kind and path:")
    screen.show(found.lines)
