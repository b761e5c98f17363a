"""`segment`: the label map of one patient's image, as a file that lies on it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from chiasm import screen
from chiasm.cli.options import Force, Json, require_new, show_written


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
    found = drawn(model, images[0] if named is None else named, out, click or ())
    if json:
        screen.show_json({"volumes": found, "written": str(out)})
        return
    for name, volume in found.items():
        screen.show(f"{name}: {volume:,.6g}")
    show_written(out)
