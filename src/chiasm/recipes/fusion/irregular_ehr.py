"""`irregular-ehr`: irregular records with other modalities (ICML 2023), a gated series and interleaved attention."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from chiasm.artifact import storable
from chiasm.cohort import Cohort
from chiasm.encoders import encoder_of, fit_encoders
from chiasm.encoders.record.event_steps import EventSteps
from chiasm.encoders.record.events import EventEncoder
from chiasm.fitting.base import Training, choice
from chiasm.fitting.network_recipe import NetworkRecipe
from chiasm.fitting.neural import Shapes, check_size, check_sizes, new_network, prepare
from chiasm.fitting.row import Row
from chiasm.fusion.irregular_ehr import IrregularEhr
from chiasm.fusion.timed import SERIES
from chiasm.fusion.transformer import check_heads
from chiasm.heads.response import Response
from chiasm.protocols import Encoder, Predictor
from chiasm.recipes.fusion import ROWS


@storable("irregular-ehr")
@dataclass(frozen=True)
class IrregularEhrDesign:
    """Sizes of the network, and the reference hours of each timed modality."""

    grids: dict[str, np.ndarray]
    latent_width: int
    depth: int
    heads: int
    series: str

    def __post_init__(self) -> None:
        check_sizes(1, self.latent_width, self.depth, self.heads)
        check_heads(self.latent_width, self.heads)
        choice("series", self.series, SERIES)

    def fusion(self, shapes: Shapes, dropout: float = 0.0) -> IrregularEhr:
        """Create a fresh fusion module of these sizes."""
        return IrregularEhr(
            shapes, self.grids, latent_width=self.latent_width, depth=self.depth, heads=self.heads, dropout=dropout,
            series=self.series,
        )  # fmt: skip


def with_steps(cohort: Cohort, steps: int, references: int) -> dict[str, Encoder]:
    """Fit the encoders of a cohort, with `EventSteps` in place of every `EventEncoder`, for the same codes."""
    timed: dict[str, Encoder] = {}
    for name in cohort.modalities:
        own = encoder_of(cohort, name)
        if isinstance(own, EventEncoder):
            timed[name] = EventSteps(steps, references, own.codes, own.share)
    return fit_encoders(cohort, timed)


@dataclass(frozen=True)
class IrregularEhrRecipe(NetworkRecipe):
    """Irregular records at their own times, beside any other modalities; trained end to end.

    Args:
        latent_width, depth, heads: D, layers, and heads of every attention.
        references: number of reference times of a record.
        steps: the largest number of times of a patient that are told apart.
        series: gated; irregular: time attention alone; imputed: last known values alone.
        dropout, epochs, patience, batch, learning_rate, weight_decay, modality_dropout: as in `NetworkRecipe`.
    """

    depth: int = 1
    heads: int = 4
    references: int = 24
    steps: int = 64
    series: str = "gated"

    row: ClassVar[Row] = ROWS["irregular-ehr"]

    def __post_init__(self) -> None:
        super().__post_init__()
        _ = self._design({})  # refuses invalid sizes
        check_size("references", self.references)
        check_size("steps", self.steps)

    def _design(self, grids: dict[str, np.ndarray]) -> IrregularEhrDesign:
        return IrregularEhrDesign(grids, self.latent_width, self.depth, self.heads, self.series)

    def learn(self, training: Training) -> tuple[Predictor, Response]:
        """Fit encoders that keep the times, create the network for their grids, train and calibrate it."""
        data = prepare(training, with_steps(training.cohort, self.steps, self.references))
        grids = {
            name: own.grid
            for name, own in data.encoders.items()
            if isinstance(own, EventSteps) and own.grid is not None
        }
        design = self._design(grids)
        return self.trained(training, data, design, new_network(training, data, design, self.dropout))
