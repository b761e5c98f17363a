"""Base of the recipes in which something stands for an absent modality; each may have what any of them has."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from chiasm.artifact import storable
from chiasm.fitting.base import Training, choice
from chiasm.fitting.network_recipe import NetworkRecipe
from chiasm.fitting.neural import Prepared, Shapes, check_size, check_sizes, new_network, prepare
from chiasm.fitting.trained_recipe import LatentOptions
from chiasm.fusion.completed import Completed
from chiasm.fusion.missing_tokens import MISSING
from chiasm.heads.head import output_width
from chiasm.heads.response import Response
from chiasm.protocols import Predictor
from chiasm.training import Phase
from chiasm.training.alone import OnlyAlone
from chiasm.training.distilled_prompts import DistilledPrompts
from chiasm.training.options import check_chance


@storable("stand-ins")
@dataclass(frozen=True)
class StandInDesign:
    """Sizes of the transformer, what stands for an absent modality, and for which of them.

    Args:
        latents, latent_width, depth, heads, missing, pool, completion, typed, outputs: as in `Completed`.
        standing: the modalities for which something stands.
    """

    keeps_rows: ClassVar[bool] = True

    latents: int
    latent_width: int
    depth: int
    heads: int
    missing: str
    pool: int
    completion: float
    typed: bool
    outputs: int
    standing: tuple[str, ...]

    def __post_init__(self) -> None:
        check_sizes(self.latents, self.latent_width, self.depth, self.heads)
        check_size("pool", self.pool, 65536)
        choice("missing", self.missing, tuple(MISSING))

    def fusion(self, shapes: Shapes, dropout: float = 0.0) -> Completed:
        """Create a fresh fusion module of these sizes."""
        return Completed(
            shapes, latents=self.latents, latent_width=self.latent_width, depth=self.depth, heads=self.heads,
            dropout=dropout, missing=self.missing, pool=self.pool, completion=self.completion, typed=self.typed,
            outputs=self.outputs, standing=self.standing,
        )  # fmt: skip


FROZEN = "fusion.bank."
READ_BY = {"pool": "pool", "prompts": "distilled", "completion": "graph"}
"""Option to the one value of `missing` that reads it."""


@dataclass(frozen=True)
class StandInRecipe(NetworkRecipe, LatentOptions):
    """Transformer over the latents of all modalities, in which something stands for those that a patient lacks.

    Args:
        latents, latent_width, depth, heads: as in `LatentOptions`.
        dropout, epochs, patience, batch, learning_rate, weight_decay, modality_dropout: as in `NetworkRecipe`.
        missing: what stands for an absent modality (`fusion.missing_tokens.MISSING`).
        pool: number of prompts of each modality, for `missing=pool`.
        prompts: share of the epochs in which the prompts of each modality are taught first, for `missing=distilled`.
        completion: weight of the completion of modalities that are there, for `missing=graph`.
    """

    latents: int = 4
    missing: str = "placeholder"
    pool: int = 64
    prompts: float = 0.3
    completion: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        choice("missing", self.missing, tuple(MISSING))
        check_size("pool", self.pool, 65536)
        for option, way in READ_BY.items():
            if self.missing != way and getattr(self, option) != getattr(StandInRecipe, option):
                raise ValueError(f"{option} is read with missing={way} alone: leave it out with missing={self.missing}")
        if self.pool < self.latents and self.missing == "pool":
            raise ValueError(f"a pool of {self.pool} prompts has too few for {self.latents} latents")
        check_chance("prompts", self.prompts)
        if not 0.0 <= self.completion < float("inf"):
            raise ValueError(f"completion is {self.completion}, and must be 0 or more, and finite")

    @property
    def typed(self) -> bool:
        """True if attention has a bias for each pair of modalities."""
        return False

    def standing(self, data: Prepared) -> tuple[str, ...]:
        """Return the modalities for which something stands: those that a training step may lack, or completes.

        What no training patient lacks, and no step drops, has nothing that stands for it: nothing would train it.
        """
        names = tuple(sorted(data.tokens))
        if len(names) == 1 or self.missing == "nothing":
            return ()
        if self.modality_dropout or (self.missing == "graph" and self.completion):
            return names
        lacked = ~data.present[~data.held_out].all(0)
        return tuple(name for m, name in enumerate(names) if lacked[m])

    def taught_epochs(self, data: Prepared) -> int:
        """Return for how many epochs prompts are taught first; one epoch or more is left for the rest."""
        if self.missing != "distilled" or not self.standing(data):
            return 0
        return max(0, min(round(self.epochs * self.prompts), self.epochs - 1))

    def learn(self, training: Training) -> tuple[Predictor, Response]:
        """Create the network, train and calibrate it."""
        data = prepare(training)
        standing = self.standing(data)
        design = StandInDesign(
            self.latents, self.latent_width, self.depth, self.heads, self.missing if standing else "nothing", self.pool,
            self.completion, self.typed, output_width(training.target) if self.taught_epochs(data) else 0, standing,
        )  # fmt: skip
        return self.trained(training, data, design, new_network(training, data, design, self.dropout))

    def phases(self, data: Prepared) -> tuple[Phase, ...]:
        """Return one phase; for distilled prompts one that teaches them, and one in which they are frozen."""
        options, first = self.training_options, self.taught_epochs(data)
        if not first:
            return (Phase(options),)
        own = ("fusion.bank.", "fusion.entrances.", "fusion.queries", "fusion.readers.")
        taught = replace(options, epochs=first, modality_dropout=0.0)
        rest = replace(options, epochs=self.epochs - first)
        return (
            Phase(taught, OnlyAlone(), lambda name: name.startswith(own), name="prompts"),
            Phase(rest, DistilledPrompts(), lambda name: not name.startswith(FROZEN), name="train"),
        )
