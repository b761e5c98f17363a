"""Read a TIFF as one image: pages of one size are its channels, pyramids and thumbnails are skipped."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from chiasm.limits import MEGABYTE
from chiasm.readers.image.codestream import check_stream
from chiasm.readers.image.large import TILES, require_small_parts
from chiasm.readers.image.orientation import TAG, placed, upright
from chiasm.readers.image.tiff_colours import from_ycbcr, number_without_alpha, without_alpha
from chiasm.readers.reading import Image, Limits, ReadError, check_packed, check_values
from chiasm.readers.registry import missing
from chiasm.room import PART, all_finite, is_large, let_go, mapped, room, stretches

MOST_PAGES = 1000
PLAIN, JPEG = 1, 7
FAX = {2, 3, 4}  # CCITT's, of one bit, which Pillow decodes
# LZW, JPEG, deflate (two codes), PackBits, zstd: their decoders get a size limit, or their stream says it
COMPRESSIONS = {PLAIN, 5, JPEG, 8, 32946, 32773, 50000}
WHITE_IS_0, BLACK_IS_0, COLOUR, PALETTE, CMYK, YCBCR = 0, 1, 2, 3, 5, 6
MILLIMETRES = {"nm": 1e-6, "um": 1e-3, "µm": 1e-3, "μm": 1e-3, "\\u00B5m": 1e-3, "micron": 1e-3, "microns": 1e-3,
               "mm": 1.0, "cm": 10.0}  # fmt: skip
LONGEST_XML = 10_000_000
READ_BYTES = 16 * MEGABYTE  # of strips or tiles that are read together
EXPORT = "export one plane image, with its channels as pages or samples"


def check_tiff(path: Path, limits: Limits) -> None:
    """Refuse, from the tags alone, what `read_tiff` would."""
    with _pages(path, limits):
        pass


def read_tiff(path: Path, limits: Limits) -> Image:
    """Read the channels of a TIFF, in the order of its pages and samples, under the names that OME gives them."""
    with _pages(path, limits) as pages:
        for page in pages:
            if page.compression == JPEG:
                _check_streams(page)
        tag = pages[0].tags.get(TAG)
        turn = int(tag.value) if tag is not None and isinstance(tag.value, int) else 1
        values = _channels(pages, turn)  # (C, H, W)
        if pages[0].dtype.kind == "f" and not all(map(all_finite, values)):
            raise ReadError("the image holds values that are not finite", "write a number in their place")
        ome = _ome(pages[0])
        names = ome[0] if len(ome[0]) == len(values) else tuple(map(str, range(len(values))))
        if len(pages) == 1 and len(values) in (1, 3) and not ome[0]:
            names = ("grey",) if len(values) == 1 else ("red", "green", "blue")
        _, spacing = upright(values[:1], ome[1] or _spacing(pages[0]), turn)
        return Image(values, names, spacing)


@contextmanager
def _pages(path: Path, limits: Limits) -> Iterator[list[Any]]:
    """Open the pages that make the image, all of one shape and type, checked against the limits."""
    try:
        from tifffile import TiffFile
    except ImportError:
        raise missing("tifffile", "imaging", "TIFF images") from None
    # other files named in the metadata are not opened, and no vendor's way of hiding pages is followed
    with TiffFile(path, _multifile=False, is_lsm=False, is_scanimage=False, is_ndpi=False) as file:
        found = list(islice(file.pages, MOST_PAGES + 1))
        if len(found) > MOST_PAGES:
            raise ReadError(f"the file has more than {MOST_PAGES:,} pages", EXPORT)
        pages = [page.aspage() for page in found]
        pages = [page for page in pages if not page.subfiletype & 0b101]  # reduced, or a mask
        shapes = {(page.shape, str(page.dtype), page.photometric) for page in pages}
        if len(shapes) != 1:
            what = f"the pages have {len(shapes)} shapes or types" if pages else "the file holds no image of full size"
            raise ReadError(what, f'{EXPORT}, or write kind = "slide" for a whole slide')
        first = pages[0]
        colours = 3 if first.photometric == PALETTE else 1
        check_values((colours, len(pages), *first.shape), limits, TILES)
        check_values((first.samplesperpixel, *first.chunks), limits, TILES)
        _check_kind(first, len(pages))
        if any(page.compression not in COMPRESSIONS | FAX for page in pages):
            raise ReadError("the way the TIFF is compressed is not read", "write it again with deflate, or without any")
        if any(page.compression not in FAX | {PLAIN} for page in pages):
            _need_codecs()
        for page in pages:
            if page.compression not in FAX and not page.is_final:
                require_small_parts(page)
        size = path.stat().st_size
        check_packed((colours, len(pages), *first.shape), first.dtype.itemsize if first.dtype else 1, size)
        for page in pages:
            ends = (start + length for start, length in zip(page.dataoffsets, page.databytecounts, strict=True))
            if len(page.dataoffsets) < math.prod(page.chunked):
                raise ReadError("the file lists fewer strips than its header announces", "copy it again")
            if max(ends) > size or min(page.databytecounts) <= 0:
                raise ReadError("the file is truncated: pixels lie beyond its end", "copy it again")
        yield pages


def _check_kind(page: Any, pages: int) -> None:
    if page.axes not in ("YX", "YXS", "SYX") or page.dtype is None or page.dtype.kind not in "buif":
        raise ReadError("the pages are no plane images of real numbers", EXPORT)
    if page.photometric not in (WHITE_IS_0, BLACK_IS_0, COLOUR, PALETTE, CMYK, YCBCR):
        raise ReadError("the colour space is not read", "write it as grey or RGB")
    colour = page.photometric in (COLOUR, PALETTE, CMYK, YCBCR)
    if colour and pages > 1:
        raise ReadError(f"the file holds {pages:,} colour pages", "write the one that counts as an image of its own")
    stack = _stack(page)
    if stack and (stack.get("depth", 1) > 1 or stack.get("images", pages) != pages):
        raise ReadError("the file holds a stack over depth or time, or pages that no tag names", EXPORT)


def _stack(page: Any) -> dict[str, int]:
    """Read what the ImageJ, OME or tifffile description says of planes: depth x time, and their number."""
    description = page.description[:LONGEST_XML]
    with suppress(Exception):  # a description that cannot be parsed is ignored
        if page.is_imagej:
            words = dict(line.split("=", 1) for line in description.splitlines() if "=" in line)
            depth = int(words.get("slices", 1)) * int(words.get("frames", 1))
            return {"depth": depth, "images": int(words.get("images", 1))}
        pixels = _ome_pixels(description)
        if pixels is not None:
            return {"depth": int(pixels.get("SizeZ", 1)) * int(pixels.get("SizeT", 1))}
        if page.is_shaped and '"truncated": true' in description:
            return {"depth": 2}
    return {}


def _need_codecs() -> None:
    try:
        import imagecodecs  # noqa: F401
    except ImportError:  # the fallback of tifffile inflates without a bound
        raise missing("imagecodecs", "imaging", "compressed TIFF images") from None


def _check_streams(page: Any) -> None:
    for stream, _ in page.parent.filehandle.read_segments(
        page.dataoffsets, page.databytecounts, sort=False, buffersize=READ_BYTES
    ):
        check_stream(stream or b"", page.chunks[0], page.chunks[1])


def _channels(pages: list[Any], turn: int) -> NDArray[np.float32]:
    """Decode the pages to `(C, H, W)` as it is shown, each page by parts into its place, so that it lies there once."""
    first = pages[0]
    numbers = [_number_of_planes(page) for page in pages]
    values, rows = placed((sum(numbers), first.imagelength, first.imagewidth), turn)
    start = 0
    for page, number in zip(pages, numbers, strict=True):
        own = rows[start : start + number]
        stored = _of_fax(page) if page.compression in FAX else _stored(page)  # (S, H, W)
        for part in stretches(page.imagelength, len(stored) * page.imagewidth, 1, values, stored):
            planes = stored[:, part] if page.compression in FAX else _planes(page, stored[:, part])
            if planes.shape != own[:, part].shape:
                raise ReadError("the pages are no plane images of real numbers", EXPORT)
            own[:, part] = planes
        start += number
    return values


def _number_of_planes(page: Any) -> int:
    """Return how many planes `_planes` makes of a page."""
    if page.photometric in (PALETTE, CMYK) or page.compression in FAX:
        return 3 if page.compression not in FAX else 1
    return number_without_alpha(page.samplesperpixel if page.ndim > 2 else 1, page.extrasamples)


def _stored(page: Any) -> NDArray[Any]:
    """Decode one page to `(S, H, W)` as it is stored; a large one into room."""
    if not is_large(page.size):
        pixels = page.asarray(maxworkers=1, buffersize=READ_BYTES)
    elif page.is_final and page.parent.filehandle.is_file:
        kind = page.parent.byteorder + page.dtype.char
        pixels = mapped(page.parent.filehandle, page.shape, kind, page.dataoffsets[0])
    elif page.is_contiguous:  # in an order of bits, or with a predictor, that only tifffile undoes
        pixels = page.asarray(maxworkers=1, buffersize=READ_BYTES)
    else:
        pixels = _by_segments(page)
    return np.moveaxis(pixels, -1, 0) if page.axes == "YXS" else pixels if pixels.ndim > 2 else pixels[None]


def _by_segments(page: Any) -> NDArray[Any]:
    """Decode a page strip by strip, or tile by tile, into room."""
    pixels = room(page.shaped, page.dtype)  # (separate samples, depth, H, W, samples)
    page.init_decode()
    waiting = 0
    for segment, (sample, depth, row, column, _), shape in page.segments(
        maxworkers=1, sort=True, buffersize=READ_BYTES, _fullsize=False
    ):
        place = pixels[sample, depth : depth + shape[0], row : row + shape[1], column : column + shape[2]]
        if segment is None:
            place[...] = page.nodata
        else:
            place[...] = segment[: page.imagedepth - depth, : page.imagelength - row, : page.imagewidth - column]
        waiting += math.prod(shape)
        if waiting > PART:
            let_go(pixels)
            waiting = 0
    let_go(pixels)
    return pixels.reshape(page.shape)


def _planes(page: Any, planes: NDArray[Any]) -> NDArray[Any]:
    """Bring some rows `(S, h, W)` of a page to the planes of the image."""
    planes = without_alpha(planes, page.extrasamples)
    if planes.dtype.kind == "b":
        planes = planes * np.uint8(255)
    bits = page.bitspersample if page.bitspersample > 1 else 8
    if page.photometric == WHITE_IS_0 and planes.dtype.kind == "u":
        planes = ((1 << bits) - 1) - planes.astype(np.float64)
    if page.photometric == PALETTE:
        planes = (np.asarray(page.colormap) >> 8).astype(np.uint8)[:, planes[0]]  # 16 bits a colour, of which 8 count
    elif page.bitspersample in (2, 4):  # as PNG of as many bits is read
        planes = planes * (255 // ((1 << bits) - 1))
    if page.photometric == YCBCR and page.compression != JPEG:
        planes = from_ycbcr(planes, page.tags)
    if page.photometric == CMYK:
        if planes.dtype != np.uint8 or len(planes) != 4:
            raise ReadError("the colour space is not read", "write it as grey or RGB")
        planes = (255.0 - planes[:3]) * (255.0 - planes[3]) / 255.0
    return planes


def _of_fax(page: Any) -> NDArray[np.uint8]:
    """Decode a page of CCITT's compressions, whose size is checked, by Pillow: 0 is black, 255 is white."""
    try:
        from PIL import TiffImagePlugin
    except ImportError:
        raise missing("Pillow", "imaging", "TIFF images of fax machines") from None
    with TiffImagePlugin.TiffImageFile(page.parent.filehandle.path) as image:
        image.seek(page.index)
        if (image.height, image.width) != (page.imagelength, page.imagewidth):
            raise ReadError("the pages are no plane images of real numbers", EXPORT)
        pixels = room((1, image.height, image.width), np.uint8)
        for part in stretches(image.height, image.width, 1, pixels):
            pixels[0, part] = np.asarray(image.crop((0, part.start, image.width, part.stop)).convert("L"))
        return pixels


