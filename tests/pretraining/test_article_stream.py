"""The stream of shards: each sample once, over workers, epochs and kills; a cut shard is refused, or counted."""

from __future__ import annotations

import json
import os
import signal
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from made_articles import bulk_of_articles
from torch.utils.data import DataLoader

import chiasm
from chiasm.pretraining.articles.dataset import ShardDataset
from chiasm.pretraining.articles.shards import Shards, ShardWriter, open_shards
from chiasm.pretraining.articles.stream import Order, Received, lost_in, resumed, shards_of, stream
from chiasm.readers.reading import ReadError


def made(folder: Path, many: int, per_shard: int) -> Shards:
    """Shards of so many samples of a text."""
    folder.mkdir()
    with ShardWriter(folder, per_shard) as writer:
        for number in range(many):
            writer.add(f"s{number:06d}", {"txt": f"{number}".encode(), "json": b"{}"})
        writer.close({})
    return open_shards(folder)


@pytest.mark.parametrize("seed", [None, 3])
def test_workers_yield_each_sample_once_in_an_order_of_seed_and_epoch(tmp_path: Path, seed: int | None) -> None:
    shards = made(tmp_path / "s", 53, 5)
    orders = {}
    for epoch in (0, 1):
        order = Order(seed, epoch, workers=3)
        runs = [[own.key for own in stream(shards, order, worker)] for worker in range(3)]
        assert Counter(key for run in runs for key in run) == Counter(f"s{k:06d}" for k in range(53))
        assert runs == [[own.key for own in stream(shards, order, worker)] for worker in range(3)]
        orders[epoch] = runs
    assert (orders[0] == orders[1]) == (seed is None)
    assert sorted(which for worker in range(3) for which in shards_of(shards, Order(seed, 0, 3), worker)) == list(
        range(11)
    )


@pytest.mark.parametrize("seed", [None, 3])
def test_stopped_anywhere_and_resumed_is_the_whole(tmp_path: Path, seed: int | None) -> None:
    shards = made(tmp_path / "s", 23, 5)
    whole = [own.key for own in stream(shards, Order(seed))]
    for stop in (0, 1, 5, 7, 22, 23):
        received, found = Received(shards, Order(seed)), []
        for own in stream(shards, received.order):
            if len(found) == stop:
                break
            received.note(own)
            found.append(own.key)
        again = resumed(open_shards(tmp_path / "s"), json.loads(json.dumps(received.state())))
        found += [own.key for own in stream(again.shards, again.order, 0, again.at.get(0, (0, 0)))]
        assert found == whole


def test_what_the_system_gives_in_pieces_is_read_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shards, given = made(tmp_path / "s", 12, 12), os.pread
    whole = [own.parts for own in stream(shards, Order(1))]
    monkeypatch.setattr(os, "pread", lambda file, size, at: given(file, min(size, 1), at))
    assert [own.parts for own in stream(shards, Order(1))] == whole
    monkeypatch.setattr(os, "pread", lambda file, size, at: b"")
    with pytest.raises(ReadError, match=r"articles-000000\.tar.*cut off while"):
        list(stream(shards, Order(1)))


def test_a_loader_with_workers_of_its_own_goes_on_from_what_was_received(tmp_path: Path) -> None:
    shards = made(tmp_path / "s", 60, 4)
    received = Received(shards, Order(1, 0, workers=2))
    found = []
    for own in DataLoader(ShardDataset(tmp_path / "s", received.order), batch_size=None, num_workers=2):
        received.note(own)  # what the workers have read ahead by now was not received
        found.append(own.key)
        if len(found) == 17:
            break
    again = resumed(shards, received.state())
    found += [own.key for own in DataLoader(ShardDataset(tmp_path / "s", again), batch_size=None, num_workers=2)]
    assert sorted(found) == [f"s{k:06d}" for k in range(60)]
    with pytest.raises(ValueError, match="has 2: they have to divide it"):
        list(DataLoader(ShardDataset(tmp_path / "s", Order(workers=3)), batch_size=None, num_workers=2))


def read_on(folder: Path, kept: Path, every: int, killed: int) -> None:
    """Read on from what was kept, keep keys and state together now and then, and die without warning at a sample."""
    shards = open_shards(folder)
    done = json.loads(kept.read_text()) if kept.exists() else None
    received = Received(shards, Order(5)) if done is None else resumed(shards, done["state"])
    keys = [] if done is None else done["keys"]

    def keep() -> None:
        part = kept.with_suffix(".part")
        part.write_text(json.dumps({"state": received.state(), "keys": keys}))
        part.replace(kept)

    for number, sample in enumerate(stream(shards, received.order, 0, received.at.get(0, (0, 0))), start=1):
        received.note(sample)
        if number == killed:
            os.kill(os.getpid(), signal.SIGKILL)
        keys.append(sample.key)
        if number % every == 0:
            keep()
    keep()


