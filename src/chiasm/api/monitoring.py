"""Public function to compare patients who come in with those a model was trained on, look by look."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from chiasm.api.external import prepare_new, read_by, require_others, require_shared_modality, told_by
from chiasm.api.updating import LEVEL, fitted_model, require_levels
from chiasm.artifact import Given as Trusted
from chiasm.cohort import Cohort, Unsupported
from chiasm.cohort.dated import dates_of, periods_of
from chiasm.cohort.identifiers import places_of
from chiasm.cohort.opened import Given, as_cohort
from chiasm.fitting.model import FittedModel
from chiasm.fitting.reference import Reference, reference_of
from chiasm.models.looks import Look, looked
from chiasm.models.monitoring import CALIBRATION, Frames, Part, Test, drift_tests, frames_of
from chiasm.models.recalibration import BOTH, INTERCEPT, NONE, TooFew
from chiasm.models.same_target import as_at_the_fit
from chiasm.models.updating import recalibrated
from chiasm.protocols import Model
from chiasm.targets.outcome import joined

NO_SUMMARY = (
    "The model keeps no summary of its training patients (an earlier release fitted it, or --no-summary): what came in "
    "is compared with nothing. Name patients to compare with by --reference."
)
NO_PREDICTIONS = (
    "Predictions are not compared: those of training patients are no measure, since the model has learned from them. "
    "Name patients whom it has not seen by --reference."
)
TOO_FEW = "Calibration is not tested in every look: too few to say, with fewer than 30 known outcomes or 10 events."
NO_OUTCOMES = "Calibration is not tested: no outcome is known yet (--outcomes)."
A_YEAR = {"day": 365, "week": 52, "month": 12}


@dataclass(frozen=True)
class Monitored:
    """What came in, look by look.

    Args:
        recipe: of the model.
        cohort: name of the cohort, or of the first of several.
        against: with whom it is compared.
        rate, looks: false-alarm rate, and for how many looks it is.
        found: the looks that were taken.
        notes: what was not compared, and why.
    """

    recipe: str
    cohort: str
    against: str
    rate: float
    looks: int
    found: tuple[Look, ...]
    notes: tuple[str, ...]

    @property
    def alarm(self) -> bool:
        """True where a look is an alarm."""
        return any(own.alarm for own in self.found)

    @property
    def sentence(self) -> str:
        """Whether there is an alarm, since when, and in what."""
        alarms = [own for own in self.found if own.alarm]
        if not alarms:
            return "No alarm: what came in is like what the model was trained on, as far as these patients can tell."
        names = dict.fromkeys(judged.test.name for own in alarms for judged in own.tests if judged.alarm)
        since = f" first in {alarms[0].label}" if len(self.found) > 1 else ""
        return f"Alarm{since}: {', '.join(names)}."

    @property
    def promise(self) -> str:
        """The false-alarm rate that is held, in words."""
        rate = f"{self.rate:.3g}"
        if self.looks == 1:
            return f"Of looks at patients like those of before, {rate} are a false alarm at most; for one look."
        return (
            f"Of series of {self.looks:,} looks at patients like those of before, {rate} have any false alarm at most: "
            f"each look has a level of {self.rate / self.looks:.3g}."
        )

    def __repr__(self) -> str:
        return f"Monitored in {len(self.found):,} looks: {'alarm' if self.alarm else 'no alarm'}"

    def table(self) -> pd.DataFrame:
        """Table of the tests: look, patients, scope, test, p (adjusted over those of a look), level, alarm, said."""
        rows = [
            {
                "look": look.label,
                "patients": own.test.patients,
                "scope": own.scope,
                "test": own.test.name,
                "p": own.adjusted,
                "level": own.level,
                "alarm": own.alarm,
                "said": own.test.parts[0].said if own.test.parts else "",
            }
            for look in self.found
            for own in look.tests
        ]
        columns = ["look", "patients", "scope", "test", "p", "level", "alarm", "said"]
        return pd.DataFrame(rows, columns=columns)

    def as_json(self) -> dict[str, Any]:
        """The same for machines: shares and tests, nobody's value."""
        return {
            "schema": 1,
            "model": self.recipe,
            "cohort": self.cohort,
            "against": self.against,
            "alarm": self.alarm,
            "said": self.sentence,
            "rate": self.rate,
            "looks": self.looks,
            "tests": self.table().to_dict("records"),
            "notes": list(self.notes),
        }

    def report(self, path: Path | str) -> Path:
        """Write the page, one HTML file that needs nothing else.

        Raises:
            ValueError: another ending than .html.
        """
        from chiasm.report.monitoring import render_monitored
        from chiasm.report.written import write_page

        return write_page(path, lambda: render_monitored(self))


