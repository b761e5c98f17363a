"""A store among several processes: writers killed, racing, without room, and readers in workers."""

from __future__ import annotations

import contextlib
import errno
import os
import pickle
import signal
import time
import warnings
from pathlib import Path

import numpy as np
import pytest

from chiasm.store import files as store_files
from chiasm.store import shelf as store_shelf
from chiasm.store.token_store import StoredTokens, StoreError, TokenStore
from examples import examples
from stores import ENCODER, FORK, POSIX, bag, check, fragments, key, left_over, put
from young_process import run_young


@pytest.fixture
def store(tmp_path: Path) -> TokenStore:
    return TokenStore(tmp_path / "store")


def _write_forever(folder: Path, seed: int) -> None:
    warnings.simplefilter("error")
    store, rng = TokenStore(folder), np.random.default_rng(seed)
    while True:
        put(store, rng.choice(400, size=rng.integers(1, 6), replace=False).tolist())
        if rng.random() < 0.1:
            store.prune()


def _held(store: TokenStore) -> list[int]:
    return np.flatnonzero(~store.missing(ENCODER, [key(k) for k in range(400)])).tolist()


def _writer(folder: Path, seed: int, rounds: int) -> None:
    store, rng = TokenStore(folder), np.random.default_rng(seed)
    for _ in range(rounds):
        numbers = rng.choice(60, size=5, replace=False).tolist()
        put(store, numbers)
        check(store.open(ENCODER, [key(k) for k in numbers]), numbers)
        if rng.random() < 0.1:
            store.prune()


@POSIX
def test_killed_at_any_moment_the_store_stays_whole(store: TokenStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_shelf, "MERGE_AT", 4)
    assert FORK is not None
    rng, last = np.random.default_rng(0), examples(36, day=6) - 1
    for attempt in range(last + 1):
        child = FORK.Process(target=_write_forever, args=(store.folder, attempt), daemon=True)
        child.start()
        time.sleep(float(rng.uniform(0.005, 0.12)))
        until = time.monotonic() + 60
        while attempt == last and not _held(store) and time.monotonic() < until:  # a busy machine is slow to begin
            time.sleep(0.01)
        assert child.pid is not None
        os.kill(child.pid, signal.SIGKILL)
        child.join()
        assert child.exitcode == -signal.SIGKILL
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            reader = TokenStore(store.folder)
            held = _held(reader)
            check(reader.open(ENCODER, [key(k) for k in held]), held)
            assert reader.verify() == []
    assert held, "no put was ever finished"
    store.prune()
    assert left_over(store) == []
    put(store, range(400))
    check(store.open(ENCODER, [key(k) for k in range(400)]), range(400))


@POSIX
@pytest.mark.parametrize("claims", [True, False])
def test_several_writers_at_once(store: TokenStore, monkeypatch: pytest.MonkeyPatch, claims: bool) -> None:
    monkeypatch.setattr(store_shelf, "MERGE_AT", 4)
    if not claims:  # a file system without locks: everybody merges the same fragments at once
        monkeypatch.setattr(store_shelf, "claimed", lambda folder: contextlib.nullcontext(True))
    assert FORK is not None
    children = [FORK.Process(target=_writer, args=(store.folder, seed, examples(25))) for seed in range(4)]
    for child in children:
        child.start()
    reads = 0
    while any(child.is_alive() for child in children):
        held = np.flatnonzero(~store.missing(ENCODER, [key(k) for k in range(60)])).tolist()
        check(store.open(ENCODER, [key(k) for k in held]), held)  # nothing once stored is ever gone
        reads += 1
    for child in children:
        child.join()
        assert child.exitcode == 0
    assert reads and store.verify() == []
    held = np.flatnonzero(~store.missing(ENCODER, [key(k) for k in range(60)])).tolist()
    assert store.shows()[0].sources == len(held)
    check(store.open(ENCODER, [key(k) for k in held]), held)


def _prune(folder: Path) -> None:
    store = TokenStore(folder)
    while True:
        store.prune()


