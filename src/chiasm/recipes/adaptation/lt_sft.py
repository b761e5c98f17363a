"""`lt-sft`: LT-SFT (ACL 2022, arXiv 2110.07560), sparse tuning of the weights that full fine-tuning moves most."""

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
from chiasm.recipes.adaptation.adapted_fusion import Penalised
from chiasm.recipes.adaptation.trunks import open_trunks
from chiasm.training import Network, Phase

Deltas = dict[str, SparseDelta]


@dataclass(frozen=True)
class LotteryTicketRecipe(AdaptedRecipe):
    """Lottery-ticket sparse fine-tuning: train all weights, keep the largest `|theta_1 - theta_0|`, retrain only these.

    Args:
        share: share of the network's weights that may change in the end, selected by one threshold over all weights.
        rounds: number of rounds, each of which adds a `rounds`-th of the positions and starts from what was learned.
        l1: weight of the penalty `mean |theta - theta_0|`, in both stages.
        epochs: epochs of each stage.
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
        """Train every weight, in the first stage."""
        return Adaptation(full=True)

    def learn(self, training: Training) -> tuple[Predictor, Response]:
        """Train two stages per round, dense then sparse; only the last sparse change is kept."""
        data, dense, base = self.prepared(training)
        deltas: Deltas = {}
        for number in range(1, self.rounds + 1):
            trunks = open_trunks(data)
            _put(trunks, deltas)
            start = {trunk: base[name] for name, trunk in trunks.items()}
            whole = self.network(training, data, dense, trunks, f"-full-{number}", phases=self._towards(start))
            moved: dict[str, Trunk] = whole.fusion.__dict__["trunks"]
            for name, trunk in moved.items():
                deltas[name] = self._ticket(base[name], trunk, deltas.get(name, SparseDelta({})), number)
            chosen = {name: Adaptation(delta, _sites(delta)) for name, delta in deltas.items()}
            design = replace(dense, adaptations=chosen)
            network = self.network(
                training, data, design, open_trunks(data), f"-sparse-{number}", phases=self._towards({})
            )
            deltas = _learned(network)
        return finish(training, data, network, design)

    def _ticket(self, base: Trunk, moved: Trunk, before: SparseDelta, number: int) -> SparseDelta:
        """Return this round's positions; those of earlier rounds keep their learned values."""
        base.cpu()  # the penalty may have moved it to the training device
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

    def _towards(self, start: Mapping[Trunk, Trunk]) -> tuple[Phase, ...]:
        """Return one phase that draws the weights towards those at the start."""
        return (Phase(self.training_options, Penalised(partial(self._l1, start=start))),)

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
    """List the parameters that may change: those of modules that are read, not shared between two modules."""
    modules = list(trunk.network.named_modules(remove_duplicate=False))
    shared = Counter(id(parameter) for _, own in modules for parameter in own._parameters.values())
    return [
        f"{site}.{name}".lstrip(".")
        for site, own in modules
        for name, parameter in own._parameters.items()
        if parameter is not None and site not in trunk.unread and shared[id(parameter)] == 1
    ]


def _put(trunks: Mapping[str, Trunk], deltas: Deltas) -> None:
    """Add the learned sparse changes to networks before dense training."""
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
