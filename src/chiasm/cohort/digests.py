"""Content digests of 16 bytes each, equal for equal content, so that a cohort of millions costs little."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

DIGEST = np.dtype("S16")  # compares all 16 bytes; a single item loses its trailing zeros
Digests = NDArray[np.bytes_]


def digest_of(content: bytes | str) -> bytes:
    """Compute the 16-byte BLAKE2b digest of bytes or text."""
    if isinstance(content, str):
        content = content.encode("utf-8", "surrogatepass")  # lone surrogates are left for the reader to refuse
    return hashlib.blake2b(content, digest_size=DIGEST.itemsize).digest()


def as_digests(found: Iterable[bytes]) -> Digests:
    """Collect an iterable of digests into an array `(n,)` without an intermediate list."""
    return np.fromiter(found, dtype=DIGEST)


def as_hex(digests: Digests) -> list[str]:
    """Convert each digest to 32 hexadecimal digits."""
    text, size = np.ascontiguousarray(digests).tobytes().hex(), 2 * DIGEST.itemsize
    return [text[at : at + size] for at in range(0, len(text), size)]


def repeated(keys: NDArray[np.bytes_]) -> NDArray[np.bool_]:
    """`(n,)` True where a key occurs more than once; an empty key never counts."""
    _, inverse, counts = np.unique(keys, return_inverse=True, return_counts=True)
    several: NDArray[np.bool_] = (counts[inverse] > 1) & (keys != b"")
    return several
