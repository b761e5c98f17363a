"""Public function to add a modality to a fitted model without touching what it says of patients without it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from chiasm.api.encoding import prepare
from chiasm.api.external import read_by, require_others, require_shared_modality, told_by
from chiasm.api.updating import movable_model, parent_of
from chiasm.artifact import Given as Trusted
from chiasm.cohort import Cohort
from chiasm.cohort.opened import Given, as_cohort
from chiasm.encoding.checking import examine
from chiasm.encoding.preparing import PreparedCohort, warn_of_findings
from chiasm.evaluation.estimates import Estimate
from chiasm.evaluation.external import External, score_external, scored_patients
from chiasm.fitting.gate import MARGIN
from chiasm.fitting.history import EXTEND, Step
from chiasm.fitting.model import FittedModel
from chiasm.fitting.unimodal import inner_folds
from chiasm.metrics.scores import METRICS, PRIMARY
from chiasm.models.extending import (
    held_out_gain,
    held_out_links,
    learn_block,
    predictions_of,
    require_enough,
    with_block,
)
from chiasm.models.same_target import as_at_the_fit
from chiasm.models.updating import calibrated_links, learned
from chiasm.protocols import Model

BEFORE, AFTER = "before", "with the modality"
LEAK = (
    "A model keeps no identifier: whoever of these patients it has learned from, it predicts too well, and the gain of "
    "the new modality is told too small for them."
)


@dataclass(frozen=True)
class ExtendedModel:
    """What an extension found.

    Args:
        model: the model with the modality, or the one that was given where it adds nothing.
        modality: its name.
        gate: share of the block that is kept; 0 where it adds nothing.
        scores: both models on the patients who have the modality, the new one from blocks that had not seen them.
        gain: how much better the new one is in the primary metric, with its 95 % interval.
        notes: how the patients are unlike those of training.
    """

    model: FittedModel
    modality: str
    gate: float
    scores: External
    gain: Estimate
    notes: tuple[str, ...]

    @property
    def is_extended(self) -> bool:
        """True if the model reads the modality now."""
        return self.gate > 0

    @property
    def pays(self) -> str:
        """ "pays", "does not pay" or "cannot tell", by the interval of the gain."""
        if not self.is_extended:
            return "does not pay"
        return "pays" if self.gain.bounded and self.gain.low > 0 else "cannot tell"

    @property
    def sentence(self) -> str:
        """Whether it paid, in words."""
        metric = next(own for own in METRICS[self.scores.trial.kind] if own.id == PRIMARY[self.scores.trial.kind])
        n = self.scores.patients
        if not self.is_extended:
            return (
                f"'{self.modality}' adds nothing that these {n:,} patients could show: the model is unchanged, and "
                "does not read it."
            )
        said = f"on {n:,} patients who have it, {metric.label} is higher by {self.gain}"
        return {
            "pays": f"'{self.modality}' pays: {said}, out of fold.",
            "cannot tell": f"These patients cannot tell whether '{self.modality}' pays: {said}, out of fold.",
        }[self.pays]

    def __repr__(self) -> str:
        return f"Extended by '{self.modality}': {self.pays}, gate {self.gate:.2f}"

    def table(self) -> pd.DataFrame:
        """Table of the primary metric of both models: recipe, metric, label, mean, low, high."""
        table = self.scores.table()
        return table[table["metric"] == PRIMARY[self.scores.trial.kind]].reset_index(drop=True)

    def as_json(self) -> dict[str, Any]:
        """The same for machines."""
        return {
            "modality": self.modality,
            "extended": self.is_extended,
            "gate": self.gate,
            "pays": self.pays,
            "said": self.sentence,
            "gain": {"mean": self.gain.mean, "low": self.gain.low, "high": self.gain.high},
            "scores": self.table().to_dict("records"),
            "patients": self.scores.patients,
            "events": self.scores.events,
            "notes": [*self.notes, LEAK],
            "history": [step.sentence for step in self.model.history],
        }


def extend(
    model: Model | Path | str,
    cohort: Given,
    modality: str,
    *,
    seed: int = 0,
    strict: bool = True,
    draws: int = 1000,
    progress: Callable[[str, int, int], None] | None = None,
    trusted: Sequence[Trusted] | None = None,
) -> ExtendedModel:
    """Add a block for a modality to a fitted model; patients without it are predicted as before, to the bit.

    The block is linear, learns what the model leaves, and is shrunk until it pays on inner folds; where it never does,
    the model is returned as it was. The gain is that on patients whom neither the block nor its penalty has seen.

    Args:
        model: a model folder, or a fitted model.
        cohort: patients with known outcomes, the new modality and some of the model's; none whom it learned from.
        modality: the new one.
        seed: of the folds and the bootstrap.
        strict: refuse tables that lack columns of the fit; False reads these as missing values.
        draws: of the bootstrap of the gain.
        progress: called with (modality, finished, all) sources.
        trusted: public keys, one of which has to have signed the model's folder, as for `load_model`.

    Raises:
        ValueError: the cohort has no such modality, or the model reads it already.
        LeakageError: the model was fitted on this very cohort.
        Unsupported: fewer than 30 patients or 10 events have it ("too few to say"); no target, or another than the
            model's; a model that is none of chiasm's recipes.
    """
    fitted, parent, opened = movable_model(model, trusted), parent_of(model), as_cohort(cohort)
    opened.with_modalities([modality])  # refuses an unknown name
    if modality in fitted.modalities:
        raise ValueError(f"the model reads '{modality}' already: fit it anew to learn more of it")
    opened = as_at_the_fit(fitted, opened)
    require_shared_modality(fitted, opened)
    require_others(fitted, opened)
    ready = prepared_with(fitted, opened, modality, progress)
    whole = ready.cohort.with_modalities([*read_by(fitted, ready.cohort), modality])
    old = whole.with_modalities(read_by(fitted, whole))
    rows = old.present.any(1) & whole.present[:, whole.modalities.index(modality)]
    assert whole.outcome is not None  # `as_at_the_fit` asks
    used = whole.subset(rows & whole.outcome.known)
    require_enough(fitted.response, used, modality)
    predicted, notes = told_by(fitted, old.subset(list(used.ids)).with_target(None, None), strict)
    predicted = predicted.loc[list(used.ids)]
    eta = calibrated_links(fitted, predicted)
    found = learn_block(fitted.response, used, modality, eta, seed=seed)
    links = held_out_links(fitted.response, used, modality, eta, inner_folds(used, seed + 1), seed=seed)
    frames = {BEFORE: predicted, AFTER: predictions_of(fitted.response, links, predicted.index)}
    scores = score_external(scored_patients(used)[0], frames, draws=draws, seed=seed)
    gain = scores.difference(AFTER, BEFORE)
    if found.block is None or held_out_gain(fitted.response, used, eta, links) <= MARGIN:
        return ExtendedModel(fitted, modality, 0.0, scores, gain, tuple(notes))
    newer = with_block(fitted, found.block, used, predicted)
    assert used.outcome is not None
    kept = f"{found.gate:.0%}".replace("%", " %")
    step = Step(
        EXTEND, parent, f"Extended by '{modality}', of which {kept} is kept.",
        dict(learned(used.outcome)), used.name, fitted.response,
    )  # fmt: skip
    newer = replace(newer, history=(*newer.history, step))
    return ExtendedModel(newer, modality, found.gate, scores, gain, tuple(notes))


def prepared_with(
    model: FittedModel, cohort: Cohort, modality: str, progress: Callable[[str, int, int], None] | None
) -> PreparedCohort:
    """Check a cohort, and encode a model's modalities as at its fit and a further one as the manifest says.

    Raises:
        CohortError: the check finds an error.
        Unsupported: an encoder differs from that of the fit, or a package is missing.
    """
    used = cohort.with_modalities([*read_by(model, cohort), modality])
    ready = prepare(used, model=model, checked=examine(used)[1], progress=progress)
    warn_of_findings(ready.checked, stacklevel=3)
    return prepare(ready.cohort, checked=[], progress=progress)
