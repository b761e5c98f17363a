"""The objective of a pretraining on records: what comes next and when, its curve, and what watches it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from chiasm.fusion.record_sequence import RecordSequence, Told
from chiasm.objectives.collapse import Variance, collapse_of
from chiasm.pretraining.objective import DIVERGED, WATCHED
from chiasm.pretraining.records.options import NAME
from chiasm.pretraining.tasks import pooled
from chiasm.protocols import Fused
from chiasm.training.examples import Batch
from chiasm.training.network import Network
from chiasm.training.objective import Computed, Objective

COLUMNS = ("train", "held_out", "train_wait", "held_out_wait", "rank", "spread", "neighbours")


class TellingEvents(Objective):
    """Mean negative log likelihood of the next concept, and of the time to it, in nats an event.

    After each epoch the curve gets a row: both means of training, both of held-out events, and the signs of a collapse
    of the mean states of held-out records (`objectives.collapse`). The epoch is chosen by the held-out sum of both.
    A record of one known event asks for nothing.

    Args:
        options: what the training depends on, as text: a checkpoint goes on with the same alone.
        progress: called after each epoch with the number of epochs.
    """

    def __init__(self, options: str = "", progress: Callable[[int], None] = lambda epochs: None) -> None:
        self.options, self.progress = options, progress
        self.curve: list[list[float]] = []
        self.sums, self.count, self.steps = np.zeros(2), 0, 0

    def __call__(self, network: Network, batch: Batch) -> Computed:
        """Tell and compare.

        Raises:
            ValueError: the loss is not finite.
        """
        told = _told(network, batch)
        self.steps += 1
        self.sums, self.count = self.sums + _sums(told), self.count + len(told.concept)
        if not np.isfinite(self.sums).all():
            raise ValueError(
                f"the loss of step {self.steps:,} is no finite number: begin again with a lower learning rate"
            )
        losses = {
            name: own.mean() if len(own) else own.sum() for name, own in (("next", told.concept), ("wait", told.wait))
        }
        nothing = losses["next"].detach()[None]
        return Computed(losses, nothing, Fused(nothing))

    def validation(self, network: Network, batches: Iterable[Batch]) -> float:
        """Return the sum of both held-out means, and add a row to the curve.

        Raises:
            ValueError: the loss is far above a guess.
        """
        total, count, means, states = np.zeros(2), 0, list[Tensor](), Variance()
        for told in self.held_out(network, batches):
            total, count = total + _sums(told), count + len(told.concept)
            if sum(map(len, means)) < WATCHED:
                means.append(pooled(told.states, told.mask).double().cpu())
                states.add(told.states[told.mask].double().cpu().numpy())
        held_out = total / max(count, 1)
        if not held_out.sum() < DIVERGED:
            raise ValueError(
                f"the held-out loss of epoch {len(self.curve) + 1:,} is {held_out.sum():.3g} nats an event, far above "
                "a guess: begin again with a lower learning rate"
            )
        watched = collapse_of(torch.cat(means).numpy(), states.value)
        train = self.sums / max(self.count, 1)
        row = [train[0], held_out[0], train[1], held_out[1], watched.rank, watched.spread, watched.neighbours]
        self.curve.append([float(own) for own in row])
        self.sums, self.count = np.zeros(2), 0
        self.progress(len(self.curve))
        return float(held_out.sum())

    def held_out(self, network: Network, batches: Iterable[Batch]) -> Iterator[Told]:
        """Yield what is told of held-out records, batch by batch."""
        for batch in batches:
            yield _told(network, batch)

    def state(self) -> Any:
        """Return the curve and the number of steps."""
        return {"curve": np.array(self.curve).reshape(-1, len(COLUMNS)), "steps": self.steps}

    def restore(self, state: Any) -> None:
        """Go on from `state`."""
        self.curve = np.asarray(state["curve"]).reshape(-1, len(COLUMNS)).tolist()
        self.steps = int(state["steps"])


def _told(network: Network, batch: Batch) -> Told:
    inside = network.fusion
    assert isinstance(inside, RecordSequence)
    return inside.told(NAME, batch.tokens[NAME].where_present(batch.present[:, 0]))


def _sums(told: Told) -> np.ndarray:
    return np.array([float(own.detach().double().sum()) for own in (told.concept, told.wait)])
