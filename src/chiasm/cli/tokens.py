"""`encode` and `encoders`: what is computed once and kept, and what computes it."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Annotated

import typer

from chiasm import screen
from chiasm.cli.options import CohortPath, Engine, Jobs, Json, Store, sound


def encode(
    cohort: CohortPath,
    encoder: Annotated[
        list[str] | None,
        typer.Option(help="modality=name:option=value, as in note=minilm; again for each. Default: the manifest's."),
    ] = None,
    store: Store = None,
    inputs: Annotated[
        bool, typer.Option("--inputs", help="Keep what the encoders' networks read, too: lora and its kind need it.")
    ] = False,
    jobs: Jobs = None,
    engine: Engine = "local",
    json: Json = False,
) -> None:
    """Encode every file, note and molecule once, and keep the tokens.

    What cannot be read is listed; its patient counts as one who lacks the modality.
    """
    from chiasm import api

    choices = dict(chosen_encoder(text) for text in encoder or ())
    opened = sound(cohort)
    for name in choices:
        opened.rows_of(name)
    start = time.monotonic()
    with screen.Progressing("sources") as progress:
        found = api.encode(
            opened, choices, store=store, inputs=inputs, jobs=jobs, engine=engine, progress=progress.named
        )
    seconds = time.monotonic() - start
    counts = {name: asdict(count) for name, count in found.counts.items()}
    problems = [asdict(problem) for problem in found.problems]
    if json:
        screen.show_json({"seconds": round(seconds, 3), "modalities": counts, "problems": problems})
        return
    for problem in found.problems:
        screen.show(f"{problem.severity}: {problem}")
    rows = []
    for name, own in found.counts.items():
        once = found.cohort.kinds[name] == "tokens"  # else it is fitted inside each fold, on what is decoded here
        numbers = [f"{own.encoded:,}", f"{own.stored:,}"] if once else ["at fit", "-"]
        chosen = found.cohort.encodings[name].encoder
        rows.append(
            [name, chosen, f"{own.sources:,}", f"{own.distinct:,}" if once else "-", *numbers, f"{own.refused:,}"]
        )
    if not rows:
        screen.show("Nothing to encode: every modality is a table, omics or a bag.")
        return
    columns = ["patients", "distinct", "encoded", "stored", "refused"]
    screen.show_table(["modality", "encoder", *columns], rows, right=columns)
    screen.show(f"\nTook {screen.duration(seconds)}.")


def encoders(
    name: Annotated[str, typer.Argument(metavar="[NAME]", help="One encoder, or a part of a name.")] = "",
    json: Json = False,
) -> None:
    """Every encoder: what it reads, its width, its licence, where its weights come from."""
    from chiasm import api

    every = api.list_encoders().to_dict("records")
    wanted = name.partition(":")[0]
    rows = [row for row in every if row["name"] == wanted] or [row for row in every if wanted in row["name"]]
    if not rows:
        raise ValueError(f"no encoder is called '{wanted}': there are {', '.join(row['name'] for row in every)}")
    if json:
        screen.show_json(rows)
        return
    for row in rows:
        default = f"  (default for {row['default']})" if row["default"] else ""
        screen.show(f"{row['name']}{default}\n  reads:   {row['reads']}\n  width:   {row['width']}")
        screen.show(f"  licence: {row['licence']}\n  weights: {row['weights']}")
        screen.show(f'  needs:   pip install "chiasm[{row["extra"]}]"\n' if row["extra"] else "")


def chosen_encoder(text: str) -> tuple[str, str]:
    """`note=minilm:chunks=8` to the modality and the encoder."""
    modality, equals, name = text.partition("=")
    if not (modality and equals and name):
        raise ValueError(f"--encoder '{text}' is not understood: write it as modality=name, as in note=minilm")
    return modality, name
