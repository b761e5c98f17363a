"""The token store: what comes back, what is refused, and what it costs to open and to read a large one."""

from __future__ import annotations

import hashlib
import json
import pickle
import stat
import sys
import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chiasm.store import fragment as store_fragment
from chiasm.store.token_store import StoreError, TokenStore, default_store
from examples import examples
from stores import ENCODER, POSIX, bag, fragments, key, left_over, put


@pytest.fixture
def store(tmp_path: Path) -> TokenStore:
    return TokenStore(tmp_path / "store")


@settings(max_examples=examples(25), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
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


def test_opening_a_hundred_thousand_sources_is_quick(store: TokenStore) -> None:
    contents = [key(k) for k in range(100_000)]
    tokens = [np.zeros((1, 1), np.float32)] * 10_000
    for first in range(0, 100_000, 10_000):
        store.put(ENCODER, contents[first : first + 10_000], tokens)
    start = time.process_time()
    stored = TokenStore(store.folder).open(ENCODER, contents)
    assert time.process_time() - start < 1.0
    assert len(stored) == 100_000
