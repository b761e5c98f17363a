"""What a pretraining on records of events is asked for, and the shape of its network."""

from __future__ import annotations

from dataclasses import dataclass

from chiasm.artifact import storable
from chiasm.encoders.catalogue import options as options_of
from chiasm.encoders.record.event_tokens import EventTokens
from chiasm.encoders.sequence.network import SequenceConfig
from chiasm.encoders.sequence.stacks import make_stack
from chiasm.encoders.weights import seeded
from chiasm.fusion.record_sequence import RecordSequence, Vocabulary
from chiasm.specs import name_and_options
from chiasm.training.options import TrainOptions

METHOD = "next-event"
NAME = "events"


@storable("record-config")
@dataclass(frozen=True)
class RecordConfig:
    """The shape of a network that reads records, and which of their events it reads.

    Args:
        cell, width, depth, heads: of the causal stack, see `SequenceConfig`.
        codes, share, bins, gap: of the vocabulary, see `EventTokens`.

    Raises:
        ValueError: an option is out of range.
    """

    cell: str = "gru"
    width: int = 64
    depth: int = 2
    heads: int = 4
    codes: int = 512
    share: float = 0.01
    bins: int = 5
    gap: float = 24.0

    def __post_init__(self) -> None:
        SequenceConfig(self.cell, width=self.width, depth=self.depth, heads=self.heads)  # refuses what is out of range
        self.events(1)

    def events(self, steps: int) -> EventTokens:
        """Return the unfitted encoder of single events, of which it reads the last `steps` of a record."""
        return EventTokens(steps, self.bins, self.gap, self.codes, self.share)

    def network(self, events: EventTokens, seed: int = 0) -> RecordSequence:
        """Return a network for the vocabulary of fitted events, with initial weights drawn from `seed`."""
        vocabulary = Vocabulary(events.concepts, len(events.types) + 1)
        with seeded(seed):
            return RecordSequence(
                {NAME: (events.width, 0)}, {NAME: vocabulary},
                lambda: make_stack(self.cell, self.width, self.depth, self.heads), outputs=1, latent_width=self.width,
            )  # fmt: skip


@dataclass(frozen=True)
class RecordOptions:
    """Options of a pretraining on records.

    Args:
        epochs: the most passes over the training records, or over 256 batches of them where there are more.
        patience: the training stops after more than this many epochs without a lower held-out loss.
        batch: records a step.
        learning_rate: peak rate of AdamW.
        held_out: share of the patients that is held out.
        longest: events of a record that are read, the last ones.
    """

    epochs: int = 20
    patience: int = 3
    batch: int = 64
    learning_rate: float = 3e-3
    held_out: float = 0.1
    longest: int = 4096

    def __post_init__(self) -> None:
        if not 0 < self.held_out <= 0.5:
            raise ValueError(f"the share held out is {self.held_out:g}, and lies above 0 and at most at 0.5")
        if self.longest < 2 or self.epochs < 1:
            raise ValueError("longest is 2 events or more, and epochs 1 or more")
        self.training()

    def training(self) -> TrainOptions:
        """Return what the loop is asked for."""
        return TrainOptions(self.epochs, self.patience, self.batch, self.learning_rate)


def record_config(spec: str) -> RecordConfig:
    """Return the shape of a network from its name and options, as `gru:width=64,codes=256`.

    Raises:
        ValueError: an option that there is not, or one out of range.
    """
    cell, text = name_and_options(spec)
    return RecordConfig(**{**options_of(RecordConfig, cell, text), "cell": cell})
