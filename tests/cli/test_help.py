"""Help is in plain text, with a hint for each argument and examples that can be run."""

from __future__ import annotations

import re
import shlex

import click
import pytest
import typer

from chiasm.cli import app
from chiasm.cli.help import EXAMPLES, SECTIONS


def commands() -> dict[str, click.Command]:
    whole = typer.main.get_command(app)
    assert isinstance(whole, click.Group)
    found: dict[str, click.Command] = {}
    for name, command in whole.commands.items():
        below = command.commands if isinstance(command, click.Group) else {}
        found |= {name: command} | {f"{name} {own}": child for own, child in below.items()}
    return found


COMMANDS = commands()


def help_of(name: str) -> str:
    command = COMMANDS[name]
    return command.get_help(click.Context(command, info_name=f"chiasm {name}", terminal_width=100))


@pytest.mark.parametrize("name", COMMANDS)
def test_no_backslash_no_hint_twice_and_none_missing(name: str) -> None:
    text = help_of(name)
    assert "\\[" not in text
    for parameter in COMMANDS[name].params:
        hints = re.findall(
            rf"^  {re.escape(parameter.make_metavar(click.Context(COMMANDS[name])))}  +(\S.*)$", text, re.M
        )
        if parameter.param_type_name == "argument":
            assert hints and not hints[0].startswith("["), f"{name} does not say what {parameter.name} is"
    for mark in re.findall(r"\[(?:default: [^\]]*|required)\]", text):
        line = next(line for line in text.splitlines() if mark in line)
        assert line.count(mark) == 1


@pytest.mark.parametrize("line", [line for lines in EXAMPLES.values() for line in lines])
def test_every_example_names_a_command_and_options_that_there_are(line: str) -> None:
    program, name, *rest = shlex.split(line.split(" > ")[0])
    assert program == "chiasm" and line in EXAMPLES[name]
    assert line in help_of(name)
    COMMANDS[name].make_context(f"chiasm {name}", rest)  # raises where it cannot be parsed


def test_every_command_with_arguments_has_an_example() -> None:
    alone = {name for name, command in COMMANDS.items() if " " not in name and not isinstance(command, click.Group)}
    assert alone - set(EXAMPLES) <= {"doctor"}


def test_every_command_stands_in_one_section_with_its_whole_sentence() -> None:
    placed = [name for names in SECTIONS.values() for name in names]
    assert sorted(placed) == sorted(name for name in COMMANDS if " " not in name)
    whole = typer.main.get_command(app)
    text = whole.get_help(click.Context(whole, info_name="chiasm", terminal_width=80))
    assert "More:" not in text
    for own in (COMMANDS[name] for name in placed):
        assert own.get_short_help_str(400) in " ".join(text.split())
    assert re.findall(r"^([A-Z][a-z ]+):$", text, re.M) == ["Options", *SECTIONS]
