"""`track`: a finished trial, and models, in MLflow."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from chiasm import screen
from chiasm.cli.options import Json

if TYPE_CHECKING:
    from chiasm.api import Tracked


def track(
    run: Annotated[Path, typer.Argument(metavar="RUN|MODEL", help="A run folder of evaluate, or a model folder.")],
    to: Annotated[str, typer.Option(metavar="FOLDER|URI", help="A folder, or the address of an MLflow server.")],
    experiment: Annotated[str, typer.Option(help="The name under which MLflow lists it.")] = "chiasm",
    name: Annotated[
        str | None, typer.Option(help="Of a model: its name in the registry, of which it is the next version.")
    ] = None,
    json: Json = False,
) -> None:
    """Write a finished trial, or a model, to MLflow.

    A trial: figures, verdict, findings and page. A model: its folder, byte for byte. No patient and no path of yours.
    """
    from chiasm import api

    if (run / "model.json").is_file():
        logged = api.log_model(run, to=to, registered=name, experiment=experiment)
        if json:
            screen.show_json({"model": logged.uri, "version": logged.version or None})
            return
        named = f", version {logged.version} of '{name}'" if logged.version else ""
        screen.show(f"Model: {logged.uri}{named}")
        return
    if name is not None:
        raise ValueError("--name is that of a model in the registry: name a model folder with it")
    done = api.track(run, to, experiment=experiment)
    if json:
        screen.show_json({"run": done.run, "place": done.place})
        return
    show_tracked(done, hint=False)


def show_tracked(done: Tracked, *, hint: bool = True) -> None:
    """Say where a trial was written, and what shows it; as a hint where standard output is a trial's."""
    say = screen.hint if hint else screen.show
    say(f"Tracked: run {done.run} at {done.place}")
    if done.look:
        say(f"Look:    {done.look}")
