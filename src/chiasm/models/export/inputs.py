"""What an exported model is given of each modality: its columns as they stand in a table, or an encoder's tokens."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar

import numpy as np

from chiasm.encoders.table.table import written
from chiasm.models.export.graph import TREES, Graph, Value

T = TypeVar("T")
PRESENT, NUMBERS, WORDS, TOKENS, MASK = "present", "numbers", "words", "tokens", "mask"
BATCH = "patients"


@dataclass(frozen=True)
class Form:
    """What the graph reads of one modality.

    Args:
        kind: its kind in the cohort, `encoder` what makes tokens of its files; empty of columns.
        numbers: columns of numbers, in the order of the input.
        words: columns of words, in the order of the input, each with the levels that the model knows.
        width: D of its tokens, 0 where no token is read.
        slots: number of tokens of every patient, 0 where they are as many as there are.
        single: True if numbers are kept in single precision, as an omics block is.
    """

    kind: str
    encoder: str = ""
    numbers: tuple[str, ...] = ()
    words: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    width: int = 0
    slots: int = 0
    single: bool = False

    def inputs(self, modality: str) -> dict[str, str]:
        """Name of each input of the modality, by what it holds."""
        read = {
            PRESENT: True, NUMBERS: bool(self.numbers), WORDS: bool(self.words), TOKENS: bool(self.width),
            MASK: bool(self.width),
        }  # fmt: skip
        return {part: f"{modality}.{part}" for part, asked in read.items() if asked}


@dataclass(frozen=True, eq=False)
class Reading:
    """The inputs of a graph, as the fitted parts read them; nothing of an absent modality reaches any of them."""

    graph: Graph
    forms: Mapping[str, Form]
    given: Mapping[str, Mapping[str, Value]]
    kept: dict[Any, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, graph: Graph, forms: Mapping[str, Form]) -> Reading:
        """Declare the inputs of every modality."""
        given = {name: dict(_declared(graph, name, form)) for name, form in forms.items()}
        return cls(graph, forms, given)

    def present(self, modality: str) -> Value:
        """Return who has a modality, `(B,)` bool: who is said to have it, and of tokens has one or more."""
        return self.once((PRESENT, modality), lambda: self._present(modality))

    def _present(self, modality: str) -> Value:
        own = self.given[modality]
        if MASK not in own:
            return own[PRESENT]
        some = own[MASK].cast(np.int64).max(1)
        return own[PRESENT] & some.op("Greater", self.graph.constant(0, np.int64))

    def once(self, key: Any, make: Callable[[], T]) -> T:
        """Return what was made for this key before, or make it."""
        if key not in self.kept:
            self.kept[key] = make()
        found: T = self.kept[key]
        return found

    @cached_property
    def rows(self) -> Value:
        """Zeros `(B, 1)` float64, by which a constant row becomes one for each patient."""
        first = next(iter(self.given.values()))[PRESENT]
        return first.cast(np.float64).column() * 0.0

    def everyone(self, row: Any) -> Value:
        """Return a constant row `(K,)` for every patient, `(B, K)`."""
        return self.rows + np.asarray(row, np.float64)[None]

    def numbers(self, modality: str, columns: Sequence[str]) -> Value:
        """Return columns of numbers `(B, F)` float64, NaN where missing, infinite or absent."""
        own = self.once((NUMBERS, modality), lambda: self._numbers(modality))
        place = {column: number for number, column in enumerate(self.forms[modality].numbers)}
        places = [place[column] for column in columns]
        return own if places == list(range(len(place))) else own.take(places)

    def _numbers(self, modality: str) -> Value:
        given = self.given[modality][NUMBERS]
        given = given.cast(np.float32).cast(np.float64) if self.forms[modality].single else given
        broken = given.op("IsInf") | ~self.present(modality).column()
        return broken.where(np.nan, given)

    def levels(self, modality: str, column: str) -> Value:
        """Return the place of each patient's level among those that the model knows, `(B, 1)`; -1 of any other.

        A level that is a whole number is known with decimals too, as `1.0` for `1`; none are -1 for who lacks the
        modality.
        """
        words = self.word(modality, column)
        known = self.forms[modality].words[column]
        places = {key: place for place, level in reversed([*enumerate(known)]) for key in _spellings(level)}
        if not places:
            return self.rows.cast(np.int64) - self.graph.constant(1, np.int64)
        return self.graph.op(
            "LabelEncoder", words, domain=TREES, keys_strings=[*places], values_int64s=[*places.values()],
            default_int64=-1,
        )  # fmt: skip

    def word(self, modality: str, column: str) -> Value:
        """Return the words of one column `(B, 1)`, empty where missing or absent."""
        given = self.given[modality][WORDS].take([[*self.forms[modality].words].index(column)])
        return self.present(modality).column().where(given, self.graph.constant([[""]], np.object_))

    def missing(self, modality: str, column: str) -> Value:
        """Return whose cell of a column is empty, `(B, 1)` bool; an infinite number is imputed, and not empty."""
        if column in self.forms[modality].words:
            words, code = self.word(modality, column), {"keys_strings": [""], "values_int64s": [1], "default_int64": 0}
            return self.graph.op("LabelEncoder", words, domain=TREES, **code).cast(bool)
        return self.given[modality][NUMBERS].take([self.forms[modality].numbers.index(column)]).op("IsNaN")

    def tokens(self, modality: str) -> tuple[Value, Value]:
        """Return tokens `(B, T, D)` float32 with zeros where there is none, and their mask `(B, T)`."""
        return self.once((TOKENS, modality), lambda: self._tokens(modality))

    def _tokens(self, modality: str) -> tuple[Value, Value]:
        own = self.given[modality]
        mask = own[MASK] & own[PRESENT].column()
        return mask.expanded(2).where(own[TOKENS], self.graph.constant(0, np.float32)), mask


def _declared(graph: Graph, modality: str, form: Form) -> Any:
    length = form.slots or f"{modality} tokens"
    shapes: dict[str, tuple[Any, list[int | str]]] = {
        PRESENT: (bool, [BATCH]),
        NUMBERS: (np.float64, [BATCH, len(form.numbers)]),
        WORDS: (str, [BATCH, len(form.words)]),
        TOKENS: (np.float32, [BATCH, length, form.width]),
        MASK: (bool, [BATCH, length]),
    }
    for part, name in form.inputs(modality).items():
        yield part, graph.input(name, *shapes[part])


def _spellings(level: str) -> tuple[str, ...]:
    """The ways to write a level that `written` takes for the same: a whole number with and without `.0`."""
    plain = written(level)
    decimal = f"{plain}.0"
    return (plain, decimal) if written(decimal) == plain else (plain,)
