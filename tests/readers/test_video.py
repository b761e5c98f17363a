"""Films of every container: frames at an even rate with their times, upright, and what is refused."""

from __future__ import annotations

import struct
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from refusals import PERSON, refused, survives, written

from chiasm.encoders.image.film_frames import Frames
from chiasm.readers import Limits, ReadError, reader_for
from chiasm.readers.image import video
from chiasm.readers.image.video import VideoReader
from chiasm.testing import check_encoder
from small_recipes import at_night

av = pytest.importorskip("av")
READER = VideoReader()
KINDS = {
    "mp4": "libx264",
    "mov": "mpeg4",
    "avi": "mpeg4",
    "mpg": "mpeg1video",
    "gif": "gif",
    "ts": "mpeg2video",
    "mkv": "mpeg4",
    "webm": "libvpx",
}
FORMATS = {"mkv": "matroska", "mpg": "mpeg", "ts": "mpegts", "m1v": "mpeg1video"}
PIXELS = {"gif": "rgb8", "mjpeg": "yuvj420p"}


def film(
    path: Path,
    grey: list[Any],
    hz: int | Fraction = 25,
    codec: str = "",
    times: list[int] | None = None,
    options: dict[str, str] | None = None,
) -> Path:
    """A film whose frame k is of one grey, or the picture itself; `times` are those of the frames, in frames."""
    path.parent.mkdir(parents=True, exist_ok=True)
    kind = path.suffix[1:]
    codec = codec or KINDS[kind]
    with av.open(str(path), "w", format=FORMATS.get(kind, kind)) as out:
        stream = out.add_stream(codec, rate=hz, options=options or {})
        stream.width, stream.height = 64, 48
        stream.pix_fmt = PIXELS.get(codec, "yuv420p")
        stream.codec_context.time_base = 1 / Fraction(hz)
        for k, value in enumerate(grey):
            picture = np.broadcast_to(np.asarray(value, np.uint8), (48, 64, 3))
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            frame.pts = times[k] if times else k
            frame.time_base = 1 / Fraction(hz)
            for packet in stream.encode(frame):
                out.mux(packet)
        for packet in stream.encode():
            out.mux(packet)
    return path


@pytest.mark.parametrize("kind", KINDS)
def test_frames_come_at_the_rate_with_their_times(tmp_path: Path, kind: str) -> None:
    grey = [10 + 2 * k for k in range(100)]  # four seconds, whose grey tells the frame
    path = film(tmp_path / f"{PERSON}.{kind}", grey)
    opened = READER.read(path)
    assert opened.size == (48, 64) and isinstance(reader_for("video"), VideoReader) and READER.inspect(path) == ()
    for hz, places in ((1.0, [0, 25, 50, 75]), (2.5, list(range(0, 100, 10))), (25.0, list(range(100)))):
        found = list(opened.frames(hz))
        assert [when for _, when in found] == pytest.approx([k / hz for k in range(len(places))])
        assert len(found) == len(places)
        means = np.array([frame.mean() for frame, _ in found])
        assert np.abs(means - [grey[k] for k in places]).max() < (20 if kind == "gif" else 6)  # a palette of 256
        assert all(frame.shape == (48, 64, 3) and frame.dtype == np.uint8 for frame, _ in found)


@pytest.mark.parametrize("name, codec", [("x.avi", "mpeg4"), ("x.mp4", "libx264")])
def test_frames_that_are_stored_in_another_order_come_in_that_of_time(tmp_path: Path, name: str, codec: str) -> None:
    path = film(tmp_path / name, [5 * k for k in range(50)], codec=codec, options={"bf": "3"})
    means = [float(frame.mean()) for frame, _ in READER.read(path).frames(5.0)]
    np.testing.assert_allclose(means, [25 * k for k in range(10)], atol=8)


def test_a_film_of_uneven_frames_shows_each_as_long_as_it_lasts(tmp_path: Path) -> None:
    path = film(tmp_path / "x.mkv", [40, 120, 200], hz=10, times=[0, 25, 30])  # 0, 2.5 and 3 seconds
    shown = [round(float(frame.mean()), -1) for frame, _ in READER.read(path).frames(1.0)]
    assert shown == [40, 40, 40, 200]
    assert len(list(READER.read(film(tmp_path / "one.gif", [80])).frames(1.0))) == 1


