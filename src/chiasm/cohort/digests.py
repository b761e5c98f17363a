"""Digests of content: 16 bytes each, equal where the content is, so that a cohort of millions costs little."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

DIGEST = np.dtype("S16")  # compares all 16 bytes; a single item comes out without zeros at its end
Digests = NDArray[np.bytes_]


def digest_of(content: bytes | str) -> bytes:
    """blake2b of 16 bytes, of bytes or of text."""
    if isinstance(content, str):
        content = content.encode("utf-8", "surrogatepass")  # half a character is the reader's to refuse
    return hashlib.blake2b(content, digest_size=DIGEST.itemsize).digest()


def as_digests(found: Iterable[bytes]) -> Digests:
    """`(n,)` digests that come one after another, without a list of them."""
    return np.fromiter(found, dtype=DIGEST)


def as_hex(digests: Digests) -> list[str]:
    """32 hexadecimal digits each."""
    text, size = np.ascontiguousarray(digests).tobytes().hex(), 2 * DIGEST.itemsize
    return [text[at : at + size] for at in range(0, len(text), size)]


def repeated(keys: NDArray[np.bytes_]) -> NDArray[np.bool_]:
    """`(n,)` True where a key stands more than once; an empty one never does."""
    _, inverse, counts = np.unique(keys, return_inverse=True, return_counts=True)
    several: NDArray[np.bool_] = (counts[inverse] > 1) & (keys != b"")
    return several
