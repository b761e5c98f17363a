"""`breadcrumbs`: sum of task vectors without their outliers and small entries, added to the base (arXiv 2312.06795)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from chiasm.fitting.base import choice
from chiasm.fitting.row import Row
from chiasm.merging.breadcrumbs import Breadcrumbs
from chiasm.merging.methods import merge_models
from chiasm.merging.wise_ft import best_along
from chiasm.recipes.tunings import ROWS
from chiasm.recipes.tunings.tuned import State, TunedRecipe, Tuner

SCALES = tuple(k / 10 for k in range(11))


@dataclass(frozen=True)
class BreadcrumbsRecipe(TunedRecipe):
    """Model Breadcrumbs: `base + scale sum_k m_k (tuned_k - base)`; `scale` in 0, 0.1 ... 1 by held-out loss.

    Args:
        tunings: number of parts of the patients, one copy each; three or more.
        views: "modalities": one copy per modality, trained on it alone, and one on all; "patients": one copy per part
            of the patients.
        density: share of entries of each task vector that is kept, the paper's beta.
        outliers: share of largest entries that is dropped, the paper's gamma.
        granularity: unit within which the shares are taken: tensor, row or model.
    """

    tunings: int = 3
    views: str = "modalities"
    density: float = 0.2
    outliers: float = 0.1
    granularity: str = "tensor"

    row: ClassVar[Row] = ROWS["breadcrumbs"]

    def __post_init__(self) -> None:
        super().__post_init__()
        choice("views", self.views, ("modalities", "patients"))
        if self.tunings < 3:
            raise ValueError(f"tunings={self.tunings} is too few: three parts of the patients or more")
        self.method  # noqa: B018 (Breadcrumbs refuses invalid shares)

    @property
    def method(self) -> Breadcrumbs:
        """Merging method at scale one: the sum of task vectors, as in the paper."""
        return Breadcrumbs(density=self.density, outliers=self.outliers, granularity=self.granularity, normalize=False)

    @property
    def settings(self) -> int:
        """Number of scales tried, and of settings that a start tries."""
        return len(SCALES) + super().settings - 1

    def merged(self, tuner: Tuner) -> tuple[State, dict[str, float]]:
        """Merge at the best scale; scale 0 is the base, so the result is no worse than it on the held-out patients."""
        base = tuner.base()
        copies = self.copies(tuner, base)

        def at(scale: float) -> State:
            return merge_models(copies, None, replace(self.method, scale=scale), base)

        found = best_along(at, SCALES, tuner.score)
        notes = {"scale": found.alpha, "tunings": float(len(copies)), "score_base": found.scores[0]}
        return found.state, notes | {"score": max(found.scores)}

    def copies(self, tuner: Tuner, base: State) -> list[State]:
        """Tune one copy per view."""
        if self.views == "patients":
            return [tuner.tuned(f"part-{k}", base, rows=rows) for k, rows in enumerate(tuner.parts(self.tunings))]
        count = len(tuner.training.cohort.modalities)
        views = [*np.eye(count, dtype=bool), np.ones(count, bool)]
        return [tuner.tuned(f"view-{k}", base, see=see) for k, see in enumerate(views)]
