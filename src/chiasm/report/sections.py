"""The sections of the page, listed once: the order they stand in, their titles, and what fills each.

A section is a row of `SECTIONS` and a template `sections/<anchor>.html.j2`, in which what `part` returns stands under
the name of the anchor, beside the parts of all other sections. The page writes heading, number and contents. A section
whose part is None is left out, and the others are numbered without it; `refer` names sections by their anchors.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from chiasm.evaluation import Trial
from chiasm.report.calibration import calibration_part
from chiasm.report.channels import channels_part
from chiasm.report.checks import checks_part
from chiasm.report.cohort import cohort_part
from chiasm.report.collected import collected_part
from chiasm.report.decisions import decisions_part
from chiasm.report.explained import explained_part
from chiasm.report.external import external_part
from chiasm.report.found import found_part
from chiasm.report.guidelines import guidelines_part
from chiasm.report.interaction import interaction_part
from chiasm.report.not_at_random import not_at_random_part
from chiasm.report.patient_by_patient import grouped_part
from chiasm.report.patterns import patterns_part
from chiasm.report.places import places_part
from chiasm.report.recipes import Best, recipes_part
from chiasm.report.repeat import repeat_part
from chiasm.report.risk_groups import risk_part
from chiasm.report.said import said_part
from chiasm.report.sealed import sealed_part
from chiasm.report.sites import sites_part
from chiasm.report.stressed import stressed_part
from chiasm.report.subgroups import subgroups_part
from chiasm.report.sure import sure_part
from chiasm.report.tuning import tuning_part
from chiasm.report.verdict import verdict_part

if TYPE_CHECKING:
    from markupsafe import Markup

PartOf = Callable[[Trial, Sequence[Best]], Any]
_REFERENCE = re.compile(r"§([a-z_]+)")


@dataclass(frozen=True)
class Section:
    """A section of the page.

    Args:
        anchor: name of its template, of what fills it there, and its address on the page.
        title: in the contents.
        part: makes what fills it; None where the trial has nothing for it.
        heading: makes the heading from the part, where that is not the title.
        always: it stands there without a part too, and says why there is none.
    """

    anchor: str
    title: str
    part: PartOf
    heading: Callable[[Any], str] | None = None
    always: bool = False


@dataclass(frozen=True)
class Placed:
    """A section as it stands on one page."""

    number: int
    anchor: str
    title: str
    heading: str


SECTIONS: tuple[Section, ...] = (
    Section("verdict", "The verdict", lambda trial, best: verdict_part(trial)),
    Section("cohort", "The cohort", lambda trial, best: cohort_part(trial)),
    Section("recipes", "The recipes", lambda trial, best: recipes_part(trial), lambda part: "The recipes side by side"),
    Section("tuning", "Tuned recipes", lambda trial, best: tuning_part(trial)),
    Section("patterns", "Patterns", patterns_part, lambda part: "Patients by the modalities they have"),
    Section(
        "interaction", "What modalities know together", lambda trial, best: interaction_part(trial),
    ),
    Section(
        "explained", "Explanation", lambda trial, best: explained_part(trial),
        lambda part: "What predictions rest on",
    ),
    Section(
        "collected", "Worth collecting", lambda trial, best: collected_part(trial),
        lambda part: "Is a modality worth collecting?",
    ),
    Section(
        "channels", "Channels", lambda trial, best: channels_part(trial),
        lambda part: "Channel by channel, and what could be explained",
    ),
    Section("calibration", "Calibration", calibration_part, lambda part: "Do the predictions come true?"),
    Section(
        "sure", "How sure", lambda trial, best: sure_part(trial), lambda part: "Sets that hold a stated share",
    ),
    Section("said", "Texts", lambda trial, best: said_part(trial), lambda part: "What is said"),
    Section(
        "found", "Boxes and label maps", lambda trial, best: found_part(trial),
        lambda part: "What is drawn, and how much",
    ),
    Section("places", "Places", lambda trial, best: places_part(trial), lambda part: "Where the answer stands"),
    Section(
        "risk", "Risk groups", lambda trial, best: risk_part(trial, best[0]) if trial.target.has_times else None,
        lambda part: part.title if part else "Survival by predicted risk", always=True,
    ),
    Section(
        "decisions", "Decisions", lambda trial, best: decisions_part(trial), lambda part: "Is it of use to a decision?",
    ),
    Section(
        "subgroups", "Subgroups", lambda trial, best: subgroups_part(trial), lambda part: "For whom it works",
    ),
    Section(
        "grouped", "Group by group", lambda trial, best: grouped_part(trial), lambda part: "Of how many all is right",
    ),
    Section("sites", "Site by site", lambda trial, best: sites_part(trial)),
    Section(
        "external", "External validation", lambda trial, best: external_part(trial),
        lambda part: f"External validation on '{part.name}'",
    ),
    Section(
        "sealed", "The sealed test set", lambda trial, best: sealed_part(trial),
        lambda part: f"The sealed test set: {part.word}",
    ),
    Section(
        "not_at_random", "Outcomes that were not seen", lambda trial, best: not_at_random_part(trial),
        lambda part: "If outcomes that were not seen differ",
    ),
    Section("stressed", "Stress", lambda trial, best: stressed_part(trial), lambda part: "What recipes lose by faults"),
    Section(
        "checks", "What was checked", lambda trial, best: checks_part(trial),
        lambda part: "What was checked, and what was not",
    ),
    Section("reporting", "Reporting guidelines", lambda trial, best: guidelines_part(trial)),
    Section("repeat", "How to repeat it", lambda trial, best: repeat_part(trial)),
)  # fmt: skip


def parts_of(trial: Trial, best: Sequence[Best]) -> dict[str, Any]:
    """Make what fills each section, by its anchor."""
    return {section.anchor: section.part(trial, best) for section in SECTIONS}


def placed(parts: Mapping[str, Any]) -> list[Placed]:
    """Number the sections of a page that have something to show."""
    shown = [section for section in SECTIONS if section.always or parts[section.anchor] is not None]
    return [
        Placed(
            number, one.anchor, one.title,
            one.title if one.heading is None else one.heading(parts[one.anchor]),
        )
        for number, one in enumerate(shown, start=1)
    ]  # fmt: skip


def refer(text: str, sections: Sequence[Placed]) -> Markup:
    """Escape a text, and put for each `§anchor` in it the number of that section, as a link; others stay as text."""
    from markupsafe import Markup, escape

    numbers = {own.anchor: own.number for own in sections}
    pieces = _REFERENCE.split(text)  # text, anchor, text, ...
    made = [
        escape(piece)
        if place % 2 == 0
        else Markup('<a href="#{}">{}</a>').format(piece, numbers[piece])
        if piece in numbers
        else escape(f"§{piece}")
        for place, piece in enumerate(pieces)
    ]
    return Markup("").join(made)
