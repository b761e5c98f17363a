"""Cache of file content digests in the token store, so that a second run need not read unchanged files.

    contents.bin        magic, then 16 bytes of stamp and 16 of content digest a file, then a checksum of all before it

A stamp is a hash of path, size and times: no name can be read from it. The file is only a cache: of two concurrent
writers the last one wins, and a damaged file counts as missing.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Mapping
from pathlib import Path

from chiasm.store.files import StoreError, write_whole
from chiasm.store.place import is_store

NAME, MAGIC = "contents.bin", b"chiasm contents1"
HALF = 16  # bytes of a stamp, of a digest, of the magic and of the checksum
MOST = 2_000_000  # files; beyond it, those read last are kept


def read_digests(root: Path) -> dict[bytes, bytes]:
    """Read content digests by stamp, those written last at the end; empty if missing or damaged."""
    path = root / NAME
    with contextlib.suppress(OSError):
        if path.is_symlink() or path.stat().st_size > 2 * HALF * (MOST + 1):
            return {}
        whole = path.read_bytes()
        body = whole[HALF:-HALF]
        if whole[:HALF] == MAGIC and len(body) % (2 * HALF) == 0 and whole[-HALF:] == _sum(whole[:-HALF]):
            return {body[at : at + HALF]: body[at + HALF : at + 2 * HALF] for at in range(0, len(body), 2 * HALF)}
    return {}


def add_digests(root: Path, found: Mapping[bytes, bytes]) -> None:
    """Add new content digests; without a store, or room for them, nothing is kept and nothing is raised."""
    with contextlib.suppress(StoreError):
        kept = read_digests(root)
        fresh = {stamp: digest for stamp, digest in found.items() if kept.get(stamp) != digest}
        if not fresh or not is_store(root):
            return
        pairs = list({**kept, **fresh}.items())[-MOST:]
        content = MAGIC + b"".join(stamp + digest for stamp, digest in pairs)
        write_whole(root, lambda sink: sink.write(content + _sum(content)), lambda _: NAME)


def _sum(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=HALF).digest()
