"""PNG, JPEG, BMP and JPEG 2000 by Pillow; TIFF by tifffile."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from PIL import Image, ImageOps

from references.compared import Case, Found, files_below

FORMATS = {"PNG": ".png", "JPEG": ".jpg", "BMP": ".bmp", "JPEG 2000": ".jp2"}
SAVED = {"JPEG 2000": "JPEG2000"}
PLAIN = "alpha dropped, palettes to RGB, 1 bit as 0 and 255, upright by EXIF"
DEEP = ("I;16", "I;16B", "I", "F")
CODES = (None, "lzw", "deflate", "packbits", "zstd")


def picture_cases(folders: Sequence[Path], work: Path) -> Iterator[Case]:
    """Every picture of the packages, then what Pillow writes of every mode, size and turn."""
    for folder in folders:
        for suffix in (".png", ".jpg", ".jpeg", ".bmp", ".jp2"):
            for name, path in files_below(folder, suffix):
                own = "JPEG" if suffix in (".jpg", ".jpeg") else "JPEG 2000" if suffix == ".jp2" else suffix[1:].upper()
                yield Case(own, name, "image", path, lambda path=path: picture(path), convention=PLAIN)
    work.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    modes = {
        "PNG": ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"),
        "JPEG": ("L", "RGB", "CMYK"),
        "BMP": ("1", "L", "P", "RGB"),
        "JPEG 2000": ("L", "LA", "RGB", "RGBA", "I;16"),
    }
    sizes = ((1, 1), (7, 5), (64, 33), (3, 200), (129, 65), (16, 16), (31, 32), (50, 1), (99, 100), (8, 9))
    turns = {"PNG": (1, 3, 6), "JPEG": (1, 2, 3, 4, 5, 6, 7, 8)}
    for row, own in modes.items():
        for number, (mode, size, turn) in enumerate(product(own, sizes, turns.get(row, (1,)))):
            image, exif = _drawn(rng, mode, size), Image.Exif()
            exif[0x0112] = turn
            path = work / f"{row}-{number}{FORMATS[row]}"
            more = {"exif": exif} if turn > 1 else {"quality": 80, "subsampling": number % 3} if row == "JPEG" else {}
            image.save(path, SAVED.get(row, row), **more)
            name = f"written: {mode}, {size}, orientation {turn}"
            yield Case(row, name, "image", path, lambda path=path: picture(path), convention=PLAIN)


def _drawn(rng: np.random.Generator, mode: str, size: tuple[int, int]) -> Image.Image:
    rows, columns = size
    if mode == "I;16":
        return Image.fromarray(rng.integers(0, 65536, (rows, columns), dtype=np.uint16))
    if mode in ("1", "P"):
        return Image.fromarray(rng.integers(0, 256, (rows, columns), dtype=np.uint8)).convert(mode)
    bands = Image.new(mode, (1, 1)).getbands()
    parts = [Image.fromarray(rng.integers(0, 256, (rows, columns), dtype=np.uint8)) for _ in bands]
    return Image.merge(mode, parts) if len(parts) > 1 else parts[0]


def picture(path: Path) -> Found:
    """(C, H, W) by Pillow."""
    with Image.open(path) as opened:
        image = ImageOps.exif_transpose(opened)
    if image.mode not in DEEP:
        image = image.convert("L" if image.mode in ("1", "L", "LA") else "RGB")
    pixels = np.asarray(image)
    return {"values": pixels[None] if pixels.ndim == 2 else np.moveaxis(pixels, -1, 0)}


def tiff_cases(folders: Sequence[Path], work: Path) -> Iterator[Case]:
    """Every TIFF of the packages, then what tifffile writes of every type, byte order, compression and layout."""
    for folder in folders:
        for name, path in files_below(folder, ".tif", ".tiff"):
            yield Case("TIFF", name, "image", path, lambda path=path: tiff(path), convention=PLAIN)
    work.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    kinds = ("u1", "u2", "u4", "i1", "i2", "i4", "f4", "f8")
    for number, (kind, order, code) in enumerate(product(kinds, "<>", CODES)):
        made = _written(rng, kind, (37, 50), work / f"grey-{number}.tif", byteorder=order, compression=code)
        yield _case(made, f"{kind}, {order}, {code or 'plain'}", lambda made=made: tiff(made))
    layouts = product(("contig", "separate"), (None, (16, 32)), (False, True), (None, "deflate", "lzw"), (3, 4))
    for number, (plane, tile, big, code, samples) in enumerate(layouts):
        shape = (35, 41, samples) if plane == "contig" else (samples, 35, 41)
        options: dict[str, Any] = {"photometric": "rgb", "planarconfig": plane, "tile": tile, "bigtiff": big}
        if samples == 4:
            options["extrasamples"] = ["unassalpha"]
        made = _written(
            rng, "u1", shape, work / f"rgb-{number}.tif", compression=code, predictor=code == "deflate", **options
        )
        what = (
            f"RGB of {samples}, {plane}, {'tiles' if tile else 'strips'}, {'Big' if big else ''}TIFF, {code or 'plain'}"
        )
        yield _case(made, what, lambda made=made: tiff(made))
    for number, (kind, pages, unit) in enumerate(product(("u1", "u2", "f4"), (2, 5), ("CENTIMETER", "NONE"))):
        made = _written(
            rng, kind, (pages, 20, 30), work / f"pages-{number}.tif", photometric="minisblack", resolution=(40, 80),
            resolutionunit=unit,
        )  # fmt: skip
        spacing = (10 / 80, 10 / 40) if unit == "CENTIMETER" else None
        yield _case(
            made,
            f"{pages} pages of {kind}, {unit}",
            lambda made=made, spacing=spacing: tiff(made) | {"spacing": spacing},
        )
    for number, (names, size) in enumerate(product((["DAPI"], ["DAPI", "CD3"], ["a", "b", "c"]), (0.25, 2.0))):
        path = work / f"ome-{number}.ome.tif"
        data = rng.integers(0, 4000, (len(names), 24, 31), dtype=np.uint16)
        about = {"axes": "CYX", "Channel": {"Name": names}, "PhysicalSizeX": size, "PhysicalSizeY": 2 * size}
        tifffile.imwrite(path, data, photometric="minisblack", metadata=about)
        about_it = {"channels": tuple(names), "spacing": (2 * size / 1000, size / 1000)}
        yield _case(path, f"OME of {len(names)}, {size} um", lambda path=path, more=about_it: tiff(path) | more)


def _case(path: Path, name: str, reference: Any) -> Case:
    return Case("TIFF", f"written: {name}", "image", path, reference, convention=PLAIN)


def _written(rng: np.random.Generator, kind: str, shape: tuple[int, ...], path: Path, **options: Any) -> Path:
    data = (rng.normal(size=shape) * 50).astype(kind) if kind[0] == "f" else rng.integers(0, 120, shape).astype(kind)
    options.setdefault("photometric", "minisblack")
    tifffile.imwrite(path, data, metadata=None, **options)
    return path


def tiff(path: Path) -> Found:
    """All pages of a TIFF as (C, H, W), without alpha."""
    with tifffile.TiffFile(path) as file:
        planes = []
        for page in file.pages:
            pixels = page.asarray()
            pixels = pixels[None] if pixels.ndim == 2 else np.moveaxis(pixels, -1, 0) if page.axes == "YXS" else pixels
            planes.append(pixels[: len(pixels) - len(page.extrasamples)])
            if page.dtype.kind == "b":
                planes[-1] = planes[-1] * np.uint8(255)
            if page.photometric == tifffile.PHOTOMETRIC.MINISWHITE:
                planes[-1] = (255 if page.dtype.kind == "b" else np.iinfo(page.dtype).max) - planes[-1]
    return {"values": np.concatenate(planes)}
