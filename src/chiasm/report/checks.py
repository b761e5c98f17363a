"""Checks part of the report: the safeguards behind the numbers, and what they cannot say."""

from __future__ import annotations

from dataclasses import dataclass

from chiasm.evaluation import Trial
from chiasm.evaluation.estimates import MAX_MISSING
from chiasm.fitting.sides import COMBINED, SINGLE, side_of
from chiasm.metrics.scores import METRICS, MIN_EVENTS, PRIMARY
from chiasm.report.kinds import page_of
from chiasm.report.wording import count, listing, metric_of, percent
from chiasm.shown import times

CONDITIONAL = (
    "Those of the tables are given the fitted models: they hold the chance of who was tested and not that of who was "
    "trained on, so that they are somewhat too narrow for the recipe as a method."
)
REPEATS = (
    "Unless a number is asked for, the cohort alone decides, never the clock: five up to 500 patients without files to "
    "encode, else one; one where the cohort prescribes its folds."
)


@dataclass(frozen=True)
class ChecksPart:
    """Pairs of (check, how it was made), and sentences on what the page cannot say."""

    checks: list[tuple[str, str]]
    limits: list[str]


def checks_part(trial: Trial) -> ChecksPart:
    """Describe how the trial was held to its rules, and the limits of what follows."""
    checks = [
        ("Folds", folds(trial)),
        ("Repeats", repeats(trial)),
        ("Weights", weights(trial)),
        ("Leakage", leakage(trial)),
        ("Selection", selection(trial)),
        ("Predictions", predictions(trial)),
        ("Intervals", intervals(trial)),
        ("Few events", few_events(trial)),
    ]
    return ChecksPart(checks, limits(trial))


def folds(trial: Trial) -> str:
    """Say if the folds were given or drawn, how many there are and how large."""
    protocol = trial.document["protocol"]
    sizes = f"on average {protocol['n_train']:,.0f} patients to train on and {protocol['n_test']:,.0f} to test"
    number = count(protocol["test_folds"], "test fold")
    if protocol["given_folds"]:
        return f"Prescribed by the cohort: {number}; {sizes}."
    repeats = "" if protocol["repeats"] == 1 else f" in {protocol['repeats']} repeats"
    ignored = " The folds that the cohort prescribes were not used, as asked." if protocol["ignore_folds"] else ""
    balanced = (
        "of no one outcome to stratify by"
        if trial.target.has_channels and not trial.target.is_drawn
        else "stratified by the outcome"
    )
    drawn = f"Drawn with seed {protocol['seed']}, {balanced}: {number}{repeats}; {sizes}"
    return f"{drawn}; the same folds for every recipe.{ignored}"


def leakage(trial: Trial) -> str:
    """Say what was kept on one side of every fold."""
    protocol, cohort = trial.document["protocol"], trial.document["cohort"]
    if protocol["given_folds"]:
        text = "No patient is trained on and tested in one fold."
        if cohort["groups"] is not None:
            text += " Prescribed folds are taken as they are: a group on both sides was warned of, not refused."
        return text
    kept = ["patient"]
    if cohort["groups"] is not None:
        kept.append("group")
    if protocol["by"]:
        kept.append(str(protocol["by"]))
    if protocol["group_duplicates"]:
        kept.append("set of patients identical in every modality")
    text = f"No {listing(kept).replace(' and ', ' or ')} is on both sides of a fold; the trial would have stopped."
    if cohort["sites"] is not None and protocol["by"] != "site":
        text += " Sites were not kept apart: the numbers speak for the same sites, not for new ones."
    return text


def selection(trial: Trial) -> str:
    """Say what was decided on inner folds."""
    label = metric_of(trial.kind, PRIMARY[trial.kind]).label
    inner = trial.document["protocol"]["inner_folds"]
    only = "Whatever a recipe fits, scales, stops or tunes, it was given training patients only."
    sides = [side_of(row) for row in trial.document["recipes"]]
    if trial.verdict is None or max(sides.count(SINGLE), sides.count(COMBINED)) < 2:
        return f"Nothing had to be picked for the verdict. {only}"
    return f"The recipes of the verdict were picked by {label} on {inner} inner folds of each training set. {only}"


