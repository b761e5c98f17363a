"""Pictures of tokens over what they were cut from: the files are read again, one patient at a time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from chiasm import artifact
from chiasm.cohort import Cohort, Unsupported
from chiasm.cohort.bag_files import bag_places
from chiasm.cohort.sources import FileSource
from chiasm.encoders.catalogue import make_encoder
from chiasm.encoders.image.patches import ImagePatches, VolumePatches
from chiasm.encoders.image.slices import Slices
from chiasm.encoders.image.tiles import Tiles, TileStatistics
from chiasm.readers.reading import ReadError
from chiasm.readers.registry import reader_for
from chiasm.report.drawing import Picture
from chiasm.report.token_maps import PANELS, by_place, by_slice, over_image, over_panels

MOST_DRAWN = 12  # patients of a modality
THUMBNAIL = 16  # pixels of a tile's side

Array = NDArray[np.float64]


def draw_tokens(table: pd.DataFrame, opened: Cohort, encoded: Cohort, folder: Path) -> tuple[list[Path], list[str]]:
    """Draw the tokens of the first patients of each modality that has a picture, named by their row of the table.

    Args:
        table: shares, as `explain_tokens` gives them.
        opened: the cohort with its files; `encoded`: those of it who are explained.
        folder: is made where it is not there.

    Returns:
        The files, and sentences on what was not drawn.
    """
    written: list[Path] = []
    said: list[str] = []
    output = str(table["output"].iloc[0])
    for name in sorted(table["modality"].unique()):
        source = opened.sources[name]
        if not isinstance(source, FileSource):
            continue
        rows = encoded.rows_of(name)
        rows = rows[np.argsort(encoded.file_rows[rows])][:MOST_DRAWN]
        own = table[(table["modality"] == name) & (table["output"] == output)]
        shares = {patient: part["share"].to_numpy() for patient, part in own.groupby("patient", sort=False)}
        undrawn = 0
        for row in rows:
            patient = str(encoded.ids[row])
            place = int(np.flatnonzero(opened.ids == patient)[0])
            picture = _picture(opened, encoded, name, place, shares[patient], output)
            if picture is None:
                undrawn += 1
                continue
            folder.mkdir(parents=True, exist_ok=True)
            path = folder / f"{name}-row-{int(encoded.file_rows[row])}.png"
            with artifact.whole_file(path) as staging:
                staging.write_bytes(picture.stored("png"))
            written.append(path)
        if undrawn == len(rows):
            said.append(f"'{name}' is not drawn: its tokens have no place in a picture, and are listed by number.")
        elif len(encoded.rows_of(name)) > len(rows):
            said.append(f"'{name}' is drawn of the first {len(rows):,} patients of {len(encoded.rows_of(name)):,}.")
    return written, said


def _picture(opened: Cohort, encoded: Cohort, name: str, row: int, shares: Array, output: str) -> Picture | None:
    """Draw one patient's tokens; None where they have no place in a picture that can be read."""
    raw = opened.raw(name, np.array([row]))
    if opened.kinds[name] == "bag":
        file = raw.file(0)
        places = None if file is None else bag_places(file)
        return by_place(places, shares, output) if places is not None and len(places) == len(shares) else None
    encoding = encoded.encodings.get(name)
    encoder = None if encoding is None else make_encoder(encoding.encoder, encoding.kind)
    if not isinstance(encoder, ImagePatches | VolumePatches | Slices | Tiles | TileStatistics):
        return None
    try:
        value = reader_for(opened.kinds[name]).read(raw[0])
        if isinstance(encoder, ImagePatches):
            side = encoder.size // encoder.patch
            image = _plain(value.values)
            return over_image(image, shares.reshape(side, side), output, _extent(image, encoder.resize))
        if isinstance(encoder, VolumePatches):
            return _of_volume(value.values, shares.reshape((encoder.size // encoder.patch,) * 3), output)
        if isinstance(encoder, Slices):
            return _of_slices(np.moveaxis(value.values, 1 + encoder.axis, 0), shares, output)
        return _of_slide(value, shares, output)
    except (ReadError, Unsupported):  # it was read before, when it was encoded, and may have gone since
        return None


def _plain(values: Any) -> Array:
    """Return `(C, H, W)` as `(H, W, 3)` where it has three channels or four, else the mean of its channels."""
    found = np.asarray(values, np.float64)
    return np.moveaxis(found[:3], 0, 2) if len(found) in (3, 4) else found.mean(axis=0)


def _extent(image: Array, resize: str) -> tuple[float, float, float, float] | None:
    """Where the grid of patches lies: over all of a stretched image; a padded one lies in the middle of a square."""
    if resize == "stretch":
        return None
    high, wide = image.shape[:2]
    half = max(high, wide) / 2
    return wide / 2 - half - 0.5, wide / 2 + half - 0.5, high / 2 + half - 0.5, high / 2 - half - 0.5


def _of_volume(values: Any, heat: Array, output: str) -> Picture:
    """Draw the middle slice of the slabs whose cubes say most, in their order."""
    said = np.abs(heat).sum(axis=(1, 2))
    slabs = np.sort(np.argsort(-said, kind="stable")[:PANELS])
    depth = values.shape[1]
    at = [min(depth - 1, int((slab + 0.5) / len(heat) * depth)) for slab in slabs]
    images = [np.asarray(values[:, k], np.float64).mean(axis=0) for k in at]
    titles = [f"slice {k + 1} of {depth}" for k in at]
    return over_panels(images, [heat[slab] for slab in slabs], titles, output)


def _of_slices(slices: Any, shares: Array, output: str) -> Picture:
    at = (np.arange(len(shares)) * 2 + 1) * len(slices) // (2 * len(shares))
    foremost = np.sort(np.argsort(-np.abs(shares), kind="stable")[:PANELS])
    images = [_plain(slices[at[k]]) for k in foremost]
    return by_slice(images, [f"{k + 1}: {shares[k]:+.2g}" for k in foremost], shares, output)


def _of_slide(slide: Any, shares: Array, output: str) -> Picture | None:
    """Draw thumbnails of the tissue's tiles in their places; of many tiles every second, fourth ... has a token."""
    tiles = [(_thumbnail(tile), place) for tile, place in slide.tiles()]
    step = 1
    while len(tiles[::step]) > len(shares):
        step *= 2
    if len(tiles[::step]) != len(shares):
        return None
    rows, columns = (1 + max(place[axis] for _, place in tiles) for axis in (0, 1))
    image, heat = np.full((rows * THUMBNAIL, columns * THUMBNAIL, 3), 255.0), np.full((rows, columns), np.nan)
    for thumbnail, (row, column) in tiles:
        image[row * THUMBNAIL : (row + 1) * THUMBNAIL, column * THUMBNAIL : (column + 1) * THUMBNAIL] = thumbnail
    for (_, place), share in zip(tiles[::step], shares, strict=True):
        heat[place] = share
    return over_image(image, heat, output)


def _thumbnail(tile: NDArray[np.uint8]) -> Array:
    high, wide = (side // THUMBNAIL for side in tile.shape[:2])
    cut = tile[: high * THUMBNAIL, : wide * THUMBNAIL].astype(np.float64)
    return np.asarray(cut.reshape(THUMBNAIL, high, THUMBNAIL, wide, 3).mean(axis=(1, 3)))