def displayed(path: Path, matrix: tuple[float, ...]) -> Path:
    """A film of a bright corner, shown by a matrix (a, b, c, d)."""
    corner = np.zeros((48, 64, 1), np.uint8)
    corner[:24, :32] = 200
    film(path, [corner] * 3, codec="mpeg4")
    content = bytearray(path.read_bytes())
    place = content.find(b"tkhd") + 44
    assert struct.unpack(">9i", content[place : place + 36])[::4] == (1 << 16, 1 << 16, 1 << 30)
    a, b, c, d = (int(part * (1 << 16)) for part in matrix)
    content[place : place + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(content)
    return path


def test_a_film_that_is_turned_by_no_quarter_is_refused(tmp_path: Path) -> None:
    for matrix in ((0.7, 0.7, -0.7, 0.7), (1, 0.5, 0, 1), (0, 0, 0, 0)):
        with pytest.raises(ReadError, match="no quarter"):
            next(READER.read(displayed(tmp_path / "x.mp4", matrix)).frames(1.0))


@pytest.mark.parametrize("kind", ["mkv", "webm", "mp4"])
@pytest.mark.parametrize("rate", [Fraction(30_000, 1001), *at_night(Fraction(30), Fraction(24))], ids=str)
@pytest.mark.parametrize("begin", [1, *at_night(0, 2)])
def test_no_frame_is_lost_where_a_container_rounds_its_times(
    tmp_path: Path, kind: str, rate: Fraction, begin: int
) -> None:
    """Matroska keeps milliseconds: at the film's own rate each frame comes once, at half of it every second one."""
    levels = (0, 80, 160, 240)
    path = film(
        tmp_path / f"x.{kind}", [levels[k % 4] for k in range(40)], rate, codec="libx264" if kind == "mkv" else "",
        times=[k + begin for k in range(40)],
    )  # fmt: skip
    for step in (1, 2):
        found = [round(float(frame.mean()) / 80) for frame, _ in READER.read(path).frames(float(rate) / step)]
        assert found == [k % 4 for k in range(0, 40, step)]
    twice = [round(float(frame.mean()) / 80) for frame, _ in READER.read(path).frames(2 * float(rate))]
    assert twice == [k // 2 % 4 for k in range(80)]


@pytest.mark.parametrize(
    "matrix, bright",
    [
        ((1, 0, 0, 1), (0, 0)), ((0, 1, -1, 0), (0, 1)), ((-1, 0, 0, -1), (1, 1)), ((0, -1, 1, 0), (1, 0)),
        ((-1, 0, 0, 1), (0, 1)), ((1, 0, 0, -1), (1, 0)), ((0, 1, 1, 0), (0, 0)), ((0, -1, -1, 0), (1, 1)),
    ],
    ids=[
        "upright", "a quarter to the right", "upside down", "a quarter to the left",
        "left is right", "up is down", "rows are columns", "rows are columns, upside down",
    ],
)  # fmt: skip
def test_a_film_that_was_taken_with_a_turned_phone_is_upright(
    tmp_path: Path, matrix: tuple[int, ...], bright: tuple[int, int]
) -> None:
    """The matrix of `tkhd` takes x to a x + c y and y to b x + d y: the corner that is bright goes where it says."""
    path = displayed(tmp_path / "x.mp4", matrix)
    frame = next(READER.read(path).frames(1.0))[0]
    rows, columns = frame.shape[:2]
    assert (rows, columns) == ((48, 64) if matrix[0] else (64, 48))
    half = frame.reshape(2, rows // 2, 2, columns // 2, 3).mean(axis=(1, 3, 4))
    assert np.unravel_index(half.argmax(), (2, 2)) == bright and np.sort(half.ravel())[-2] < 20


def test_what_lies_behind_the_last_box_is_no_part_of_the_film(tmp_path: Path) -> None:
    path = film(tmp_path / "x.mp4", [90] * 25)
    whole = path.read_bytes()
    for more in (b"abc", bytes(1000), b"\0\0\0\x10free" + bytes(8)):
        assert READER.read(written(path, whole + more)).size == (48, 64)


def sound(path: Path, cover: bool) -> Path:
    with av.open(str(path), "w", format="mp4") as out:
        stream = out.add_stream("aac", rate=16_000)
        stream.layout = "mono"
        if cover:
            picture = out.add_stream("mjpeg", rate=1)
            picture.width, picture.height, picture.pix_fmt = 64, 48, "yuvj420p"
            picture.disposition = av.stream.Disposition.attached_pic
            for packet in [*picture.encode(av.VideoFrame(64, 48, "yuvj420p")), *picture.encode()]:
                out.mux(packet)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 16_000), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 16_000
        for packet in [*stream.encode(frame), *stream.encode()]:
            out.mux(packet)
    return path


def patched(kind: str, spoil: Callable[[bytearray], object]) -> Callable[[Path], object]:
    """A film of a second whose bytes are changed."""

    def write(path: Path) -> None:
        codec = {"avi": "mjpeg", "m1v": "mpeg1video"}.get(kind, "")
        made = film(path.with_suffix(f".{kind}"), [100] * 25, codec=codec)
        content = bytearray(made.read_bytes())
        made.unlink()
        path.write_bytes(spoil(content) or content)  # type: ignore[arg-type]

    return write


def cut(content: bytearray) -> bytearray:
    return content[: len(content) * 6 // 10]


def large_pictures(content: bytearray) -> None:
    """61,440 x 61,440 pixels in the header of every JPEG, 64 x 48 in that of the film."""
    place = 0
    while (place := content.find(b"\xff\xc0\0\x11", place)) >= 0:
        content[place + 5 : place + 9] = b"\xf0\0\xf0\0"
        place += 4


def large_screen(content: bytearray) -> None:
    content[6:10] = b"\0\x40\0\x40"


BROKEN: dict[str, tuple[Callable[[Path], object], str]] = {
    "MP4 cut": (patched("mp4", cut), "truncated"),
    "MOV cut": (patched("mov", cut), "truncated"),
    "AVI cut": (patched("avi", cut), "truncated"),
    "GIF cut": (patched("gif", cut), "truncated"),
    "Matroska cut": (patched("mkv", cut), "truncated"),
    "MP4 without a film": (lambda path: written(path, b"\0\0\0\x18ftypisom" + bytes(12)), "damaged"),
    "sound alone": (lambda path: sound(path, cover=False), "no film"),
    "sound with a picture on its cover": (lambda path: sound(path, cover=True), "no film"),
    "a GIF of 16,384 x 16,384": (patched("gif", large_screen), "too large"),
    "a bare stream, without times": (lambda path: patched("m1v", lambda own: own)(path), "no film that is read"),
    "a list of files": (lambda path: written(path, b"#EXTM3U\nfile:///etc/passwd\n"), "no film that is read"),
    "a concatenation": (
        lambda path: written(path, b"ffconcat version 1.0\nfile a\n"),
        "no film that is read",
    ),
    "a picture": (lambda path: written(path, b"\x89PNG\r\n\x1a\n" + bytes(200)), "no film that is read"),
    "empty": (lambda path: written(path, b""), "empty"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_and_other_files_are_refused(tmp_path: Path, name: str, capfd: pytest.CaptureFixture[str]) -> None:
    write, words = BROKEN[name]
    path = tmp_path / f"{PERSON}.mp4"
    write(path)
    refused(READER, path, words, megabytes=10)
    assert capfd.readouterr() == ("", "")


def test_what_shows_only_when_frames_are_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    patched("avi", large_pictures)(tmp_path / f"{PERSON}.avi")
    opened = READER.read(tmp_path / f"{PERSON}.avi")
    with pytest.raises(ReadError, match="damaged") as caught:
        list(opened.frames(1.0))
    assert PERSON not in str(caught.value)
    whole = film(tmp_path / "x.avi", [50] * 30).read_bytes()
    refused(READER, tmp_path / "x.avi", "over the limit", Limits(values=100))
    refused(READER, Path("/dev/zero"), "a pipe, a device")
    opened = READER.read(film(tmp_path / "x.mkv", [50] * 30))  # whose header does not say how many frames there are
    monkeypatch.setattr(video, "MOST_PIXELS", 10 * 48 * 64)
    refused(READER, tmp_path / "x.avi", "too many frames")
    with pytest.raises(ReadError, match="too many frames"):
        list(opened.frames(25.0))
    for place in range(0, 400, 37):
        survives(READER, written(tmp_path / "y.avi", whole[:place] + b"\xff" + whole[place + 1 :]))
        survives(READER, written(tmp_path / "z.avi", whole[: place * 4]))


def test_tokens_are_frames_with_times(tmp_path: Path) -> None:
    films = [
        READER.read(film(tmp_path / f"{k}.mkv", [20 + 30 * k + j for j in range(25 * (1 + k % 3))])) for k in range(6)
    ]
    encoder = Frames(hz=2.0)
    found = encoder.encode(films[:3])
    assert found.mask.sum(1).tolist() == [2, 4, 6] and found.values.shape[2] == encoder.width
    np.testing.assert_allclose(found.times[2].numpy() * 3600, np.arange(6) / 2, atol=1e-4)
    check_encoder(encoder, films)
    with pytest.raises(ReadError, match="more than 2 frames"):
        Frames(hz=2.0, most=2).encode(films[1:2])
    with pytest.raises(ValueError, match="option 'hz'"):
        Frames(hz=0.0)
