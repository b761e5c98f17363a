"""What recipes lose to attacks, beside random noise of the same size, as a table of its own."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from chiasm.evaluation.stress.faults import ATTACKS, NOISE

NO_GRADIENT = "not attacked: no gradient of one network in its tokens"
COLUMNS = (
    "recipe", "attack", "modality", "radius", "clean", "noise", "attacked", "low", "high",
    "change", "change_low", "change_high", "lost", "lost_to_noise",
)  # fmt: skip


def attack_table(table: pd.DataFrame, chance: float) -> pd.DataFrame:
    """Table of the attacks among what `stressed` returns, one row a recipe, attack, modality and radius.

        lost = (clean - attacked) / (clean - chance)

    is the share of what the recipe knows that the attack takes, above 1 where it is turned against it; NaN where the
    interval of the clean metric does not lie above chance: there is nothing to lose. `noise` is the metric under random
    signs of the same size, `lost_to_noise` the share lost to them.

    Args:
        table: of `stress.stressed`.
        chance: the primary metric where nothing is known.
    """
    rows = []
    for recipe, own in table.groupby("recipe", sort=False):
        clean = own.iloc[0]
        known = clean["metric"] - chance if clean["low"] > chance else np.nan
        control = own[own["fault"] == NOISE].set_index(["modality", "level"])["metric"]
        for row in own[own["fault"].isin([kind for kind in ATTACKS if kind != NOISE])].to_dict("records"):
            of_noise = float(control.get((row["modality"], row["level"]), np.nan))
            ends = (row[name] for name in ("metric", "low", "high", "change", "change_low", "change_high"))
            shares = -row["change"] / known, (clean["metric"] - of_noise) / known
            rows.append(
                (recipe, row["fault"], row["modality"], row["level"], clean["metric"], of_noise, *ends, *shares)
            )
    return pd.DataFrame(rows, columns=list(COLUMNS))


def not_attacked(table: pd.DataFrame, kinds: Sequence[str]) -> dict[str, str]:
    """Recipes that were to be attacked and were not, with why; empty where no attack was asked for."""
    if not set(kinds) & set(ATTACKS):
        return {}
    struck = set(table.loc[table["fault"].isin(list(ATTACKS)), "recipe"])
    return {str(recipe): NO_GRADIENT for recipe in table["recipe"].unique() if recipe not in struck}
