"""Small stores to try: tokens that are a function of their number, and what lies on disk."""

from __future__ import annotations

import hashlib
import multiprocessing
import sys
from pathlib import Path

import numpy as np
import pytest

from chiasm.store.token_store import StoredTokens, TokenStore

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