def _ome(page: Any) -> tuple[tuple[str, ...], tuple[float, float] | None]:
    """Channel names and mm per pixel, if OME gives them."""
    with suppress(Exception):
        pixels = _ome_pixels(page.description)
        if pixels is None:
            return (), None
        names = [child.get("Name") or "" for child in pixels if child.tag.endswith("Channel")]
        sizes = [
            float(pixels.get(f"PhysicalSize{axis}", "nan")) * MILLIMETRES[pixels.get(f"PhysicalSize{axis}Unit", "µm")]
            for axis in "YX"
        ]
        known = all(math.isfinite(size) and size > 0 for size in sizes)
        return tuple(names) if all(names) else (), (sizes[0], sizes[1]) if known else None
    return (), None


def _ome_pixels(description: str) -> Any:
    """Find the element Pixels of OME's XML; a document that declares entities is not parsed, so none is expanded."""
    if (
        not description.rstrip().endswith("OME>")
        or len(description) > LONGEST_XML
        or "<!" in description.replace("<!--", "")
    ):
        return None
    for element in ElementTree.fromstring(description.encode()).iter():
        if element.tag.endswith("}Pixels") or element.tag == "Pixels":
            return element
    return None


def _spacing(page: Any) -> tuple[float, float] | None:
    with suppress(Exception):
        across, down = page.resolution  # pixels a unit
        unit = 10.0 if page.resolutionunit == 3 else None
        if page.is_imagej:
            words = dict(line.split("=", 1) for line in page.description.splitlines() if "=" in line)
            unit = MILLIMETRES.get(words.get("unit", "").strip(), unit)
        if unit and across > 0 and down > 0:
            return unit / down, unit / across
    return None
