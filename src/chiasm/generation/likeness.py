"""How like real patients synthetic ones are: columns, what they say of each other, and survival curves."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import ks_2samp  # type: ignore[import-untyped]

from chiasm.cohort import Target
from chiasm.generation.margins import FEW
from chiasm.generation.rows import OUTCOME, Rows, timed

Array = NDArray[np.float64]
MOST_COLUMNS = 200
"""Columns of a block that are compared, evenly spaced, where it has more."""


def likeness(real: Rows, made: Rows, held: Rows, *, target: Target | None = None) -> dict[str, Any]:
    """Compare synthetic patients with real ones, and patients held out with the same, who differ by chance.

    Of each block: `margins`, the mean and the largest distance of a column's distributions (Kolmogorov and Smirnov's of
    numbers, total variation of levels); `missing`, the largest difference of a column's share of missing cells;
    `correlations`, the mean and the largest difference of Spearman's correlations; `present`,
    the difference of the share who have it. `curves`: the largest distance of Kaplan-Meier curves of any event, where
    the target has times. Of a block of more than 200 columns as many are compared.
    """
    blocks = {}
    for name in real.blocks:
        blocks[name] = {
            whose: {
                "margins": _spread(
                    [_distance(real.blocks[name][c], own.blocks[name][c]) for c in spaced(real.blocks[name].columns)]
                ),
                "missing": float((_lacks(real, name) - _lacks(own, name)).abs().max()),
                "correlations": _correlated(real.blocks[name], own.blocks[name]),
                "present": abs(float(real.present[name].mean() - own.present[name].mean())),
            }
            for whose, own in (("synthetic", made), ("held_out", held))
        }
    found: dict[str, Any] = {"blocks": blocks}
    if target is not None and target.has_times and OUTCOME in real.blocks:
        found["curves"] = {
            whose: survival_distance(*(timed(target, one.blocks[OUTCOME]) for one in (real, own)))
            for whose, own in (("synthetic", made), ("held_out", held))
        }
    return found


def survival_distance(real: pd.DataFrame, other: pd.DataFrame) -> float:
    """Largest difference of two Kaplan-Meier curves until the earlier of their last times; see `rows.timed`."""
    from lifelines import KaplanMeierFitter  # type: ignore[import-untyped]

    curves, last = [], np.inf
    for frame in (real, other):
        time, event = frame.to_numpy(np.float64).T
        curves.append(KaplanMeierFitter().fit(time, event))
        last = min(last, float(time.max()))
    grid = np.linspace(0, last, 200)
    first, second = (own.survival_function_at_times(grid).to_numpy() for own in curves)
    return float(np.abs(first - second).max())


def spaced(columns: pd.Index) -> list[str]:
    """At most 200 of the columns, evenly spaced."""
    return [str(own) for own in columns[:: max(1, -(-len(columns) // MOST_COLUMNS))]]


def _distance(one: pd.Series, other: pd.Series) -> float:
    one, other = one.dropna(), other.dropna()
    if not len(one) or not len(other):
        return float("nan")
    if one.dtype != object and one.nunique() > FEW:
        return float(ks_2samp(one.to_numpy(np.float64), other.to_numpy(np.float64)).statistic)
    shares = [own.astype(str if own.dtype == object else float).value_counts(normalize=True) for own in (one, other)]
    return float(shares[0].sub(shares[1], fill_value=0).abs().sum() / 2)


def _lacks(rows: Rows, name: str) -> pd.Series:
    own = rows.blocks[name][rows.present[name]]
    return own.isna().mean() if len(own) else pd.Series(0.0, index=own.columns)


def _correlated(one: pd.DataFrame, other: pd.DataFrame) -> dict[str, float]:
    numbers = [c for c in spaced(one.columns) if one[c].dtype != object and one[c].nunique() > 1]
    if len(numbers) < 2:
        return _spread([])
    found = [own[numbers].corr(method="spearman").to_numpy() for own in (one, other)]
    pairs = np.triu_indices(len(numbers), 1)
    return _spread(np.abs(found[0] - found[1])[pairs].tolist())


def _spread(values: list[float]) -> dict[str, float]:
    known = [own for own in values if np.isfinite(own)]
    return {"mean": float(np.mean(known)) if known else 0.0, "largest": max(known, default=0.0)}
