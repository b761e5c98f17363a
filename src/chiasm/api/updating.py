"""Public functions to recalibrate a fitted model on later outcomes, and to take the last step back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from chiasm import artifact
from chiasm.api.external import prepare_new, read_by, require_others, require_shared_modality, told_by, unlike_told
from chiasm.api.models import load_model
from chiasm.cohort import Cohort, Outcome, Unsupported
from chiasm.cohort.opened import Given, as_cohort
from chiasm.encoding.preparing import warn_of_findings
from chiasm.evaluation.external import External, score_external, scored_patients
from chiasm.fitting.history import UPDATE, Step
from chiasm.fitting.model import FittedModel
from chiasm.models.numbers_only import require_numbers
from chiasm.models.recalibration import NONE, PATTERNS, Chosen
from chiasm.models.same_target import as_at_the_fit
from chiasm.models.undoing import undone
from chiasm.models.updating import changed, learned, recalibrated, told
from chiasm.protocols import Model
from chiasm.targets import kind_of

SHOWN = ("calibration_intercept", "calibration_slope", "observed_expected")
LEVEL = 0.05


@dataclass(frozen=True)
class Updated:
    """What an update found.

    Args:
        model: the recalibrated model, or the one that was given where nothing was to be changed.
        chosen: the change that was kept, every candidate, and the p of the closed test.
        level: size of the test.
        before: scores of the model that was given on these patients, each with its interval.
        left_out: why patients were left out, each with their number.
        notes: how the patients are unlike those of training.
    """

    model: FittedModel
    chosen: Chosen
    level: float
    before: External
    left_out: Mapping[str, int]
    notes: tuple[str, ...]

    @property
    def is_changed(self) -> bool:
        """True if something was changed."""
        return self.chosen.change.name != NONE

    @property
    def sentence(self) -> str:
        """What was changed, and by which test."""
        first = next(iter(self.chosen.p.values()))
        if not self.is_changed:
            return (
                f"Nothing is to be changed: these outcomes do not speak against the model's calibration (p {first:.3g} "
                f"by a closed test of size {self.level:g})."
            )
        changed = told(self.chosen.change, self.model.response.classes)
        return f"{changed} These outcomes speak against the calibration as it was (p {first:.3g})."

    def __repr__(self) -> str:
        return f"Updated by {self.before.patients:,} patients: {self.chosen.change.name}"

    def table(self) -> pd.DataFrame:
        """Table of the candidates: change, parameters, log_likelihood, slope, p (of the fullest against it), chosen."""
        rows = [
            {
                "change": own.name,
                "parameters": own.parameters,
                "log_likelihood": own.log_likelihood,
                "slope": own.slope,
                "p": self.chosen.p.get(own.name),
                "chosen": own.name == self.chosen.change.name,
            }
            for own in self.chosen.candidates
        ]
        return pd.DataFrame(rows).astype({"p": float})

    def calibration(self) -> pd.DataFrame:
        """Table of the measures of calibration before the update: metric, label, mean, low, high."""
        table = self.before.table()
        rows = table[table["metric"].str.startswith(SHOWN)].drop(columns="recipe")
        return rows.reset_index(drop=True)

    def as_json(self) -> dict[str, Any]:
        """The same for machines: counts, tests and measures, and nobody's value."""
        change = self.chosen.change
        return {
            "changed": self.is_changed,
            "change": change.name,
            "said": self.sentence,
            "intercept": change.intercept.tolist(),
            "slope": change.slope,
            "patterns": {name: own.tolist() for name, own in change.shifts.items()},
            "level": self.level,
            "p": dict(self.chosen.p),
            "candidates": self.table().to_dict("records"),
            "patients": self.before.patients,
            "events": self.before.events,
            "left_out": dict(self.left_out),
            "calibration_before": self.calibration().to_dict("records"),
            "notes": list(self.notes),
            "history": [step.sentence for step in self.model.history],
        }


