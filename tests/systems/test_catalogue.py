"""The catalogue: every place and test that it names is there, and every recipe and every paper has its entry."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

import chiasm
from chiasm.citation import Citation
from chiasm.cohort.kinds import KINDS as MODALITIES
from chiasm.recipes.catalogue import ROWS
from chiasm.systems.entry import GPU, HELD, NEEDS
from chiasm.systems.finding import find
from chiasm.systems.places import resolved
from chiasm.systems.reading import UNTOLD, families, placed, reviews, systems
from chiasm.targets import KINDS
from command_line import Run

ROOT = Path(__file__).parents[2]
PAPERS = ROOT.parent / "shared" / "papers"
SYSTEMS = systems().values()
SECTIONS = re.compile(r"^## \d+\. (.+)$|^### 1b\. (.+)$|^### [A-D]\d+ (.+)$", re.MULTILINE)
"""Of the files of papers, what begins one system or several."""
FURTHER = (
    "Multimodal Data Integration for Oncology",
    "LLMs as healthcare assistant",
    "Vision Language Models in Medicine",
)


def test_every_recipe_has_an_entry_and_the_paper_of_its_row() -> None:
    named = [name for own in SYSTEMS for name in own.recipes]
    assert sorted(named) == sorted(ROWS), "each recipe belongs to one entry"
    assert all({ROWS[name].paper.title for name in own.recipes} <= {own.paper.title} for own in SYSTEMS)


def test_a_recipe_that_no_entry_names_has_one_of_its_row(monkeypatch: pytest.MonkeyPatch) -> None:
    row = replace(ROWS["symile"], name="newer", family="missing")
    monkeypatch.setitem(ROWS, "newer", row)
    made = systems.__wrapped__()["newer"]
    assert (made.paper, made.family, made.recipes, made.licence) == (row.paper, "missing", ("newer",), UNTOLD)


def test_no_entry_leaves_out_what_the_page_tells() -> None:
    lacking = {}
    for own in SYSTEMS:
        told = {
            "family": own.family in families(),
            "held": own.held in HELD,
            "gpu": own.gpu in GPU,
            "data": set(own.data) <= {"any", *MODALITIES},
            "targets": set(own.targets) <= {"outcome", *KINDS},
            "needs": set(own.needs) <= set(NEEDS),
            "licence": bool(own.licence) or own.held == "nothing",
            "what is not here": bool(own.deviates) or own.held in ("whole", "none"),
            "a page": bool(own.docs or own.recipes) or own.held in ("none", "nothing"),
            "tests": own.licence == UNTOLD or bool(own.tests) == bool(own.places) == (own.held in ("whole", "part")),
            "a link or why there is none": own.paper.link.startswith("https://") or bool(own.unsure),
        }
        lacking |= {own.key: [what for what, there in told.items() if not there]} if not all(told.values()) else {}
    assert lacking == {}


def test_every_place_and_every_test_is_there() -> None:
    for own in SYSTEMS:
        for place in own.places:
            found = resolved(place)
            cited = getattr(found, "paper", None)
            if place.partition(":")[0] in ("suite", "merging") and place == own.here[0] and not own.recipes:
                assert isinstance(cited, Citation) and cited == own.paper, f"{own.key}: the paper of {place}"
        gone = [path for path in own.tests if not (ROOT / "tests" / path).is_file()]
        assert gone == [], own.key


def test_a_command_that_an_entry_names_is_one(run: Run) -> None:
    listed = run("--help").out
    named = {place.partition(":")[2] for own in SYSTEMS for place in own.places if place.startswith("command:")}
    assert [name for name in sorted(named) if not re.search(rf"^ +{name} ", listed, re.MULTILINE)] == []


def test_authors_and_pages_are_those_of_the_documentation() -> None:
    pages = {path.name: path.read_text(encoding="utf-8") for path in (ROOT / "docs").glob("*.md")}
    methods = pages["methods.md"] + pages["adaptation.md"]
    for own in SYSTEMS:
        assert not own.docs or own.docs.partition("#")[0] in pages, own.key
        if own.recipes and own.authors:
            section = re.search(rf"^### `{own.recipes[0]}[`:].*?(?=^##)", methods, re.MULTILINE | re.DOTALL)
            first = re.split(r",| and | et al", own.authors)[0]
            assert section is not None and first in section[0], f"{own.key}: {own.authors}"


def test_every_review_places_what_there_is_and_says_what_falls_outside() -> None:
    for own in reviews().values():
        found = placed(own)
        assert [one.name for one in own.taxonomy] == [name for name in found if name]
        assert all(found[one.name] for one in own.taxonomy), "a class with nothing in it"
        assert {key for keys in found.values() for key in keys} == set(systems())
        assert all(set(one.systems) | set(one.but) <= set(systems()) for one in own.taxonomy)
        assert all(set(one.families) <= set(families()) for one in own.taxonomy)


def test_every_system_of_the_papers_has_its_entry() -> None:
    if not PAPERS.is_dir():
        pytest.skip("the files of papers are not here")
    text = "".join((PAPERS / name).read_text(encoding="utf-8") for name in ("fusion.md", "adaptation.md"))
    headings = [next(filter(None, found)) for found in SECTIONS.findall(text)]
    assert len(headings) > 80
    lacking = [name for heading in headings for name in systems_in(heading) if not is_there(name)]
    assert [*lacking, *(name for name in FURTHER if not is_there(name))] == []


def systems_in(heading: str) -> list[str]:
    """The names in a heading: `B5 LLaVA-Med / B6 GMAI-VL` has two; what follows a name is left out."""
    parts = re.split(r"\s+/\s+[A-D]\d+ ", re.split(r" — | - |: ", heading)[0])
    return [re.sub(r"\s*\(.*", "", part).strip() for part in parts]


def is_there(name: str) -> bool:
    """True if a name, or what stands before or after a slash or a plus in it, is found as it is written."""
    tried = [name, *re.split(r" / |/| \+ ", name)]
    plain = {re.sub(r"\W+", "", known.lower()) for own in (*SYSTEMS, *reviews().values()) for known in own.names}
    return any(re.sub(r"\W+", "", one.lower()) in plain for one in tried)


@pytest.mark.parametrize(
    ("asked", "key"),
    [
        ("Symile", "symile"), ("symle", "symile"), ("mm lego", "mm-lego"), ("2405.19950", "mm-lego"), ("MoRE", "more"),
        ("contrasting with symile", "symile"), ("https://arxiv.org/abs/2311.15264", "chada-vit"), ("3dsam", "3dsam"),
    ],
)  # fmt: skip
def test_a_system_is_found_by_name_title_and_number(asked: str, key: str) -> None:
    assert find(asked).entries[0].key == key


@pytest.mark.parametrize(
    ("asked", "by"),
    [
        ("Symile", "name"), ("arXiv:2405.19950v2", "name"), ("contrasting with symile", "words"), ("SMIL", "spelling"),
        ("https://doi.org/10.1093/biomet/63.3.581", "name"),
    ],
)  # fmt: skip
def test_what_is_spelt_almost_so_is_told_as_that(asked: str, by: str, run: Run) -> None:
    assert find(asked).by == by
    told = "nothing is called 'SMIL'; this is what is spelt most like it"
    assert run("recipes", "--paper", asked).out.startswith(told) == (by == "spelling")
    assert f'"found_by": "{by}"' in run("recipes", "--paper", asked, "--json").out


@pytest.mark.parametrize("cut", ["2405.1995", "https://arxiv.org/abs/2405.1995", "405.19950", "10.1093/biomet/63.3"])
def test_a_number_is_compared_whole(cut: str) -> None:
    with pytest.raises(ValueError, match=r"no paper of the catalogue|no system of the catalogue"):
        find(cut)


def test_the_table_and_the_command_say_the_same(run: Run) -> None:
    table = chiasm.catalogue()
    assert len(table) == len(systems()) and table["system"].is_unique
    assert list(chiasm.catalogue("UniBiomed")["held"]) == ["part"]
    said = run("recipes", "--paper", "Symile").out
    assert "recipe symile" in said and "tests/objectives/test_symile.py" in said and "2411.01053" in said
    assert '"system": "Symile"' in run("recipes", "--paper", "Symile", "--json").out
    assert "undated" in run("recipes", "--paper", "MMMCV").out
    classes = run("recipes", "--paper", "Vision Language Models in Medicine").out
    assert "benchmarks" in classes and "HEMM" in classes


def test_what_is_not_known_is_refused_with_the_nearest(run: Run) -> None:
    refused = run("recipes", "--paper", "HealNetwork of everything")
    assert refused.code == 2 and "HEALNet" in refused.err
    assert run("recipes", "--paper", " ").code == 2
    assert run("recipes", "symile", "--paper", "Symile").code == 2


def test_a_near_spelling_is_told_as_one_in_python_too() -> None:
    with pytest.warns(chiasm.FindingWarning, match="nothing is called 'symle'"):
        assert list(chiasm.catalogue("symle")["system"]) == ["Symile"]
