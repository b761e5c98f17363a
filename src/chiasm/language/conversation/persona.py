"""A synthetic patient as a file says it: who it is, what it knows and when it tells that, and how it is moved."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Any

from chiasm.errors import nearest
from chiasm.language.asking.hearing import stem, words_of
from chiasm.limits import require_regular

BYTES = 1 << 20
LONGEST = 1_000
"""Characters of a text of a persona."""
Phrases = tuple[tuple[str, ...], ...]
KEYS = {
    "": {"name", "opens", "manner", "starts", "states", "moves", "acts", "replies", "facts", "rubric"},
    "states": {"name", "withholds"},
    "moves": {"from", "to", "after"},
    "facts": {"name", "asks", "says", "states"},
    "rubric": {"name", "asks", "learns", "act", "points"},
}


class PersonaError(ValueError):
    """Error in the file of a persona."""


@dataclass(frozen=True)
class State:
    """A state that a patient can be in, and what is said in it where something is withheld."""

    name: str
    withholds: str


@dataclass(frozen=True)
class Move:
    """From one state to another, after an act of the one who asks."""

    start: str
    to: str
    after: str


@dataclass(frozen=True)
class Known:
    """Something that the patient knows: told in some states, to who uses one of the phrases."""

    name: str
    asks: Phrases
    says: str
    states: frozenset[str]


@dataclass(frozen=True)
class Criterion:
    """What a rubric gives points for: phrases that were used, a fact that was learned, or an act that was done."""

    name: str
    points: float
    asks: Phrases = ()
    learns: str = ""
    act: str = ""


@dataclass(frozen=True)
class Persona:
    """A synthetic patient.

    Args:
        name: of the case; nobody's.
        opens: what the patient says first.
        manner: how the patient speaks, for a model that speaks for it.
        starts: the state at the beginning.
        states, moves: the machine; of several moves that fit, the first is made.
        acts: name of an act -> phrases by which it is known.
        replies: name of an act -> what is said after it where nothing is asked for.
        facts: what the patient knows; what is in none is not known.
        rubric: what a conversation is scored by.
    """

    name: str
    opens: str
    manner: str
    starts: str
    states: tuple[State, ...]
    moves: tuple[Move, ...]
    acts: Mapping[str, Phrases]
    replies: Mapping[str, str]
    facts: tuple[Known, ...]
    rubric: tuple[Criterion, ...]

    def state(self, name: str) -> State:
        """The state of a name."""
        return next(own for own in self.states if own.name == name)


def read_persona(path: Path | str) -> Persona:
    """Read a persona from a TOML file; docs/language.md says what it holds.

    Raises:
        PersonaError: a key is unknown, lacking, or of another type; or names a state, fact or act that is not there.
        OSError, LimitError: there is no such file, or it is larger than a persona can be.
    """
    file = Path(path)
    require_regular(file, BYTES)
    try:
        document = tomllib.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:  # a number of too many digits, and endless nesting, too
        raise PersonaError(f"'{file.name}' is no TOML file in UTF-8: {type(error).__name__}") from None
    return persona_of(document, file.name)


def persona_of(document: Mapping[str, Any], file: str = "the persona") -> Persona:
    """Make a persona of what its file holds; see `read_persona`."""
    own = _Part(document, "", file)
    states = tuple(State(part.text("name"), part.text("withholds")) for part in own.parts("states"))
    names = [state.name for state in states]
    if not names or len({*names}) < len(names):
        raise PersonaError(f"'{file}' names no state, or one twice: [[states]] with a name and what it withholds")
    acts = {str(name): own.phrases_of(said, f"acts.{name}") for name, said in own.table("acts").items()}
    replies = {
        own.named(str(name), list(acts), "act"): own.text_of(said, f"replies.{name}")
        for name, said in own.table("replies").items()
    }
    facts = tuple(
        Known(
            part.text("name"), part.phrases("asks"), part.text("says"),
            frozenset(part.named(name, names, "state") for name in part.names("states", names)),
        )
        for part in own.parts("facts")
    )  # fmt: skip
    moves = tuple(
        Move(
            part.named(part.text("from"), names, "state"), part.named(part.text("to"), names, "state"),
            part.named(part.text("after"), list(acts), "act"),
        )
        for part in own.parts("moves")
    )  # fmt: skip
    rubric = tuple(_criterion(part, [fact.name for fact in facts], list(acts)) for part in own.parts("rubric"))
    starts = own.named(own.text("starts"), names, "state")
    return Persona(
        own.text("name"), own.text("opens"), own.text("manner", ""), starts, states, moves, acts, replies, facts, rubric
    )


def _criterion(part: _Part, facts: Sequence[str], acts: Sequence[str]) -> Criterion:
    points = part.table_value("points", 1)
    if isinstance(points, bool) or not isinstance(points, int | float) or not 0 < points < inf:
        raise PersonaError(f"{part.place} gives '{points}' points: a number above 0")
    given = [key for key in ("asks", "learns", "act") if key in part.held]
    if len(given) != 1:
        raise PersonaError(f"{part.place} needs one of asks, learns and act, and has {len(given)}")
    name = part.text("name")
    if given == ["asks"]:
        return Criterion(name, float(points), asks=part.phrases("asks"))
    if given == ["learns"]:
        return Criterion(name, float(points), learns=part.named(part.text("learns"), facts, "fact"))
    return Criterion(name, float(points), act=part.named(part.text("act"), acts, "act"))


class _Part:
    """A table of the file: its values by key, each refused with its place where it is not what it should be."""

    def __init__(self, held: Mapping[str, Any], kind: str, file: str, number: int = 0) -> None:
        self.held, self.file = held, file
        self.place = f"'{file}'" + (f", [[{kind}]] {number}," if kind else "")
        for key in held:
            if key not in KEYS[kind]:
                like = nearest(str(key), KEYS[kind])
                hint = f"did you mean '{like}'?" if like else f"there are {', '.join(sorted(KEYS[kind]))}"
                raise PersonaError(f"{self.place} has no key '{key}': {hint}")

    def table_value(self, key: str, default: Any) -> Any:
        return self.held.get(key, default)

    def text(self, key: str, default: str | None = None) -> str:
        found = self.held.get(key, default)
        return self.text_of(found, key) if default is None or found != default else default

    def text_of(self, found: Any, key: str) -> str:
        if not isinstance(found, str) or not found.strip():
            raise PersonaError(f"{self.place} needs '{key}' as a text")
        if len(found) > LONGEST:
            raise PersonaError(f"{self.place} has a '{key}' of more than {LONGEST:,} characters")
        return found

    def table(self, key: str) -> Mapping[str, Any]:
        found = self.held.get(key, {})
        if not isinstance(found, dict):
            raise PersonaError(f"{self.place} needs '{key}' as a table")
        return found

    def parts(self, kind: str) -> list[_Part]:
        found = self.held.get(kind, [])
        if not isinstance(found, list) or not all(isinstance(own, dict) for own in found):
            raise PersonaError(f"{self.place} needs '{kind}' as tables: [[{kind}]]")
        return [_Part(own, kind, self.file, number) for number, own in enumerate(found, 1)]

    def names(self, key: str, default: Sequence[str]) -> Sequence[str]:
        found = self.held.get(key, list(default))
        if not isinstance(found, list) or not all(isinstance(own, str) for own in found):
            raise PersonaError(f"{self.place} needs '{key}' as a list of names")
        return found

    def phrases(self, key: str) -> Phrases:
        return self.phrases_of(self.held.get(key), key)

    def phrases_of(self, found: Any, key: str) -> Phrases:
        if not isinstance(found, list) or not found or not all(isinstance(own, str) for own in found):
            raise PersonaError(f"{self.place} needs '{key}' as a list of phrases")
        made = tuple(tuple(map(stem, words_of(own))) for own in found)
        if not all(made):
            raise PersonaError(f"{self.place} has a phrase without a word in '{key}'")
        return made

    def named(self, name: str, names: Sequence[str], what: str) -> str:
        if name not in names:
            like = nearest(name, names)
            hint = f"did you mean '{like}'?" if like else f"there are {', '.join(names) or 'none'}"
            raise PersonaError(f"{self.place} names the {what} '{name}', which is not there: {hint}")
        return name
