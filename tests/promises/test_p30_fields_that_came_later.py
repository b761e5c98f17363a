"""P30: a field that came after a model was stored takes its default; one without a default, or unknown, is refused."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import chiasm
from archived import RELEASES, kinds_in
from chiasm import artifact
from chiasm.artifact import ArtifactError
from small_recipes import at_night
from storable_kinds import every_kind

FOLDERS = {
    f"{release.name}/{place.name}": place
    for release in RELEASES
    for place in [release / "parts", *sorted((release / "models").iterdir())]
}


def enough_for_every_kind() -> list[str]:
    """Folders that hold every stored kind between them: each time the one with the most kinds that no other showed."""
    left = {name: kinds_in(place) for name, place in FOLDERS.items()}
    chosen, seen = [], set[str]()
    while missing := set().union(*left.values()) - seen:
        name = max(left, key=lambda own: len(left[own] & missing))
        chosen.append(name)
        seen |= left.pop(name)
    return chosen


ENOUGH = enough_for_every_kind()
BY_DAY = [name for name in ENOUGH if name.startswith(f"{RELEASES[0].name}/") or name.endswith("/parts")]


def widened(cls: Any, *, default: bool) -> Any:
    """The class as a later release may have it, under the same kind: with one field more."""
    added: Any = ("added", int, 7) if default else ("added", int)
    parts = [added, ("noted", dict[str, float], dataclasses.field(default_factory=dict))] if default else [added]
    frozen = cls.__dataclass_params__.frozen
    return dataclasses.make_dataclass(cls.__name__, parts, bases=(cls,), frozen=frozen, kw_only=True)


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Registers classes of a later release until the test ends."""

    def register(*, default: bool, kinds: set[str] | None = None) -> None:
        for kind, cls in every_kind().items():
            if kinds is None or kind in kinds:
                monkeypatch.setitem(artifact.register.REGISTER, kind, widened(cls, default=default))

    return register


@pytest.mark.parametrize("name", [*BY_DAY, *at_night(*(name for name in FOLDERS if name not in BY_DAY))])
def test_every_stored_kind_opens_when_each_has_fields_with_defaults_more(name: str, later: Any) -> None:
    later(default=True)
    tree = artifact.outline_of(artifact.load(FOLDERS[name])).tree
    filled = [node for node in _nodes(tree) if "$kind" in node]
    assert filled and all(node["added"] == 7 and node["noted"] == {} for node in filled)
    assert tree == artifact.outline(FOLDERS[name]).tree, "an outline without the weights says the same"


def test_no_kind_of_the_archive_opens_when_it_has_a_field_without_a_default_more(later: Any) -> None:
    place = {kind: folder for folder in FOLDERS.values() for kind in kinds_in(folder)}
    assert len(place) > 70
    for kind, folder in place.items():
        with pytest.MonkeyPatch.context() as patch:
            patch.setitem(artifact.register.REGISTER, kind, widened(every_kind()[kind], default=False))
            with pytest.raises(ArtifactError, match=f"'{kind}' whose field 'added' is unknown or missing"):
                artifact.load(folder)


def test_a_field_that_this_release_does_not_know_is_refused(tmp_path: Path, later: Any) -> None:
    made = chiasm.fit(chiasm.synthetic_cohort("redundant", 60), "late-fusion", seed=0)
    with pytest.MonkeyPatch.context() as patch:
        for kind, cls in every_kind().items():
            patch.setitem(artifact.register.REGISTER, kind, widened(cls, default=True))
        made.save(tmp_path / "now")
        artifact.save(tmp_path / "later", artifact.load(tmp_path / "now"))
    assert '"added": 7' in (tmp_path / "later" / "model.json").read_text()
    with pytest.raises(ArtifactError, match="whose field 'added' is unknown or missing"):
        artifact.load(tmp_path / "later")


def test_a_field_without_a_default_that_was_dropped_is_refused_by_every_kind(tmp_path: Path) -> None:
    for kind, cls in every_kind().items():
        for field in dataclasses.fields(cls):
            if dataclasses.MISSING is field.default is field.default_factory:
                node = {"$kind": kind, **{own.name: None for own in dataclasses.fields(cls) if own is not field}}
                with pytest.raises(ArtifactError, match=f"'{kind}' whose field '{field.name}' is unknown or missing"):
                    artifact.trees.decode(json.loads(json.dumps(node)), {}, "model")


def _nodes(tree: Any) -> Iterator[dict[str, Any]]:
    if isinstance(tree, dict):
        yield tree
    for item in tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ():
        yield from _nodes(item)
