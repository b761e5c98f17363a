"""Files of the token store that appear whole or not at all, whoever else writes or is killed in the middle.

Temporary file, fsync, rename, fsync of the folder. A writer holds a lock on its temporary file, which ends with the
process, so that the files of dead writers are told from those of living ones.
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
    """What is wrong with the token store, or with what it was given, and what to do about it."""


def write_whole(folder: Path, fill: Callable[[Any], None], name: Callable[[str], str]) -> Path:
    """Write a file that appears whole or not at all; `name` makes its name from the sha256 of its bytes."""
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
            staging.replace(path)  # while the lock is held: nobody takes the file for a dead writer's
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
    """The part of a binary file that Arrow's writer asks for, hashing what goes through."""

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
        """The file is closed by who opened it."""


def _staging(folder: Path) -> tuple[Path, BinaryIO]:
    """A new temporary file, locked for as long as it is open: the lock goes with the process, however that ends."""
    while True:
        path = folder / f".{secrets.token_hex(8)}.tmp"
        file = os.fdopen(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600), "w+b")
        if sys.platform != "win32":
            with contextlib.suppress(OSError):  # a file system without locks
                fcntl.flock(file, fcntl.LOCK_EX)
        if os.fstat(file.fileno()).st_nlink:  # else taken for a dead writer's before it was locked
            return path, file
        file.close()


@contextlib.contextmanager
def claimed(folder: Path) -> Iterator[bool]:
    """Whether nobody else has claimed the folder: spares work done twice, and nothing but that rests on it."""
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
    """Remove the temporary files of writers that are gone; gives the bytes freed."""
    freed = 0
    for path in folder.glob(".*.tmp"):
        with contextlib.suppress(OSError), path.open("rb") as file:  # gone, or locked by a writer at work
            if sys.platform != "win32":
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            freed += remove(path)
    return freed


def remove(path: Path) -> int:
    """Remove a file; gives the bytes freed, 0 where it is gone or held open by a system that forbids it."""
    with contextlib.suppress(OSError):
        size = path.lstat().st_size
        path.unlink()
        return size
    return 0


def fsync_folder(folder: Path) -> None:
    """Make the names in a folder last; Windows needs and knows no such step."""
    if sys.platform != "win32":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
