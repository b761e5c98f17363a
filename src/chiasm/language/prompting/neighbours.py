"""Worked examples that are like a question: the nearest by an embedding of questions, never the question itself."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chiasm.language.examples import Shot, taken_from
from chiasm.language.parsing import folded
from chiasm.language.questions import Question
from chiasm.retrieval.neighbours import Neighbours

Embedding = Callable[[Sequence[str]], NDArray[Any]]
MOST_WORDS = 4096
SPARE = 8
"""Neighbours that are looked up beyond those that are shown, as some may be the question itself."""


@dataclass
class Pool:
    """Worked examples, and how questions are compared.

    Args:
        shots: all that may be shown.
        embedding: texts to vectors `(N, D)`, one for all texts at a time; None: by their words.
        left_out: how many were taken out for being questions of the test.
    """

    shots: tuple[Shot, ...]
    embedding: Embedding | None = None
    left_out: int = 0
    _found: Neighbours | None = field(default=None, init=False, repr=False)
    _embed: Embedding | None = field(default=None, init=False, repr=False)

    def apart_from(self, asked: Iterable[Question]) -> Pool:
        """The pool without examples that are one of these questions, or nearly so."""
        same = {id(shot) for shot in taken_from(self.shots, asked)}
        kept = tuple(shot for shot in self.shots if id(shot) not in same)
        return Pool(kept, self.embedding, self.left_out + len(self.shots) - len(kept))

    def nearest(self, asked: Question, number: int) -> list[Shot]:
        """The examples nearest to a question by cosine, nearest first; one of the same words is none of them."""
        if not self.shots or number < 1:
            return []
        if self._found is None or self._embed is None:
            texts = [shot.question for shot in self.shots]
            self._embed = self.embedding or by_words(texts)
            self._found = Neighbours(np.asarray(self._embed(texts), np.float32))
        own = np.asarray(self._embed([asked.question]), np.float32)
        most = number
        while True:
            most = min(most + SPARE, len(self.shots))
            rows, _ = self._found.nearest(own, most)
            kept = [self.shots[row] for row in rows[0] if not is_same(self.shots[row], asked)]
            if len(kept) >= number or most == len(self.shots):
                return kept[:number]

    @property
    def identity(self) -> str:
        """Hash of the examples and of what compares them."""
        from chiasm.language.fingerprint import fingerprint

        how = "words" if self.embedding is None else fingerprint(self.embedding)
        rows = [[shot.question, shot.options, shot.answer, shot.context] for shot in self.shots]
        return hashlib.sha256(json.dumps([how, rows]).encode()).hexdigest()

    def __len__(self) -> int:
        return len(self.shots)


def is_same(shot: Shot, asked: Question) -> bool:
    """Whether an example is the question: of the same words, and not about another text."""
    about, own = folded(shot.context), folded(asked.context)
    return folded(shot.question) == folded(asked.question) and (about == own or not about or not own)


def by_words(texts: Sequence[str]) -> Embedding:
    """Texts as the counts of the words of these, each weighted by how rare it is (tf-idf), to length 1."""
    from sklearn.feature_extraction.text import TfidfVectorizer  # type: ignore[import-untyped]

    words = TfidfVectorizer(
        max_features=MOST_WORDS, sublinear_tf=True, dtype=np.float32, token_pattern=r"(?u)\b\w+\b"
    ).fit(texts)
    return lambda own: np.asarray(words.transform(own).toarray(), np.float32)
