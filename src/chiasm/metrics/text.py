"""Metrics of a free text answer against the one that is expected: exact match, shared words, longest common sequence.

Every function takes two sequences of n texts and returns (n,) float64, one score a patient, so that a mean and its
bootstrap are over patients; BLEU alone is of all texts together.

Normalised is a text in lower case, without punctuation, without the English articles a, an and the, and with single
spaces, after SQuAD (Rajpurkar and others 2016, arXiv 1606.05250). We deviate where SQuAD takes answers for the same
that a reader does not: marks within a number, its minus and its percent sign stay, as do symbols (`<`, `+`, `=`, `$`,
`^`), and an `a` that no word follows, or that is a capital within a sentence, is no article (`vitamin A`). Letters are
those of Unicode form NFKC; superscripts and fractions stay as they are. In scripts that put no spaces between words, as
Chinese and Thai, each character is a word.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from itertools import groupby

import numpy as np

from chiasm.errors import Unsupported
from chiasm.metrics.weighted import Floats, as_weights

DASHES = re.compile(r"[\u2010-\u2015\u2212]")
ARTICLES = re.compile(r"(?<![^\s\"'(\[“‘«])(?:the|an|a(?! (?:and|or)\b))\s+(?=[\"'(\[“‘«]?\w)", re.IGNORECASE)
CAPITAL = re.compile(r"[^\s.:!?\"'(\[“‘«]\W*\s$")  # before an A that stands within a sentence
OF_A_NUMBER = re.compile(r"(?<=\d)[^\w\s](?=\d)|(?<![\w.])\.(?=\d)|(?<![\w-])-(?=\.?\d)|[%‰]")
APART = re.compile(r"(?<=\d)\s+(?=[%‰])")
UNSPACED = re.compile(
    "([\u3005\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff])"
)
"""A character of Chinese, Japanese, Thai, Lao, Burmese or Khmer."""
KEPT = re.compile(r"<(?:super|sub|fraction|circle)>")
ORDERS = 4


@lru_cache(maxsize=100_000)
def normalised(text: str, between: str = "") -> str:
    """The text as answers are compared: `The left lung, 1.5 cm.` is `left lung 1.5 cm`.

    Args:
        between: what stands in the place of a mark that is taken out; a space makes two words of `left-sided`.
    """
    folded = DASHES.sub("-", _one_form(text))
    loud = folded.upper() == folded  # its capitals tell nothing

    def without(found: re.Match[str]) -> str:
        named = found[0].startswith("A ") and not loud and CAPITAL.search(folded[: found.start()])
        return found[0] if named else " "

    folded = APART.sub("", ARTICLES.sub(without, folded).lower())
    stays = {place for found in OF_A_NUMBER.finditer(folded) for place in range(*found.span())}
    marks = {k for k, sign in enumerate(folded) if unicodedata.category(sign)[0] == "P" or sign in "`|"} - stays
    kept = [between if k in marks else sign for k, sign in enumerate(folded)]
    return " ".join(_words("".join(kept)))


def _one_form(text: str) -> str:
    """Unicode form NFKC but of superscripts, subscripts and fractions, whose digits would join others."""
    return "".join(
        "".join(own) if kept else unicodedata.normalize("NFKC", "".join(own))
        for kept, own in groupby(text, lambda sign: bool(KEPT.match(unicodedata.decomposition(sign))))
    )


def _words(text: str) -> list[str]:
    """What stands between spaces, and each character of a script that has none."""
    return UNSPACED.sub(r" \1 ", text).split()


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


def _letters(text: str) -> str:
    """Letters, digits and their accents in lower case, with a space for all else."""
    folded = unicodedata.normalize("NFC", text).lower()
    return " ".join(_words("".join(sign if unicodedata.category(sign)[0] in "LMN" else " " for sign in folded)))


def bleu(predicted: Sequence[str], expected: Sequence[str], weights: Floats | None = None) -> Floats:
    """BLEU-4 of all texts together, (R,), one value for each row of weights (R, n).

    `exp(min(0, 1 - r / c)) (p_1 p_2 p_3 p_4)^(1/4)`, c and r the words of the answers and of those expected; words as
    they stand between spaces, and each character of a script without them; no smoothing, 0 where no four words in a row
    are shared (Papineni and others 2002).
    Equals `torchmetrics.functional.text.bleu_score`.
    """
    terms = np.array([_n_grams(_words(p), _words(e)) for p, e in _pairs(predicted, expected)], dtype=np.float64)
    w = as_weights(weights, len(terms))
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
