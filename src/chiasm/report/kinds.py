"""What the page says of each kind of target: its outcomes, its predictions and how its patients are counted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from chiasm.evaluation import Trial
from chiasm.evaluation.trial import VALUE_OF, main_events
from chiasm.report.horizons import horizons_told
from chiasm.report.wording import listing, percent, rounded
from chiasm.targets.texts import SCORERS

_RANGE = (0.05, 0.5, 0.95)
NO_REPETITIONS = "none, so that how much of the response could be predicted at all is not known"
Facts = list[tuple[str, str]]


@dataclass(frozen=True)
class KindPage:
    """What the page says of a kind of target.

    Args:
        outputs: what a model predicts.
        facts: the outcome and its distribution, as (name, text).
        few: the unit in which the minimum for an estimate is counted; among the tested, `few_tested`.
        counted: heading of the column that counts outcomes in a pattern of modalities; "" for none.
        members: counts them among the tested patients of a pattern, given the trial's outcomes of these.
    """

    outputs: str
    facts: Callable[[Trial], Facts]
    few: str = "patients"
    few_tested: str = "tested patients"
    counted: str = ""
    members: Callable[[Trial, pd.DataFrame], str] = lambda trial, tested: ""


def page_of(trial: Trial) -> KindPage:
    """Return what the page says of the trial's kind of target."""
    return PAGES[trial.kind]


def target_of(trial: Trial) -> tuple[Mapping[str, Any], str, str]:
    """Return the target as the trial's document describes it, its columns as text and its unit after a space."""
    target: Mapping[str, Any] = trial.document["cohort"]["target"]
    unit = f" {target['unit']}" if target.get("unit") else ""
    return target, listing([f"'{column}'" for column in target["columns"]]), unit


def spread_of(trial: Trial) -> str:
    """Say the median and the range of the middle 90 % of the outcomes, rounded."""
    unit = target_of(trial)[2]
    low, middle, high = (rounded(float(q)) for q in np.quantile(trial.outcomes["value"].to_numpy(np.float64), _RANGE))
    return f"median {middle}{unit}, from {low} to {high}{unit} for the middle 90 %"


def class_facts(trial: Trial) -> Facts:
    """Count the patients of each class."""
    target, named, _ = target_of(trial)
    counts = [
        f"{name}: {n:,} ({percent(n / sum(target['counts']))})"
        for name, n in zip(target["classes"], target["counts"], strict=True)
    ]
    return [("Outcome", f"classes of {named}"), ("Classes", ", ".join(counts))]


def choice_facts(trial: Trial) -> Facts:
    """Say how many options patients have, what a guess would score, and where the right ones stand."""
    target, named, _ = target_of(trial)
    total = sum(target["counts"])
    guess = sum(n / int(size) for size, n in target["options"].items()) / max(sum(target["options"].values()), 1)
    sizes = ", ".join(f"{size} for {n:,}" for size, n in target["options"].items())
    places = [
        f"number {place}: {n:,} ({percent(n / total)})"
        for place, n in zip(target["classes"], target["counts"], strict=True)
    ]
    return [
        ("Outcome", f"the right one of each patient's own options, {named}"),
        ("Options", f"{sizes}; a guess is right for {percent(guess)}"),
        ("Right options", ", ".join(places)),
    ]


def label_facts(trial: Trial) -> Facts:
    """Count the patients with each label, and those for whom it is known where that is not everyone."""
    target, named, _ = target_of(trial)
    everybody = max(target["known"])
    parts = []
    for name, n, known in zip(target["classes"], target["counts"], target["known"], strict=True):
        of = "" if known == everybody else f" of {known:,} known"
        parts.append(f"{name}: {n:,}{of} ({percent(n / known) if known else 'never known'})")
    return [("Outcome", f"the labels {named}, of which a patient may have several"), ("Labels", ", ".join(parts))]


def number_facts(trial: Trial) -> Facts:
    """Say the range of a number."""
    return [("Outcome", f"the number {target_of(trial)[1]}"), ("Range", spread_of(trial))]


def channel_facts(trial: Trial) -> Facts:
    """Count the channels, and the items that were repeated."""
    target = target_of(trial)[0]
    repeated = target.get("repeated") or 0
    noise = f"{repeated:,} items of two or more: they give the noise ceiling" if repeated else NO_REPETITIONS
    return [("Outcome", f"a response of {len(target['classes']):,} channels"), ("Repetitions", noise)]


def time_facts(trial: Trial) -> Facts:
    """Count the events, and say how long patients were followed."""
    target, named, unit = target_of(trial)
    return [
        ("Outcome", f"time to event, {named}"),
        ("Events", f"{target['events']:,} ({percent(target['events'] / len(trial.outcomes))})"),
        ("Follow-up", f"median {follow_up(trial)}{unit} (reverse Kaplan-Meier)"),
        ("Observed times", spread_of(trial)),
        ("Horizons", horizons_told(trial)),
    ]


