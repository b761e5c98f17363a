"""The objective of a pretraining on rasters: views, the method's loss, its curve, and what watches it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor

from chiasm.objectives.collapse import Variance, collapse_of
from chiasm.pretraining.rasters.augment import Augmentation
from chiasm.pretraining.rasters.draws import part_of_step
from chiasm.pretraining.rasters.learner import Learner
from chiasm.pretraining.rasters.together import Together
from chiasm.protocols import Fused
from chiasm.training.examples import Batch
from chiasm.training.network import Network
from chiasm.training.objective import Computed, Objective

NAME = "raster"
WATCHED = 512  # held-out items whose summaries are watched
COLUMNS = ("train", "held_out", "rank", "spread", "neighbours", "compared")


class LearningRasters(Objective):
    """Mean loss of a method on augmented views of the items.

    In training each epoch draws anew; for the held-out items the draws are the same in every epoch. After each epoch
    the curve gets a row: the mean loss of training, that of the held-out items, and the signs of a collapse of the
    summaries of held-out items as they are (`objectives.collapse`); where the method compares vectors of items, also
    how far these differ: `1 - |mean|^2 / mean |v|^2`, 0 where all are one; else NaN.

    Args:
        shape: `(C, *space)` of an item.
        mean, deviation: `(C,)`, by which channels are standardised.
        augment: makes the views.
        chooses: the held-out loss chooses the epoch; else `validation` returns zero, and the last epoch is kept.
        batch: held-out items that run at once, as many as in a step.
        steps: of the whole training, of which `Learner.stepped` is told the share.
        beside: what stands beside each item: name to values, one row an item.
        options: what else the training depends on, as text: a checkpoint goes on with the same alone.
        progress: called after each epoch with the number of epochs.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        mean: Tensor,
        deviation: Tensor,
        augment: Augmentation,
        *,
        chooses: bool,
        batch: int,
        steps: int,
        options: str = "",
        beside: tuple[str, ...] = (),
        progress: Callable[[int], None] = lambda epochs: None,
        together: Together | None = None,
    ) -> None:
        self.shape, self.augment, self.chooses = shape, augment, chooses
        one = (-1, *[1] * (len(shape) - 1))
        self.mean, self.deviation = mean.reshape(one), deviation.reshape(one)
        self.batch, self.whole, self.options, self.beside = batch, max(1, steps), options, beside
        self.progress, self.together = progress, together or Together()
        self.curve: list[list[float]] = []
        self.sum, self.count, self.steps, self.followed = 0.0, 0, 0, 0
        self.guess = np.nan  # loss of one who knows nothing, NaN where the learner does not say

    def __call__(self, network: Network, batch: Batch) -> Computed:
        """Draw views and compute the loss.

        Raises:
            ValueError: the loss is not finite.
        """
        self._follow(network)
        learner, part = _inside(network), self._part(batch)
        with part_of_step(part.start, len(batch)), self.together.precise():
            loss = self._loss(learner, batch, part)
        share = (part.stop - part.start) * self.together.processes / len(batch)
        self.steps += 1
        self.sum, self.count = self.sum + float(loss.detach()) * (part.stop - part.start), self.count + len(batch)
        if not np.isfinite(self.sum):
            raise ValueError(
                f"the loss of step {self.steps:,} is no finite number: begin again with a lower learning rate"
            )
        return Computed({"method": loss * share}, loss.detach()[None], Fused(loss.detach()[None]))

    def validation(self, network: Network, batches: Iterable[Batch]) -> float:
        """Return the mean loss of the held-out items, or zero where it chooses nothing, and add a row to the curve.

        Raises:
            ValueError: the loss is not finite.
        """
        self._follow(network)
        learner, generator = _inside(network), torch.Generator().manual_seed(0)
        total, guess, count = 0.0, 0.0, 0
        summaries, states, compared = list[Tensor](), Variance(), list[Tensor]()
        for part in _parts(batches, self.batch):
            views = self._views(learner, self.standardised(part), generator)
            loss = learner(views, self._beside(part, slice(0, len(part))), generator)
            guessed = learner.guess(views)
            guess += (np.nan if guessed is None else guessed) * len(part)
            total, count = total + float(loss) * len(part), count + len(part)
            if sum(map(len, summaries)) < WATCHED:
                x = self.standardised(part)
                found = learner.network(x)[:, 1:].double().cpu()  # (B, N, D)
                summaries.append(found.mean(1))
                states.add(found.flatten(0, 1).numpy())
                own = learner.compared(x)
                compared += [] if own is None else [own.double().cpu()]
        held_out = total / max(count, 1)
        if not np.isfinite(held_out):
            raise ValueError(
                f"the held-out loss of epoch {len(self.curve) + 1:,} is no finite number: begin again with a lower "
                "learning rate"
            )
        watched = collapse_of(torch.cat(summaries).numpy(), states.value)
        train = self.together.total(self.sum) / max(self.count, 1)
        self.curve.append([train, held_out, watched.rank, watched.spread, watched.neighbours, differing(compared)])
        self.sum, self.count, self.guess = 0.0, 0, guess / max(count, 1)
        self.progress(len(self.curve))
        return held_out if self.chooses else 0.0

    @property
    def compares(self) -> bool:
        """Whether the method compares vectors of items."""
        return bool(self.curve) and not np.isnan(self.curve[-1][-1])

    def standardised(self, batch: Batch) -> Tensor:
        """Return the items of a batch `(B, C, *space)`, channels standardised."""
        values = batch.tokens[NAME].values[:, 0].reshape(-1, *self.shape)
        return (values - self.mean.to(values)) / self.deviation.to(values)

    def state(self) -> Any:
        """Return the curve, the number of steps and how many of them were followed."""
        curve = np.array(self.curve).reshape(-1, len(COLUMNS))
        return {"curve": curve, "steps": self.steps, "followed": self.followed, "guess": np.array([self.guess])}

    def restore(self, state: Any) -> None:
        """Go on from `state`."""
        self.curve = np.asarray(state["curve"]).reshape(-1, len(COLUMNS)).tolist()
        self.steps, self.followed = int(state["steps"]), int(state["followed"])
        self.guess = float(np.asarray(state["guess"])[0])

    def _follow(self, network: Network) -> None:
        """Tell the learner of the last step, if it was not told yet."""
        if self.followed < self.steps:
            with torch.no_grad():
                _inside(network).stepped(min(1.0, self.steps / self.whole))
            self.followed = self.steps

    def _part(self, batch: Batch) -> slice:
        """Return the rows of a step that this process runs."""
        size, index, whole = len(batch), self.together.index, self.together.processes
        return slice(size * index // whole, size * (index + 1) // whole)

    def _loss(self, learner: Learner, batch: Batch, part: slice) -> Tensor:
        views = self._views(learner, self.standardised(batch)[part], None)
        return self.together.loss(learner, views, self._beside(batch, part), None).float()

    def _views(self, learner: Learner, x: Tensor, generator: torch.Generator | None) -> tuple[Tensor, ...]:
        return tuple(self.augment(x, generator) for _ in range(learner.views))

    def _beside(self, batch: Batch, part: slice) -> Mapping[str, Tensor]:
        return {name: batch.tokens[name].values[part, 0] for name in self.beside}


def differing(parts: Sequence[Tensor]) -> float:
    """Return `1 - |mean|^2 / mean |v|^2` of vectors `(B, E)`, 0 where all are one; NaN of none."""
    if not parts:
        return float("nan")
    vectors = torch.cat(list(parts))
    size = float(vectors.square().sum(1).mean())
    return 1.0 - float(vectors.mean(0).square().sum()) / size if size > 0 else 0.0


def _inside(network: Network) -> Learner:
    inside = network.fusion
    assert isinstance(inside, Learner)
    return inside


def _parts(batches: Iterable[Batch], size: int) -> Iterable[Batch]:
    """Cut batches into parts of at most `size` items; none has one item alone, if there are two."""
    for batch in batches:
        number = max(1, round(len(batch) / size)) if len(batch) > size else 1
        edges = [len(batch) * k // number for k in range(number + 1)]
        for a, b in pairwise(edges):
            tokens = {name: type(own)(own.values[a:b], own.mask[a:b]) for name, own in batch.tokens.items()}
            yield Batch(tokens, batch.present[a:b], batch.target)
