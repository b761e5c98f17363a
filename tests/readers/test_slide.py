"""Slides: the tissue, all of it and nothing else, at one size of a pixel, without holding the slide."""

from __future__ import annotations

import io
import struct
import sys
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image as Pil
from refusals import PERSON, bounded, damage, refused, survives, written
from skimage.filters import threshold_otsu

from chiasm.cohort import Unsupported
from chiasm.readers import Limits, ReadError, reader_for
from chiasm.readers.image.slide import SlideReader
from chiasm.readers.image.tissue import saturation, tissue_threshold
from examples import examples

READER = SlideReader()
GLASS, PINK = (243, 242, 244), (200, 100, 160)


def painted(height: int, width: int, *tissue: tuple[int, int, int, int]) -> np.ndarray:
    slide = np.full((height, width, 3), GLASS, np.uint8)
    for top, bottom, left, right in tissue:
        slide[top:bottom, left:right] = PINK
    return slide


def slide_of(full: np.ndarray, mpp: float | None = 0.5, levels=(1, 4), compression="jpeg", tile=(256, 256), **tags):
    """A pyramid as scanners write it, label and overview last."""
    out = io.BytesIO()
    resolution = {"resolution": (1e4 / mpp, 1e4 / mpp), "resolutionunit": "CENTIMETER"} if mpp else {}
    with tifffile.TiffWriter(out) as file:
        for level in levels:
            part = np.ascontiguousarray(full[::level, ::level])
            file.write(
                part, tile=tile, photometric="rgb", compression=compression, subfiletype=int(level > 1),
                metadata=None, **({} if level > 1 else resolution), **tags,
            )  # fmt: skip
    return out.getvalue()


def places(slide) -> list[tuple[int, int]]:
    return [place for _, place in slide.tiles()]


def test_the_registry_gives_it_and_the_version_names_the_tiles():
    assert type(reader_for("slide")) is SlideReader
    assert READER.version == "1-256px-1.0um"


@pytest.mark.parametrize("compression", ["jpeg", "zlib", "lzw", None])
@pytest.mark.parametrize("levels", [(1, 4), (1, 2, 4, 8), (1,)])
def test_tiles_cover_the_tissue_and_nothing_else(tmp_path, compression, levels):
    full = painted(2100, 2600, (512, 1536, 1024, 2048))  # tiles of 512 pixels a side: rows 1, 2 and columns 2, 3
    file = written(tmp_path / "slide.svs", slide_of(full, compression=compression, levels=levels))
    assert READER.inspect(file) == ()
    slide = READER.read(file)
    assert slide.micrometres == 1.0
    tiles = list(slide.tiles())
    assert [place for _, place in tiles] == [(1, 2), (1, 3), (2, 2), (2, 3)]
    for tile, _ in tiles:
        assert tile.shape == (256, 256, 3) and tile.dtype == np.uint8
        assert np.abs(tile.astype(int) - PINK).max() <= 3


@pytest.mark.parametrize(("share", "kept"), [(0.1, 0), (0.2, 0), (0.3, 1), (0.9, 1)])
def test_a_quarter_of_tissue_makes_a_tile(tmp_path, share, kept):
    full = painted(1100, 1100, (512, 512 + round(share * 512), 0, 512), (0, 512, 512, 1024))
    found = places(READER.read(written(tmp_path / "slide", slide_of(full, compression=None))))
    assert found == [(0, 1), (1, 0)][: 1 + kept]


@pytest.mark.parametrize("mpp", [0.25, 0.499, 0.5, 1.0])
def test_the_resolution_decides_the_grid(tmp_path, mpp):
    side = 256 / mpp
    full = painted(round(3 * side) + 20, round(2 * side) + 20, (0, round(side), round(side), round(2 * side)))
    assert places(READER.read(written(tmp_path / "slide", slide_of(full, mpp)))) == [(0, 1)]


def test_tiles_are_the_slide_averaged(tmp_path):
    rng = np.random.default_rng(0)
    full = np.uint8(rng.integers(0, 90, (1024, 1024, 3)) + np.array([150, 20, 90]))
    slide = READER.read(written(tmp_path / "slide", slide_of(full, levels=(1,), compression=None)))
    tiles = {place: tile for tile, place in slide.tiles()}
    expected = full.reshape(512, 2, 512, 2, 3).mean(axis=(1, 3))
    for (row, column), tile in tiles.items():
        part = expected[256 * row : 256 * row + 256, 256 * column : 256 * column + 256]
        assert np.abs(tile - part).max() <= 1
    assert len(tiles) == 4


