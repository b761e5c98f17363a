"""The token store: what comes back, what survives kills, damage, full disks and other writers."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import multiprocessing
import os
import pickle
import signal
import stat
import subprocess
import sys
import time
import tracemalloc
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chiasm.encoders import store_files, store_fragment, store_shelf
from chiasm.encoders.store import StoredTokens, StoreError, TokenStore, default_store

ENCODER = "minilm/1(pool=mean)#abc text/1"
POSIX = pytest.mark.skipif(sys.platform == "win32", reason="signals, modes and limits of POSIX")
FORK = multiprocessing.get_context("fork") if sys.platform != "win32" else None


def key(number: int) -> str:
    return hashlib.md5(str(number).encode()).hexdigest()


def bag(number: int, width: int = 4, longest: int = 6) -> np.ndarray:
    """Tokens that are a function of the number, so that a mixed-up source is seen."""
    rng = np.random.default_rng(number)
    return rng.normal(size=(int(rng.integers(1, longest + 1)), width)).astype(np.float32)


def put(store: TokenStore, numbers: range | list[int], encoder: str = ENCODER) -> None:
    store.put(encoder, [key(k) for k in numbers], [bag(k) for k in numbers])


def check(stored: StoredTokens, numbers: range | list[int]) -> None:
    assert len(stored) == len(numbers)
    for k, tokens in zip(numbers, stored, strict=True):
        np.testing.assert_array_equal(tokens, bag(k))


def fragments(store: TokenStore) -> list[Path]:
    return sorted(store.folder.rglob("*.arrow"))


def left_over(store: TokenStore) -> list[Path]:
    return sorted(store.folder.rglob(".*.tmp"))


def flip(path: Path, place: int) -> None:
    data = bytearray(path.read_bytes())
    data[place] ^= 0x10
    path.write_bytes(data)


@pytest.fixture
def store(tmp_path: Path) -> TokenStore:
    return TokenStore(tmp_path / "store")


# --- what comes back -------------------------------------------------------------------------------------------------


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.lists(st.integers(1, 9), min_size=1, max_size=6), min_size=1, max_size=5),
    st.integers(1, 7),
    st.booleans(),
    st.data(),
)
def test_what_was_put_comes_back(
    tmp_path_factory: pytest.TempPathFactory, puts: list[list[int]], width: int, timed: bool, data: st.DataObject
) -> None:
    store = TokenStore(tmp_path_factory.mktemp("store") / "s")
    rng = np.random.default_rng(0)
    kept: list[tuple[str, np.ndarray, np.ndarray | None]] = []
    for lengths in puts:
        tokens = [rng.normal(size=(length, width)).astype(np.float32) for length in lengths]
        times = [rng.normal(size=length).astype(np.float32) for length in lengths] if timed else None
        contents = [key(len(kept) + k) for k in range(len(lengths))]
        store.put(ENCODER, contents, tokens, times)
        kept += zip(contents, tokens, times or [None] * len(tokens), strict=True)
    order = data.draw(st.lists(st.integers(0, len(kept) - 1), max_size=12))
    asked = [kept[k] for k in order]
    stored = store.open(ENCODER, [content for content, _, _ in asked])
    copy = pickle.loads(pickle.dumps(stored))
    for found in (stored, copy, stored.take(np.arange(len(order))), stored[:]):
        assert found.lengths.tolist() == [len(tokens) for _, tokens, _ in asked]
        assert found.width == width
        for i, (_, tokens, clock) in enumerate(asked):
            np.testing.assert_array_equal(found[i], tokens)
            if clock is None:
                assert found.times(i) is None
            else:
                np.testing.assert_array_equal(found.times(i), clock)
    values, mask = stored.batch(np.arange(len(order)))
    assert values.shape == (*mask.shape, width) and values.dtype == np.float32
    assert mask.sum(axis=1).tolist() == stored.lengths.tolist()
    assert not values[~mask].any()
    for i, (_, tokens, _) in enumerate(asked):
        np.testing.assert_array_equal(values[i][mask[i]], tokens)
    assert store.verify() == []


def test_items_are_read_only_views(store: TokenStore) -> None:
    put(store, range(3))
    item = store.open(ENCODER, [key(1)])[0]
    assert not item.flags.owndata
    with pytest.raises(ValueError, match="read-only"):
        item[0, 0] = 1.0


def test_a_sequence_ends_and_counts_from_its_end(store: TokenStore) -> None:
    put(store, range(3))
    stored = store.open(ENCODER, [key(k) for k in range(3)])
    np.testing.assert_array_equal(stored[-1], bag(2))
    with pytest.raises(IndexError):
        stored[3]
    assert len(stored[1:]) == 2 and len(stored.take([])) == 0
    assert stored.take([]).batch([])[0].shape == (0, 1, 4)


def test_slots_are_kept_and_pad_every_batch(store: TokenStore) -> None:
    store.put(ENCODER, [key(0), key(1)], [np.ones((3, 2), np.float32)] * 2, slots=3)
    stored = store.open(ENCODER, [key(1)])
    assert stored.slots == 3 and stored.batch([0])[0].shape == (1, 3, 2)
    with pytest.raises(StoreError, match="all of an encoder"):
        store.put(ENCODER, [key(2)], [np.ones((2, 2), np.float32)], slots=3)
    with pytest.raises(StoreError, match="slots"):
        store.put(ENCODER, [key(2)], [np.ones((3, 2), np.float32)])


def test_nothing_is_made_before_the_first_put(store: TokenStore) -> None:
    assert store.missing(ENCODER, [key(0), key(1)]).tolist() == [True, True]
    assert store.missing(ENCODER, []).tolist() == []
    assert store.shows() == [] and store.verify() == [] and store.prune() == 0
    assert len(store.open(ENCODER, [])) == 0
    store.put(ENCODER, [], [])
    assert not store.folder.exists()


def test_missing_and_open_by_encoder(store: TokenStore) -> None:
    put(store, range(3))
    assert store.missing(ENCODER, [key(2), key(7), key(2)]).tolist() == [False, True, False]
    assert store.missing("other/1()", [key(2)]).tolist() == [True]
    assert store.missing(ENCODER, [key(2).upper()]).tolist() == [False]
    with pytest.raises(StoreError, match="2 of 3 sources are not in the token store"):
        store.open(ENCODER, [key(0), key(7), key(8)])


def test_the_first_to_store_a_content_wins(store: TokenStore, tmp_path: Path) -> None:
    one, two = np.ones((1, 2), np.float32), np.full((1, 2), 2, np.float32)
    store.put(ENCODER, [key(0), key(0)], [one, two])
    store.put(ENCODER, [key(0)], [two])
    assert len(fragments(store)) == 1
    # a racing writer that had not seen it
    late = store_fragment.batches(2, np.array([bytes.fromhex(key(0))]), np.zeros(1, np.int64), [two], [None])
    store_fragment.write_fragment(fragments(store)[0].parent, 2, 0, late)
    assert len(fragments(store)) == 2
    for reader in (store, TokenStore(store.folder)):
        np.testing.assert_array_equal(reader.open(ENCODER, [key(0)])[0], one)
    assert store.shows()[0].sources == 1
    store.prune()
    assert len(fragments(store)) == 1
    np.testing.assert_array_equal(store.open(ENCODER, [key(0)])[0], one)


def test_shows_counts_what_is_stored(store: TokenStore) -> None:
    put(store, range(5))
    put(store, range(3, 8))
    put(store, [1], encoder="a/1()")
    first, second = store.shows()
    assert (first.encoder, first.sources, first.fragments) == ("a/1()", 1, 1)
    assert (second.encoder, second.sources, second.fragments, second.width) == (ENCODER, 8, 2, 4)
    assert second.tokens == sum(len(bag(k)) for k in range(8))
    assert second.written is not None and abs(second.written.timestamp() - time.time()) < 60
    assert second.bytes == sum(path.stat().st_size for path in fragments(store)) - first.bytes


def good() -> np.ndarray:
    return np.ones((2, 4), np.float32)


@pytest.mark.parametrize(
    ("contents", "tokens", "times", "message"),
    [
        (["patient-007"], [good()], None, "32 hexadecimal digits"),
        ([key(9)[:-1]], [good()], None, "32 hexadecimal digits"),
        ([key(9)[:-1] + " "], [good()], None, "32 hexadecimal digits"),
        ([key(9)], [], None, "as many arrays"),
        ([key(9)], [good()], [], "as many arrays"),
        ([key(9)], [good() * np.nan], None, "not finite"),
        ([key(9)], [good() * np.inf], None, "not finite"),
        ([key(9)], [good()[:, :3]], None, "3 wide in 0 slots and has stored 4"),
        ([key(9), key(10)], [good(), good()[:, :3]], None, "2 x 3"),
        ([key(9)], [good()[0]], None, "no \\(T, D\\) array"),
        ([key(9)], [good()[:0]], None, "absent is not stored"),
        ([key(9)], [good()[:, :0]], None, "no \\(T, D\\) array"),
        ([key(9)], [good().astype(np.float64)], None, "float32"),
        ([key(9)], [good()], [np.zeros(3, np.float32)], "one for each token"),
        ([key(9)], [good()], [np.full(2, np.nan, np.float32)], "not finite"),
    ],
)
def test_what_cannot_be_stored_is_refused(
    store: TokenStore, contents: list[str], tokens: list[np.ndarray], times: list[np.ndarray] | None, message: str
) -> None:
    put(store, range(2))
    with pytest.raises(StoreError, match=message) as caught:
        store.put(ENCODER, contents, tokens, times)
    assert "007" not in str(caught.value) and key(9)[:-1] not in str(caught.value)
    assert len(fragments(store)) == 1 and left_over(store) == []
    assert store.missing(ENCODER, [key(9)]).all()


@POSIX
def test_the_store_is_its_owners_alone_and_names_nobody(store: TokenStore) -> None:
    put(store, range(2))
    for path in [store.folder, *store.folder.rglob("*")]:
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600)
    names = {path.name for path in store.folder.iterdir()}
    assert names == {"store.json", hashlib.sha256(ENCODER.encode()).hexdigest()[:32]}


def test_the_default_place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CHIASM_STORE", str(tmp_path / "here"))
    assert default_store() == tmp_path / "here"
    monkeypatch.delenv("CHIASM_STORE")
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_store() == tmp_path / "chiasm" / "tokens"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert default_store() == Path.home() / ".cache" / "chiasm" / "tokens"
    monkeypatch.setattr(sys, "platform", "darwin")
    assert default_store() == Path.home() / "Library" / "Caches" / "chiasm" / "tokens"
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path))
    assert default_store() == tmp_path / "chiasm" / "tokens"


# --- not a store -----------------------------------------------------------------------------------------------------


def test_what_is_not_a_store_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    store = TokenStore(tmp_path)
    acts: list[Callable[[], object]] = [
        lambda: put(store, [1]),
        lambda: store.missing(ENCODER, [key(1)]),
        lambda: store.prune(),
        lambda: TokenStore(tmp_path / "thesis.tex").missing(ENCODER, [key(1)]),
        lambda: put(TokenStore(tmp_path / "thesis.tex"), [1]),
        lambda: put(TokenStore(tmp_path / "thesis.tex" / "below"), [1]),
    ]
    for act in acts:
        with pytest.raises(StoreError, match="CHIASM_STORE"):
            act()
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_newer_store_and_a_damaged_description(store: TokenStore) -> None:
    put(store, [1])
    (store.folder / "store.json").write_text(json.dumps({"schema": 2}))
    with pytest.raises(StoreError, match="newer chiasm"):
        store.missing(ENCODER, [key(1)])
    for text in ("", "[]", "{" * 10_000, '{"schema": "1"}', '{"schema": ' + "9" * 5000 + "}"):
        (store.folder / "store.json").write_text(text)
        with pytest.raises(StoreError, match="damaged"):
            put(store, [2])


def test_a_lost_encoder_name_is_mended(store: TokenStore) -> None:
    put(store, [1])
    (description,) = store.folder.rglob("encoder.json")
    description.write_text('{"encoder": "another/1()"}')
    assert "encoder.json" in store.verify()[0]
    assert store.shows()[0].encoder.startswith("of lost name")
    put(store, [2])
    assert store.verify() == [] and store.shows()[0].encoder == ENCODER


# --- damage ----------------------------------------------------------------------------------------------------------


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


# --- pruning and merging ---------------------------------------------------------------------------------------------


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


# --- several processes, kills, full disks ----------------------------------------------------------------------------


def _write_forever(folder: Path, seed: int) -> None:
    warnings.simplefilter("error")
    store, rng = TokenStore(folder), np.random.default_rng(seed)
    while True:
        put(store, rng.choice(400, size=rng.integers(1, 6), replace=False).tolist())
        if rng.random() < 0.1:
            store.prune()


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
    rng = np.random.default_rng(0)
    for attempt in range(25):
        child = FORK.Process(target=_write_forever, args=(store.folder, attempt), daemon=True)
        child.start()
        time.sleep(float(rng.uniform(0.005, 0.06)))
        assert child.pid is not None
        os.kill(child.pid, signal.SIGKILL)
        child.join()
        assert child.exitcode == -signal.SIGKILL
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            reader = TokenStore(store.folder)
            held = np.flatnonzero(~reader.missing(ENCODER, [key(k) for k in range(400)])).tolist()
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
    children = [FORK.Process(target=_writer, args=(store.folder, seed, 25)) for seed in range(4)]
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
from chiasm.encoders.store import StoreError, TokenStore
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
    done = subprocess.run([sys.executable, "-c", FILL, str(store.folder)], capture_output=True, text=True, timeout=120)
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


# --- size ------------------------------------------------------------------------------------------------------------


def _anonymous_megabytes() -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("RssAnon"))


@pytest.fixture
def large(store: TokenStore) -> Iterator[TokenStore]:
    block = np.random.default_rng(0).normal(size=(10_000, 128)).astype(np.float32)  # 5 MB
    for k in range(24):
        store.put(ENCODER, [key(k)], [block])
    yield store


def test_memory_stays_flat_over_a_large_store(large: TokenStore) -> None:
    contents = [key(k) for k in range(24)]
    stored = large.open(ENCODER, contents)
    linux = sys.platform == "linux"
    before = _anonymous_megabytes() if linux else 0.0
    tracemalloc.start()
    try:
        total = sum(float(tokens[::64].sum()) for tokens in stored)
        for k in range(0, 24, 2):
            values, _ = stored.batch([k, k + 1])
            total += float(values[0, 0, 0])
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert np.isfinite(total) and stored.lengths.sum() == 240_000
    assert peak < 30e6  # two batches of 10 MB; the store is 123 MB
    assert not linux or _anonymous_megabytes() - before < 40


def test_opening_two_hundred_thousand_sources_is_quick(store: TokenStore) -> None:
    contents = [key(k) for k in range(200_000)]
    tokens = [np.zeros((1, 1), np.float32)] * 10_000
    for first in range(0, 200_000, 10_000):
        store.put(ENCODER, contents[first : first + 10_000], tokens)
    start = time.perf_counter()
    stored = TokenStore(store.folder).open(ENCODER, contents)
    assert time.perf_counter() - start < 2.0
    assert len(stored) == 200_000
