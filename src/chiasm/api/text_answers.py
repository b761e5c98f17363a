"""Public functions on free text answers: scores with intervals, and the two baselines that every model must beat."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pandas as pd

from chiasm.errors import count
from chiasm.metrics import text as text_
from chiasm.metrics.shares import wilson
from chiasm.metrics.weighted import Floats
from chiasm.targets.words import normalised

FEWEST = 10
"""Answers, below which a mean has no interval."""
FEWEST_DRAWS, SAME = 100, 1e-9
AT_ONCE = 1_024  # questions compared with all of training in one go


def text_scores(
    predicted: Sequence[str],
    expected: Sequence[str],
    *,
    entities: Sequence[str] = (),
    groups: Sequence[str] | None = None,
    draws: int = 1000,
    seed: int = 0,
) -> pd.DataFrame:
    """Score free text answers: a row for each metric with its mean, a 95 % interval of patients, and their number.

    The metrics are `exact_match` and `token_f1` (normalised after SQuAD), `rouge_l`, `bleu` of all texts together, and
    with `entities` also `entity_f1` among the answers that name one; see docs/metrics.md. An interval is the percentile
    one of a bootstrap of patients, or of groups, conditional on the answers given, and Wilson's where all draws are
    equal, as of answers that are all right; NaN below ten of them.

    Args:
        predicted, expected: n texts each, a patient at the same place in both.
        entities: names of what answers may be about, as findings or organs.
        groups: (n,) what is drawn together, as the image or the person that several questions are about.
        draws: of the bootstrap, 100 or more.

    Raises:
        ValueError: too few draws, numbers of texts that differ, what is no text, no answer at all, one text where a
            list is needed, or an answer without a group where there are groups.
        Unsupported: torchmetrics is not installed, which computes ROUGE.
    """
    if not len(expected):
        raise ValueError("there is no answer to score: give one text or more")
    if draws < FEWEST_DRAWS:
        raise ValueError(f"draws={draws} are too few for an interval: choose {FEWEST_DRAWS} or more")
    text_.require_texts(predicted, "an answer")
    text_.require_texts(expected, "an answer")
    p, e, unit = list(predicted), list(expected), _units(groups, len(expected))
    terms = {"exact_match": text_.exact_match(p, e), "token_f1": text_.token_f1(p, e), "rouge_l": text_.rouge_l(p, e)}
    if isinstance(entities, str) or len(entities):
        terms["entity_f1"] = text_.entity_f1(p, e, entities)
    weights = _draws(unit, draws, seed)
    rows = []
    for name, own in terms.items():
        known = ~np.isnan(own)
        drawn = _means(own[known], weights[:, known])
        mean = float(own[known].mean()) if known.any() else np.nan
        rows.append((name, mean, *_interval(mean, drawn, len(np.unique(unit[known]))), int(known.sum())))
    together = text_.bleu(p, e, np.concatenate([np.ones((1, len(e))), weights]))
    rows.append(
        ("bleu", float(together[0]), *_interval(float(together[0]), together[1:], len(np.unique(unit))), len(e))
    )
    return pd.DataFrame(rows, columns=["metric", "mean", "low", "high", "answers"])


def text_baselines(questions: Sequence[str], answers: Sequence[str], asked: Sequence[str]) -> pd.DataFrame:
    """Answer questions without a model: `most_frequent`, the answer of most training patients, and `nearest`.

    `nearest` is the answer to the training question with the largest cosine of TF-IDF (words and pairs of words), the
    first of several; a question that shares no word with any gets the most frequent answer. Answers are counted as they
    are normalised, and given as they are first written.

    Args:
        questions, answers: of n training patients.
        asked: questions of the patients to be answered, which nothing is fitted on.

    Raises:
        ValueError: no training patient, numbers of questions and answers that differ, or what is no text.
    """
    for own in (questions, answers, asked):
        text_.require_texts(own, "a question or answer")
    questions, answers, asked = list(questions), list(answers), list(asked)
    if not len(questions) or len(questions) != len(answers):
        raise ValueError(f"{len(questions)} training questions and {len(answers)} answers: give as many, one or more")
    from sklearn.feature_extraction.text import TfidfVectorizer  # type: ignore[import-untyped]

    first: dict[str, str] = {}
    for answer in answers:
        first.setdefault(normalised(answer), answer)
    common = first[Counter(map(normalised, answers)).most_common(1)[0][0]]
    vectoriser = TfidfVectorizer(ngram_range=(1, 2), token_pattern=r"(?u)\b\w+\b")
    try:
        known = vectoriser.fit_transform(questions)
    except ValueError:  # no question has a word
        return pd.DataFrame({"most_frequent": [common] * len(asked), "nearest": [common] * len(asked)})
    nearest: list[str] = []
    for start in range(0, len(asked), AT_ONCE):
        alike = (vectoriser.transform(asked[start : start + AT_ONCE]) @ known.T).toarray()
        best, near = alike.argmax(axis=1), alike.max(axis=1) > 0
        nearest += [answers[int(k)] if some else common for k, some in zip(best, near, strict=True)]
    return pd.DataFrame({"most_frequent": [common] * len(asked), "nearest": nearest})


def _units(groups: Sequence[str] | None, answers: int) -> np.ndarray:
    """Number of what each answer is drawn with, (n,): itself, or its group."""
    if groups is None:
        return np.arange(answers)
    own = list(groups)
    if isinstance(groups, str) or len(own) != answers:
        raise ValueError(f"{len(own)} groups for {count(answers, 'answer')}: give each its own, as a list")
    lacking = int(np.sum(pd.isna(pd.Series(own, dtype=object))))
    if lacking:
        what = f"{count(lacking, 'answer')} {'has' if lacking == 1 else 'have'} no group"
        raise ValueError(f"{what}: give each its own, or leave the groups out")
    return np.unique(np.array([str(one) for one in own]), return_inverse=True)[1]


def _draws(unit: np.ndarray, draws: int, seed: int) -> Floats:
    """Weights (R, n): how often each answer's unit was drawn."""
    units = int(unit.max()) + 1
    counts = np.random.default_rng(seed).multinomial(units, np.full(units, 1 / units), size=draws)
    return np.asarray(counts[:, unit], dtype=np.float64)


def _means(terms: Floats, weights: Floats) -> Floats:
    total = weights.sum(axis=1)
    return np.asarray(np.where(total > 0, weights @ terms / np.maximum(total, 1e-300), np.nan))


def _interval(mean: float, drawn: Floats, units: int) -> tuple[float, float]:
    """The ends; Wilson's, with the number of units as n, where nothing is spread that could be drawn."""
    if units < FEWEST or np.isnan(drawn).mean() > 0.2:
        return np.nan, np.nan
    low, high = np.nanquantile(drawn, [0.025, 0.975])
    if high - low < SAME:
        low, high = wilson(min(max(mean, 0.0), 1.0), units)
        low, high = min(max(0.0, low), mean), max(min(1.0, high), mean)
    return float(low), float(high)
