"""What keeping tokens costs: the token store (Arrow files), Lance, and a plain memory map of the same bags.

    python benchmarks/store.py [--bags 4000] [--folder FOLDER]

Bags of 1 to 200 tokens of 384 float32, put 100 at a time. For each way: writing (flushed to the disk), size, opening,
random batches of 64 bags (padded, as training takes them), every bag in order from memory and from the disk, and the
memory that reading in order takes beyond the page cache. Then how long opening 200,000 sources of one token takes.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa

from chiasm.store.token_store import TokenStore

WIDTH, LONGEST, AT_ONCE, BATCH, BATCHES = 384, 200, 100, 64, 40
COLD_ROUNDS, ROUNDS = 2, 6
ENCODER = "benchmark/1()"


Row = dict[str, float]


class Way(Protocol):
    """One way to keep bags; reads give a bag's sum, so that every byte is touched."""

    def write(self, bags: Iterator[list[np.ndarray]]) -> None: ...

    def open(self) -> None: ...

    def batch(self, rows: np.ndarray) -> np.ndarray: ...

    def in_order(self) -> float: ...


class Store:
    """The token store."""

    def __init__(self, folder: Path, lengths: np.ndarray) -> None:
        self.folder, self.lengths = folder, lengths
        self.keys = [hashlib.md5(str(k).encode()).hexdigest() for k in range(len(lengths))]

    def write(self, bags: Iterator[list[np.ndarray]]) -> None:
        store, done = TokenStore(self.folder), 0
        for group in bags:
            store.put(ENCODER, self.keys[done : done + len(group)], group)
            done += len(group)

    def open(self) -> None:
        self.stored = TokenStore(self.folder).open(ENCODER, self.keys)

    def batch(self, rows: np.ndarray) -> np.ndarray:
        return self.stored.batch(rows)[0]

    def in_order(self) -> float:
        return sum(float(bag.sum()) for bag in self.stored)


class Plain:
    """One memory map, and offsets that somebody else remembers: what no format can beat."""

    def __init__(self, folder: Path, lengths: np.ndarray) -> None:
        folder.mkdir(exist_ok=True)
        self.file, self.offsets = folder / "tokens.f32", np.concatenate([[0], np.cumsum(lengths)]).tolist()

    def write(self, bags: Iterator[list[np.ndarray]]) -> None:
        with self.file.open("wb") as file:
            for group in bags:
                for bag in group:
                    file.write(memoryview(bag))
                file.flush()
                os.fsync(file.fileno())

    def open(self) -> None:
        self.values = np.asarray(np.memmap(self.file, dtype=np.float32, mode="r").reshape(-1, WIDTH))

    def batch(self, rows: np.ndarray) -> np.ndarray:
        return padded([self.values[self.offsets[row] : self.offsets[row + 1]] for row in rows.tolist()])

    def in_order(self) -> float:
        return sum(float(self.values[a:b].sum()) for a, b in pairwise(self.offsets))


class Lance:
    """A Lance dataset of one row a bag."""

    def __init__(self, folder: Path, lengths: np.ndarray) -> None:
        self.folder = folder
        self.schema = pa.schema([("tokens", pa.large_list(pa.list_(pa.float32(), WIDTH)))])

    def write(self, bags: Iterator[list[np.ndarray]]) -> None:
        import lance

        for group in bags:
            flat = pa.FixedSizeListArray.from_arrays(pa.array(np.concatenate(group).reshape(-1)), WIDTH)
            offsets = pa.array(np.cumsum([0, *map(len, group)]))
            table = pa.table([pa.LargeListArray.from_arrays(offsets, flat)], schema=self.schema)
            lance.write_dataset(table, str(self.folder), mode="append" if self.folder.exists() else "create")

    def open(self) -> None:
        import lance

        self.dataset = lance.dataset(str(self.folder))

    def batch(self, rows: np.ndarray) -> np.ndarray:
        return padded(list(split(self.dataset.take(rows.tolist()).column("tokens"))))

    def in_order(self) -> float:
        column = (batch.column("tokens") for batch in self.dataset.to_batches(columns=["tokens"], batch_size=256))
        return sum(float(bag.sum()) for part in column for bag in split(pa.chunked_array([part])))


def split(column: Any) -> Iterator[np.ndarray]:
    for part in column.chunks:
        values = part.values.values.to_numpy(zero_copy_only=True).reshape(-1, WIDTH)
        offsets = part.offsets.to_pylist()
        yield from (values[a:b] for a, b in pairwise(offsets))


def padded(bags: list[np.ndarray]) -> np.ndarray:
    out = np.empty((len(bags), max(map(len, bags)), WIDTH), dtype=np.float32)
    for k, bag in enumerate(bags):
        out[k, : len(bag)] = bag
        out[k, len(bag) :] = 0.0
    return out


def made(lengths: np.ndarray) -> Iterator[list[np.ndarray]]:
    """Bags cut from one block of noise: making them must not cost what writing them does."""
    noise = np.random.default_rng(0).normal(size=(LONGEST * 50, WIDTH)).astype(np.float32)
    for first in range(0, len(lengths), AT_ONCE):
        yield [noise[k : k + length] for k, length in enumerate(lengths[first : first + AT_ONCE].tolist())]


