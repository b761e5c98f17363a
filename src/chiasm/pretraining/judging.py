"""How well held-out letters are told, beside what letters alone tell of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from chiasm.encoders.sequence.alphabets import END, MASK
from chiasm.objectives.icl_pack import item_numbers
from chiasm.pretraining.baselines import MOST_CELLS, ORDERS, order_losses
from chiasm.pretraining.objective import Told
from chiasm.pretraining.tasks import METHODS

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Judged:
    """Perplexities `exp(mean negative log likelihood)` of held-out letters: among how many the network is torn.

    Args:
        asked: number of letters that were asked for; of `masked` those that the network did not read, if there are any.
        perplexity: of the network, at its best epoch.
        uniform: number of different letters that occur: of one who knows the alphabet alone.
        unigram: of one who knows how often each letter occurs, on the letters that were asked for.
        orders: of counts of the letters before, on all held-out letters; for methods that look back alone, and without
            those whose counts are too many to keep.
        by_item: of the network on the first, second, ... item of a pack; empty for methods that pack nothing.
    """

    asked: int
    perplexity: float
    uniform: int
    unigram: float
    orders: dict[str, float]
    by_item: tuple[float, ...]

    def as_facts(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "asked": self.asked,
            "perplexity": self.perplexity,
            "baselines": {"uniform": float(self.uniform), "unigram": self.unigram, **self.orders},
            "perplexity_by_item": list(self.by_item),
        }


def judged(
    told: Sequence[Told], trained: Sequence[Ints], held_out: Sequence[Ints], letters: range, method: str
) -> Judged:
    """Judge what was told of the held-out sequences.

    Args:
        told: what was asked of them, and the losses.
        trained, held_out: numbers of the letters of the sequences of both sides, in every way in which they are read.
        letters: the numbers of the alphabet's letters.
    """
    losses = torch.cat([part.losses for part in told]).double().numpy()
    answers = torch.cat([part.asked.answer[part.asked.asked] for part in told]).numpy()
    if not METHODS[method].looks_back:  # a letter that was asked for and left as it is gives itself away
        hidden = torch.cat([part.asked.read[part.asked.asked] for part in told]).numpy() == MASK
        if hidden.any():
            losses, answers = losses[hidden], answers[hidden]
    there = np.unique(np.concatenate([*trained, *held_out]))
    there = there[(there >= letters.start) & (there < letters.stop)]
    place = np.full(letters.stop, -1)
    place[there] = np.arange(len(there))
    counts = np.bincount(place[np.concatenate(trained)] + 1, minlength=len(there) + 1)[1:] + 1.0
    unigram = -np.log(counts / counts.sum())[place[answers]]
    known = [place[own] for own in trained], [place[own] for own in held_out]
    orders = {}
    if METHODS[method].looks_back:
        for order in [own for own in ORDERS[1:] if len(there) ** (own + 1) <= MOST_CELLS]:
            found = np.concatenate(order_losses(*known, len(there), order))
            orders[f"order-{order}"] = _perplexity(found[~np.isnan(found)])
    return Judged(
        len(losses), _perplexity(losses), len(there), _perplexity(unigram), orders,
        _by_item(told) if METHODS[method].packs else (),
    )  # fmt: skip


def _by_item(told: Sequence[Told]) -> tuple[float, ...]:
    items = torch.cat([item_numbers(part.asked.answer, END)[part.asked.asked] for part in told]).numpy()
    losses = torch.cat([part.losses for part in told]).double().numpy()
    return tuple(_perplexity(losses[items == number]) for number in np.unique(items))


def _perplexity(losses: NDArray[np.float64]) -> float:
    return math.exp(min(float(losses.mean()), 700.0)) if len(losses) else math.nan
