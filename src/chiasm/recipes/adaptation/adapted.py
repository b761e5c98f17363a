"""Common base of the recipes that adapt encoders: an encoder's network runs in training, and only its change is stored.

Encoder inputs are stored, so reading and preprocessing happen once. Modalities whose encoder has no network (tables,
omics, fingerprints) enter unchanged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar

import torch
from torch import nn

from chiasm.cohort import Cohort, Unsupported
from chiasm.compute.isolation import seeded
from chiasm.encoders.adaptable import InputsAsTheyAre, Trunk
from chiasm.encoders.registry import columns_among, pack
from chiasm.fitting.base import Training
from chiasm.fitting.chosen import prior_link
from chiasm.fitting.network_recipe import NetworkRecipe
from chiasm.fitting.neural import Prepared, build, finish, new_head, prepare
from chiasm.fitting.or_prior import OrPrior
from chiasm.heads.response import Response
from chiasm.protocols import Predictor
from chiasm.recipes.adaptation.adapted_fusion import (
    Adaptation,
    AdaptedDesign,
    AdaptedFusion,
    adapted_fusion,
    attached,
)
from chiasm.recipes.adaptation.trunks import adapted_modalities, open_trunks, opened, with_others
from chiasm.tokens import Tokens
from chiasm.training import Network, Phase

__all__ = [
    "Adaptation",
    "AdaptedDesign",
    "AdaptedFusion",
    "AdaptedRecipe",
    "adapted_fusion",
]


@dataclass(frozen=True)
class AdaptedRecipe(NetworkRecipe):
    """Base of recipes that train a change of pretrained networks together with a pooled fusion and a head.

    Args:
        modality: the one modality to read; empty: all.
        latent_width: width D of the embedding.
        dropout, epochs, patience, batch, learning_rate, weight_decay, modality_dropout: training options.
    """

    dropout: float = 0.1
    epochs: int = 10
    patience: int = 3
    batch: int = 16
    learning_rate: float = 1e-3
    modality_dropout: float = 0.0

    has_prior: ClassVar[bool] = True
    least_modalities: ClassVar[int] = 1
    reads_inputs: ClassVar[bool] = True

    def alone(self, cohort: Cohort) -> tuple[str, ...]:
        """Return the names of this recipe on each modality that it adapts, alone."""
        return () if self.modality else tuple(self.reading(name).name for name in self.adapted(cohort))

    def completed(
        self, whole: Training, training: Training, predictor: Predictor, response: Response
    ) -> tuple[Predictor, Response]:
        """Add the prior for patients with none of the modalities read."""
        if self.modality:
            return super().completed(whole, training, predictor, response)
        prior = prior_link(training.target, training.outcome, training.classes)
        return OrPrior(predictor, prior, training.cohort.modalities), response

    def adaptation(self, trunk: Trunk) -> Adaptation:
        """Return the change to train in this network: none unless a recipe overrides this.

        Modules named in `trunk.unread` are removed from the sites afterwards.

        Raises:
            ValueError: the network cannot be adapted in this way.
        """
        return Adaptation()

    def tried(self, trunk: Trunk, made: Adaptation, inputs: Tokens) -> None:
        """Attach the adapter and run it on one patient; raise `ValueError` before any fit if it does not work."""
        attached(trunk, made, seed=0)
        if not bool(inputs.mask.any()):
            return
        try:
            with torch.no_grad():
                trunk.eval()(inputs)
        except RuntimeError as error:
            raise ValueError(f"it does not run with this change ({str(error).splitlines()[0]})") from error

    def adapted(self, cohort: Cohort) -> dict[str, InputsAsTheyAre]:
        """Return the modalities whose network runs in training; the others enter by their tokens."""
        return adapted_modalities(cohort)

    def supports(self, cohort: Cohort) -> None:
        """Raise `Unsupported` if no modality has an adaptable network, an adaptation fails, or inputs were not kept."""
        super().supports(cohort)
        found = self.adapted(self.read(cohort))
        tokens = pack(cohort, found)
        for name, own in found.items():
            trunk = opened(own, tokens[name], cohort.rows_of(name))
            made = self._adaptation(name, trunk)
            with _cannot(name), torch.random.fork_rng(devices=[]):
                self.tried(trunk, made, tokens[name].take(cohort.rows_of(name)[:1]))
        if not found:
            raise Unsupported(
                "no modality has an encoder with a network to adapt (such as text by minilm, or hf:folder); where the "
                "cohort is encoded already, encode it with inputs=True"
            )

    def learn(self, training: Training) -> tuple[Predictor, Response]:
        """Train the network and calibrate it."""
        data, design, trunks = self.prepared(training)
        return self.learned(training, data, design, trunks)

    def learned(
        self, training: Training, data: Prepared, design: AdaptedDesign, trunks: dict[str, Trunk]
    ) -> tuple[Predictor, Response]:
        """Train the network of a design and calibrate it."""
        return finish(training, data, self.network(training, data, design, trunks), design)

    def prepared(self, training: Training) -> tuple[Prepared, AdaptedDesign, dict[str, Trunk]]:
        """Return the cohort as tensors, the design of the network, and the trunks with nothing attached yet."""
        inputs = self.adapted(training.cohort)
        data = prepare(training, with_others(training.cohort, inputs))
        trunks = open_trunks(data)
        adaptations = {name: self._adaptation(name, trunk) for name, trunk in trunks.items()}
        return data, AdaptedDesign(self.latent_width, inputs, adaptations, columns_among(data.encoders)), trunks

    def _adaptation(self, name: str, trunk: Trunk) -> Adaptation:
        with _cannot(name):
            made = self.adaptation(trunk)
            sites = tuple(site for site in made.sites if site not in trunk.unread)
            if made.adapter is not None and not sites:
                raise ValueError("it has no place for this adapter, or none of a rank above the adapter's")
        return replace(made, sites=sites)

    def network(
        self,
        training: Training,
        data: Prepared,
        design: AdaptedDesign,
        trunks: Mapping[str, Trunk],
        stage: str = "",
        *,
        phases: Sequence[Phase] | None = None,
        after: Network | None = None,
    ) -> Network:
        """Create and train the network of one stage.

        Args:
            trunks: networks with nothing attached; each stage needs fresh ones, see `open_trunks`.
            stage: name of the stage, for its checkpoint and its seeds.
            phases: phases of this stage; None: the recipe's.
            after: network of an earlier stage, whose fusion and head are trained further.
        """
        fusion = partial(adapted_fusion, design, trunks, data.shapes, self.dropout)
        return self.fitted(training, data, fusion, stage, phases=phases, after=after)

    def fitted(
        self,
        training: Training,
        data: Prepared,
        fusion: Callable[[], nn.Module],
        stage: str = "",
        *,
        phases: Sequence[Phase] | None = None,
        seed: int | None = None,
        after: Network | None = None,
    ) -> Network:
        """Create and train the fusion and the head of one stage; `seed` replaces the stage's own seed."""
        seed = seeded(training.seed, stage) if seed is None else seed
        network = Network(
            build(fusion, seeded(seed, "fusion")), new_head(training, self.latent_width, seeded(seed, "head"))
        )
        if after is not None:
            network.fusion.get_submodule("fusion").load_state_dict(after.fusion.get_submodule("fusion").state_dict())
            network.head.load_state_dict(after.head.state_dict())
        self.run(training, data, network, self.phases(data) if phases is None else phases, stage, seed=seed)
        return network


@contextmanager
def _cannot(name: str) -> Iterator[None]:
    """Turn an adapter's `ValueError` into an `Unsupported` that names the modality."""
    try:
        yield
    except ValueError as error:
        raise Unsupported(f"the network of modality '{name}' cannot be adapted so: {error}") from error
