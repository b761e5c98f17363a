"""Images: what is in the file comes out, and nothing that lies, bursts or breaks gets further than a ReadError."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import skimage
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image as Pil
from PIL import ImageOps, PngImagePlugin
from refusals import PERSON, bounded, damage, refused, survives, written

from chiasm.readers import Limits, reader_for
from chiasm.readers.image.codestream import stream_size
from chiasm.readers.image.image import ImageReader
from examples import examples

READER = ImageReader()
RNG = np.random.default_rng(0)
COLOUR = RNG.integers(0, 256, (12, 9, 3), dtype=np.uint8)
SMALL = settings(max_examples=examples(40), deadline=None, suppress_health_check=list(HealthCheck))
SCIKIT = Path(skimage.__file__).parent / "data"


def png(array=COLOUR, **options) -> bytes:
    out = io.BytesIO()
    (array if isinstance(array, Pil.Image) else Pil.fromarray(array)).save(out, "PNG", **options)
    return out.getvalue()


def jpeg(image=None, **options) -> bytes:
    out = io.BytesIO()
    (image or Pil.fromarray(COLOUR)).save(out, "JPEG", **options)
    return out.getvalue()


def tiff(array, **options) -> bytes:
    out = io.BytesIO()
    tifffile.imwrite(out, array, **options)
    return out.getvalue()


def chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def lying_png(height: int, width: int, colour: int = 2) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0, 0)
    bomb = zlib.compress(bytes(4_000_000), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", bomb) + chunk(b"IEND", b"")


def read(tmp_path, content: bytes, name: str = "image"):
    return READER.read(written(tmp_path / name, content))


def test_the_registry_gives_it():
    assert type(reader_for("image")) is ImageReader


@pytest.mark.parametrize("name", ["image.png", "image.tiff", "image", "image.jpg"])
def test_the_content_counts_not_the_name(tmp_path, name):
    image = read(tmp_path, png(), name)
    assert image.values.dtype == np.float32 and image.channels == ("red", "green", "blue")
    assert np.array_equal(image.values, np.moveaxis(COLOUR, -1, 0))


def test_grey_stays_one_channel_in_8_16_and_float(tmp_path):
    eight, sixteen = COLOUR[..., 0], RNG.integers(0, 65536, (5, 7), dtype=np.uint16)
    real = RNG.normal(size=(5, 7)).astype(np.float32)
    for content, expected in (
        (png(eight), eight),
        (png(sixteen), sixteen),
        (tiff(eight), eight),
        (tiff(sixteen, byteorder=">"), sixteen),
        (tiff(sixteen.astype(np.int16)), sixteen.astype(np.int16)),
        (tiff(real, compression="zlib", predictor=True), real),
        (png(Pil.fromarray(eight > 99)), 255 * (eight > 99)),
        (tiff(eight > 99, photometric="minisblack"), 255 * (eight > 99)),
        (tiff(255 - eight, photometric="miniswhite"), eight),
    ):
        image = read(tmp_path, content)
        assert image.channels == ("grey",)
        assert np.array_equal(image.values, np.float32(expected)[None])


def test_alpha_is_dropped_and_palettes_are_expanded(tmp_path):
    expected = np.moveaxis(COLOUR, -1, 0)
    alpha = np.dstack([COLOUR, np.full(COLOUR.shape[:2], 7, np.uint8)])
    assert np.array_equal(read(tmp_path, png(alpha)).values, expected)
    assert np.array_equal(read(tmp_path, tiff(alpha, photometric="rgb", extrasamples=["unassalpha"])).values, expected)
    grey = np.dstack([COLOUR[..., 0], alpha[..., 3]])
    assert np.array_equal(read(tmp_path, png(Pil.fromarray(grey, "LA"))).values, expected[:1])
    indexed = Pil.fromarray(COLOUR).quantize(256)
    assert np.array_equal(read(tmp_path, png(indexed)).values, np.moveaxis(np.asarray(indexed.convert("RGB")), -1, 0))
    table = RNG.integers(0, 256, (3, 256), dtype=np.uint16) * 257
    paletted = read(tmp_path, tiff(COLOUR[..., 0], photometric="palette", colormap=table))
    assert np.array_equal(paletted.values, (table >> 8)[:, COLOUR[..., 0]])


def test_cmyk_becomes_rgb(tmp_path):
    flat = np.full((8, 8, 4), [0, 255, 255, 0], np.uint8)  # full magenta and yellow: red
    for content in (jpeg(Pil.fromarray(flat, "CMYK"), quality=95), tiff(flat, photometric="separated")):
        red, green, blue = read(tmp_path, content).values.mean(axis=(1, 2))
        assert red > 240 and green < 15 and blue < 15


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_applied_as_pillow_does(tmp_path, orientation):
    exif = Pil.Exif()
    exif[0x0112] = orientation
    content = png(exif=exif)
    with Pil.open(io.BytesIO(content)) as image:
        expected = np.asarray(ImageOps.exif_transpose(image))
    assert np.array_equal(read(tmp_path, content).values, np.moveaxis(expected, -1, 0))


def test_spacing_only_where_it_is_metric(tmp_path):
    fine = png(dpi=(254, 127))
    assert read(tmp_path, fine).spacing == pytest.approx((0.2, 0.1), rel=1e-3)
    exif = Pil.Exif()
    exif[0x0112] = 6
    assert read(tmp_path, png(dpi=(254, 127), exif=exif)).spacing == pytest.approx((0.1, 0.2), rel=1e-3)
    for unknown in (png(), png(dpi=(72, 72)), png(dpi=(96, 96)), jpeg(dpi=(254, 254))):
        assert read(tmp_path, unknown).spacing is None
    grey = COLOUR[..., 0]
    centimetre = tiff(grey, resolution=(100, 50), resolutionunit="CENTIMETER")
    assert read(tmp_path, centimetre).spacing == pytest.approx((0.2, 0.1))
    assert read(tmp_path, tiff(grey, resolution=(100, 50), resolutionunit="INCH")).spacing is None
    imagej = tiff(grey, imagej=True, resolution=(2, 4), metadata={"unit": "um"})
    assert read(tmp_path, imagej).spacing == pytest.approx((0.25e-3, 0.5e-3))


def test_channels_of_ome_have_their_names_and_micrometres(tmp_path):
    stack = RNG.integers(0, 4096, (4, 6, 5), dtype=np.uint16)
    markers = ["DAPI", "CD3", "CD8", "panCK"]
    metadata = {"axes": "CYX", "Channel": {"Name": markers}, "PhysicalSizeX": 0.5, "PhysicalSizeY": 0.25}
    image = read(tmp_path, tiff(stack, ome=True, photometric="minisblack", metadata=metadata))
    assert image.channels == tuple(markers)
    assert image.spacing == pytest.approx((0.25e-3, 0.5e-3))
    assert np.array_equal(image.values, stack)


def test_pages_or_samples_of_one_shape_are_channels(tmp_path):
    stack = RNG.integers(0, 256, (7, 6, 5), dtype=np.uint8)
    pages = tiff(stack, photometric="minisblack")
    planar = tiff(stack, photometric="minisblack", planarconfig="separate")
    samples = tiff(np.moveaxis(stack, 0, -1), photometric="minisblack", planarconfig="contig")
    for content in (pages, planar, samples):
        image = read(tmp_path, content)
        assert np.array_equal(image.values, stack) and image.channels == tuple("0123456")


def test_thumbnails_and_pyramids_are_passed_over(tmp_path):
    out = io.BytesIO()
    with tifffile.TiffWriter(out) as file:
        file.write(COLOUR, photometric="rgb", metadata=None)
        file.write(np.ascontiguousarray(COLOUR[::2, ::2]), photometric="rgb", subfiletype=1, metadata=None)
    assert np.array_equal(read(tmp_path, out.getvalue()).values, np.moveaxis(COLOUR, -1, 0))


def test_16_bits_in_colour_are_noted(tmp_path):
    assert READER.inspect(SCIKIT / "chessboard_RGB.png") == (
        "16 bits a channel are read to 8: write a TIFF to keep them",
    )
    assert READER.inspect(written(tmp_path / "grey", png(COLOUR[..., 0].astype(np.uint16)))) == ()


@pytest.mark.parametrize("name", ["astronaut.png", "camera.png", "retina.jpg", "cell.png", "multipage.tif"])
def test_real_images(name):
    image = READER.read(SCIKIT / name)
    assert READER.inspect(SCIKIT / name) == () and np.isfinite(image.values).all()
    with Pil.open(SCIKIT / name) as expected:
        assert image.values.shape[1:] == expected.size[::-1]
        assert np.array_equal(image.values[0], np.atleast_3d(np.asarray(expected))[..., 0])


def test_real_x_rays(shared_data):
    for file in sorted((shared_data / "chest-xray" / "png").iterdir())[:3]:
        image = READER.read(file)
        assert image.values.shape == (1, 28, 28) and image.spacing is None


def bad_icc() -> bytes:
    whole = png()
    bomb = PERSON.encode() + b"\0\0" + zlib.compress(bytes(80_000_000), 9)
    return whole[:33] + chunk(b"iCCP", bomb) + whole[33:]


def text_bomb() -> bytes:
    notes = PngImagePlugin.PngInfo()
    notes.add_itxt(PERSON, "0" * 80_000_000, zip=True)
    return png(pnginfo=notes)


def tampered(content: bytes, tag: int, value: int) -> bytes:
    """A little-endian TIFF with another number in one of its tags."""
    entry = content.index(struct.pack("<HHI", tag, 4, 1) if struct.pack("<HHI", tag, 4, 1) in content else
                          struct.pack("<HHI", tag, 3, 1))  # fmt: skip
    return content[: entry + 2] + struct.pack("<HII", 4, 1, value) + content[entry + 12 :]


def jpeg_in_tiff(height: int) -> bytes:
    """A tile of 16 x 16 whose JPEG stream announces another height."""
    whole = tiff(np.zeros((16, 16, 3), np.uint8), tile=(16, 16), compression="jpeg", photometric="rgb")
    frame = whole.index(b"\xff\xc0\x00\x11\x08\x00\x10\x00\x10")
    return whole[: frame + 5] + struct.pack(">HH", height, 60_000) + whole[frame + 9 :]


def deflate_bomb() -> bytes:
    packed = zlib.compress(bytes(300_000_000), 9)
    whole = tiff(np.zeros((8, 8), np.uint8))
    return tampered(tampered(tampered(whole, 259, 8), 273, len(whole)), 279, len(packed)) + packed


BROKEN = {
    "empty": (b"", "the file is empty"),
    "garbage": (PERSON.encode() * 50, "neither a PNG, a JPEG"),
    "gif": (b"GIF89a" + bytes(100), "neither a PNG"),
    "dicom": (bytes(128) + b"DICM" + bytes(50), "the file is DICOM"),
    "svg": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "neither a PNG"),
    "png cut in its pixels": (png(RNG.integers(0, 256, (99, 99), dtype=np.uint8))[:3000], "damaged"),
    "png cut in its header": (png()[:20], "damaged"),
    "png of no pixels": (lying_png(0, 50), "nothing to read|damaged"),
    "png bomb": (lying_png(60_000, 60_000), "announces 10,800,000,000 values"),
    "png bomb in grey": (lying_png(60_000, 60_000, 0), "announces 3,600,000,000 values"),
    "png with a bomb of text": (text_bomb, "damaged"),
    "animation": (png(save_all=True, append_images=[Pil.fromarray(255 - COLOUR)]), "2 frames"),
    "jpeg cut": (jpeg()[:400], "damaged"),
    "jpeg of 65,535 pixels a side": (
        jpeg().replace(b"\x08\x00\x0c\x00\x09\x03", b"\x08\xff\xff\xff\xff\x03"), "announces 12,884,508,675 values",
    ),
    "tiff cut": (tiff(COLOUR, photometric="rgb")[:-50], "truncated|damaged"),
    "tiff header alone": (b"II*\0\x08\0\0\0", "damaged|no image"),
    "tiff that announces a wall": (tampered(tiff(np.zeros((8, 8), np.uint8)), 257, 2_000_000_000), "announces"),
    "tiff taller than its strips": (tampered(tiff(np.zeros((8, 8), np.uint8)), 257, 8000), "fewer strips"),
    "tiff beyond its end": (tampered(tiff(np.zeros((8, 8), np.uint8)), 273, 1 << 30), "truncated"),
    "tiff with a deflate bomb": (deflate_bomb, "damaged"),
    "tiff with a lying jpeg": (jpeg_in_tiff(60_000), "announces more pixels than the header"),
    "tiff of a rare compression": (tampered(tiff(np.zeros((8, 8), np.uint8)), 259, 34887), "compressed is not read"),
    "tiff of complex numbers": (tiff(np.ones((4, 4), np.complex64)), "real numbers"),
    "tiff with NaN": (tiff(np.full((4, 4), np.nan, np.float32)), "not finite"),
    "tiff of colour pages": (tiff(np.stack([COLOUR, COLOUR]), photometric="rgb"), "2 colour pages"),
    "tiff over depth": (tiff(np.zeros((3, 4, 5), np.uint8), imagej=True, metadata={"axes": "ZYX"}), "depth or time"),
    "ome over time": (tiff(np.zeros((3, 4, 5), np.uint8), ome=True, metadata={"axes": "TYX"}), "depth or time"),
    "tiff of a hidden stack": (
        tiff(np.zeros((3, 4, 5), np.uint8), photometric="minisblack", truncate=True), "no tag names",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_broken_files_are_refused(tmp_path, name):
    content, words = BROKEN[name]
    refused(READER, written(tmp_path / f"{PERSON}.png", content), words, megabytes=60)


def test_a_bomb_in_a_note_is_not_inflated(tmp_path):
    file = written(tmp_path / PERSON, bad_icc())
    with bounded(20):
        survives(READER, file)


def test_pages_of_different_shapes_are_refused(tmp_path):
    out = io.BytesIO()
    with tifffile.TiffWriter(out) as file:
        for size in (4, 5):
            file.write(np.zeros((size, size), np.uint8), metadata=None)
    refused(READER, written(tmp_path / "pages", out.getvalue()), "2 shapes or types")


def test_entities_of_ome_are_not_expanded(tmp_path):
    laughs = "".join(f'<!ENTITY l{k} "{f"&l{k - 1};" * 10 if k else "lol"}">' for k in range(12))
    xml = f"<?xml version='1.0'?><!DOCTYPE OME [{laughs}]><OME><Pixels><Channel Name='&l11;'/></Pixels></OME>"
    image = read(tmp_path, tiff(COLOUR[..., 0], description=xml, metadata=None))
    assert image.channels == ("grey",)


def test_what_is_no_file_is_refused(tmp_path):
    refused(READER, tmp_path / PERSON, "not there")
    refused(READER, "cell of a table", "text or a table")
    written(tmp_path / "folder" / "a.png", png())
    refused(READER, tmp_path / "folder", "a folder stands")


def test_limits_hold(tmp_path):
    file = written(tmp_path / "image", png())
    refused(READER, file, "over the limit of 300", Limits(values=300))
    refused(READER, file, "GB, over the limit", Limits(bytes=10))
    for limits in (Limits(values=300), Limits(bytes=10)):
        with pytest.raises(ValueError, match="over the limit"):
            READER.inspect(file, limits)


WHOLE = [png(), jpeg(), tiff(COLOUR, photometric="rgb"), tiff(COLOUR, photometric="rgb", compression="zlib")]


@SMALL
@given(content=st.sampled_from(WHOLE).flatmap(damage) | st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(tmp_path_factory, content):
    survives(READER, written(tmp_path_factory.mktemp("fuzz") / "image", content))


@given(height=st.integers(1, 200), width=st.integers(1, 200))
@settings(max_examples=examples(15), deadline=None)
def test_the_size_of_a_stream(height, width):
    image = Pil.new("RGB", (width, height))
    for kind in ("JPEG", "JPEG2000"):
        out = io.BytesIO()
        image.save(out, kind)
        assert stream_size(out.getvalue()) == (height, width)


@given(st.binary(max_size=60))
def test_the_size_of_anything(content):
    stream_size(content)
    stream_size(b"\xff\xd8\xff" + content)
    stream_size(b"\xff\x4f\xff\x51" + content)
