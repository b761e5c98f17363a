"""Sealed test set on the page: that it is closed, or what its opening gave and what that says of the verdict."""

from __future__ import annotations

from dataclasses import dataclass

from chiasm.evaluation import Trial
from chiasm.evaluation.opening import told_openings
from chiasm.evaluation.sealing import openings_of
from chiasm.report.measures import MeasureTable, calibration_table, performance_table
from chiasm.report.wording import count, listing
from chiasm.shown import times

SINCE = (
    "Since they were sealed they were in no training set, selection, stopping, threshold or calibration, and in no "
    "check of the cohort."
)


@dataclass(frozen=True)
class SealedPart:
    """What is said of the test set, `word` in a word or two; the scores, if it was opened for this run."""

    word: str
    said: list[str]
    scores: MeasureTable | None
    calibration: MeasureTable | None
    warning: str = ""


def sealed_part(trial: Trial) -> SealedPart | None:
    """Describe the sealed test set of a trial; None if its cohort has none."""
    seal, own = trial.document["cohort"].get("sealed"), trial.document.get("sealed")
    if seal is None:
        return None
    openings = told_openings(trial.document)
    size = f"{count(seal['patients'], 'patient')} ({seal['rare']})"
    if own is None:
        said = [f"{size} are sealed. {SINCE}", openings or "It has not been opened, as far as this folder knows."]
        return SealedPart("opened for another run" if openings else "closed", said, None, None, openings)
    said = [own["sentence"], f"{size} were sealed. {SINCE} {openings}"]
    if before := len(seal["openings"]):
        seen = f"It had been opened {times(before)} before this trial was run"
        said.append(f"{seen}, so that what was chosen here may have followed from what was seen.")
    if own["left_out"]:
        said.append(f"{count(own['left_out'], 'patient')} without a known outcome or any modality are left out.")
    if own["otherwise"]:
        names = listing([f"'{name}'" for name in own["otherwise"]])
        lost = "so that the values could not be compared with those that were sealed"
        said.append(f"Since the seal {names} was defined otherwise, {lost}.")
    said.append(
        "Each recipe was fitted once, on all patients outside, and asked once. The intervals hold the chance of who "
        "was sealed, not that of who was trained on."
    )
    warned = openings if len(openings_of(trial.document)) > 1 else ""
    rows = own["recipes"]
    tables = performance_table(trial, rows), calibration_table(trial, rows, [])
    return SealedPart(str(own["conclusion"]), said, *tables, warned)
