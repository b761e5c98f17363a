"""What a pretraining is asked for, and what of it cannot be."""

from __future__ import annotations

from dataclasses import dataclass

from chiasm.cohort import Unsupported
from chiasm.encoders.catalogue import options as options_of
from chiasm.encoders.sequence.alphabets import OF_KIND
from chiasm.encoders.sequence.network import SequenceConfig
from chiasm.errors import nearest
from chiasm.pretraining.tasks import METHODS
from chiasm.specs import name_and_options
from chiasm.training.options import TrainOptions


@dataclass(frozen=True)
class PretrainOptions:
    """Options of a pretraining of sequences.

    Args:
        method: one of `METHODS`: causal, masked, fim, icl.
        epochs: the most passes over the training sequences, or over 256 batches of them where there are more.
        patience: the training stops after more than this many epochs without a lower held-out loss.
        batch: sequences (packs, with icl) a step.
        learning_rate: peak rate of AdamW.
        held_out: share of the patients that is held out.
        share: share of the letters that `masked` hides, of the sequences whose middle `fim` moves; -1: 0.15 and 0.5.
        pack: sequences a pack, with icl.
        longest: letters of the longest sequence that is accepted.
    """

    method: str = "causal"
    epochs: int = 20
    patience: int = 3
    batch: int = 64
    learning_rate: float = 3e-3
    held_out: float = 0.1
    share: float = -1.0
    pack: int = 4
    longest: int = 4096

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            like = nearest(self.method, METHODS)
            hint = f"did you mean '{like}'?" if like else f"there are {', '.join(METHODS)}"
            raise ValueError(f"sequences are not pretrained by '{self.method[:40]}': {hint}")
        if not 0 < self.held_out <= 0.5:
            raise ValueError(f"the share held out is {self.held_out:g}, and lies above 0 and at most at 0.5")
        if not (self.share == -1.0 or 0 < self.share <= 1):
            raise ValueError(f"share is {self.share:g}, and lies above 0 and at most at 1")
        if self.share != -1.0 and not METHODS[self.method].share:
            raise ValueError(f"'{self.method}' draws no share: leave share out, or ask for masked or fim")
        if self.pack < 2 or self.longest < 2 or self.epochs < 1:
            raise ValueError("pack and longest are 2 or more, and epochs 1 or more")
        self.training()

    @property
    def drawn_share(self) -> float:
        """The share by which the method draws."""
        return METHODS[self.method].share if self.share == -1.0 else self.share

    def training(self) -> TrainOptions:
        """Return what the loop is asked for."""
        return TrainOptions(self.epochs, self.patience, self.batch, self.learning_rate)


def network_config(spec: str, kind: str, method: str) -> SequenceConfig:
    """Return the shape of a network from its name and options, as `gru:width=64,depth=2`.

    The alphabet is that of the kind unless it is named. What is told from both sides is read from both sides.

    Raises:
        ValueError: an option that there is not, or one out of range.
        Unsupported: a method that does not suit the network.
    """
    cell, text = name_and_options(spec)
    asked = options_of(SequenceConfig, cell, text)
    asked.setdefault("alphabet", OF_KIND.get(kind, kind))
    both = not METHODS[method].looks_back
    asked.setdefault("bidirectional", both)
    config = SequenceConfig(**{**asked, "cell": cell})
    if both and not config.bidirectional:
        raise Unsupported(f"'{method}' tells letters from both sides: leave out bidirectional=false, or ask for causal")
    if METHODS[method].packs and (config.bidirectional or config.rc != "none"):
        raise Unsupported(
            f"'{method}' reads one sequence after another: it takes a network of one direction and strand"
        )
    return config
