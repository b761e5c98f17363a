"""Squared error of channels, each in units of its own spread, under a penalty of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from chiasm.errors import Unsupported
from chiasm.linear.least_squares import fit_ridge
from chiasm.linear.loss import NO_TREES, Array, Boosting, Fits, Growing, Local, Loss, Near, about_mean
from chiasm.linear.shared_rows import Rows
from chiasm.targets import Outcome

FINE = float(1 << 20)


class ChannelError(Loss):
    """Squared error of channels `(n, V)`; the link is the response. Channels count by their mean."""

    by_channel: ClassVar[bool] = True
    has_trees: ClassVar[bool] = False

    def path(self, x: Rows, known: Outcome, penalties: Sequence[float], classes: int | None) -> Fits:
        return fit_ridge(x, known.value, penalties)

    def local(self, known: Outcome, classes: int | None) -> Local:
        """Half the squared error, of all channels together."""
        value = np.asarray(known.value, np.float64)

        def at(link: Array) -> Near:
            apart = link - value
            return Near(0.5 * float(np.sum(apart**2)), apart, np.ones_like(link), lambda d: d)

        return Local(value.mean(0), at)

    def deviance(self, link: Array, known: Outcome) -> float:
        return float(np.mean((known.value - link) ** 2))

    def terms(self, own: Outcome, whole: Outcome) -> Any:
        """The responses, and twice the variance of each channel, in units of which its error is counted."""
        spread = np.asarray(whole.value, np.float64).var(axis=0) if len(whole.value) else np.ones(own.value.shape[1])
        return np.asarray(own.value, np.float64), 2 * np.where(spread > 0, spread, 1.0)

    def nll(self, link: Array, terms: Any) -> float:
        value, unit = terms
        whole = float(np.sum(np.sum((value - link) ** 2, axis=0) / unit))
        return whole / max(1, len(unit))

    def residuals(self, known: Outcome, classes: int | None) -> Array:
        """Deviations from the mean, each channel in units of its spread."""
        apart = about_mean(np.asarray(known.value, np.float64))
        spread = apart.std(axis=0)
        return apart / np.where(spread > 0, spread, 1.0)

    def boosting(self, known: Outcome, classes: int | None) -> list[Boosting]:
        raise Unsupported(NO_TREES)

    def prior_votes(self, whole: Outcome, classes: int | None) -> Array:
        """The mean response."""
        return np.asarray(whole.value.mean(axis=0))

    def growing(self, own: Outcome, whole: Outcome, classes: int | None) -> list[Growing]:
        """Deviations from the mean of the items given, about that of all; a split serves all channels at once."""
        value = np.asarray(own.value, np.float64)
        target = np.round((value - value.mean(axis=0) + whole.value.mean(axis=0)) * FINE) / FINE
        return [Growing(target, np.ones(len(value)), np.ones(len(value)))]

    def link_of(self, votes: Array) -> Array:
        return votes
