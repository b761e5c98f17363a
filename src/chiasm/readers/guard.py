"""Guard third-party parsers: check the file to open, silence their output, and raise one kind of error."""

from __future__ import annotations

import logging
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import lru_cache
from pathlib import Path

from chiasm.cohort import Unsupported
from chiasm.limits import LimitError, require_regular
from chiasm.readers.reading import Item, Limits, ReadError, check_size

# Their warnings and log lines quote the content of files: names, dates, paths.
TALKATIVE = (
    *("pydicom", "PIL", "tifffile", "tiffslide", "imagecodecs", "nibabel", "h5py", "zarr", "fsspec", "asyncio"),
    *("wfdb", "libav", "av"),
)
OWN_HANDLERS = ("nibabel.global",)  # prints through a handler of its own

_lock = threading.Lock()
_END = logging.NullHandler()
_readers = 0
_undo = ExitStack()


def file_of(item: Item, limits: Limits) -> Path:
    """Return the item as a single file that is not too large.

    Raises:
        ReadError: it is something else, a folder for example.
    """
    path = _path(item, limits)
    if not path.is_file():
        raise ReadError("a folder stands where a file is read", "name the file itself")
    return path


def files_of(item: Item, limits: Limits) -> list[Path]:
    """List the item if it is a file, else all files in the folder except hidden ones and those of hidden folders."""
    path = _path(item, limits)
    if path.is_file():
        return [path]
    files = []
    for file in sorted(path.rglob("*")):
        if not file.is_file() or any(part.startswith(".") for part in file.relative_to(path).parts):
            continue
        if not file.resolve().is_relative_to(path.resolve()):
            raise ReadError("a link leads out of the folder, and is not followed", "copy the file into the folder")
        files.append(file)
    if not files:
        raise ReadError("the folder holds no file", "copy the files there, or take the folder away")
    return files


def _path(item: Item, limits: Limits) -> Path:
    if not isinstance(item, Path):
        raise ReadError("text or a table stands where a file is read", "name a file in the manifest, by `path`")
    if not item.exists():
        raise ReadError("the file is not there", "copy it to its place, or take its row away")
    if not item.is_dir():
        try:
            require_regular(item, sys.maxsize)
        except LimitError as over:
            raise ReadError(f"the file {over.what}", over.fix) from None
    check_size(item, limits)
    return item


@contextmanager
def guarded(noun: str, fix: str = "write the file again") -> Iterator[None]:
    """Turn whatever a parser raises into a ReadError without its words, and hide its warnings and log lines."""
    with quiet():
        try:
            yield
        except (ReadError, Unsupported):
            raise
        except MemoryError:
            raise ReadError(f"{noun} needs more memory than there is", "reduce its resolution") from None
        except Exception:  # damaged bytes raise anything: struct.error, KeyError, RecursionError, zlib.error
            raise ReadError(f"the file is damaged, and is not read as {noun}", fix) from None


@contextmanager
def quiet() -> Iterator[None]:
    """Hide the warnings and log lines of parsers; of several threads the first mutes them, the last restores them."""
    global _readers
    with _lock:
        if not _readers:
            _mute(_undo)
        _readers += 1
    try:
        yield
    finally:
        with _lock:
            _readers -= 1
            if not _readers:
                _undo.close()


def _mute(undo: ExitStack) -> None:
    undo.enter_context(warnings.catch_warnings())
    warnings.simplefilter("ignore")
    talkative, ends = _loggers(len(logging.root.manager.loggerDict))
    undo.callback(_unmute, talkative, ends, [logger.propagate for logger in ends])
    for logger in talkative:
        logger.addFilter(_nothing)
    for logger in ends:  # log lines of modules imported meanwhile propagate this far
        logger.propagate = False
        logger.addHandler(_END)


def _unmute(talkative: list[logging.Logger], ends: list[logging.Logger], propagated: list[bool]) -> None:
    for logger in talkative:
        logger.removeFilter(_nothing)
    for logger, propagate in zip(ends, propagated, strict=True):
        logger.removeHandler(_END)
        logger.propagate = propagate


@lru_cache(maxsize=1)
def _loggers(known: int) -> tuple[list[logging.Logger], list[logging.Logger]]:
    """Return the loggers of parsers, and those where their lines end: the same until there are more than `known`."""
    names = [name for name in list(logging.root.manager.loggerDict) if name.partition(".")[0] in TALKATIVE]
    talkative = [logging.getLogger(name) for name in {*TALKATIVE, *OWN_HANDLERS, *names}]
    return talkative, [logging.getLogger(name) for name in TALKATIVE]


def _nothing(record: logging.LogRecord) -> bool:
    return False
