"""A stream of shards as a data set of torch, for loaders with workers, in one process or several."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from torch.utils.data import IterableDataset, get_worker_info

from chiasm.pretraining.articles.shards import open_shards
from chiasm.pretraining.articles.stream import Order, Received, Sample, stream


class ShardDataset(IterableDataset[Sample]):
    """Samples for a `DataLoader`: its workers, and those of `ranks` processes, share the shards and yield each once.

    `order.workers` has to be the number of all of them: `ranks` times the loader's workers, or times one without any.
    """

    def __init__(self, folder: Path, received: Received | Order, *, rank: int = 0, damaged: str = "refuse") -> None:
        self.shards = open_shards(folder, damaged)
        self.order = received.order if isinstance(received, Received) else received
        self.at = dict(received.at) if isinstance(received, Received) else {}
        self.rank = rank

    def __iter__(self) -> Iterator[Sample]:
        info = get_worker_info()
        many, own = (1, 0) if info is None else (info.num_workers, info.id)
        if self.order.workers % many:
            raise ValueError(
                f"the order is for {self.order.workers} workers, and this loader has {many}: they have to divide it"
            )
        worker = self.rank * many + own
        yield from stream(self.shards, self.order, worker, self.at.get(worker, (0, 0)))
