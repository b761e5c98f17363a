"""Tables of rows that a trial stores of some of its recipes, and that are made anew for any other."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

if TYPE_CHECKING:
    from chiasm.evaluation.trial import Trial

Rows = Sequence[Mapping[str, Any]]


def table_of_rows(
    trial: Trial,
    recipe: str | None,
    stored: Rows,
    rows_of: Callable[[str], Rows],
    columns: Sequence[str],
    texts: Sequence[str],
) -> pd.DataFrame:
    """Table of the stored rows, or of one recipe's; numbers but for the `texts` among the columns.

    Raises:
        ValueError: there is no such recipe.
    """
    if recipe is not None:
        require_recipe(trial, recipe)
    rows = stored if recipe is None else rows_of(recipe)
    return pd.DataFrame(rows, columns=list(columns)).astype({name: float for name in columns if name not in texts})


def require_recipe(trial: Trial, recipe: str) -> None:
    """Refuse the name of a recipe that has no predictions in the trial.

    Raises:
        ValueError: there is no such recipe.
    """
    if recipe not in trial.frames:
        raise ValueError(f"'{recipe}' is no recipe of this trial: it has {', '.join(trial.frames)}")
