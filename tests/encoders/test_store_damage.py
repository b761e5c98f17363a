"""A store with damaged, lost and superfluous files: what is named, encoded again, merged and removed."""

from __future__ import annotations

import pickle
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from chiasm.store import files as store_files
from chiasm.store import fragment as store_fragment
from chiasm.store import shelf as store_shelf
from chiasm.store.token_store import StoreError, TokenStore
from stores import ENCODER, POSIX, bag, check, flip, fragments, key, left_over, put


@pytest.fixture
def store(tmp_path: Path) -> TokenStore:
    return TokenStore(tmp_path / "store")


def halves(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def link(path: Path) -> None:
    path.replace(path.with_name("elsewhere"))
    path.symlink_to("elsewhere")


DAMAGE: dict[str, Callable[[Path], object]] = {
    "empty": lambda path: path.write_bytes(b""),
    "truncated": halves,
    "without its last byte": lambda path: path.write_bytes(path.read_bytes()[:-1]),
    "garbage": lambda path: path.write_bytes(np.random.default_rng(0).bytes(5000)),
    "magic alone": lambda path: path.write_bytes(b"ARROW1\0\0ARROW1"),
    "zeros": lambda path: path.write_bytes(bytes(path.stat().st_size)),
    "a footer of zeros": lambda path: path.write_bytes(path.read_bytes()[:-200] + bytes(190) + path.read_bytes()[-10:]),
    "a link": link,
    "a folder": lambda path: (path.unlink(), path.mkdir()),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_fragment_is_named_and_encoded_again(store: TokenStore, damage: str) -> None:
    put(store, range(3))
    put(store, range(3, 6))
    broken = fragments(store)[0]
    DAMAGE[damage](broken)
    store = TokenStore(store.folder)
    with pytest.warns(UserWarning, match=broken.name):
        assert store.missing(ENCODER, [key(k) for k in range(6)]).tolist() == [True] * 3 + [False] * 3
    check(store.open(ENCODER, [key(4)]), [4])
    (sentence,) = store.verify()
    assert broken.name in sentence and str(store.folder) not in sentence
    put(store, range(3))
    check(store.open(ENCODER, [key(k) for k in range(6)]), range(6))
    if damage != "a folder":
        store.prune()
        assert TokenStore(store.folder).verify() == []
        check(TokenStore(store.folder).open(ENCODER, [key(k) for k in range(6)]), range(6))


def test_every_flipped_byte_is_found(store: TokenStore) -> None:
    put(store, range(4))
    (path,) = fragments(store)
    whole = path.read_bytes()
    for place in [*range(0, len(whole), 29), len(whole) - 1]:
        flip(path, place)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            fresh = TokenStore(store.folder)
            fresh.missing(ENCODER, [key(k) for k in range(4)])  # never crashes
            assert len(fresh.verify()) == 1, place
        path.write_bytes(whole)
    assert TokenStore(store.folder).verify() == []


def test_prune_removes_silent_damage_and_merging_does_not_sign_it(
    store: TokenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(store, [0])
    flip(fragments(store)[0], store_values_at(fragments(store)[0], bag(0)))
    assert len(store.verify()) == 1
    monkeypatch.setattr(store_shelf, "MERGE_AT", 4)
    for k in range(1, 6):
        put(store, [k])
    assert len(store.verify()) == 1 and len(fragments(store)) < 6
    store.prune()
    assert store.verify() == []
    assert store.missing(ENCODER, [key(k) for k in range(6)]).tolist() == [True] + [False] * 5


def store_values_at(path: Path, tokens: np.ndarray) -> int:
    return path.read_bytes().index(tokens.tobytes())


def test_fragments_of_another_width_are_set_aside(store: TokenStore) -> None:
    put(store, [0])
    wide = np.ones((1, 9), np.float32)
    other = store_fragment.batches(9, np.array([bytes.fromhex(key(1))]), np.zeros(1, np.int64), [wide], [None])
    store_fragment.write_fragment(fragments(store)[0].parent, 9, 0, other)
    with pytest.warns(UserWarning, match="another width"):
        assert store.missing(ENCODER, [key(0), key(1)]).tolist() == [False, True]
    put(store, [1])
    check(store.open(ENCODER, [key(0), key(1)]), [0, 1])
    store.prune()
    assert store.verify() == []


def test_prune_drops_what_meets_every_condition(store: TokenStore, monkeypatch: pytest.MonkeyPatch) -> None:
    put(store, range(4))
    put(store, range(4, 8), encoder="b/1()")
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 10 * 86_400)
    put(store, range(4, 8))
    assert store.prune(older_than_days=30, keep_contents=[]) >= 0
    assert not store.missing(ENCODER, [key(k) for k in range(8)]).any()
    freed = store.prune(encoder=ENCODER, older_than_days=5, keep_contents=[key(0)])
    assert freed > 0
    assert store.missing(ENCODER, [key(k) for k in range(8)]).tolist() == [False, True, True, True] + [False] * 4
    assert not store.missing("b/1()", [key(k) for k in range(4, 8)]).any()
    store.prune(keep_contents={key(4)})
    assert store.missing(ENCODER, [key(k) for k in range(8)]).tolist() == [True] * 4 + [False] + [True] * 3
    store.prune(older_than_days=-1)
    assert store.shows() == [] and fragments(store) == []
    put(store, range(2))
    check(store.open(ENCODER, [key(1)]), [1])


def test_prune_merges_once_and_tells_what_it_freed(store: TokenStore) -> None:
    for k in range(20):
        put(store, [k])
    before = sum(path.stat().st_size for path in store.folder.rglob("*") if path.is_file())
    freed = store.prune()
    after = sum(path.stat().st_size for path in store.folder.rglob("*") if path.is_file())
    assert freed == before - after > 0 and len(fragments(store)) == 1
    assert store.prune() == 0
    check(store.open(ENCODER, [key(k) for k in range(20)]), range(20))


@pytest.mark.parametrize("piece", [1, 64, 1 << 20])
def test_merging_keeps_times_and_order_whatever_the_pieces(
    store: TokenStore, monkeypatch: pytest.MonkeyPatch, piece: int
) -> None:
    monkeypatch.setattr(store_fragment, "PIECE_BYTES", piece)
    for k in range(0, 12, 3):
        clocks = [np.arange(len(bag(j)), dtype=np.float32) + j for j in range(k, k + 3)] if k % 2 else None
        store.put(ENCODER, [key(j) for j in range(k, k + 3)], [bag(j) for j in range(k, k + 3)], clocks)
    store.prune()
    stored = store.open(ENCODER, [key(k) for k in range(12)])
    check(stored, range(12))
    for k in range(12):
        expected = np.arange(len(bag(k))) + k if (k // 3) % 2 else None
        assert (stored.times(k) is None) == (expected is None)
        if expected is not None:
            np.testing.assert_array_equal(stored.times(k), expected)


def test_a_put_merges_so_that_few_files_stay(store: TokenStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_shelf, "MERGE_AT", 6)
    opened = None
    for k in range(60):
        put(store, [k])
        if k == 20:
            opened = store.open(ENCODER, [key(j) for j in range(21)])
    assert len(fragments(store)) < 2 * store_shelf.MERGE_AT
    check(store.open(ENCODER, [key(k) for k in range(60)]), range(60))
    assert opened is not None
    check(opened, range(21))


def test_merging_stops_at_large_fragments(store: TokenStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_shelf, "MERGE_AT", 4)
    monkeypatch.setattr(store_shelf, "LARGE_BYTES", 4000)
    for k in range(30):
        put(store, [k])
    sizes = [path.stat().st_size for path in fragments(store)]
    assert max(sizes) < 8000 and sum(size < 4000 for size in sizes) < 8
    store.prune()
    assert max(path.stat().st_size for path in fragments(store)) < 8000
    check(store.open(ENCODER, [key(k) for k in range(30)]), range(30))


def test_a_reader_outlives_pruning_and_its_copy_finds_its_way(store: TokenStore) -> None:
    for k in range(8):
        put(store, [k])
    opened = store.open(ENCODER, [key(k) for k in range(8)])
    sent = pickle.dumps(opened.take([5, 1, 5]))
    other = TokenStore(store.folder)
    other.prune()
    check(opened, range(8))
    check(pickle.loads(sent), [5, 1, 5])
    other.prune(keep_contents=[])
    check(opened, range(8))
    with pytest.raises(StoreError, match="2 of 2"):
        pickle.loads(sent)
    assert store.missing(ENCODER, [key(0)]).all()


@POSIX
def test_prune_takes_files_of_the_dead_and_leaves_those_of_the_living(store: TokenStore) -> None:
    put(store, [0])
    folder = fragments(store)[0].parent
    for place in (store.folder, folder):
        (place / ".dead.tmp").write_bytes(bytes(1000))
    living, file = store_files._staging(folder)
    assert store.verify() == []
    assert store.prune() == 2000
    assert left_over(store) == [living]
    file.close()