def killed_and_resumed(folder: Path, kept: Path, every: int, kills: int) -> list[str]:
    """Read a folder in processes of their own, each killed but the last; return the keys received."""
    rng = np.random.default_rng(0)
    for killed in [*(every + rng.integers(1, 4 * every, kills)).tolist(), -1]:
        child = os.fork()
        if not child:
            try:
                read_on(folder, kept, every, killed)
                os._exit(0)
            finally:
                os._exit(1)  # whatever happens: else a second process would go on with the tests
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        assert code == (0 if killed < 0 else -signal.SIGKILL)
    return list(json.loads(kept.read_text())["keys"])


def test_killed_in_the_middle_and_resumed_each_is_received_once(tmp_path: Path) -> None:
    made(tmp_path / "s", 500, 70)
    found = killed_and_resumed(tmp_path / "s", tmp_path / "kept.json", 20, kills=4)
    assert sorted(found) == [f"s{k:06d}" for k in range(500)]


@pytest.mark.nightly
def test_a_hundred_thousand_are_received_once_over_ten_kills(tmp_path: Path) -> None:
    made(tmp_path / "s", 100_000, 1000)
    found = killed_and_resumed(tmp_path / "s", tmp_path / "kept.json", 2000, kills=10)
    assert sorted(found) == [f"s{k:06d}" for k in range(100_000)]


@pytest.mark.nightly
def test_a_hundred_thousand_articles_are_read_and_received_once(tmp_path: Path) -> None:
    folder = bulk_of_articles(tmp_path / "in", 100_000)
    found = chiasm.articles(folder, tmp_path / "out")
    assert (found.articles, int(found.table["kept"].sum())) == (100_000, 100_000)
    keys = killed_and_resumed(tmp_path / "out", tmp_path / "kept.json", 5000, kills=3)
    assert sorted(keys) == sorted(found.table["key"]) and len(set(keys)) == 100_000


def test_a_shard_cut_in_half_is_refused_or_counted_and_said(tmp_path: Path) -> None:
    folder = tmp_path / "s"
    made(folder, 30, 10)
    (folder / "articles-000001.tar").write_bytes((folder / "articles-000001.tar").read_bytes()[:12_000])
    (folder / "articles-000002.tar").unlink()
    with pytest.raises(
        ReadError, match=r"'articles-000001.tar' has 12,000 bytes of 30,720; .*000002.tar' is not there"
    ):
        open_shards(folder)
    shards = open_shards(folder, "count")
    whole = 12_000 // 2048  # of a sample: two headers, two blocks
    for seed in (None, 1):
        found = [own.key for own in stream(shards, Order(seed))]
        assert sorted(found) == [f"s{k:06d}" for k in range(10 + whole)]
    assert lost_in(shards) == {"articles-000001.tar": 10 - whole, "articles-000002.tar": 10}
    (folder / "shards.json").unlink()
    for seed in (None, 1):
        with pytest.raises(ReadError, match=r"shard 'articles-000001.tar': the archive is cut off"):
            list(stream(open_shards(folder), Order(seed)))
    assert len(list(stream(open_shards(folder, "count"), Order()))) == 10 + whole


def test_other_shards_other_workers_and_damaged_states_are_refused(tmp_path: Path) -> None:
    shards, other = made(tmp_path / "a", 6, 3), made(tmp_path / "b", 7, 3)
    state = Received(shards, Order()).state()
    with pytest.raises(ReadError, match="other shards"):
        resumed(other, state)
    for damaged in ({}, {**state, "at": [1]}, {**state, "format": 9}, {**state, "seed": "x"}):
        with pytest.raises(ReadError, match="damaged"):
            resumed(shards, damaged)
    with pytest.raises(ValueError, match="3 workers share 2 shards: take at most 2"):
        list(stream(shards, Order(workers=3)))
    with pytest.raises(ReadError, match="holds no shards"):
        open_shards(tmp_path)
    (tmp_path / "a" / "shards.json").write_text('{"format": 1, "shards": [{"file": "../b"}]}')
    with pytest.raises(ReadError, match="damaged"):
        open_shards(tmp_path / "a")
