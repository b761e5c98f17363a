"""The members of a tar file one after another, within limits: nothing is unpacked to disk, nothing is held whole.

`tarfile` of Python reads a long name or an extended header of any size into memory. Here each has a limit, and a member
is handed out as a piece of the stream.
"""

from __future__ import annotations

import re
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from chiasm.readers.reading import ReadError

BLOCK = 512
HEADER_BYTES = 1 << 20  # of a long name or an extended header
MEMBERS = 50_000_000  # of one archive
CHUNK = 1 << 20
_OCTAL = re.compile(rb"[0-7]+")
AGAIN = "fetch the archive again"
REGULAR = (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.CONTTYPE)
EXTENDED = (tarfile.XHDTYPE, tarfile.SOLARIS_XHDTYPE)
SPOKEN = (*EXTENDED, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK)  # of the member after it


class Stream(Protocol):
    """What can be read onward."""

    def read(self, size: int, /) -> bytes: ...


@dataclass(frozen=True)
class Member:
    """A member of a tar file: `start` is where its header begins, `data` where its bytes do, `end` where the next is.

    `regular` is False of a folder, a link or a device.
    """

    name: str
    size: int
    regular: bool
    start: int
    data: int
    end: int


class Cut(ReadError):
    """Error for a tar file that ends within a member, or without the mark of its end."""


def members(stream: Stream) -> Iterator[tuple[Member, Stream]]:
    """Yield each member with its bytes, which are there until the next one is asked for.

    Raises:
        Cut: the stream ends before its end is marked.
        ReadError: it is no tar file, or a header is over a limit.
    """
    name, size = "", -1
    at = start = 0
    for _ in range(MEMBERS):
        header = _exactly(stream, BLOCK)
        at += BLOCK
        if not header.strip(b"\0"):
            return
        given, length, kind = _parsed(header)
        length = size if size >= 0 and kind in REGULAR else length
        own = _Piece(stream, length)
        if kind in SPOKEN:
            if length > HEADER_BYTES:
                raise ReadError("a header of the archive is over 1 MB, as no name is", AGAIN)
            held = own.read(length)
            if kind in EXTENDED:
                name, size = _extended(held, name, size)
            elif kind == tarfile.GNUTYPE_LONGNAME:
                name = held.rstrip(b"\0").decode("utf-8", "replace")
            own.skip(-length % BLOCK)
            at += length + -length % BLOCK
            continue
        end = at + length + -length % BLOCK
        yield Member(name or given, length, kind in REGULAR, start, at, end), own
        own.skip(-length % BLOCK)
        at = start = end
        name, size = "", -1
    raise ReadError(f"the archive has over {MEMBERS:,} members", "check the file")


def _parsed(header: bytes) -> tuple[str, int, bytes]:
    """Return name, size and type of a header; the plain ones, as we write them, in a third of the time of the rest."""
    size, sums = header[124:135], header[148:154]
    plain = header[257:263] == b"ustar\0" and not header[345] and header[135] in b"\0 "
    if plain and _OCTAL.fullmatch(size + sums) and int(sums, 8) == sum(header) - sum(header[148:156]) + 8 * ord(" "):
        return header[:100].rstrip(b"\0").decode("utf-8", "replace"), int(size, 8), header[156:157]
    try:
        info = tarfile.TarInfo.frombuf(header, "utf-8", "replace")
    except (tarfile.HeaderError, ValueError):
        raise ReadError("the archive is damaged, or is no tar file", AGAIN) from None
    if info.size < 0:
        raise ReadError("the archive is damaged: a member has a size below zero", AGAIN)
    return info.name, info.size, info.type


def _extended(held: bytes, name: str, size: int) -> tuple[str, int]:
    """Read name and size of the next member from an extended header: lines of length, key and value."""
    at = 0
    while at < len(held):
        digits = held[at : at + 12].partition(b" ")[0]
        length = int(digits) if digits.isdigit() else 0
        key, found, value = held[at + len(digits) + 1 : at + length - 1].partition(b"=")
        if not found or length <= 0:
            raise ReadError("the archive is damaged: a header of it cannot be read", AGAIN)
        if key == b"path":
            name = value.decode("utf-8", "replace")
        elif key == b"size":
            if not value.isdigit() or len(value) > 18:
                raise ReadError("the archive is damaged: a size in it is no number", AGAIN)
            size = int(value)
        elif key.startswith(b"GNU.sparse"):
            raise ReadError("the archive holds a file with holes, which are not read", "pack it without --sparse")
        at += length
    return name, size


class _Piece:
    """The bytes of one member within a stream."""

    def __init__(self, stream: Stream, left: int) -> None:
        self.stream, self.left = stream, left

    def read(self, size: int) -> bytes:
        wanted = min(size, self.left)
        held = _exactly(self.stream, wanted)
        self.left -= wanted
        return held

    def skip(self, padding: int) -> None:
        """Pass by what is left of the member, and what fills its last block."""
        self.left += padding
        while self.left:
            self.read(min(CHUNK, self.left))


def _exactly(stream: Stream, size: int) -> bytes:
    parts, left = [], size
    while left:
        held = stream.read(min(left, CHUNK))
        if not held:
            raise Cut("the archive is cut off", AGAIN)
        parts.append(held)
        left -= len(held)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def block_of(name: str, size: int) -> bytes:
    """Return the header of a member as we write it: no time, no owner, mode 644, so that equal content is equal bytes.

    Raises:
        ValueError: a name of more than 100 bytes.
    """
    info = tarfile.TarInfo(name)
    info.size, info.mode = size, 0o644
    header = info.tobuf(tarfile.USTAR_FORMAT, "utf-8", "strict")
    if len(header) != BLOCK:
        raise ValueError("a name within a shard has over 100 bytes: shorten it")
    return header


def packed(name: str, data: bytes) -> bytes:
    """Return a member as it stands in a shard: its header, its bytes, and what fills its last block."""
    return block_of(name, len(data)) + data + bytes(-len(data) % BLOCK)


END = bytes(20 * BLOCK)  # marks the end, to the full record of twenty blocks that tar writes
