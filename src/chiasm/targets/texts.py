"""Reference texts of patients, and how alike texts are by the words, names or whole that a scorer counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from chiasm.targets.words import normalised

TOKEN_F1, EXACT, ROUGE, BLEU, ENTITIES = "token_f1", "exact_match", "rouge_l", "bleu", "entity_f1"
SCORERS = {
    TOKEN_F1: "token F1",
    EXACT: "exact match",
    ROUGE: "ROUGE-L",
    BLEU: "BLEU",
    ENTITIES: "entity F1",
}
"""Scorers that a target may name, with what they are called."""

MOST_SAID = 1000
"""Texts that a model may answer with; of more in training, those of most patients, and evenly of the others."""
TIED = 1e-5  # scores that float32 cannot tell apart
NOTHING = ("", 0)  # what an empty text counts as, so that two of them are alike

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False, repr=False)
class Texts:
    """Reference texts of B patients, and the scorer by which an answer is held against them.

    Args:
        references: (B,) a tuple of texts for each patient, empty where none is known; of several the best counts.
        scorer: one of `SCORERS`.
        entities: names that `entity_f1` looks for.
    """

    references: NDArray[np.object_]
    scorer: str = TOKEN_F1
    entities: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"Texts of {len(self.references):,} patients, scored by {self.scorer}"

    def take(self, rows: NDArray[np.int_] | NDArray[np.bool_]) -> Texts:
        """Select the texts of some patients; `rows` are integers or a mask."""
        return replace(self, references=self.references[rows])

    def weighed(self) -> tuple[list[str], Floats]:
        """Different texts, sorted, and the share of the patients who have each; a patient's several share theirs.

        Texts that are the same once normalised are one, as it is written most often.
        """
        share, written = dict[str, float](), dict[str, Counter[str]]()
        for own in self.references.tolist():
            for text in own:
                key = normalised(text)
                share[key] = share.get(key, 0.0) + 1 / len(own)
                written.setdefault(key, Counter())[text] += 1
        usual = {key: min(own, key=lambda text: (-own[text], text)) for key, own in written.items()}
        keys = sorted(usual)
        total = sum(share.values())
        return [usual[key] for key in keys], np.array([share[key] / max(total, 1e-300) for key in keys])

    def likeness(self, texts: Sequence[str], others: Sequence[str]) -> Floats:
        """F1 `(n, m)` of texts against others, of what the scorer counts; see `likeness`."""
        return likeness(texts, others, self.scorer, self.entities)


def joined_texts(several: Sequence[Texts]) -> Texts:
    """The texts of several cohorts, one cohort after another, scored as those of the first."""
    return replace(several[0], references=np.concatenate([own.references for own in several]))


def named_in(text: str, entities: Iterable[str]) -> list[str]:
    """The names that stand in a text as whole words, both normalised."""
    padded = f" {normalised(text)} "
    return [name for name in entities if f" {name} " in padded]


@lru_cache(maxsize=64)
def names_of(entities: tuple[str, ...]) -> tuple[str, ...]:
    """Names of entities as they are looked for: normalised, each once, sorted."""
    return tuple(sorted({normalised(own) for own in entities} - {""}))


def likeness(texts: Sequence[str], others: Sequence[str], scorer: str, entities: tuple[str, ...] = ()) -> Floats:
    """Likeness `(n, m)` of texts and others: `F1 = 2 |a and b| / (|a| + |b|)` of what the scorer counts in each.

    It counts words for `token_f1`, the whole normalised text for `exact_match`, the names of entities for `entity_f1`;
    for `rouge_l` and `bleu`, which are no inner product, words stand in. What a text holds k times is k things. Two
    texts that hold none are alike. This F1 is an inner product: `min` of counts is one, `1 / (a + b)` is the integral
    of `exp(-t a) exp(-t b)`, and so is their product.
    """
    from scipy.sparse import csr_array  # type: ignore[import-untyped]

    parts = [[_counted(text, scorer, entities) for text in own] for own in (texts, others)]
    place: dict[tuple[str, int], int] = {}
    for own in parts[1]:
        for part in own:
            place.setdefault(part, len(place))
    tables, sizes = [], []
    for side in parts:
        rows = [(row, place[part]) for row, own in enumerate(side) for part in own if part in place]
        index = np.array(rows, dtype=int).reshape(-1, 2).T
        tables.append(csr_array((np.ones(index.shape[1]), tuple(index)), shape=(len(side), max(len(place), 1))))
        sizes.append(np.array([len(own) for own in side], dtype=np.float64))
    shared = np.asarray((tables[0] @ tables[1].T).toarray(), dtype=np.float64)
    return np.asarray(2 * shared / np.maximum(sizes[0][:, None] + sizes[1][None, :], 1))


def _counted(text: str, scorer: str, entities: tuple[str, ...]) -> list[tuple[str, int]]:
    """What counts in a text, each with how many of it stood before."""
    if scorer == EXACT:
        return [(normalised(text), 0)]
    found = named_in(text, names_of(entities)) if scorer == ENTITIES else normalised(text).split()
    seen = Counter[str]()
    parts = []
    for word in found:
        parts.append((word, seen[word]))
        seen[word] += 1
    return parts or [NOTHING]


def said_of(texts: Texts) -> tuple[list[str], Floats]:
    """The texts that a model of these training patients may say, sorted, with the share of each of all patients.

    All of them up to `MOST_SAID`; of more, those of most patients, and of equally frequent ones an even part in the
    order of the alphabet, so that the order of patients decides nothing.
    """
    every, share = texts.weighed()
    if len(every) <= MOST_SAID:
        return every, share
    least = np.sort(share)[::-1][MOST_SAID - 1]
    more, equal = np.flatnonzero(share > least + 1e-15), np.flatnonzero(np.abs(share - least) <= 1e-15)
    evenly = equal[np.linspace(0, len(equal) - 1, MOST_SAID - len(more)).round().astype(int)]
    kept = np.sort(np.concatenate([more, evenly]))
    return [every[k] for k in kept], share[kept]


def typical(texts: Texts) -> str:
    """The text that is most like those of all patients: the medoid by mean likeness, weighed by patients.

    Of equally typical ones the first in the alphabet of their normalised forms. This is the answer of a model that
    knows nothing of a patient: by exact match the most frequent text.

    Raises:
        ValueError: nobody has a text.
    """
    every, share = texts.weighed()
    if not every:
        raise ValueError("nobody has a text: there is none to call typical")
    own, _ = said_of(texts)
    mean = texts.likeness(own, every) @ share
    return own[best(mean)]


def best(scores: Floats) -> int:
    """Place of the largest score, the first of those that are as large but for rounding."""
    return int(np.flatnonzero(scores >= scores.max() - TIED)[0])
