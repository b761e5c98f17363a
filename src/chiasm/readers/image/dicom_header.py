"""Read the header of a DICOM file, up to its pixels: the few tags that describe them, none that names anyone."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

from chiasm.readers.reading import Limits, ReadError, check_packed, check_values
from chiasm.readers.registry import missing

DEFLATED, PLAIN_EXPLICIT = "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.1"
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
DIRECTORY = "1.2.840.10008.1.3.10"
IN_ROWS = ("1.2.840.10008.1.2", PLAIN_EXPLICIT)  # transfer syntaxes of pixels as they are, the low byte first
PIXELS = (0x7FE00010, 0x7FE00008, 0x7FE00009)
KEYWORDS = (
    "SOPClassUID", "SeriesInstanceUID", "Modality", "ImageType", "BurnedInAnnotation", "InstanceNumber",
    "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "ImagerPixelSpacing", "SliceThickness",
    "SpacingBetweenSlices", "GridFrameOffsetVector", "SharedFunctionalGroupsSequence",
    "PerFrameFunctionalGroupsSequence", "Rows", "Columns", "NumberOfFrames", "SamplesPerPixel",
    "PhotometricInterpretation", "PlanarConfiguration", "BitsAllocated", "BitsStored", "HighBit",
    "PixelRepresentation", "RescaleSlope", "RescaleIntercept", "RescaleType", "DoseGridScaling", "ModalityLUTSequence",
    "RedPaletteColorLookupTableDescriptor", "GreenPaletteColorLookupTableDescriptor",
    "BluePaletteColorLookupTableDescriptor", "RedPaletteColorLookupTableData", "GreenPaletteColorLookupTableData",
    "BluePaletteColorLookupTableData", "SegmentedRedPaletteColorLookupTableData",
    "SegmentedGreenPaletteColorLookupTableData", "SegmentedBluePaletteColorLookupTableData",
)  # fmt: skip
LARGEST_TAG = 1 << 26  # bytes of one tag that is read: a palette, the positions of all frames
HEADER_BYTES = 1 << 24  # of a deflated header
MOST_FRAMES = 100_000  # of a file
UNDEFINED = 0xFFFFFFFF
DAMAGED = "export the series again"


@dataclass(frozen=True)
class Header:
    """Header of a file, without pixels; `frames` `rows` `columns` `samples` are checked, `tags` holds only KEYWORDS.

    `start` is the byte where pixels begin that lie in the file as they are, row after row; 0 where they do not.
    """

    path: Path
    tags: Any
    syntax: str
    private: bool
    frames: int
    rows: int
    columns: int
    samples: int
    start: int = 0

    @property
    def channels(self) -> int:
        """Numbers that a pixel has once it is decoded: three of a palette, whose file holds one."""
        return 3 if self.tags.get("PhotometricInterpretation") == "PALETTE COLOR" else self.samples

    @property
    def native_bytes(self) -> int:
        """Size of the uncompressed pixels in bytes."""
        bits = self.frames * self.rows * self.columns * self.samples * int(self.tags.BitsAllocated)
        thinned = self.tags.get("PhotometricInterpretation") == "YBR_FULL_422"
        return (bits * 2 // 3 if thinned else bits) // 8


def read_header(path: Path, limits: Limits) -> Header:
    """Read the header of one file with pixels; to be called inside `guarded`.

    Raises:
        ReadError: not DICOM, no image, pixels missing or over the limits.
    """
    seen = _Seen(stop=True)
    with opened(path, HEADER_BYTES) as (stream, inflated):
        tags = _parse(stream, seen)
        start = stream.tell() + seen.head
        size = None if inflated else path.stat().st_size
    if tags.file_meta.get("MediaStorageSOPClassUID") == DIRECTORY:
        raise ReadError("the file is a DICOMDIR, an index without pixels", "name the files it lists, or their folder")
    if not seen.pixels or "Rows" not in tags or "Columns" not in tags:
        raise ReadError("the file holds no image, or is cut off before its pixels", DAMAGED)
    frames = int(tags.get("NumberOfFrames") or 1)
    header = Header(
        path, tags, str(_syntax(tags)), seen.private, frames, int(tags.Rows), int(tags.Columns),
        int(tags.get("SamplesPerPixel") or 1),
    )  # fmt: skip
    shape = header.frames, header.channels, header.rows, header.columns
    check_values(shape, limits)
    check_packed(shape, max(1, int(tags.get("BitsAllocated") or 8) // 8), path.stat().st_size)
    if frames > MOST_FRAMES:  # each becomes a Slice object before any is decoded
        raise ReadError(f"the header announces {frames:,} frames, over the limit of {MOST_FRAMES:,}", "cut the series")
    if header.samples not in (1, 3):
        raise ReadError(f"a pixel has {header.samples} samples", "export it as grey or RGB")
    _check_length(header, seen.length, None if size is None else size - start)
    plain = size is not None and seen.tag == PIXELS[0] and seen.length != UNDEFINED and header.syntax in IN_ROWS
    together = header.samples == 1 or int(tags.get("PlanarConfiguration") or 0) == 0
    thinned = tags.get("PhotometricInterpretation") == "YBR_FULL_422"
    whole = int(tags.BitsAllocated) % 8 == 0
    return replace(header, start=start) if plain and together and whole and not thinned else header


def read_pixels(header: Header) -> Any:
    """Read the tags again, with the undecoded pixels; to be called inside `guarded`."""
    most = HEADER_BYTES + header.native_bytes
    with opened(header.path, most) as (stream, inflated):
        if inflated and stream.getbuffer().nbytes >= most:  # type: ignore[attr-defined]
            raise ReadError("the file inflates to more than its header announces", "export it without deflate")
        tags = _parse(stream, _Seen(stop=False))
    if inflated:
        tags.file_meta.TransferSyntaxUID = PLAIN_EXPLICIT
    return tags


def read_rows(header: Header, frame: int, first: int, last: int) -> Any:
    """Read the tags as of an image of these rows of one frame alone, of pixels that lie in the file as they are."""
    from pydicom import DataElement, Dataset

    bits = int(header.tags.BitsAllocated)
    row = header.columns * header.samples * bits // 8
    with header.path.open("rb") as file:
        file.seek(header.start + (frame * header.rows + first) * row)
        pixels = file.read((last - first) * row)
    if len(pixels) < (last - first) * row:
        raise ReadError("the file is truncated: its pixels end early", "copy it again")
    own = Dataset(header.tags)
    own.file_meta = header.tags.file_meta
    own.Rows, own.NumberOfFrames = last - first, 1
    own[PIXELS[0]] = DataElement(PIXELS[0], "OB" if bits == 8 else "OW", pixels)
    return own


class _Seen:
    """Callback for pydicom's parser that notes whether there are private tags, and where the pixels start."""

    def __init__(self, stop: bool) -> None:
        self.stop, self.private, self.pixels, self.length, self.head, self.tag = stop, False, False, 0, 0, 0

    def __call__(self, tag: int, vr: str | None, length: int) -> bool:
        if tag in PIXELS:
            self.tag, self.pixels, self.length, self.head = (
                tag,
                True,
                length,
                12 if (vr or "").startswith(("O", "UN")) else 8,
            )
            return self.stop
        self.private = self.private or bool((tag >> 16) & 1)
        if tag in _tags() and length != UNDEFINED and length > LARGEST_TAG:
            raise ReadError("a tag of the header is too large to be true", DAMAGED)
        return False


