"""`pretrain`: an encoder trained on a cohort's own values, without outcomes."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from chiasm import screen
from chiasm.cli.options import (
    CohortPath,
    Device,
    Force,
    Jobs,
    Json,
    Seed,
    for_json,
    require_page,
    require_writable,
    show_written,
    told_how_to_go_on,
)

SIGNS = ("rank", "spread", "neighbours", "compared")


def pretrain(
    cohort: CohortPath,
    out: Annotated[Path, typer.Option(help="The folder of the encoder.")],
    modality: Annotated[
        str | None,
        typer.Option(help="Of kind dna, protein, molecule, events, image, volume, dicom, ecg or signal."),
    ] = None,
    method: Annotated[
        str | None,
        typer.Option(
            help="causal, masked, fim (fill in the middle), icl (in context); of events next-event; of images mae, ..."
        ),
    ] = None,
    network: Annotated[
        str | None, typer.Option(help="With its options, as gru:width=64,depth=2,rc=ph; vit:width=192,patch=4; conv.")
    ] = None,
    epochs: Annotated[int, typer.Option(min=1, help="The most passes over the training sequences.")] = 20,
    steps: Annotated[
        int | None, typer.Option(min=1, help="So many steps, rounded up to whole epochs, instead of --epochs.")
    ] = None,
    patience: Annotated[
        int | None, typer.Option(min=0, help="Epochs without a lower held-out loss (3; of images 5).")
    ] = None,
    batch: Annotated[int, typer.Option(min=1, help="Sequences or items a step.")] = 64,
    learning_rate: Annotated[float | None, typer.Option(help="Peak rate of AdamW (0.003; of images 0.001).")] = None,
    held_out: Annotated[float, typer.Option(help="Share of the patients, or groups of them, held out.")] = 0.1,
    share: Annotated[
        float | None,
        typer.Option(
            help="Of letters that masked hides (0.15), of sequences fim turns (0.5), of patches mae hides (0.75)."
        ),
    ] = None,
    pack_by: Annotated[
        str | None, typer.Option(metavar="WHAT", help="With icl: group, site, target or a declared subgroup.")
    ] = None,
    pack: Annotated[int | None, typer.Option(min=2, help="With icl: sequences a pack (4).")] = None,
    longest: Annotated[int, typer.Option(min=2, help="Letters of the longest sequence.")] = 4096,
    unknown: Annotated[bool, typer.Option("--unknown", help="Read letters outside the alphabet as unknown.")] = False,
    size: Annotated[int | None, typer.Option(min=2, help="Of images: length of each axis; else as they are.")] = None,
    reading: Annotated[str, typer.Option(help="Of images: how they are read, as resize=pad or leads=I+II.")] = "",
    flips: Annotated[str, typer.Option(help="Of images: axes that may be mirrored, as 1 or 0+1; none.")] = "",
    precision: Annotated[str, typer.Option(help="Of images: 32, or bf16 for mixed precision.")] = "32",
    processes: Annotated[int, typer.Option(min=1, help="Of images: how many share every step.")] = 1,
    text: Annotated[
        str | None, typer.Option(metavar="MODALITY", help="Text beside images; or names, prompts, lineages.")
    ] = None,
    labels: Annotated[bool, typer.Option("--labels", help="Labels that a method reads beside images.")] = False,
    marks: Annotated[bool, typer.Option(help="Keep marks by which check finds patients pretrained on.")] = True,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with one that was interrupted.")] = False,
    page: Annotated[Path | None, typer.Option(help="pretrain.html: the curves, as one file.")] = None,
    seed: Seed = 0,
    device: Device = "cpu",
    jobs: Jobs = None,
    force: Force = False,
    json: Json = False,
) -> None:
    """Pretrain an encoder on a cohort's own sequences, records, signals, images or volumes, without outcomes.

    Patients are held out. The folder is named in a manifest as encoder = "sequence:weights=FOLDER", of events as
    "record:weights=FOLDER", of signals, images and volumes as "raster:weights=FOLDER".
    """
    from chiasm import api

    if out.exists() and not force:
        raise FileExistsError(17, "exists already: choose another --out, or add --force to replace it", str(out))
    require_writable(out)
    if page is not None:
        require_page(page, force)
    api.require_device(device)
    anew = resume and not api.checkpoint_of(out).exists()
    if anew:
        screen.hint("note: there is no checkpoint to resume beside the folder: the pretraining begins anew")
    start = time.monotonic()
    opened = api.open_cohort(cohort)
    with (
        screen.Progressing("epochs") as progress,
        told_how_to_go_on(f"chiasm pretrain with the same options and --resume goes on with {out}"),
    ):
        found = api.pretrain(
            opened, out, modality=modality, method=method, network=network, epochs=epochs, steps=steps,
            patience=patience, batch=batch, learning_rate=learning_rate, held_out=held_out, share=share,
            pack_by=pack_by, pack=pack, longest=longest, unknown=unknown, size=size, reading=reading, flips=flips,
            precision=precision, processes=processes, text=text, labels=labels, marks=marks, resume=resume, seed=seed,
            device=device, jobs=jobs, progress=progress,
        )  # fmt: skip
    seconds = time.monotonic() - start
    if page is not None:
        found.report(page)
    curve = for_json(found.curve.to_dict("records"))
    if json:
        told = {"folder": str(out), "encoder": found.encoder, "modality": found.modality, "method": found.method}
        words = {"sentences": list(found.sentences), "notes": list(found.notes)}
        screen.show_json({**told, "seconds": round(seconds, 3), **found.facts, "curve": curve, **words})
        return
    for problem in found.problems:
        screen.hint(f"{problem.severity}: {problem}")
    for note in found.notes[anew:]:  # the first was said before
        screen.hint(f"note: {note}")
    own = ["train", "held_out", *(["perplexity"] if "perplexity" in found.curve else [])]
    own += [name for name in SIGNS if name in found.curve]
    named = (
        {"train": "train (nats)", "held_out": "held out (nats)"} if "perplexity" in own else {"held_out": "held out"}
    )
    headings = ["epoch", *(named.get(name, name) for name in own)]
    rows = [[f"{row['epoch']}", *(_number(row[name]) for name in own)] for row in curve]
    screen.show_table(headings, rows, right=headings)
    screen.show("")
    for sentence in found.sentences:
        screen.show(sentence)
    facts = found.facts
    unit, item = facts.get("unit", "letter"), facts.get("item", "sequence")
    learned = facts["items"] - facts["held_out_items"]
    what = f"{facts['letters']:,} {unit}s of {learned:,} {item}s" if "letters" in facts else f"{learned:,} items"
    screen.show(
        f"Pretrained in {screen.duration(seconds)} on {what}; {facts['held_out_patients']:,} of "
        f"{facts['patients']:,} patients held out."
    )
    screen.show(f'Encoder: {out}\nNext:    encoder = "{found.encoder}" in a manifest')
    show_written(page)


def _number(value: float | None) -> str:
    return "too few" if value is None else f"{value:.3g}" if value < 0.1 else f"{value:.3f}"
