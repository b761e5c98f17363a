"""Right options of a choice that stand in what a model reads: in a text more often than wrong ones, or in a column."""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray

from chiasm.cohort.cohort import Cohort
from chiasm.cohort.items import Items
from chiasm.cohort.kinds import TABLE, has_form
from chiasm.cohort.leaks.answer_columns import answer_columns
from chiasm.errors import Problem, count, warning

SHORTEST = 3  # signs of an option that is looked for in a text: "no" stands in every other one
BEYOND = 4.0  # standard deviations above what chance would have
FEWEST = 8
SPACES = re.compile(r"\s+")


def answer_problems(cohort: Cohort) -> list[Problem]:
    """Report texts in which the right option stands more often than a wrong one, and columns that are the answer.

    Of a patient whose text holds s of his K options the right one is expected there with probability s / K. A text may
    hold the answer rightly, as an abstract does that the question is about; that is for the owner to say. Texts in
    files are not opened.
    """
    options, outcome = cohort.options, cohort.outcome
    if options is None or outcome is None or not outcome.known.any():
        return []
    found: list[Problem] = []
    for name in cohort.modalities:
        rows = cohort.rows_of(name)
        rows = rows[outcome.known[rows]]
        if len(rows) < FEWEST:
            continue
        right, texts = outcome.value[rows].astype(int), options.texts[rows].tolist()
        path = cohort.sources[name].path
        if has_form(cohort.kinds[name], TABLE):
            answers = [(_plain(own[place]),) for own, place in zip(texts, right.tolist(), strict=True)]
            found += answer_columns(
                cohort.raw(name, rows), answers, _plain, told="the text of the right option", known="answer",
                path=path, modality=name,
            )  # fmt: skip
        elif isinstance(items := cohort.raw(name, rows), Items):
            inside = _inside(items, texts)
            if (told := _beyond_chance(inside, right)) is not None:
                what = (
                    f"the right option stands in the text of {told[0]:,} of {count(len(rows), 'patient')}, where "
                    f"chance would have it among the options there {told[1]:,.0f} times"
                )
                fix = "look whether the text was written after the answer; if it is what is asked about, accept this"
                found.append(warning(what, fix, path=path, modality=name, finding="answer-in-text"))
    return found


def _inside(items: Items, options: list[tuple[str, ...]]) -> list[NDArray[np.bool_]]:
    """For each patient (K_i,) True for the options that stand in the text as whole words; none of a text in a file."""
    found = []
    for item, own in zip(items, options, strict=True):
        text = f" {_plain(item)} " if isinstance(item, str) else ""
        found.append(np.array([len(option) >= SHORTEST and _stands(_plain(option), text) for option in own]))
    return found


def _stands(option: str, text: str) -> bool:
    return option in text and re.search(rf"(?<!\w){re.escape(option)}(?!\w)", text) is not None


def _beyond_chance(inside: list[NDArray[np.bool_]], right: NDArray[np.int_]) -> tuple[int, float] | None:
    """Times that the right option stands there, and that it would by chance; None unless there are far more."""
    seen = sum(bool(own[place]) for own, place in zip(inside, right.tolist(), strict=True))
    share = np.array([own.mean() for own in inside])
    spread = float(np.sqrt((share * (1 - share)).sum()))
    expected = float(share.sum())
    return (seen, expected) if spread > 0 and (seen - expected) / spread > BEYOND else None


def _plain(value: object) -> str:
    return SPACES.sub(" ", str(value)).strip().casefold()
