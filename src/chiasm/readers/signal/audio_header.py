"""The container of a sound by its first bytes, and whether a WAV or Ogg file is whole, which soundfile does not say."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from pathlib import Path

REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
ALL_ONES = 0xFFFFFFFF
LAST_PAGE = 4  # a flag
UNSAID = (0, ALL_ONES)  # what a program writes that cannot go back to the header
MOST_CHUNKS = 10_000


def container_of(path: Path) -> str | None:
    """Return "wave", "rifx", "flac" or "ogg" by the content of the file; None for anything else."""
    with path.open("rb") as file:
        start = file.read(12)
    if start[:4] in (b"RIFF", b"RF64") and start[8:12] == b"WAVE":
        return "wave"
    if start[:4] == b"RIFX":
        return "rifx"
    return {b"fLaC": "flac", b"OggS": "ogg"}.get(start[:4])


@dataclass(frozen=True)
class Samples:
    """Where the samples of a WAV or RF64 file begin and end by its header; `size` is that of the file."""

    begin: int
    end: int
    size: int

    @property
    def cut_off(self) -> bool:
        """Whether the samples would end behind the end of the file."""
        return self.end > self.size


def samples_of(path: Path) -> Samples | None:
    """Find the samples of a WAV or RF64 file; None if there are none. soundfile reads what is left of a cut file.

    A size that the program which wrote the file did not know counts as the rest of the file.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        large = file.read(12)[:4] == b"RF64"
        data = 0  # of RF64: the size of the samples, from `ds64`
        for _ in range(MOST_CHUNKS):
            head = file.read(8)
            if len(head) < 8:
                return None
            name, length = head[:4], int.from_bytes(head[4:], "little")
            if name == b"ds64":
                data = int.from_bytes(file.read(16)[8:], "little")
                length -= 16
            if name == b"data":
                length, begin = data if large and length == ALL_ONES else length, file.tell()
                return Samples(begin, size if length in UNSAID else begin + length, size)
            file.seek(length + length % 2, 1)
    return None


def bytes_behind(path: Path, samples: Samples) -> int:
    """Return how many bytes behind the samples are no chunk of the file: samples, perhaps, that the header denies."""
    place = samples.end
    with path.open("rb") as file:
        for _ in range(MOST_CHUNKS):
            file.seek(place)
            head = file.read(1 + 8)
            for odd in (0, 1):  # a chunk of odd length is followed by a byte, which some programs forget
                name, length = head[odd : odd + 4], int.from_bytes(head[odd + 4 : odd + 8], "little")
                known = len(head) >= odd + 8 and name.strip().isalnum()
                if known and place + odd + 8 + length <= samples.size:
                    place += odd + 8 + length
                    break
            else:
                return max(samples.size - place, 0)
    return 0


def is_whole_ogg(path: Path) -> bool:
    """Tell whether an Ogg file is one stream whose pages are all there, each with its checksum (RFC 3533)."""
    with path.open("rb") as file:
        number, stream = 0, b""
        while True:
            head = file.read(27)
            if len(head) < 27 or head[:5] != b"OggS\0":
                return False
            lengths = file.read(head[26])
            body = file.read(sum(lengths))
            stream = stream or head[14:18]
            if len(lengths) < head[26] or len(body) < sum(lengths) or head[14:18] != stream:
                return False
            if int.from_bytes(head[18:22], "little") != number:
                return False
            if int.from_bytes(head[22:26], "little") != ogg_checksum(head[:22] + bytes(4) + head[26:] + lengths + body):
                return False
            if head[5] & LAST_PAGE:
                return file.read(4) != b"OggS"
            number += 1


def ogg_checksum(content: bytes) -> int:
    """Compute the CRC of a page: polynomial 0x04C11DB7, most significant bit first, where zlib's is the least."""
    found = zlib.crc32(content.translate(REVERSED), ALL_ONES) ^ ALL_ONES
    return int(f"{found:032b}"[::-1], 2)
