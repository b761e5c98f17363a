"""The tables of docs/catalogue.md, from the catalogue: `PYTHONPATH=src python tests/systems/catalogue_page.py`."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from chiasm.systems.entry import HELD, NEEDS, Review, System
from chiasm.systems.places import told
from chiasm.systems.reading import families, placed, reviews, systems

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "catalogue.md"
START, END = "<!-- made from the catalogue -->", "<!-- end of what is made -->"
COLUMNS = ("system", "paper", "here", "how much", "data", "targets", "needs", "code and licence", "held by")
HEADING = re.compile(r"^### (`([^`:<]+).*)$", re.MULTILINE)


def page() -> str:
    """The page with its tables as they are now."""
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(START)
    return f"{before}{START}\n\n{made()}\n{END}{rest.partition(END)[2]}"


def made() -> str:
    """Counts, then a table a family, the reviews, and what each test holds."""
    lines = [*counts(), *meanings()]
    for key, own in families().items():
        members = [one for one in systems().values() if one.family == key]
        lines += [f"## {own.title}", "", own.about, "", row(COLUMNS), "|---" * len(COLUMNS) + "|"]
        lines += [row(cells(one)) for one in members]
        lines += ["", *(said for one in members if (said := remark(one)))]
        lines += [""] if lines[-1] else []
    lines += [line for own in reviews().values() for line in reviewed(own)]
    return "\n".join([*lines, "## What each test holds", "", *holding()]) + "\n"


def counts() -> Iterator[str]:
    """How many systems there are, and how much of them is here."""
    every = list(systems().values())
    parts = [f"{sum(own.held == held for own in every)} {held}" for held in HELD]
    yield f"{len(every)} systems ({', '.join(parts)}) and {len(reviews())} reviews."
    yield ""


def meanings() -> Iterator[str]:
    """What the words of the tables mean."""
    yield from ("| how much | what it means |", "|---|---|")
    yield from (row((held, means)) for held, means in HELD.items())
    yield from ("", "| needs | what is asked for |", "|---|---|")
    yield from (row((need, means)) for need, means in NEEDS.items())
    yield ""


def cells(own: System) -> tuple[str, ...]:
    """What one row says."""
    title = f"[{own.paper.title}]({own.paper.link})" if own.paper.link else f"{own.paper.title} (no link was found)"
    when = f"{own.paper.venue} {own.paper.year}" if own.paper.year else f"{own.paper.venue}, undated"
    places = [*(f"[`{name}`]({SECTIONS[name]})" for name in own.recipes), *(f"`{told(place)}`" for place in own.here)]
    code = f"[{own.code}](https://github.com/{own.code})" if own.code else ""
    return (
        f"{own.names[0]}",
        ", ".join(filter(None, [title, own.authors, when])),
        ", ".join(places),
        own.held,
        ", ".join(own.data),
        ", ".join(own.targets),
        ", ".join(own.needs) + ("; a GPU helps" if own.gpu == "helps" and own.places else ""),
        ", ".join(filter(None, [code, own.licence])),
        ", ".join(f"`{path}`" for path in own.tests),
    )


def remark(own: System) -> str:
    """What deviates and what is not certain, for those whose section of methods does not say it."""
    known = f" Read [{own.docs}]({own.docs})." if own.docs else ""
    unsure = f" Not certain: {own.unsure}." if own.unsure else ""
    return f"- **{own.names[0]}.** {own.deviates}{known}{unsure}".replace(".**  ", ".** ") if known or unsure else ""


def reviewed(own: Review) -> Iterator[str]:
    """A review: its paper, its classes and what falls into each."""
    found = placed(own)
    yield f"## {own.names[0]}"
    yield ""
    yield f"[{own.paper.title}]({own.paper.link}), {own.authors}, {own.paper.venue} {own.paper.year}."
    yield f"{HELD['nothing'].capitalize()}."
    yield f"Not certain: {own.unsure}."
    yield from ("", "| class | what it is | here |", "|---|---|---|")
    for one in own.taxonomy:
        yield row((one.name, one.says, ", ".join(systems()[key].names[0] for key in found[one.name])))
    outside = {
        key: [systems()[one].names[0] for one in found[""] if systems()[one].family == key] for key in families()
    }
    inside = "; ".join(f"{families()[key].title}: {', '.join(names)}" for key, names in outside.items() if names)
    yield from (row(("outside of its classes", "what it does not order", inside)), "")


def holding() -> Iterator[str]:
    """The first sentence of each test that an entry names."""
    for path in sorted({path for own in systems().values() for path in own.tests}):
        told_there = ast.get_docstring(ast.parse((ROOT / "tests" / path).read_text(encoding="utf-8"))) or ""
        yield f"- `{path}`: {' '.join(told_there.split(chr(10) * 2)[0].split())}"


def row(told_of: tuple[str, ...]) -> str:
    """One row of a table."""
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in told_of) + " |"


def sections() -> dict[str, str]:
    """Recipe to its section in the documentation."""
    found = {}
    for name in ("methods.md", "adaptation.md"):
        for heading, recipe in HEADING.findall((ROOT / "docs" / name).read_text(encoding="utf-8")):
            found[recipe] = f"{name}#{slug(heading)}"
    return found


def slug(heading: str) -> str:
    """The anchor of a heading, as GitHub and the site make it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-")


SECTIONS = sections()

if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