def test_reading_twice_gives_the_same_bytes(tmp_path):
    slide = READER.read(written(tmp_path / "slide", slide_of(painted(1200, 1200, (100, 900, 0, 700)))))
    first, second = ([tile.tobytes() for tile, _ in slide.tiles()] for _ in range(2))
    assert first == second and first


def test_memory_does_not_grow_with_the_slide(tmp_path):
    full = painted(4000, 4000, (0, 4000, 0, 4000))  # 48 MB
    file = written(tmp_path / "slide", slide_of(full))
    del full
    places(READER.read(file))  # imports
    with bounded(20):
        assert sum(1 for _ in READER.read(file).tiles()) == 7 * 7


def test_the_file_is_closed_also_when_tiles_are_left(tmp_path, monkeypatch):
    import tiffslide

    closed = []
    close = tiffslide.TiffSlide.close
    monkeypatch.setattr(tiffslide.TiffSlide, "close", lambda self: (closed.append(1), close(self)))
    slide = READER.read(written(tmp_path / "slide", slide_of(painted(1200, 1200, (0, 1200, 0, 1200)))))
    assert len(closed) == 1
    tiles = slide.tiles()
    next(tiles)
    assert len(closed) == 1
    tiles.close()
    assert len(closed) == 2


def test_the_path_is_not_shown(tmp_path):
    slide = READER.read(written(tmp_path / PERSON, slide_of(painted(600, 600, (0, 600, 0, 600)))))
    assert PERSON not in repr(slide)


def test_a_slide_that_is_no_tiff_goes_to_openslide(tmp_path, monkeypatch):
    file = written(tmp_path / f"{PERSON}.mrxs", b"\xff\xd8\xff" + bytes(99))
    monkeypatch.setitem(sys.modules, "openslide", None)
    refused(READER, file, "OpenSlide, which reads other slides, is not installed")
    full = Pil.fromarray(painted(1100, 1100, (0, 512, 0, 512))).convert("RGBA")
    full.putpixel((0, 0), (0, 0, 0, 0))

    def read_region(place, level, size):
        return full.crop((*place, place[0] + size[0], place[1] + size[1]))

    fake = SimpleNamespace(
        dimensions=full.size, level_dimensions=[full.size], level_downsamples=[1.0], close=lambda: None,
        properties={"openslide.mpp-x": "0.5", "openslide.mpp-y": "0.5"}, read_region=read_region,
        get_best_level_for_downsample=lambda downsample: 0,
    )  # fmt: skip
    monkeypatch.setitem(sys.modules, "openslide", SimpleNamespace(OpenSlide=lambda path: fake))
    [(tile, place)] = READER.read(file).tiles()
    assert place == (0, 0) and np.abs(tile[1:, 1:].astype(int) - PINK).max() <= 1 and tile[0, 0].min() > 100


def test_a_missing_package_is_said(tmp_path, monkeypatch):
    file = written(tmp_path / "slide", slide_of(painted(600, 600)))
    monkeypatch.setitem(sys.modules, "tiffslide", None)
    with pytest.raises(Unsupported, match=r'pip install "chiasm\[imaging\]"'):
        READER.read(file)


def lying(whole: bytes, side: int) -> bytes:
    """The first tile's JPEG announces more pixels than a tile has."""
    frame = whole.index(b"\xff\xc0\x00\x11\x08\x01\x00\x01\x00")
    return whole[: frame + 5] + struct.pack(">HH", side, side) + whole[frame + 9 :]


def strips() -> bytes:
    out = io.BytesIO()
    whole = painted(700, 700, (0, 700, 0, 700))
    tifffile.imwrite(out, whole, photometric="rgb", compression="zlib", rowsperstrip=700, metadata=None,
                     resolution=(1e4, 1e4), resolutionunit="CENTIMETER")  # fmt: skip
    return out.getvalue()