def repeats(trial: Trial) -> str:
    """Say how often the folds were drawn, and by what rule."""
    protocol = trial.document["protocol"]
    if protocol["given_folds"]:
        return f"None: the folds are given. {REPEATS}"
    return f"The folds were drawn {times(int(protocol['repeats']))}. {REPEATS}"


def weights(trial: Trial) -> str:
    """Say how much each fold counts in a mean."""
    said = "Each test fold counts the same in a mean, however many patients it has."
    scaled = any(metric.id.startswith("ipa") for metric in METRICS[trial.kind])
    what = "Calibration and scaled scores take" if scaled else "Calibration takes"
    return f"{said} {what} all patients tested in a repeat together."


def predictions(trial: Trial) -> str:
    """Check in the stored predictions that each recipe was asked once for each tested patient, and say so."""
    keys = ["recipe", "repeat", "fold", "patient"]
    again = int(trial.predictions.duplicated(keys).sum())
    if again:
        stand = f"{count(again, 'prediction')} {'stands' if again == 1 else 'stand'} twice in the trial"
        return f"Not one each: {stand}, which makes its numbers optimistic."
    return (
        "One of each recipe for each patient of a test fold, made without an outcome of that fold. How often these "
        "patients were looked at in other runs, with other recipes or seeds, is not known here."
    )


def intervals(trial: Trial) -> str:
    """Say what was drawn, and what the intervals do not cover."""
    draws = trial.document["protocol"]["draws"]
    units = trial.document["cohort"].get("units")
    unit = "patients" if units is None else f"{units:,} clusters of patients"
    drawn = f"95 %, from {draws:,} bootstrap draws of {unit} within folds, the same draws for every recipe."
    verdict = ""
    if trial.verdict is not None and trial.document["protocol"]["test_folds"] > 1:
        verdict = (
            " The verdict's are the wider of this one and the corrected resampled t interval (Nadeau and Bengio 2003), "
            "which allows for training sets that overlap."
        )
    return f"{drawn} {CONDITIONAL}{verdict}"


def few_events(trial: Trial) -> str:
    """Say how many patients or events it takes for a number to be given."""
    what = page_of(trial).few_tested
    rare = " The same is asked of each label by itself; one that is not estimable is left out of the mean over labels."
    return (
        f"Below {MIN_EVENTS} {what}, or when more than {percent(MAX_MISSING)} of the folds or draws have no value, a "
        f"number is not given and called 'not estimable'.{rare if trial.target.has_labels else ''}"
    )


def limits(trial: Trial) -> list[str]:
    """List what no number on the page can tell."""
    found = [
        "Internal evaluation only: all patients come from one cohort. How a model does elsewhere or later is unknown."
        if trial.document.get("external") is None
        else "The verdict is internal: it rests on the patients of one cohort. One other does not speak for all.",
        "Discrimination and calibration are not clinical benefit: "
        + (
            "net benefit weighs a decision at a threshold, and not what its consequences or the modalities cost."
            if trial.document.get("decisions")
            else "no decision, threshold or cost enters."
        ),
        "The table of recipes is not adjusted for comparing many; only the rule of the verdict was fixed beforehand.",
        "Who has a modality may depend on how ill a patient is. Combining is compared among patients alike in that, "
        "and 'presence' shows what it gives by itself; why a modality is missing nothing here can tell.",
        "A leak that no column gives away by itself, and no modality by a score that is too good, is not found.",
    ]
    if trial.document.get("subgroups") is None:
        found.append("Performance in subgroups (sex, age, ethnicity) is not shown: the cohort declares none.")
    if not trial.document.get("sites"):
        found.append("Performance site by site is not shown: the folds were not drawn by site.")
    if trial.document["protocol"]["test_folds"] == 1:
        found.insert(1, "One split only: how much the numbers would vary with another split is unknown.")
    return found
