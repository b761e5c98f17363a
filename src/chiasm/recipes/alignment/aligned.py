"""Common part of the recipes that align modalities: a phase without labels, then one on the target."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components  # type: ignore[import-untyped]
from torch import Tensor

from chiasm.artifact import storable
from chiasm.fitting.base import Training
from chiasm.fitting.network_recipe import NetworkRecipe
from chiasm.fitting.neural import Design, NetworkPredictor, Prepared, Shapes, check_size
from chiasm.fitting.space import CONNECTED, PAIRED, TUNED
from chiasm.fusion.aligned import AlignedModalities
from chiasm.heads.response import Response
from chiasm.protocols import Fused, Predictor
from chiasm.training import Network, Phase
from chiasm.training.unlabelled import Unlabelled, UnlabelledLoss


@storable("aligned-vectors")
@dataclass(frozen=True)
class VectorsDesign:
    """Width of the vectors, and the temperature at the start."""

    latent_width: int
    temperature: float

    def __post_init__(self) -> None:
        check_size("latent_width", self.latent_width)

    def fusion(self, shapes: Shapes, dropout: float = 0.0) -> AlignedModalities:
        """Create a fresh fusion module of this size."""
        return AlignedModalities(shapes, self.latent_width, dropout, temperature=self.temperature)


@dataclass(frozen=True)
class AlignedRecipe(NetworkRecipe):
    """Base of recipes whose modalities are brought into one space before the target is learned.

    The first phase trains the projectors on pairs of modalities and reads no target; the second trains what reads the
    vectors, on the target. Where no patient of a fold has two modalities there is nothing to align, and everything is
    trained on the target in one phase, as in the one-modality form: with as many epochs as both phases have together.

    Args:
        modality: the one modality to read; empty: all.
        latent_width: width D of the vectors and of the embedding.
        dropout, epochs, patience, batch, learning_rate, weight_decay, modality_dropout: as in `NetworkRecipe`; the
            epochs are those of both phases together, and modalities are dropped in the second alone.
        share: share of the epochs that align.
        temperature: the first one of the contrast, which is learned.
        tune: train the projectors on the target too; the vectors are then no longer those that were aligned, and the
            model finds and classifies nothing without labels.
    """

    needs_pairs: ClassVar[bool] = True
    within: ClassVar[str] = "fusion."
    """Beginning of the names of the parameters of what aligns, an `AlignedModalities`, within the network."""

    share: float = 0.5
    temperature: float = 0.07
    tune: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0.0 < self.share < 1.0:
            raise ValueError(f"share={self.share} is not known: it lies between 0 and 1, and both phases have a part")
        if self.epochs < 2:
            raise ValueError(f"epochs={self.epochs} are too few: two phases are trained, with an epoch or more each")
        if not 0.01 <= self.temperature <= 10.0:
            raise ValueError(f"temperature={self.temperature} is not known: it lies between 0.01 and 10")

    def loss(self, fusion: object, fused: Fused, present: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        """Return the terms that are minimised without labels."""
        raise NotImplementedError(f"{type(self).__name__} aligns by no loss")

    def loss_of(self, data: Prepared) -> UnlabelledLoss:
        """Return the loss of the first phase on this training set; here `loss`."""
        return self.loss

    def least(self, modalities: int) -> int:
        """Return how many of the modalities a patient has to have to take part in the alignment."""
        return 2

    def paired(self, data: Prepared) -> NDArray[np.bool_]:
        """Return the patients `(B,)` on whom the modalities are aligned: trained on, and with modalities enough."""
        return np.asarray(~data.held_out & (data.present.sum(1) >= self.least(data.present.shape[1])))

    def learners(self, data: Prepared) -> NDArray[np.bool_]:
        """Return the patients `(B,)` from whom the first phase learns; here those on whom it aligns."""
        return self.paired(data)

    def connected(self, data: Prepared) -> dict[str, int]:
        """Return the group of each modality: in one are those that pairs connect, or pairs with modalities between.

        A pair that a single patient has connects nothing: his vectors are told from nobody's.
        """
        own = data.present[self.paired(data)].astype(int)
        _, groups = connected_components(own.T @ own > 1, directed=False)
        return {name: int(group) for name, group in zip(data.cohort.modalities, groups, strict=True)}

    def met(self, data: Prepared) -> NDArray[np.bool_]:
        """Return the modalities `(M,)` of which the first phase learns; here those that pairs connect to another."""
        groups = list(self.connected(data).values())
        return np.array([groups.count(group) > 1 for group in groups])

    def idle(self, data: Prepared) -> tuple[str, ...]:
        """Return the beginnings of names, below `within`, of parameters that no phase trains on these patients."""
        groups = self.connected(data)
        return () if len(set(groups.values())) < len(groups) else ("log_scale", "stand_ins")

    def trained(
        self, training: Training, data: Prepared, design: Design, network: Network
    ) -> tuple[Predictor, Response]:
        """Train and calibrate as every network; note on how many patients what was aligned, and if it stayed so."""
        idle = tuple(self.within + name for name in self.idle(data))
        for name, parameter in network.named_parameters():
            if name.startswith(idle):
                parameter.requires_grad_(False)
        predictor, response = super().trained(training, data, design, network)
        assert isinstance(predictor, NetworkPredictor)  # what `finish` makes
        notes = {PAIRED: float(self.paired(data).sum())} | ({TUNED: 1.0} if self.tune else {})
        groups = {CONNECTED + name: float(group) for name, group in self.connected(data).items()}
        return replace(predictor, notes=predictor.notes | notes | groups), response

    def makers(self, data: Prepared, m: int) -> tuple[str, ...]:
        """Return the beginnings of names of the parameters that make the vectors of modality m alone."""
        return (f"{self.within}projectors.{m}.",)

    def phases(self, data: Prepared) -> tuple[Phase, ...]:
        """Return the alignment and the training on the target, or the latter alone where there is nothing to align."""
        options, met = self.training_options, self.met(data)
        if not met.any():
            return (Phase(options, name="target"),)
        own = min(max(round(self.epochs * self.share), 1), self.epochs - 1)
        align = replace(options, epochs=own, modality_dropout=0.0)
        # The target teaches what the first phase does not.
        alone = tuple(own for m in np.flatnonzero(~met) for own in self.makers(data, int(m)))
        readers = ("head.", f"{self.within}maps.")  # all other parameters make the vectors that these read

        def reads(name: str) -> bool:
            return self.tune or name.startswith((*readers, *alone))

        return (
            Phase(
                align,
                Unlabelled(self.loss_of(data), self.name),
                lambda name: not name.startswith(readers),
                name="align",
            ),
            Phase(replace(options, epochs=self.epochs - own), trainable=reads, name="target"),
        )
