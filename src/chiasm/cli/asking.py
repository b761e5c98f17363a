"""`ask`: a question in plain words, answered from the numbers of a run, or by a model about a patient."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from chiasm import screen
from chiasm.cli.options import Json, Trust


def ask(
    of: Annotated[Path, typer.Argument(metavar="RUN|MODEL", help="A run folder, or a model folder.")],
    words: Annotated[
        list[str],
        typer.Argument(metavar="[COHORT] QUESTION", help="For a model the manifest; the question, in English, quoted."),
    ],
    patient: Annotated[str | None, typer.Option(help="For a model: an identifier of the cohort.")] = None,
    option: Annotated[
        list[str] | None, typer.Option(help="For a model that chooses: what it chooses among; again for each.")
    ] = None,
    calibrate: Annotated[
        Path | None, typer.Option(help="For a model: held-out patients with outcomes, for an interval.")
    ] = None,
    trust: Trust = None,
    json: Json = False,
) -> None:
    """Answer a question about a run, from its own numbers only; or about a patient, by a model.

    Each number comes with where it stands. What a run does not hold, or a model does not say, is not answered: the
    command then ends with 1. A model that reads a question answers it itself.
    """
    from chiasm import api

    if len(words) > 2:
        raise ValueError("the question stands in quotes, after the cohort where one is asked about")
    *cohort, question = words
    with screen.Progressing("sources") as progress:
        asked = api.load_model(of, trust) if (of / "model.json").is_file() else of
        found = api.ask(
            asked, question, Path(cohort[0]) if cohort else None, patient=patient, options=option or (),
            calibrate=calibrate, progress=progress.named,
        )  # fmt: skip
    if json:
        screen.show_json(found.as_json())
    else:
        screen.show(str(found))
    if not found.answered:
        raise typer.Exit(1)
