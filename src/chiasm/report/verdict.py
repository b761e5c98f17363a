"""Verdict part of the report: whether combining modalities paid, how sure that is, and what was found."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from chiasm.evaluation import Trial
from chiasm.evaluation.verdict import CANNOT_TELL, DOES_NOT_PAY, PAYS, PREDICTS_MORE
from chiasm.report.contrasts import Row, contrast_rows, in_fifths, pictures
from chiasm.report.drawing import Picture
from chiasm.report.findings import FindingsPart, findings_part
from chiasm.report.sides import aside_sentences, side_sentences, start_sentences

MEANING = {
    PAYS: (
        "On patients like these, a model that reads several modalities predicts better than the best one that reads a "
        "single modality; whether the gain is worth the cost of measuring them is a clinical question."
    ),
    DOES_NOT_PAY: (
        "On patients like these, measuring and combining more modalities has not improved the prediction by an amount "
        "worth having; the simpler single model serves as well."
    ),
    PREDICTS_MORE: (
        "On patients like these, several modalities are worth having because more patients can be predicted, each by "
        "the best model of what he has. That a patient who has two of them is predicted better from both is not shown."
    ),
}
UNDECIDED = (
    "This is not evidence that combining is useless: the patients are too few, or the folds too different, to decide. "
    "Until that is settled, nothing here speaks against the simpler single model."
)
LEAKING = "The numbers below stand as they were computed, and mean nothing until what was found is mended or explained."
WITHOUT = (
    "There is no verdict: it compares the best recipe that reads one modality with the best that combines several, and "
    "this trial holds none of one of the two that has a say."
)
FIFTHS = (
    "So few patients share the same modalities that combining is judged among those of similar presence: within fifths "
    "of what 'presence' predicts of them."
)


@dataclass(frozen=True)
class VerdictPart:
    """Content of the verdict on the page; `tone` colours it, `word` says the same in text.

    `opening` is the first sentence of the verdict, `rest` the others.
    """

    tone: str
    word: str
    opening: str
    rest: str
    findings: FindingsPart
    named: list[str]
    meaning: str = ""
    contrasts: list[Row] = field(default_factory=list)
    picks: list[str] = field(default_factory=list)
    picture: Picture | None = None
    narrow: Picture | None = None


def verdict_part(trial: Trial) -> VerdictPart:
    """Build the verdict of a trial in words, its contrasts against zero and the margin, and every finding."""
    verdict, findings = trial.verdict, findings_part(trial)
    named = [str(row["sentence"]) for row in trial.document.get("contrasts", ())]
    named += start_sentences(trial.document["recipes"])
    if verdict is None:
        lacking = " ".join(aside_sentences(trial.document["recipes"]))
        return VerdictPart("none", "no verdict", WITHOUT, lacking, findings, named)
    rows = contrast_rows(trial, verdict)
    wide, narrow = pictures(trial, verdict, rows)
    meaning = MEANING.get(verdict.outcome, LEAKING if verdict.why == "leak" else UNDECIDED)
    if verdict.outcome == CANNOT_TELL and verdict.why == "too few":
        meaning = "Whether a patient is predicted better from two modalities than from one needs more who have two."
    picks = side_sentences(trial, verdict) + ([FIFTHS] if in_fifths(trial) else [])
    tone = verdict.outcome.replace(" ", "-")
    opening, rest = split_first(verdict.sentence)
    return VerdictPart(tone, verdict.outcome, opening, rest, findings, named, meaning, rows, picks, wide, narrow)


def split_first(text: str) -> tuple[str, str]:
    """Split a text into its first sentence and the others."""
    end = re.search(r"\.(?= [A-Z])", text)
    return (text, "") if end is None else (text[: end.end()], text[end.end() :].strip())
