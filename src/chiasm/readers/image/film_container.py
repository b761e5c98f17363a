"""The container of a film by its first bytes, and whether the file is as long as its container says."""

from __future__ import annotations

from pathlib import Path

MOV_BOXES = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip")
MOST_BOXES = 100_000  # at the top of an MP4, whose fragments are boxes each
PACKET = 188  # bytes of a transport stream's packet
EBML_BYTES = 4096  # in which the header of a Matroska file ends and its segment begins
UNSAID = 0xFFFFFFFF


def container_of(path: Path) -> str | None:
    """Return the container as FFmpeg calls it; None for what is no film, or one without times (a bare MPEG stream)."""
    with path.open("rb") as file:
        start = file.read(PACKET + 1)
    if start[4:8] in MOV_BOXES:
        return "mov"
    if start[:4] == b"RIFF" and start[8:12] == b"AVI ":
        return "avi"
    if start[:6] in (b"GIF87a", b"GIF89a"):
        return "gif"
    if start[:1] == b"G" and start[PACKET:] == b"G":
        return "mpegts"
    return {b"\0\0\1\xba": "mpeg", b"\x1aE\xdf\xa3": "matroska"}.get(start[:4])


def is_cut_off(path: Path, container: str) -> bool:
    """Tell whether the file ends before its container does. MPEG streams may end anywhere."""
    size = path.stat().st_size
    with path.open("rb") as file:
        if container == "avi":
            file.seek(4)
            length = int.from_bytes(file.read(4), "little")
            return length not in (0, UNSAID) and length + 8 > size + 1
        if container == "gif":
            file.seek(max(size - 4096, 0))
            return not file.read().rstrip(b"\0").endswith(b";")
        if container == "matroska":
            return _segment_end(file.read(EBML_BYTES)) > size
        place = 0
        for _ in range(MOST_BOXES if container == "mov" else 0):
            if place > size - 8:
                return place > size  # a few bytes behind the last box are no box
            file.seek(place)
            head = file.read(16)
            length = int.from_bytes(head[:4], "big")
            if length == 1:
                length = int.from_bytes(head[8:16], "big")
            if length == 0:
                return False  # the last box, to the end of the file
            if length < 8:
                return True
            place += length
    return False


def _segment_end(start: bytes) -> int:
    """Return where the segment of a Matroska file ends; 0 where it does not say."""
    place = 0
    for name in (b"\x1aE\xdf\xa3", b"\x18S\x80g"):  # the header, then the segment that holds all else
        place = start.find(name, place)
        if place < 0 or place + 12 > len(start):
            return 0
        bytes_of_size = 9 - start[place + 4].bit_length()
        size = int.from_bytes(start[place + 4 : place + 4 + bytes_of_size], "big") - (1 << 7 * bytes_of_size)
        unsaid = size == (1 << 7 * bytes_of_size) - 1
        place += 4 + bytes_of_size + size
    return 0 if unsaid else place
