"""A question as text: its options by letter, worked examples before it, and the cue for the answer behind it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
TASK = "Answer with the letter of the right option."
FREE_TASK = "Answer in a few words."
CUE = "Answer:"


@runtime_checkable
class Question(Protocol):
    """What is asked: a question, 2 to 26 options or none, and maybe a text that is read before it."""

    @property
    def question(self) -> str: ...
    @property
    def options(self) -> tuple[str, ...]: ...
    @property
    def context(self) -> str: ...


def shown(question: str, options: Sequence[str], context: str = "", cue: str = CUE) -> str:
    """An item as text: what it is about, the question, the options by letter, and the cue for the answer."""
    lettered = [f"{letter}. {option}" for letter, option in zip(LETTERS, options, strict=False)]
    parts = [context, f"Question: {question}", *lettered, cue]
    return "\n".join(part for part in parts if part)


def worded(asked: Question, worked: Sequence[str] = (), *, turn: bool = False, cue: str = CUE, task: str = "") -> str:
    """A question behind worked examples, as a model is given it.

    Args:
        asked: the question.
        worked: examples with their answers, as text.
        turn: it is put as a user's turn, which ends in the task, and not as plain text, which ends in the cue.
        cue: what an answer goes on from.
        task: what is to be done; default: to name a letter, or to answer in a few words.
    """
    task = task or (TASK if asked.options else FREE_TASK)
    last = shown(asked.question, asked.options, asked.context, "" if turn else cue)
    own = "\n\n".join(worked)
    return "\n\n".join(part for part in ((own, last, task) if turn else (task, own, last)) if part)
