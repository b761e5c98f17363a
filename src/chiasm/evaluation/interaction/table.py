"""Answers on how modalities share what they tell, as the rows of one table."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pandas as pd

from chiasm.evaluation.interaction.estimated import TOLD, Decomposed
from chiasm.evaluation.interaction.interaction import TOO_FEW, Found
from chiasm.evaluation.interaction.words import says, why_not

COLUMNS = (
    "first", "second", "outcome", "states_by", "basis", "patients", "pairs", "rarest", "states", "entropy",
    *(f"{name}{end}" for name in TOLD for end in ("", "_low", "_high")),
    "plain", "chance", "chance_high", "told", "says",
)  # fmt: skip


def tabled(found: Sequence[Found]) -> pd.DataFrame:
    """One row a pair of modalities, label and way, with the columns `COLUMNS`.

    Information is in bits, each with its 95 % interval: `redundant` is what either tells, `first_alone` and
    `second_alone` what one of them tells and the other does not, `synergy` what neither tells without the other; they
    sum to `together`, of the `entropy` of the outcome. `adds_first` is what the first tells beside the second.
    `basis` is "patients" where they are estimated of who has both, "bounds" where `synergy_low` and `synergy_high`
    bound the synergy, with their interval, and "too few to say". `plain` is `together` before the bias is taken away,
    and so is `chance`, what is told of shuffled outcomes in the mean, `chance_high` at most in 95 % of the shuffles;
    `told` is True where `plain` is more than that, and the interval of `together` does not hold zero. `rarest` counts
    the patients of the rarest state of the outcome, weighted ones by what they are worth; `states` is how many each
    modality has. NaN is what is not known.
    """
    rows: list[dict[str, Any]] = []
    for asked, way, answer, why in found:
        row: dict[str, Any] = dict.fromkeys(COLUMNS, math.nan) | {
            "first": asked.first, "second": asked.second, "outcome": asked.outcome.name, "states_by": way,
            "basis": TOO_FEW if answer is None else asked.basis, "patients": asked.patients, "pairs": asked.pairs,
            "rarest": asked.rarest, "states": asked.states, "told": False,
        }  # fmt: skip
        if answer is None:
            rows.append(row | {"says": why_not(row, why)})
            continue
        row["entropy"] = answer.entropy
        for name, own in answer.parts.items():
            row |= {name: own.value, f"{name}_low": own.low, f"{name}_high": own.high}
        if isinstance(answer, Decomposed):
            row |= {"plain": answer.plain, "chance": answer.chance[0], "chance_high": answer.chance[1]}
            row["told"] = answer.told
        rows.append(row | {"says": says(row)})
    return pd.DataFrame(rows, columns=list(COLUMNS))
