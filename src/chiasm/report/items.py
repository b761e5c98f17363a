"""One item of a guideline: what a trial answers of it, and what is left to the authors."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Item:
    """One checklist item: what the page says, and in `open` what is left to the authors, "" if nothing is.

    `§anchor` in `said` is the section of the page with that anchor.
    """

    number: str
    topic: str
    said: str
    open: str = ""
