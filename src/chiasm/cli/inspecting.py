"""`inspect`: what is inside a model folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from chiasm import screen
from chiasm.cli.options import (
    Json,
    ModelPath,
    Trust,
)


def inspect(
    model: ModelPath,
    trust: Trust = None,
    trial: Annotated[
        Path | None, typer.Option(help="A run folder with scores of its recipe; default: the folder the model lies in.")
    ] = None,
    json: Json = False,
) -> None:
    """What is inside a model folder, and what it must not be used for.

    The model is not loaded; every file is compared with its hash and with the signature.
    """
    from chiasm import api

    found = api.inspect_model(model, trust, trial)
    screen.show(found.as_json() if json else str(found))
