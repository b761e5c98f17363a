"""`breadcrumbs`: of each tuning neither the outliers nor the small entries, added up on the base (arXiv 2312.06795)."""

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
    """`base + scale sum_k m_k (tuned_k - base)`, `scale` of 0, 0.1 ... 1 by the loss on the held-out patients.

    Args:
        tunings: how many parts of the patients, each with a copy of its own; three or more.
        views: "modalities": a copy for each modality, which sees that one alone, and one that sees all; "patients": a
            copy for each part of the patients.
        density: the share of the entries of each task vector that is kept, the paper's beta.
        outliers: the share of largest size that is left out, the paper's gamma.
        granularity: of what these are shares: tensor, row or model.
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
        self.method  # noqa: B018 (refuses shares that cannot be)

    @property
    def method(self) -> Breadcrumbs:
        """At scale one, the sum, as in the paper."""
        return Breadcrumbs(density=self.density, outliers=self.outliers, granularity=self.granularity, normalize=False)

    @property
    def settings(self) -> int:
        """The scales that are tried."""
        return len(SCALES)

    def merged(self, tuner: Tuner) -> tuple[State, dict[str, float]]:
        """The best scale; the base is tried too, so the result is no worse than it on the held-out patients."""
        base = tuner.base()
        copies = self.copies(tuner, base)

        def at(scale: float) -> State:
            return merge_models(copies, None, replace(self.method, scale=scale), base)

        found = best_along(at, SCALES, tuner.score)
        notes = {"scale": found.alpha, "tunings": float(len(copies)), "score_base": found.scores[0]}
        return found.state, notes | {"score": max(found.scores)}

    def copies(self, tuner: Tuner, base: State) -> list[State]:
        """The copies, one a view."""
        if self.views == "patients":
            return [tuner.tuned(f"part-{k}", base, rows=rows) for k, rows in enumerate(tuner.parts(self.tunings))]
        count = len(tuner.training.cohort.modalities)
        views = [*np.eye(count, dtype=bool), np.ones(count, bool)]
        return [tuner.tuned(f"view-{k}", base, see=see) for k, see in enumerate(views)]
