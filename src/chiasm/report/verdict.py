"""The first thing on the page: whether combining modalities paid, and how sure that is."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from chiasm.evaluation import Trial, Verdict
from chiasm.evaluation.metrics import PRIMARY
from chiasm.evaluation.sides import ASIDE, COMBINED, SINGLE, side_of
from chiasm.evaluation.verdict import DOES_NOT_PAY, PAYS
from chiasm.report.drawing import FAINT, FUSED, INK, QUIET, Picture, picture, quiet_rows, sheet, style
from chiasm.report.wording import count, interval, listing, metric_of, number

MEANING = {
    PAYS: (
        "On patients like these, a model that reads several modalities predicts better than the best one that reads a "
        "single modality; whether the gain is worth the cost of measuring them is a clinical question."
    ),
    DOES_NOT_PAY: (
        "On patients like these, measuring and combining more modalities has not improved the prediction by an amount "
        "worth having; the simpler single model serves as well."
    ),
}
UNDECIDED = (
    "This is not evidence that combining is useless: the patients are too few, or the folds too different, to decide. "
    "Until that is settled, nothing here speaks against the simpler single model."
)
WITHOUT = (
    "There is no verdict: it compares the best recipe that reads one modality with the best that combines several, and "
    "this trial holds recipes of one sort only."
)


@dataclass(frozen=True)
class VerdictPart:
    """What the page says of the verdict; `tone` colours it, `word` says the same in text."""

    tone: str
    word: str
    sentence: str
    meaning: str
    difference: str
    picks: list[str]
    picture: Picture | None


def verdict_part(trial: Trial) -> VerdictPart:
    """The verdict of a trial in words, with its interval against zero and the margin."""
    verdict = trial.verdict
    if verdict is None:
        return VerdictPart("none", "no verdict", WITHOUT, "", "", [], None)
    tone = verdict.outcome.replace(" ", "-")
    difference = interval(verdict.difference, verdict.low, verdict.high)
    drawn = draw_difference(verdict, trial) if math.isfinite(verdict.difference) else None
    meaning = MEANING.get(verdict.outcome, UNDECIDED)
    return VerdictPart(tone, verdict.outcome, verdict.sentence, meaning, difference, picks(trial, verdict), drawn)


def picks(trial: Trial, verdict: Verdict) -> list[str]:
    """How the two sides of the difference were chosen, a sentence each."""
    protocol = trial.document["protocol"]
    label = metric_of(trial.kind, PRIMARY[trial.kind]).label
    sides = [
        (
            "single",
            [row["name"] for row in trial.document["recipes"] if side_of(row) == SINGLE],
            verdict.single_counts,
        ),
        (
            "combined",
            [row["name"] for row in trial.document["recipes"] if side_of(row) == COMBINED],
            verdict.fused_counts,
        ),
    ]
    folds = int(protocol["test_folds"])
    where = "the test fold" if folds == 1 else f"each of {count(folds, 'test fold')}"
    how = (
        f"In {where} the recipe with the best mean {label} on "
        f"{protocol['inner_folds']} inner folds of that fold's training patients was picked; no test patient had a say."
    )
    sentences = [how] if any(len(names) > 1 for _, names, _ in sides) else []
    for side, names, counts in sides:
        if len(names) == 1:
            sentences.append(f"{side.capitalize()}: '{names[0]}' is the only {side} recipe of the trial.")
        else:
            sentences.append(f"{side.capitalize()}, {len(names)} candidates: {listing(often(counts))}.")
    adapted = [f"'{row['name']}'" for row in trial.document["recipes"] if side_of(row) == ASIDE]
    if adapted:
        sentences.append(
            f"Without a say: {listing(adapted)}. What adapting an encoder gains is no gain of combining; beside the "
            "same recipe on each modality alone it would be weighed."
        )
    return sentences


def often(counts: Mapping[str, int]) -> list[str]:
    """Each recipe with the number of folds it was picked in, the most frequent first."""
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return [f"'{name}' in {count(times, 'fold')}" for name, times in ordered]


def draw_difference(verdict: Verdict, trial: Trial) -> Picture:
    """The difference with its interval; zero is a line, the gains worth having are shaded."""
    label = metric_of(trial.kind, PRIMARY[trial.kind]).label
    reach = 1.15 * max(abs(verdict.low), abs(verdict.high), 2 * verdict.margin)
    plate = {"facecolor": "white", "edgecolor": "none", "alpha": 0.75, "pad": 1.5}
    with style():
        figure = sheet(1.45)
        axes = figure.add_subplot()
        axes.axvspan(verdict.margin, reach, color="#d9e6dc", linewidth=0)
        axes.axvline(0, color=INK, linewidth=1)
        axes.axvline(verdict.margin, color=QUIET, linewidth=1, linestyle=(0, (4, 3)))
        axes.plot([verdict.low, verdict.high], [0, 0], color=FUSED, linewidth=3, solid_capstyle="butt")
        axes.plot([verdict.low, verdict.high], [0, 0], "|", color=FUSED, markersize=12, markeredgewidth=2)
        axes.plot([verdict.difference], [0], "s", color=FUSED, markersize=9)
        axes.text(
            verdict.difference, 0.3, number(verdict.difference), ha="center", va="bottom", weight="bold", bbox=plate
        )
        axes.text(-reach, 1.02, "← single is better", ha="left", va="top", color=QUIET)
        axes.text(reach, 1.02, f"gain of {verdict.margin:g} or more →", ha="right", va="top", color=QUIET)
        axes.set(xlim=(-reach, reach), ylim=(-0.6, 1.1), yticks=[])
        axes.set_xlabel(
            f"difference in {label}, combined - single, with 95 % interval (dashed: margin {verdict.margin:g})"
        )
        axes.grid(axis="x", color=FAINT, linewidth=0.5)
        axes.set_axisbelow(True)
        quiet_rows(axes)
        found = interval(verdict.difference, verdict.low, verdict.high)
        text = (
            f"Difference in {label}, combined - single: {found}, drawn against zero and the margin {verdict.margin:g}."
        )
        return picture(figure, text)
