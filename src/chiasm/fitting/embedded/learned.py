"""Two ways to learn from vectors, a linear probe and nearest neighbours, whose only setting inner folds choose."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from chiasm.cohort import Cohort, CohortError, Unsupported, fold_ids
from chiasm.encoders.table.scaling import Projection
from chiasm.fitting.base import LEAST_PATIENTS
from chiasm.fitting.embedded.neighbours import KS, nearest_links
from chiasm.fitting.inner_choice import choose_penalty
from chiasm.heads.response import Response
from chiasm.metrics.scores import PRIMARY, score
from chiasm.targets import Outcome, Target

Array = NDArray[np.float64]
Ints = NDArray[np.int_]
COMPONENTS = 1_024
KNN, PROBE = "knn", "probe"
INNER_FOLDS = 3


@dataclass(frozen=True)
class Learned:
    """Predictions of the asked patients, one row each, and the setting that inner folds chose."""

    frame: pd.DataFrame
    setting: float


class TooFew(ValueError):
    """There are too few patients to learn from; the message says of whom."""


@dataclass(frozen=True)
class Pupils:
    """Training patients, all of known outcome, with the inner folds on which settings are chosen.

    Args:
        target: with its horizons.
        outcome: theirs, (n,).
        folds: (n,) inner fold of each.
    """

    target: Target
    outcome: Outcome
    folds: Ints

    @classmethod
    def of(cls, cohort: Cohort, seed: int, inner: int = INNER_FOLDS) -> Pupils:
        """Draw inner folds of training patients, fewer of them where classes or events are few.

        Raises:
            TooFew: fewer than ten patients, or one of a class or of the events, so that no two inner folds have both.
        """
        target, outcome = cohort.target, cohort.outcome
        assert target is not None and outcome is not None  # else there are no folds of a trial
        if len(cohort) < LEAST_PATIENTS:
            raise TooFew(f"fewer than the {LEAST_PATIENTS} that a fit needs")
        for folds in range(inner, 1, -1):
            try:
                found = fold_ids(cohort, folds, seed=seed)
            except CohortError as error:
                if folds == 2:
                    raise TooFew(error.problems[0].what) from None
                continue
            return cls(target.with_horizons(outcome), outcome, found)
        raise TooFew("an inner choice needs two folds")

    @property
    def classes(self) -> int | None:
        return len(self.target.names) or None

    def frame(self, links: Array, asked: Array, folds: Ints | None = None) -> pd.DataFrame:
        """Convert links `(q, K)` of asked patients to predictions; those of the pupils `(n, K)` give a baseline."""
        response = Response.fit(self.target, links, self.outcome, calibrate=False, folds=folds)
        return response.frame(asked)


def learn_probe(pupils: Pupils, known: Array, asked: Array) -> Learned:
    """Fit a ridge (linear, logistic or Cox) on standardised vectors; inner folds choose its penalty by likelihood.

    Columns are centred and scaled to unit variance on the pupils, and rotated to their principal components, all of
    them up to 1,024: a ridge is the same in any rotation, so that for one penalty the fit is that of
    `LogisticRegression(C=1/penalty)` or `Ridge(penalty)` of scikit-learn on the scaled columns.
    """
    kind = pupils.target.kind
    unit = float(np.abs(known).max(initial=0.0)) or 1.0  # a common unit changes nothing but what is tiny or huge
    known, asked = known / unit, asked / unit
    projection = Projection.fit(known, COMPONENTS, alike=True)
    chosen = choose_penalty(kind, projection(known), pupils.outcome, pupils.folds, pupils.classes)
    link = chosen.model.linear_predictor(projection(asked))
    return Learned(pupils.frame(chosen.raw, link, pupils.folds), chosen.penalty)


def learn_neighbours(pupils: Pupils, known: Array, asked: Array) -> Learned:
    """Let the k nearest pupils by cosine vote; inner folds choose k by the primary metric, the larger of equal ones."""
    kind, outcome = pupils.target.kind, pupils.outcome
    numbers = np.unique(pupils.folds)
    least = min(int((pupils.folds != fold).sum()) for fold in numbers)
    ks = [k for k in KS if k <= least] or [1]
    scores = np.full((len(numbers), len(ks)), np.nan)
    links: Array = np.zeros(0)
    for place, fold in enumerate(numbers):
        train, test = np.flatnonzero(pupils.folds != fold), np.flatnonzero(pupils.folds == fold)
        own = Pupils(pupils.target, outcome.take(train), pupils.folds[train])
        held = nearest_links(kind, known[train], own.outcome, known[test], ks, pupils.classes)
        if not links.size:
            links = np.zeros((len(ks), len(known), held.shape[2]))
        links[:, test] = held
        level = np.zeros((len(train), held.shape[2]))
        scores[place] = [_scored(own, level, link, outcome.take(test)) for link in held]
    best = best_of(scores)
    link = nearest_links(kind, known, outcome, asked, [ks[best]], pupils.classes)[0]
    return Learned(pupils.frame(links[best], link, pupils.folds), float(ks[best]))


METHODS: dict[str, Callable[[Pupils, Array, Array], Learned]] = {KNN: learn_neighbours, PROBE: learn_probe}


def require_one_outcome(target: Target) -> None:
    """Refuse a kind of target of which neither neighbours nor a probe learn.

    Raises:
        Unsupported: each patient has options of his own, or a text.
    """
    if target.has_texts:
        raise Unsupported(
            "neighbours and probes learn one outcome of all patients, and no text: give the vectors as a modality of a "
            "table, and let `evaluate` compare recipes on them"
        )
    if target.has_options:
        raise Unsupported(
            "neighbours and probes learn one outcome of all patients, and no choice among options of each patient's "
            "own: give the vectors as a modality of a table, and let `evaluate` compare recipes on them"
        )


def best_of(scores: Array) -> int:
    """Return the setting (a column) of the best mean over inner folds that have a value; the last of equal ones.

    Where no fold has a value, it is the one in the middle.
    """
    told = ~np.isnan(scores)
    mean = np.where(told, scores, 0.0).sum(0) / np.maximum(told.sum(0), 1)
    mean = np.where(told.any(0), mean, -np.inf)
    if not told.any():
        return int(scores.shape[1] // 2)
    return int(np.flatnonzero(mean >= mean.max() - 1e-12)[-1])


def require_methods(methods: str | Sequence[str]) -> tuple[str, ...]:
    """Return the named ways to learn, each once.

    Raises:
        ValueError: none, or one that there is not.
    """
    named = [own.strip() for own in methods.split(",")] if isinstance(methods, str) else list(methods)
    unknown = [own for own in named if own not in METHODS]
    if unknown or not named:
        raise ValueError(f"'{unknown[0] if unknown else ''}' is no way to learn from vectors: {', '.join(METHODS)}")
    return tuple(dict.fromkeys(named))


def _scored(pupils: Pupils, level: Array, link: Array, outcome: Outcome) -> float:
    target = pupils.target
    frame, name = pupils.frame(level, link), PRIMARY[target.kind]
    return float(score(target.kind, frame, outcome, target.names, None, pupils.outcome, [name], min_events=1)[name][0])
