"""Squared error of the point of a text in the space of texts, all axes in one unit."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from chiasm.linear.channels import FINE, ChannelError
from chiasm.linear.loss import Array, Growing, about_mean
from chiasm.targets import Outcome


class TextError(ChannelError):
    """Squared distance of the link `(n, E)` and the point of the text; an axis counts by how far texts differ on it.

    Its minimum is the mean point of the texts that a patient may have, whose inner product with the point of a text is
    the score that this text is expected to get (Ciliberto, Rosasco and Rudi 2016, arXiv 1605.07588).
    """

    has_trees: ClassVar[bool] = False

    def terms(self, own: Outcome, whole: Outcome) -> Any:
        """The points, and twice their total variance, in units of which the error is counted."""
        spread = float(np.asarray(whole.value, np.float64).var(axis=0).sum()) if len(whole.value) else 0.0
        return np.asarray(own.value, np.float64), 2 * (spread or 1.0)

    def nll(self, link: Array, terms: Any) -> float:
        value, unit = terms
        return float(np.sum((value - link) ** 2) / unit)

    def residuals(self, known: Outcome, classes: int | None) -> Array:
        """Deviations from the mean, in units of the widest axis."""
        apart = about_mean(np.asarray(known.value, np.float64))
        widest = float(apart.std(axis=0).max(initial=0.0))
        return apart / (widest or 1.0)

    def growing(self, own: Outcome, whole: Outcome, classes: int | None) -> list[Growing]:
        """Deviations from the mean of the patients given, about that of all; a split serves all axes at once."""
        value = np.asarray(own.value, np.float64)
        target = np.round((value - value.mean(axis=0) + whole.value.mean(axis=0)) * FINE) / FINE
        return [Growing(target, np.ones(len(value)), np.ones(len(value)))]
