"""`edit`: a picture edited towards a class by a diffusion model of a cohort's pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from chiasm import screen
from chiasm.cli.options import Force, Json, require_new, show_written


def edit(
    editor: Annotated[
        Path, typer.Argument(metavar="COHORT|EDITOR", help="A manifest to learn from, or a folder that --keep wrote.")
    ],
    picture: Annotated[Path, typer.Argument(metavar="PICTURE", help="A picture, or a volume (.nii.gz).")],
    towards: Annotated[str, typer.Option(help="The class of the outcome that it is edited towards.")],
    out: Annotated[Path, typer.Option(help="The edited picture, .png; of a volume .nii.gz.")],
    mask: Annotated[
        Path | None,
        typer.Option(help="One of the same size, not 0 where it is edited; default: everywhere."),
    ] = None,
    rounds: Annotated[int, typer.Option(min=1, help="Each goes on from the last.")] = 10,
    strength: Annotated[float, typer.Option(help="How much noise each round puts back, above 0 to 1.")] = 0.5,
    inside: Annotated[float, typer.Option(help="Share of each change that is kept within the mask.")] = 0.75,
    outside: Annotated[float, typer.Option(help="The same outside; 0 leaves every pixel as it was.")] = 0.0,
    guidance: Annotated[float, typer.Option(help="How strongly the class leads.")] = 2.0,
    keep: Annotated[Path | None, typer.Option(help="With a manifest: a new folder for what was learnt.")] = None,
    modality: Annotated[str, typer.Option(help="With a manifest: whose pictures, where there are several.")] = "",
    size: Annotated[int, typer.Option(help="With a manifest: pixels a side of what is learnt.")] = 32,
    steps: Annotated[int, typer.Option(min=1, help="With a manifest: of training.")] = 2000,
    seed: Annotated[int, typer.Option(min=0, help="Of training, and of the noise of each round.")] = 0,
    force: Force = False,
    json: Json = False,
) -> None:
    """A picture edited towards a class in rounds, within a mask; outside of it nothing changes.

    What changed is generated, and the header of the file says so: no forecast of how a patient will look.
    """
    from chiasm.api import editing

    require_new(out, force, "--out")
    own: Any = editor
    if not (editor / "model.json").is_file():
        if keep is not None:
            require_new(keep, force, "--keep")
        own = editing.fit_editor(editor, keep, modality=modality, size=size, steps=steps, seed=seed)
    elif keep is not None:
        raise typer.BadParameter("what is learnt is kept of a manifest, and this is a folder", param_hint="--keep")
    found = editing.edit(
        own, picture, out, towards=towards, mask=mask, rounds=rounds, strength=strength, inside=inside,
        outside=outside, guidance=guidance, seed=seed,
    )  # fmt: skip
    if json:
        screen.show_json({**found.mark, "sentences": list(found.sentences), "written": str(out)})
        return
    for sentence in found.sentences:
        screen.show(sentence)
    show_written(out)
