"""What fine-tuning has taught and what it has cost: the same suites before and after, and at weights between them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from chiasm.bench.controls import ITSELF
from chiasm.bench.figures import Figure
from chiasm.bench.marks import Marks
from chiasm.bench.scoring import LEAST, difference, one, scored, weights_of
from chiasm.evaluation.estimates import percentile_interval
from chiasm.metrics.weighted import Floats

LEARNED, HELD = "learned", "held"
Difference = tuple[float, float, float, Floats]
"""A difference with its ends, and its draws (R,)."""


@dataclass(frozen=True)
class Forgetting:
    """Suites before and after fine-tuning.

    Args:
        table: a row a suite: `suite`, `side` (what was trained for, or held), `n`, `before`, `after`, `difference` with
            `low` and `high`.
        gain: mean difference over the suites trained for, with its interval; NaN without one.
        loss: mean difference over the suites held, the same.
    """

    table: pd.DataFrame
    gain: tuple[float, float, float]
    loss: tuple[float, float, float]

    @property
    def sentence(self) -> str:
        """Say what was learned and what forgotten, by the ends of the intervals alone."""
        return f"{_told(self.gain, 'trained for', 'learned')} {_told(self.loss, 'held', 'not forgotten')}"


def forgetting(
    runs: Mapping[str, tuple[Figure, Marks, Marks]], learned: Sequence[str], *, draws: int = 1000, seed: int = 0
) -> Forgetting:
    """Compare suites before and after fine-tuning, on the same items.

    Source: mu-Bench, arXiv 2407.01791, which reports what models of microscopy lose elsewhere. Suites weigh alike; the
    items of each are drawn in groups, suites on their own. A suite of fewer than ten groups has no interval.

    Args:
        runs: suite to its primary figure, and the marks before and after.
        learned: names of the suites that the fine-tuning was for; all others are held.
        draws, seed: of the bootstrap.

    Raises:
        ValueError: a suite that is not there, none that is held, or other items before than after.
    """
    if unknown := sorted(set(learned) - set(runs)):
        raise ValueError(f"there is no run of '{unknown[0]}': runs are of {', '.join(runs)}")
    if not set(runs) - set(learned):
        raise ValueError("every suite was trained for: forgetting shows on others alone")
    rows, sides = [], dict[str, list[Difference]]()
    for number, (name, (figure, before, after)) in enumerate(runs.items()):
        if [own.digest for own in before.items] != [own.digest for own in after.items]:
            raise ValueError(f"'{name}' was asked of other items before than after: run both on the same")
        weights = weights_of(before, draws, seed + number)
        values = one(figure, before), one(figure, after)
        _, low, high, drawn = difference(figure, after, before, weights)
        if len(before.members) < LEAST:
            low, high = float("nan"), float("nan")
        side = LEARNED if name in learned else HELD
        sides.setdefault(side, []).append((values[1] - values[0], low, high, drawn))
        rows.append(
            {
                "suite": name, "side": side, "n": len(before.items), "before": values[0], "after": values[1],
                "difference": values[1] - values[0], "low": low, "high": high,
            }
        )  # fmt: skip
    return Forgetting(pd.DataFrame(rows), _mean(sides.get(LEARNED, [])), _mean(sides[HELD]))


def along(
    alphas: Sequence[float],
    answered: Callable[[float], Mapping[str, Marks]],
    figures: Mapping[str, Figure],
    *,
    draws: int = 1000,
    seed: int = 0,
) -> pd.DataFrame:
    """Score suites at weights `(1 - alpha) theta_0 + alpha theta_1` between a base and its fine-tuned model.

    The weights of a point are `chiasm.merging.wise_ft.interpolate`, which gives the base itself at 0 and the fine-tuned
    model at 1, to the bit. Source: Wortsman et al., CVPR 2022, arXiv 2109.01903.

    Args:
        alphas: points from 0 to 1; both ends are always scored.
        answered: the marks of each suite with the weights of a point.
        figures: the primary figure of each suite.
        draws, seed: of the bootstrap, the same draws at every point.

    Returns:
        A row for each point and suite: `alpha`, `suite`, `value`, `low`, `high`.

    Raises:
        ValueError: an alpha outside of 0 to 1.
    """
    points = sorted({0.0, 1.0, *map(float, alphas)})
    if points[0] < 0 or points[-1] > 1:
        raise ValueError("every alpha lies between 0, the base, and 1, the fine-tuned model")
    rows = []
    for alpha in points:
        for number, (name, marks) in enumerate(answered(alpha).items()):
            own = scored(figures[name], marks, ITSELF, weights_of(marks, draws, seed + number))
            rows.append({"alpha": alpha, "suite": name, "value": own.value, "low": own.low, "high": own.high})
    return pd.DataFrame(rows)


def _mean(side: Sequence[Difference]) -> tuple[float, float, float]:
    """The mean over suites with its interval: that of their ends where all draws agree, none where one has none."""
    if not side:
        return (float("nan"),) * 3
    values, lows, highs, drawn = zip(*side, strict=True)
    low, high = percentile_interval(np.mean(drawn, axis=0))
    if low == high or np.isnan(lows).any():
        low, high = float(np.mean(lows)), float(np.mean(highs))
    return float(np.mean(values)), low, high


def _told(own: tuple[float, float, float], what: str, word: str) -> str:
    mean, low, high = own
    if np.isnan(mean):
        return f"No suite {what} was run."
    told = f"On the suites {what} the difference is {mean:+.3f}"
    if np.isnan(low):
        return f"{told} (no interval): too few items to tell whether anything was {word}."
    told = f"{told} ({low:.3f} to {high:.3f})"
    if low > 0:
        return f"{told}: better than before."
    if high < 0:
        return f"{told}: worse than before."
    return f"{told}: these items cannot tell whether anything was {word}."
