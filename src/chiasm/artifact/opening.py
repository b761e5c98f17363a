"""A folder that somebody else made, opened once: each file is looked at, then read once through the same handle.

Nothing is opened that is not a regular file of its listed name: no link, no pipe, no device, no socket. What is
checked, hashed and read are the same bytes, whatever happens to the folder meanwhile. A file that has another name
elsewhere (a hard link) is read like any other, since what that name does afterwards changes nothing of what was read.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from chiasm.artifact.register import ArtifactError
from chiasm.limits import LimitError, regular_size
from chiasm.shown import visible

UNREADABLE = "may not be read by you: a model is its owner's alone, ask for a copy"
FLAGS = os.O_RDONLY | sum(
    getattr(os, flag, 0) for flag in ("O_NOFOLLOW", "O_NONBLOCK", "O_NOCTTY", "O_CLOEXEC", "O_BINARY")
)
SHOWN = 40  # characters of a foreign file's name
BLOCK = 1 << 24


@dataclass(frozen=True)
class OpenFile:
    """A regular file that is open: its `handle`, and its `size` in bytes when it was opened."""

    name: str
    handle: int
    size: int

    def read(self, size: int) -> bytearray:
        """Read the next `size` bytes, or what is left of the file."""
        whole = bytearray(min(size, self.size))
        view, at = memoryview(whole), 0
        while at < len(whole):
            block = os.read(self.handle, min(BLOCK, len(whole) - at))
            if not block:
                break
            view[at : at + len(block)] = block
            at += len(block)
        view.release()
        del whole[at:]
        return whole

    def at(self, start: int, size: int) -> bytearray:
        """Read `size` bytes from a place of the file."""
        os.lseek(self.handle, start, os.SEEK_SET)
        return self.read(size)

    def require_end(self, read: int) -> None:
        """Refuse a file that has another number of bytes than when it was opened."""
        if read != self.size or os.read(self.handle, 1):
            raise LimitError("changed while it was read", "copy it again")


@dataclass(frozen=True)
class Folder:
    """A folder that is open: its `name` and the `names` of its files; `handle` is None where a system has none."""

    path: Path
    handle: int | None
    names: frozenset[str]

    @property
    def name(self) -> str:
        """The last part of its path, as it may be shown."""
        return one_line(self.path.name)

    @contextmanager
    def file(self, name: str, most: int) -> Iterator[OpenFile]:
        """Open a file of the folder that is regular and has `most` bytes or fewer.

        Raises:
            ArtifactError: it is missing, a link, no regular file, or too large.
        """
        try:
            with opened_file(self.path / name, most, name, self.handle) as file:
                yield file
        except (FileNotFoundError, LinkedError):
            raise ArtifactError(f"'{self.name}' is not a model folder: '{name}' is missing or a link") from None
        except LimitError as error:
            raise ArtifactError(f"'{self.name}/{name}' {error.what}: {error.fix}") from None

    def bytes_of(self, name: str, most: int) -> bytearray:
        """Read a file of the folder whole.

        Raises:
            ArtifactError: see `file`.
        """
        with self.file(name, most) as file:
            found = file.read(file.size)
            file.require_end(len(found))
            return found


def one_line(text: str) -> str:
    """A foreign name as it may stand in a sentence."""
    return visible(text).replace("\n", "\\n").replace("\t", "\\t")


class LinkedError(OSError):
    """A link where a file should be."""


@contextmanager
def opened_folder(path: Path, known: Collection[str]) -> Iterator[Folder]:
    """Open a folder that holds files of the `known` names and nothing else.

    Raises:
        ArtifactError: there is no such folder, you may not read it, or it holds something else.
    """
    handle = None
    try:
        try:
            if os.scandir in os.supports_fd:
                handle = os.open(path, FLAGS & ~getattr(os, "O_NOFOLLOW", 0) | os.O_DIRECTORY)
            names = _names(path, handle, known)
        except (FileNotFoundError, NotADirectoryError):
            raise ArtifactError(f"'{one_line(path.name)}' is not a model folder: there is no such folder") from None
        except PermissionError:
            raise ArtifactError(f"'{one_line(path.name)}' {UNREADABLE}") from None
        yield Folder(path, handle, names)
    finally:
        if handle is not None:
            os.close(handle)


def _names(path: Path, handle: int | None, known: Collection[str]) -> frozenset[str]:
    names = set()
    with os.scandir(path if handle is None else handle) as entries:
        for entry in entries:
            if entry.name not in known:  # the first is enough: there may be millions
                if not any((path / name).exists() for name in known):
                    raise ArtifactError(f"'{one_line(path.name)}' is not a model folder: it holds no file of a model")
                raise ArtifactError(
                    f"'{one_line(path.name)}' holds '{one_line(entry.name)[:SHOWN]}', which is no file of a model: "
                    "move it elsewhere if you put it there, else get the model anew"
                )
            names.add(entry.name)
    return frozenset(names)


@contextmanager
def opened_file(path: Path, most: int, name: str | None = None, folder: int | None = None) -> Iterator[OpenFile]:
    """Open a file that is regular and has `most` bytes or fewer; a link is not followed.

    Args:
        name, folder: its name in an open folder, by whose handle it is found; None: by `path`.

    Raises:
        FileNotFoundError: there is none.
        LinkedError: a link.
        LimitError: it is no regular file, is larger, or consists of holes.
    """
    place: Path | str = path if folder is None or name is None else name
    before = os.stat(place, dir_fd=folder, follow_symlinks=False)
    if stat.S_ISLNK(before.st_mode):
        raise LinkedError(errno.ELOOP, "a link")
    regular_size(before, most)  # before it is opened: to open a device may do something
    try:
        handle = os.open(place, FLAGS, dir_fd=folder)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise LinkedError(errno.ELOOP, "a link") from None
        raise
    try:
        yield OpenFile(name or path.name, handle, regular_size(os.fstat(handle), most))
    finally:
        os.close(handle)