def monitor(
    model: Model | Path | str,
    cohorts: Given | Sequence[Given],
    *,
    date: str = "",
    every: str = "",
    since: str = "",
    outcomes: Given | None = None,
    reference: Given | None = None,
    rate: float = LEVEL,
    looks: int | None = None,
    strict: bool = True,
    progress: Callable[[str, int, int], None] | None = None,
    trusted: Sequence[Trusted] | None = None,
) -> Monitored:
    """Compare patients who came in with those a model was trained on: who has what, columns, predictions, calibration.

    Args:
        model: a model folder, or a fitted model.
        cohorts: a cohort, or several, each of which is a look of its own, in order.
        date: column of the patients' table with their date, for `every` and `since`.
        every: "day", "week" or "month": a look for each, in order of the dates; empty: one look.
        since: the first date, as 2026-01-31; patients of before, and those without a date, are left out.
        outcomes: a cohort of the same patients with the outcomes that are known by now; None takes those of the cohort.
        reference: patients whom the model has not learned from, to compare with in place of its summary of training.
        rate: the false-alarm rate, over all looks.
        looks: how many looks the rate is for; None: as many as a year has of `every`, else as many as there are.
        strict: refuse tables that lack columns of the fit; False reads these as missing values.
        progress: called with (modality, finished, all) sources.
        trusted: public keys, one of which has to have signed the model's folder, as for `load_model`.

    Raises:
        ValueError: a rate that is not between 0 and 1, more batches than looks, an unknown `every`, no such column, or
            no patient since then.
        Unsupported: there is nothing to compare: no summary, no reference, no outcome; or none of chiasm's recipes.
    """
    fitted = fitted_model(model, trusted)
    if every and every not in A_YEAR:
        raise ValueError(f"every '{every}' is not known: choose one of {', '.join(A_YEAR)}")
    if (every or since) and not date:
        raise ValueError("name the column of the patients' table that holds their date: --date COLUMN")
    given = list(cohorts) if isinstance(cohorts, list | tuple) else [cohorts]
    if len(given) > 1 and (date or outcomes is not None):
        raise ValueError("several cohorts are looks of their own: leave out --date, --every, --since and --outcomes")
    opened = [as_cohort(own) for own in given]
    against: Reference | None = fitted.reference
    whose = "the training patients"
    if reference is not None:
        against, whose = _other(fitted, reference, strict)
    notes = [] if against is not None else [NO_SUMMARY]
    if against is not None and not against.predictions:
        notes.append(NO_PREDICTIONS)
    parts = [_Seen(fitted, own, against, outcomes, strict, progress) for own in opened]
    batches: list[tuple[str, NDArray[np.int_]]] = []
    if len(parts) > 1:
        start = 0
        for own in parts:
            batches.append((own.cohort.name, np.arange(start, start + len(own.cohort))))
            start += len(own.cohort)
    elif date:
        days = dates_of(opened[0], date)
        batches = periods_of(days[places_of(parts[0].cohort.ids, opened[0].ids)], every, since)
    else:
        batches = [(opened[0].name, np.arange(len(parts[0].cohort)))]
    if not batches or not sum(len(rows) for _, rows in batches):
        raise ValueError(f"no patient of '{opened[0].name}' came in since then: name an earlier date")
    has_outcomes = any(own.usable.any() for own in parts)
    if against is None and not has_outcomes:
        raise Unsupported(f"there is nothing to compare. {NO_SUMMARY} Or bring outcomes by --outcomes.")
    whole = _Together(fitted, against, parts)
    number = looks or max(len(batches), A_YEAR.get(every, 1))
    found = looked(batches, whole.tests, rate=rate, looks=number)
    notes += [NO_OUTCOMES] if not has_outcomes else [*whole.untested]
    return Monitored(fitted.recipe, opened[0].name, whose, rate, number, tuple(found), (*notes, *whole.notes))


def _other(fitted: FittedModel, cohort: Given, strict: bool) -> tuple[Reference, str]:
    """A summary of other patients, with what the model predicts of them."""
    own = _Seen(fitted, as_cohort(cohort), None, None, strict, None)
    require_others(fitted, own.cohort)
    return reference_of(own.cohort, own.predicted), f"the patients of '{own.cohort.name}'"


