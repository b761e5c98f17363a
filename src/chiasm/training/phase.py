"""Phases of a training: what is trained, on which objective, with which options, and what looks in at every step."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from chiasm.training.examples import Batch
from chiasm.training.network import Network
from chiasm.training.objective import Computed, Objective
from chiasm.training.options import TrainOptions

Predicate = Callable[[str], bool]
Groups = Callable[[Network], Sequence[Mapping[str, Any]]]


@dataclass(frozen=True)
class Step:
    """One training step between its backward pass and the optimiser.

    Args:
        network: the network; each trained parameter has its gradient in `grad`.
        batch: the patients of the step.
        computed: losses by name, link and output of the fusion.
        epoch: number of finished epochs of the phase.
    """

    network: Network
    batch: Batch
    computed: Computed
    epoch: int


class Hook:
    """A look at every step after its backward pass, before gradients are clipped; it may change them in place.

    Randomness comes from torch's global generator, which the training seeds and its checkpoint holds.
    """

    def __call__(self, step: Step) -> None:
        """Read the step, and change the gradients of `step.network` where wanted."""
        raise NotImplementedError

    def state(self) -> Any:
        """Return what was learned so far, in a form that `save_checkpoint` stores; here nothing."""
        return None

    def restore(self, state: Any) -> None:
        """Restore the state returned by `state`."""


@dataclass(frozen=True)
class Phase:
    """One stretch of training, from the network as the phase before left it to its own best epoch.

    Args:
        options: epochs, rates, batches.
        objective: what is minimised.
        trainable: tells by a parameter's name whether this phase trains it; None: all. A parameter that the network
            itself has frozen stays frozen. Modules of which this phase trains nothing are in evaluation mode; without
            `trainable` all are in training mode.
        hooks: called in their order at every step.
        groups: makes parameter groups as `layer_rates` does, "params" and optionally "weight_decay" and "scale", which
            multiplies the rate; None: one group.
        name: enters the seed of the phase; the phases of a training have different names.
    """

    options: TrainOptions
    objective: Objective = field(default_factory=Objective)
    trainable: Predicate | None = None
    hooks: tuple[Hook, ...] = ()
    groups: Groups | None = None
    name: str = "train"

    @contextmanager
    def only(self, network: Network) -> Iterator[list[nn.Parameter]]:
        """Freeze what this phase does not train, and yield what it does; afterwards all is as trainable as before."""
        parameters = [(name, own) for name, own in network.named_parameters() if own.requires_grad]
        frozen = [own for name, own in parameters if self.trainable is not None and not self.trainable(name)]
        for parameter in frozen:
            parameter.requires_grad_(False)
        try:
            yield [own for _, own in parameters if own.requires_grad]
        finally:
            for parameter in frozen:
                parameter.requires_grad_(True)

    def training_mode(self, network: Network) -> None:
        """Set the network to training mode, and the parts that this phase has frozen to evaluation mode."""
        network.train()
        if self.trainable is None:
            return
        for module in network.modules():
            own = list(module.parameters())
            if own and not any(parameter.requires_grad for parameter in own):
                module.eval()

    def parameter_groups(self, network: Network, trained: list[nn.Parameter]) -> list[dict[str, Any]]:
        """Return the optimiser's groups of the parameters that are trained.

        Raises:
            ValueError: `groups` omits one of them.
        """
        if self.groups is None:
            return [{"params": trained}]
        groups = [dict(group) for group in self.groups(network)]
        listed = {id(parameter) for group in groups for parameter in group["params"]}
        if any(id(parameter) not in listed for parameter in trained):
            raise ValueError("a parameter that is trained is in no group: list it, or freeze it")
        return groups
