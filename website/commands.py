"""The page of the command line: the help of every command, as the program prints it."""

from __future__ import annotations

from collections.abc import Iterator

import click

WIDTH = 100
HEAD = """What `chiasm <command> --help` says, of every command. `--json` is for machines; an error is one sentence
that says what, where and what to do, and ends with 2."""


def page() -> str:
    """Markdown with a heading and a help text for each command, those of a group after it."""
    from chiasm.cli import command_of

    parts = ["# The command line", HEAD]
    for name, text in helped(command_of("")):
        parts.append(f"## {name}" if name.count(" ") < 2 else f"### {name}")
        parts.append(f"```text\n{text}\n```")
    return "\n\n".join(parts) + "\n"


def helped(
    command: click.Command, name: str = "chiasm", above: click.Context | None = None
) -> Iterator[tuple[str, str]]:
    """Name and help text of a command and of those below it; of the program itself only those below."""
    context = click.Context(command, info_name=name.rpartition(" ")[2], parent=above, max_content_width=WIDTH)
    context.terminal_width = WIDTH
    if above is not None:
        yield name, command.get_help(context).rstrip()
    for own in getattr(command, "commands", {}).values():
        yield from helped(own, f"{name} {own.name}", context)
