"""A modality as a few states of each patient, by which distributions are estimated where its values are many.

Two ways, each learned on the training patients of a fold and told of those who are tested:

    predictions: the link of the model of this modality alone (`fit_unimodal`), cut by k-means of the out-of-fold links
        of the training patients; it says what one modality can say of the outcome, and no more
    clusters: k-means of the first components of the modality's columns or mean tokens, without the outcome; it may keep
        what tells of the outcome only together with another modality, and loses what is no large part of the values

After Liang et al. (NeurIPS 2023, "Quantifying and modeling multimodal interactions", arXiv:2302.12247), who estimate
with k-means of features. Clusters of folds are named alike by the training patients whom both have.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment  # type: ignore[import-untyped]
from sklearn.cluster import KMeans  # type: ignore[import-untyped]

from chiasm.cohort import Cohort
from chiasm.compute.isolation import kept_randomness, seeded, threads_for
from chiasm.evaluation.fits import with_horizons
from chiasm.evaluation.protocol import Split
from chiasm.fitting.base import Training, trainable
from chiasm.fitting.shared import projected
from chiasm.fitting.unimodal import fit_unimodal
from chiasm.metrics.weighted import Floats

PREDICTIONS, CLUSTERS = "predictions", "clusters"
WAYS = (PREDICTIONS, CLUSTERS)
COMPONENTS = 8
_TAIL = 0.025  # of the links on either side, beyond which they are cut off: k-means would give outliers a state
_STARTS = 4
_WIDTH = 256.0  # columns of what is fitted, which decide the threads
Ints = NDArray[np.int_]
Key = tuple[str, str, int | None, int]
"""A modality, a way, the column of the link (None for all of them, or for clusters), and the number of states."""


@dataclass(frozen=True)
class Wanted:
    """What states are asked for in each fold; `others` have no known outcome, and are told of beside the tested."""

    cohort: Cohort
    others: Cohort | None
    keys: tuple[Key, ...]
    seed: int


@dataclass(frozen=True)
class FoldStates:
    """States of one fold, -1 without any: `told` (N,) of who is tested, `trained` (N,) on, and of the `others` (U,)."""

    told: Ints
    trained: Ints
    others: Ints
    ordered: bool


def states_of_fold(wanted: Wanted, split: Split) -> tuple[str, dict[Key, FoldStates]]:
    """Learn the states of each key on the training patients of a fold, and tell them of the tested and the others."""
    seed = seeded(wanted.seed, split.key)
    training = trainable(with_horizons(wanted.cohort.subset(split.train)), seed, None, "cpu")
    found: dict[Key, FoldStates] = {}
    with kept_randomness(), threads_for(len(training.cohort) * _WIDTH**2):
        for modality in dict.fromkeys(key[0] for key in wanted.keys):
            found |= _of_modality(wanted, training, split, modality)
    return split.key, found


def _of_modality(wanted: Wanted, training: Training, split: Split, modality: str) -> dict[Key, FoldStates]:
    """The states of one modality; nobody has one where too few were trained on."""
    cohort, others = wanted.cohort, wanted.others
    keys = [key for key in wanted.keys if key[0] == modality]
    place = cohort.modalities.index(modality)
    tested = split.test[cohort.present[split.test, place]]
    also = np.flatnonzero(others.present[:, place]) if others is not None else np.zeros(0, int)
    nobody, none = np.full(len(cohort), -1), np.full(0 if others is None else len(others), -1)
    if modality not in training.cohort.modalities:
        return {key: FoldStates(nobody, nobody, none, True) for key in keys}
    model, out_of_fold = fit_unimodal(training, modality)
    have = training.cohort.rows_of(modality)
    trained, found = np.searchsorted(cohort.ids, training.cohort.ids[have]), {}
    asked = [cohort.subset(tested)] + ([] if others is None else [others.subset(also)])
    asked = [own for own in asked if len(own)]
    for key in keys:
        _, way, column, k = key
        if way == PREDICTIONS:
            learned, links = out_of_fold[have], [model.link(own) for own in asked]
        else:
            learned, links = _components(model.features, training.cohort, asked, modality)
        told = np.concatenate([np.zeros((0, learned.shape[1])), *links])
        if column is not None:
            learned, told = learned[:, [column]], told[:, [column]]
        ordered, of_trained, of_told = _clustered(learned, told, k, training.seed)
        found[key] = FoldStates(
            _spread(nobody, tested, of_told[: len(tested)]),
            _spread(nobody, trained, of_trained),
            _spread(none, also, of_told[len(tested) :]),
            ordered,
        )
    return found


def _spread(nobody: Ints, rows: Ints, states: Ints) -> Ints:
    out = nobody.copy()
    out[rows] = states
    return out


def _components(features: Any, trained: Cohort, asked: list[Cohort], modality: str) -> tuple[Floats, list[Floats]]:
    """The first components of scaled columns, or mean tokens, which the training patients decide."""

    def columns(cohort: Cohort) -> Floats:
        return np.asarray(features.features(cohort.raw(modality)), dtype=np.float64)

    learned = columns(trained)
    projection = projected(learned, COMPONENTS)
    return projection(learned), [projection(columns(own)) for own in asked]


def _clustered(learned: Floats, asked: Floats, k: int, seed: int) -> tuple[bool, Ints, Ints]:
    """k-means of what was learned, (n, d); states along one dimension are in its order, which is told."""
    if learned.shape[1] == 2 and np.allclose(learned.sum(axis=1), learned.sum(axis=1).mean()):
        learned, asked = learned[:, 1:], asked[:, 1:]  # two classes, whose links mirror each other
    ordered = learned.shape[1] == 1
    low, high = np.quantile(learned, [_TAIL, 1 - _TAIL], axis=0)
    if ordered:
        learned, asked = np.clip(learned, low, high), np.clip(asked, low, high)
    different = len(np.unique(learned, axis=0))
    if different < 2:
        return True, np.zeros(len(learned), int), np.zeros(len(asked), int)
    fitted = KMeans(min(k, different), n_init=_STARTS, random_state=seed % 2**32).fit(learned)
    of_trained = fitted.labels_.astype(int)
    of_asked = fitted.predict(asked).astype(int) if len(asked) else np.zeros(0, int)
    if not ordered:
        return False, of_trained, of_asked
    rank = np.argsort(np.argsort(fitted.cluster_centers_[:, 0]))
    return True, rank[of_trained], rank[of_asked]


def named_alike(folds: Sequence[FoldStates]) -> list[FoldStates]:
    """The states of each fold by the names of the first, matched by who was trained on in both."""
    return [own if own.ordered else _renamed(own, folds[0].trained) for own in folds]


def _renamed(own: FoldStates, first: Ints) -> FoldStates:
    """Name the states so that most of the patients who were trained on in both keep theirs."""
    shared = (own.trained >= 0) & (first >= 0)
    k = int(max(own.trained.max(initial=0), first.max(initial=0))) + 1
    same = np.zeros((k, k))
    np.add.at(same, (own.trained[shared], first[shared]), 1.0)
    name = linear_sum_assignment(-same)[1]

    def renamed(states: Ints) -> Ints:
        return np.where(states >= 0, name[np.maximum(states, 0)], -1)

    return replace(own, told=renamed(own.told), trained=renamed(own.trained), others=renamed(own.others))
