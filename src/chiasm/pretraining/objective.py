"""The objective of a pretraining: the loss of the letters that are asked for, and its curve with what watches it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from chiasm.encoders.sequence.network import SequenceNetwork
from chiasm.objectives.causal import Asked, letter_losses
from chiasm.objectives.collapse import Variance, collapse_of
from chiasm.pretraining.tasks import METHODS, Draw, letters_of, logits_of, pooled, turned
from chiasm.protocols import Fused
from chiasm.training.examples import Batch
from chiasm.training.network import Network
from chiasm.training.objective import Computed, Objective

NAME = "sequence"
WATCHED = 512  # held-out sequences whose embeddings are watched
DIVERGED = 30.0  # nats a letter, which no alphabet asks for
COLUMNS = ("train", "held_out", "rank", "spread", "neighbours")


class Told(NamedTuple):
    """What was asked of a batch, and the negative log likelihood of each letter that was: `(N,)`, row by row."""

    asked: Asked
    losses: Tensor


class TellingLetters(Objective):
    """Mean negative log likelihood of the letters that a method asks for, in nats.

    In training each epoch draws anew; for the held-out sequences the draws are the same in every epoch. After each
    epoch the curve gets a row: the mean loss of training, that of the held-out letters, and the signs of a collapse of
    the mean states of held-out sequences (`objectives.collapse`).

    Args:
        method: one of `METHODS`.
        others: numbers of the letters that occur in training.
        share: what the method draws by.
        batch: held-out sequences that run at once.
        options: what else the training depends on, as text: a checkpoint goes on with the same alone.
        progress: called after each epoch with the number of epochs.
    """

    def __init__(
        self,
        method: str,
        others: Sequence[int],
        share: float,
        batch: int,
        options: str = "",
        progress: Callable[[int], None] = lambda epochs: None,
    ) -> None:
        self.method, self.share, self.batch, self.options = method, share, batch, options
        self.others, self.progress = torch.tensor(others), progress
        self.curve: list[list[float]] = []
        self.sum, self.count, self.steps = 0.0, 0, 0

    def __call__(self, network: Network, batch: Batch) -> Computed:
        """Ask, tell and compare.

        Raises:
            ValueError: the loss is not finite.
        """
        losses = self._told(network, batch, None).losses
        self.steps += 1
        self.sum, self.count = self.sum + float(losses.detach().double().sum()), self.count + len(losses)
        if not np.isfinite(self.sum):
            raise ValueError(
                f"the loss of step {self.steps:,} is no finite number: begin again with a lower learning rate"
            )
        loss = losses.mean() if len(losses) else losses.sum()
        return Computed({"letters": loss}, loss.detach()[None], Fused(loss.detach()[None]))

    def validation(self, network: Network, batches: Iterable[Batch]) -> float:
        """Return the mean loss of the held-out letters, and add a row to the curve.

        Raises:
            ValueError: the loss is far above a guess.
        """
        generator = torch.Generator().manual_seed(0)
        total, count, means, states = 0.0, 0, list[Tensor](), Variance()
        for part in _parts(batches, self.batch):
            losses = self._told(network, part, generator).losses
            total, count = total + float(losses.double().sum()), count + len(losses)
            if sum(map(len, means)) < WATCHED:
                ids, mask = _read(part)
                found = _inside(network)(ids, mask)
                means.append(pooled(found, mask).double().cpu())
                states.add(found[mask].double().cpu().numpy())  # long sequences have too many to be kept
        held_out = total / max(count, 1)
        if not held_out < DIVERGED:
            raise ValueError(
                f"the held-out loss of epoch {len(self.curve) + 1:,} is {held_out:.3g} nats a letter, far above a "
                "guess: begin again with a lower learning rate"
            )
        watched = collapse_of(torch.cat(means).numpy(), states.value)
        self.curve.append([self.sum / max(self.count, 1), held_out, watched.rank, watched.spread, watched.neighbours])
        self.sum, self.count = 0.0, 0
        self.progress(len(self.curve))
        return held_out

    def held_out(self, network: Network, batches: Iterable[Batch]) -> Iterator[Told]:
        """Yield what is asked of the held-out sequences, as in every validation, and the losses, part by part."""
        generator = torch.Generator().manual_seed(0)
        for part in _parts(batches, self.batch):
            yield self._told(network, part, generator)

    def state(self) -> Any:
        """Return the curve and the number of steps."""
        return {"curve": np.array(self.curve).reshape(-1, len(COLUMNS)), "steps": self.steps}

    def restore(self, state: Any) -> None:
        """Go on from `state`."""
        self.curve = np.asarray(state["curve"]).reshape(-1, len(COLUMNS)).tolist()
        self.steps = int(state["steps"])

    def _told(self, network: Network, batch: Batch, generator: torch.Generator | None) -> Told:
        inside, method = _inside(network), METHODS[self.method]
        ids, mask = _read(batch)
        letters = letters_of(inside)
        ids = turned(inside, ids, mask, generator, method.looks_back)
        asked = method.ask(ids, mask, Draw(letters, self.others, self.share, generator))
        logits = logits_of(inside, asked, method.looks_back, letters)
        return Told(asked, letter_losses(logits, asked.answer, asked.asked, letters))


def _inside(network: Network) -> SequenceNetwork:
    inside = network.fusion
    assert isinstance(inside, SequenceNetwork)
    return inside


def _read(batch: Batch) -> tuple[Tensor, Tensor]:
    tokens = batch.tokens[NAME]
    return tokens.values[..., 0].long(), tokens.mask


def _parts(batches: Iterable[Batch], size: int) -> Iterator[Batch]:
    """Cut batches, each part as long as its longest sequence."""
    for batch in batches:
        tokens = batch.tokens[NAME]
        for start in range(0, len(batch), size):
            rows = slice(start, start + size)
            longest = int(tokens.mask[rows].sum(1).max())
            own = type(tokens)(tokens.values[rows, :longest], tokens.mask[rows, :longest])
            yield Batch({NAME: own}, batch.present[rows], batch.target)
