"""The models that are served, by name and version; a new one is loaded and tried before it takes a place."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from chiasm.artifact import DESCRIPTION
from chiasm.errors import nearest
from chiasm.serving.faults import refused
from chiasm.serving.loaded import Loaded, stamp_of

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
Open = Callable[[Path, str, str], Loaded]
Told = Callable[..., None]


@dataclass(frozen=True)
class Place:
    """Where the versions of a model lie: a model folder, or a folder of these."""

    name: str
    path: Path

    def versions(self) -> dict[str, Path]:
        """Find the versions, oldest first by their names, numbers as numbers; "" for a folder that is one itself."""
        if (self.path / DESCRIPTION).is_file():
            return {"": self.path}
        if not self.path.is_dir():
            return {}
        inside = [own for own in self.path.iterdir() if NAME.fullmatch(own.name) and (own / DESCRIPTION).is_file()]
        return {own.name: own for own in sorted(inside, key=lambda own: _natural(own.name))}


def _natural(name: str) -> list[tuple[int, int, str]]:
    parts = re.findall(r"\d+|\D+", name)
    return [(0, int(part), "") if part.isdecimal() and part.isascii() else (1, 0, part) for part in parts]


def places_of(given: Iterable[Path | str]) -> list[Place]:
    """Read `folder` or `name=folder`, each a model or a folder of versions.

    Raises:
        ValueError: none, a name twice, or a name that cannot stand in an address.
    """
    found: dict[str, Place] = {}
    for own in given:
        name, equals, path = str(own).partition("=")
        if not equals or Path(str(own)).exists():
            name, path = "", str(own)
        folder = Path(path)
        name = name or folder.resolve().name
        if not NAME.fullmatch(name):
            raise ValueError(
                f"'{name}' cannot name a model in an address: write NAME={path} with letters, digits, . _ and -"
            )
        if name in found:
            raise ValueError(f"two models are called '{name}': write NAME=FOLDER for one of them")
        found[name] = Place(name, folder)
    if not found:
        raise ValueError("there is no model to serve: name a model folder")
    return list(found.values())


@dataclass
class Shelf:
    """The loaded models. A request holds the one that it began with, whatever takes its place meanwhile.

    Args:
        open: loads one.
        told: is called with ("loaded" | "kept" | "removed", **facts).
        default: name of the model that `/predict` asks; empty: the first.
    """

    places: list[Place]
    open: Open
    told: Told
    default: str = ""
    failed: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._models: dict[str, dict[str, Loaded]] = {}
        self._lock = threading.Lock()
        names = [place.name for place in self.places]
        self.default = self.default or names[0]
        if self.default not in names:
            like = nearest(self.default, names)
            raise ValueError(
                f"--default is '{self.default}', "
                + (f"did you mean '{like}'?" if like else f"there are {', '.join(names)}")
            )

    def refresh(self, *, first: bool = False) -> dict[str, str]:
        """Load what is new or was replaced, and drop what is gone; returns what could not be loaded, and why.

        A model that cannot be loaded leaves the one before in its place. At the `first` time it is raised.
        """
        with self._lock:
            failed: dict[str, str] = {}
            for place in self.places:
                self._refresh(place, failed, first)
            self.failed = failed
            return failed

    def _refresh(self, place: Place, failed: dict[str, str], first: bool) -> None:
        there = place.versions()
        if not there and first:
            stamp_of(place.path)  # says what is wrong
        before = self._models.get(place.name, {})
        by_folder = {own.version if "" not in there else "": own for own in before.values()}
        now: dict[str, Loaded] = {}
        for version, path in there.items():
            old = by_folder.get(version)
            try:
                if old is not None and stamp_of(path) == old.stamp:
                    now[old.version] = old
                    continue
                new = self.open(path, place.name, version)
            except Exception as error:
                if first:
                    raise
                key = f"{place.name}/{version}" if version else place.name
                failed[key] = str(error) if isinstance(error, ValueError) else type(error).__name__
                self.told("kept", model=key, reason=failed[key], serving=old is not None)
                if old is not None:
                    now[old.version] = old
                continue
            if old is not None and old.digest == new.digest and old.version == new.version:
                self.told("unchanged", model=place.name, version=new.version)
            else:
                self.told("loaded", model=place.name, version=new.version)
            now[new.version] = new
        if not now and before:  # never left without an answer
            failed[place.name] = "its folder is gone"
            self.told("kept", model=place.name, reason="its folder is gone", serving=True)
            return
        for version in before.keys() - now.keys():
            self.told("removed", model=place.name, version=version)
        self._models[place.name] = now

    def get(self, name: str | None = None, version: str | None = None) -> Loaded:
        """Return a version of a model, the newest by default.

        Raises:
            Refused: 404, there is none.
        """
        versions = self._models.get(name or self.default)
        if not versions:
            raise refused(404, "unknown-model", "there is no such model: /models lists them")
        if version is None:
            return list(versions.values())[-1]
        if version not in versions:
            raise refused(404, "unknown-version", "there is no such version of this model: /models lists them")
        return versions[version]

    def __iter__(self) -> Any:
        return iter([own for versions in list(self._models.values()) for own in versions.values()])
