"""Common base of the recipes that merge fine-tuned copies of one network.

The network is a HEALNet. The base is trained with strong modality dropout, so that it works on any subset of
modalities; copies are tuned from it, each on its own view of the training patients. The held-out fifth is used for
early stopping, to select the point between the copies, and for calibration; no copy is trained on it.
"""

from __future__ import annotations

import copy
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property, partial

import numpy as np
from torch import Tensor

from chiasm.cohort import CohortError, fold_ids
from chiasm.compute.isolation import seeded
from chiasm.compute.memo import remember
from chiasm.fitting.base import Training
from chiasm.fitting.neural import Prepared, finish, fit_network, held_out_loss, new_network, prepared_once
from chiasm.fitting.trained_recipe import LatentOptions, TrainedRecipe
from chiasm.heads.response import Response
from chiasm.protocols import Predictor
from chiasm.recipes.fusion.healnet import HealNetDesign
from chiasm.training import Network, Phase, TrainOptions
from chiasm.training.layer_rates import layer_rates
from chiasm.training.options import check_chance

PATIENCE = 5  # epochs of fine-tuning without improvement
BELOW = ("fusion.latent", "fusion.entrances")
State = dict[str, Tensor]


@dataclass(frozen=True)
class TunedRecipe(TrainedRecipe, LatentOptions):
    """Abstract recipe that tunes copies of one base network and merges their weights.

    Args:
        base_dropout: probability that a modality is dropped in a training step of the base.
        tune_epochs, tune_learning_rate: options of each fine-tuning, which keeps its best epoch.
        layer_decay: factor on the learning rate per layer from the head down; 1 gives every layer the same rate.
    """

    base_dropout: float = 0.5
    tune_epochs: int = 15
    tune_learning_rate: float = 1e-3
    layer_decay: float = 0.75

    def __post_init__(self) -> None:
        super().__post_init__()
        check_chance("base_dropout", self.base_dropout)
        self.tuning_options()  # TrainOptions refuses invalid values
        if not self.tune_learning_rate > 0 or not 0 < self.layer_decay <= 1:
            raise ValueError("tune_learning_rate lies above 0, layer_decay above 0 and at most at 1")

    def tuning_options(self, modality_dropout: float = 0.0) -> TrainOptions:
        """Return the training options for one fine-tuning run."""
        return TrainOptions(
            self.tune_epochs, PATIENCE, self.batch, self.tune_learning_rate, self.weight_decay, modality_dropout
        )

    def learn(self, training: Training) -> tuple[Predictor, Response]:
        """Train the base, tune copies of it, merge them."""
        tuner = Tuner.of(training, self)
        state, notes = self.merged(tuner)
        return finish(training, tuner.data, tuner.network(state), tuner.design, notes)

    @abstractmethod
    def merged(self, tuner: Tuner) -> tuple[State, dict[str, float]]:
        """Return the merged weights, and notes of what was measured or selected."""


@dataclass(frozen=True)
class Tuner:
    """Trains the base and tunes copies of it on one training set.

    All copies share `data` and `design`; `fresh` is the initial network of the base.
    """

    training: Training
    recipe: TunedRecipe
    data: Prepared
    design: HealNetDesign
    fresh: Network

    @classmethod
    def of(cls, training: Training, recipe: TunedRecipe) -> Tuner:
        """Prepare the data and the initial network for a training set."""
        design = HealNetDesign(recipe.latents, recipe.latent_width, recipe.depth, recipe.heads, False)
        data = prepared_once(training)
        return cls(training, recipe, data, design, new_network(training, data, design, recipe.dropout))

    def network(self, state: Mapping[str, Tensor] | None = None) -> Network:
        """Return a new copy of the network, with these weights or the initial ones."""
        network = copy.deepcopy(self.fresh)
        if state is not None:
            network.load_state_dict(state)
        return network

    def base(self, rows: np.ndarray | None = None) -> State:
        """Train the base from scratch on all patients, or on `rows`, with modality dropout; return its weights."""
        recipe, training = self.recipe, self.training
        options = replace(recipe.training_options, modality_dropout=recipe.base_dropout)
        whose = () if rows is None else tuple(rows.tolist())
        own = (self.design, options, recipe.dropout, training.seed, training.device, whose, training.offset_digest)
        key = ("tuned-base", *own)
        phase = Phase(options, name="base")
        return remember(training.cohort.fingerprint, key, lambda: weights(self.train(self.network(), phase, rows)))

    def tuned(
        self,
        name: str,
        start: State,
        *,
        rows: np.ndarray | None = None,
        see: np.ndarray | None = None,
        modality_dropout: float = 0.0,
    ) -> State:
        """Tune a copy from `start`, with a learning rate that decays by layer below the head; return its weights.

        Args:
            name: name of the run, for its checkpoint and its seed.
            rows, see: as in `train`.
            modality_dropout: probability that a modality is dropped in a training step.
        """
        options = self.recipe.tuning_options(modality_dropout)
        groups = partial(
            layer_rates, blocks="fusion.layers", stem=BELOW, rate=options.learning_rate,
            decay=self.recipe.layer_decay, weight_decay=options.weight_decay,
        )  # fmt: skip
        return weights(self.train(self.network(start), Phase(options, groups=groups, name=name), rows, see))

    def train(
        self, network: Network, phase: Phase, rows: np.ndarray | None = None, see: np.ndarray | None = None
    ) -> Network:
        """Train a network in place, with early stopping on the held-out patients.

        The network stays unchanged if `rows` and `see` leave nobody to train on or nobody held out.

        Args:
            rows: patients to train on; None: all.
            see: `(M,)` bool, the modalities that are read; None: all.
        """
        data, training = self.data, self.training
        if rows is not None or see is not None:
            data = data if see is None else replace(data, present=data.present & see)
            used = data.held_out.copy()
            used[slice(None) if rows is None else rows] = True
            used &= data.present.any(1)
            rows = np.flatnonzero(used)
            if data.held_out[rows].all() or not data.held_out[rows].any():
                return network
        file = training.file(f"{self.recipe.id}-{phase.name}")
        fit_network(network, data, (phase,), seed=training.seed, checkpoint=file, device=training.device, rows=rows)
        return network

    def parts(self, count: int) -> list[np.ndarray]:
        """Split the rows of the training patients into `count` parts, stratified by outcome; groups stay together."""
        rows = np.flatnonzero(~self.data.held_out)
        cohort, seed = self.training.cohort.subset(rows), seeded(self.training.seed, "parts")
        if count == 1:
            return [rows]
        try:
            part = fold_ids(cohort, count, seed=seed)
        except CohortError:  # too few patients of a class, or events, to stratify: split at random
            units = np.arange(len(cohort)) if cohort.group is None else np.unique(cohort.group, return_inverse=True)[1]
            part = np.random.default_rng(seed).permutation(units.max() + 1)[units] % count
        return [rows[part == k] for k in range(count)]

    def score(self, state: Mapping[str, Tensor]) -> float:
        """Return the negative held-out loss (higher is better)."""
        self.scored.load_state_dict(state)
        return -held_out_loss(self.scored, self.data)

    @cached_property
    def scored(self) -> Network:
        """The network into which the weights to score are read, one after another."""
        return self.network()


def weights(network: Network) -> State:
    """Copy a network's parameters and buffers."""
    return {key: value.detach().clone() for key, value in network.state_dict().items()}
