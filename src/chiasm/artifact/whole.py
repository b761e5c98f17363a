"""Files that appear whole or not at all: temporary file, fsync, rename; readable by their owner alone."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import re
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from safetensors import SafetensorError

if sys.platform != "win32":
    import fcntl

SETTLED_SECONDS = 60.0  # since the last byte: a process of another machine on a shared disk may have the number


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yield a temporary file beside `path`, mode 600, that takes its place once the block has ended well.

    What a killed process left of earlier attempts at the same file is removed, and so is this attempt where it fails.

    Raises:
        OSError: it cannot be written; `errno.ENOSPC` where the disk is full.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_left_over(path)
    staging = staging_of(path)
    staging.unlink(missing_ok=True)
    try:
        os.close(os.open(staging, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        with full_disk_named(path):
            yield staging
            fsync(staging)
            staging.chmod(0o600)  # for a writer that made the file anew
            staging.replace(path)
    finally:
        staging.unlink(missing_ok=True)


@contextlib.contextmanager
def whole_folder(path: Path, replace: bool = False) -> Iterator[Path]:
    """Yield a temporary folder beside `path`, mode 700, that takes this name once the block has ended well.

    Args:
        replace: a folder that is there goes once the new one stands in its place; it stays where the block fails.

    Raises:
        FileExistsError: something of this name is there, and is no empty folder, or none that may be replaced.
        OSError: it cannot be written; `errno.ENOSPC` where the disk is full.
    """
    if path.is_symlink() or (path.exists() and not (path.is_dir() and (replace or not any(path.iterdir())))):
        raise FileExistsError(errno.EEXIST, "exists already: choose another --out", str(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_left_over(path)
    staging = staging_of(path)
    shutil.rmtree(staging, ignore_errors=True)  # of a process of the same number that was killed
    staging.mkdir(mode=0o700)
    try:
        with full_disk_named(path):
            yield staging
            for file in staging.rglob("*"):
                if file.is_file():
                    fsync(file)
            if replace and path.exists():
                exchange(staging, path)
            else:
                staging.rename(path)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def exchange(new: Path, old: Path) -> None:
    """Swap two folders: in one step where Linux can, else by two renames, undone if the second one fails."""
    rename = getattr(ctypes.CDLL(None), "renameat2", None) if sys.platform == "linux" else None
    here, swap = -100, 2  # AT_FDCWD, RENAME_EXCHANGE
    if rename is not None and rename(here, os.fsencode(new), here, os.fsencode(old), swap) == 0:
        return
    aside = old.with_name(f"{new.name}.old")
    old.rename(aside)
    try:
        new.rename(old)
    except BaseException:
        aside.rename(old)
        raise
    aside.rename(new)


@contextlib.contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Wait until no other process is in this block with this folder; where files cannot be locked, do not wait."""
    if sys.platform == "win32":
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def staging_of(path: Path) -> Path:
    """Return the temporary place of this process for a file or folder."""
    return path.with_name(f".{path.name}.{os.getpid()}.tmp")


def remove_left_over(path: Path) -> None:
    """Remove the temporary files and folders for `path` of processes that are no more."""
    for found in path.parent.glob(f".{_escaped(path.name)}.*.tmp"):
        number = found.name.removeprefix(f".{path.name}.").removesuffix(".tmp")
        with contextlib.suppress(OSError):
            parts = [found, *(found.iterdir() if found.is_dir() else ())]
            settled = time.time() - max(part.stat().st_mtime for part in parts) > SETTLED_SECONDS
            if number.isdecimal() and not _runs(int(number)) and settled:
                shutil.rmtree(found) if found.is_dir() and not found.is_symlink() else found.unlink()


@contextlib.contextmanager
def full_disk_named(path: Path) -> Iterator[None]:
    """Turn what writers of other packages raise on a full disk into an OSError that names the file."""
    try:
        yield
    except SafetensorError as error:  # it gives the system's words alone
        found = re.search(r"os error (\d+)", str(error))
        if found is None:
            raise
        raise OSError(int(found[1]), os.strerror(int(found[1])), str(path)) from None
    except OSError as error:
        if error.filename is None:
            raise OSError(error.errno or errno.EIO, os.strerror(error.errno or errno.EIO), str(path)) from None
        raise


def fsync(path: Path) -> None:
    """Flush a file to the disk."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # somebody else's
        return True
    return True


def _escaped(name: str) -> str:
    return "".join(f"[{sign}]" if sign in "*?[" else sign for sign in name)
