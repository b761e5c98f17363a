"""`wise-ft`: the best interpolation between a modality-dropout base and its fine-tuned copy (arXiv 2109.01903)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from chiasm.fitting.row import Row
from chiasm.merging.wise_ft import ALPHAS, sweep
from chiasm.recipes.tunings import ROWS
from chiasm.recipes.tunings.tuned import State, TunedRecipe, Tuner


@dataclass(frozen=True)
class WiseFT(TunedRecipe):
    """Weight interpolation: `(1 - alpha) base + alpha tuned`, `alpha` in 0, 0.1 ... 1 by held-out loss.

    The base is trained with modality dropout; the copy is tuned on all modalities that each patient has.
    """

    row: ClassVar[Row] = ROWS["wise-ft"]

    @property
    def settings(self) -> int:
        """Number of values of `alpha` tried, and of settings that a start tries."""
        return len(ALPHAS) + super().settings - 1

    def merged(self, tuner: Tuner) -> tuple[State, dict[str, float]]:
        """Merge at the best `alpha`; both ends are tried, so it is no worse than either on the held-out patients."""
        base = tuner.base()
        found = sweep(base, tuner.tuned("tuned", base), tuner.score)
        notes = {"alpha": found.alpha, "score_base": found.scores[0], "score_tuned": found.scores[-1]}
        return found.state, notes | {"score": max(found.scores)}
