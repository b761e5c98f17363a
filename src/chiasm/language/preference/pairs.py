"""Pairs of texts of which a scorer likes one better: of the candidates of a prompt the best against the worst.

As CheXalign makes them (arXiv 2410.07025): N candidates a prompt, scored against its reference; best and worst are a
pair where their scores lie further apart than a gap. Which texts are longer is counted with the pairs, since a scorer
that likes long texts teaches length.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from chiasm.language.preference.scorers import Scorer, known, scored

GAP = 1e-8


@dataclass(frozen=True)
class Pair:
    """Two completions of a prompt, and their scores."""

    prompt: str
    chosen: str
    rejected: str
    scores: tuple[float, float] = (1.0, 0.0)


@dataclass(frozen=True)
class Pairs:
    """Pairs, and what became of the prompts.

    Args:
        pairs: best against worst, in the order of the prompts.
        prompts: how many were put.
        alike: prompts whose best and worst lie no further apart than the gap.
        unscored: prompts with fewer than two candidates that have a score.
        correlation: of score and number of words over all candidates, each less its prompt's mean; NaN where either
            does not vary.
    """

    pairs: tuple[Pair, ...]
    prompts: int
    alike: int = 0
    unscored: int = 0
    correlation: float = float("nan")

    def __len__(self) -> int:
        return len(self.pairs)

    def __repr__(self) -> str:
        return f"Pairs({self.told})"

    @property
    def told(self) -> str:
        """What became of the prompts, and how long the texts are, in a sentence."""
        left = [
            f"{count:,} {why}"
            for count, why in ((self.alike, "with candidates that score alike"), (self.unscored, "without scores"))
            if count
        ]
        made = f"{len(self):,} pairs of {self.prompts:,} prompts" + (f" ({', '.join(left)})" if left else "")
        chosen, rejected = self.words
        return f"{made}; {chosen:.1f} words chosen, {rejected:.1f} rejected" if self.pairs else made

    @property
    def words(self) -> tuple[float, float]:
        """Mean number of words of the chosen and of the rejected texts; NaN where there is no pair."""
        if not self.pairs:
            return float("nan"), float("nan")
        each = np.array([(words_of(own.chosen), words_of(own.rejected)) for own in self.pairs], dtype=np.float64)
        return float(each[:, 0].mean()), float(each[:, 1].mean())

    @property
    def longer(self) -> float:
        """Share of the pairs of unequal length in which the chosen text is the longer; NaN where there is none."""
        apart = [words_of(own.chosen) - words_of(own.rejected) for own in self.pairs]
        apart = [own for own in apart if own]
        return sum(own > 0 for own in apart) / len(apart) if apart else float("nan")


def words_of(text: str) -> int:
    """How many words stand between spaces."""
    return len(text.split())


def preference_pairs(
    prompts: Sequence[str],
    candidates: Sequence[Sequence[str]],
    references: Sequence[str],
    scorer: Scorer,
    *,
    gap: float = GAP,
) -> Pairs:
    """Score the candidates of each prompt against its reference, and keep best against worst beyond a gap.

    Args:
        candidates: for each prompt its texts; of equally good ones the first counts.
        scorer: see `scorer_of`; a candidate whose score is not finite takes no part.

    Raises:
        ValueError: there are not as many of the three, or the gap is below 0.
    """
    if not len(prompts) == len(candidates) == len(references):
        raise ValueError(
            f"{len(prompts):,} prompts, {len(candidates):,} lists of candidates and {len(references):,} references: "
            "give one of each for every prompt"
        )
    if not gap >= 0:
        raise ValueError(f"gap={gap} must be 0 or more")
    pairs, alike, unscored = list[Pair](), 0, 0
    beside: list[tuple[float, float]] = []
    for prompt, texts, reference in zip(prompts, candidates, references, strict=True):
        each = [(text, score) for text, score in zip(texts, scored(scorer, texts, reference), strict=True)]
        each = [(text, score) for text, score in each if known(score)]
        if len(each) < 2:
            unscored += 1
            continue
        scores = np.array([score for _, score in each])
        words = np.array([float(words_of(text)) for text, _ in each])
        beside += zip(scores - scores.mean(), words - words.mean(), strict=True)
        best, worst = int(scores.argmax()), int(scores.argmin())
        if scores[best] - scores[worst] > gap:
            pairs.append(Pair(prompt, each[best][0], each[worst][0], (each[best][1], each[worst][1])))
        else:
            alike += 1
    return Pairs(tuple(pairs), len(prompts), alike, unscored, correlation(beside))


def correlation(beside: Sequence[tuple[float, float]]) -> float:
    """Correlation of two numbers; NaN where either does not vary."""
    own = np.array(beside, dtype=np.float64).reshape(-1, 2)
    if len(own) < 2 or (own.std(axis=0) < 1e-12).any():
        return float("nan")
    return float(np.asarray(np.corrcoef(own.T)).reshape(2, 2)[0, 1])
