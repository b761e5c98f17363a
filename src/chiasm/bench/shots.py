"""Worked examples from a file, and the refusal of examples that are items of the test itself."""

from __future__ import annotations

from pathlib import Path

from chiasm.bench.item import Items
from chiasm.bench.reading import json_lines, sha256
from chiasm.language.examples import Shot as Shot
from chiasm.language.examples import shot_of, taken_from


def read_pool(path: Path, items: Items) -> list[Shot]:
    """Read all worked examples of a file, also those that are items of the test.

    Raises:
        ValueError: the file is one of the suite's, or a line is no example that can be used.
    """
    if not path.is_file():
        raise ValueError(f"there is no file '{path.name}' of worked examples: name a file of JSON lines")
    if sha256(path) in set(items.files.values()):
        raise ValueError(
            f"'{path.name}' holds the items of the test: worked examples come from another file, as a training split"
        )
    return [shot_of(row, f"line {line} of '{path.name}'") for line, row in json_lines(path)]


def read_shots(path: Path, items: Items, number: int) -> list[Shot]:
    """Read the first worked examples of a file of JSON lines with `question`, `options`, `answer` and maybe `context`.

    `options` is a list, or a mapping of letters; `answer` a letter, a position from 0, or the text of the right option.

    Args:
        path: the examples.
        items: what is asked; none of them may be an example.
        number: how many to take.

    Raises:
        ValueError: the file is one of the suite's, an example is an item or nearly one, or is none that can be used.
    """
    shots = read_pool(path, items)
    if len(shots) < number:
        raise ValueError(f"'{path.name}' holds {len(shots):,} worked examples, and {number:,} are asked for")
    shots = shots[:number]
    same = len(taken_from(shots, items.items))
    if same:
        raise ValueError(
            f"{same:,} of the {len(shots):,} worked examples in '{path.name}' are items of the test, or nearly so: "
            "take them from a training split"
        )
    return shots
