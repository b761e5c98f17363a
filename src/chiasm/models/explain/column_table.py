"""The table of what columns and sets are worth: a row for each, the way it was told and the output."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from chiasm.models.explain.columns import Worth
from chiasm.models.explain.pieces import COLUMN, named_columns

PERMUTATION, COEFFICIENT = "permutation", "coefficient"
TABLE = (
    *("modality", "what", "name", "columns", "way", "output", "rank", "patients"),
    *("size", "low", "high", "loss", "loss_low", "loss_high", "effect", "nothing", "note"),
)
FAMILY = ["modality", "what", "way"]


def shuffled_rows(found: Sequence[Worth], outputs: Sequence[str]) -> pd.DataFrame:
    """What was shuffled as rows, one for each output."""
    rows = []
    for worth in found:
        known = bool(len(worth.shuffles.rows))
        for place, output in enumerate(outputs):
            size = worth.size[place] if known else np.full(3, np.nan)
            rows.append(
                {
                    "modality": worth.piece.modality,
                    "what": worth.piece.what,
                    "name": worth.piece.name,
                    "columns": len(worth.piece.columns),
                    "way": PERMUTATION,
                    "output": output,
                    "patients": len(worth.shuffles.rows),
                    **dict(zip(("size", "low", "high"), size, strict=True)),
                    **dict(zip(("loss", "loss_low", "loss_high"), worth.loss, strict=True)),
                    "effect": np.nan,
                    "nothing": np.nan,
                    "note": "" if known else "not estimable",
                }
            )
    return pd.DataFrame(rows, columns=[name for name in TABLE if name != "rank"])


def linear_rows(
    linear: pd.DataFrame | None, answers: Sequence[str], columns: dict[str, tuple[str, ...]], only: Sequence[str]
) -> pd.DataFrame:
    """Coefficients as rows; of a category one for each level. Without shuffling nothing is lost, nor is it drawn."""
    if linear is None:
        return shuffled_rows((), ())
    outputs = np.array(answers, object)[linear["output"].to_numpy()]
    made = linear.assign(
        what=np.where(linear["name"] == linear["column"], COLUMN, "level"), columns=1, way=COEFFICIENT, output=outputs,
        size=linear["effect"].abs(), low=np.nan, high=np.nan, loss=np.nan, loss_low=np.nan, loss_high=np.nan,
        nothing=np.nan, note="",
    )  # fmt: skip
    if only:
        named = named_columns(columns, only)
        kept = [column in named.get(own, ()) for own, column in zip(made["modality"], made["column"], strict=True)]
        made = made[kept]
    return made[[name for name in TABLE if name != "rank"]]


def together(shuffled: pd.DataFrame, linear: pd.DataFrame) -> pd.DataFrame:
    """Put the rows of both ways below each other, of which either may have none."""
    parts = [own for own in (shuffled, linear) if len(own)]
    return pd.concat(parts, ignore_index=True) if parts else shuffled


def ranked(table: pd.DataFrame, answers: Sequence[str]) -> pd.DataFrame:
    """Add the rank of each column or set among those of its modality and way, by the mean size over the answers."""
    own = table[table["output"].isin(answers)].groupby([*FAMILY, "name"])["size"].mean()
    rank = own.groupby(level=FAMILY).rank(ascending=False, method="first")
    keys = pd.MultiIndex.from_frame(table[[*FAMILY, "name"]])
    return table.assign(rank=rank.reindex(keys).to_numpy())


def matched(table: pd.DataFrame, told: pd.DataFrame) -> np.ndarray:
    """Return for each row of a table the size that another one has of it; NaN where it has none."""
    keys = [*FAMILY, "name", "output"]
    sizes = told.drop_duplicates(keys).set_index(keys)["size"]
    return sizes.reindex(pd.MultiIndex.from_frame(table[keys])).to_numpy(np.float64)


def shown_first(table: pd.DataFrame, answers: Sequence[str], most: int) -> pd.DataFrame:
    """Return the first `most` of each modality and way, in order, of each the answer that it moves most.

    What moves nothing is not among the first; what is not estimable is, and says so.
    """
    top = table[table["output"].isin(answers) & (table["rank"] <= most) & (table["size"] != 0)]
    top = top.sort_values("size", ascending=False, kind="stable").drop_duplicates([*FAMILY, "name"])
    families = [tuple(row) for row in table[FAMILY].drop_duplicates().to_numpy()]
    place = [families.index(tuple(row)) for row in top[FAMILY].to_numpy()]
    return top.assign(place=place).sort_values(["place", "rank"], kind="stable").drop(columns="place")
