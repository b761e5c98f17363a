"""`push` and `pull`: a model to the Hugging Face Hub, and one revision of it from there."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from chiasm import screen
from chiasm.cli.options import Json, Trust, require_writable


def push(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="A model folder.")],
    repository: Annotated[str, typer.Argument(metavar="OWNER/NAME", help="A repository of the Hub; it is made.")],
    licence: Annotated[str, typer.Option("--licence", "--license", help="As the Hub lists it: cc-by-nc-4.0, other.")],
    trial: Annotated[
        Path | None, typer.Option(metavar="RUN", help="A run folder, whose scores of the recipe go into the card.")
    ] = None,
    public: Annotated[bool, typer.Option("--public", help="Everybody may read it; else it is private.")] = False,
    with_training_rows: Annotated[
        bool, typer.Option("--with-training-rows", help="Although it can keep rows of training patients.")
    ] = False,
    json: Json = False,
) -> None:
    """Send a model to the Hugging Face Hub.

    Its files and no other, with its card. Sign in by 'hf auth login', or HF_TOKEN.
    """
    from chiasm import api

    told = None if trial is None else api.load_trial(trial)
    done = api.push(
        model, repository, licence=licence, trial=told, public=public, with_training_rows=with_training_rows
    )
    if json:
        screen.show_json(
            {"page": done.page, "revision": done.revision, "private": done.private, "files": [*done.files]}
        )
        return
    screen.show(f"Sent {', '.join(done.files)} to {done.page}, {'private' if done.private else 'public'}.")
    screen.show(f"Revision: {done.revision}\nNext:     chiasm pull {done.repository}@{done.revision} --out model")


def pull(
    model: Annotated[
        str, typer.Argument(metavar="OWNER/NAME@HASH", help="A repository, and the full hash of a revision.")
    ],
    out: Annotated[Path, typer.Option(help="The model folder.")],
    trust: Trust = None,
    json: Json = False,
) -> None:
    """Fetch one revision of a model from the Hugging Face Hub.

    By its full hash: a branch or a tag may be another model tomorrow. Files are checked before any is opened.
    """
    from chiasm import api

    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise FileExistsError(17, "exists already: choose another --out", str(out))
    require_writable(out)
    done = api.pull(model, out, trusted=trust)
    if json:
        screen.show_json({"model": str(done.folder), "revision": done.revision, "files": [*done.files]})
        return
    screen.show(f"Model: {done.folder}, revision {done.revision}")
    screen.show(f"Next:  chiasm predict {done.folder} new/cohort.toml --out predictions.csv")
