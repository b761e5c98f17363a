"""Training options of a network."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class TrainOptions:
    """Training options of a network.

    Args:
        epochs: maximum number of epochs, each a pass over the training patients, or over `MOST_STEPS` batches of them,
            drawn anew, where there are more.
        patience: training stops after more than this many epochs without a better or equal validation loss.
        batch: patients per step.
        learning_rate: peak rate of AdamW, warmed up over about one epoch and decayed to a tenth along a half cosine.
        weight_decay: weight decay of AdamW.
        modality_dropout: probability that a present modality of a training patient is dropped in a step; a patient
            keeps all modalities if every one would be dropped.
    """

    epochs: int = 40
    patience: int = 8
    batch: int = 64
    learning_rate: float = 2e-3
    weight_decay: float = 1e-2
    modality_dropout: float = 0.0

    def __post_init__(self) -> None:
        for name, value, least in (
            ("epochs", self.epochs, 0),
            ("patience", self.patience, 0),
            ("batch", self.batch, 1),
        ):
            if value < least:
                raise ValueError(f"{name} is {value}, and must be {least} or more")
        for name, rate in (("learning_rate", self.learning_rate), ("weight_decay", self.weight_decay)):
            if not 0 <= rate < math.inf:
                raise ValueError(f"{name} is {rate}, and must be 0 or more, and finite")
        check_chance("modality_dropout", self.modality_dropout)

    def rate_at(self, epoch: float) -> float:
        """Return the learning rate at a fractional epoch: warmed up, then along a half cosine to a tenth."""
        warm = min(1.0, epoch + 0.1)
        return self.learning_rate * warm * (0.55 + 0.45 * math.cos(math.pi * min(1.0, epoch / self.epochs)))


def check_chance(name: str, value: float) -> None:
    """Check that a value is a dropout probability, at least 0 and below 1.

    Raises:
        ValueError: the value is below 0, or 1 or more.
    """
    if not 0 <= value < 1:
        raise ValueError(f"{name} is {value}, and must lie between 0 and 1, below 1")
