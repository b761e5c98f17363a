"""A model of a choice, whose parts know a patient by a point in the space of the options, as a model of the options."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from chiasm.artifact import storable
from chiasm.cohort import Cohort, Outcome, Target, Unsupported
from chiasm.cohort.units import units_of
from chiasm.compute.memo import remember
from chiasm.errors import count, first_rows
from chiasm.fitting.option_space import OptionSpace
from chiasm.fitting.text_space import TextSpace, among_texts, in_text_space
from chiasm.fitting.wrapping import Wrapping
from chiasm.heads.response import Response
from chiasm.linear.offered import prior_of
from chiasm.protocols import Embeds, Predictor
from chiasm.targets import Choice, Options
from chiasm.targets.choice import chosen_frame
from chiasm.targets.options import MOST_OPTIONS

if TYPE_CHECKING:
    from chiasm.fitting.base import Training

NO_OPTIONS = (
    "the model chooses among each patient's own options, and these patients have none: name them by `options` in "
    '[target] with kind = "choice", or give target=chiasm.Choice(options=...)'
)


@storable("choice-model")
@dataclass(frozen=True)
class ChoiceModel(Wrapping):
    """Predictor of the logits of each patient's own options: `z . o_k`, z the calibrated link of `predictor`.

    Args:
        predictor: gives the link `(B, E)` in the space of the options.
        response: its calibration.
        space: makes the features of the options.
    """

    predictor: Predictor
    response: Response
    space: OptionSpace

    @property
    def embedding(self) -> Callable[[Cohort], np.ndarray] | None:
        """The wrapped predictor's `embedding` `(B, D)`; None if it has none."""
        return self.predictor.embedding if isinstance(self.predictor, Embeds) else None

    def link(self, cohort: Cohort) -> np.ndarray:
        """Return the logits `(B, K)`, in the order of each patient's options; -inf where he has fewer.

        Raises:
            Unsupported: the cohort says no options, or a patient has none.
        """
        options = options_to_choose_among(cohort)
        z = self.response.calibrated(self.predictor.link(cohort))
        return np.where(options.inside, np.einsum("ne,nke->nk", z, self.space.features(options)), -np.inf)


def options_to_choose_among(cohort: Cohort) -> Options:
    """Return the options of the patients, once each has some.

    Raises:
        Unsupported: the cohort says no options, or a patient has none.
    """
    if cohort.options is None:
        raise Unsupported(NO_OPTIONS)
    without = np.flatnonzero(cohort.options.sizes == 0)
    if len(without):
        rows = np.sort(cohort.file_rows[without]).tolist()
        raise Unsupported(
            f"{count(len(without), 'patient')} without options ({first_rows(rows)}): leave them out, a model can "
            "choose among options alone"
        )
    return cohort.options


def in_own_space(training: Training) -> Training:
    """Return the training set as it is learned: of a choice or a text in a space of its own, else unchanged."""
    return in_text_space(training) if training.target.has_texts else in_option_space(training)


def in_own_terms(predictor: Predictor, response: Response, training: Training) -> tuple[Predictor, Response]:
    """Extend what was learned in a space of options or texts to them; unchanged without a space."""
    space, texts = training.space, training.outcome.texts
    if isinstance(space, TextSpace):
        assert texts is not None  # a text was learned from texts
        return among_texts(predictor, response, space, texts)
    return among_options(predictor, response, space)


def in_option_space(training: Training) -> Training:
    """Return the training set of a choice as it is learned: the outcomes have features of the options.

    Other kinds of target are returned unchanged. The space is learned from these patients alone.

    Raises:
        Unsupported: there are source cohorts or models, whose options lie in a space of their own.
    """
    cohort, outcome = training.cohort, training.outcome
    if not training.target.has_options or outcome.options is None:
        return training
    if cohort.lenders or cohort.lent_models:
        raise Unsupported("a choice borrows from no other cohort or model: leave the sources out")
    space, options = _learned(cohort, outcome, outcome.options)
    learned = replace(outcome, options=space.learned(options))
    target = training.target.along(space.width)
    return replace(training, cohort=cohort.with_target(target, learned), target=target, outcome=learned, space=space)


def _learned(cohort: Cohort, outcome: Outcome, options: Options) -> tuple[OptionSpace, Options]:
    """The space of the options of training patients, and these with who is kept together."""
    options = replace(options, units=units_of(cohort, None, group_duplicates=False))
    return remember(cohort.fingerprint, ("options",), lambda: OptionSpace.fit(options, outcome)), options


def said_by_options_alone(train: Cohort, cohort: Cohort) -> pd.DataFrame:
    """What the options alone say of the patients of `cohort`, in its row order, as learned from those of `train`.

    Raises:
        Unsupported: the cohort says no options, or a patient has none.
    """
    options = options_to_choose_among(cohort)
    assert train.outcome is not None  # it was fitted on them
    known = train.subset(train.outcome.known)
    outcome = known.outcome
    assert outcome is not None and outcome.options is not None  # a subset keeps them
    space, _ = _learned(known, outcome, outcome.options)
    names = Choice.answers([str(place + 1) for place in range(options.most)])
    return chosen_frame(space.features(options) @ space.prior, options.inside, names)


def prior_link(target: Target, outcome: Outcome, names: int | None) -> np.ndarray:
    """Link `(K,)` of patients of whom nothing is read; of a choice what the options of these alone say `(E,)`."""
    return prior_of(outcome) if target.has_options else target.prior_link(outcome, names)


def among_options(predictor: Predictor, response: Response, space: OptionSpace | None) -> tuple[Predictor, Response]:
    """Extend what was learned in the space of the options to their logits; unchanged without a space."""
    if space is None:
        return predictor, response
    nothing = np.zeros(0)
    places = tuple(str(place + 1) for place in range(MOST_OPTIONS))
    return ChoiceModel(predictor, response, space), Response(response.kind, places, (), 1.0, 0.0, nothing, nothing)