def update(
    model: Model | Path | str,
    cohort: Given,
    *,
    level: float = LEVEL,
    by_pattern: bool = True,
    strict: bool = True,
    draws: int = 1000,
    seed: int = 0,
    progress: Callable[[str, int, int], None] | None = None,
    trusted: Sequence[artifact.Given] | None = None,
) -> Updated:
    """Recalibrate a fitted model on later outcomes, as far as a closed test says that it has to be.

    The candidates are no change, another intercept (of times: another level of the baseline hazard), intercept and
    slope, and a level for each pattern of modalities with 30 patients and 10 events or more. The fullest is tested
    against the smaller ones, the smallest first; the first that it does not beat is kept. How patients are ranked is
    changed by nothing but the levels of patterns. What is learned is `model.history`, with the model of before.

    Args:
        model: a model folder, or a fitted model.
        cohort: patients with known outcomes, none of whom the model has learned from.
        level: size of the test: how often a model that is calibrated is changed by chance.
        by_pattern: whether patterns may get a level of their own.
        strict: refuse tables that lack columns of the fit; False reads these as missing values.
        draws, seed: of the bootstrap of the measures before the update.
        progress: called with (modality, finished, all) sources.
        trusted: public keys, one of which has to have signed the model's folder, as for `load_model`.

    Raises:
        ValueError: a level that is not between 0 and 1/2.
        LeakageError: the model was fitted on this very cohort.
        Unsupported: fewer than 30 patients or 10 events ("too few to say"); no target, or another than the model's; a
            model that does not keep its response; predictions that do not rank these patients at all.
    """
    if not 0 < level <= 0.5:
        raise ValueError(f"the level is {level:g}: a test has a size between 0 and 0.5, as in 0.05")
    fitted, parent = movable_model(model, trusted), parent_of(model)
    seen = seen_outcomes(fitted, cohort, strict, progress)
    found = recalibrated(fitted, seen.predicted, seen.outcome, level=level, by_pattern=by_pattern)

    def step(said: str) -> Step:
        learned_from, name = dict(learned(seen.outcome)), seen.cohort.name
        levelled = found.change.name == PATTERNS
        return Step(UPDATE, parent, said, learned_from, name, fitted.response, levelled)

    newer = changed(fitted, found.change, step)
    before = score_external(seen.cohort, {fitted.recipe: seen.predicted}, draws=draws, seed=seed)
    return Updated(newer, found, level, before, seen.left_out, seen.notes)


def undo(model: Model | Path | str, *, trusted: Sequence[artifact.Given] | None = None) -> FittedModel:
    """Return a model as it was before the last `update` or `extend`; it predicts what that one predicted, to the bit.

    Args:
        model: a model folder, or a fitted model.
        trusted: public keys, one of which has to have signed the model's folder, as for `load_model`.

    Raises:
        Unsupported: the model has no history.
        ArtifactError: the folder is not a model.
    """
    return undone(fitted_model(model, trusted))


@dataclass(frozen=True)
class Seen:
    """Patients of known outcome, with what a model predicts of them."""

    cohort: Cohort
    predicted: pd.DataFrame
    left_out: Mapping[str, int]
    notes: tuple[str, ...]

    @property
    def outcome(self) -> Outcome:
        """Their outcomes."""
        assert self.cohort.outcome is not None
        return self.cohort.outcome


def seen_outcomes(
    fitted: FittedModel, cohort: Given, strict: bool, progress: Callable[[str, int, int], None] | None
) -> Seen:
    """Check, encode and predict the patients of a cohort whose outcome is known.

    Raises:
        CohortError, LeakageError, Unsupported: as `update`.
    """
    opened = as_at_the_fit(fitted, as_cohort(cohort))
    require_shared_modality(fitted, opened)
    require_others(fitted, opened)
    ready = prepare_new(opened, fitted, progress=progress)
    warn_of_findings(ready.checked)
    used, left_out = scored_patients(ready.cohort.with_modalities(read_by(fitted, ready.cohort)))
    predicted, notes = told_by(fitted, used.with_target(None, None), strict)
    said = (*unlike_told(fitted, opened, ready), *notes)
    return Seen(used, predicted.loc[list(used.ids)], left_out, said)


def fitted_model(model: Model | Path | str, trusted: Sequence[artifact.Given] | None = None) -> FittedModel:
    """Return a model that can be kept up: one of chiasm's recipes.

    Raises:
        Unsupported: a model of another package, which keeps no response.
    """
    found = model if isinstance(model, Model) else load_model(model, trusted)
    if not isinstance(found, FittedModel):
        raise Unsupported(
            "the model is none of chiasm's recipes, and keeps no link that could be moved: recalibrate it by its own "
            "means"
        )
    return found


def movable_model(model: Model | Path | str, trusted: Sequence[artifact.Given] | None = None) -> FittedModel:
    """Return a model that can be kept up, whose links can be moved too.

    Raises:
        Unsupported: as `fitted_model`, or a model of a choice.
    """
    found = fitted_model(model, trusted)
    require_levels(found)
    return found


def require_levels(model: FittedModel) -> None:
    """Require links whose levels can be compared with outcomes, and moved.

    Raises:
        Unsupported: a model of a choice, or of texts.
    """
    require_numbers(model, "Levels that are compared or moved are")
    if kind_of(model.response.kind).has_options:
        raise Unsupported(
            "a choice is among options of each patient's own, which have no levels that could be compared or moved: "
            "leave the answers out to look at what is read, or fit the model again with these patients"
        )


def parent_of(model: object) -> str:
    """Identity of a model folder; empty for a model that lies in none."""
    return artifact.identity(model) if isinstance(model, str | Path) else ""
