"""`store`: what the token store holds, whether it is whole, and dropping what is not needed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from chiasm import screen
from chiasm.cli.help import PlainCommand
from chiasm.cli.options import Json, Store

if TYPE_CHECKING:
    from chiasm.api import TokenStore

app = typer.Typer(
    help="What the token store holds; verify and prune it.", rich_markup_mode=None, pretty_exceptions_enable=False
)


@app.callback(invoke_without_command=True)
def show(context: typer.Context, store: Store = None, json: Json = False) -> None:
    """What the token store holds: a row an encoder.

    `verify` reads every byte, `prune` drops what is not needed. The options stand behind the sub-command.
    """
    if context.invoked_subcommand:
        if store is not None or json:
            raise ValueError(f"options stand behind '{context.invoked_subcommand}': chiasm store verify --store DIR")
        return
    from chiasm import api

    opened = api.open_store(store)
    entries = opened.shows()
    if json:
        rows: list[dict[str, Any]] = [
            {**vars(entry), "written": entry.written.isoformat() if entry.written else None} for entry in entries
        ]
        screen.show_json(
            {"store": str(opened.folder), "encoders": rows, "bytes": sum(entry.bytes for entry in entries)}
        )
        return
    if not entries:
        nothing(opened)
        return
    screen.show(f"Token store: {opened.folder}\n")
    lines = []
    for entry in entries:
        numbers = [f"{entry.sources:,}", f"{entry.tokens:,}", f"{entry.width:,}", screen.size(entry.bytes)]
        written = entry.written.astimezone().strftime("%Y-%m-%d %H:%M") if entry.written else "-"
        lines.append([entry.name, *numbers, f"{entry.fragments:,}", written])
    columns = ["sources", "tokens", "width", "size", "fragments"]
    screen.show_table(["encoder", *columns, "last written"], lines, right=columns)
    screen.show("\nIn full, reader and encoder with version, options and weights:")
    for entry in entries:
        screen.show(f"  {entry.encoder}")
    screen.show(f"\n{screen.size(sum(entry.bytes for entry in entries))} in all.")


@app.command(cls=PlainCommand)
def verify(store: Store = None, json: Json = False) -> None:
    """Read every byte of the store.

    One sentence for each file that is damaged; exit 1 when one is.
    """
    from chiasm import api

    opened = api.open_store(store)
    damaged = opened.verify()
    if json:
        screen.show_json({"store": str(opened.folder), "damaged": damaged})
    elif damaged:
        for sentence in damaged:
            screen.show(sentence)
    else:
        held = sum(entry.fragments for entry in opened.shows())
        screen.show(f"{counted(held, 'fragment')}, none damaged.") if held else nothing(opened)
    if damaged:
        raise typer.Exit(1)


@app.command(cls=PlainCommand)
def prune(
    encoder: Annotated[
        str | None, typer.Option(help="What this encoder gave: a name, as in rocket, or a whole identity.")
    ] = None,
    older_than: Annotated[
        float | None, typer.Option(metavar="DAYS", help="Written more than so many days ago.")
    ] = None,
    cohort: Annotated[
        list[Path] | None, typer.Option(help="Keep what this cohort holds, and drop the rest; again for each.")
    ] = None,
    store: Store = None,
    yes: Annotated[bool, typer.Option("--yes", help="Drop without asking.")] = False,
    json: Json = False,
) -> None:
    """Drop tokens for which every condition given holds, and tidy.

    Without a condition no token goes: damaged fragments and files of dead writers do, and small fragments are merged.
    What is dropped is encoded again when it is needed.
    """
    from chiasm import api

    opened = api.open_store(store)
    if not opened.shows() and not json and encoder is None:
        nothing(opened)
        return
    chosen: dict[str, Any] = {"encoder": encoder, "keep": cohort or (), "older_than_days": older_than}
    found = api.prune_store(store, **chosen, dry=True)
    asked = f"Drop the tokens of {counted(found.sources, 'source')} from {opened.folder}?"
    if found.sources and not yes and not typer.confirm(asked, err=True):
        screen.hint("nothing was dropped")
        raise typer.Exit(2)
    found = api.prune_store(store, **chosen)
    if json:
        screen.show_json({"store": str(opened.folder), "sources": found.sources, "bytes": found.bytes})
        return
    dropped = f"The tokens of {counted(found.sources, 'source')} dropped" if found.sources else "No tokens dropped"
    screen.show(f"{dropped}, {screen.size(found.bytes) if found.bytes > 0 else 'nothing'} freed.")


def nothing(opened: TokenStore) -> None:
    """The store is empty or not there yet."""
    state = "is empty" if opened.folder.is_dir() else "does not exist yet"
    screen.show(f"The token store {opened.folder} {state}: chiasm encode, evaluate, fit and predict fill it.")


def counted(number: int, noun: str) -> str:
    """`1 source`, `2 sources`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
