"""Evaluation of retrieval by class: recall and precision of the ranking, and the vote of the nearest patients."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from chiasm.cohort import Cohort, Unsupported, class_names, fold_ids
from chiasm.retrieval.embed import embed_modality, embed_model
from chiasm.retrieval.metrics import mean_average_precision, recall_at
from chiasm.retrieval.neighbours import cosines
from chiasm.retrieval.vote import NeighbourVote

KS = (1, 5, 10)
FOLDS = 5
VOTERS = 20
DRAWS = 1_000
MOST_QUERIES = 2_000
Ints = NDArray[np.int_]
Array = NDArray[np.float64]


def retrieval_scores(cohort: Cohort, by: str | Any, *, seed: int = 0) -> pd.DataFrame:
    """Compute recall at 1, 5 and 10, mean average precision and the vote's balanced accuracy, each beside chance.

    Every patient of known class is a query among all others outside its own group; those of its class are relevant.
    Chance is the mean over all orders of the same others: `k t / (N min(k, t))` for t relevant among N, and
    `(H_N + (t - 1)(N - H_N) / (N - 1)) / N` with H_N the harmonic number for the average precision. The vote is of the
    20 nearest training patients in 5 folds, with its operating point chosen on training patients alone
    (`NeighbourVote`); its chance is one over the number of classes. Intervals (95 %) are from a bootstrap of patients,
    or groups, given the collection. With more than 2,000 patients, 2,000 drawn at random are queries.

    Args:
        cohort: encoded cohort with several classes as its target.
        by: a modality, whose features are scaled by all these patients without a label; or a fitted model, which knows
            the labels of those it was fitted on: choose others.

    Returns:
        One row per metric: `metric`, `value`, `low`, `high`, `chance`, `patients` (number of queries).

    Raises:
        Unsupported: the target is not a classification, or too few patients can be compared.
    """
    if cohort.target is None or not cohort.target.has_classes or cohort.outcome is None:
        raise Unsupported("retrieval is scored by a class: the cohort needs a target of kind 'classification'")
    classes = len(class_names(cohort.target))
    cohort = cohort.subset(cohort.outcome.known)
    rows, vectors = embed_modality(cohort, by) if isinstance(by, str) else embed_model(by, cohort)
    cohort = cohort.subset(rows)
    assert cohort.outcome is not None  # a subset keeps it
    codes, units = cohort.outcome.value.astype(int), _units(cohort)
    if len(rows) <= max(KS) + 1 or len(np.unique(codes)) < 2:
        raise Unsupported(f"there is too little to rank: {max(KS) + 2} patients and two classes are the fewest")
    rng = np.random.default_rng(seed)
    asked = np.sort(rng.permutation(len(rows))[:MOST_QUERIES])
    names = [*(f"recall@{k}" for k in KS), "mean average precision"]
    values, chances = _ranked(vectors, codes, units, asked)
    draws = _draws(units[asked], rng)  # (R, Q) how often each is drawn
    lines = []
    for name, own, chance in zip(names, values.T, chances.T, strict=True):
        some = np.isfinite(own)
        drawn = (draws[:, some] @ own[some]) / draws[:, some].sum(1)
        lines.append((name, own[some].mean(), *np.quantile(drawn, (0.025, 0.975)), chance[some].mean(), some.sum()))
    right = _voted(cohort, vectors, codes, classes, seed) == codes
    drawn = [_balanced(right, codes, weight) for weight in _draws(units, rng)]
    vote = _balanced(right, codes, np.ones(len(codes)))
    lines.append(("vote, balanced accuracy", vote, *np.quantile(drawn, (0.025, 0.975)), 1 / classes, len(codes)))
    return pd.DataFrame(lines, columns=["metric", "value", "low", "high", "chance", "patients"])


def _units(cohort: Cohort) -> Ints:
    """Number the groups of the patients, `(B,)`; a patient without a group is one of its own."""
    group = np.full(len(cohort), "") if cohort.group is None else cohort.group
    _, units = np.unique(group, return_inverse=True)
    alone = units.max(initial=0) + 1 + np.arange(len(group))
    return np.asarray(np.where(group == "", alone, units), dtype=int)


def _ranked(vectors: NDArray[np.float32], codes: Ints, units: Ints, asked: Ints) -> tuple[Array, Array]:
    """Score each query's ranking, `(Q, 4)`, and the mean over all orders, `(Q, 4)`; NaN where nobody is relevant."""
    unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    values, chances = np.full((2, len(asked), len(KS) + 1), np.nan)
    for place, query in enumerate(asked):
        others = np.flatnonzero(units != units[query])
        relevant = (codes[others] == codes[query])[np.argsort(-cosines(unit[others], unit[query]), kind="stable")]
        total, n = int(relevant.sum()), len(others)
        if not total or n < max(KS):
            continue
        row, count = relevant[None], np.array([total])
        values[place] = [*(recall_at(row, count, k) for k in KS), mean_average_precision(row, count)]
        harmonic = (1 / np.arange(1, n + 1)).sum()
        precision = (harmonic + (total - 1) * (n - harmonic) / (n - 1)) / n
        chances[place] = [*(k * total / (n * min(k, total)) for k in KS), precision]
    if not np.isfinite(values).any():
        raise Unsupported("nobody has a patient of the same class outside its own group: there is nothing to find")
    return values, chances


def _voted(cohort: Cohort, vectors: NDArray[np.float32], codes: Ints, classes: int, seed: int) -> Ints:
    """Predict each patient's class `(B,)` by the vote of training patients, each patient tested once."""
    fold = fold_ids(cohort, FOLDS, seed=seed)
    decided = np.zeros(len(codes), dtype=int)
    for number in range(FOLDS):
        train, test = fold != number, fold == number
        voters = min(VOTERS, int(train.sum()) - 1)
        decided[test] = NeighbourVote.fit(vectors[train], codes[train], classes, voters).decide(vectors[test])
    return decided


def _draws(units: Ints, rng: np.random.Generator) -> Array:
    """Draw bootstrap counts of the patients, `(R, n)`, whole units at a time."""
    distinct, own = np.unique(units, return_inverse=True)
    share = np.full(len(distinct), 1 / len(distinct))
    return rng.multinomial(len(distinct), share, size=DRAWS)[:, own].astype(float)


def _balanced(right: NDArray[np.bool_], codes: Ints, weight: Array) -> float:
    """Balanced accuracy: mean over the classes drawn of the share of their patients decided right."""
    shares = [
        (right * weight)[codes == code].sum() / weight[codes == code].sum()
        for code in np.unique(codes)
        if weight[codes == code].sum()
    ]
    return float(np.mean(shares))
