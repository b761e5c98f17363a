"""Federated LoRA without the transport of messages: local training at each hospital and aggregation after each round.

All hospitals have the same base model, encoders included, so they read inputs alike. Each trains a LoRA adapter in the
Linear layers of the fusion on its own patients and shares nothing else. The head stays that of the base: a bias trained
at one hospital would encode its class frequencies, and the layers before it can learn what a linear map would add.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from torch import Tensor, nn

from chiasm.adapters import LoRA, attach
from chiasm.artifact import storable
from chiasm.cohort import Cohort, Outcome, Unsupported, holdout
from chiasm.compute.isolation import seeded
from chiasm.encoders import pack
from chiasm.fitting.base import LEAST_PATIENTS, choice
from chiasm.fitting.model import FittedModel
from chiasm.fitting.neural import VALIDATION, NetworkPredictor, Prepared, fit_network, state_of
from chiasm.heads.head import target_tensors
from chiasm.merging.lora_rounds import AGGREGATIONS, aggregate_lora, fold_lora, resize_lora
from chiasm.targets import Target, kind_of
from chiasm.training import Network, Phase, TargetTensors, TrainOptions
from chiasm.training.batches import presence

SCALING = 2.0  # alpha / r of every client, as in the paper (alpha = 2 r)
WEIGHTS = ("patients", "equal")
LEAST_CLIENTS = 2
State = dict[str, Tensor]


@storable("federation-plan")
@dataclass(frozen=True)
class Plan:
    """Settings shared by all hospitals of a federation.

    Args:
        aggregation: flora, or the controls fedavg (equal ranks) and zero-pad; see `aggregate_lora`.
        rounds: number of rounds of training and aggregation.
        rank: default rank of an adapter, which a hospital may override.
        weights: weight of a hospital: `patients`, its number of training patients, which it must disclose, or `equal`.
        epochs, batch, learning_rate, weight_decay, modality_dropout: training options of a hospital in one round.
        seed: seed for initial adapter weights and batches.
    """

    aggregation: str = "flora"
    rounds: int = 5
    rank: int = 4
    weights: str = "patients"
    epochs: int = 3
    batch: int = 64
    learning_rate: float = 2e-3
    weight_decay: float = 1e-2
    modality_dropout: float = 0.1
    seed: int = 0

    def __post_init__(self) -> None:
        choice("aggregation", self.aggregation, AGGREGATIONS)
        choice("weights", self.weights, WEIGHTS)
        for name, value, most in (
            ("rounds", self.rounds, 10_000), ("rank", self.rank, 4096), ("epochs", self.epochs, 10_000),
            ("batch", self.batch, 10**6),
        ):  # fmt: skip
            if not isinstance(value, int) or not 1 <= value <= most:
                raise ValueError(f"{name} is a whole number between 1 and {most:,}")
        self.options  # noqa: B018 (TrainOptions refuses invalid values)

    @property
    def options(self) -> TrainOptions:
        """Training options for a hospital in one round."""
        return TrainOptions(
            self.epochs, self.epochs, self.batch, self.learning_rate, self.weight_decay, self.modality_dropout
        )

    def put_together(self, adapters: Sequence[State], patients: Sequence[int | None]) -> State:
        """Aggregate the adapters of one round; `patients` are used only if the weights are `patients`."""
        weights = [float(count or 0) for count in patients] if self.weights == "patients" else [1.0] * len(adapters)
        return aggregate_lora(self.aggregation, adapters, weights, [SCALING] * len(adapters))

    def weights_after(self, weights: State, updates: Sequence[State]) -> State:
        """Return a network's tensors after these rounds.

        FLoRA's stacked adapters are folded into the weights round by round, and clients start from fresh adapters; in
        the controls the mean adapter is trained on from round to round, so only the last one is folded in.
        """
        if self.aggregation == "flora":
            for update in updates:
                weights = fold_lora(weights, update)
            return weights
        return fold_lora(weights, updates[-1], SCALING) if updates else weights


NO_SHARED_SPACE = "hospitals that share no patient share no space of their options or texts: fit another recipe"

DRAWN = (
    "what hospitals sum are updates of the Linear layers of a fusion, and a network that draws label maps has none: "
    "tune one model at each hospital (stu-net:weights=...,scale=weights) and merge what comes back (chiasm merge)"
)


def network_of(base: FittedModel) -> NetworkPredictor:
    """Return the network inside a model.

    Raises:
        Unsupported: the model holds no network, or learned a space of options or texts of its own.
    """
    if kind_of(base.response.kind).has_masks:
        raise Unsupported(DRAWN)
    if not kind_of(base.response.kind).has_level:
        raise Unsupported(NO_SHARED_SPACE)
    if not isinstance(base.predictor, NetworkPredictor):
        raise Unsupported("the base holds no network: adapters go into networks, such as healnet and lego-fuse give")
    return base.predictor


def sites_of(base: FittedModel) -> dict[str, tuple[int, int]]:
    """Return the Linear layers that carry an adapter, all those of the fusion: name to (out, in).

    Raises:
        Unsupported: the fusion has no Linear layer.
    """
    found = {
        name: (module.out_features, module.in_features)
        for name, module in network_of(base).network().named_modules()
        if isinstance(module, nn.Linear) and name.partition(".")[0] == "fusion"
    }
    if not found:
        raise Unsupported("the base has no Linear layer in its fusion: there is no place for an adapter")
    return found


def largest_rank(sites: dict[str, tuple[int, int]]) -> int:
    """Return the highest rank that every layer can carry."""
    return min(min(shape) for shape in sites.values())


class Participant:
    """A hospital in a federation: its patients, the base model, and the updates received so far."""

    def __init__(self, base: FittedModel, cohort: Cohort, plan: Plan, rank: int, name: str, device: str = "cpu"):
        """Prepare a hospital's patients and network for federated training.

        Args:
            base: the base model, bitwise the same for every participant.
            cohort: the patients, encoded as the base reads them; they stay local.
            rank: rank of this participant's adapter.
            name: name of the participant, which enters its seeds.

        Raises:
            Unsupported: too few patients, a target other than the base's, or classes unknown to the base.
            ValueError: a rank that some layer cannot carry, or, under fedavg, one other than the plan's.
        """
        self.base, self.plan, self.rank, self.name, self.device = base, plan, rank, name, device
        self.sites = sites_of(base)
        if not 1 <= rank <= largest_rank(self.sites):
            raise ValueError(f"rank {rank}: the base has room for ranks from 1 to {largest_rank(self.sites)}")
        if plan.aggregation == "fedavg" and rank != plan.rank:
            raise ValueError(f"rank {rank}: fedavg needs equal ranks, and this plan's is {plan.rank}")
        self.data = prepared_with(base, cohort, seeded(plan.seed, name))
        self.patients = int((~self.data.held_out).sum())
        self.network = network_of(base).network()
        self.round = 0  # last round received
        self.updates: list[State] = []
        self._weights = {key: value.clone() for key, value in self.network.state_dict().items()}

    def take(self, update: State, round_number: int) -> None:
        """Apply a round's aggregate; FLoRA needs every round, in order, the controls only the latest."""
        self.round = round_number
        self.updates.append(update)
        if self.plan.aggregation == "flora":
            self._weights = fold_lora(self._weights, update)

    def train(self, round_number: int) -> State:
        """Train this hospital's adapter for a round: `<site>.lora_A.weight` and `<site>.lora_B.weight`.

        Deterministic: repeated calls after the same updates give the same adapter.
        """
        plan = self.plan
        self.network.load_state_dict(self._weights)
        goes_on = plan.aggregation != "flora"
        start = self._common_start() if goes_on and not self.updates else None
        attached = self._attached(self.rank, f"{self.name} {round_number}")
        if goes_on:
            attached.load(_peft_names(resize_lora(start or self.updates[-1], self.rank)))
        assert isinstance(self.network, Network)
        phase = Phase(plan.options, name=f"{self.name} {round_number}")
        fit_network(self.network, self.data, (phase,), seed=plan.seed, checkpoint=None, device=self.device)
        return _detached(attached)

    def _attached(self, rank: int, name: str) -> Any:
        adapter = LoRA(rank, SCALING * rank)
        seed = seeded(self.plan.seed, name)
        return attach(self.network, adapter, lambda site, _: site in self.sites, seed=seed)

    def _common_start(self) -> State:
        """Create a fresh adapter of the highest rank; in the controls all clients start from its first rows."""
        return _detached(self._attached(largest_rank(self.sites), "start"))


