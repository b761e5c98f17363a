"""Catalogue of the built-in recipes: one row per recipe, readable without importing the recipe's module."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from chiasm.recipes import (
    adaptation,
    alignment,
    balance,
    baselines,
    detection,
    dynamics,
    fusion,
    hospitals,
    language,
    missing,
    segmentation,
    tunings,
    vision_language,
)
from chiasm.specs import loaded, parts_brought

ROWS = (
    baselines.ROWS | fusion.ROWS | balance.ROWS | alignment.ROWS | vision_language.ROWS | missing.ROWS | hospitals.ROWS
    | tunings.ROWS | adaptation.ROWS | dynamics.ROWS | detection.ROWS | segmentation.ROWS | language.ROWS
)  # fmt: skip
"""Recipe name to row, in listing order."""


class _Classes(Mapping[str, Any]):
    """Mapping from recipe name to class; a class is imported on access."""

    def __getitem__(self, name: str) -> Any:
        return loaded(f"chiasm.recipes.{ROWS[name].where}")

    def __iter__(self) -> Iterator[str]:
        return iter(ROWS)

    def __len__(self) -> int:
        return len(ROWS)


RECIPES = _Classes()


def others() -> dict[str, Any]:
    """Load the recipes of other packages, name to class; built-in names cannot be overridden."""
    return {point.name: point.load() for point in parts_brought("chiasm.recipes") if point.name not in ROWS}
