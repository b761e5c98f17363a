"""What a patient's file holds, as a digest; a file that did not change since it was read is not read again."""

from __future__ import annotations

import hashlib
import os
import stat
import time
from collections.abc import MutableMapping
from pathlib import Path

HASHED_AT_ONCE = 1 << 20
SETTLED_NS = 2_000_000_000  # a file changed again within its clock's step would keep its times


def content_digest(item: Path, known: MutableMapping[bytes, bytes]) -> str:
    """32 hex digits of blake2b over the content of a file, a folder or a record.

    Args:
        known: digests by stamp; what is read is added. A stamp is a hash of path, size and times (of change, and of
            change of anything about the file), so that nothing in it can be read as a name.
    """
    files, stats = _found(item)
    stamp = hashlib.blake2b(digest_size=16)
    for path, own in zip(files, stats, strict=True):
        stamp.update(f"{path.absolute()}\0{own.st_size}\0{own.st_mtime_ns}\0{own.st_ctime_ns}\0".encode())
    found = known.get(stamp.digest())
    if found is None:
        now = time.time_ns()
        digest = hashlib.blake2b(digest_size=16)
        for path in files:
            with path.open("rb") as file:
                while block := file.read(HASHED_AT_ONCE):
                    digest.update(block)
        found = digest.digest()
        if all(max(own.st_mtime_ns, own.st_ctime_ns) + SETTLED_NS < now for own in stats):
            known[stamp.digest()] = found
    return found.hex()


def content_files(path: Path) -> list[Path]:
    """The files that hold a patient's data: the file itself, all files of a folder, the signals of a WFDB record."""
    if path.is_dir():
        return sorted(file for file in path.rglob("*") if file.is_file() and not file.is_symlink())
    if path.is_file():
        return [path]
    signals = [path.with_name(path.name + suffix) for suffix in (".dat", ".mat")]
    found = [file for file in signals if file.is_file()]
    header = path.with_name(path.name + ".hea")
    return found or ([header] if header.is_file() else [])


def _found(item: Path) -> tuple[list[Path], list[os.stat_result]]:
    """The files, and what the system says of them; a plain file is asked once."""
    try:
        own = item.stat()
        if stat.S_ISREG(own.st_mode):
            return [item], [own]
    except OSError:
        pass  # a record, whose path is that of no file
    files = content_files(item)
    return files, [file.stat() for file in files]
