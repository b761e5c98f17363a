"""Reading of released files: what lacks, what is left out and why, which version, answers in questions."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from chiasm.bench.item import Item, Items
from chiasm.errors import Problem, count, warning
from chiasm.language.parsing import folded
from chiasm.language.released import found_file as found_file
from chiasm.language.released import json_lines as json_lines
from chiasm.language.released import json_of as json_of
from chiasm.language.released import text_of as text_of

IN_QUESTION = "answer in question"
"""The tag of items whose question holds the right option's words and no other's."""


def sha256(path: Path) -> str:
    """Hash of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def made(path: Path, rows: Iterable[tuple[int, Any]], item: Callable[[int, Any], Item]) -> Items:
    """Make an item of each row; a row of which none can be made is left out and counted with its reason.

    Args:
        rows: number of a row in its file, and what stands there.
        item: makes the item; a `KeyError` is a column that lacks, a `ValueError` says what is wrong.

    Raises:
        ValueError: no row makes an item.
    """
    items, lost = list[Item](), Counter[str]()
    for number, row in rows:
        try:
            items.append(item(number, row))
        except KeyError as error:
            lost[f"'{error.args[0]}' lacks"] += 1
        except (ValueError, TypeError, AttributeError) as error:
            lost[str(error) if isinstance(error, ValueError) else "a field is of another type"] += 1
    if not items:
        why = "; ".join(f"{reason} ({number:,} times)" for reason, number in lost.most_common(3)) or "it has no rows"
        raise ValueError(f"'{path.name}' holds no question that can be asked: {why}")
    return Items(tuple(items), {path.name: sha256(path)}, (), dict(lost), len(items))


def joined(parts: Sequence[Items]) -> Items:
    """Put the items of several files together."""
    lost = Counter[str]()
    for own in parts:
        lost.update(own.left_out)
    return Items(
        tuple(item for own in parts for item in own.items),
        {name: digest for own in parts for name, digest in own.files.items()},
        tuple(problem for own in parts for problem in own.problems),
        dict(lost),
    )


def with_versions(items: Items, released: Mapping[str, str]) -> Items:
    """Add what is to be said of the files and the items.

    That a file is of another version than the one known, how many rows were left out, which questions stand twice, in
    how many the right option's words stand, and how many images lack.
    """
    problems = list(items.problems)
    for name, digest in items.files.items():
        if released.get(name, digest) != digest:
            problems.append(
                warning(
                    "is of another version than the release that is known",
                    "figures are not those of papers; say which version it is",
                    path=name,
                    finding="other-version",
                )
            )
    for why, number in items.left_out.items():
        problems.append(warning(f"{count(number, 'row')} left out: {why}", "look at the file", finding="left-out"))
    twice = sum(number - 1 for number in Counter(_question(item) for item in items.items).values())
    if twice:
        problems.append(
            warning(
                f"{count(twice, 'question')} asked again with the same options", "they count twice", finding="twice"
            )
        )
    equal = sum(len({o.strip() for o in item.options}) < len(item.options) for item in items.items)
    if equal:
        problems.append(
            warning(
                f"{count(equal, 'item')} with two options of the same text",
                "either of them counts as the other",
                finding="equal-options",
            )
        )
    given = {item.id for item in items.items if answer_stands_in(item)}
    if given:
        problems.append(
            warning(
                f"{count(len(given), 'question')} with the words of the right option and of no other",
                "they are a stratum of their own",
                finding="answer-in-question",
            )
        )
    problems += missing_files(items.items)
    kept = tuple(
        replace(item, tags={**item.tags, IN_QUESTION: "yes" if item.id in given else "no"}) if given else item
        for item in items.items
    )
    return replace(items, items=kept, problems=tuple(problems))


def missing_files(items: Sequence[Item]) -> list[Problem]:
    """Say how many items lack an image, or another file."""
    there = [[own.is_there for own in item.attachments] for item in items if item.attachments]
    lacking = sum(not all(own) for own in there)
    if not lacking:
        return []
    every = "none of them is here" if not any(map(any, there)) else "the others are asked with theirs"
    return [
        warning(
            f"{count(lacking, 'item')} of {len(there):,} without a file that belongs to the question",
            every,
            finding="files-lack",
        )
    ]


def answer_stands_in(item: Item) -> bool:
    """Return whether the words of a right option stand in the question, and those of no wrong one."""
    if not item.options:
        return False
    asked = folded(item.question)
    stands = [
        len(folded(option)) > 3 and re.search(rf"(?<!\w){re.escape(folded(option))}(?!\w)", asked) is not None
        for option in item.options
    ]
    right = [stands[k] for k in item.positions]
    return any(right) and sum(stands) == sum(right)


def _question(item: Item) -> tuple[str, ...]:
    """What makes two items the same: question, context, options and files."""
    files = (str(own.path) for own in item.attachments)
    return (folded(item.question), item.context, *sorted(map(folded, item.options)), *files)