def private_memory() -> float:
    """Megabytes of this process that are not pages of a mapped file."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon"):
            return int(line.split()[1]) / 1024
    return float("nan")


def forget(folder: Path) -> None:
    """Ask the system to drop the pages of these files, so that they come from the disk again."""
    for file in folder.rglob("*"):
        if file.is_file():
            handle = os.open(file, os.O_RDONLY)
            os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(handle)


def timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def measure(makers: dict[str, Callable[[], Way]], places: dict[str, Path], lengths: np.ndarray) -> dict[str, Row]:
    """Megabytes and seconds as the table shows them; the best of some rounds in which the ways take turns."""
    total = int(lengths.sum()) * WIDTH * 4 / 1e6
    draws = np.random.default_rng(1).integers(len(lengths), size=(BATCHES, BATCH))
    drawn = sum(int(lengths[rows].sum()) for rows in draws) * WIDTH * 4 / 1e6
    rows: dict[str, Row] = {name: {} for name in makers}
    for name, row in rows.items():
        row["write MB/s"] = total / timed(lambda name=name: makers[name]().write(made(lengths)))
        row["on disk MB"] = sum(file.stat().st_size for file in places[name].rglob("*") if file.is_file()) / 1e6
    for _ in range(COLD_ROUNDS):
        for name, row in rows.items():
            forget(places[name])
            way = makers[name]()
            better(row, "open ms, from disk", -timed(way.open) * 1e3)
            better(row, "in order MB/s, from disk", total / timed(way.in_order))
            del way
    ways = {name: make() for name, make in makers.items()}
    for name, way in ways.items():
        rows[name]["open ms"] = min(timed(way.open) for _ in range(3)) * 1e3
        before = private_memory()
        way.in_order()
        rows[name]["private memory MB"] = private_memory() - before
    fastest = {name: np.full(BATCHES, np.inf) for name in ways}
    for _ in range(ROUNDS):
        for name, way in ways.items():
            better(rows[name], "in order MB/s", total / timed(way.in_order))
        for k, draw in enumerate(draws):
            for name, way in ways.items():
                fastest[name][k] = min(fastest[name][k], timed(lambda way=way, draw=draw: way.batch(draw)))
    for name, row in rows.items():
        row["random MB/s"] = drawn / float(fastest[name].sum())
    for row in rows.values():
        row["open ms, from disk"] *= -1
    return rows


def better(row: Row, name: str, figure: float) -> None:
    row[name] = max(figure, row.get(name, -np.inf))


def open_many(folder: Path, sources: int = 200_000) -> tuple[float, float, int]:
    """Seconds to open the store, and to ask what is missing, of many small sources put 2,000 at a time; fragments."""
    keys = [hashlib.md5(str(k).encode()).hexdigest() for k in range(sources)]
    store, one = TokenStore(folder), np.zeros((1, 8), dtype=np.float32)
    for first in range(0, sources, 2000):
        store.put(ENCODER, keys[first : first + 2000], [one] * 2000)
    opening = timed(lambda: TokenStore(folder).open(ENCODER, keys))
    asking = timed(lambda: TokenStore(folder).missing(ENCODER, keys))
    return opening, asking, store.shows()[0].fragments


def main() -> None:
    parser = argparse.ArgumentParser(description="What keeping tokens costs.")
    parser.add_argument("--bags", type=int, default=4000)
    parser.add_argument("--folder", type=Path, help="where to write; the system's temporary folder unless given")
    chosen = parser.parse_args()
    lengths = np.random.default_rng(2).integers(1, LONGEST + 1, size=chosen.bags)
    total = int(lengths.sum()) * WIDTH * 4 / 1e6
    print(f"{chosen.bags:,} bags, {int(lengths.sum()):,} tokens, {total:,.0f} MB")
    ways: dict[str, type[Plain] | type[Store] | type[Lance]] = {"plain map": Plain, "store": Store}
    try:
        import lance  # noqa: F401

        ways["lance"] = Lance
    except ImportError:
        print("Lance is not installed")
    with tempfile.TemporaryDirectory(dir=chosen.folder) as scratch:
        places = {name: Path(scratch) / name.replace(" ", "-") for name in ways}
        makers = {name: lambda name=name: ways[name](places[name], lengths) for name in ways}
        rows = measure(makers, places, lengths)
        opening, asking, fragments = open_many(Path(scratch) / "many")
    print("".ljust(26) + "".join(name.rjust(12) for name in rows))
    for figure in rows["store"]:
        print(figure.ljust(26) + "".join(f"{row[figure]:12,.1f}" for row in rows.values()))
    for figure in ("random MB/s", "in order MB/s", "in order MB/s, from disk"):
        print(
            f"store / plain map, {figure.replace(' MB/s', '')}: {rows['store'][figure] / rows['plain map'][figure]:.0%}"
        )
    print(f"200,000 sources in {fragments} fragments: open {opening:.2f} s, missing {asking:.2f} s")


if __name__ == "__main__":
    main()
