"""The catalogue as it is stored: one TOML file a family; what a recipe's row says is taken from the row."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import fields
from functools import lru_cache
from pathlib import Path
from typing import Any

from chiasm.citation import Citation
from chiasm.errors import nearest
from chiasm.recipes.catalogue import ROWS
from chiasm.systems.entry import Division, Family, Review, System

FOLDER = Path(__file__).parent / "families"
DEFAULTS = ("data", "targets", "needs", "gpu", "held", "licence")
ROW_FAMILY = {
    "single": "baselines", "baseline": "baselines", "kernel": "baselines", "merge": "merging", "federated": "merging",
    "adaptation": "adapters", "vision language": "vision-language", "detection": "outlines", "segmentation": "outlines",
    "language": "language-models", "dynamics": "dynamics", "balance": "balance", "missing": "missing",
    "alignment": "alignment", "fusion": "fusion",
}  # fmt: skip
"""Family of a recipe to that of the catalogue, for recipes that no entry names."""
UNTOLD = "nobody has written this entry yet"
"""Stands for the licence where an entry is made of a recipe's row alone."""


@lru_cache(maxsize=1)
def families() -> dict[str, Family]:
    """Every family, in the order of the page."""
    return {key: Family(key, file["title"], file["about"]) for key, file in _files().items() if "system" in file}


@lru_cache(maxsize=1)
def systems() -> dict[str, System]:
    """Every published system; a recipe that no entry names has one made of its row."""
    found: dict[str, System] = {}
    for family, file in _files().items():
        shared = {name: file[name] for name in DEFAULTS if name in file}
        for key, given in file.get("system", {}).items():
            found[key] = _system(key, family, {**shared, **given})
    named = {name for own in found.values() for name in own.recipes}
    for name, row in ROWS.items():
        if name not in named:
            family = ROW_FAMILY.get(row.family, "fusion")
            found[name] = System(name, (name,), row.paper, family, recipes=(name,), licence=UNTOLD)
    return found


@lru_cache(maxsize=1)
def reviews() -> dict[str, Review]:
    """Every review of the field."""
    found = {}
    for file in _files().values():
        for key, given in file.get("review", {}).items():
            divisions = tuple(_made(Division, one, f"a class of '{key}'") for one in given["taxonomy"])
            paper = _paper(key, given.get("paper"), ())
            rest = {name: value for name, value in given.items() if name not in ("taxonomy", "paper")}
            found[key] = _made(Review, {"key": key, **rest, "paper": paper, "taxonomy": divisions}, f"'{key}'")
    return found


def placed(review: Review) -> dict[str, list[str]]:
    """Each class of a review's taxonomy with the systems in it, and what falls outside under an empty name."""
    rest, found = dict(systems()), {}
    for own in review.taxonomy:
        named = set(own.systems) | {key for key, one in systems().items() if one.family in own.families}
        found[own.name] = sorted(named - set(own.but))
        for key in found[own.name]:
            rest.pop(key, None)
    found[""] = sorted(rest)
    return found


def _files() -> dict[str, Any]:
    files = sorted(FOLDER.glob("*.toml"))  # the number before a name is its place on the page
    return {path.stem.partition("_")[2]: tomllib.loads(path.read_text(encoding="utf-8")) for path in files}


def _system(key: str, family: str, given: Mapping[str, Any]) -> System:
    recipes = tuple(given.get("recipes", ()))
    paper = _paper(key, given.get("paper"), recipes)
    made: System = _made(System, {**given, "key": key, "family": family, "paper": paper}, f"the entry '{key}'")
    return made


def _paper(key: str, given: Any, recipes: tuple[str, ...]) -> Citation:
    """The paper of an entry: of its recipe's row, or as it stands there."""
    if recipes:
        if given is not None:
            raise ValueError(f"the entry '{key}' has a recipe and a paper: the recipe's row says which it follows")
        return ROWS[recipes[0]].paper
    if given is None:
        raise ValueError(f"the entry '{key}' has no recipe and no paper: write paper = {{title = ...}}")
    cited: Citation = _made(Citation, given, f"the paper of '{key}'")
    return cited


def _made(cls: Any, given: Mapping[str, Any], what: str) -> Any:
    known = [field.name for field in fields(cls)]
    for name in given:
        if name not in known:
            like = nearest(name, known)
            raise ValueError(f"{what} has no field '{name}'" + (f": did you mean '{like}'?" if like else ""))
    return cls(**{name: tuple(value) if isinstance(value, list) else value for name, value in given.items()})
