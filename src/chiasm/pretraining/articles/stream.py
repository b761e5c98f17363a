"""A stream of samples from shards that any number of workers share, that yields each once, and goes on where it was."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, BinaryIO

import numpy as np

from chiasm.pretraining.articles.shards import Shards
from chiasm.pretraining.articles.tar import Cut, Member, Stream, members
from chiasm.readers.reading import ReadError

STATE = 1  # version of a state
AGAIN = "write the shards anew, fetch them again, or read what is whole with damaged='count'"


@dataclass(frozen=True)
class Order:
    """The order of an epoch.

    Args:
        seed: of the order of the shards, and of the samples within each; None: as they lie.
        epoch: each has an order of its own.
        workers: how many share the shards; worker i has every i-th of them.
    """

    seed: int | None = None
    epoch: int = 0
    workers: int = 1


@dataclass(frozen=True)
class Sample:
    """A sample: its key, the bytes of its parts by ending, and its place: the worker, the shard, the number in it."""

    key: str
    parts: dict[str, bytes]
    worker: int
    shard: int
    number: int


def stream(shards: Shards, order: Order, worker: int = 0, at: tuple[int, int] = (0, 0)) -> Iterator[Sample]:
    """Yield the samples of one worker, each once, from a place on: the shard among its own, and the number within.

    Of a shard that is cut off, what lies before the cut is yielded if `open_shards` was told to count; else it raises.

    Raises:
        ValueError: there are more workers than shards, or no such worker.
        ReadError: a shard is damaged.
    """
    own = shards_of(shards, order, worker)
    for number, which in enumerate(own[at[0] :], start=at[0]):
        first = at[1] if number == at[0] else 0
        for place, (key, parts) in _samples(shards, which, order, first):
            yield Sample(key, parts, worker, number, place)


def shards_of(shards: Shards, order: Order, worker: int) -> list[int]:
    """Return the numbers of the shards that a worker reads, in its order."""
    many = len(shards.shards)
    if not 0 <= worker < order.workers:
        raise ValueError(f"worker {worker} of {order.workers}: they count from 0")
    if order.workers > many:
        raise ValueError(
            f"{order.workers} workers share {many} shards: take at most {many} workers, or write smaller shards"
        )
    drawn = range(many) if order.seed is None else np.random.default_rng([order.seed, order.epoch]).permutation(many)
    return [int(which) for which in drawn][worker :: order.workers]


def lost_in(shards: Shards) -> dict[str, int]:
    """Return how many samples each damaged shard has lost, by its file; -1 where nobody knows how many it had."""
    found = {}
    for shard in shards.shards:
        whole, cut = 0, True
        if (shards.folder / shard.file).is_file():
            with (shards.folder / shard.file).open("rb") as file:
                listed, cut = _located(file)
                whole = len(listed)
        if whole < shard.samples or cut:
            found[shard.file] = shard.samples - whole if shard.samples >= 0 else -1
    return found


def _samples(
    shards: Shards, which: int, order: Order, first: int
) -> Iterator[tuple[int, tuple[str, dict[str, bytes]]]]:
    shard = shards.shards[which]
    path = shards.folder / shard.file
    if shards.tolerant and not path.is_file():
        return
    try:
        with path.open("rb") as file:
            if order.seed is None:
                yield from ((place, own) for place, own in enumerate(_grouped(file)) if place >= first)
                return
            listed, cut = _located(file)
            if cut and not shards.tolerant:
                raise Cut("the archive is cut off", AGAIN)
            drawn = np.random.default_rng([order.seed, order.epoch, which]).permutation(len(listed))
            for place in range(first, len(drawn)):
                key, parts = listed[drawn[place]]
                yield place, (key, {ending: _read_at(file, at, size) for ending, at, size in parts})
    except ReadError as fault:
        if not (shards.tolerant and isinstance(fault, Cut)):
            raise ReadError(f"shard '{shard.file}': {fault.what}", AGAIN) from None


def _read_at(file: BinaryIO, at: int, size: int) -> bytes:
    """Return bytes of a file, all of them: one call of the system may give fewer, and never more than 2 GB."""
    held = os.pread(file.fileno(), size, at)
    while len(held) < size:
        more = os.pread(file.fileno(), size - len(held), at + len(held))
        if not more:
            raise Cut("the archive was cut off while it was read", AGAIN)
        held += more
    return held


def _grouped(file: BinaryIO) -> Iterator[tuple[str, dict[str, bytes]]]:
    """Yield the samples as they lie: members that follow each other with the same name up to the first dot.

    Raises:
        Cut: the file ends without its mark; the sample before the cut may be half of one, and is not yielded.
    """
    key, held = "", dict[str, bytes]()
    for own, ending, data, member in _named(file):
        if own != key and held:
            yield key, held
            held = {}
        key = own
        held[ending] = data.read(member.size)
    if held:
        yield key, held


def _located(file: BinaryIO) -> tuple[list[tuple[str, list[tuple[str, int, int]]]], bool]:
    """Return where the parts of each whole sample lie: ending, place and size; and whether the file is cut off."""
    found: list[tuple[str, list[tuple[str, int, int]]]] = []
    try:
        for own, ending, _, member in _named(file):
            if not found or found[-1][0] != own:
                found.append((own, []))
            found[-1][1].append((ending, member.data, member.size))
    except Cut:
        return found[:-1], True
    return found, False


def _named(file: BinaryIO) -> Iterator[tuple[str, str, Stream, Member]]:
    for member, data in members(file):
        if member.regular:
            folder, slash, name = member.name.rpartition("/")
            stem, _, ending = name.partition(".")
            yield f"{folder}{slash}{stem}", ending.lower(), data, member


@dataclass
class Received:
    """What a training has taken from a stream so far: kept with its checkpoint, it is all that is needed to go on.

    What workers have read ahead counts only once it is `note`d, so that nothing is lost between them and the training.
    """

    shards: Shards
    order: Order
    at: dict[int, tuple[int, int]] = field(default_factory=dict)

    def note(self, sample: Sample) -> None:
        """Take note of a sample; those of one worker come in their order."""
        self.at[sample.worker] = (sample.shard, sample.number + 1)

    def state(self) -> dict[str, Any]:
        """Return the state as JSON holds it."""
        order = {"seed": self.order.seed, "epoch": self.order.epoch, "workers": self.order.workers}
        places = {str(worker): list(place) for worker, place in sorted(self.at.items())}
        return {"format": STATE, "shards": self.shards.fingerprint, **order, "at": places}


def resumed(shards: Shards, state: Mapping[str, Any]) -> Received:
    """Return what had been received when the state was kept.

    Raises:
        ReadError: it is of other shards, or no state.
    """
    try:
        if state["format"] != STATE:
            raise ValueError
        order = Order(None if state["seed"] is None else int(state["seed"]), int(state["epoch"]), int(state["workers"]))
        at = {int(worker): (int(place[0]), int(place[1])) for worker, place in state["at"].items()}
        own = state["shards"] == shards.fingerprint
    except (KeyError, TypeError, ValueError, AttributeError, IndexError):
        raise ReadError("the state of the stream is damaged", "begin the stream anew") from None
    if not own:
        raise ReadError("the state is of other shards, or these were changed", "begin the stream anew")
    return Received(shards, order, at)
