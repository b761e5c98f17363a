"""Metrics of a free text answer against the one that is expected: exact match, shared words, longest common sequence.

Every function takes two sequences of n texts and returns (n,) float64, one score a patient, so that a mean and its
bootstrap are over patients; BLEU alone is of all texts together.

Normalised is a text in lower case, without punctuation and English articles; see `chiasm.targets.words`.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Sequence

import numpy as np

from chiasm.errors import Unsupported
from chiasm.metrics.weighted import Floats, as_weights
from chiasm.targets.words import normalised, spaced_words

ORDERS = 4


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

    Raises:
        ValueError: no list of names, or an empty one.
    """
    if isinstance(entities, str):
        raise ValueError("entities are a list of names, and this is one text: put it into a list")
    if not all(isinstance(own, str) for own in entities):
        raise ValueError("entities are a list of names, and one of them is no text: write each as it is named")
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

    Words are letters and digits in lower case, whatever stands between them, as torchmetrics has them for English, and
    here for every script. Where neither text has a word it is 1 if they are the same when normalised, else 0.

    Raises:
        Unsupported: torchmetrics is not installed.
    """
    try:
        from torchmetrics.functional.text.rouge import rouge_score
    except ImportError:
        raise Unsupported(NEEDED) from None
    scores = []
    for p, e in _pairs(predicted, expected):
        if _letters(p) or _letters(e):
            found = rouge_score(p, e, rouge_keys="rougeL", normalizer=_letters, tokenizer=str.split)
            scores.append(float(found["rougeL_fmeasure"]))
        else:
            scores.append(float(normalised(p) == normalised(e)))
    return np.array(scores)


def rouge_of(predicted: str, expected: str) -> float:
    """ROUGE-L of one pair, as `rouge_l` has it, without torchmetrics: a trial asks for it thousands of times."""
    p, e = _letters(predicted).split(), _letters(expected).split()
    if not p and not e:
        return float(normalised(predicted) == normalised(expected))
    return 2 * longest_common(p, e) / (len(p) + len(e))


def longest_common(one: Sequence[str], other: Sequence[str]) -> int:
    """Length of the longest common subsequence of two lists of words, a column of the table at a time as bits.

    Source: Hyyroe, Bit-parallel LCS-length computation revisited (2004).
    """
    places: dict[str, int] = {}
    for k, word in enumerate(one):
        places[word] = places.get(word, 0) | 1 << k
    every = (1 << len(one)) - 1
    column = every
    for word in other:
        matched = column & places.get(word, 0)
        column = ((column + matched) | (column - matched)) & every
    return (every & ~column).bit_count()


def _letters(text: str) -> str:
    """Letters, digits and their accents in lower case, with a space for all else."""
    folded = unicodedata.normalize("NFC", text).lower()
    return " ".join(spaced_words("".join(sign if unicodedata.category(sign)[0] in "LMN" else " " for sign in folded)))


def bleu(predicted: Sequence[str], expected: Sequence[str], weights: Floats | None = None) -> Floats:
    """BLEU-4 of all texts together, (R,), one value for each row of weights (R, n).

    `exp(min(0, 1 - r / c)) (p_1 p_2 p_3 p_4)^(1/4)`, c and r the words of the answers and of those expected; words as
    they stand between spaces, and each character of a script without them; no smoothing, 0 where no four words in a row
    are shared (Papineni and others 2002).
    Equals `torchmetrics.functional.text.bleu_score`.
    """
    return bleu_of([(p, [e]) for p, e in _pairs(predicted, expected)], weights)


def bleu_of(pairs: Sequence[tuple[str, Sequence[str]]], weights: Floats | None = None) -> Floats:
    """BLEU-4 as `bleu`, of answers with one or several expected texts each; r is the length closest to the answer."""
    terms = np.array(
        [_n_grams(spaced_words(p), [spaced_words(e) for e in several]) for p, several in pairs], dtype=np.float64
    )
    w = as_weights(weights, len(terms))
    summed = w @ terms.reshape(len(terms), 2 * ORDERS + 2)
    shared, of, said, wanted = summed[:, :ORDERS], summed[:, ORDERS : 2 * ORDERS], summed[:, -2], summed[:, -1]
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = np.where((shared > 0).all(axis=1), np.exp(np.log(shared / of).mean(axis=1)), 0.0)
        short = np.where(said > 0, np.exp(np.minimum(0.0, 1 - wanted / said)), 0.0)
    return np.asarray(np.where(mean > 0, mean * short, 0.0), dtype=np.float64)


NEEDED = "ROUGE is computed by torchmetrics, which is not installed: pip install torchmetrics"


def _n_grams(answer: list[str], expected: list[list[str]]) -> list[int]:
    """Shared n-grams and those of the answer for n = 1 to 4, and the words of both.

    An n-gram is shared as often as it stands in the answer and in that of the texts expected which holds it most often.
    """
    shared, of = [], []
    for n in range(1, ORDERS + 1):
        own, *others = (Counter(zip(*(text[k:] for k in range(n)), strict=False)) for text in (answer, *expected))
        other = Counter[tuple[str, ...]]()
        for one in others:
            other |= one
        shared.append(sum((own & other).values()))
        of.append(sum(own.values()))
    closest = min((len(one) for one in expected), key=lambda size: (abs(size - len(answer)), size))
    return [*shared, *of, len(answer), closest]


def _f1(predicted: list[str], expected: list[str]) -> float:
    if not predicted or not expected:
        return float(predicted == expected)
    shared = sum((Counter(predicted) & Counter(expected)).values())
    return 2 * shared / (len(predicted) + len(expected))


def _pairs(predicted: Sequence[str], expected: Sequence[str]) -> list[tuple[str, str]]:
    require_texts(predicted, "an answer")
    require_texts(expected, "an answer")
    if len(predicted) != len(expected):
        raise ValueError(f"{len(predicted)} answers for {len(expected)} expected ones: give one a patient")
    return list(zip(predicted, expected, strict=True))


def require_texts(given: Sequence[str], what: str) -> None:
    """Refuse one text where a list of them is needed, and a list that holds what is none."""
    if isinstance(given, str):
        raise ValueError(f"{what} is one text of a list, and this would be read letter by letter: put it into a list")
    if not all(isinstance(text, str) for text in given):
        raise ValueError(f"{what} is no text: write an empty one where there is none, and leave out who has none")
