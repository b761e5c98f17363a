"""Training objectives: what a step minimises. Every loss enters here, as a named term."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import Any, ClassVar

import torch
from torch import Tensor

from chiasm.protocols import Fused
from chiasm.training.examples import Batch, TargetTensors
from chiasm.training.network import READING_BATCH, Network

PENALTY = "penalty of "
"""How the name of a term begins that reads weights alone, and no patient."""


@dataclass(frozen=True)
class Computed:
    """What an objective computed for a batch.

    Args:
        losses: scalar terms by name, whose sum is minimised.
        link: `(B, K)`, output of the head, upon the offset where there is one.
        fused: output of the fusion: embedding, latents, extras.
    """

    losses: dict[str, Tensor]
    link: Tensor
    fused: Fused

    @property
    def total(self) -> Tensor:
        """The sum of the terms, a scalar."""
        return reduce(add, self.losses.values())


def upon_offset(network: Network, batch: Batch) -> tuple[Tensor, Fused]:
    """Return the link of a batch, `(B, K)`, with what each patient starts from, and the output of the fusion."""
    link, fused = network(batch.tokens, batch.present)
    return (link if batch.offset is None else link + batch.offset), fused


def mean_over_patients(batches: Iterable[Batch], loss: Callable[[Batch], Mapping[str, Tensor]]) -> float:
    """Return the sum of the terms, averaged over batches by their numbers of patients; zero without a batch."""
    total, patients = 0.0, 0
    for batch in batches:
        total += len(batch) * float(torch.stack(list(loss(batch).values())).sum())
        patients += len(batch)
    return total / max(patients, 1)


class Objective:
    """Training objective: the head's own loss, and the terms that the fusion adds in `Fused.losses`.

    One of another kind overrides `losses`, or, where the network runs otherwise than once on the batch, the call
    itself. One with a state (as of weights that follow the validations) overrides `state` and `restore` too, and serves
    one training run. `reading_batch` is how many held-out patients a batch of the validation has.
    """

    reading_batch: ClassVar[int] = READING_BATCH

    def __call__(self, network: Network, batch: Batch) -> Computed:
        """Run the network on a batch and compute every term of the loss, each a finite scalar."""
        link, fused = upon_offset(network, batch)
        own = self.losses(network, batch, link, fused)
        if both := own.keys() & fused.losses.keys():
            raise ValueError(f"the fusion and the objective both have a loss {', '.join(sorted(both))}: rename one")
        return Computed({**own, **fused.losses}, link, fused)

    def losses(self, network: Network, batch: Batch, link: Tensor, fused: Fused) -> dict[str, Tensor]:
        """Return the terms beside those of the fusion; here the head's mean loss."""
        return {"target": network.head.loss(link, batch.target.value, batch.target.event)}

    def validation(self, network: Network, batches: Iterable[Batch]) -> float:
        """Return the held-out loss by which epochs are compared; called once after each epoch, in evaluation mode."""
        links, targets = [], []
        for batch in batches:
            links.append(upon_offset(network, batch)[0].cpu())
            targets.append(batch.target.to("cpu"))
        return self.validated(network, torch.cat(links), TargetTensors.of(targets))

    def validated(self, network: Network, link: Tensor, target: TargetTensors) -> float:
        """Return the held-out loss from the links of all held-out patients; here the head's mean loss."""
        return float(network.head.loss(link, target.value, target.event))

    def state(self) -> Any:
        """Return what was learned so far, in a form that `save_checkpoint` stores; here nothing."""
        return None

    def restore(self, state: Any) -> None:
        """Restore the state returned by `state`."""
