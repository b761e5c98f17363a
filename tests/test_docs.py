"""The pages say what the package has: every recipe, every option, every command, no dead link."""

from __future__ import annotations

import re
import tomllib
from dataclasses import fields
from pathlib import Path

import pytest

import chiasm
from chiasm.cli import app
from chiasm.fitting.trained_recipe import TrainedRecipe
from chiasm.metrics.scores import METRICS
from chiasm.recipes.adaptation.adapted import AdaptedRecipe
from chiasm.recipes.registry import RECIPES
from chiasm.recipes.segmentation.of_masks import OfMasks
from chiasm.recipes.tunings.tuned import TunedRecipe

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
METHODS = "".join(
    (ROOT / "docs" / page).read_text(encoding="utf-8") for page in ("methods.md", "adaptation.md", "metrics.md")
)
# Options that many recipes have stand once, before them.
SHARED = {
    TrainedRecipe: "## The neural recipes", AdaptedRecipe: "## Adapting an encoder", TunedRecipe: "## Merged tunings",
    OfMasks: "## Label maps in images",
}  # fmt: skip


def section(name: str) -> str:
    """The section of a recipe."""
    found = re.search(rf"^### `{re.escape(name)}[`:].*?(?=^##)", METHODS, re.MULTILINE | re.DOTALL)
    assert found is not None, f"no section `{name}`"
    return found[0]


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_has_a_section_with_all_its_options(name: str) -> None:
    text = section(name)
    for part in ("Paper.", "Formula.", "Deviations.", "Needs.", "Options."):
        assert f"**{part}**" in text
    for base, heading in SHARED.items():
        if issubclass(RECIPES[name], base):
            text += METHODS.partition(heading)[2].partition("###")[0]
    for option in (field.name for field in fields(RECIPES[name])):
        assert f"`{option}`" in text, f"option '{option}' of {name} is not in its section, nor before it"


def test_the_page_of_recipes_lists_every_one() -> None:
    table = (ROOT / "docs" / "recipes.md").read_text(encoding="utf-8")
    first = "".join(line.split("|")[1] for line in table.splitlines() if line.startswith("| `"))
    listed = re.findall(r"`([^`]+)`", first)
    assert len(set(listed)) == len(listed) and set(listed) == set(chiasm.list_recipes()["name"])


def test_the_page_of_commands_lists_every_one() -> None:
    table = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8").partition("\n## ")[0]
    first = "".join(line.split("|")[1] for line in table.splitlines() if line.startswith("| `"))
    listed = {name.partition(" ")[0] for name in re.findall(r"`([^`]+)`", first)}
    every = {own.name or own.callback.__name__.replace("_", "-") for own in app.registered_commands if own.callback}
    groups = {own.name for own in app.registered_groups}
    assert every <= listed and {own for own in groups if own} <= listed


def test_the_page_of_commands_lists_every_extra_and_what_all_leaves_out() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    rows = (
        (ROOT / "docs" / "commands.md")
        .read_text(encoding="utf-8")
        .partition("\n|---|---|\n")[2]
        .partition("\n|---|---|\n")[2]
        .splitlines()
    )
    first = "".join(row.split("|")[1] for row in rows if row.startswith("| `"))
    assert set(re.findall(r"`([^`]+)`", first)) == set(extras) - {"test", "fuzz"}, "those two are for developers"
    held = set(extras["all"][0].partition("[")[2].rstrip("]").split(",")) | {"demo"}  # `demo` is `survival`
    (left_out,) = (row.split("|")[2] for row in rows if row.startswith("| `all`"))
    assert set(re.findall(r"`([^`]+)`", left_out)) == set(extras) - held - {"all", "test", "fuzz"}


def test_every_metric_is_explained() -> None:
    for metric in (metric for kind in METRICS.values() for metric in kind):
        assert f"`{metric.id}`" in METHODS


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_to_files_lead_somewhere(page: Path) -> None:
    prose = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    for link in re.findall(r"\]\(([^)#]+)", prose):
        assert link.startswith("https://") or (page.parent / link).exists(), link


def test_the_version_stands_in_the_changelog() -> None:
    assert f"## [{chiasm.__version__}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
