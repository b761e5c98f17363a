"""What source cohorts lend: one ridge of all of their patients, on what they share with a cohort.

    minimise over coef_b and level_s   sum_s loss_s(link) + penalty / 2 sum_b |coef_b|^2
    link = level_s + sum_b x_b coef_b

over the source cohorts s, each with a level of its own; in Cox's likelihood with a baseline hazard of its own, so that
only patients of one source are compared. The blocks b are the modalities, in the unit of their first component and all
under one penalty, which the sources' held-out patients select: which modality tells about the cohort is the cohort's to
say. Every cohort's columns are scaled and centred by its own patients, a number of many values by its rank among them,
so that a unit, or a platform that moves a gene monotonically, cancels. A column that one of the sources lacks adds
nothing there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from chiasm.cohort import Cohort, Outcome, Target
from chiasm.cohort.lending import Shared, shared_parts
from chiasm.compute.memo import remember
from chiasm.encoders import features_of
from chiasm.fitting.base import Training, trainable
from chiasm.fitting.block_choice import GAIN, TOGETHER, BlockSearch, Powers, require_size
from chiasm.fitting.coefficients import Coefficients, feature_names
from chiasm.fitting.shared import shared_features
from chiasm.fitting.unimodal import inner_folds
from chiasm.linear.losses import loss_of
from chiasm.linear.target_units import TargetUnits
from chiasm.targets.outcome import joined

Array = NDArray[np.float64]
LEVELS = -3.0  # power of ten of the penalty of the sources' levels: all but free
SHUT = 6.0  # power of ten of a penalty under which a block says nothing
ROUGH = 1e-4  # relative precision of fits that are only compared
FINDS = 1.0  # log likelihood by which the sources' own held-out patients must be told better than by nothing
FOLDS = 3  # of the sources: enough for one penalty
DENSE = 3  # patients for each column up to which steps on the patients are the cheaper ones
SEED = 0  # of the sources' inner folds: what they lend depends on no seed of the trial


@dataclass(frozen=True)
class Lent:
    """Coefficients of the source cohorts, on scaled and centred columns.

    Args:
        names: modality to the names of its features.
        blocks: modality to their coefficients `(F_m, K)`, classes and labels in the order of the cohort's target.
        gain: log likelihood by which the sources' held-out patients are told better than by nothing.
    """

    names: dict[str, tuple[str, ...]]
    blocks: dict[str, Array]
    gain: float

    @property
    def finds(self) -> bool:
        """True if the sources found anything among their own patients."""
        return self.gain > FINDS

    @property
    def coefficients(self) -> Coefficients:
        """Names and coefficients of each modality."""
        return {name: (names, self.blocks[name]) for name, names in self.names.items()}


def lent_to(cohort: Cohort, target: Target) -> Lent:
    """Fit the cohort's source cohorts, once for all training sets of it that share the same with them.

    Args:
        cohort: training patients, of whom the names of columns are read and nothing else.
        target: the target, whose classes or labels order what comes back.
    """
    parts = [shared_parts(cohort, lender) for lender in cohort.lenders]
    scope = hashlib.sha256(repr([own.fingerprint for own in cohort.lenders]).encode()).hexdigest()
    shared = hashlib.sha256(repr([sorted(own.items()) for own in parts]).encode()).hexdigest()
    return remember(scope, ("lent", shared, target.names), lambda: _fitted(cohort.lenders, parts, target))


def borrowed_from(lender: Cohort, shared: Shared) -> tuple[Training, NDArray[np.int_]]:
    """Return the patients of a source cohort who are learned from, and their inner folds `(n,)`.

    Raises:
        Unsupported: too few patients have a known outcome and a shared modality.
        CohortError: too few have the event, or a class, to hold some out.
    """
    training = trainable(lender.with_modalities(sorted(shared)), SEED, None, "cpu")
    return training, inner_folds(training.cohort, SEED, FOLDS)


def _fitted(lenders: Sequence[Cohort], parts: Sequence[Shared], target: Target) -> Lent:
    columns: list[dict[str, tuple[tuple[str, ...], Array]]] = []
    outcomes, folds = [], []
    for lender, shared in zip(lenders, parts, strict=True):
        if not shared:
            continue
        training, own_folds = borrowed_from(lender, shared)
        columns.append({name: _features(training.cohort, name, shared[name]) for name in training.cohort.modalities})
        outcomes.append(in_order(training.outcome, training.target.names, target.names))
        folds.append(own_folds)
    stratum = np.repeat(np.arange(len(folds)), list(map(len, folds)))
    names: dict[str, tuple[str, ...]] = {}
    for name in sorted({name for own in columns for name in own}):
        names[name] = tuple(sorted({feature for own in columns if name in own for feature in own[name][0]}))
    require_size(len(stratum), sum(map(len, names.values())), "patients of source cohorts")
    values = [_side_by_side(columns, name, own, stratum) for name, own in names.items()]
    outcome = joined(outcomes)
    if len(folds) > 1 and not loss_of(target.kind, outcome, "linear predictor").compares:
        level = np.eye(len(folds))[stratum]
        values.append(level - level.mean(0))
    units = TargetUnits.of(target.kind, outcome)
    classes = len(target.names) or None
    inside, width = units.inside(outcome), sum(own.shape[1] for own in values)
    wide = len(stratum) < DENSE * width
    search = BlockSearch(target.kind, values, inside, np.concatenate(folds), classes, stratum, rough=ROUGH, wide=wide)
    beside = (LEVELS,) * (len(values) - len(names))
    tried: dict[Powers, float] = {}
    for power in TOGETHER:
        powers = (*(power,) * len(names), *beside)
        tried[powers] = search.loss(powers)
        if tried[powers] > min(tried.values()) + GAIN:
            break
    best = min(tried, key=lambda powers: tried[powers])
    gain = search.loss((*(SHUT,) * len(names), *beside)) - tried[best]
    blocks = (own * units.scale for own in search.fitted(best)[0])
    return Lent(names, dict(zip(names, blocks, strict=False)), gain)


def _features(cohort: Cohort, name: str, columns: Sequence[str]) -> tuple[tuple[str, ...], Array]:
    """Return names of the features of a modality's shared columns, and their values, centred: `(B, F)`."""
    raw = cohort.raw(name)
    features = features_of(cohort, name).fit(raw[[*columns]] if columns else raw, [])
    rows, own = cohort.rows_of(name), np.asarray(shared_features(cohort, name, features.features))
    values = np.zeros((len(cohort), own.shape[1]))
    values[rows] = own - own.mean(0)
    return feature_names(features, own.shape[1]), values


