"""`slerp-merge`: two copies of one base, each tuned on half of the patients, merged by slerp (arXiv 2409.03444)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from chiasm.fitting.row import Row
from chiasm.merging.wise_ft import ALPHAS, interpolate, sweep
from chiasm.recipes.tunings import ROWS
from chiasm.recipes.tunings.tuned import State, TunedRecipe, Tuner


@dataclass(frozen=True)
class SlerpMerge(TunedRecipe):
    """Spherical interpolation of two fine-tuned copies, tensor by tensor: `slerp(first half, second half, t)`.

    Args:
        choose: select `t` in 0, 0.1 ... 1 by the loss on the held-out patients; otherwise `t` is one half.
    """

    choose: bool = True

    row: ClassVar[Row] = ROWS["slerp-merge"]

    @property
    def settings(self) -> int:
        """Number of values of `t` tried, and of settings that a start tries."""
        return (len(ALPHAS) if self.choose else 1) + super().settings - 1

    def merged(self, tuner: Tuner) -> tuple[State, dict[str, float]]:
        """Tune and merge the two copies; if `t` is selected, both ends are candidates too."""
        base = tuner.base()
        one, other = (tuner.tuned(f"half-{k}", base, rows=rows) for k, rows in enumerate(tuner.parts(2)))
        if not self.choose:
            state = interpolate(one, other, 0.5, "slerp")
            return state, {"t": 0.5, "score": tuner.score(state)}
        found = sweep(one, other, tuner.score, ALPHAS, "slerp")
        notes = {"t": found.alpha, "score_first": found.scores[0], "score_second": found.scores[-1]}
        return found.state, notes | {"score": max(found.scores)}