class _Seen:
    """The patients of one cohort, encoded, with what the model predicts of them and the outcomes that are known."""

    def __init__(
        self,
        fitted: FittedModel,
        opened: Cohort,
        against: Reference | None,
        outcomes: Given | None,
        strict: bool,
        progress: Callable[[str, int, int], None] | None,
    ) -> None:
        require_shared_modality(fitted, opened)
        if outcomes is not None:
            opened = with_outcomes(opened, as_cohort(outcomes))
        if opened.target is not None:
            require_levels(fitted)
            opened = as_at_the_fit(fitted, opened)
        ready = prepare_new(opened, fitted, progress=progress).cohort
        self.cohort = ready.with_modalities(read_by(fitted, ready))
        answered = self.cohort if fitted.has_prior else self.cohort.subset(np.asarray(self.cohort.present.any(1)))
        predicted, self.notes = told_by(fitted, answered.with_target(None, None), strict)
        self.predicted = predicted.reindex(list(self.cohort.ids))
        own, lacking = self.cohort.outcome, self.predicted["pattern"].isna().to_numpy()
        bare = self.predicted.drop(columns="pattern")
        self.frames = None if against is None else frames_of(against, self.cohort, bare)
        self.usable = np.zeros(len(lacking), bool) if own is None else np.asarray(own.known & ~lacking)


class _Together:
    """The tests of rows that run through several cohorts, one after another."""

    def __init__(self, fitted: FittedModel, against: Reference | None, parts: Sequence[_Seen]) -> None:
        self.fitted, self.against, self.parts = fitted, against, parts
        self.untested: dict[str, None] = {}  # why calibration was not tested somewhere
        self.starts = np.cumsum([0, *(len(own.cohort) for own in parts)])
        self.notes = tuple(dict.fromkeys(note for own in parts for note in own.notes))
        self.frames = None if against is None else _joined([own.frames for own in parts], self.starts)
        self.predicted = pd.concat([own.predicted for own in parts], ignore_index=True)
        self.usable = np.concatenate([own.usable for own in parts])

    def tests(self, rows: NDArray[np.int_]) -> list[Test]:
        """Tests of some patients."""
        found = [] if self.against is None or self.frames is None else drift_tests(self.against, self.frames, rows)
        return found + self.calibration(rows[self.usable[rows]])

    def calibration(self, rows: NDArray[np.int_]) -> list[Test]:
        """The test that the predictions of patients of known outcome are calibrated; none where these are too few."""
        if not len(rows):
            return []
        outcomes = [
            own.cohort.outcome.take(rows[(rows >= start) & (rows < start + len(own.cohort))] - start)
            for own, start in zip(self.parts, self.starts, strict=False)
            if own.cohort.outcome is not None
        ]
        try:
            chosen = recalibrated(
                self.fitted, self.predicted.iloc[rows], joined(outcomes), level=0.05, by_pattern=False
            )
        except Unsupported as why:
            self.untested[TOO_FEW if isinstance(why, TooFew) else f"Calibration is not tested: {why}."] = None
            return []
        p, by_name = chosen.p[NONE], {own.name: own for own in chosen.candidates}
        shift = ", ".join(f"{value:+.2f}" for value in by_name[INTERCEPT].intercept.tolist())
        said = f"The slope is {by_name[BOTH].slope:.2f} (1 is ideal), the level {shift} (0 is ideal): chiasm update."
        return [Test(CALIBRATION, len(rows), p, (Part(CALIBRATION, p, said),), 1)]


def _joined(frames: Sequence[Frames | None], starts: NDArray[np.int_]) -> Frames:
    """The same of several cohorts, one after another."""
    own = [frame for frame in frames if frame is not None]
    columns = {}
    for name in dict.fromkeys(key for frame in own for key in frame.columns):
        pairs = zip(own, starts, strict=False)
        here = [(frame.columns[name], start) for frame, start in pairs if name in frame.columns]
        rows = np.concatenate([of + start for (of, _), start in here])
        columns[name] = rows, pd.concat([frame for (_, frame), _ in here], ignore_index=True)
    present = {name: np.concatenate([frame.present[name] for frame in own]) for name in own[0].present}
    predicted = [frame.predicted for frame in own if frame.predicted is not None]
    together = pd.concat(predicted, ignore_index=True) if predicted else None
    return Frames(np.concatenate([frame.patterns for frame in own]), present, columns, together)


def with_outcomes(cohort: Cohort, later: Cohort) -> Cohort:
    """Return a cohort with the outcomes that another one has of the same patients; the others' are not known.

    Raises:
        Unsupported: the other has no target, or none of the patients.
    """
    if later.target is None or later.outcome is None:
        raise Unsupported(f"the cohort '{later.name}' has no target: name the outcome in [target]")
    place = places_of(cohort.ids, later.ids)
    if (place < 0).all():
        raise Unsupported(f"none of the patients of '{cohort.name}' is in '{later.name}': outcomes go by identifier")
    found = later.outcome.take(np.maximum(place, 0))
    lacking = place < 0
    value = found.value.copy()
    value[lacking] = np.nan
    return cohort.with_target(later.target, replace(found, value=value, known=found.known & ~lacking))
