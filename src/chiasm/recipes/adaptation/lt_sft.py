"""LT-SFT (ACL 2022, arXiv 2110.07560): the weights that full tuning moves most, trained again from the start alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from chiasm.adapters import Attached, SparseDelta, delta_of, most_moved
from chiasm.encoders.adaptable import Trunk
from chiasm.fitting.base import Training
from chiasm.fitting.neural import finish
from chiasm.fitting.row import Row
from chiasm.heads.response import Response
from chiasm.protocols import Predictor
from chiasm.recipes.adaptation import ROWS
from chiasm.recipes.adaptation.adapted import Adaptation, AdaptedRecipe
from chiasm.recipes.adaptation.trunks import open_trunks
from chiasm.training import Network

Deltas = dict[str, SparseDelta]


@dataclass(frozen=True)
class LotteryTicketRecipe(AdaptedRecipe):
    """Train all of a network, keep the places of the largest `|theta_1 - theta_0|`, go back, train these alone.

    Args:
        share: of the network's weights that move in the end, chosen by one threshold over all of them.
        rounds: a `rounds`-th of the places is found at a time; a later round starts from what was learned.
        l1: times the mean of `|theta - theta_0|` is added to the loss, in both stages.
        epochs: of each stage.
    """

    learning_rate: float = 1e-4
    share: float = 0.05
    rounds: int = 1
    l1: float = 0.0

    row: ClassVar[Row] = ROWS["lt-sft"]

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.share <= 1 or self.rounds < 1 or self.l1 < 0:
            raise ValueError("share lies above 0 and at most at 1, rounds is 1 or more, l1 0 or more")

    def adaptation(self, trunk: Trunk) -> Adaptation:
        """Everything, in the first stage."""
        return Adaptation(full=True)

    def learn(self, training: Training) -> tuple[Predictor, Response]:
        """Two stages a round; only the last sparse change is kept."""
        data, dense, base = self.prepared(training)
        deltas: Deltas = {}
        for number in range(1, self.rounds + 1):
            trunks = open_trunks(data)
            _put(trunks, deltas)
            start = {trunk: base[name] for name, trunk in trunks.items()}
            whole = self.network(
                training, data, dense, trunks, f"-full-{number}", penalty=partial(self._l1, start=start)
            )
            moved: dict[str, Trunk] = whole.fusion.__dict__["trunks"]
            for name, trunk in moved.items():
                deltas[name] = self._ticket(base[name], trunk, deltas.get(name, SparseDelta({})), number)
            chosen = {name: Adaptation(delta, _sites(delta)) for name, delta in deltas.items()}
            design = replace(dense, adaptations=chosen)
            network = self.network(
                training, data, design, open_trunks(data), f"-sparse-{number}", penalty=partial(self._l1, start={})
            )
            deltas = _learned(network)
        return finish(training, data, network, design)

    def _ticket(self, base: Trunk, moved: Trunk, before: SparseDelta, number: int) -> SparseDelta:
        """The places of this round, those of earlier ones with what they have learned."""
        base.cpu()  # the penalty may have moved it to where the other one was trained
        phi = {
            name: (moved.network.get_parameter(name) - base.network.get_parameter(name)).detach().flatten().numpy()
            for name in _maskable(base)
        }
        whole = max(self.rounds, round(self.share * sum(values.size for values in phi.values())))
        places = most_moved(phi, before.indices, whole * number // self.rounds)
        start = {}
        for name, known in before.indices.items():
            start[name] = np.zeros(len(places[name]), np.float32)
            start[name][np.searchsorted(places[name], known)] = before.start[name]
        return SparseDelta(places, start)

    def _l1(self, own: Any, start: Mapping[Trunk, Trunk]) -> Tensor:
        if not self.l1:
            return torch.zeros(())
        if isinstance(own, Attached):
            moved = list(own.parameters())
        else:
            base = start[own].to(next(own.parameters()).device).network
            moved = [own.network.get_parameter(name) - base.get_parameter(name) for name in _maskable(own)]
        total = torch.stack([values.abs().sum() for values in moved]).sum()
        return self.l1 * total / sum(values.numel() for values in moved)


def _maskable(trunk: Trunk) -> list[str]:
    """The parameters that may move: those that are read, and not shared between two modules."""
    modules = list(trunk.network.named_modules(remove_duplicate=False))
    shared = Counter(id(parameter) for _, own in modules for parameter in own._parameters.values())
    return [
        f"{site}.{name}".lstrip(".")
        for site, own in modules
        for name, parameter in own._parameters.items()
        if parameter is not None and site not in trunk.unread and shared[id(parameter)] == 1
    ]


def _put(trunks: Mapping[str, Trunk], deltas: Deltas) -> None:
    """Add what was learned to networks that are trained whole again."""
    with torch.no_grad():
        for name, delta in deltas.items():
            for key, places in delta.indices.items():
                flat = trunks[name].network.get_parameter(key).view(-1)
                flat[torch.from_numpy(places)] += torch.from_numpy(delta.start[key])


def _sites(delta: SparseDelta) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name.rpartition(".")[0] for name in delta.indices))


def _learned(network: Network) -> Deltas:
    attached: dict[str, Any] = network.fusion.attached  # type: ignore[assignment]
    return {name: delta_of(own) for name, own in attached.items()}