def _parse(stream: BinaryIO, seen: _Seen) -> Any:
    from pydicom.filereader import read_partial

    wanted: list[Any] = [*_tags()] + ([] if seen.stop else [*PIXELS, 0x7FE00001, 0x7FE00002])
    return read_partial(stream, stop_when=seen, specific_tags=wanted, force=False)


@cache
def _tags() -> frozenset[int]:
    from pydicom.datadict import tag_for_keyword

    return frozenset(tag for tag in map(tag_for_keyword, KEYWORDS) if tag is not None)


def _syntax(tags: Any) -> Any:
    """Return the transfer syntax; if none is named, the plain one that pydicom found the header written in."""
    named = tags.file_meta.get("TransferSyntaxUID")
    if named:
        return named
    implicit, little = tags.original_encoding
    return "1.2.840.10008.1.2" if implicit else PLAIN_EXPLICIT if little else "1.2.840.10008.1.2.2"


@contextmanager
def opened(path: Path, most: int) -> Iterator[tuple[BinaryIO, bool]]:
    """Open the file, or up to `most` inflated bytes of it, so that pydicom never inflates it without a bound."""
    try:
        from pydicom.filereader import read_dataset, read_preamble
    except ImportError:
        raise missing("pydicom", "imaging", "DICOM files") from None
    with path.open("rb") as file:
        file.seek(128)
        if file.read(4) != b"DICM":
            raise ReadError("the file is not DICOM: its header does not say so", "keep only the series in the folder")
        file.seek(0)
        read_preamble(file, False)
        meta = read_dataset(file, False, True, stop_when=lambda tag, vr, length: tag >> 16 != 2)
        if meta.get("TransferSyntaxUID") != DEFLATED:
            file.seek(0)
            yield file, False
            return
        inflated = _inflate(file, most)
    yield inflated, True


def _meta_of_plain() -> bytes:
    """Build file meta information that names the plain explicit transfer syntax, and nothing else."""
    value = PLAIN_EXPLICIT.encode() + b"\0" * (len(PLAIN_EXPLICIT) % 2)
    return b"\x02\0\x10\0UI" + len(value).to_bytes(2, "little") + value


def _inflate(file: BinaryIO, most: int) -> BytesIO:
    """Inflate at most `most` bytes, behind a header that says they are plain."""
    machine = zlib.decompressobj(-zlib.MAX_WBITS)
    out = BytesIO()
    out.write(bytes(128) + b"DICM" + _meta_of_plain())
    left = most
    while left > 0 and not machine.eof:
        packed = machine.unconsumed_tail or file.read(1 << 16)
        if not packed:
            break
        left -= out.write(machine.decompress(packed, left))
    out.seek(0)
    return out


def _check_length(header: Header, length: int, left: int | None) -> None:
    """Check the length of uncompressed pixels against the header and the file."""
    if left is not None and length != UNDEFINED and length > left:
        raise ReadError("the file is truncated: its pixels end early", "copy it again")
    if length == UNDEFINED:
        return
    if length < header.native_bytes:
        raise ReadError("the pixels are fewer than the header announces", DAMAGED)
    frame = header.native_bytes // header.frames
    if length - header.native_bytes >= max(2, frame):
        raise ReadError("the pixels are more than the header announces", DAMAGED)
