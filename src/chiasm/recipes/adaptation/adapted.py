"""What recipes share that change a frozen encoder a little: its network runs in training, and only the change is kept.

Inputs of the encoder are stored, so reading and preparing happen once. Modalities whose encoder has no network (tables,
omics, fingerprints) take part as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from chiasm.cohort import Cohort, Unsupported
from chiasm.encoders.adaptable import InputsAsTheyAre, Trunk
from chiasm.encoders.registry import pack
from chiasm.fitting.base import Training
from chiasm.fitting.neural import Prepared, build, check_sizes, finish, fit_network, new_head, prepare, seeded
from chiasm.fitting.one_modality import OneOrAll
from chiasm.fitting.or_prior import OrPrior
from chiasm.fitting.unimodal import prior_link
from chiasm.heads.response import Response
from chiasm.protocols import Predictor
from chiasm.recipes.adaptation.adapted_fusion import (
    Adaptation,
    AdaptedDesign,
    AdaptedFusion,
    Penalty,
    adapted_fusion,
    attached,
)
from chiasm.recipes.adaptation.trunks import adapted_modalities, open_trunks, opened, with_others
from chiasm.tokens import Tokens
from chiasm.training import Network, Objective, TrainOptions
from chiasm.training.loop import check_chance

__all__ = [
    "Adaptation",
    "AdaptedDesign",
    "AdaptedFusion",
    "AdaptedRecipe",
    "Penalty",
    "adapted_fusion",
]


@dataclass(frozen=True)
class AdaptedRecipe(OneOrAll):
    """A recipe that trains a small change of frozen networks together with a pooled fusion and a head.

    Args:
        modality: to read alone; all of them without a name.
        latent_width: D of the embedding.
        dropout, epochs, patience, batch, learning_rate, weight_decay, modality_dropout: of the training.
    """

    latent_width: int = 32
    dropout: float = 0.1
    epochs: int = 10
    patience: int = 3
    batch: int = 16
    learning_rate: float = 1e-3
    weight_decay: float = 1e-2
    modality_dropout: float = 0.0

    has_prior: ClassVar[bool] = True
    least_modalities: ClassVar[int] = 1
    reads_inputs: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_chance("dropout", self.dropout)
        check_sizes(1, self.latent_width, 1, 1)
        self.options()  # refuses what it cannot be made of

    def alone(self, cohort: Cohort) -> tuple[str, ...]:
        """The names of this recipe on each modality that it adapts, by itself."""
        return () if self.modality else tuple(self.reading(name).name for name in self.adapted(cohort))

    def completed(
        self, whole: Training, training: Training, predictor: Predictor, response: Response
    ) -> tuple[Predictor, Response]:
        """With the prior for a patient of whom nothing is read."""
        if self.modality:
            return super().completed(whole, training, predictor, response)
        prior = prior_link(training.target.kind, training.outcome, training.classes)
        return OrPrior(predictor, prior, training.cohort.modalities), response

    def adaptation(self, trunk: Trunk) -> Adaptation:
        """What is changed of this network: nothing, unless a recipe says so. A `ValueError` says what it cannot adapt.

        Modules that `trunk.unread` names are left out of the sites afterwards.
        """
        return Adaptation()

    def tried(self, trunk: Trunk, made: Adaptation, inputs: Tokens) -> None:
        """Attach and run on one patient, so that what does not fit is known before any fit; a `ValueError` says it."""
        attached(trunk, made, seed=0)
        if not bool(inputs.mask.any()):
            return
        try:
            with torch.no_grad():
                trunk.eval()(inputs)
        except RuntimeError as error:
            raise ValueError(f"it does not run with this change ({str(error).splitlines()[0]})") from error

    def penalty(self, attached: Any) -> Tensor:
        """What is added to the loss in training for an attached adapter, or a network that is trained whole."""
        return torch.zeros(())

    def adapted(self, cohort: Cohort) -> dict[str, InputsAsTheyAre]:
        """The modalities whose network runs in training; the others take part by their tokens."""
        return adapted_modalities(cohort)

    def objective(self, data: Prepared) -> Objective | None:
        """What is minimised; None for the loss of the target's kind."""
        return None

    def supports(self, cohort: Cohort) -> None:
        """Raise `Unsupported` where no modality has a network that can be adapted so, or its inputs were not kept."""
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
        """Train on the patients; a fifth of them decide when to stop, and calibrate."""
        data, design, trunks = self.prepared(training)
        return self.trained(training, data, design, trunks)

    def prepared(self, training: Training) -> tuple[Prepared, AdaptedDesign, dict[str, Trunk]]:
        """The cohort as tensors, the design of the network, and the networks, with nothing attached yet."""
        inputs = self.adapted(training.cohort)
        data = prepare(training, with_others(training.cohort, inputs))
        trunks = open_trunks(data)
        adaptations = {name: self._adaptation(name, trunk) for name, trunk in trunks.items()}
        return data, AdaptedDesign(self.latent_width, inputs, adaptations), trunks

    def _adaptation(self, name: str, trunk: Trunk) -> Adaptation:
        with _cannot(name):
            made = self.adaptation(trunk)
            sites = tuple(site for site in made.sites if site not in trunk.unread)
            if made.adapter is not None and not sites:
                raise ValueError("it has no place for this adapter, or none of a rank above the adapter's")
        return replace(made, sites=sites)

    def trained(
        self, training: Training, data: Prepared, design: AdaptedDesign, trunks: Mapping[str, Trunk]
    ) -> tuple[Predictor, Response]:
        """The network trained and calibrated."""
        return finish(training, data, self.network(training, data, design, trunks), design)

    def network(
        self,
        training: Training,
        data: Prepared,
        design: AdaptedDesign,
        trunks: Mapping[str, Trunk],
        stage: str = "",
        *,
        penalty: Penalty | None = None,
        after: Network | None = None,
    ) -> Network:
        """The network of one stage, trained.

        Args:
            trunks: with nothing attached; another stage needs others, see `open_trunks`.
            stage: names its checkpoint and its seeds.
            penalty: of this stage; None takes the recipe's.
            after: the network of an earlier stage, whose fusion and head this one goes on with.
        """
        return self.fitted(
            training,
            data,
            lambda: adapted_fusion(design, trunks, data.shapes, self.dropout, penalty or self.penalty),
            stage,
            after=after,
        )

    def fitted(
        self,
        training: Training,
        data: Prepared,
        fusion: Callable[[], nn.Module],
        stage: str = "",
        *,
        options: TrainOptions | None = None,
        seed: int | None = None,
        after: Network | None = None,
    ) -> Network:
        """A fusion and a head of one stage, trained; `seed` instead of the stage's own."""
        seed = seeded(training.seed, stage) if seed is None else seed
        network = Network(
            build(fusion, seeded(seed, "fusion")), new_head(training, self.latent_width, seeded(seed, "head"))
        )
        if after is not None:
            network.fusion.get_submodule("fusion").load_state_dict(after.fusion.get_submodule("fusion").state_dict())
            network.head.load_state_dict(after.head.state_dict())
        fit_network(
            network,
            data,
            options or self.options(),
            seed=seeded(seed, "train"),
            checkpoint=training.checkpoint / f"{self.id}{stage}.safetensors" if training.checkpoint else None,
            device=training.device,
            objective=self.objective(data),
        )
        return network

    def options(self) -> TrainOptions:
        """How the network is trained."""
        return TrainOptions(
            self.epochs, self.patience, self.batch, self.learning_rate, self.weight_decay, self.modality_dropout
        )


@contextmanager
def _cannot(name: str) -> Iterator[None]:
    """What an adapter says of a network, as what the recipe says of a modality."""
    try:
        yield
    except ValueError as error:
        raise Unsupported(f"the network of modality '{name}' cannot be adapted so: {error}") from error
