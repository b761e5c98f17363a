"""`keys` and `sign`: who says that a model folder is as they left it."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from chiasm import screen
from chiasm.cli.options import (
    Json,
    ModelPath,
    require_writable,
)

PassphraseFd = Annotated[
    int | None, typer.Option(min=0, help="Read the passphrase from this open file descriptor; default: ask for it.")
]
LONGEST = 1024  # bytes of a passphrase


def keys(
    out: Annotated[Path, typer.Option(help="Where: OUT.pem, which is yours alone, and OUT.pub.pem, for others.")],
    passphrase_fd: PassphraseFd = None,
    no_passphrase: Annotated[
        bool, typer.Option("--no-passphrase", help="Whoever reads the private key's file can sign.")
    ] = False,
    json: Json = False,
) -> None:
    """Make a pair of keys to sign models with.

    Keep the private one; hand the public one on by a way that nobody else can change.
    """
    from chiasm import api

    if no_passphrase and passphrase_fd is not None:
        raise ValueError("--no-passphrase and --passphrase-fd exclude each other: leave one of them out")
    require_writable(out)
    secret = None if no_passphrase else passphrase(passphrase_fd, "Passphrase for the new key", twice=True)
    if secret == b"":
        raise ValueError("the passphrase is empty: give one, or add --no-passphrase")
    made = api.new_keys(out, secret)
    if json:
        screen.show_json({"private": str(made.private), "public": str(made.public), "fingerprint": made.fingerprint})
        return
    screen.show(f"Private key, yours alone: {made.private}{' (not encrypted)' if no_passphrase else ''}")
    screen.show(f"Public key, for others:   {made.public}")
    screen.show(f"Fingerprint, to compare:  {made.fingerprint}")
    screen.show(f"Next:  chiasm sign model --key {made.private}")


def sign(
    model: ModelPath,
    key: Annotated[Path, typer.Option(help="The private key, of chiasm keys.")],
    passphrase_fd: PassphraseFd = None,
    json: Json = False,
) -> None:
    """Sign a model folder.

    Says that every byte of it is as you left it, and nothing of how good the model is.
    """
    from chiasm import api

    secret = passphrase(passphrase_fd, f"Passphrase of {key.name}") if api.is_locked(key) else None
    fingerprint = api.sign_model(model, key, secret)
    if json:
        screen.show_json({"model": str(model), "fingerprint": fingerprint})
        return
    screen.show(f"Signed by {fingerprint}: {model}")
    screen.show(f"Next:  chiasm predict {model} new/cohort.toml --out predictions.csv --trust PUBLIC.pub.pem")


def passphrase(descriptor: int | None, asked: str, twice: bool = False) -> bytes:
    """The passphrase, by an open file descriptor or from the terminal; never an argument, which others can see."""
    if descriptor is not None:
        try:
            found = os.read(descriptor, LONGEST + 1)
        except OSError:
            raise ValueError(f"--passphrase-fd {descriptor} cannot be read: open it, as in 3<passphrase.txt") from None
        if len(found) > LONGEST:
            raise ValueError(f"the passphrase has over {LONGEST:,} bytes: is it another file?")
        return found.removesuffix(b"\n").removesuffix(b"\r")
    if not sys.stdin.isatty():
        raise ValueError("there is no terminal to ask for a passphrase on: give it by --passphrase-fd 3 3<FILE")
    return str(typer.prompt(asked, hide_input=True, confirmation_prompt=twice, err=True)).encode()
