"""List of all recipes, from the catalogue's rows and the table of options: no recipe of ours is imported for it."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pandas as pd

from chiasm.recipes.catalogue import RECIPES, ROWS, others
from chiasm.recipes.options import OPTIONS


def list_recipes() -> pd.DataFrame:
    """List all recipes, one row each: name, family, paper, needs, options with defaults, and whether run by default."""
    rows = []
    for name, row in ROWS.items():
        options = OPTIONS[name] if name in OPTIONS else options_of(RECIPES[name], row.leads)
        shown = f"{name}:<{row.leads}>" if row.leads else name
        tried = row.always or row.by_default
        rows.append(described(shown, row.family, row.paper, row.needs, options, tried))
    for name, cls in others().items():
        rows.append(described(name, cls.family, cls.paper, cls.needs, options_of(cls), False))
    return pd.DataFrame(rows)


def described(name: str, family: str, paper: Any, needs: str, options: str, by_default: bool) -> dict[str, Any]:
    """Return the row of a recipe in the list."""
    return {
        "name": name, "family": family, "paper": str(paper), "needs": needs, "options": options,
        "by_default": by_default,
    }  # fmt: skip


def options_of(cls: Any, leads: str = "") -> str:
    """Return `option=default, ...` of a recipe's class, without the option that leads its name."""
    return ", ".join(f"{field.name}={field.default}" for field in fields(cls) if field.name != leads)
