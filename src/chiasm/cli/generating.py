"""`generate`: a synthetic cohort with its privacy report, or what patients lack filled in."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from chiasm import screen
from chiasm.cli.options import CohortPath, Json, Seed, told_how_to_go_on


def generate(
    cohort: CohortPath,
    out: Annotated[Path, typer.Option(help="A new folder: cohort.toml and its tables, generated.json and .html.")],
    patients: Annotated[int | None, typer.Option(help="How many synthetic patients are drawn.")] = None,
    fill: Annotated[
        list[str] | None, typer.Option(help="A modality that is filled in for who lacks it; may be repeated.")
    ] = None,
    generator: Annotated[
        str, typer.Option(help="How: gaussian-copula, mixed-diffusion; options as in mixed-diffusion:steps=50.")
    ] = "gaussian-copula",
    dp: Annotated[
        float | None, typer.Option(help="Epsilon of differential privacy, of mixed-diffusion; needs chiasm[dp].")
    ] = None,
    pictures: Annotated[
        str,
        typer.Option(
            help="What draws images and volumes: diffusion, flow, latent-diffusion, vqvae or gan, as in "
            "diffusion:steps=500."
        ),
    ] = "diffusion",
    accept_privacy: Annotated[
        str, typer.Option(help="Why a set above a limit of privacy is written all the same.")
    ] = "",
    recipe: Annotated[str, typer.Option(help="What utility is told by; default: late-fusion.")] = "",
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """A synthetic cohort that may be shared, with what it gives away; or a modality filled in from the others.

    Tables, omics blocks, images, volumes, outcomes. A set above a limit of privacy is refused, and nothing is written.
    """
    from chiasm.api import generating

    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise FileExistsError(17, "exists already: choose another --out", str(out))
    with told_how_to_go_on(None):
        found = generating.generate(
            cohort, out, patients=patients, fill=fill or (), generator=generator, seed=seed, dp=dp,
            accept_privacy=accept_privacy, recipe=recipe, pictures=pictures,
        )  # fmt: skip
    if json:
        screen.show_json({**found.document, "written": str(out / generating.MANIFEST)})
        return
    if found.privacy is not None:
        heads = ["what is given away", "value (95 %)", "harmless", "limit"]
        rows = [
            [own.id, screen.interval(own.value, own.low, own.high, 3), f"{own.harmless:g}",
             "-" if own.limit is None else f"{own.limit:g}"]
            for own in found.privacy.measures
        ]  # fmt: skip
        screen.show_table(heads, rows, right=heads[1:])
        screen.show("")
    for sentence in found.sentences:
        screen.show(sentence)
    screen.show(f"Written: {out / generating.MANIFEST}, and beside it {generating.DOCUMENT}, {generating.PAGE}")
