"""The page of an external validation: how a fitted model does on patients of another cohort."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chiasm.artifact import write_text
from chiasm.evaluation.external import known_estimate
from chiasm.evaluation.validation import Validation
from chiasm.metrics.scores import METRICS, MIN_EVENTS
from chiasm.metrics.table import CALIBRATION, HORIZONS, PERFORMANCE, Metric
from chiasm.metrics.time_dependent import place_of
from chiasm.report.calibration import calibration_part
from chiasm.report.cohort import MAX_PATTERNS, draw_patterns, kind_and_encoder
from chiasm.report.decisions import decisions_part
from chiasm.report.findings import found
from chiasm.report.horizons import truncation_told
from chiasm.report.kinds import Facts, page_of
from chiasm.report.labels import labels_part
from chiasm.report.measures import PLACES, of_table, text_of
from chiasm.report.page import filled
from chiasm.report.patterns import patterns_part
from chiasm.report.recipes import Best
from chiasm.report.risk_groups import risk_part
from chiasm.report.subgroups import subgroups_part
from chiasm.report.wording import better, count, metric_of, percent, sentence

TEMPLATE = "validation.html.j2"
CONTENTS = {
    "result": "The result", "cohort": "Who was scored", "scores": "Scores", "patterns": "Patterns",
    "calibration": "Calibration", "risk": "Risk groups", "decisions": "Decisions", "subgroups": "Subgroups",
    "how": "How it was done",
}  # fmt: skip
"""Sections by their anchors, in the order they stand in; one without a part is left out."""
INTERVAL = "95 % interval, given the fitted model"
DESCRIBED = 20
"""Fewest patients whose outcomes are summarised by quantiles."""


@dataclass(frozen=True)
class Score:
    """Row of a table of scores: the metric, how it is read, and its values with their intervals as text."""

    label: str
    way: str
    values: list[str]


@dataclass(frozen=True)
class Scores:
    """Table of scores: the headings of its values, and its rows, none if there is nothing to show."""

    columns: list[str]
    rows: list[Score]


def write_validation(validation: Validation, path: Path) -> Path:
    """Write the page of an external validation: the scores, who was scored and who not, calibration and risk groups.

    No identifier and no value of a single patient is on the page. The same validation gives the same bytes.

    Returns:
        `path`.
    """
    write_text(path, render_validation(validation))
    return path


def render_validation(validation: Validation) -> str:
    """Render the page as text."""
    trial, document = validation.external.trial, validation.document
    best = [Best(str(row["side"]), str(row["name"]), "") for row in trial.document["recipes"]]
    kind = trial.kind
    parts = {
        "risk": risk_part(trial, best[0]) if trial.target.has_times else None,
        "decisions": decisions_part(trial),
        "subgroups": subgroups_part(trial),
    }
    shown = [anchor for anchor in CONTENTS if parts.get(anchor, anchor) is not None]
    return filled(
        TEMPLATE,
        title=validation.title,
        recipe=document["model"]["recipe"],
        opening=opening(validation),
        meanings=meanings(document["metrics"], kind),
        facts=facts(validation),
        modalities=[
            (name, kind_and_encoder(entry), f"{entry['present']:,}", percent(entry["present"] / document["patients"]))
            for name, entry in document["cohort"]["modalities"].items()
        ],
        picture=draw_patterns(document["cohort"]["patterns"], document["cohort"]["modalities"]),
        more=rarer_told(len(document["cohort"]["patterns"]) - MAX_PATTERNS),
        left_out=document["left_out"],
        notes=document["notes"],
        findings=[found(row) for row in document["findings"]],
        performance=scores_of(document, of_table(kind, PERFORMANCE)),
        horizons=scores_of(document, of_table(kind, HORIZONS)),
        measures=scores_of(document, of_table(kind, CALIBRATION)),
        times=truncation_told(trial) if trial.target.has_times else "",
        reference=document["reference"],
        labels=labels_part(trial, best) if trial.target.has_labels else None,
        patterns=patterns_part(trial, best),
        calibration=calibration_part(trial, best),
        few=f"fewer than {MIN_EVENTS} {page_of(trial).few}",
        bootstrap=document["bootstrap"],
        strict=document["strict"],
        clusters=document["cohort"]["units"],
        versions=list(document["versions"].items()),
        fingerprint=document["fingerprint"],
        conditional=INTERVAL,
        titles=CONTENTS,
        number={anchor: number for number, anchor in enumerate(shown, start=1)},
        **parts,
    )


def opening(validation: Validation) -> str:
    """The primary metric among whom, in a sentence."""
    document = validation.document
    metric, score = metric_of(validation.external.trial.kind, document["metric"]), known_estimate(document)
    whom = f"{count(document['patients'], 'patient')} of '{document['cohort']['name']}'"
    if document["events"] is not None:
        whom += f" with {count(document['events'], 'event')}"
    if not score.estimable:
        return f"{sentence(metric.label)} is not estimable in {whom}: too few for a number."
    if not score.bounded:
        why = "who are of one group, or of too few, and groups are drawn as a whole"
        return f"{sentence(metric.label)} is {score} in {whom}, {why}."
    return (
        f"{sentence(metric.label)} is {score.mean:.3f} (95 % interval {score.low:.3f} to {score.high:.3f}) in {whom}."
    )


def meanings(metrics: Mapping[str, Mapping[str, float | None]], kind: str) -> list[str]:
    """What the primary metric and the calibration come to, in plain sentences; only what their intervals allow."""
    said = []
    primary = METRICS[kind][0]
    score = known_estimate(metrics[primary.id])
    if score.bounded and score.low > primary.chance:
        said.append(f"The interval lies above {primary.chance:g}, which is what knowing nothing gives.")
    elif score.bounded:
        below = score.high < primary.chance
        said.append(
            f"The interval lies below {primary.chance:g}, which is what knowing nothing gives: the model misleads here."
            if below
            else f"The interval reaches {primary.chance:g}, which is what knowing nothing gives: on these patients the "
            "model may say nothing."
        )
    end = next((end for end in ("_t2", "_t1") if f"calibration_slope{end}" in metrics), "")
    for name, low, high in TOLD:
        entry = metrics.get(name + end)
        if entry is None or not (own := known_estimate(entry)).bounded:
            continue
        place = f" at the {PLACES[end]} horizon" if end else ""
        text = f"{own.mean:.2f}, {own.low:.2f} to {own.high:.2f}{place}"
        ideal = metric_of(kind, name + end).ideal
        if own.high < ideal:
            said.append(f"{low} ({text}).")
        elif own.low > ideal:
            said.append(f"{high} ({text}).")
    return said


TOLD = (
    (
        "calibration_slope",
        "Its predictions are too extreme here: the calibration slope lies below 1",
        "Its predictions are too timid here: the calibration slope lies above 1",
    ),
    (
        "observed_expected",
        "It predicts too many events here: observed to expected lies below 1",
        "It predicts too few events here: observed to expected lies above 1",
    ),
)
"""Calibration metric, and what is said where its interval lies below, or above, the ideal."""


def facts(validation: Validation) -> Facts:
    """The cohort beside what the model was trained on, by counts."""
    document, trial = validation.document, validation.external.trial
    model, cohort = document["model"], document["cohort"]
    learned = " with ".join(count(n, noun.removesuffix("s")) for noun, n in model["learned_from"].items())
    found = [
        ("Model", f"'{model['recipe']}', {count(model['trained_parameters'], 'trained parameter')}"),
        ("Learned from", learned or "the model does not say"),
        ("Validated on", f"{count(document['patients'], 'patient')} of '{cohort['name']}'"),
    ]
    if document["left_out"]:
        found.append(("Left out", "; ".join(f"{n:,}: {why}" for why, n in document["left_out"].items())))
    if document["patients"] >= DESCRIBED:
        found += page_of(trial).facts(trial)
    elif document["events"] is not None:
        found.append(("Events", f"{document['events']:,}"))
    found += [(name.capitalize(), f"{cohort[name]:,}") for name in ("groups", "sites") if cohort[name] is not None]
    return found


def scores_of(document: Mapping[str, Any], metrics: Sequence[Metric]) -> Scores:
    """Tabulate these metrics, those at horizons of survival with a column for each time."""
    entries, target = document["metrics"], document["cohort"]["target"]
    known = [metric for metric in metrics if metric.id in entries]
    places = {end: place for place, end in enumerate(PLACES) if any(metric.id.endswith(end) for metric in known)}
    if not places:
        rows = [Score(metric.label, better(metric), [text_of(entries[metric.id])]) for metric in known]
        return Scores(["value"], rows)
    times, unit = target.get("times") or [], target.get("unit") or ""
    shown = {end: number for end, place in places.items() if (number := place_of(len(times), place)) is not None}
    first = next(iter(places))
    rows = [
        Score(
            metric.label.removesuffix(f" at the {PLACES[first]} horizon"),
            better(metric),
            [text_of(entries[metric.id.removesuffix(first) + end]) for end in shown],
        )
        for metric in known
        if metric.id.endswith(first)
    ]
    return Scores([f"at {times[number]:g} {unit}".strip() for number in shown.values()], rows if shown else [])


def rarer_told(number: int) -> str:
    """How many patterns are not drawn; empty for none."""
    return f"{count(number, 'rarer pattern')} not drawn." if number > 0 else ""
