"""What a model folder imports, and parts whose fields have changed since they were stored."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import chiasm
from archived import RELEASES
from chiasm import artifact
from chiasm.artifact import ArtifactError, places, storable
from chiasm.recipes.catalogue import ROWS
from chiasm.recipes.options import OPTIONS
from recipe_options import options
from storable_kinds import every_kind
from young_process import run_young

LATE = RELEASES[0] / "models" / "16-late-fusion-classification"


def test_table_of_places_is_what_the_library_registers() -> None:
    found = every_kind()
    assert all(found[kind].__module__ == place for kind, place in places.PLACES.items()), "run `make kinds`"
    lacking = {kind: cls.__module__ for kind, cls in found.items() if kind not in places.PLACES}
    # A recipe's own module is found by the name of the recipe.
    assert all(module.startswith("chiasm.recipes.") for module in lacking.values()), f"run `make kinds`: {lacking}"


def test_table_of_options_is_what_the_recipes_have() -> None:
    there = options()
    assert {name: there.get(name) for name in OPTIONS} == OPTIONS, "run `make kinds`"


def test_listing_recipes_imports_none_of_them() -> None:
    code = "import sys, chiasm\nchiasm.list_recipes()\nprint('\\n'.join(sys.modules))"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    loaded = set(said.stdout.split())
    own = {f"chiasm.recipes.{row.where.partition(':')[0]}" for name, row in ROWS.items() if name in OPTIONS}
    assert own and not loaded & (own | {"torch", "sklearn"})


def test_loading_a_linear_model_imports_no_network() -> None:
    said = run_young(f"import sys, chiasm\nchiasm.load_model({str(LATE)!r})\nprint('\\n'.join(sys.modules))")
    assert said.returncode == 0, said.stderr
    loaded = set(said.stdout.split())
    recipes = {name for name in loaded if name.startswith("chiasm.recipes.") and name.count(".") > 2}
    assert recipes == {"chiasm.recipes.baselines.late", "chiasm.recipes.baselines.patterns"}
    assert not {name for name in loaded if name.startswith(("chiasm.fusion.", "chiasm.adapters.", "chiasm.merging."))}


@dataclasses.dataclass(frozen=True)
class Line:
    slope: float
    level: float = 0.0


def stored_at_version_one(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model folder of the class as it was first: `slope` was called `gradient`."""

    @dataclasses.dataclass(frozen=True)
    class Line:
        gradient: float

    monkeypatch.delitem(artifact.register.REGISTER, "test-line", raising=False)
    artifact.save(path, storable("test-line")(Line)(2.0))
    monkeypatch.delitem(artifact.register.REGISTER, "test-line")


def renamed(fields: dict[str, Any]) -> dict[str, Any]:
    """From version 1 to 2."""
    return {"slope": fields["gradient"]}


def test_part_of_an_earlier_version_is_upgraded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stored_at_version_one(tmp_path / "old", monkeypatch)
    made = storable("test-line", version=2, upgrades={1: renamed})(dataclasses.make_dataclass(
        "Line", [("slope", float), ("level", float, 0.0)], frozen=True
    ))  # fmt: skip
    assert artifact.load(tmp_path / "old") == made(2.0, 0.0)
    assert artifact.outline(tmp_path / "old").tree == {"$kind": "test-line", "slope": 2.0, "level": 0.0}
    artifact.save(tmp_path / "new", made(3.0))
    assert json.loads((tmp_path / "new" / "model.json").read_text())["model"]["$version"] == 2
    assert artifact.load(tmp_path / "new") == made(3.0)


def test_part_of_a_later_version_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(artifact.register.REGISTER, "test-line", raising=False)
    artifact.save(tmp_path / "new", storable("test-line", version=2, upgrades={1: renamed})(Line)(1.0))
    monkeypatch.delitem(artifact.register.REGISTER, "test-line")
    storable("test-line")(Line)
    for read in (artifact.load, artifact.outline):
        with pytest.raises(ArtifactError, match="version 2, this chiasm knows 1"):
            read(tmp_path / "new")
    monkeypatch.delitem(artifact.register.REGISTER, "test-line")


def test_version_without_the_upgrades_to_it_is_refused() -> None:
    with pytest.raises(ValueError, match="needs an upgrade from each"):
        storable("test-line", version=3, upgrades={1: renamed})


def test_parts_of_other_packages_are_imported_when_a_model_holds_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(artifact.register.REGISTER, "test-line", raising=False)
    artifact.save(tmp_path / "model", storable("test-line")(Line)(1.0))
    monkeypatch.delitem(artifact.register.REGISTER, "test-line")
    with pytest.raises(ArtifactError, match="unknown kind"):
        artifact.load(tmp_path / "model")
    assert artifact.load(tmp_path / "model", bring=lambda tree: storable("test-line")(Line) and None) == Line(1.0)
    monkeypatch.delitem(artifact.register.REGISTER, "test-line")


def test_our_models_ask_no_other_package(monkeypatch: pytest.MonkeyPatch) -> None:
    def never() -> None:
        raise AssertionError("a package was asked")

    monkeypatch.setattr("chiasm.recipes.registry.others", never)
    assert chiasm.load_model(LATE).trained_parameters > 0
