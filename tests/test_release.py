"""What a release is: one version, typed, cited, and a changelog that can be tagged."""

from __future__ import annotations

import copy
import importlib.util
import json
import re
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

import chiasm

ROOT = Path(__file__).parents[1]


def of_deploy(name: str) -> Any:
    """A script of `deploy/`, as a module."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "deploy" / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


release, sbom = of_deploy("try_release"), of_deploy("sbom")


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
    assert recipe["tests"][0]["python"]["pip_check"] is False, "pip knows some of these by other names"


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


def test_an_interpreter_is_one_that_runs_or_that_pyenv_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for minor in (9, 10):
        held = tmp_path / "versions" / f"3.12.{minor}" / "bin"
        held.mkdir(parents=True)
        (held / "python3.12").symlink_to(sys.executable)
    shim = tmp_path / "python3.12"
    shim.write_text("#!/bin/sh\nexit 127\n")
    shim.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path))
    assert release.interpreter(sys.executable) == sys.executable
    assert release.interpreter("python3.12") == str(tmp_path / "versions" / "3.12.10" / "bin" / "python3.12")
    assert release.interpreter("python3.13") is None


def test_demos_are_compared_figure_by_figure_but_for_their_seconds() -> None:
    recipe = {"name": "ridge", "seconds": 3.0, "metrics": {"c": {"mean": 0.7, "low": 0.6, "high": None}}}
    first = release.figures({"recipes": [recipe]})
    assert release.differing(first, release.figures({"recipes": [{**recipe, "seconds": 9.0}]})) == (
        "the same figures to the last digit"
    )
    assert release.differing(first, {**first, "ridge c low": 0.602}) == "figures differ by up to 0.002 (ridge c low)"
    assert release.differing(first, {"ridge c mean": 0.7}) == "other figures: ridge c low"


def test_a_bill_has_the_version_and_what_the_package_asks_for() -> None:
    project = {"dependencies": ["torch>=2"], "optional-dependencies": {"survival": ["scikit_survival>=0.2"]}}
    parts = [{"name": "Scikit-Survival", "bom-ref": "a"}, {"name": "torch", "bom-ref": "b"}]
    named = {"metadata": {"component": {"name": "chiasm", "bom-ref": "root"}}, "components": parts}
    made = sbom.completed(copy.deepcopy(named), project, "1.2.3")
    assert made["metadata"]["component"]["purl"] == "pkg:pypi/chiasm@1.2.3"
    assert made["dependencies"] == [{"ref": "root", "dependsOn": ["a", "b"]}]
    with pytest.raises(SystemExit, match="the lock does not name numpy"):
        sbom.completed(named, {**project, "dependencies": ["numpy"]}, "1.2.3")
