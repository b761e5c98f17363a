"""Files of an open image as they were sent: kept in memory, unpacked from a .zip, written for readers."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from chiasm.serving.faults import refused
from chiasm.serving.settings import MEGABYTE
from chiasm.serving.uploads import Part, written

MOST_FILES = 5_000
ZIP = b"PK\3\4"
PIECE = 1 << 20
IGNORED = ("__MACOSX", "DICOMDIR", ".DS_Store")

Kept = Sequence[tuple[str, bytes]]
"""Name and content of each file of one image."""


def size_of(files: Kept) -> int:
    return sum(len(content) for _, content in files)


def kept_of(parts: Sequence[Part], most: int) -> dict[str, Kept]:
    """The files of each source of a request.

    Args:
        most: bytes that all may have once they are unpacked.

    Raises:
        Refused: 422, a .zip is damaged or too large.
    """
    found: dict[str, list[tuple[str, bytes]]] = {}
    left = most
    for part in parts:
        content = part.content.read()
        several = list(_unpacked(content, left)) if content.startswith(ZIP) else [(part.filename, content)]
        left -= sum(len(own) for _, own in several)
        found.setdefault(part.source, []).extend(several)
    return {name: tuple(own) for name, own in found.items()}


def _unpacked(content: bytes, most: int) -> Iterator[tuple[str, bytes]]:
    """Names, without folders, and contents of the files of a .zip; what it says of their sizes is not believed."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as packed:
            files = [own for own in packed.infolist() if not own.is_dir() and not _is_ignored(own.filename)]
            if len(files) > MOST_FILES:
                raise refused(422, "too-many-files", f"the .zip holds over {MOST_FILES:,} files: send one series")
            left = most
            for own in files:
                pieces = []
                with packed.open(own) as stream:
                    while piece := stream.read(PIECE):
                        left -= len(piece)
                        if left < 0:
                            what = f"the .zip unpacks to over {most / MEGABYTE:,.3g} MB: send one series"
                            raise refused(422, "too-large", what)
                        pieces.append(piece)
                yield own.filename.rpartition("/")[2], b"".join(pieces)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError, ValueError):
        raise refused(422, "damaged-zip", "the .zip is damaged, or asks for a password: pack it again") from None


def _is_ignored(name: str) -> bool:
    return any(part in IGNORED for part in name.split("/"))


@contextmanager
def on_disk(files: Mapping[str, Kept], scratch: Path) -> Iterator[Mapping[str, Path]]:
    """Where each source lies while it is read, in a folder of this user alone that is gone afterwards.

    Raises:
        Refused: 422, two files of a source have one name.
    """
    parts = [Part(source, name, io.BytesIO(content)) for source, own in files.items() for name, content in own]
    with TemporaryDirectory(dir=scratch) as folder:
        yield written(parts, Path(folder))
