"""Texts part of the report: how many different texts are said and how long; no text stands on the page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chiasm.evaluation import Trial
from chiasm.report.tables import Heading, Table, ToldTable
from chiasm.report.wording import number, percent, rounded


def said_part(trial: Trial) -> ToldTable | None:
    """Build the part from the trial's document; None for other kinds of target."""
    document: Mapping[str, Any] | None = trial.document.get("said")
    if not document:
        return None
    headings = [
        Heading("recipe", number=False), Heading("different texts"), Heading("get the text that is said most"),
        Heading("words: median"), Heading("words: middle 90 %"),
    ]  # fmt: skip
    rows = []
    for row in document["recipes"]:
        low, middle, high = (rounded(own) for own in row["words"])
        rows.append([str(row["recipe"]), f"{row['different']:,}", percent(row["most"]), middle, f"{low} to {high}"])
    low, middle, high = (rounded(own) for own in document["expected"])
    said = (
        "Every recipe here says again what the text of a training patient said, and no new one: of its test fold, "
        f"{percent(document['word_for_word'])} of the {document['tested']:,} tested patients have a text that stands "
        "word for word among those that it may say. Who always said the one of them that fits best would score "
        f"{number(document['ceiling'])} by the words that count; the scores above are to be read against that. The "
        f"references have {middle} words (median; {low} to {high} for the middle 90 %). No patient's text stands on "
        "this page."
    )
    return ToldTable(said, Table("said-table", headings, rows, fixed=True))
