"""Choice of a penalty for each channel of a response by inner folds."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from chiasm.cohort import Outcome
from chiasm.fitting.refitted import Chosen
from chiasm.linear.channel_ridge import ChannelRidge, chosen_penalties
from chiasm.linear.likelihood import FoldLikelihood
from chiasm.linear.linear import Linear, information
from chiasm.linear.shared_rows import Rows
from chiasm.linear.target_units import TargetUnits

Folds = NDArray[np.int_]
PENALTIES = tuple(10.0**power for power in np.arange(-2.5, 4.01, 0.5))
"""In units of information, up to where a channel of noise is left at its mean."""


def choose_channels(kind: str, x: Rows, outcome: Outcome, folds: Folds) -> Chosen:
    """Fit a ridge of all channels, each at the penalty of its smallest held-out squared error.

    Channels are in standard units of the items given. The `penalty` of what is chosen is the geometric mean over
    channels, by which modalities are weighed against each other. Links have no slope: each channel has shrunk its own.
    """
    known = np.flatnonzero(outcome.known)
    units = TargetUnits.of(kind, outcome)
    inside, values = units.inside(outcome), np.asarray(x, np.float64)
    own = inside.take(known)
    split = [own.take(np.flatnonzero(folds[known] != fold)) for fold in np.unique(folds[known])]
    each = [[penalty * information(kind, part) for penalty in PENALTIES] for part in split]
    best, found, means = chosen_penalties(values[known], own.value, folds[known], each, PENALTIES)
    links, levels = (np.full(inside.value.shape, np.nan) for _ in range(2))
    links[known], levels[known] = found, means
    fit = ChannelRidge(values[known], own.value)
    coef, intercept = fit.coefficients(np.asarray(PENALTIES)[best] * information(kind, own))
    linear = Linear(kind, coef * units.scale, units.outside(intercept))
    loss = FoldLikelihood(kind, inside, folds)(np.where(np.isnan(links), 0.0, links))
    penalty = float(10.0 ** np.log10(np.asarray(PENALTIES)[best]).mean())
    return Chosen(linear, penalty, 1.0, 0.0, units.outside(links), units.outside(levels), units.outside(links), loss)
