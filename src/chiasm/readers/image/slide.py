"""Reader of whole slides: the tissue of a slide tile by tile, at one pixel size, without loading the whole slide."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chiasm.readers.guard import file_of, guarded
from chiasm.readers.image.codestream import check_stream
from chiasm.readers.image.image import TIFF
from chiasm.readers.image.tiff import MOST_PAGES
from chiasm.readers.image.tissue import saturation, tissue_threshold
from chiasm.readers.reading import LIMITS, Item, Limits, ReadError, Tiled, check_values
from chiasm.readers.registry import missing

TILE = 256  # pixels a side
MICROMETRES = 1.0  # size of a pixel of a tile
MASK = 16  # pixels of the mask along a side of a tile
TISSUE = 0.25  # least share of a tile's mask
BLOCK = 8  # tiles a side that are read at once for the mask
MOST_PIXELS = 1 << 40  # of a level: a million a side
PLAUSIBLE = (0.05, 20.0)  # micrometres per pixel: outside, the tag holds the resolution of a printer
COARSER = 1.1  # times MICROMETRES that a slide may have at its finest
# none, LZW, JPEG, deflate, PackBits, zstd, and the JPEG 2000 of Aperio and the standard
STREAMS = (6, 7, 33003, 33004, 33005, 34712)
COMPRESSIONS = (1, 5, 8, 32946, 32773, 50000, *STREAMS)
ELSEWHERE = ", or encode it elsewhere and bring the features as a bag"
NOUN, FIX = "a slide", "export it again as a pyramidal TIFF" + ELSEWHERE
RESOLUTION = "write it into the file (TIFF tags XResolution, YResolution and ResolutionUnit)" + ELSEWHERE


class SlideReader:
    """Reader of a `Tiled`: tiles of 256 x 256 pixels at 1 micrometre per pixel that are at least a quarter tissue.

    Tiles are read from the next finer level of the pyramid and averaged down. Tissue is found by `tissue.py` at 16
    micrometres per pixel. Incomplete tiles at the right and lower edge of the slide are left out. Labels and
    overviews, which may show a name, are not read. TIFF slides (SVS, generic, OME of one file ...) are read by
    tiffslide, others by OpenSlide if it is installed.
    """

    kind = "slide"
    version = f"1-{TILE}px-{MICROMETRES}um"

    def inspect(self, item: Item, limits: Limits = LIMITS) -> tuple[str, ...]:
        """Return no notes; refuse from the header what `read` would refuse."""
        self.read(item, limits)
        return ()

    def read(self, item: Item, limits: Limits = LIMITS) -> Tiled:
        """Open the slide by reading its header; tiles are read when they are asked for.

        Raises:
            ReadError: not a slide, damaged, over a limit, without its resolution, coarser than the tiles. While tiles
                are read also: a damaged tile, or no tissue at all.
            Unsupported: tiffslide is missing.
        """
        path = file_of(item, limits)
        with guarded(NOUN, FIX), _opened(path, limits) as slide:
            width, height = map(int, slide.dimensions)
            side = TILE * MICROMETRES / _micrometres(slide)
            rows, columns = int(height / side + 1e-6), int(width / side + 1e-6)
            if min(rows, columns) < 1:
                raise ReadError("the slide is smaller than one tile", FIX)
            check_values((rows * MASK, columns * MASK), limits)
            level = int(slide.get_best_level_for_downsample(side / TILE))
            pixels = math.ceil(BLOCK * side / float(slide.level_downsamples[level])) + 2
            check_values((3, pixels, pixels), limits)
        return Slide(path, limits, rows, columns, side)


@dataclass(frozen=True)
class Slide:
    """Slide as a grid of `rows` x `columns` tiles, each `side` pixels of the finest level wide and high."""

    path: Path = field(repr=False)
    limits: Limits
    rows: int
    columns: int
    side: float
    micrometres: float = MICROMETRES

    def tiles(self) -> Iterator[tuple[NDArray[np.uint8], tuple[int, int]]]:
        """Yield tissue tiles, `(256, 256, 3)` RGB and (row, column), from top left; the file stays open meanwhile."""
        with ExitStack() as stack:
            with guarded(NOUN, FIX):
                slide = stack.enter_context(_opened(self.path, self.limits, tiles=True))
                chosen = self._tissue(slide)
            if not chosen:
                raise ReadError("the slide shows no tissue", "take it away, or look whether it is the right file")
            for row, column in chosen:
                with guarded(NOUN, FIX):
                    tile = self._region(slide, row, column, 1, 1, TILE)
                yield tile, (row, column)

    def _tissue(self, slide: Any) -> list[tuple[int, int]]:
        """Find the tiles with enough tissue, in reading order, block by block."""
        mask = np.zeros((self.rows * MASK, self.columns * MASK), dtype=np.uint8)
        for row in range(0, self.rows, BLOCK):
            for column in range(0, self.columns, BLOCK):
                high, wide = min(BLOCK, self.rows - row), min(BLOCK, self.columns - column)
                part = saturation(self._region(slide, row, column, high, wide, MASK))
                mask[row * MASK : (row + high) * MASK, column * MASK : (column + wide) * MASK] = part
        tissue = mask > tissue_threshold([mask])
        share = tissue.reshape(self.rows, MASK, self.columns, MASK).mean(axis=(1, 3))
        return [(int(row), int(column)) for row, column in np.argwhere(share >= TISSUE)]

    def _region(self, slide: Any, row: int, column: int, high: int, wide: int, pixels: int) -> NDArray[np.uint8]:
        """Read `high` x `wide` tiles as `(high * pixels, wide * pixels, 3)`."""
        from PIL import Image

        level = int(slide.get_best_level_for_downsample(self.side / pixels))
        finer = float(slide.level_downsamples[level])
        place = (round(column * self.side), round(row * self.side))
        size = (max(1, round(wide * self.side / finer)), max(1, round(high * self.side / finer)))
        region = slide.read_region(place, level, size)
        if region.mode in ("RGBA", "LA", "PA"):  # OpenSlide leaves what was not scanned transparent
            glass = Image.new("RGBA", region.size, "white")
            region = Image.alpha_composite(glass, region.convert("RGBA"))
        shrunk = region.convert("RGB").resize((wide * pixels, high * pixels), Image.Resampling.BOX)
        return np.array(shrunk, dtype=np.uint8)


def _micrometres(slide: Any) -> float:
    """Find the micrometres per pixel of the finest level."""
    found = [slide.properties.get(f"{maker}.mpp-{axis}") for axis in "xy" for maker in ("tiffslide", "openslide")]
    across, down = (float(a if a is not None else b or "nan") for a, b in (found[:2], found[2:]))
    if not (PLAUSIBLE[0] <= across <= PLAUSIBLE[1] and PLAUSIBLE[0] <= down <= PLAUSIBLE[1]):
        raise ReadError("the slide does not say how many micrometres a pixel has", RESOLUTION)
    if abs(across - down) > 0.05 * down:
        raise ReadError("the pixels of the slide are not square", FIX)
    if across > MICROMETRES * COARSER:
        what = (
            f"the slide has {across:.2g} micrometres a pixel at its finest, coarser than the {MICROMETRES:g} of a tile"
        )
        raise ReadError(what, "scan it finer" + ELSEWHERE)
    return (across + down) / 2


@contextmanager
def _opened(path: Path, limits: Limits, tiles: bool = False) -> Iterator[Any]:
    """Open the slide, checked by its header and, with `tiles`, by what each tile announces."""
    with path.open("rb") as file:  # a path would be parsed as a chain of URLs
        if file.read(4) not in TIFF:
            slide: Any = _openslide(path)
        else:
            try:
                from tiffslide import TiffSlide
            except ImportError:
                raise missing("tiffslide", "imaging", "slides") from None
            file.seek(0)
            slide = TiffSlide(file, tifffile_options={"_multifile": False})
            _check_levels(slide.ts_tifffile, limits, tiles)
        try:
            yield slide
        finally:
            slide.close()


def _openslide(path: Path) -> Any:
    try:
        import openslide  # type: ignore[import-not-found]
    except ImportError:
        what = "the file is no TIFF, and OpenSlide, which reads other slides, is not installed"
        raise ReadError(what, "pip install openslide-python openslide-bin, or " + FIX) from None
    return openslide.OpenSlide(path)


def _check_levels(file: Any, limits: Limits, tiles: bool) -> None:
    """Refuse tiles that are too large, truncated, compressed without a size bound, or that misstate their size."""
    if sum(1 for _ in islice(file.pages, MOST_PAGES + 1)) > MOST_PAGES:  # a circle, which tifffile would go for ever
        raise ReadError(f"the file has more than {MOST_PAGES:,} pages, or they go in a circle", FIX)
    series = file.series[0]
    if series.axes != "YXS":
        raise ReadError("the slide is no single RGB image", FIX)
    for level in series.levels:
        page = level.pages[0].aspage()
        if page.dtype is None or page.dtype.name != "uint8" or page.samplesperpixel not in (3, 4):
            raise ReadError("the slide is no 8-bit RGB image", FIX)
        check_values(tuple(page.shape[:2]), Limits(values=MOST_PIXELS))
        check_values((page.samplesperpixel, *page.chunks), limits)
        if page.compression not in COMPRESSIONS:
            raise ReadError("the way the slide is compressed is not read", FIX)
        places = list(zip(page.dataoffsets, page.databytecounts, strict=True))
        if len(places) < math.prod(page.chunked):
            raise ReadError("the file lists fewer tiles than its header announces", "copy it again")
        if max(start + length for start, length in places) > file.filehandle.size:
            raise ReadError("the file is truncated: tiles lie beyond its end", "copy it again")
        for start, length in places if tiles and page.compression in STREAMS else ():
            file.filehandle.seek(start)
            check_stream(file.filehandle.read(min(length, 1 << 12)), page.chunks[0], page.chunks[1])
