"""Reader of images, one per patient: TIFF by tifffile, others by Pillow; recognised by content, not by name."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chiasm.readers.guard import file_of, guarded
from chiasm.readers.image.codestream import check_stream, frame_of
from chiasm.readers.image.jpeg2000 import HEAD_BYTES, decode_deep, depth_of
from chiasm.readers.image.orientation import TAG, upright
from chiasm.readers.image.tiff import check_tiff, read_tiff
from chiasm.readers.reading import LIMITS, Image, Item, Limits, ReadError, check_packed, check_values
from chiasm.readers.registry import missing

TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
PNG, JPEG, BMP = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"BM"
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
        with guarded("an image", FIX):
            if start.startswith(TIFF):
                check_tiff(path, limits)
            else:
                with _plugin(start)(path) as image:
                    _check(image, limits, path)
        if start.startswith(PNG) and start[24:26] in (b"\x10\x02", b"\x10\x04", b"\x10\x06"):
            return ("16 bits a channel are read to 8: write a TIFF to keep them",)
        return ()

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
                    _check(image, limits, path)
                    value = _jpeg_2000(path, image) if start.startswith(JPEG_2000) else _decode(image)
        return value


def _start(path: Path) -> bytes:
    with guarded("an image", FIX), path.open("rb") as file:
        start = file.read(132)
        if start.startswith(JPEG):
            start += file.read(HEAD_BYTES)
    return start


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


def _check(image: Any, limits: Limits, path: Path) -> None:
    decoded = 1 if image.mode in GREYS | DEEP else 3  # of a palette too
    shape = (max(len(image.getbands()), decoded), image.height, image.width)
    check_values(shape, limits)
    check_packed(shape, 2 if image.mode in DEEP else 1, path.stat().st_size)
    frames = getattr(image, "n_frames", 1)
    if frames > 1:
        raise ReadError(f"the file holds {frames:,} frames", "write the one that counts as an image of its own")


def _decode(image: Any) -> Image:
    image.load()
    spacing = _spacing(image.info)
    turn = _orientation(image)
    if image.mode in DEEP:
        pixels = np.asarray(image, dtype=np.float32)
    else:
        wanted = "L" if image.mode in GREYS else "RGB"
        pixels = np.asarray(image if image.mode == wanted else image.convert(wanted))
    image.close()  # which held the pixels too
    planes: NDArray[Any] = pixels[None] if pixels.ndim == 2 else np.moveaxis(pixels, -1, 0)  # (C, H, W)
    planes, spacing = upright(planes, spacing, turn)
    return Image(np.ascontiguousarray(planes, dtype=np.float32), GREY if len(planes) == 1 else RGB, spacing)


def _jpeg_2000(path: Path, image: Any) -> Image:
    """Decode JPEG 2000: by Pillow, which knows its colours, unless it would change the numbers."""
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
        check_stream(head, image.height, image.width)
        depth = depth_of(head)
        if depth is None or depth == (8, False):
            return _decode(image)
        planes = decode_deep(head + file.read(), depth[0])
    return Image(np.ascontiguousarray(planes, dtype=np.float32), GREY if len(planes) == 1 else RGB)


def _orientation(image: Any) -> int:
    with suppress(Exception):  # damaged EXIF in a sound image
        return int(image.getexif().get(TAG, 1))
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
