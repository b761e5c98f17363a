"""Answers set against the right ones: which option was named and how it was read, or how near a free text comes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from chiasm.bench.item import Item
from chiasm.bench.reply import Reply
from chiasm.language.parsing import Read, read_scores, read_text
from chiasm.metrics.weighted import Floats


@dataclass(frozen=True)
class Marks:
    """Items with what was answered to each.

    Args:
        items: N items.
        positions: (N,) int, the option that was named, in the item's own order; -1 for none.
        ways: N keys of `parsing.WAYS`, how each was read.
        texts: N answers in words, "" where there are none.
    """

    items: tuple[Item, ...]
    positions: NDArray[np.intp]
    ways: tuple[str, ...]
    texts: tuple[str, ...]

    @cached_property
    def right(self) -> Floats:
        """(N,) 1 where the option is a right one, else 0, also without an answer; NaN for free text."""
        return np.array(
            [float(place in item.positions) if item.options else np.nan for item, place in self._pairs],
            dtype=np.float64,
        )

    @cached_property
    def answered(self) -> Floats:
        """(N,) 1 where an option was named, or a text given."""
        return np.array([float(way == "answered") for way in self.ways], dtype=np.float64)

    @cached_property
    def units(self) -> NDArray[np.str_]:
        """(N,) what each item is drawn with."""
        return np.array([item.unit for item in self.items], dtype=np.str_)

    @cached_property
    def first_of_unit(self) -> NDArray[np.intp]:
        """(G,) place of the first item of each unit, in their order."""
        return np.sort(np.unique(self.units, return_index=True)[1])

    @cached_property
    def members(self) -> tuple[NDArray[np.intp], ...]:
        """G arrays, the places of the items of each unit, in the order of `first_of_unit`."""
        places: dict[str, list[int]] = {}
        for number, unit in enumerate(self.units.tolist()):
            places.setdefault(unit, []).append(number)
        return tuple(np.array(own, dtype=np.intp) for own in places.values())

    @property
    def _pairs(self) -> list[tuple[Item, int]]:
        return list(zip(self.items, self.positions.tolist(), strict=True))

    def take(self, rows: NDArray[np.intp] | NDArray[np.bool_]) -> Marks:
        """Restrict to some of the items."""
        kept = np.arange(len(self.items))[rows]
        return Marks(
            tuple(self.items[k] for k in kept),
            self.positions[kept],
            tuple(self.ways[k] for k in kept),
            tuple(self.texts[k] for k in kept),
        )

    def counted_ways(self) -> dict[str, int]:
        """How many answers were read in each way, the most frequent first."""
        return dict(Counter(self.ways).most_common())


def marked(items: Sequence[Item], replies: Sequence[Reply], orders: Sequence[tuple[int, ...]] | None = None) -> Marks:
    """Read the replies to items.

    Args:
        items: N items.
        replies: the reply to each.
        orders: which of its own options stood at each place when the item was asked; None: in their own order.
    """
    reads = [
        read(reply, tuple(item.options[k] for k in order))
        for item, reply, order in zip(
            items, replies, orders or [tuple(range(len(i.options))) for i in items], strict=True
        )
    ]
    places = [
        -1 if own.position is None else (own.position if orders is None else orders[number][own.position])
        for number, own in enumerate(reads)
    ]
    return Marks(
        tuple(items),
        np.array(places, dtype=np.intp),
        tuple(own.way for own in reads),
        tuple(r.text or "" for r in replies),
    )


def read(reply: Reply, options: Sequence[str]) -> Read:
    """Read one reply: failures first, then scores, a position, words; without options any words are an answer."""
    if reply.failure:
        return Read(None, reply.failure)
    if options and reply.scores is not None:
        return read_scores(reply.scores, options)
    if options and reply.position is not None:
        known = 0 <= reply.position < len(options)
        return Read(reply.position, "answered") if known else Read(None, "no such letter")
    if not options:
        way = read_text(reply.text, ()).way
        return Read(None, way if way in ("empty", "too long") else "answered")
    return read_text(reply.text, options)


def chosen(items: Sequence[Item], positions: Sequence[int], text: str = "") -> Marks:
    """Mark options that were chosen without a candidate, one for each item; to items of free text `text` is said."""
    places = [place if item.options else -1 for item, place in zip(items, positions, strict=True)]
    texts = ["" if item.options else text for item in items]
    ways = tuple("answered" if k >= 0 or own else "empty" for k, own in zip(places, texts, strict=True))
    return Marks(tuple(items), np.array(places, dtype=np.intp), ways, tuple(texts))
