"""The catalogue as a table and as records, for who reads it by program."""

from __future__ import annotations

import warnings
from typing import Any

import pandas as pd

from chiasm.citation import bibtex, keys_of
from chiasm.errors import FindingWarning
from chiasm.recipes.catalogue import ROWS
from chiasm.systems.entry import GPU, HELD, OUTCOME, Review, System
from chiasm.systems.finding import SPELLING, find
from chiasm.systems.places import told
from chiasm.systems.reading import families, placed, reviews, systems

COLUMNS = (
    "system", "family", "title", "authors", "venue", "year", "link", "held", "here", "data", "targets", "needs", "gpu",
    "licence", "code", "tests", "docs", "deviates", "unsure",
)  # fmt: skip


def catalogue(paper: str | None = None) -> pd.DataFrame:
    """List the published systems of the field, one row each: what each needs, and where it lives here.

    Args:
        paper: the name of a system, a title or the number of a paper, also misspelt; None lists all.

    A `FindingWarning` says where nothing is called so, and what is spelt most like it is listed.

    Raises:
        ValueError: no system is called so; the message gives the nearest names.
    """
    if paper is None:
        return pd.DataFrame([row(own) for own in systems().values()], columns=list(COLUMNS))
    found = find(paper)
    if found.by == SPELLING:
        warnings.warn(f"nothing is called '{paper}': this is what is spelt most like it", FindingWarning, stacklevel=2)
    chosen = [own for own in found.entries if isinstance(own, System)]
    return pd.DataFrame([row(own) for own in chosen], columns=list(COLUMNS))


def row(own: System) -> dict[str, Any]:
    """One system as the table has it: several things in a cell are joined by commas."""
    given = record(own)
    return {name: ", ".join(value) if isinstance(value := given[name], list) else value for name in COLUMNS}


def record(own: System) -> dict[str, Any]:
    """One system as JSON can hold it, with how to cite it."""
    return {
        "system": own.names[0], "names": list(own.names), "key": own.key, "family": families()[own.family].title
        if own.family in families() else own.family, "title": own.paper.title, "authors": own.authors,
        "venue": own.paper.venue, "year": own.paper.year, "link": own.paper.link, "held": own.held,
        "held_means": HELD[own.held], "here": [told(place) for place in own.places], "data": list(own.data),
        "targets": targets_of(own), "needs": list(own.needs), "gpu": own.gpu, "gpu_means": GPU[own.gpu],
        "licence": own.licence, "code": own.code and f"https://github.com/{own.code}",
        "tests": [f"tests/{path}" for path in own.tests], "docs": page_of(own), "deviates": own.deviates,
        "unsure": own.unsure, "cite": cited(own),
    }  # fmt: skip


def review_record(own: Review) -> dict[str, Any]:
    """A review as JSON can hold it: its classes, and which systems fall into each."""
    found = placed(own)
    return {
        "review": own.names[0], "key": own.key, "title": own.paper.title, "authors": own.authors,
        "venue": own.paper.venue, "year": own.paper.year, "link": own.paper.link, "held": "nothing",
        "held_means": HELD["nothing"], "unsure": own.unsure,
        "taxonomy": [
            {"class": one.name, "says": one.says, "systems": [systems()[key].names[0] for key in found[one.name]]}
            for one in own.taxonomy
        ],
        "outside": [systems()[key].names[0] for key in found[""]],
        "cite": cited(own),
    }  # fmt: skip


def cited(own: System | Review) -> str:
    """The entry of a bibliography, empty where a paper has no year, since it was not found."""
    return bibtex(own.paper, keys_of([own.paper])[own.paper], own.authors) if own.paper.year else ""


def paper_records(paper: str) -> list[dict[str, Any]]:
    """Records of the systems and reviews that a text names, the best first, each with how it was found.

    Raises:
        ValueError: no system is called so; the message gives the nearest names.
    """
    found = find(paper)
    return [
        {**(record(own) if isinstance(own, System) else review_record(own)), "found_by": found.by}
        for own in found.entries
    ]


def targets_of(own: System) -> list[str]:
    """The kinds of target of a system; `outcome` is written out."""
    return [kind for given in own.targets for kind in (OUTCOME if given == "outcome" else (given,))]


def page_of(own: System) -> str:
    """The page that explains a system, with its section: of a recipe that of its methods."""
    if not own.recipes:
        return own.docs and f"docs/{own.docs}"
    name = own.recipes[0]
    page = "adaptation" if ROWS[name].where.partition(".")[0] in ("adaptation", "tunings") else "methods"
    return f"docs/{page}.md, section {name}"


def every_review() -> list[dict[str, Any]]:
    """Records of all reviews."""
    return [review_record(own) for own in reviews().values()]
