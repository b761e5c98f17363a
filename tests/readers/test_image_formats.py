"""Pictures of every make: what TIFF, BMP and JPEG 2000 hold is what a PNG of the same picture holds."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image as Pillow
from refusals import refused, survives, written

from chiasm.readers import Limits
from chiasm.readers.image.image import ImageReader

READER = ImageReader()
RNG = np.random.default_rng(0)
COLOUR = RNG.integers(0, 256, (12, 20, 3), dtype=np.uint8)
GREY = RNG.integers(0, 256, (12, 20), dtype=np.uint8)


def tiff(path: Path, pixels: np.ndarray, **options) -> Path:
    tifffile.imwrite(path, pixels, metadata=None, **options)
    return path


def pillow(path: Path, pixels: np.ndarray, kind: str, **options) -> Path:
    out = io.BytesIO()
    Pillow.fromarray(pixels).save(out, kind, **options)
    return written(path, out.getvalue())


@pytest.mark.parametrize("turn", range(1, 9))
@pytest.mark.parametrize("pixels", [GREY, COLOUR], ids=["grey", "colour"])
def test_a_tiff_is_turned_as_a_jpeg_is(tmp_path: Path, turn: int, pixels: np.ndarray) -> None:
    """Pillow's own transposition of EXIF is the reference."""
    photometric = "rgb" if pixels.ndim == 3 else "minisblack"
    resolution = {"resolution": (100, 50), "resolutionunit": "CENTIMETER"}
    path = tiff(
        tmp_path / "x.tif", pixels, photometric=photometric, extratags=[(274, "H", 1, turn, True)], **resolution
    )
    methods = [None, 0, 3, 1, 5, 4, 6, 2]  # Pillow's Transpose of orientation 1 .. 8
    method = methods[turn - 1]
    image = Pillow.fromarray(pixels)
    expected = np.asarray(image if method is None else image.transpose(Pillow.Transpose(method)))
    found = READER.read(path)
    assert np.array_equal(found.values, np.moveaxis(np.atleast_3d(expected), -1, 0))
    assert found.spacing == ((0.1, 0.2) if turn > 4 else (0.2, 0.1))


@pytest.mark.parametrize("compression", [None, "lzw", "deflate", "packbits", "zstd"])
def test_ycbcr_without_jpeg_becomes_rgb(tmp_path: Path, compression: str | None) -> None:
    coded = np.asarray(Pillow.fromarray(COLOUR).convert("YCbCr"))
    tags = [(532, "2I", 6, (0, 1, 255, 1, 128, 1, 255, 1, 128, 1, 255, 1), True)]
    path = tiff(tmp_path / "x.tif", coded, photometric="ycbcr", extratags=tags, compression=compression)
    found = READER.read(path)
    assert found.channels == ("red", "green", "blue")
    assert np.abs(found.values - np.moveaxis(COLOUR, -1, 0)).max() <= 3  # of two roundings
    sampling = b"\x12\x02\x03\0\x02\0\0\0"  # the tag of how many pixels share a colour
    whole = path.read_bytes()
    assert whole.count(sampling + b"\1\0\1\0") == 1
    thin = written(tmp_path / "y.tif", whole.replace(sampling + b"\1\0\1\0", sampling + b"\2\0\2\0"))
    refused(READER, thin, "fewer samples of colour|damaged")


