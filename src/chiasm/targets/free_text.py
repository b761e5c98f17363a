"""Free text: an answer or a report in words, held against one reference or several of each patient."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from chiasm.errors import Problem, count, error, warning
from chiasm.targets.cells import Cells
from chiasm.targets.outcome import Outcome
from chiasm.targets.target import Floats, Ints, Target
from chiasm.targets.text_cells import read_references
from chiasm.targets.texts import ENTITIES, SCORERS, TOKEN_F1, Texts, names_of, typical
from chiasm.targets.words import normalised

ANSWER = "text"
NEARLY_ALL = 0.95
WORDS = ("a large mass in the left lung", "a small nodule in the left lung", "no finding", "clear lungs, no finding")
"""Texts of the synthetic cohorts: two of a signal below zero share half of their words with none of the others."""


@dataclass(frozen=True)
class FreeText(Target):
    """Target of text: `FreeText("answer")`, a column; `FreeText(("first", "second"))`, several references a patient.

    Args:
        column: the column of the texts, or several of them, of which the reference that an answer fits best counts.
        several: True if a cell is a JSON list of texts.
        in_files: True if a cell is the path of a UTF-8 text file, relative to the manifest; `files` in a manifest.
        scorer: "token_f1", "exact_match", "rouge_l", "bleu" or "entity_f1", the primary metric.
        entities: names of what texts may be about, for `entity_f1`.
        axes: E, the width of the space in which it is learned while a model is fitted; 0 elsewhere.
    """

    column: str | tuple[str, ...] = ""
    several: bool = False
    in_files: bool = False
    scorer: str = TOKEN_F1
    entities: tuple[str, ...] = ()
    axes: int = 0
    kind: ClassVar[str] = "text"
    keys: ClassVar[Mapping[str, tuple[Any, Any]]] = {
        "column": (str | None, None),
        "columns": (list[str] | None, None),
        "several": (bool, False),
        "files": (bool, False),
        "scorer": (str, TOKEN_F1),
        "entities": (list[str], []),
    }
    has_texts: ClassVar[bool] = True
    has_level: ClassVar[bool] = False
    rare: ClassVar[str] = "{n:,} patients of known text"

    def __post_init__(self) -> None:
        columns = self.column if isinstance(self.column, str) else tuple(self.column)
        if not columns or (not isinstance(columns, str) and len(set(columns)) < len(columns)):
            raise ValueError("a text target needs the column of the texts, or several, each named once")
        if self.scorer not in SCORERS:
            raise ValueError(f"a text is scored by one of {', '.join(SCORERS)}, and not by {self.scorer!r}")
        if isinstance(self.entities, str):
            raise ValueError("entities are a list of names, and this is one text: put it into a list")
        if self.scorer == ENTITIES and not names_of(tuple(self.entities)):
            raise ValueError("entity_f1 counts names, and `entities` lists none: give those that texts may hold")
        if self.in_files and self.several:
            raise ValueError("a file is one text: name several columns of files for several references")
        object.__setattr__(self, "column", columns)
        object.__setattr__(self, "entities", tuple(self.entities))

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.column,) if isinstance(self.column, str) else self.column

    @property
    def names(self) -> tuple[str, ...]:
        """None; while a model is fitted, the axes of the space."""
        return tuple(str(place + 1) for place in range(self.axes))

    def along(self, axes: int) -> Self:
        return replace(self, axes=axes)

    @property
    def text_files(self) -> tuple[str, ...]:
        return self.columns if self.in_files else ()

    @classmethod
    def from_keys(cls, keys: Mapping[str, Any]) -> Self:
        given = tuple(keys["columns"] or ()) or keys["column"]
        return cls(given, keys["several"], keys["files"], keys["scorer"], tuple(keys["entities"]))

    @classmethod
    def refused(cls, keys: Mapping[str, Any], path: str) -> list[Problem]:
        def wrong(what: str, fix: str, finding: str) -> Problem:
            return error(what, fix, path=path, finding=finding)

        column, columns = keys.get("column"), keys.get("columns")
        found = []
        if not column and not columns:
            fix = "name the column of the texts by 'column', or several of references by 'columns'"
            found.append(wrong("[target] names no text", fix, "missing-key"))
        elif column and columns:
            found.append(wrong("[target] has both 'column' and 'columns'", "keep one", "two-ways"))
        elif columns and len(set(columns)) < len(columns):
            found.append(wrong("'columns' of [target] names one twice", "name each once", "manifest-value"))
        scorer, entities = keys.get("scorer", TOKEN_F1), keys.get("entities") or []
        if scorer not in SCORERS:
            fix = "write " + ", ".join(f'"{own}"' for own in SCORERS) + ", or leave it out"
            found.append(wrong("'scorer' of [target] is no scorer of texts", fix, "manifest-value"))
        elif scorer == ENTITIES and not names_of(tuple(entities)):
            fix = 'list the names that texts may hold, as entities = ["effusion", "nodule"]'
            found.append(wrong("'scorer' of [target] counts entities, and none is named", fix, "missing-key"))
        if keys.get("files") and keys.get("several"):
            fix = "a file is one text: name several columns of files by 'columns'"
            found.append(wrong("[target] has both 'files' and 'several'", fix, "two-ways"))
        return found

    # Reading

    def read(self, cells: Cells) -> tuple[Target, Outcome]:
        references = read_references(cells, self.columns, several=self.several)
        texts = Texts(references, self.scorer, self.entities)
        value = words_in(texts)
        return self, Outcome(value, None, ~np.isnan(value), texts=texts)

    def understands(self, column: str, words: NDArray[np.object_]) -> bool:
        """True: texts are words."""
        return True

    def problems(self, outcome: Outcome, path: str | None) -> list[Problem]:
        """Refuse one text for everybody, and warn where nearly all have it; count texts that only one patient has."""
        every, share = texts_of(outcome).weighed()
        named = " and ".join(f"'{column}'" for column in self.columns)
        if len(every) < 2:
            fix = "there is nothing to tell apart: name another column"
            return [error(f"column {named} has one text for everybody", fix, path=path, finding="single-class")]
        known, largest = int(outcome.known.sum()), float(share.max())
        found = []
        if largest >= NEARLY_ALL:
            what = f"column {named} has one text for {largest:.0%} of {count(known, 'patient')}"
            fix = "an answer that is nearly always right says little: read exact match against the null model"
            found.append(warning(what, fix, path=path, finding="one-text"))
        if len(every) > known / 2 and self.scorer == "exact_match":
            what = (
                f"{len(every):,} texts are different among {count(known, 'patient')}, and exact match is asked of them"
            )
            fix = 'few can be said again word for word: take scorer = "token_f1"'
            found.append(warning(what, fix, path=path, finding="texts-all-different"))
        return found

    # Splitting

    def strata(self, outcome: Outcome, least: int) -> Ints:
        """Fifths of the number of words."""
        return super().strata(replace(outcome, value=words_in(texts_of(outcome))), least)

    # Learning

    @classmethod
    def rarest(cls, outcome: Outcome, names: int = 0) -> int:
        """Number of patients of known text."""
        return int(outcome.known.sum())

    @classmethod
    def learnable(cls, outcome: Outcome) -> bool:
        return len(texts_of(outcome).weighed()[0]) > 1

    # Predicting

    @classmethod
    def answers(cls, names: Sequence[str]) -> list[str]:
        return [ANSWER]

    @classmethod
    def number_columns(cls, names: Sequence[str]) -> list[str]:
        return []

    @classmethod
    def links(cls, frame: pd.DataFrame, names: Sequence[str] = ()) -> Floats:
        """No column `(n, 0)`: a text that is said has no link, and is taken as it stands."""
        return np.zeros((len(frame), 0))

    @classmethod
    def frame(cls, links: Floats, columns: Sequence[str]) -> pd.DataFrame:
        raise ValueError("a text has no link to be made from")

    @classmethod
    def prior_row(cls, known: Outcome, names: Sequence[str], times: Sequence[float]) -> dict[str, float]:
        raise ValueError("the prior of texts is a text and no number: see prior_frame")

    @classmethod
    def prior_frame(cls, train: Outcome, n: int, names: Sequence[str], times: Sequence[float] = ()) -> pd.DataFrame:
        """The text that is most like those of all training patients, for each of n patients; see `texts.typical`."""
        return pd.DataFrame({ANSWER: np.full(n, typical(texts_of(train)), dtype=object)})

    @classmethod
    def prior_link(cls, outcome: Outcome, names: int | None) -> Floats:
        """The mean point `(E,)` of the space in which it is learned."""
        return np.asarray(outcome.value.mean(axis=0), dtype=np.float64).reshape(-1)

    @classmethod
    def check_prediction(
        cls, frame: pd.DataFrame, names: Sequence[str], require: Callable[[bool, str, str], None]
    ) -> None:
        cls.require_columns(frame, names, require)
        texts = [isinstance(own, str) and bool(own.strip()) for own in frame[ANSWER].tolist()]
        require(all(texts), "every patient is answered in words", f"{len(texts) - sum(texts)} rows are not")

    def described(self, outcome: Outcome) -> dict[str, Any]:
        """Count the texts and their words; no text is told."""
        texts, known = texts_of(outcome), np.flatnonzero(outcome.known)
        every, share = texts.weighed()
        words = words_in(texts)[known]
        several = sum(len(own) > 1 for own in texts.references[known].tolist())
        return {
            "scorer": self.scorer,
            "texts": len(every),
            "most_frequent": float(share.max(initial=0.0)),
            "several": several,
            "entities": list(self.entities),
            "words": [float(own) for own in np.quantile(words, (0.05, 0.5, 0.95))] if len(words) else [],
        }

    def stored(self) -> dict[str, Any]:
        entities = {"entities": list(self.entities)} if self.entities else {}
        return {"kind": self.kind, "columns": list(self.columns), "scorer": self.scorer, **entities}

    # Examples

    @classmethod
    def drawn(
        cls, signal: Floats, noise: Floats, rng: np.random.Generator, *, certain: bool
    ) -> tuple[pd.DataFrame, Target, Floats]:
        """Draw one of two texts of a finding with probability 1 / (1 + exp(-s)), else one of two of none.

        Which of the two says the size of the signal, `large` and plain `no finding` where |s| > 2.
        """
        from chiasm.targets.classification import drawn_label

        label = drawn_label(signal, rng, certain=certain)
        far = np.abs(signal) > 2
        place = np.where(label > 0, np.where(far, 0, 1), np.where(far, 2, 3))
        return pd.DataFrame({"said": [WORDS[k] for k in place]}), cls("said"), label + 0.1 * noise

    def written(self, outcome: Outcome, ids: NDArray[Any]) -> tuple[pd.DataFrame, Target]:
        """Write the first reference of each patient, with a full stop and a capital of its own."""
        first = [own[0] if own else "" for own in texts_of(outcome).references.tolist()]
        return pd.DataFrame({"report": [f"{own.capitalize()}." for own in first]}, index=ids), replace(
            self, column="report", several=False, in_files=False
        )


def words_in(texts: Texts) -> Floats:
    """(B,) number of words of each patient's text, the mean of several; NaN where none is known."""
    each = [[len(normalised(text).split()) for text in own] for own in texts.references.tolist()]
    return np.array([sum(own) / len(own) if own else np.nan for own in each], dtype=np.float64)


def texts_of(outcome: Outcome) -> Texts:
    """The reference texts of an outcome.

    Raises:
        ValueError: it has none.
    """
    if outcome.texts is None:
        raise ValueError("the outcome has no texts: a text is held against each patient's own")
    return outcome.texts
