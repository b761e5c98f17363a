"""A modality added to a fitted model: a linear block on what the model leaves, and nothing else is changed.

    link(patient)  =  link of before  +  (x - mean) @ coef - level      where the patient has the new modality

x are the scaled columns of the new modality, or the first principal components of many, or of tokens. The coefficients
are an elastic net on the link of before as its offset, its penalty chosen on inner folds, times a gate from 0 to 1 by
which it is kept as far as it pays on patients that it has not seen (`fitting.gate`); where it gains too
little on patients whom neither penalty nor gate has seen, nothing is added. A free intercept takes up what
having the modality says of the outcome, and is dropped. `level` keeps the mean prediction of these patients where it
was: what the block says moves patients apart and not all of them together. Patients without the modality get the very
link of before.

Source: Klau et al. 2018, doi:10.1186/s12859-018-2344-6 (a block on the offset of those before it). We deviate by the
gate.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from chiasm.artifact import storable
from chiasm.cohort import Cohort
from chiasm.encoders import features_of
from chiasm.encoders.table.scaling import Projected, Projection
from chiasm.errors import count
from chiasm.fitting.base import Training, trainable
from chiasm.fitting.gate import choose_gate
from chiasm.fitting.model import FittedModel
from chiasm.fitting.sparse_choice import choose_sparse_blocks
from chiasm.fitting.unimodal import inner_folds
from chiasm.heads.kinds import HEADS
from chiasm.heads.response import Response, level_of
from chiasm.linear.likelihood import FoldLikelihood
from chiasm.linear.target_units import TargetUnits
from chiasm.models.recalibration import LEAST_EVENTS, LEAST_PATIENTS, Array, TooFew
from chiasm.models.updating import calibrated_links, fewest
from chiasm.protocols import Predictor, reads_inputs

COLUMNS, COMPONENTS = 64, 128  # columns that are read as they are; components of more
L1_RATIO = 0.1
ROUNDS = 50  # of the search for the level that leaves the mean prediction where it was


@storable("added-block")
@dataclass(frozen=True)
class AddedBlock:
    """What a modality adds to the link of patients who have it.

    Args:
        modality: its name.
        features: the fitted scaling of its columns, or components of them.
        mean: `(F,)` of the scaled columns.
        coef: `(F, K)`, in units of the link.
        level: `(K,)` that is taken off.
    """

    modality: str
    features: Any
    mean: np.ndarray
    coef: np.ndarray
    level: np.ndarray

    def __post_init__(self) -> None:
        if self.coef.ndim != 2 or self.mean.shape != self.coef.shape[:1] or self.level.shape != self.coef.shape[1:]:
            raise ValueError("a block has a mean for each row of its coefficients, and a level for each column")

    def added(self, raw: Any) -> Array:
        """What is added `(n, K)` to the links of patients, by their values of the modality."""
        scaled = np.asarray(self.features.features(raw), np.float64)
        return np.asarray((scaled - self.mean) @ self.coef - self.level)


@storable("extended")
@dataclass(frozen=True)
class Extended:
    """A predictor with a block for a further modality.

    Args:
        predictor: the predictor of before.
        block: what the new modality adds.
        known: modalities that the predictor of before reads.
        origin: `(K,)` link of a patient who has the new modality alone: the mean of those the block was learned on.
        had_prior: True if the predictor of before answers for a patient without any of its modalities.
        was_scarce: True if the new modality is one that too few patients of the fit had.
    """

    predictor: Predictor
    block: AddedBlock
    known: tuple[str, ...]
    origin: np.ndarray
    had_prior: bool
    was_scarce: bool = False

    @property
    def trained_parameters(self) -> int:
        return self.predictor.trained_parameters + int(np.count_nonzero(self.block.coef)) + self.block.level.size

    @property
    def reads_inputs(self) -> bool:
        """True if the wrapped predictor needs encoder inputs instead of stored tokens."""
        return reads_inputs(self.predictor)

    def link(self, cohort: Cohort) -> Array:
        """Return the link `(B, K)`, float64; that of the predictor of before, to the bit, without the new modality."""
        old = cohort.with_modalities([name for name in cohort.modalities if name in self.known])
        has_any = np.asarray(old.present.any(1))
        if self.had_prior or has_any.all():
            link = np.array(self.predictor.link(old), dtype=np.float64)
        else:
            link = np.tile(self.origin, (len(cohort), 1))
            if has_any.any():
                link[has_any] = self.predictor.link(old.subset(has_any))
        if self.block.modality in cohort.modalities:
            rows = cohort.rows_of(self.block.modality)
            if len(rows):
                link[rows] += self.block.added(cohort.raw(self.block.modality))
        return link

    def taken_from(self, model: FittedModel) -> FittedModel:
        """Return a model, whose predictor this is, without the new modality."""
        name = self.block.modality
        kept = (own for own in model.patterns if name not in own.split("+"))
        return replace(
            model,
            predictor=self.predictor,
            modalities={own: kind for own, kind in model.modalities.items() if own != name},
            encodings={own: encoding for own, encoding in model.encodings.items() if own != name},
            patterns=tuple(kept),
            scarce=tuple(sorted({*model.scarce, name})) if self.was_scarce else model.scarce,
        )


@dataclass(frozen=True)
class Learned:
    """A block as it was learned, and the gate by which it is kept; None where nothing is added."""

    block: AddedBlock | None
    gate: float


def require_enough(response: Response, cohort: Cohort, modality: str) -> None:
    """Refuse too few patients to learn what a modality adds.

    Raises:
        TooFew: naming how many there are.
    """
    assert cohort.outcome is not None
    n = len(cohort)
    least = fewest(response, cohort.outcome) if n else 0
    if n < LEAST_PATIENTS or least < LEAST_EVENTS:
        raise TooFew(
            f"too few to say: {count(n, 'patient')} with a known outcome have '{modality}' and one of the model's, "
            f"{least:,} of them with an event or of the rarest class; what it adds is learned from {LEAST_PATIENTS} "
            f"patients and {LEAST_EVENTS} events, so wait for more"
        )


def learn_block(response: Response, cohort: Cohort, modality: str, eta: Array, *, seed: int) -> Learned:
    """Learn what a modality adds to the calibrated links of a model.

    Args:
        response: the model's response.
        cohort: n patients of known outcome who all have the modality.
        eta: `(n, K)` their calibrated links, from the model of before.
        seed: of the inner folds.
    """
    training = trainable(cohort.with_modalities([modality]), seed, None, "cpu")
    kind, outcome = response.kind, training.outcome
    features, values = _features(training, modality)
    mean = values.mean(0)
    folds = inner_folds(training.cohort, seed)
    units = TargetUnits.of(kind, outcome)
    found = choose_sparse_blocks(
        kind, [values - mean], units.inside(outcome), folds, training.classes, l1_ratio=L1_RATIO,
        offset=units.number(eta),
    )  # fmt: skip
    start = eta + level_of(kind, eta, outcome)  # the level is a matter of recalibration
    gate = choose_gate(kind, start, found.parts * units.scale, outcome, folds)
    coef = gate * units.scale * found.blocks[0]
    if not gate or not coef.any():
        return Learned(None, 0.0)
    added = (values - mean) @ coef
    level = neutral_level(response, eta, added)
    return Learned(AddedBlock(modality, features, mean, coef / response.slope, level / response.slope), gate)


def _features(training: Training, modality: str) -> tuple[Any, Array]:
    """The fitted columns of a modality, or components of many, and their values `(n, F)`."""
    cohort = training.cohort
    features = features_of(cohort, modality).fit(cohort.raw(modality), [])
    values = np.asarray(features.features(cohort.raw(modality)), np.float64)
    if values.shape[1] <= COLUMNS:
        return features, values
    projection = Projection.fit(values, COMPONENTS)
    return Projected(features, projection), np.asarray(projection(values), np.float64)


def neutral_level(response: Response, eta: Array, added: Array) -> Array:
    """(K,) that is taken off what is added, so that the mean prediction of these patients stays where it was.

    Of a number it is the mean; of log hazards the logarithm of the mean of their exponentials, so that as many events
    are expected at the start; of classes and labels the shift that leaves the mean probabilities.
    """
    head = HEADS[response.kind]
    if head.is_relative:
        largest = added.max(0)
        return np.asarray(largest + np.log(np.exp(added - largest).mean(0)))
    if not head.has_logits:
        return np.asarray(added.mean(0))
    level, wanted = added.mean(0), head.frame(eta, response).to_numpy(np.float64).mean(0)
    for _ in range(ROUNDS):
        now = head.frame(eta + added - level, response).to_numpy(np.float64).mean(0)
        step = np.log(now) - np.log1p(-now) - np.log(wanted) + np.log1p(-wanted)
        level = level + step
        if np.abs(step).max() < 1e-12:
            break
    return np.asarray(level)


def held_out_links(
    response: Response, cohort: Cohort, modality: str, eta: Array, folds: NDArray[np.int_], *, seed: int
) -> Array:
    """Calibrated links `(n, K)` with the block, each from a block that has not seen the patient, all steps redone."""
    out = eta.copy()
    for fold in np.unique(folds):
        train, test = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
        block = learn_block(response, cohort.subset(train), modality, eta[train], seed=seed).block
        if block is not None:
            out[test] += response.slope * block.added(cohort.raw(modality, test))
    return out


def held_out_gain(response: Response, cohort: Cohort, eta: Array, links: Array) -> float:
    """Log likelihood that held-out links `(n, K)` gain over those of before, each at the level of these patients.

    The gate is chosen on the folds that chose the penalty; here neither has seen the patient, so that noise gains
    nothing on average and mostly loses.
    """
    kind, outcome = response.kind, cohort.outcome
    assert outcome is not None  # the caller has asked
    likelihood = FoldLikelihood(kind, outcome)
    before, after = (likelihood(own + level_of(kind, own, outcome)) for own in (eta, links))
    return before - after


def predictions_of(response: Response, links: Array, index: pd.Index) -> pd.DataFrame:
    """Convert calibrated links `(n, K)` to predictions."""
    return HEADS[response.kind].frame(links, response).set_axis(index, axis=0)


def with_block(model: FittedModel, learned: AddedBlock, cohort: Cohort, predicted: pd.DataFrame) -> FittedModel:
    """Return the model with a block for a further modality; its history is the caller's.

    Args:
        cohort: the n patients whom the block was learned on, with all modalities, encoded.
        predicted: what the model of before predicts of them.
    """
    name, response = learned.modality, model.response
    eta = calibrated_links(model, predicted).mean(0)
    origin = (eta - (response.intercept if len(response.intercept) else 0.0)) / response.slope + response.centre
    if not response.is_relative:  # whose calibrated link keeps the centre
        origin = origin - response.centre / response.slope
    predictor = Extended(
        model.predictor, learned, tuple(model.modalities), np.asarray(origin), model.has_prior, name in model.scarce
    )
    kinds = {**model.modalities, name: cohort.kinds[name]}
    seen = cohort.with_modalities([own for own in cohort.modalities if own in kinds]).patterns()[0].tolist()
    return replace(
        model,
        predictor=predictor,
        modalities=dict(sorted(kinds.items())),
        encodings={**model.encodings, **{own: cohort.encodings[own] for own in (name,) if own in cohort.encodings}},
        scarce=tuple(own for own in model.scarce if own != name),
        patterns=tuple(dict.fromkeys((*model.patterns, *filter(None, seen)))) if model.patterns else (),
    )
