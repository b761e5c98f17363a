"""`enhance`: a scan on a finer grid, with a page that says where not to trust it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from chiasm import screen
from chiasm.cli.options import Device, Force, Json, require_new, require_page, require_writable, show_written


def enhance(
    scan: Annotated[
        Path, typer.Argument(metavar="SCAN", help="A volume (.nii.gz, a DICOM folder) or grey picture (.png).")
    ],
    out: Annotated[Path, typer.Option(help="The finer scan: .nii.gz of a volume, .png of a picture.")],
    scale: Annotated[
        str | None, typer.Option(help="How much finer: 2 (the default), 3.5, or one for each axis of the file: 1,1,4.")
    ] = None,
    page: Annotated[
        Path | None, typer.Option(help="HTML page of before, after, their difference and where not to trust it.")
    ] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Of learning; default: 1000.")] = None,
    static: Annotated[
        Path | None, typer.Option(help="A fine static scan of the same subject, where SCAN is a series of frames.")
    ] = None,
    other: Annotated[
        list[Path] | None, typer.Option(help="With --static: a static scan of another subject; several times.")
    ] = None,
    share: Annotated[
        float | None, typer.Option(help="With --static on the same grid: the share of k-space that was measured.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the fields whose mean is told, or of the network.")] = 0,
    device: Device = "cpu",
    force: Force = False,
    json: Json = False,
) -> None:
    """A scan on a finer grid, by a neural field that is learnt of this scan alone.

    What lies between its voxels is generated: the header of the file says so, and the page shows where it is doubtful.
    With --static, SCAN is a 4-D series, whose frames are told on the grid of that scan.
    """
    if static is not None:
        _frames(scan, out, static, other or [], share, scale, page, steps, seed, device, force, json)
        return
    if other or share is not None:
        raise ValueError("--other and --share are of a series of frames: name its --static scan, or leave them away")
    from chiasm.api.enhancing import enhance as made_finer

    scale = scale or "2"
    try:
        scales = [float(own) for own in scale.split(",")]
    except ValueError:
        raise ValueError(f"'{scale}' is no scale: write 2, or one number for each axis, as in 1,1,4") from None
    require_new(out, force, "--out")
    require_writable(out)
    if page is not None:
        require_page(page, force)
    found = made_finer(
        scan, out, scale=scales[0] if len(scales) == 1 else scales, page=page, steps=steps, seed=seed, device=device
    )
    if json:
        screen.show_json({**found.mark, "departure": found.finer.departure[0], "written": str(out)})
        return
    for sentence in found.sentences:
        screen.show(sentence)
    if page is None:
        screen.hint("--page fine.html shows where the doubt is")
    show_written(out, page)


def _frames(
    scan: Path, out: Path, static: Path, others: list[Path], share: float | None, scale: str | None, page: Path | None,
    steps: int | None, seed: int, device: str, force: bool, json: bool,
) -> None:  # fmt: skip
    from chiasm.api.enhancing_frames import enhance_frames

    for name, given in (("--scale", scale), ("--page", page), ("--device", None if device == "cpu" else device)):
        if given is not None:
            raise ValueError(
                f"{name} is not of a series of frames, which is told on the grid of --static: leave it away"
            )
    require_new(out, force, "--out")
    require_writable(out)
    how: dict[str, Any] = {} if steps is None else {"steps": steps}
    found = enhance_frames(scan, static, out, others=others, share=share, seed=seed, **how)
    if json:
        screen.show_json({**found.mark, "sentences": list(found.sentences), "written": str(out)})
        return
    for sentence in found.sentences:
        screen.show(sentence)
    show_written(out)