def prepared_with(base: FittedModel, cohort: Cohort, seed: int) -> Prepared:
    """Prepare a hospital's patients as input of the base's network; a fifth is held out to select the best epoch.

    Raises:
        Unsupported: too few patients, a target other than the base's, or classes unknown to the base.
    """
    predictor = network_of(base)
    target, outcome = cohort.target, cohort.outcome
    if target is None or outcome is None:
        raise Unsupported("training needs a target: name one in [target]")
    if target.kind != base.response.kind:
        raise Unsupported(f"the base predicts a target of kind '{base.response.kind}', the cohort's is '{target.kind}'")
    wanted = base.target.get("unit", "")
    if target.is_scaled and target.unit and wanted and target.unit != wanted:
        raise Unsupported(f"the base predicts '{wanted}' and the cohort's target is in '{target.unit}': convert it")
    read = cohort.with_modalities([name for name in cohort.modalities if name in predictor.encoders])
    usable = outcome.known & read.present.any(1)
    if int(usable.sum()) < LEAST_PATIENTS:
        raise Unsupported(
            f"{int(usable.sum())} patients have a known outcome and something that the base reads "
            f"({', '.join(sorted(predictor.encoders))}): at least {LEAST_PATIENTS} are needed"
        )
    mine = read.subset(usable)
    outcome = _recoded(outcome.take(usable), target, base.response.classes)
    tokens = pack(mine, predictor.encoders)
    tensors = TargetTensors(*target_tensors(outcome, predictor.centre, predictor.scale))
    held_out = holdout(mine, VALIDATION, seed=seed)
    return Prepared(
        mine, predictor.encoders, tokens, presence(tokens, sorted(predictor.encoders)), outcome, tensors,
        predictor.centre, predictor.scale, held_out,
    )  # fmt: skip


def finished(base: FittedModel, plan: Plan, updates: Sequence[State]) -> FittedModel:
    """Return the base with all rounds folded into its weights; its calibration is unchanged."""
    predictor = network_of(base)
    network = predictor.network()
    network.load_state_dict(plan.weights_after(dict(network.state_dict()), updates))
    return replace(base, predictor=replace(predictor, state=state_of(network)))


def _recoded(outcome: Outcome, target: Target, base: tuple[str, ...]) -> Outcome:
    """Recode classes to the base's order; a hospital may lack a class."""
    own = target.names
    if own == tuple(base):
        return outcome
    if not target.has_classes or not set(own) <= set(base):
        raise Unsupported("the cohort has classes or labels that the base does not know: name them as the base does")
    codes = np.array([base.index(name) for name in own], float)
    return replace(outcome, value=codes[outcome.value.astype(int)])


def _detached(attached: Any) -> State:
    """Detach the trained adapter and return its tensors; the network is restored."""
    found = {name.replace(".default.", "."): tensor.cpu() for name, tensor in attached.state().items()}
    attached.remove()
    return found


def _peft_names(adapter: State) -> State:
    return {name.removesuffix(".weight") + ".default.weight": tensor for name, tensor in adapter.items()}
