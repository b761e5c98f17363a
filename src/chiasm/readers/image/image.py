"""Reader of images, one per patient: TIFF by tifffile, others by Pillow; recognised by content, not by name."""

from __future__ import annotations

import math
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from chiasm.readers.guard import file_of, guarded
from chiasm.readers.image.codestream import check_stream, frame_of
from chiasm.readers.image.generated import PNG, mark_text, note_of
from chiasm.readers.image.jpeg2000 import HEAD_BYTES, decode_deep, depth_of
from chiasm.readers.image.large import TILES, require_fits, stored_pixels
from chiasm.readers.image.orientation import TAG, placed, upright
from chiasm.readers.image.tiff import check_tiff, read_tiff
from chiasm.readers.reading import LIMITS, Image, Item, Limits, ReadError, check_packed, check_values
from chiasm.readers.registry import missing
from chiasm.room import is_large, room, stretches

TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
JPEG, BMP = b"\xff\xd8\xff", b"BM"
JPEG_2000 = (b"\0\0\0\x0cjP  \r\n\x87\n", b"\xff\x4f\xff\x51")
GREY, RGB = ("grey",), ("red", "green", "blue")
JPEG_LS = 0xF7  # the mark of its frame
GREYS = {"1", "L", "LA", "La"}  # Pillow's modes of one channel, with alpha or without
DEEP = {"I;16", "I;16B", "I;16L", "I", "F"}  # those beyond 8 bits
PRINT = (72, 90, 96, 100, 150, 300, 600)  # dots per inch that programs write when they do not know the scale
FIX = "export it again as PNG, JPEG or TIFF"


class ImageReader:
    """Reader of an `Image`: `(C, H, W)` float32 in the numbers of the file, 0 .. 255 for 8 bits, 0 .. 65535 for 16.

    Grey stays one channel. Alpha is dropped; palettes, CMYK and YCbCr become RGB; bilevel becomes 0 and 255; EXIF's
    orientation is applied. `spacing` is mm a pixel if the file gives it in a metric unit, else None: PNG (pHYs) and
    JPEG (JFIF in dots per cm) except for the usual 72, 96, 300 ... dots per inch; TIFF (centimetres, ImageJ, OME); BMP
    and JPEG 2000 give none.
    PNGs of 16 bits in colour or with alpha are read to 8, which `inspect` notes. For TIFF see `readers/image/tiff.py`.
    """

    kind = "image"
    version = "2"
    accepts = ("1",)

    def inspect(self, item: Item, limits: Limits = LIMITS) -> tuple[str, ...]:
        """Return notes on the header, all that is read. Raises as `read` does, except for damage further down."""
        path = file_of(item, limits)
        start = _start(path)
        notes: tuple[str, ...] = ()
        with guarded("an image", FIX):
            if start.startswith(TIFF):
                check_tiff(path, limits)
            else:
                with _plugin(start)(path) as image:
                    _check(image, limits, path, start)
                    notes = (note_of("pixels"),) if mark_text(path) is not None else ()
        if start.startswith(PNG) and start[24:26] in (b"\x10\x02", b"\x10\x04", b"\x10\x06"):
            return (*notes, "16 bits a channel are read to 8: write a TIFF to keep them")
        return notes

    def read(self, item: Item, limits: Limits = LIMITS) -> Image:
        """Read the image.

        Raises:
            ReadError: not an image, damaged, over a limit, animated, or several pages that do not belong together.
            Unsupported: Pillow or tifffile is missing.
        """
        path = file_of(item, limits)
        start = _start(path)
        with guarded("an image", FIX):
            if start.startswith(TIFF):
                value = read_tiff(path, limits)
            else:
                with _plugin(start)(path) as image:
                    _check(image, limits, path, start)
                    value = _jpeg_2000(path, image) if start.startswith(JPEG_2000) else _decode(path, image)
        return value


def _start(path: Path) -> bytes:
    with guarded("an image", FIX), path.open("rb") as file:
        start = file.read(132)
        if start.startswith((JPEG, *JPEG_2000)):
            start += file.read(HEAD_BYTES)
    return start


def sixteen_bits(path: Path) -> bool:
    """True of a grey PNG of 16 bits, whatever values it has."""
    start = _start(path)
    return start.startswith(PNG) and start[24:26] == b"\x10\x00"


