"""Which skills a candidate lacks: its score at each value of each tag, with the other tags held fixed.

Values of tags hang together (what takes external knowledge is often fine-grained too), so that a plain difference
between items with and without a value blames one skill for another. `own` is the effect of a value with all other tags
held fixed, by least squares, where the items can tell them apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from chiasm.bench.averages import levels_of, right_or_near
from chiasm.bench.marks import Marks
from chiasm.bench.scoring import LEAST, sums_of_units, weights_of
from chiasm.errors import nearest
from chiasm.metrics.shares import sign_flips
from chiasm.metrics.two_sample import holm
from chiasm.metrics.weighted import Floats

WITHIN = 1e-8
SMALL = 1e-10
"""Share of the largest singular value below which one is zero."""


@dataclass(frozen=True)
class Skills:
    """What each value of each tag is worth to a candidate, or to a second one against the first.

    Args:
        table: a row a value: `tag`, `level`, `n` items; `mean` of what is compared, with `low` and `high`; `own`, the
            value against the other values of its tag with all other tags held fixed, with `own_low` and `own_high`, NaN
            where the items cannot tell; for two candidates `p` of the paired differences within the value, and `holm`.
        paired: two candidates were compared.
    """

    table: pd.DataFrame
    paired: bool

    def lacking(self) -> pd.DataFrame:
        """Return the values whose own effect lies below zero with its whole interval, the worst first."""
        found = self.table[self.table["own_high"] < 0]
        return found.sort_values("own")

    @property
    def sentence(self) -> str:
        """Say what is lacking."""
        rows = self.lacking()
        what = "The second candidate loses most" if self.paired else "The candidate is weakest"
        if not len(rows):
            return "No skill stands out below the others, as far as these items tell."
        named = ", ".join(f"{row.tag}: {row.level} ({row.own:+.3f})" for row in rows.head(3).itertuples())
        return f"{what}, with all other tags held fixed, at {named}."


def skills(
    marks: Marks, second: Marks | None = None, *, tags: Sequence[str] | None = None, draws: int = 500, seed: int = 0
) -> Skills:
    """Estimate the effect of each value of each tag.

    What is compared of an item is its score (1 or 0, or token F1 of a text) less what chance scores; for two candidates
    the second's score less the first's, which takes out how hard an item is. Groups of items are drawn.

    Args:
        marks: of the candidate, or of the first one.
        second: of another candidate on the same items in the same order.
        tags: those to look at; None: all with two values or more.
        draws, seed: of the bootstrap.

    Raises:
        ValueError: the two have other items, they have no tag of a name, or none has two values of ten items or more.
    """
    if second is not None and [own.digest for own in marks.items] != [own.digest for own in second.items]:
        raise ValueError("the two candidates were asked other items: skills are compared on the same ones")
    chance = np.array([len(own.positions) / len(own.options) if own.options else 0.0 for own in marks.items])
    compared = right_or_near(marks) - chance if second is None else right_or_near(second) - right_or_near(marks)
    there = sorted({name for item in marks.items for name in item.tags})
    names = there if tags is None else list(dict.fromkeys(tags))
    if unknown := [name for name in names if name not in there]:
        like = nearest(unknown[0], there)
        hint = f"did you mean '{like}'?" if like else f"they are {', '.join(there) or 'none'}"
        raise ValueError(f"the items have no tag '{unknown[0]}': {hint}")
    held = {name: levels for name in names if (levels := _values(marks, name)) is not None}
    if not held:
        raise ValueError(f"no tag has two values of {LEAST} items or more: there is nothing to tell apart")
    weights = weights_of(marks, draws, seed)
    design, columns = _design(held)
    fits = _fitted(design, compared, np.vstack([np.ones(len(compared)), weights]))  # (R + 1, P)
    rows = []
    for tag, levels in held.items():
        for level in _names(levels):
            inside = levels == level
            mean = _means(compared, np.vstack([np.ones(len(compared)), weights]), inside)
            own = fits @ contrast if (contrast := _contrast(design, columns, tag, level)) is not None else None
            rows.append(
                {
                    "tag": tag, "level": level, "n": int(inside.sum()),
                    **dict(zip(("mean", "low", "high"), _ends(mean), strict=True)),
                    **dict(zip(("own", "own_low", "own_high"), _ends(own), strict=True)),
                    "p": np.nan if second is None else sign_flips(sums_of_units(compared, marks, inside)),
                }
            )  # fmt: skip
    table = pd.DataFrame(rows)
    table["holm"] = np.nan if second is None else holm(table["p"].to_numpy(dtype=np.float64))
    return Skills(table, second is not None)


def _values(marks: Marks, tag: str) -> NDArray[np.str_] | None:
    """(N,) value of a tag, those of fewer than ten items as none; None where fewer than two are left."""
    levels = levels_of(marks.items, tag)
    names, counts = np.unique(levels, return_counts=True)
    kept = [name for name, n in zip(names.tolist(), counts.tolist(), strict=True) if name and n >= LEAST]
    return np.where(np.isin(levels, kept), levels, "") if len(kept) > 1 else None


def _names(levels: NDArray[np.str_]) -> list[str]:
    return [name for name in np.unique(levels).tolist() if name]


def _design(held: dict[str, NDArray[np.str_]]) -> tuple[Floats, list[tuple[str, str]]]:
    """(N, P) a constant and an indicator for each value of each tag, and what each column is."""
    columns = [("", ""), *((tag, level) for tag, levels in held.items() for level in _names(levels))]
    parts = [held[tag] == level if tag else np.ones(len(next(iter(held.values())))) for tag, level in columns]
    return np.column_stack(parts).astype(np.float64), columns


def _contrast(design: Floats, columns: Sequence[tuple[str, str]], tag: str, level: str) -> Floats | None:
    """(P,) the value against the mean of the other values of its tag; None where the items cannot tell it."""
    others = [k for k, own in enumerate(columns) if own[0] == tag and own[1] != level]
    contrast = np.zeros(len(columns))
    contrast[columns.index((tag, level))] = 1.0
    contrast[others] = -1.0 / len(others)
    inside = np.linalg.pinv(design, rcond=SMALL) @ (design @ contrast)  # its part in the row space
    return contrast if np.abs(inside - contrast).max() < WITHIN else None


def _fitted(design: Floats, values: Floats, weights: Floats) -> Floats:
    """(R, P) least squares of least norm under each weighting."""
    fits = []
    for own in weights:
        root = np.sqrt(own)
        fits.append(np.linalg.lstsq(design * root[:, None], values * root, rcond=SMALL)[0])
    return np.stack(fits)


def _means(values: Floats, weights: Floats, inside: NDArray[np.bool_]) -> Floats:
    whole = weights[:, inside].sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(weights[:, inside] @ values[inside] / whole)


def _ends(drawn: Floats | None) -> tuple[float, float, float]:
    """The first as the estimate, and the interval of the others; all NaN for None."""
    if drawn is None:
        return (float("nan"),) * 3
    low, high = np.nanquantile(drawn[1:], [0.025, 0.975])
    return float(drawn[0]), float(low), float(high)
