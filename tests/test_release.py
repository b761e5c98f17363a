"""What a release is: one version, typed, cited, and a changelog that can be tagged."""

from __future__ import annotations

import json
import re
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest

import chiasm

ROOT = Path(__file__).parents[1]


def test_the_version_stands_in_one_place_and_is_the_same_everywhere() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert "version" in project["project"]["dynamic"] and "version" not in project["project"]
    assert project["tool"]["hatch"]["version"]["path"] == "src/chiasm/__init__.py"
    cited = re.search(r"^version: (.+)$", (ROOT / "CITATION.cff").read_text(encoding="utf-8"), re.MULTILINE)
    assert cited is not None and cited[1] == chiasm.__version__ == version("chiasm")


def test_the_changelog_has_a_section_for_what_comes_and_for_this_version() -> None:
    sections = re.findall(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert sections[0] == "Unreleased" and chiasm.__version__ in sections


def test_the_recipe_of_conda_asks_for_what_the_package_asks_for() -> None:
    yaml = pytest.importorskip("yaml")
    recipe = yaml.safe_load((ROOT / "deploy" / "conda" / "recipe.yaml").read_text(encoding="utf-8"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    theirs = {"torch": "pytorch", "matplotlib": "matplotlib-base", "xgboost-cpu": "py-xgboost"}
    survival = project["optional-dependencies"]["survival"]  # the demo's
    asked = {f"python {project['requires-python']}"}
    for own in (*project["dependencies"], *survival):
        name, versions = re.fullmatch(r"([\w-]+)(.+)", own).groups()  # type: ignore[union-attr]
        asked.add(f"{theirs.get(name, name)} {versions}")
    assert set(recipe["requirements"]["run"]) == asked
    assert recipe["context"]["version"] == chiasm.__version__
    assert recipe["build"]["python"]["entry_points"] == [f"chiasm = {project['scripts']['chiasm']}"]
    assert recipe["about"]["license"] == project["license"]


def test_what_only_a_checkout_needs_is_in_no_source_release() -> None:
    left_out = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["hatch"]["build"]["targets"]
    assert {"/.ci", "/.github"} <= set(left_out["sdist"]["exclude"]) and left_out["wheel"]["packages"] == ["src/chiasm"]


def test_the_package_says_that_it_is_typed() -> None:
    assert (Path(chiasm.__path__[0]) / "py.typed").is_file()


def test_the_container_installs_the_lock_and_runs_as_nobody_special() -> None:
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    assert "-c constraints.txt" in text and re.search(r"^USER (?!root)", text, re.MULTILINE)
    copied = {name for line in re.findall(r"^COPY (.+) \S+$", text, re.MULTILINE) for name in line.split()}
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert all((ROOT / name).exists() and f"!{name}" in ignored for name in copied)
    place = json.loads((ROOT / ".devcontainer" / "devcontainer.json").read_text(encoding="utf-8"))
    assert (ROOT / ".devcontainer" / place["build"]["dockerfile"]).is_file()
