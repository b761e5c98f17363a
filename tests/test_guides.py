"""The guides: each answers its question whole, and asks the program for nothing that it does not have."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from chiasm.cli import command_of

GUIDES = Path(__file__).parents[1] / "docs" / "guides"
PAGES = {page.name: page.read_text(encoding="utf-8") for page in sorted(GUIDES.glob("*.md")) if page.name != "index.md"}
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def test_every_guide_stands_in_the_list() -> None:
    listed = re.findall(r"\]\(([\w-]+\.md)\)", (GUIDES / "index.md").read_text(encoding="utf-8"))
    assert sorted(listed) == sorted(PAGES) and len(listed) == 11


@pytest.mark.parametrize("name", PAGES)
def test_a_guide_shows_what_to_do_how_to_read_it_and_what_can_go_wrong(name: str) -> None:
    text = PAGES[name]
    blocks = BLOCK.findall(text)
    for _, code in blocks:
        assert code.strip(), "a screen is empty: python website/screens.py writes it"
    assert {language for language, _ in blocks} >= {"python"}
    assert "\n## How to read it\n" in text and "\n## What can go wrong\n\n| you see | it means |\n" in text


def test_every_command_of_a_guide_is_there_with_its_options() -> None:
    asked = 0
    for name, text in PAGES.items():
        for language, code in BLOCK.findall(text):
            for line in code.replace("\\\n", " ").splitlines() if language == "bash" else ():
                found = re.match(r"chiasm ([\w-]+)(.*)", line)
                if not found:
                    continue
                asked += 1
                commands = command_of(found[1])
                assert isinstance(commands, click.Group) and found[1] in commands.commands, f"{name}: {line}"
                known = {own for parameter in commands.commands[found[1]].params for own in parameter.opts}
                used = {own for own in shlex.split(found[2].partition(">")[0].rstrip(" &")) if own.startswith("--")}
                assert used <= known, f"{name}: {line}"
    assert asked > 12