def cause_facts(trial: Trial) -> Facts:
    """Count the events of each cause, and say which is the main one and how long patients were followed."""
    target, named, unit = target_of(trial)
    total = len(trial.outcomes)
    counts = [
        f"{name}: {n:,} ({percent(n / total)})" for name, n in zip(target["classes"], target["counts"], strict=True)
    ]
    why = "named by the target" if target["main_named"] else "the most frequent, as the target names none"
    return [
        ("Outcome", f"time to the first of {len(counts)} competing events, {named}"),
        ("Causes", ", ".join(counts)),
        ("Main cause", f"{target['classes'][0]}, {why}: metrics are about it, with the others as competing events"),
        ("Follow-up", f"median {follow_up(trial)}{unit} (reverse Kaplan-Meier)"),
        ("Observed times", spread_of(trial)),
        ("Horizons", horizons_told(trial)),
    ]


def follow_up(trial: Trial) -> str:
    """Median follow-up: time to censoring, with events taken as censored."""
    from lifelines import KaplanMeierFitter  # type: ignore[import-untyped]

    fitter = KaplanMeierFitter().fit(trial.outcomes["value"], ~trial.outcomes["event"].astype(bool))
    median = float(fitter.median_survival_time_)
    return rounded(median) if np.isfinite(median) else "not reached"


def of_classes(trial: Trial, tested: pd.DataFrame) -> str:
    """Count the patients of each class."""
    return _counts(trial, np.bincount(tested["value"].to_numpy(np.intp), minlength=len(trial.classes)))


def with_labels(trial: Trial, tested: pd.DataFrame) -> str:
    """Count the patients with each label."""
    return _counts(trial, np.array([(tested[f"{VALUE_OF}{label}"] == 1).sum() for label in trial.classes]))


def events_among(trial: Trial, tested: pd.DataFrame) -> str:
    """Count the events."""
    return f"{main_events(tested):,}"


def causes_among(trial: Trial, tested: pd.DataFrame) -> str:
    """Count the events of each cause."""
    return _counts(trial, np.bincount(tested["cause"].to_numpy(np.intp), minlength=len(trial.classes) + 1)[1:])


def _counts(trial: Trial, counts: Any) -> str:
    return ", ".join(f"{name}: {n:,}" for name, n in zip(trial.classes, counts, strict=True))


def text_facts(trial: Trial) -> Facts:
    """Count texts and their words; none is shown."""
    target, named, _ = target_of(trial)
    several = target["several"]
    more = f"; {several:,} patients have several references, of which the best counts" if several else ""
    low, middle, high = (rounded(own) for own in target["words"])
    known, most = len(trial.outcomes), percent(target["most_frequent"])
    names = f"{len(target['entities']):,} names are looked for"
    return [
        ("Outcome", f"the text of {named}, scored by {SCORERS[target['scorer']]}{more}"),
        ("Texts", f"{target['texts']:,} different ones among {known:,} patients; {most} have the most frequent one"),
        ("Words", f"median {middle}, from {low} to {high} for the middle 90 %"),
        ("Entities", names if target["entities"] else "none is named, so that entity F1 is not estimable"),
    ]


def box_facts(trial: Trial) -> Facts:
    """Count the boxes of each label, and the images without any."""
    target, named, _ = target_of(trial)
    counts = [f"{name}: {n:,}" for name, n in zip(target["classes"], target["counts"], strict=True)]
    bare = target["without_boxes"]
    return [
        ("Outcome", f"boxes of {len(target['classes']):,} labels in each patient's image, {named}"),
        ("Boxes", ", ".join(counts)),
        (
            "Images without a box",
            f"{bare:,} of {len(trial.outcomes):,}; they count, as ones in which nothing is to be found",
        ),
    ]


def mask_facts(trial: Trial) -> Facts:
    """Count the patients who have each label, and the label maps without any."""
    target, named, _ = target_of(trial)
    counts = [f"{name}: {n:,}" for name, n in zip(target["classes"], target["counts"], strict=True)]
    bare = target["without_labels"]
    return [
        ("Outcome", f"the label map of each patient's image, of {len(target['classes']):,} labels, {named}"),
        ("Patients who have each label", ", ".join(counts)),
        ("Label maps without a label", f"{bare:,} of {len(trial.outcomes):,}; there is no dice of them"),
    ]


PAGES: dict[str, KindPage] = {
    "boxes": KindPage("boxes with a label and a score each, and how many there are of each label", box_facts),
    "choice": KindPage("a probability for each of the patient's own options", choice_facts),
    "classification": KindPage(
        "a probability for each class; no threshold is set", class_facts,
        "patients of a class", "tested patients of each class", "patients per class", of_classes,
    ),
    "competing": KindPage(
        "a log hazard of each cause, and its cumulative incidence at each horizon", cause_facts,
        "events of the main cause", "events of the main cause", "events of each cause", causes_among,
    ),
    "mask": KindPage("a label map in the image, and how much there is of each label", mask_facts),
    "multilabel": KindPage(
        "a probability for each label; no threshold is set", label_facts,
        "patients with, or without, any one label", "tested patients with, or without, any one label",
        "patients with each label", with_labels,
    ),
    "regression": KindPage("a number", number_facts),
    "response": KindPage("a response of every channel", channel_facts, "items", "tested items"),
    "survival": KindPage(
        "a risk and the probability of survival at each horizon", time_facts,
        "events", "events", "events", events_among,
    ),
    "text": KindPage(
        "one of the texts that training patients had, that which is expected to score best; a new one it cannot say",
        text_facts,
    ),
}  # fmt: skip
