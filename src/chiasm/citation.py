"""Citation record for the paper behind a method."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Citation:
    """A paper: title, venue, year and a permanent link (DOI or arXiv)."""

    title: str
    venue: str
    year: int
    link: str = ""

    def __str__(self) -> str:
        return f"{self.title} ({self.venue} {self.year})"