WHOLE = slide_of(painted(600, 600, (0, 600, 0, 600)))
GREY = np.zeros((600, 600), np.uint8)
BROKEN = {
    "empty": (b"", "empty"),
    "garbage": (b"II*\0" + PERSON.encode() * 50, "damaged"),
    "header alone": (WHOLE[:8], "damaged"),
    "cut": (WHOLE[: len(WHOLE) // 2], "damaged|truncated"),
    "no resolution": (slide_of(painted(600, 600), None), "how many micrometres a pixel"),
    "the resolution of a printer": (slide_of(painted(600, 600), 25400 / 300), "how many micrometres a pixel"),
    "coarser than the tiles": (slide_of(painted(600, 600), 2.0), "2 micrometres a pixel at its finest"),
    "smaller than a tile": (slide_of(painted(300, 300)), "smaller than one tile"),
    "taller than its tiles": (
        WHOLE.replace(struct.pack("<HHII", 257, 4, 1, 600), struct.pack("<HHII", 257, 4, 1, 10**8)),
        "fewer tiles than its header",
    ),
    "a rare compression": (slide_of(painted(600, 600), compression="lzma"), "compressed is not read"),
    "16 bits": (slide_of(painted(600, 600).astype(np.uint16), compression="zlib"), "no 8-bit RGB"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_files_are_refused(tmp_path, name):
    whole, words = BROKEN[name]
    refused(READER, written(tmp_path / f"{PERSON}.svs", whole), words, megabytes=40)


def test_a_grey_or_oblong_slide_is_refused(tmp_path):
    out = io.BytesIO()
    tifffile.imwrite(out, GREY, tile=(256, 256), resolution=(1e4, 1e4), resolutionunit="CENTIMETER", metadata=None)
    refused(READER, written(tmp_path / "grey", out.getvalue()), "no single RGB")
    out = io.BytesIO()
    tifffile.imwrite(out, painted(600, 600), tile=(256, 256), photometric="rgb", resolution=(1e4, 2e4),
                     resolutionunit="CENTIMETER", metadata=None)  # fmt: skip
    refused(READER, written(tmp_path / "oblong", out.getvalue()), "not square")


@pytest.mark.parametrize(
    ("whole", "words"),
    [
        (slide_of(painted(600, 600)), "shows no tissue"),
        (slide_of(np.zeros((600, 600, 3), np.uint8)), "shows no tissue"),
        (lying(WHOLE, 60_000), "announces more pixels than the header"),
        (WHOLE.replace(b"\xff\xc0\x00\x11\x08", b"\xff\xc0\x00\x11\x07"), "damaged"),
    ],
    ids=["glass", "black", "a lying tile", "a damaged tile"],
)
def test_what_shows_only_when_tiles_are_read(tmp_path, whole, words):
    slide = READER.read(written(tmp_path / PERSON, whole))
    reader = SimpleNamespace(read=lambda item, limits: list(item.tiles()))
    refused(reader, slide, words, megabytes=40)


def test_limits_hold_for_a_strip_and_for_the_mask(tmp_path):
    file = written(tmp_path / "strips", strips())
    assert len(places(READER.read(file))) == 4
    refused(READER, file, "over the limit of 1,000,000", Limits(values=1_000_000))
    refused(READER, file, "over the limit of 1,000", Limits(values=1_000))


@settings(max_examples=examples(25), deadline=None, suppress_health_check=list(HealthCheck))
@given(spoilt=damage(WHOLE) | st.binary(max_size=99).map(lambda rest: b"II*\0" + rest))
def test_any_bytes_are_read_or_refused(tmp_path_factory, spoilt):
    file = written(tmp_path_factory.mktemp("fuzz") / "slide", spoilt)
    survives(READER, file)
    with suppress(ReadError):
        places(READER.read(file))


def test_saturation_and_threshold():
    colours = np.array([[GLASS, PINK, (0, 0, 0), (9, 0, 0), (255, 0, 0), (128, 128, 128)]], np.uint8)
    assert saturation(colours).tolist() == [[2, 128, 0, 0, 255, 0]]
    for mean in (2, 60, 200):
        assert 13 <= tissue_threshold([np.full((9, 9), mean, np.uint8)]) <= 51


@pytest.mark.parametrize("seed", range(20))
def test_otsu_equals_scikit_image(seed):
    rng = np.random.default_rng(seed)
    glass, tissue = rng.normal(14, 4, 500), rng.normal(40, 9, rng.integers(50, 900))
    levels = np.uint8(np.concatenate([glass, tissue]).clip(0, 255))
    assert tissue_threshold([levels[:99], levels[99:]]) == np.clip(threshold_otsu(levels), 13, 51)


def test_an_ome_slide_of_one_file(tmp_path):
    full = painted(1200, 1200, (0, 512, 0, 512))
    path = Path(tmp_path / "slide.ome.tif")
    tifffile.imwrite(path, full, ome=True, tile=(256, 256), photometric="rgb", metadata={"axes": "YXS"},
                     resolution=(2e4, 2e4), resolutionunit="CENTIMETER")  # fmt: skip
    assert places(READER.read(path)) == [(0, 0)]
