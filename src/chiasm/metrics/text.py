"""Metrics of a free text answer against the one that is expected: exact match, shared words, longest common sequence.

Every function takes two sequences of n texts and returns (n,) float64, one score a patient, so that a mean and its
bootstrap are over patients; BLEU alone is of all texts together.

Normalised is a text in Unicode form NFKC, in lower case, without punctuation, without the English articles a, an and
the, and with single spaces, as in SQuAD (Rajpurkar and others 2016, arXiv 1606.05250), which leaves Unicode as it is.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from chiasm.errors import Unsupported
from chiasm.metrics.weighted import Floats

ARTICLES = re.compile(r"\b(?:a|an|the)\b")
ORDERS = 4


@lru_cache(maxsize=100_000)
def normalised(text: str) -> str:
    """The text as answers are compared: `The left lung.` is `left lung`."""
    folded = unicodedata.normalize("NFKC", text).lower()
    kept = "".join(sign for sign in folded if not unicodedata.category(sign).startswith("P"))
    return " ".join(ARTICLES.sub(" ", kept).split())


def exact_match(predicted: Sequence[str], expected: Sequence[str]) -> Floats:
    """1 where both texts are the same when they are normalised, else 0."""
    return np.array([float(normalised(p) == normalised(e)) for p, e in _pairs(predicted, expected)])


def token_f1(predicted: Sequence[str], expected: Sequence[str]) -> Floats:
    """F1 of the words that both normalised texts share, each as often as it stands in both; 1 where both are empty."""
    return np.array([_f1(normalised(p).split(), normalised(e).split()) for p, e in _pairs(predicted, expected)])


def entity_f1(predicted: Sequence[str], expected: Sequence[str], entities: Sequence[str]) -> Floats:
    """F1 of the entities that both texts name, from a list of names; NaN where neither names one.

    A name is found where it stands as whole words of the normalised text; one inside of a longer one, as `lung` in
    `left lung`, counts too where both are in the list. Nothing is known of negation: `no effusion` names effusion.
    """
    names = sorted({normalised(own) for own in entities} - {""})
    if not names:
        raise ValueError("entities are a list of names, and this one is empty: give those that answers may hold")

    def named(text: str) -> list[str]:
        padded = f" {normalised(text)} "
        return [name for name in names if f" {name} " in padded]

    both = [(named(p), named(e)) for p, e in _pairs(predicted, expected)]
    return np.array([_f1(p, e) if p or e else np.nan for p, e in both])


def rouge_l(predicted: Sequence[str], expected: Sequence[str]) -> Floats:
    """ROUGE-L: F1 of the longest common subsequence of words, by torchmetrics, without stemming (Lin 2004).

    Raises:
        Unsupported: torchmetrics is not installed.
    """
    try:
        from torchmetrics.functional.text.rouge import rouge_score
    except ImportError:
        raise Unsupported(NEEDED) from None
    pairs = _pairs(predicted, expected)
    return np.array([float(rouge_score(p, e, rouge_keys="rougeL")["rougeL_fmeasure"]) for p, e in pairs])


def bleu(predicted: Sequence[str], expected: Sequence[str], weights: Floats | None = None) -> Floats:
    """BLEU-4 of all texts together, (R,), one value for each row of weights (R, n).

    `exp(min(0, 1 - r / c)) (p_1 p_2 p_3 p_4)^(1/4)`, c and r the words of the answers and of those expected; words as
    they stand between spaces, no smoothing, 0 where no four words in a row are shared (Papineni and others 2002).
    Equals `torchmetrics.functional.text.bleu_score`.
    """
    terms = np.array([_n_grams(p.split(), e.split()) for p, e in _pairs(predicted, expected)], dtype=np.float64)
    w = np.ones((1, len(terms))) if weights is None else np.atleast_2d(np.asarray(weights, np.float64))
    summed = w @ terms.reshape(len(terms), 2 * ORDERS + 2)
    shared, of, said, wanted = summed[:, :ORDERS], summed[:, ORDERS : 2 * ORDERS], summed[:, -2], summed[:, -1]
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = np.where((shared > 0).all(axis=1), np.exp(np.log(shared / of).mean(axis=1)), 0.0)
        short = np.where(said > 0, np.exp(np.minimum(0.0, 1 - wanted / said)), 0.0)
    return np.asarray(np.where(mean > 0, mean * short, 0.0), dtype=np.float64)


NEEDED = "ROUGE is computed by torchmetrics, which is not installed: pip install torchmetrics"


def _n_grams(answer: list[str], expected: list[str]) -> list[int]:
    """Shared n-grams and those of the answer for n = 1 to 4, and the words of both."""
    shared, of = [], []
    for n in range(1, ORDERS + 1):
        own, other = (Counter(zip(*(text[k:] for k in range(n)), strict=False)) for text in (answer, expected))
        shared.append(sum((own & other).values()))
        of.append(sum(own.values()))
    return [*shared, *of, len(answer), len(expected)]


def _f1(predicted: list[str], expected: list[str]) -> float:
    if not predicted or not expected:
        return float(predicted == expected)
    shared = sum((Counter(predicted) & Counter(expected)).values())
    return 2 * shared / (len(predicted) + len(expected))


def _pairs(predicted: Sequence[str], expected: Sequence[str]) -> list[tuple[str, str]]:
    if len(predicted) != len(expected):
        raise ValueError(f"{len(predicted)} answers for {len(expected)} expected ones: give one a patient")
    pairs = list(zip(predicted, expected, strict=True))
    if not all(isinstance(text, str) for pair in pairs for text in pair):
        raise ValueError("an answer is no text: write an empty one where there is none, and leave out who has none")
    return pairs
