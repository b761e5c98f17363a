"""A loss within strata: a likelihood that compares patients compares those of one stratum alone.

    loss = sum_s loss_s(links of stratum s)

Cox's likelihood of several cohorts then has a baseline hazard for each, whatever their times and their censoring.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from chiasm.linear.loss import Array, Local, Loss, Near
from chiasm.targets import Outcome


def local_of(loss: Loss, outcome: Outcome, classes: int | None, strata: NDArray[np.int_] | None = None) -> Local:
    """Return the loss near a point, within strata `(n,)` if it compares patients; every outcome is known."""
    if strata is None or not loss.compares:
        return loss.local(outcome, classes)
    rows = [np.flatnonzero(strata == stratum) for stratum in np.unique(strata)]
    parts = [loss.local(outcome.take(own), classes) for own in rows]

    def at(link: Array) -> Near:
        near = [part.at(link[own]) for part, own in zip(parts, rows, strict=True)]

        def spread(values: list[Array]) -> Array:
            whole = np.zeros(link.shape)
            for own, value in zip(rows, values, strict=True):
                whole[own] = value
            return whole

        return Near(
            sum(own.value for own in near),
            spread([own.gradient for own in near]),
            spread([own.curvature for own in near]),
            lambda d: spread([part.times(d[own]) for part, own in zip(near, rows, strict=True)]),
        )

    return Local(parts[0].start, at, parts[0].expand)
