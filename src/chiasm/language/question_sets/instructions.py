"""Instructions made of what is known already: of captions and tables by templates, and of captions by a model.

What a model writes is kept only where its answer stands on the caption: most of its longer words, and all its numbers,
are the caption's, and where it denies nothing that the caption says. Everything else is left out and counted by its
reason.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from chiasm.language.asking.hearing import SMALL, stem, words_of
from chiasm.language.question_sets.denials import LONG, YES_OR_NO, stances, turned_around
from chiasm.language.question_sets.styles import Asked

Writer = Callable[[str], str]
"""Given a prompt, it writes."""
COLUMNS = ("source", "question", "answer", "made_by")
DESCRIBE = (
    "Describe the image.",
    "What does the image show?",
    "Write what is seen in this image.",
    "Summarise what this image shows.",
    "Which findings does this image have?",
)
"""Sentences that ask for a caption, of which one is drawn for each."""
NUMBER, LEVEL = "What is the {column} of this patient?", "Is the {column} of this patient {level}?"
FIGURE = re.compile(r"\d+(?:[.,]\d+)*")
"""A number, also one with its unit behind it without a space."""
FIGURES = 4
"""Significant figures of a number in an answer."""
GROUNDED = 0.7
"""Share of an answer's longer words that have to stand in the caption."""
GIVEN_AWAY = ("caption", "text above", "description", "the passage")
"""What a question must not say: who is asked sees an image, and no caption."""


@dataclass(frozen=True)
class Instructions:
    """Questions with their answers.

    Args:
        table: one row each: `source`, what it is made of; `question`, `answer`; and `made_by`, "template" or "model".
        left_out: what was not kept, by reason.
    """

    table: pd.DataFrame
    left_out: Mapping[str, int]


def caption_instructions(
    captions: Mapping[str, str], *, templates: Sequence[str] = DESCRIBE, seed: int = 0
) -> Instructions:
    """Ask for each caption by one of the templates, drawn for its name alone: other captions change nothing."""
    if not templates:
        raise ValueError("there is no template: give one sentence or more")
    rows = [
        (name, templates[_draw(name, seed, len(templates))], caption.strip(), "template")
        for name, caption in captions.items()
        if caption.strip()
    ]
    empty = len(captions) - len(rows)
    return Instructions(_table(rows), {"the caption is empty": empty} if empty else {})


def instructed(rows: Sequence[Asked], *, seed: int = 0) -> tuple[Asked, ...]:
    """Give a question from the templates to each row of a release that has none."""
    return tuple(row if row.question else replace(row, question=DESCRIBE[_draw(row.id, seed, 5)]) for row in rows)


def table_instructions(
    frame: pd.DataFrame,
    *,
    names: Mapping[str, str] | None = None,
    units: Mapping[str, str] | None = None,
    seed: int = 0,
) -> Instructions:
    """Ask for each cell of a table: a number by its value, a level by yes or no, whether it is the patient's own.

    Of a column with levels every second patient, drawn, is asked for another level than the own one, so that yes and no
    are as frequent. Empty cells are not asked for.

    Args:
        frame: a row a patient, indexed by what the instruction is of.
        names: column -> what it is called in a question; the column itself unless named.
        units: column -> unit of its numbers.
        seed: of the draws.
    """
    rows, empty = [], 0
    for column in frame.columns:
        called = (names or {}).get(column, str(column).replace("_", " "))
        numeric = pd.api.types.is_numeric_dtype(frame[column]) and not pd.api.types.is_bool_dtype(frame[column])
        levels = [] if numeric else sorted({str(own) for own in frame[column].dropna()})
        for key, own in frame[column].items():
            if pd.isna(own):
                empty += 1
            elif numeric:
                unit = (units or {}).get(column, "")
                answer = f"{float(own):.{FIGURES}g}" + (f" {unit}" if unit else "")
                rows.append((str(key), NUMBER.format(column=called), answer, "template"))
            else:
                others = [level for level in levels if level != str(own)]
                drawn = _draw(f"{key}/{column}", seed, 2 * max(1, len(others)))
                level = others[drawn // 2] if others and drawn % 2 else str(own)
                said = "yes" if level == str(own) else "no"
                rows.append((str(key), LEVEL.format(column=called, level=level), said, "template"))
    return Instructions(_table(rows), {"the cell is empty": empty} if empty else {})


def written_instructions(captions: Mapping[str, str], writer: Writer, *, each: int = 3) -> Instructions:
    """Let a model write questions and answers on each caption, and keep those whose answers stand on it.

    Args:
        captions: name -> caption.
        writer: called once a caption with a prompt that asks for lines of JSON.
        each: how many are asked for; more are left out.
    """
    rows: list[tuple[str, str, str, str]] = []
    lost: Counter[str] = Counter()
    for name, caption in captions.items():
        kept = 0
        for pair in _pairs(writer(prompt_of(caption, each))):
            why = pair if isinstance(pair, str) else refused(*pair, caption)
            if not why and kept == each:
                why = "more than were asked for"
            if why or isinstance(pair, str):
                lost[why] += 1
                continue
            kept += 1
            rows.append((name, *pair, "model"))
        lost["fewer than were asked for"] += kept < each
    return Instructions(_table(rows), {why: number for why, number in lost.items() if number})


def prompt_of(caption: str, each: int) -> str:
    """What a model is asked to write about a caption."""
    return (
        f"Below is what is known of an image. Write {each} questions that somebody who sees the image could answer, "
        "each with its answer from what is known and from nothing else. Do not mention that you were given a text. "
        'Write one line for each, as {"question": "...", "answer": "..."}.\n\n' + caption.strip()
    )


def refused(question: str, answer: str, caption: str) -> str:
    """Why a written pair is not kept; "" where it is."""
    if any(own in question.casefold() for own in GIVEN_AWAY):
        return "the question speaks of a text"
    held = {stem(word) for word in words_of(caption)}
    wanted = [stem(word) for word in words_of(answer) if word not in SMALL]
    if not {*FIGURE.findall(answer)} <= {*FIGURE.findall(caption)}:
        return "the answer has a number that the caption has not"
    long_ = [word for word in wanted if len(word) > LONG]
    if YES_OR_NO.match(answer):
        long_ += stances(question)
    if long_ and sum(word in held for word in long_) < GROUNDED * len(long_):
        return "the answer does not stand on the caption"
    if turned_around(question, answer, caption):
        return "the answer says what the caption denies, or denies what it says"
    return ""


def _pairs(text: object) -> Iterator[tuple[str, str] | str]:
    """Questions with answers of what a model wrote, or why a line is none."""
    lines = [line.strip() for line in text.splitlines() if line.strip()] if isinstance(text, str) else []
    if not lines:
        yield "nothing was written"
    for line in lines:
        try:
            own = json.loads(line)
        except (ValueError, RecursionError):
            yield "the line is no JSON"
            continue
        texts = [own.get(key) for key in ("question", "answer")] if isinstance(own, dict) else [None]
        if all(isinstance(part, str) and part.strip() for part in texts):
            yield str(texts[0]).strip(), str(texts[1]).strip()
        else:
            yield "the line has no question or no answer"


def _draw(name: str, seed: int, many: int) -> int:
    """A number below `many` that depends on the name and the seed alone."""
    digest = hashlib.sha256(f"{seed}/{name}".encode()).digest()
    return int(np.random.default_rng(list(digest)).integers(many))


def _table(rows: Sequence[tuple[str, str, str, str]]) -> pd.DataFrame:
    return pd.DataFrame(list(rows), columns=list(COLUMNS))