def _side_by_side(
    columns: Sequence[dict[str, tuple[tuple[str, ...], Array]]],
    name: str,
    features: Sequence[str],
    stratum: NDArray[np.int_],
) -> Array:
    """Return a modality of all sources, `(n, F)`; zeros where a patient lacks it or a source a column."""
    place = {feature: number for number, feature in enumerate(features)}
    values = np.zeros((len(stratum), len(features)))
    for number, own in enumerate(columns):
        if name in own:
            values[np.ix_(stratum == number, [place[feature] for feature in own[name][0]])] = own[name][1]
    return values


def in_order(outcome: Outcome, names: Sequence[str], wanted: Sequence[str]) -> Outcome:
    """Return outcomes with classes, or labels, in another order of the same names."""
    if tuple(names) == tuple(wanted):
        return outcome
    if outcome.value.ndim == 2:
        return Outcome(outcome.value[:, [names.index(name) for name in wanted]], outcome.event, outcome.known)
    code = np.array([wanted.index(name) for name in names], float)
    if outcome.cause is not None:
        return replace(outcome, cause=np.r_[0, code + 1].astype(int)[outcome.cause])
    value = outcome.value.copy()
    value[outcome.known] = code[value[outcome.known].astype(int)]
    return Outcome(value, outcome.event, outcome.known)
