"""Sides of the verdict in words: candidates, settings tried, recipes set aside, and recipes that read presence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from chiasm.evaluation import Trial, Verdict
from chiasm.evaluation.judging import PRESENCE
from chiasm.fitting.card import FRESH, SOURCE, UNTRIED
from chiasm.fitting.sides import ASIDE, COMBINED, REFERENCE, SINGLE, side_of
from chiasm.metrics.scores import PRIMARY
from chiasm.report.wording import count, listing, metric_of
from chiasm.specs import name_and_options

Row = Mapping[str, Any]


def side_sentences(trial: Trial, verdict: Verdict) -> list[str]:
    """Say how each side was chosen, which recipes are set aside, and which recipes may read presence."""
    rows = trial.document["recipes"]
    sides = {
        SINGLE: ([row for row in rows if side_of(row) == SINGLE], verdict.single_counts),
        COMBINED: ([row for row in rows if side_of(row) == COMBINED], verdict.fused_counts),
    }
    said = [how_picked(trial)] if any(len(own) > 1 for own, _ in sides.values()) else []
    for side, (own, counts) in sides.items():
        tried = count(settings(own), "setting")
        if len(own) == 1:
            said.append(f"{side.capitalize()}: '{own[0]['name']}' is the only {side} recipe of the trial ({tried}).")
        else:
            candidates = f"{count(len(own), 'candidate')} with {tried} tried on inner folds"
            said.append(f"{side.capitalize()}: {candidates}; picked: {listing(often(counts))}.")
    return [*said, *aside_sentences(rows), *presence_sentences(rows), *knowledge_sentences(rows)]


def how_picked(trial: Trial) -> str:
    """Say by which metric, and on which patients, a recipe is picked in each fold."""
    protocol, label = trial.document["protocol"], metric_of(trial.kind, PRIMARY[trial.kind]).label
    folds = int(protocol["test_folds"])
    where = "the test fold" if folds == 1 else f"each of {count(folds, 'test fold')}"
    return (
        f"In {where} the recipe with the best mean {label} on "
        f"{protocol['inner_folds']} inner folds of that fold's training patients was picked; no test patient had a say."
    )


def settings(rows: Sequence[Row]) -> int:
    """Count the settings that these recipes try together by inner selection, one for a recipe that chooses nothing."""
    return sum(max(1, int(row.get("settings", 1))) for row in rows)


def often(counts: Mapping[str, int]) -> list[str]:
    """Name each recipe with the number of folds it was picked in, the most frequent first."""
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return [f"'{name}' in {count(times, 'fold')}" for name, times in ordered]


def aside_sentences(rows: Sequence[Row]) -> list[str]:
    """Name each recipe set aside, and the one-modality forms to list so that it takes part."""
    names = {row["name"] for row in rows}
    said = []
    for row in rows:
        if side_of(row) == ASIDE:
            lacking = [f"'{form}'" for form in row.get("forms", ()) if form not in names]
            add = f": add {listing(lacking)} to the recipes" if lacking else ""
            said.append(
                f"Without a say: '{row['name']}'. What it gains as a kind of model is no gain of combining, and the "
                f"same model on one modality alone is not in the trial{add}."
            )
    return said


def start_sentences(rows: Sequence[Row]) -> list[str]:
    """Say of each recipe that could begin with the weights of a source in how many fits it kept them.

    And which of its one-modality forms could not, so that the two sides of the verdict differ in more than modalities.
    """
    said = []
    for row in rows:
        began = Counter(str(fold["start"]) for fold in row.get("folds", ()) if "start" in fold)
        if not began:
            continue
        fits = count(began.total(), "fit")
        told = f"Start: '{row['name']}' kept the weights of a source in {began[SOURCE]} of {fits}"
        if began[FRESH]:
            told += f", and began fresh in {began[FRESH]}, where held-out patients gained too little by a source"
        if began[UNTRIED]:
            told += f"; in {began[UNTRIED]} no source could be tried"
        options = {form: name_and_options(form)[1].split(",") for form in row.get("forms", ())}
        plain = [f"'{form}'" for form, own in options.items() if "warm=True" not in own]
        if plain:
            verb, whose = ("begins", "its modality") if len(plain) == 1 else ("begin", "their modalities")
            told += (
                f". {listing(plain)} {verb} fresh, as no source reads {whose}: what '{row['name']}' gains on that side "
                "by a source counts there as a gain of combining"
            )
        said.append(told + ".")
    return said


def presence_sentences(rows: Sequence[Row]) -> list[str]:
    """Name the recipes that may learn from which modalities a patient has."""
    readers = [
        f"'{row['name']}'"
        for row in rows
        if row.get("reads_presence") and side_of(row) != REFERENCE and row["name"] != PRESENCE
    ]
    if not readers:
        return []
    return [
        f"Presence: {listing(readers)} may learn from which modalities a patient has, not only from what they contain."
    ]


def knowledge_sentences(rows: Sequence[Row]) -> list[str]:
    """Name the recipes that read knowledge beside the modalities."""
    readers = [f"'{row['name']}'" for row in rows if row.get("reads_knowledge") and side_of(row) != REFERENCE]
    if not readers:
        return []
    read = "reads" if len(readers) == 1 else "read"
    return [
        f"Knowledge: {listing(readers)} {read} what the triples say of a patient beside the modalities, with one of "
        "them as with several; the others do not."
    ]
