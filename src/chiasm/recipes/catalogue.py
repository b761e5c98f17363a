"""Every recipe of ours, as a row each: what is known of it without importing its module."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any

from chiasm.recipes import adaptation, baselines, fusion, hospitals, tunings

ROWS = baselines.ROWS | fusion.ROWS | hospitals.ROWS | tunings.ROWS | adaptation.ROWS
"""Name to row, in the order in which they are listed."""


class _Classes(Mapping[str, Any]):
    """Name to class, imported when it is first asked for."""

    def __getitem__(self, name: str) -> Any:
        module, _, cls = ROWS[name].where.partition(":")
        return getattr(import_module(f"chiasm.recipes.{module}"), cls)

    def __iter__(self) -> Iterator[str]:
        return iter(ROWS)

    def __len__(self) -> int:
        return len(ROWS)


RECIPES = _Classes()
