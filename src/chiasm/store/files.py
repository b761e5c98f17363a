"""Atomic files of the token store: they appear whole or not at all, despite concurrent writers and killed ones.

The steps are temporary file, fsync, rename, fsync of the folder. A writer holds a lock on its temporary file, which
ends with the process, so that the files of dead writers can be told from those of live ones.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import secrets
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

if sys.platform != "win32":
    import fcntl

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class StoreError(ValueError):
    """Error of the token store, or of its input, that says what to do about it."""


def write_whole(folder: Path, fill: Callable[[Any], None], name: Callable[[str], str]) -> Path:
    """Write a file that appears whole or not at all; `name` makes its name from the SHA-256 of its bytes."""
    staging: Path | None = None
    try:
        staging, file = _staging(folder)
        with file:
            sink = _Hashing(file)
            fill(sink)
            file.flush()
            os.fsync(file.fileno())
            path = folder / name(sink.digest.hexdigest())
            if sys.platform == "win32":
                file.close()
            staging.replace(path)  # while the lock is held, so that nobody takes the file for a dead writer's
        fsync_folder(folder)
        return path
    except OSError as fault:
        if fault.errno in FULL:
            raise StoreError(
                "the disk of the token store is full, nothing of this step was kept: free space, prune the store, or "
                "choose another folder with CHIASM_STORE"
            ) from None
        raise StoreError(
            f"the token store cannot be written ({fault.strerror or 'input or output failed'}): check the folder's "
            "permissions, or choose another one with CHIASM_STORE"
        ) from None
    finally:
        if staging is not None:
            with contextlib.suppress(OSError):
                staging.unlink()


class _Hashing:
    """Binary file wrapper that hashes what is written, with the methods that Arrow's writer needs."""

    closed = False

    def __init__(self, file: BinaryIO) -> None:
        self.file, self.digest = file, hashlib.sha256()

    def write(self, data: Any) -> int:
        self.digest.update(data)
        return self.file.write(data)

    def tell(self) -> int:
        return self.file.tell()

    def flush(self) -> None:
        self.file.flush()

    def close(self) -> None:
        """Do nothing: whoever opened the file closes it."""


def _staging(folder: Path) -> tuple[Path, BinaryIO]:
    """Create a temporary file, locked while it is open: the lock ends with the process, however that ends."""
    while True:
        path = folder / f".{secrets.token_hex(8)}.tmp"
        file = os.fdopen(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600), "w+b")
        if sys.platform != "win32":
            with contextlib.suppress(OSError):  # a file system without locks
                fcntl.flock(file, fcntl.LOCK_EX)
        if os.fstat(file.fileno()).st_nlink:  # else it was removed as a dead writer's before it was locked
            return path, file
        file.close()


@contextlib.contextmanager
def claimed(folder: Path) -> Iterator[bool]:
    """Claim a folder and yield whether nobody else has; only saves duplicate work, correctness does not need it."""
    if sys.platform == "win32":
        yield True
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        free = True
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as fault:
            free = fault.errno not in (errno.EWOULDBLOCK, errno.EACCES)  # else a file system without locks
        yield free
    finally:
        os.close(handle)


def remove_left_over(folder: Path) -> int:
    """Remove the temporary files of dead writers; return the bytes freed."""
    freed = 0
    for path in folder.glob(".*.tmp"):
        with contextlib.suppress(OSError), path.open("rb") as file:  # gone, or locked by a writer at work
            if sys.platform != "win32":
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            freed += remove(path)
    return freed


def remove(path: Path) -> int:
    """Remove a file; return the bytes freed, 0 if it is gone or the system forbids removing an open file."""
    with contextlib.suppress(OSError):
        size = path.lstat().st_size
        path.unlink()
        return size
    return 0


def fsync_folder(folder: Path) -> None:
    """Flush the names in a folder to disk; Windows has no such step and needs none."""
    if sys.platform != "win32":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