@POSIX
def test_two_writers_and_one_that_prunes_all_the_while(store: TokenStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing that a writer has put is gone for it, and each fragment stays whole."""
    monkeypatch.setattr(store_shelf, "MERGE_AT", 4)
    assert FORK is not None
    pruner = FORK.Process(target=_prune, args=(store.folder,), daemon=True)
    writers = [FORK.Process(target=_writer, args=(store.folder, seed, examples(30))) for seed in range(2)]
    for child in (pruner, *writers):
        child.start()
    for child in writers:
        child.join()
    alive = pruner.is_alive()
    pruner.kill()
    pruner.join()
    assert [child.exitcode for child in writers] == [0, 0] and alive
    assert store.verify() == []
    held = np.flatnonzero(~store.missing(ENCODER, [key(k) for k in range(60)])).tolist()
    assert len(held) > 40
    check(store.open(ENCODER, [key(k) for k in held]), held)
    store.prune()
    assert left_over(store) == []


def _race(folder: Path, value: float, barrier: object) -> None:
    barrier.wait()  # type: ignore[attr-defined]
    contents = [key(k) for k in range(30)]
    TokenStore(folder).put(ENCODER, contents, [np.full((2, 3), value, np.float32)] * 30)


@POSIX
def test_a_race_has_one_winner(store: TokenStore) -> None:
    assert FORK is not None
    barrier = FORK.Barrier(4)
    children = [FORK.Process(target=_race, args=(store.folder, float(value), barrier)) for value in range(4)]
    for child in children:
        child.start()
    for child in children:
        child.join()
        assert child.exitcode == 0
    contents = [key(k) for k in range(30)]
    first = store.open(ENCODER, contents)
    assert len({float(tokens[0, 0]) for tokens in first}) == 1
    store.prune()
    again = TokenStore(store.folder).open(ENCODER, contents)
    assert float(again[0][0, 0]) == float(first[0][0, 0]) and store.shows()[0].sources == 30


FILL = """\
import resource, signal, sys
import numpy as np
from pathlib import Path
from chiasm.store.token_store import StoreError, TokenStore
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
store = TokenStore(Path(sys.argv[1]))
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
store.put("e", ["0" * 32], [np.ones((10, 8), np.float32)])
try:
    store.put("e", ["1" * 32], [np.ones((10_000, 8), np.float32)])
except StoreError as fault:
    print(fault)
"""


@POSIX
@pytest.mark.slow
def test_a_file_that_cannot_grow(store: TokenStore) -> None:
    done = run_young(FILL, str(store.folder))
    assert done.returncode == 0, done.stderr
    assert "the disk of the token store is full" in done.stdout
    assert store.missing("e", ["0" * 32, "1" * 32]).tolist() == [False, True]
    assert store.verify() == [] and left_over(store) == []


@pytest.mark.parametrize("room", [0, 50, 700, 1500, 2600])
def test_a_full_disk_keeps_nothing_of_a_put(store: TokenStore, monkeypatch: pytest.MonkeyPatch, room: int) -> None:
    put(store, [0])
    left = room

    def write(self: store_files._Hashing, data: object) -> int:
        nonlocal left
        left -= memoryview(data).nbytes  # type: ignore[arg-type]
        if left < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return self.file.write(data)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(store_files._Hashing, "write", write)
        with pytest.raises(StoreError, match="full") as caught:
            store.put(ENCODER, [key(k) for k in range(1, 40)], [bag(k) for k in range(1, 40)])
        assert caught.value.__cause__ is None and str(store.folder) not in str(caught.value)
    assert left_over(store) == [] and len(fragments(store)) == 1
    assert store.missing(ENCODER, [key(1)]).all() and store.verify() == []
    put(store, range(1, 40))
    check(store.open(ENCODER, [key(k) for k in range(40)]), range(40))


def test_no_room_to_merge_is_no_failure_of_a_put(store: TokenStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_shelf, "MERGE_AT", 3)

    def full(*_: object) -> int:
        raise StoreError("full")

    monkeypatch.setattr(store_shelf, "write_fragment", full)
    for k in range(5):
        put(store, [k])
    check(store.open(ENCODER, [key(k) for k in range(5)]), range(5))
    with pytest.raises(StoreError, match="full"):
        store.prune()
    check(TokenStore(store.folder).open(ENCODER, [key(k) for k in range(5)]), range(5))


@POSIX
@pytest.mark.skipif(os.name == "posix" and os.geteuid() == 0, reason="root writes anywhere")
def test_a_folder_that_refuses_is_said_so(store: TokenStore) -> None:
    put(store, [0])
    folder = fragments(store)[0].parent
    folder.chmod(0o500)
    try:
        with pytest.raises(StoreError, match="cannot be written"):
            put(store, [1])
    finally:
        folder.chmod(0o700)


def _sum(stored: StoredTokens) -> float:
    return float(sum(tokens.sum() for tokens in stored))


@POSIX
def test_worker_processes_read_the_same(store: TokenStore) -> None:
    put(store, range(30))
    stored = store.open(ENCODER, [key(k) for k in range(30)])
    assert FORK is not None
    with FORK.Pool(2) as pool:
        assert pool.map(_sum, [stored, stored.take([1, 2])]) == [_sum(stored), _sum(stored.take([1, 2]))]
    assert len(pickle.dumps(stored)) < 30 * 16 + 1000