def test_colours_under_premultiplied_alpha_are_divided(tmp_path: Path) -> None:
    alpha = np.full(GREY.shape, 51, np.uint8)
    alpha[:, :3] = 0
    straight = (COLOUR // 5) * 5
    whole = np.dstack([np.where(alpha[..., None] > 0, straight // 5, 0), alpha]).astype(np.uint8)
    found = READER.read(tiff(tmp_path / "x.tif", whole, photometric="rgb", extrasamples=["assocalpha"]))
    assert np.array_equal(found.values[:, :, 3:], np.moveaxis(straight, -1, 0)[:, :, 3:])
    assert not found.values[:, :, :3].any()
    kept = READER.read(
        tiff(tmp_path / "y.tif", np.dstack([COLOUR, alpha]), photometric="rgb", extrasamples=["unassalpha"])
    )
    assert np.array_equal(kept.values, np.moveaxis(COLOUR, -1, 0))
    other = READER.read(tiff(tmp_path / "z.tif", np.dstack([COLOUR, GREY]), photometric="rgb", extrasamples=[0]))
    assert len(other.values) == 4


@pytest.mark.parametrize("bits", [1, 2, 4])
@pytest.mark.parametrize("white", [False, True])
def test_few_bits_span_what_they_span_in_a_png(tmp_path: Path, bits: int, white: bool) -> None:
    top = (1 << bits) - 1
    pixels = np.random.default_rng(top).integers(0, top + 1, (8, 16)).astype(np.uint8)
    packed = np.zeros((8, 16 * bits // 8), np.uint8)
    for column in range(16):
        packed[:, column * bits // 8] |= pixels[:, column] << (8 - bits - column * bits % 8)
    path = written(tmp_path / "x.tif", packed_tiff(packed, 16, bits, 0 if white else 1))
    expected = (top - pixels if white else pixels) * (255 // top)
    assert np.array_equal(READER.read(path).values[0], expected)


def packed_tiff(packed: np.ndarray, width: int, bits: int, photometric: int) -> bytes:
    """A TIFF of one strip, written by hand: tifffile packs no 2 and 4 bits."""
    tags = [
        (256, 4, width), (257, 4, len(packed)), (258, 3, bits), (259, 3, 1), (262, 3, photometric), (273, 4, 8),
        (277, 3, 1), (278, 4, len(packed)), (279, 4, packed.size),
    ]  # fmt: skip
    head = b"II*\0" + (8 + packed.size).to_bytes(4, "little") + packed.tobytes()
    body = len(tags).to_bytes(2, "little")
    for code, kind, value in tags:
        body += code.to_bytes(2, "little") + kind.to_bytes(2, "little") + (1).to_bytes(4, "little")
        body += value.to_bytes(2 if kind == 3 else 4, "little").ljust(4, b"\0")
    return head + body + bytes(4)


@pytest.mark.parametrize("kind", ["group3", "group4", "tiff_ccitt"])
def test_fax_compressions_are_read(tmp_path: Path, kind: str) -> None:
    pixels = np.repeat(np.repeat(np.random.default_rng(0).integers(0, 2, (8, 8)), 4, 0), 4, 1).astype(bool)
    path = pillow(tmp_path / "x.tif", pixels, "TIFF", compression=kind)
    assert np.array_equal(READER.read(path).values[0], pixels * 255.0)
    assert READER.inspect(path) == ()


@pytest.mark.parametrize("pixels", [GREY, COLOUR, COLOUR[:, :, [0, 1, 2, 0]], GREY > 99], ids=["L", "RGB", "RGBA", "1"])
def test_bmp(tmp_path: Path, pixels: np.ndarray) -> None:
    found = READER.read(pillow(tmp_path / "x.bmp", pixels, "BMP"))
    expected = np.atleast_3d(pixels * 255 if pixels.dtype == bool else pixels)[:, :, :3]
    assert np.array_equal(found.values, np.moveaxis(expected, -1, 0)) and found.spacing is None


@pytest.mark.parametrize("no_jp2", [False, True])
@pytest.mark.parametrize("pixels", [GREY, COLOUR, GREY.astype(np.uint16) * 257], ids=["L", "RGB", "16"])
def test_jpeg_2000(tmp_path: Path, pixels: np.ndarray, no_jp2: bool) -> None:
    path = pillow(tmp_path / "x.jp2", pixels, "JPEG2000", irreversible=False, no_jp2=no_jp2)
    assert np.array_equal(READER.read(path).values, np.moveaxis(np.atleast_3d(pixels), -1, 0))
    refused(READER, path, "over the limit", Limits(values=100))


@pytest.mark.parametrize(
    "bits, signed", [(1, False), (4, False), (6, False), (8, True), (10, False), (12, False), (12, True), (16, True)]
)
def test_jpeg_2000_of_any_depth_is_in_the_numbers_of_the_file(tmp_path: Path, bits: int, signed: bool) -> None:
    """Pillow shifts 12 bits to 16, and adds half the range to signed numbers."""
    low, high = (-(1 << bits - 1), 1 << bits - 1) if signed else (0, 1 << bits)
    kind = np.dtype(f"{'i' if signed else 'u'}{1 if bits <= 8 else 2}")
    pixels = np.random.default_rng(0).integers(low, high, (20, 30)).astype(kind)
    content = imagecodecs.jpeg2k_encode(pixels, level=0, codecformat="j2k", reversible=True, bitspersample=bits)
    found = READER.read(written(tmp_path / "x.j2k", content)).values
    np.testing.assert_allclose(found[0], pixels * (255 / (high - 1) if bits <= 4 else 1.0), rtol=1e-6)


@pytest.mark.parametrize("kind", ["j2k", "jp2"])
@pytest.mark.parametrize("channels", [3, 4])
def test_jpeg_2000_in_deep_colour(tmp_path: Path, kind: str, channels: int) -> None:
    pixels = np.random.default_rng(0).integers(0, 65536, (20, 30, channels)).astype(np.uint16)
    content = imagecodecs.jpeg2k_encode(pixels, level=0, codecformat=kind, reversible=True)
    found = READER.read(written(tmp_path / "x", content))
    assert np.array_equal(found.values, np.moveaxis(pixels[:, :, :3], -1, 0)) and found.channels[0] == "red"
    refused(READER, written(tmp_path / "x", content[: len(content) // 2]), "damaged")


def test_a_palette_in_jpeg_2000_is_refused_and_not_scaled(tmp_path: Path) -> None:
    """Its colours have eight bits, whatever the depth of the numbers that name them."""
    pixels = np.random.default_rng(0).integers(0, 16, (20, 30)).astype(np.uint8)
    content = imagecodecs.jpeg2k_encode(pixels, level=0, codecformat="jp2", reversible=True, bitspersample=4)
    assert READER.read(written(tmp_path / "plain", content)).values.max() <= 255
    place, head = content.index(b"colr") - 4, content.index(b"jp2h") - 4
    colours = struct.pack(">I4sHB3B", 8 + 2 + 1 + 3 + 48, b"pclr", 16, 3, 7, 7, 7) + bytes(range(48))
    channels = struct.pack(">I4s", 8 + 12, b"cmap") + b"".join(struct.pack(">HBB", 0, 1, k) for k in range(3))
    more = colours + channels
    (size,) = struct.unpack_from(">I", content, head)
    changed = content[:head] + struct.pack(">I", size + len(more)) + content[head + 4 : place] + more + content[place:]
    refused(READER, written(tmp_path / "x", changed), "has a palette")


def test_jpegs_of_another_coding_are_named(tmp_path: Path) -> None:
    assert np.array_equal(READER.read(written(tmp_path / "x", imagecodecs.ljpeg_encode(GREY))).values[0], GREY)
    deep = imagecodecs.ljpeg_encode(GREY.astype(np.uint16) * 16, bitspersample=12)
    for content in (imagecodecs.jpegls_encode(GREY), deep):
        refused(READER, written(tmp_path / "x", content), "JPEG-LS, or has other than 8 bits")


def test_broken_ones_are_refused(tmp_path: Path) -> None:
    for kind in ("BMP", "JPEG2000"):
        whole = pillow(tmp_path / "whole", COLOUR, kind).read_bytes()
        refused(READER, written(tmp_path / "cut", whole[:60]), "damaged|nothing to read")
        for place in range(0, 60, 3):
            survives(READER, written(tmp_path / "x", whole[:place] + b"\xff" + whole[place + 1 :]))
    refused(READER, written(tmp_path / "x.gif", b"GIF89a" + bytes(40)), "neither a PNG, a JPEG, a JPEG 2000, a BMP nor")
