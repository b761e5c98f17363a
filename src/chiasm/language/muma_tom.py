"""MuMA-ToM's released texts and questions as events and minds, and a likelihood by rules.

Two people act in a household. One asks where a thing is and the other tells him, or one moves what the other has put
down. A question names what is given, and three statements of the second one's mind; the most or the least likely is
asked for.

Source: Shi et al., AAAI 2025, arXiv 2408.12574; files `questions.json` and `texts.json`, Apache-2.0.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chiasm.language.inverse_planning import Mind

HELP, HINDER, INDIFFERENT = "help", "hinder", "indifferent"
THERE, WANTS, PLACED, UNKNOWN = "there", "wants", "placed", "unknown"
BELIEF, SOCIAL, OF_GOAL = "belief", "social goal", "belief of goal"
CONTAINERS = (
    r"\b(?:fridge|microwave|stove|dishwasher|cabinet|oven|coffee table|kitchen table|counter|sofa|bookshelf|desk|bed)\b"
)
SAID = re.compile(r"[\"“]([^\"”]*)[\"”]")
TOLD = re.compile(r"(?:inside|on|in) the ([a-z ]+)")
FOUND = re.compile(r"(?:found|saw|is|are|was|were) (?:an? |some |the )?([a-z ]+?) (?:inside|on|in) the")
TAKEN = re.compile(r"\b(?:grabb|took|pick|retriev)\w*")
LIKELY, UNLIKELY, EVEN = math.log(0.8), math.log(0.1), math.log(0.4)
"""Of what fits a mind, of what speaks against it, and of what someone does who does not care: one choice for all."""


@dataclass(frozen=True)
class Asked:
    """A question about an episode.

    Args:
        episode, number: which it is.
        kind: what it asks for: a belief, a social goal, or a belief of the other one's goal.
        events: the text in its parts, as `events_of` makes them.
        statements, minds: three options, in words and as minds.
        least: the least likely is asked for.
        answer: place of the right one.
    """

    episode: str
    number: str
    kind: str
    events: tuple[str, ...]
    statements: tuple[str, ...]
    minds: tuple[Mind, ...]
    least: bool
    answer: int


def read_muma_tom(folder: Path) -> tuple[list[Asked], int]:
    """Read the questions, and how many could not be: of another form, or with an answer that is none of the options.

    Raises:
        ValueError: a file lacks or is none of the release.
    """
    files = {}
    for name in ("questions.json", "texts.json"):
        try:
            files[name] = json.loads((folder / name).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            raise ValueError(f"'{folder.name}' has no {name} that can be read: fetch the release") from None
    found, left = list[Asked](), 0
    for episode, row in files["questions.json"].items():
        events = events_of(str(files["texts.json"].get(episode, "")))
        for number, text in row["questions"].items():
            own = question_of(episode, number, str(text), str(row["answers"].get(number, "")), events)
            if own is None:
                left += 1
            else:
                found.append(own)
    return found, left


def question_of(episode: str, number: str, text: str, answer: str, events: tuple[str, ...]) -> Asked | None:
    """Read a question; None where it is of another form."""
    head, *rest = [line.strip() for line in text.strip().split("\n") if line.strip()]
    options = tuple(line[2:].strip() for line in rest)
    right = answer.strip()[2:].strip()
    given = HELP if "trying to help" in head else HINDER if "trying to hinder" in head else None
    kind = BELIEF if given else SOCIAL if "knows what is" in head else OF_GOAL
    minds = tuple(mind_of(kind, given, option) for option in options)
    if not events or right not in options or None in minds or len(set(minds)) < len(minds):
        return None
    kept = tuple(own for own in minds if own is not None)
    return Asked(episode, number, kind, events, options, kept, "LEAST" in head, options.index(right))


def mind_of(kind: str, given: str | None, text: str) -> Mind | None:
    """Read a statement as a mind; None for one of another form."""
    plain = text.replace("’", "'")
    if kind == BELIEF:
        found = re.search(
            r"believed that there (?:was|were) (?:an? |some )?(.+?) ((?:inside|on|in) the .+?)\.?$", plain
        )
        return Mind(given, (THERE, found[1], found[2])) if found else None
    if kind == SOCIAL:
        goals = {"indifferent": INDIFFERENT, "to help": HELP, "to prevent": HINDER}
        own = next((goal for word, goal in goals.items() if word in plain), None)
        return Mind(own) if own else None
    if "doesn't know" in plain:
        return Mind(INDIFFERENT, None, UNKNOWN)
    about = PLACED if "at his desired" in plain or "at her desired" in plain else WANTS if "wants to" in plain else None
    return Mind(HINDER if "to hinder" in plain else HELP, None, about) if about else None


def by_rules(event: Any, before: Sequence[Any], mind: Mind) -> float:
    """Likelihood of what `events_of` parts a text into: what is told, what is found then, and the last move.

    Who helps tells what he believes, and moves a thing to where he believes it to be wanted; who hinders does neither;
    who does not care does either. An event that says nothing of a mind is as likely by any: 0.
    """
    text, told = str(event), next((own for own in map(answer_in, map(str, before)) if own), "")
    if mind.belief_of_goal is not None:
        return fits(mind, mind.belief_of_goal == WANTS) if before else 0.0
    if mind.belief is not None:
        own = answer_in(text).lower()
        _, thing, place = mind.belief
        return fits(mind, named(thing) in own and place.lower() in own) if own else 0.0
    return fits(mind, is_found(told, text)) if told else 0.0


def fits(mind: Mind, serves: bool) -> float:
    """Likelihood of what serves the other one, or does not, by whether that is the goal."""
    if mind.goal == INDIFFERENT:
        return EVEN
    return LIKELY if serves == (mind.goal == HELP) else UNLIKELY


def answer_in(text: str) -> str:
    """What is told in a text: the first thing said that names a place and is no question."""
    return next((own for own in SAID.findall(text) if TOLD.search(own) and not own.rstrip().endswith("?")), "")


def is_found(told: str, after: str) -> bool:
    """Whether the thing that was told of is taken from where it was told to be, as far as its sentence says."""
    thing, place = FOUND.search(told), re.findall(CONTAINERS, told)
    word = named(thing[1]) if thing else ""
    for sentence in re.split(r"(?<=[.!])\s", after):
        taken = re.search(rf"{TAKEN.pattern} (?:an? |the |some )?{re.escape(word)}", sentence)
        if taken is not None:
            behind = re.match(r"\w* (?:from )?(?:inside |on |in )?(?:the |it\b)([a-z ]+)", sentence[taken.end() :])
            passed = re.findall(CONTAINERS, behind[1] if behind else "") or re.findall(
                CONTAINERS, sentence[: taken.end()]
            )
            return not passed or not place or passed[-1] == place[-1]
    return False


def named(thing: str) -> str:
    """A thing in one number, as it may be told in the other."""
    return thing.lower().removesuffix("es").removesuffix("s")


def events_of(text: str) -> tuple[str, ...]:
    """A text as two events: up to what is told, and after it; or up to the last move of a thing, and that."""
    spoken = next((own for own in SAID.finditer(text) if answer_in(own[0])), None)
    if spoken is not None:
        parts = text[: spoken.end()], text[spoken.end() :]
    else:
        moves = list(TAKEN.finditer(text))
        start = max(text.rfind(mark, 0, moves[-1].start()) for mark in (". ", ".\n")) + 1 if moves else 0
        parts = text[:start], text[start:]
    return tuple(part.strip() for part in parts if part.strip())
