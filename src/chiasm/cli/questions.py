"""`questions`: released questions on images, captions or reports as a cohort."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from chiasm import screen
from chiasm.cli.options import Force, Json, Seed, require_new, show_written


def questions(
    release: Annotated[Path, typer.Argument(metavar="FOLDER", help="The release as it was fetched.")],
    style: Annotated[str, typer.Option(metavar="NAME", help="slake, vqa-rad, pathvqa, roco or mimic-cxr.")],
    out: Annotated[Path, typer.Option(help="The folder of the cohort.")],
    target: Annotated[str, typer.Option(metavar="text|choice", help="Choice: what yes or no answers, alone.")] = "text",
    instruct: Annotated[bool, typer.Option("--instruct", help="Ask for captions and reports by templates.")] = False,
    seed: Seed = 0,
    force: Force = False,
    json: Json = False,
) -> None:
    """Released questions on images, captions or reports as a cohort, with the folds of the release.

    Nothing is fetched. Questions on one image, and images of one patient, are one group.
    """
    from chiasm import api

    require_new(out, force, "--out")
    found = api.questions(release, style, out, target=target, instruct=instruct, seed=seed, force=force)
    if json:
        counts = {name: int(own.sum()) for name, own in (("images", found.table["image"]),)}
        document = {"cohort": str(found.cohort), "rows": len(found.table), **counts, "left_out": dict(found.left_out)}
        screen.show_json(document)
        return
    screen.show(f"{found.sentence}.")
    for why, number in found.left_out.items():
        screen.hint(f"left out {number:,}: {why}")
    show_written(found.cohort)
