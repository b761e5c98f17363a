"""Objective of a record's language: what happens next, and when. No label is read."""

from __future__ import annotations

from collections.abc import Iterable

from torch import Tensor

from chiasm.fusion.record_sequence import RecordSequence
from chiasm.protocols import Fused
from chiasm.training.examples import Batch
from chiasm.training.network import Network
from chiasm.training.objective import Computed, Objective, mean_over_patients


class NextEvent(Objective):
    """Losses of the next event of a network whose fusion is a `RecordSequence`; nothing is drawn.

    Args:
        options: whatever the training depends on, as text: a checkpoint goes on with the same alone.
    """

    def __init__(self, options: str = "") -> None:
        self.options = options

    def __call__(self, network: Network, batch: Batch) -> Computed:
        """Read the records alone; the link of this phase is that of a state of zeros."""
        fusion = _sequence(network)
        losses = fusion.next_losses(batch.tokens, batch.present)
        nothing = fusion.read(fusion.tasks.new_zeros(len(batch.present), fusion.tasks.shape[1]))
        return Computed(losses, nothing, Fused(nothing))

    def validation(self, network: Network, batches: Iterable[Batch]) -> float:
        """Return the sum of the held-out losses, the mean of the batches weighted by their patients."""

        def losses(batch: Batch) -> dict[str, Tensor]:
            return _sequence(network).next_losses(batch.tokens, batch.present)

        return mean_over_patients(batches, losses)


def _sequence(network: Network) -> RecordSequence:
    fusion = network.fusion
    assert isinstance(fusion, RecordSequence)
    return fusion
