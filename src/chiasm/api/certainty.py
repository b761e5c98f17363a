"""Public functions for how sure a prediction is: conformal sets, another prevalence, patterns never seen."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from chiasm.api.external import (
    prepare_new,
    read_by,
    require_others,
    require_shared_modality,
    told_by,
    unlike_told,
)
from chiasm.api.models import load_model
from chiasm.cohort import Cohort, LeakageError, Unsupported
from chiasm.cohort.digests import digest_of
from chiasm.cohort.opened import Given, as_cohort
from chiasm.cohort.subgroups import Subgroup
from chiasm.encoding.preparing import encode_for, warn_of_findings
from chiasm.errors import FindingWarning, count, nearest
from chiasm.evaluation.external import scored_patients
from chiasm.evaluation.subgroups import TOO_FEW
from chiasm.models.conformal import EVERYONE, PATTERN, Thresholds, calibrated, require_coverage
from chiasm.models.numbers_only import require_numbers
from chiasm.models.prevalence import at_prevalence as at_prevalence
from chiasm.models.same_target import FittedFor, as_at_the_fit
from chiasm.models.unseen import REFUSED, patterns_of, refused, unseen_rows
from chiasm.models.unseen import unseen_noted as unseen_noted
from chiasm.models.unseen import unseen_told as unseen_told
from chiasm.protocols import Model
from chiasm.targets import kind_of


@dataclass(frozen=True)
class Conformal:
    """A fitted model with thresholds that were taken from patients whom it has not seen.

    Args:
        model: the model.
        thresholds: of each group.
        subgroups: the declared subgroups of the calibration cohort, as which those of new patients are cut.
        patients: a digest of the identifier and the content of each calibration patient, to know them again.
        notes: how the calibration patients are unlike those that the model was fitted for.
        left_out: why patients of the calibration cohort were not calibrated on, each with their number.
    """

    model: Model
    thresholds: Thresholds
    subgroups: tuple[Subgroup, ...]
    patients: frozenset[bytes]
    notes: tuple[str, ...] = ()
    left_out: Mapping[str, int] = field(default_factory=dict)

    def __repr__(self) -> str:
        told = self.thresholds
        few = sum(bool(group.said) for group in told.groups)
        noted = f"; {' '.join(self.told)}" if self.told else ""
        groups = f"{count(len(told.groups), 'group')}, {few} without sets"
        return f"Conformal at {told.coverage:g} by {', '.join(told.within)}: {groups}{noted}"

    @property
    def told(self) -> list[str]:
        """The notes, and how many patients were left out and why."""
        left = [f"{count(n, 'patient')} left out, because {why}." for why, n in self.left_out.items()]
        return [*self.notes, *left]

    def table(self) -> pd.DataFrame:
        """Table of the groups: by, level, n, events, `low_coverage`, `said` (why there is none), and the thresholds.

        `low_coverage` is the coverage that 95 of 100 calibrations of this size have or exceed: the stated one is an
        average over calibrations. It is not known of times.
        """
        return self.thresholds.table()

    def predict(self, cohort: Given, *, strict: bool = True) -> pd.DataFrame:
        """Predict as the model does, and add what holds the stated share of outcomes in each group.

        Classes: `set`, the classes in it with commas between; of a choice the numbers from 1 of the patient's own
        options. Labels: `set_<label>`, which is "with", "without" or "either". Numbers: `low` and `high`. Times:
        `at_least`, the time that the event comes after. In the column `note` stands why a patient has none.

        Raises:
            LeakageError: calibration patients are among these, with the same identifier and the same content. One who
                was named otherwise, or whose values were changed, is not known again.
            Unsupported: the cohort declares no subgroup by which the calibration is divided, or one of words where the
                calibration cut numbers.
        """
        opened = as_cohort(cohort)
        self.require_others(opened)
        options = {} if strict else {"strict": False}
        return self.added_to(self.model.predict(encode_for(self.model, opened).cohort, **options), opened)

    def require_others(self, cohort: Cohort) -> None:
        """Refuse the calibration patients themselves, and a cohort that lacks a subgroup of the calibration.

        Raises:
            LeakageError, Unsupported: see `predict`.
        """
        again = len(self.patients & patients_of(self.model, cohort))
        if again:
            were = "was" if again == 1 else "were"
            raise LeakageError(
                f"{count(again, 'patient')} of '{cohort.name}' {were} calibrated on, with the same identifier and the "
                "same values: their own outcomes set the width of the sets, so predict others"
            )
        named = {own.column for own in cohort.subgroups}
        lacking = [name for name in self.thresholds.within if name not in (PATTERN, EVERYONE, *named)]
        if lacking:
            raise Unsupported(
                f"the calibration is divided by '{lacking[0]}', and '{cohort.name}' declares no such subgroup: name it "
                "in [patients] subgroups, or calibrate within other groups"
            )
        cut = {own.column for own in self.subgroups if own.edges}
        words = [own.column for own in cohort.subgroups if own.numbers is None and own.column in cut]
        if words:
            raise Unsupported(
                f"the calibration cuts '{words[0]}' at numbers, and '{cohort.name}' holds words in it: correct its "
                "cells, or calibrate within other groups"
            )

    def added_to(self, predictions: pd.DataFrame, cohort: Cohort) -> pd.DataFrame:
        """Add the sets or bounds to what the model predicts of these patients, in the order of the predictions."""
        rows = pd.Index(cohort.ids).get_indexer(predictions.index)
        own = [
            mine.cut_as(theirs).take(rows)
            for theirs in self.subgroups
            for mine in cohort.subgroups
            if mine.column == theirs.column
        ]
        return self.thresholds.added_to(predictions, membership_of(predictions, own, self.thresholds.within))


def conformal(
    model: Model | Path | str,
    cohort: Given,
    *,
    coverage: float = 0.95,
    within: Sequence[str] | None = None,
    strict: bool = True,
    progress: Callable[[str, int, int], None] | None = None,
) -> Conformal:
    """Calibrate a fitted model on patients whom it has not seen, so that its sets hold a stated share of outcomes.

    Of n + 1 exchangeable patients the threshold of n covers the last with a probability of `coverage` or more, within
    each group; see `chiasm.metrics.conformal` for the scores. New patients have to be like the calibration patients of
    their groups; for times of an event, censoring has to be independent of the time and of what is predicted from. The
    share is one on average over calibrations; `Conformal.table` says what a poor draw of this size would cover.
    Classes, and the options of a choice, are covered together: a rare one may hardly be. Of patients who are kept
    together by `group` one is drawn.

    The model's own patients are known again as by `validate`, by the scaling of its tables: a part of its cohort is
    not, and it is the caller's to keep them out.

    Args:
        model: a model folder, or a fitted model.
        cohort: patients with known outcomes, none of whom the model was fitted on.
        coverage: the share, between 0 and 1.
        within: the groupings: "pattern", columns of declared subgroups; None takes all of these, ("everyone",) none.
        strict: refuse tables that lack columns of the fit; False reads these as missing values.
        progress: called with (modality, finished, all) sources.

    Raises:
        ValueError: a coverage that is not between 0 and 1, or an unknown grouping.
        CohortError: the check finds an error that stands in the way of scoring.
        LeakageError: the model was fitted on this very cohort.
        Unsupported: no target, or another than the model's; nobody with a known outcome.
    """
    require_coverage(coverage)
    fitted = model if isinstance(model, Model) else load_model(model)
    if not isinstance(fitted, FittedFor):
        raise Unsupported("the model does not say what it predicts, so that no sets can be made of its predictions")
    require_numbers(fitted, "Sets and intervals are made")
    if kind_of(fitted.response.kind).has_channels:
        raise Unsupported("sets and intervals are made of classes, labels, numbers and times, not of a response")
    opened = as_cohort(cohort)
    groupings = chosen_groupings(opened, within)
    opened = as_at_the_fit(fitted, opened)
    require_shared_modality(fitted, opened)
    require_others(fitted, opened)
    ready = prepare_new(opened, fitted, progress=progress)
    warn_of_findings(ready.checked)
    used, left_out = scored_patients(ready.cohort.with_modalities(read_by(fitted, ready.cohort)))
    predicted, notes = told_by(fitted, used.with_target(None, None), strict)
    predicted = predicted.loc[list(used.ids)]
    kind, names = fitted.response.kind, fitted.response.classes
    assert used.outcome is not None and used.target is not None
    if not used.target.has_options and used.target.names != tuple(names):  # places are of each patient's own options
        raise Unsupported(f"name the classes or labels in the order of the model: {', '.join(names)}")
    membership = membership_of(predicted, used.subgroups, groupings)
    found = calibrated(kind, names, predicted, used.outcome, membership, coverage, used.group)
    kept = tuple(own for own in opened.subgroups if own.column in groupings)
    patients = patients_of(fitted, opened.subset(list(used.ids)))
    sure = Conformal(fitted, found, kept, patients, (*unlike_told(fitted, opened, ready), *notes), left_out)
    harmless = unseen_told(fitted, predicted)
    strange = [note for note in sure.told if note not in harmless]
    if strange:
        warnings.warn(f"calibration on '{opened.name}': {' '.join(strange)}", FindingWarning, stacklevel=2)
    return sure


def patients_of(model: Model, cohort: Cohort) -> frozenset[bytes]:
    """Return a digest of each patient: the identifier, with the content of every modality that the model reads."""
    own = cohort.with_modalities(read_by(model, cohort))
    return frozenset(
        digest_of(f"{name}\0".encode("utf-8", "surrogatepass") + content.tobytes())
        for name, content in zip(own.ids.tolist(), own.digests, strict=True)
    )


def chosen_groupings(cohort: Cohort, within: Sequence[str] | None) -> tuple[str, ...]:
    """Return the groupings of a calibration: those that are named, or all that the cohort has.

    Raises:
        ValueError: one is neither "pattern", "everyone" nor a declared subgroup, or none is named.
    """
    known = (PATTERN, *(own.column for own in cohort.subgroups), EVERYONE)
    if within is None:
        return known[:-1]
    for name in within:
        if name not in known:
            like = nearest(name, known)
            hint = f"did you mean '{like}'?" if like else f"there are {', '.join(known)}"
            raise ValueError(f"'{cohort.name}' cannot be calibrated within '{name}': {hint}")
    if not within:
        raise ValueError("no grouping is named to calibrate within: name pattern, a subgroup, or everyone")
    return tuple(dict.fromkeys(within))


def membership_of(
    predictions: pd.DataFrame, subgroups: Sequence[Subgroup], within: Sequence[str]
) -> dict[str, NDArray[np.str_]]:
    """The group (B,) of each patient in each grouping, in the order of the predictions."""
    of = {own.column: own.level for own in subgroups}
    of[PATTERN] = predictions["pattern"].to_numpy(str)
    of[EVERYONE] = np.full(len(predictions), EVERYONE)
    return {name: of[name] for name in within}


def without_unseen(model: Model, predictions: pd.DataFrame) -> tuple[pd.DataFrame, int]:
    """Return the predictions with empty rows for patterns that no training patient had, and how many these are.

    A `note` says why a row is empty, and who has no modality at all, and keeps what is predicted without any.

    Raises:
        Unsupported: the model does not know the patterns of its training patients.
    """
    if not patterns_of(model):
        raise Unsupported(
            "the model does not know which patterns its training patients had, as one that was merged from models of "
            "other modalities or that an earlier release stored: fit it again, or predict everybody"
        )
    rows = unseen_rows(model, predictions)
    bare = refused(predictions, rows)
    if "note" in bare:  # why there is no set is no longer of interest
        bare["note"] = bare["note"].astype(object).where(~rows, "")
    return unseen_noted(model, bare, REFUSED), int(rows.sum())


def few_told(found: Conformal) -> list[str]:
    """Say which groups have no sets; empty where each has."""
    few = [group for group in found.thresholds.groups if group.said]
    names = [group.by if group.by == EVERYONE else f"{group.by} '{group.level or 'not filled in'}'" for group in few]
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return [f"{count(len(few), 'group')} without sets, {TOO_FEW}: {', '.join(names[:5])}{more}"] if few else []
