"""Content digests of patients' files; a file that has not changed since it was read is not read again."""

from __future__ import annotations

import hashlib
import os
import re
import stat
import time
from collections.abc import MutableMapping
from pathlib import Path

from chiasm.limits import LimitError, is_hollow

HASHED_AT_ONCE = 1 << 20
HEADER_BYTES = 1 << 20  # limit for a record's header; its reader refuses a longer one
RECORD_FILE = re.compile(r"[A-Za-z0-9_.-]+")
RECORD_SUFFIXES = (".hea", ".dat", ".mat")
SETTLED_NS = 2_000_000_000  # a file changed again within one clock tick would keep its timestamps


def file_digest(item: Path, known: MutableMapping[bytes, bytes]) -> bytes:
    """Compute the 16-byte BLAKE2b digest of the content of a file, a folder or a record.

    Args:
        known: cache of digests by stamp, to which new ones are added. A stamp is a hash of path, size, modification
            time and status-change time, so that it reveals no name.

    Raises:
        OSError: a file cannot be read.
        LimitError: a file consists of holes; reading it would take seconds a gigabyte, and its reader refuses it.
    """
    files, stats = _found(item)
    if any(is_hollow(own) for own in stats):
        raise LimitError("consists of holes that were never written", "copy the file again")
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
    return found


def content_files(path: Path) -> list[Path]:
    """List the files that hold a patient's data: the file itself, all in a folder, or those named by a WFDB header."""
    if path.is_dir():
        return sorted(file for file in path.rglob("*") if file.is_file() and not file.is_symlink())
    header = header_of(path)
    if header is not None:
        return _named_files(header, segments=True) or [header]
    return [path] if path.is_file() else []


def header_of(path: Path) -> Path | None:
    """Find the header of the WFDB record that `path` names or is a file of; None if it is not a record."""
    if path.suffix.lower() in RECORD_SUFFIXES and path.with_suffix(".hea").is_file():
        return path.with_suffix(".hea")
    header = path.with_name(path.name + ".hea")
    return header if header.is_file() else None


def header_lines(header: Path) -> list[bytes]:
    """Read the lines of a WFDB header without its comments, up to a size that no real header reaches."""
    with header.open("rb") as file:
        lines = file.read(HEADER_BYTES).splitlines()
    return [line for line in lines if line.strip() and not line.startswith(b"#")]


def _named_files(header: Path, segments: bool) -> list[Path]:
    """List the signal files that a header names, and the headers (which say how to read) and files of its segments."""
    found: dict[Path, None] = {}
    for first in dict.fromkeys(line.split()[0] for line in header_lines(header)[1:]):  # leads share a file
        name = first.decode("ascii", errors="replace")
        if not RECORD_FILE.fullmatch(name) or name in (".", ".."):
            continue
        file, segment = header.with_name(name), header.with_name(f"{name}.hea")
        if segments and segment.is_file():
            found |= dict.fromkeys([segment, *_named_files(segment, segments=False)])
        elif file.is_file() and file.resolve().is_relative_to(header.parent.resolve()):
            found[file] = None
    return list(found)


def _found(item: Path) -> tuple[list[Path], list[os.stat_result]]:
    """List the files and their `stat` results; a plain file needs a single call."""
    try:
        own = item.stat()
        if stat.S_ISREG(own.st_mode) and item.suffix.lower() not in RECORD_SUFFIXES:
            return [item], [own]
    except OSError:
        pass  # a record name, which is not a file itself
    files = content_files(item)
    return files, [file.stat() for file in files]
