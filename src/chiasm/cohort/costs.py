"""What collecting a modality costs a patient, in one currency of the owner's choice."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from numbers import Real

from chiasm.errors import Problem, error


def unfit_price(cost: float) -> tuple[str, str] | None:
    """Return what is wrong with a price, and what to do; None of a sound one."""
    if isinstance(cost, bool) or not isinstance(cost, Real) or not math.isfinite(cost):
        return "'cost' is no number", "write what the modality costs for one patient, as in cost = 120"
    return ("'cost' is below zero", "write what is paid for one patient, 0 if nothing is") if cost < 0 else None


def unfit_prices(costs: Mapping[str, float], modalities: Collection[str]) -> list[Problem]:
    """Report prices that are no numbers, or of modalities that are not there."""
    found = []
    for name, cost in costs.items():
        wrong = unfit_price(cost)
        if name not in modalities:
            wrong = "there is no such modality", "correct the name in cost"
        if wrong:
            found.append(error(*wrong, modality=name, finding="manifest-value"))
    return found
