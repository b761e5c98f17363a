"""Worked examples for a language model, and which of them are questions of the test itself."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from chiasm.language.parsing import folded
from chiasm.language.questions import LETTERS, Question, shown

LIKE = 0.7
"""Share of shared runs of words from which two questions are taken for the same."""
RUN = 3
SHORT = 12
"""Words below which a question is told apart by its options too."""


@dataclass(frozen=True)
class Shot:
    """A worked example: a question with its options, and the position of the right one, from 0."""

    question: str
    options: tuple[str, ...]
    answer: int
    context: str = ""


def as_worked(shot: Shot) -> str:
    """An example as text, with the letter of its right option behind the cue."""
    return f"{shown(shot.question, shot.options, shot.context)} {LETTERS[shot.answer]}"


def shot_of(row: Mapping[str, Any], where: str) -> Shot:
    """Read an example.

    Raises:
        ValueError: a field lacks, or the answer is none of the options.
    """
    given = row.get("options")
    options = tuple(str(own) for own in (given.values() if isinstance(given, dict) else given or ()))
    if not isinstance(row.get("question"), str) or len(options) < 2:
        raise ValueError(f"{where} is no worked example: it needs 'question', 'options' of two or more, and 'answer'")
    answer = row.get("answer_idx", row.get("answer"))
    place = -1
    if isinstance(answer, int) and not isinstance(answer, bool):
        place = answer
    elif isinstance(answer, str):
        texts = [folded(option) for option in options]
        if len(answer.strip()) == 1 and answer.strip().upper() in LETTERS[: len(options)]:
            place = LETTERS.index(answer.strip().upper())
        elif folded(answer) in texts:
            place = texts.index(folded(answer))
    if not 0 <= place < len(options):
        raise ValueError(f"{where} has an answer that is none of its options")
    return Shot(str(row["question"]), options, place, str(row.get("context") or ""))


def taken_from(shots: Sequence[Shot], items: Iterable[Question]) -> list[Shot]:
    """Return the examples that are an item, or nearly so by runs of three words.

    Compared are questions with their contexts, and questions alone: an example may leave the context out, or have
    another. The same question in other words of the options is the item too, but for a stock phrase without a context.
    """
    asked = list(items)
    same = {folded(item.question) for item in asked if item.context or len(_words(item.question)) >= SHORT}
    found = {k for k, shot in enumerate(shots) if folded(shot.question) in same}
    for with_context in (True, False):
        runs: dict[tuple[str, ...], list[int]] = {}
        sizes = list[int]()
        for number, item in enumerate(asked):
            own = _runs(item.question, item.context * with_context, item.options)
            sizes.append(len(own))
            for run in own:
                runs.setdefault(run, []).append(number)
        for k, shot in enumerate(shots):
            own = _runs(shot.question, shot.context * with_context, shot.options)
            shared: dict[int, int] = {}
            for run in own:
                for number in runs.get(run, ()):
                    shared[number] = shared.get(number, 0) + 1
            if any(n >= LIKE * min(len(own), sizes[number]) for number, n in shared.items()):
                found.add(k)
    return [shots[k] for k in sorted(found)]


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", folded(text))


def _runs(question: str, context: str, options: Sequence[str]) -> set[tuple[str, ...]]:
    """Return the runs of words of a question; a short one is told apart by its options too."""
    words = _words(f"{question} {context}")
    if len(words) < SHORT:
        words += _words(" ".join(sorted(options)))
    return {tuple(words[k : k + RUN]) for k in range(max(1, len(words) - RUN + 1))}
