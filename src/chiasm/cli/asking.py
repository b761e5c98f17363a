"""`ask`: a question in plain words, answered from the numbers of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from chiasm import screen
from chiasm.cli.options import Json


def ask(
    of: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.")],
    question: Annotated[str, typer.Argument(metavar="QUESTION", help="In English, in quotes.")],
    json: Json = False,
) -> None:
    """Answer a question about a run, from its own numbers only.

    Each number comes with the file and the key where it stands. What the run does not hold is not answered, and the
    command then ends with 1.
    """
    from chiasm import api

    found = api.ask(of, question)
    if json:
        screen.show_json(found.as_json())
    else:
        screen.show(str(found))
    if not found.answered:
        raise typer.Exit(1)
