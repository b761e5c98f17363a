"""Gains of modalities weighed against their prices: the advice whether to collect them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from numbers import Real

import pandas as pd

from chiasm.evaluation.collecting import Gain
from chiasm.evaluation.contrasts import Contrast

COLLECT, LEAVE, UNSURE, TOO_FEW, NO_PRICE = "collect", "do not collect", "cannot tell", "too few to say", ""
COLUMNS = (
    "have", "add", "asked", "patients", "folds", "gain", "low", "high", "cost",
    "break_even", "break_even_low", "break_even_high", "net", "net_low", "net_high", "decision",
)  # fmt: skip


def weighed(
    found: Sequence[Gain], costs: Mapping[str, float], worth: float | None = None, *, leaks: bool = False
) -> pd.DataFrame:
    """Weigh each gain against the price of its modality; the formulas stand in `collecting`.

    Args:
        costs: what a modality costs a patient, by name; one that is not named has no price.
        worth: what it is worth, in the same currency, to know one patient's outcome for certain; None: not said.
        leaks: True if the check found a leak that nobody accepted: then nothing is advised.

    Returns:
        One row a question with the columns `COLUMNS`; `have` is a pattern as text, empty of patients who have nothing.
        `break_even` is inf where nothing is gained. `decision` is "collect" where the whole interval of the net gain
        lies above zero, "do not collect" where it lies below, "cannot tell" between, and where there is no interval;
        "too few to say" where the gain is not estimable, and empty without a price or `worth`.

    Raises:
        ValueError: `worth` is not above zero.
    """
    require_worth(worth)
    rows = []
    for own, gain, folds in found:
        cost = costs.get(own.add, math.nan)
        net = [math.nan if worth is None else worth * value - cost for value in gain.numbers]
        even = [break_even(cost, value) for value in (gain.mean, gain.high, gain.low)]
        who = ("+".join(own.have), own.add, own.asked, own.patients, folds)
        rows.append((*who, *gain.numbers, cost, *even, *net, _decision(gain, net, leaks)))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def require_worth(worth: float | None) -> None:
    """Refuse a worth that is not above zero; asked before any work."""
    if worth is None:
        return
    if isinstance(worth, bool) or not isinstance(worth, Real) or not (math.isfinite(worth) and worth > 0):
        raise ValueError(f"worth is {worth}: it is what knowing an outcome for certain is worth, above zero")


def break_even(cost: float, gain: float) -> float:
    """What knowing an outcome for certain must be worth for this price to be paid: cost / gain; inf without a gain."""
    if math.isnan(cost) or math.isnan(gain):
        return math.nan
    return cost / gain if gain > 0 else 0.0 if cost == 0 and gain == 0 else math.inf


def _decision(gain: Contrast, net: Sequence[float], leaks: bool) -> str:
    _, low, high = net
    if not gain.estimable:
        return TOO_FEW
    if math.isnan(net[0]):
        return NO_PRICE
    if leaks or not gain.bounded:
        return UNSURE
    return COLLECT if low > 0 else LEAVE if high < 0 else UNSURE