def _plugin(start: bytes) -> Any:
    """Return Pillow's class for the format; Image.open would also check sizes against a process-wide setting."""
    try:
        from PIL import BmpImagePlugin, Jpeg2KImagePlugin, JpegImagePlugin, PngImagePlugin
    except ImportError:
        raise missing("Pillow", "imaging", "images") from None
    if start.startswith(PNG):
        return PngImagePlugin.PngImageFile
    if start.startswith(JPEG):
        frame = frame_of(start)
        if frame is not None and (frame[0] == JPEG_LS or frame[1] != 8):
            raise ReadError("the JPEG is JPEG-LS, or has other than 8 bits a sample", "export it as PNG or TIFF")
        return JpegImagePlugin.JpegImageFile
    if start.startswith(JPEG_2000):
        return Jpeg2KImagePlugin.Jpeg2KImageFile
    if start.startswith(BMP):
        return BmpImagePlugin.BmpImageFile
    if start[128:132] == b"DICM":
        raise ReadError("the file is DICOM", 'write kind = "dicom"')
    raise ReadError("the file is neither a PNG, a JPEG, a JPEG 2000, a BMP nor a TIFF, whatever its name", FIX)


def _check(image: Any, limits: Limits, path: Path, start: bytes) -> None:
    decoded = 1 if image.mode in GREYS | DEEP else 3  # of a palette too
    shape = (max(len(image.getbands()), decoded), image.height, image.width)
    check_values(shape, limits, TILES)
    check_packed(shape, 2 if image.mode in DEEP else 1, path.stat().st_size)
    frames = getattr(image, "n_frames", 1)
    if frames > 1:
        raise ReadError(f"the file holds {frames:,} frames", "write the one that counts as an image of its own")
    require_fits(path, image, math.prod(shape), start)


def _decode(path: Path, image: Any) -> Image:
    """Decode by parts of some rows, so that little lies in memory beside the image as it is stored."""
    grey = image.mode in GREYS | DEEP
    shape = (1 if grey else 3, image.height, image.width)
    stored = stored_pixels(path, image) if is_large(math.prod(shape)) else None
    if stored is None:
        image.load()
    spacing = _spacing(image.info)
    turn = _orientation(image)
    values, rows = placed(shape, turn)
    for part in stretches(image.height, len(rows) * image.width, 1, values, *([] if stored is None else [stored])):
        if stored is not None:
            pixels = stored[part] if stored.ndim == 2 else stored[part][..., : len(rows)]
        else:
            whole = part == slice(0, image.height)
            piece = image if whole else image.crop((0, part.start, image.width, part.stop))
            wanted = piece.mode if piece.mode in DEEP else "L" if grey else "RGB"
            pixels = np.asarray(piece if piece.mode == wanted else piece.convert(wanted))
        rows[:, part] = pixels if pixels.ndim == 2 else np.moveaxis(pixels, -1, 0)  # (C, h, W)
    _, spacing = upright(values, spacing, turn)
    return Image(values, GREY if grey else RGB, spacing)


def _jpeg_2000(path: Path, image: Any) -> Image:
    """Decode JPEG 2000: by Pillow, which knows its colours, unless it would change the numbers."""
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
        check_stream(head, image.height, image.width)
        depth = depth_of(head)
        if depth is None or depth == (8, False):
            return _decode(path, image)
        planes = decode_deep(head + file.read(), depth[0])
    values = room(planes.shape)
    for part in stretches(planes.shape[1], len(planes) * planes.shape[2], 1, values):
        values[:, part] = planes[:, part]
    return Image(values, GREY if len(values) == 1 else RGB)


def _orientation(image: Any) -> int:
    from PIL.Image import Image as Plain

    with suppress(Exception):  # damaged EXIF in a sound image
        return int(Plain.getexif(image).get(TAG, 1))  # a PNG's own would load it, to look behind its pixels
    return 1


def _spacing(info: dict[str, Any]) -> tuple[float, float] | None:
    """Find the pixel spacing in mm along rows and columns; None if unknown."""
    if "jfif" in info:  # unit 1 is dots per inch, 2 dots per centimetre
        across, down = (2.54 * dots for dots in info.get("jfif_density", (0, 0)))
        known = info.get("jfif_unit") == 2
    else:
        across, down = (float(dots) for dots in info.get("dpi", (0, 0)))
        known = "aspect" not in info
    if not known or across <= 0 or down <= 0 or any(abs(across - dots) < 0.5 for dots in PRINT):
        return None
    return 25.4 / down, 25.4 / across
