"""Images of many values: read and encoded by parts, with the numbers of the whole, and below a gigabyte."""

from __future__ import annotations

import errno
import os
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from refusals import refused

import chiasm
from chiasm import room
from chiasm.encoders.image import pixels as grids
from chiasm.encoders.image.chada import ChannelAdaptive
from chiasm.encoders.image.patches import ImagePatches, VolumePatches
from chiasm.readers import reader_for
from chiasm.readers.image import large
from chiasm.readers.reading import Image, Limits, Volume
from fresh_process import peak_megabytes

PIL = pytest.importorskip("PIL.Image")
tifffile = pytest.importorskip("tifffile")
pytest.importorskip("imagecodecs")
IMAGE = reader_for("image")
RNG = np.random.default_rng(0)
COLOUR = np.repeat(np.repeat(RNG.integers(0, 256, (17, 23, 3), dtype=np.uint8), 5, 0), 3, 1)[:, :67]
DEEP = RNG.integers(0, 65536, (85, 67), dtype=np.uint16)
STACK = RNG.integers(0, 65536, (5, 40, 33), dtype=np.uint16)
MOST_MEGABYTES = 1000


@pytest.fixture
def small_room(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Set the size from which values lie in a file, and are used by parts, to next to nothing."""

    def lower() -> None:
        monkeypatch.setattr(room, "MOST_HELD", 100)
        monkeypatch.setattr(room, "PART", 700)
        monkeypatch.setattr(grids, "WHOLE", 100)

    return lower


def with_pillow(mode: str, suffix: str, **options: Any) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        image = PIL.fromarray(DEEP) if mode == "I;16" else PIL.fromarray(COLOUR).convert(mode)
        if turn := options.get("turn"):
            exif = image.getexif()
            exif[0x0112] = turn
            options["exif"] = exif
        image.save(folder / f"x.{suffix}", **{key: own for key, own in options.items() if key != "turn"})
        return folder / f"x.{suffix}"

    return write


def with_tifffile(pixels: np.ndarray, photometric: str, **options: Any) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        tifffile.imwrite(folder / "x.tif", pixels, photometric=photometric, metadata=None, **options)
        return folder / "x.tif"

    return write


FOUR = np.dstack([COLOUR, COLOUR[..., 0]])
WAYS: dict[str, Callable[[Path], Path]] = {
    "JPEG": with_pillow("RGB", "jpg"),
    "JPEG, grey": with_pillow("L", "jpg"),
    "JPEG, CMYK": with_pillow("CMYK", "jpg"),
    "JPEG, progressive": with_pillow("RGB", "jpg", progressive=True, subsampling=0),
    "JPEG, turned": with_pillow("RGB", "jpg", turn=6),
    "PNG": with_pillow("RGB", "png"),
    "PNG, alpha": with_pillow("RGBA", "png"),
    "PNG, grey and alpha": with_pillow("LA", "png"),
    "PNG, palette": with_pillow("P", "png"),
    "PNG, bilevel": with_pillow("1", "png"),
    "PNG, 16 bits": with_pillow("I;16", "png"),
    "PNG, turned": with_pillow("RGB", "png", turn=8),
    "PNG, a colour is transparent": with_pillow("RGB", "png", transparency=(1, 2, 3)),
    "BMP": with_pillow("RGB", "bmp"),
    "JPEG 2000": with_pillow("RGB", "jp2"),
    "JPEG 2000, 16 bits": with_pillow("I;16", "jp2"),
    "TIFF, fax": with_pillow("1", "tif", compression="group4"),
    "TIFF, palette": with_pillow("P", "tif"),
    "TIFF, turned": with_tifffile(COLOUR, "rgb", extratags=[(274, 3, 1, 5, True)]),
    "TIFF, channels": with_tifffile(STACK, "minisblack", compression="zlib", rowsperstrip=7),
    "TIFF, channels as they are": with_tifffile(STACK, "minisblack"),
    "TIFF, big-endian": with_tifffile(STACK[0].astype(">u2"), "minisblack", byteorder=">"),
    "TIFF, floats": with_tifffile(STACK[0] / np.float32(7), "minisblack", predictor=True, compression="zlib"),
    "TIFF, planes": with_tifffile(np.moveaxis(COLOUR, -1, 0), "rgb", planarconfig="separate", compression="lzw"),
    "TIFF, tiles": with_tifffile(COLOUR, "rgb", tile=(16, 32), compression="zlib", predictor=True),
    "TIFF, JPEG tiles": with_tifffile(COLOUR, "rgb", tile=(32, 32), compression="jpeg"),
    "TIFF, alpha": with_tifffile(FOUR, "rgb", extrasamples=["assocalpha"], rowsperstrip=9, compression="zlib"),
    "TIFF, CMYK": with_tifffile(FOUR, "separated", extrasamples=[]),
    "TIFF, white is 0": with_tifffile(COLOUR[..., 0], "miniswhite"),
    "TIFF, bits": with_tifffile(COLOUR[..., 0] > 99, "minisblack", compression="packbits"),
}


@pytest.mark.parametrize("name", WAYS)
def test_parts_are_the_whole(name: str, tmp_path: Path, small_room: Callable[[], None]) -> None:
    path = WAYS[name](tmp_path)
    whole = IMAGE.read(path)
    small_room()
    found = IMAGE.read(path)
    assert np.array_equal(found.values, whole.values) and found.values.dtype == np.float32
    assert (found.channels, found.spacing) == (whole.channels, whole.spacing)
    assert IMAGE.inspect(path) == ()
    assert found.values.flags.c_contiguous and isinstance(found.values.base, room._Room)
    assert not isinstance(whole.values.base, room._Room)


@pytest.mark.parametrize("shape", [(3, 61, 47), (1, 64, 5), (4, 33, 32), (5, 100, 31), (3, 8, 300)], ids=str)
def test_tokens_of_parts_are_those_of_the_whole(shape: tuple[int, ...], small_room: Callable[[], None]) -> None:
    values = RNG.integers(0, 256, shape).astype(np.float32)
    image = Image(values, tuple(map(str, range(len(values)))))
    volume = Volume(RNG.normal(size=(2, *shape)).astype(np.float32) * 900, ("a", "b"), (3.0, 1.0, 1.5), "HU")
    encoders = (
        (image, ImagePatches(8, 4)),
        (image, ImagePatches(8, 4, resize="pad", normalise="own")),
        (image, ImagePatches(64, 8, channels=len(values))),
        (image, ChannelAdaptive(size=16, dim=12, depth=1)),
        (volume, VolumePatches(8, 4)),
        (volume, VolumePatches(8, 4, channels=2, resize="pad", low=-100, high=300)),
    )
    whole = [encoder.encode([value]).values for value, encoder in encoders]
    unit = grids.prepared(values, len(values), (9, 7), mode="bicubic", high=255.0)
    small_room()
    for (value, encoder), right in zip(encoders, whole, strict=True):
        assert np.array_equal(encoder.encode([value]).values, right), encoder
    assert np.array_equal(grids.prepared(values, len(values), (9, 7), mode="bicubic", high=255.0), unit)
    with pytest.raises(ValueError, match="outside 0 to 100"):
        grids.prepared(values, len(values), 8, high=100.0)
    with pytest.raises(ValueError, match="fractions up to 1"):
        grids.prepared(values / 255, len(values), 8, high=255.0)


def test_what_ends_early_is_refused_by_parts_too(tmp_path: Path, small_room: Callable[[], None]) -> None:
    path = WAYS["JPEG"](tmp_path)
    small_room()
    for left in (path.stat().st_size // 2, path.stat().st_size - 2):
        (tmp_path / "cut.jpg").write_bytes(path.read_bytes()[:left])
        refused(IMAGE, tmp_path / "cut.jpg", "truncated")
    (tmp_path / "cut.png").write_bytes(WAYS["PNG"](tmp_path).read_bytes()[:900])
    refused(IMAGE, tmp_path / "cut.png", "truncated")


def test_what_can_only_be_decoded_whole_is_refused_by_its_header(
    tmp_path: Path, small_room: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    small_room()
    monkeypatch.setattr(large, "HELD_BYTES", 12_000)
    one_strip = with_tifffile(COLOUR, "rgb", compression="zlib", rowsperstrip=85)
    for make in (WAYS["JPEG, progressive"], WAYS["JPEG 2000"], WAYS["JPEG 2000, 16 bits"], WAYS["BMP"], one_strip):
        path = make(tmp_path)
        said = refused(IMAGE, path, "can only be decoded whole")
        assert "17,085 values" in said.what or "5,695 values" in said.what
        assert 'kind = "slide"' in said.fix and 'kind = "bag"' in said.fix
        with pytest.raises(type(said), match="decoded whole"):
            IMAGE.inspect(path)
    for name in ("JPEG", "PNG", "TIFF, tiles"):
        assert IMAGE.read(WAYS[name](tmp_path)).values.shape == (3, 85, 67)


def turned_bits(folder: Path) -> Path:
    """A TIFF without compression, whose bits lie in the other order: the tag of its unit made one of FillOrder."""
    path = folder / "bits.tif"
    tifffile.imwrite(path, COLOUR[..., 0], photometric="minisblack", metadata=None)
    content = path.read_bytes()
    place = content.index(struct.pack("<HHI", 296, 3, 1))
    path.write_bytes(content[:place] + struct.pack("<HHIHH", 266, 3, 1, 2, 0) + content[place + 12 :])
    return path


def twelve_bits(folder: Path) -> Path:
    """A TIFF without compression, of one strip of numbers that fill no bytes."""
    path = folder / "twelve.tif"
    tifffile.imwrite(path, COLOUR[..., 0].astype(np.uint16), bitspersample=12, photometric="minisblack")
    return path


@pytest.mark.parametrize("make", [turned_bits, twelve_bits])
def test_what_lies_in_a_tiff_otherwise_than_in_memory_is_decoded_whole(
    make: Callable[[Path], Path], tmp_path: Path, small_room: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make(tmp_path)
    whole = IMAGE.read(path).values
    small_room()
    assert np.array_equal(IMAGE.read(path).values, whole) and whole.std() > 0
    monkeypatch.setattr(large, "HELD_BYTES", 11_000)
    refused(IMAGE, path, "can only be decoded whole")
    assert IMAGE.read(with_tifffile(COLOUR, "rgb")(tmp_path)).values.shape == (3, *COLOUR.shape[:2])


def test_more_values_than_the_limit_say_how_many_and_what_to_do(tmp_path: Path) -> None:
    for name in ("JPEG", "TIFF, tiles"):
        said = refused(IMAGE, WAYS[name](tmp_path), "17,085 values, over the limit of 17,000", Limits(values=17_000))
        assert 'cut it into tiles: kind = "slide"' in said.fix


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="the system does not reserve space")
@pytest.mark.parametrize("fault", [errno.ENOSPC, errno.EACCES, errno.EROFS])
def test_a_temporary_folder_that_gives_no_space_is_no_fault_of_the_file(
    fault: int, tmp_path: Path, small_room: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refusing(*_: int) -> None:
        raise OSError(fault, "no")

    small_room()
    monkeypatch.setattr(os, "posix_fallocate", refusing)
    with pytest.raises(chiasm.Unsupported, match=r"GB of the temporary folder.*TMPDIR"):
        IMAGE.read(WAYS["PNG"](tmp_path))


def test_a_folder_that_does_not_reserve_space_is_asked_how_much_it_has(
    tmp_path: Path, small_room: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refusing(*_: int) -> None:
        raise OSError(errno.EOPNOTSUPP, "no")

    whole = IMAGE.read(WAYS["PNG"](tmp_path)).values
    small_room()
    monkeypatch.setattr(os, "posix_fallocate", refusing, raising=False)
    assert np.array_equal(IMAGE.read(WAYS["PNG"](tmp_path)).values, whole)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=10))
    with pytest.raises(chiasm.Unsupported, match="No space left"):
        IMAGE.read(WAYS["PNG"](tmp_path))


def test_patients_are_not_counted_absent_where_the_machine_has_no_space(
    tmp_path: Path, small_room: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    content = WAYS["PNG"](tmp_path).read_bytes()
    names = [f"p{k}" for k in range(3)]
    for name in names:
        (tmp_path / f"{name}.png").write_bytes(content)
    files = {name: tmp_path / f"{name}.png" for name in names}
    cohort = chiasm.cohort_from_frames(pd.DataFrame(index=names), {"image": files}, kinds={"image": "image"})
    small_room()
    monkeypatch.setattr(room, "_reserve", lambda *_: (_ for _ in ()).throw(OSError(errno.ENOSPC, "no")))
    with pytest.raises(chiasm.Unsupported, match="temporary folder"):
        chiasm.encode(cohort, jobs=1)


def test_the_pages_of_others_are_not_touched(tmp_path: Path, small_room: Callable[[], None]) -> None:
    """A map that is written to in memory alone would lose what it was given."""
    np.save(tmp_path / "x.npy", np.zeros((64, 1000)))
    own = np.load(tmp_path / "x.npy", mmap_mode="c")
    own[:] = 7
    room.let_go(own)
    assert (own == 7).all()
    small_room()
    held = room.room((64, 1000))
    held[:] = 7
    room.let_go(held[3:, ::2])
    assert (held == 7).all() and room.all_finite(held)
    held[63, 999] = np.inf
    assert not room.all_finite(held)


def photograph(folder: Path) -> Path:
    piece = np.random.default_rng(0).integers(0, 99, (100, 100, 3), dtype=np.uint8)
    PIL.fromarray(np.tile(piece, (129, 129, 1))).save(folder / "x.jpg", quality=90)
    return folder / "x.jpg"


def multiplexed(folder: Path) -> Path:
    page = np.random.default_rng(0).integers(0, 65536, (3500, 3500), dtype=np.uint16)
    tifffile.imwrite(
        folder / "x.tif", (page for _ in range(40)), shape=(40, 3500, 3500), dtype=np.uint16, photometric="minisblack"
    )
    return folder / "x.tif"


def scanned(folder: Path) -> Path:
    page = np.random.default_rng(0).integers(0, 65536, (64, 22_300), dtype=np.uint16)
    PIL.fromarray(np.tile(page, (348, 1))).save(folder / "x.png", compress_level=1)
    return folder / "x.png"


@pytest.mark.nightly
@pytest.mark.parametrize("make", [photograph, multiplexed, scanned])
def test_half_a_billion_values_take_less_than_a_gigabyte(make: Callable[[Path], Path], tmp_path: Path) -> None:
    lines = (
        "import sys",
        "from pathlib import Path",
        "from chiasm.encoders.image.chada import ChannelAdaptive",
        "from chiasm.encoders.image.patches import ImagePatches",
        "from chiasm.readers import reader_for",
        "image = reader_for('image').read(Path(sys.argv[1]))",
        "assert image.values.size > 450_000_000",
        "ImagePatches().encode([image])",
        "ChannelAdaptive(most=40, size=32, dim=24, depth=1).encode([image])",
    )
    assert peak_megabytes(lines, str(make(tmp_path))) < MOST_MEGABYTES
