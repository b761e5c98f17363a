"""Reader of films, MP4, MOV, MPEG, AVI, Matroska and GIF, by PyAV: frames at any rate, each with its time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chiasm.readers.guard import file_of, guarded
from chiasm.readers.image.film_container import container_of, is_cut_off
from chiasm.readers.reading import LIMITS, Item, Limits, ReadError, check_values
from chiasm.readers.registry import missing

NOUN, FIX = "a film", "write it again as MP4"
LARGEST_FRAME = 1 << 24  # pixels: twice 4K
MICROSECONDS = 1e6  # FFmpeg's unit of a file's length
LONGEST_SECONDS = 24 * 3600.0
MOST_PIXELS = 1 << 40  # of all frames together: some five hours in HD at 25 frames a second
CLOSE = 1e-6  # seconds: times of a film are rounded, also to the ticks of its clock
CODECS = {
    *("h264", "hevc", "av1", "libdav1d", "vp8", "vp9", "mpeg1video", "mpeg2video", "mpeg4", "msmpeg4v2", "msmpeg4"),
    *("h263", "mjpeg", "gif", "png", "rawvideo", "huffyuv", "ffvhuff", "ffv1", "dvvideo", "prores", "wmv1", "wmv2"),
    *("msrle", "msvideo1", "cinepak", "jpeg2000", "utvideo", "libvpx", "libvpx-vp9", "libaom-av1"),
}


@dataclass(frozen=True)
class Film:
    """Film whose frames are decoded when they are asked for; `size` is (rows, columns) in pixels, as stored.

    `seconds` is what the header says of its length; 0 if it does not.
    """

    path: Path
    size: tuple[int, int]
    limits: Limits = LIMITS
    seconds: float = 0.0

    def frames(self, hz: float) -> Iterator[tuple[NDArray[np.uint8], float]]:
        """Yield the frame shown at 0, 1 / hz, 2 / hz ... seconds, `(h, w, 3)` RGB, upright, and that time.

        Times count from the first frame; the last frame counts as long as the one before. A frame counts from half a
        tick before its time, to which Matroska rounds the times of 30 frames a second.

        Raises:
            ReadError: a frame is damaged, or the film is longer than the limits allow.
        """
        with guarded(NOUN, FIX), _opened(self.path, self.limits) as (container, stream):
            number, step, close = 0, 0.0, CLOSE
            first: float | None = None
            held: tuple[Any, float] | None = None  # the last frame, and its time
            for seen, frame in enumerate(container.decode(stream)):
                if frame.time is None:
                    raise ReadError("a frame of the film has no time", FIX)
                if frame.is_corrupt:
                    raise ReadError("a frame of the film is damaged", "copy it again")
                if (frame.height, frame.width) != self.size:
                    raise ReadError("a frame of the film has another size than its header announces", FIX)
                if first is None:
                    first = float(frame.time)
                    close = _closeness(stream, ticks=1.0 if first else 0.5)  # the first time is rounded too
                seconds = float(frame.time) - first
                if held is not None and seconds < held[1] - CLOSE:
                    raise ReadError("the frames of the film do not follow each other in time", FIX)
                _check_length(seconds, seen + 1, self.size)
                while held is not None and number / hz < seconds - close:
                    yield _upright(held[0]), number / hz
                    number += 1
                step = seconds - held[1] if held is not None else 0.0
                held = frame, seconds
            if held is None:
                raise ReadError("the film has no frame", "take the file away if the patient has none")
            while number / hz < held[1] + step - 2 * close or not number:  # the last step is rounded as well
                yield _upright(held[0]), number / hz
                number += 1


class VideoReader:
    """Reader of a `Film`, told by its content. Sound, subtitles, names and places in the file are not read."""

    kind = "video"
    version = "1"

    def inspect(self, item: Item, limits: Limits = LIMITS) -> tuple[str, ...]:
        """Return no notes; refuse from the header what `read` would refuse."""
        self.read(item, limits)
        return ()

    def read(self, item: Item, limits: Limits = LIMITS) -> Film:
        """Open the film; its frames are decoded later.

        Raises:
            ReadError: not a film, damaged, truncated, without a picture, over a limit.
            Unsupported: PyAV is missing.
        """
        path = file_of(item, limits)
        with guarded(NOUN, FIX), _opened(path, limits) as (_, stream):
            size = int(stream.height), int(stream.width)
            seconds = _announced_seconds(stream)
        return Film(path, size, limits, seconds)


@contextmanager
def _opened(path: Path, limits: Limits) -> Iterator[tuple[Any, Any]]:
    """Open the file by the one format that its first bytes name, and find its film; check what the header announces.

    FFmpeg opens no other file (data references of MOV are off unless they are asked for) and nothing but files.
    """
    try:
        import av  # type: ignore[import-not-found,unused-ignore]
    except ImportError:
        raise missing("av", "video", "films") from None
    kind = container_of(path)
    if kind is None:
        raise ReadError(
            "the file is no film that is read: MP4, MOV, MPEG, AVI, Matroska or GIF",
            "convert it to MP4, with ffmpeg for example",
        )
    if is_cut_off(path, kind):
        raise ReadError("the film is truncated: the file ends before it does", "copy it again")
    av.logging.set_level(av.logging.PANIC)
    options = {"protocol_whitelist": "file", "max_pixels": str(LARGEST_FRAME)}
    with av.open(f"file:{path.absolute()}", format=kind, metadata_errors="ignore", options=options) as container:
        cover = av.stream.Disposition.attached_pic
        films = [own for own in container.streams.video if not own.disposition & cover]
        if not films:
            raise ReadError("the file holds no film", 'write kind = "audio" for sound alone')
        stream = films[0]
        codec = stream.codec_context
        if codec is None or codec.codec.name not in CODECS:
            raise ReadError("the film is coded in a way that is not read", "convert it to MP4, with ffmpeg for example")
        rows, columns = int(stream.height or 0), int(stream.width or 0)
        if not 0 < rows * columns <= LARGEST_FRAME:  # FFmpeg itself gives no size to what is over `max_pixels`
            raise ReadError("a frame of the film is too large, or has no size", "reduce its resolution")
        check_values((rows, columns, 3), limits)
        seconds = _announced_seconds(stream)
        _check_length(seconds, max(int(stream.frames or 0), int(seconds * (stream.average_rate or 0))), (rows, columns))
        codec.options = {"max_pixels": str(LARGEST_FRAME), "err_detect": "explode"}
        codec.thread_count = 1  # each thread holds frames of its own
        yield container, stream


def _check_length(seconds: float, frames: int, size: tuple[int, int]) -> None:
    if seconds > LONGEST_SECONDS:
        raise ReadError("the film is longer than a day", "cut it")
    if frames * size[0] * size[1] > MOST_PIXELS:
        raise ReadError("the film has too many frames of this size", "cut it, or reduce its resolution")


def _announced_seconds(stream: Any) -> float:
    """Return the length of the film by its header; 0 if it does not say."""
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    whole = stream.container
    return float(whole.duration) / MICROSECONDS if whole.duration and len(whole.streams) == 1 else 0.0


def _closeness(stream: Any, ticks: float) -> float:
    """Return the seconds by which times may be off: so many ticks of the film's clock, less than half a frame."""
    tick = ticks * float(stream.time_base or 0)
    rate = float(stream.average_rate or 0)
    return CLOSE + (min(tick, 0.45 / rate) if rate else tick)


def _upright(frame: Any) -> NDArray[np.uint8]:
    """Return the pixels as the film is shown: turned by quarters and mirrored as its matrix says."""
    from av.sidedata.sidedata import Type  # type: ignore[import-not-found,unused-ignore]

    pixels: NDArray[np.uint8] = frame.to_ndarray(format="rgb24")
    said = frame.side_data.get(Type.DISPLAYMATRIX)
    return pixels if said is None else shown(pixels, np.frombuffer(bytes(said), np.int32)[:9].reshape(3, 3))


def shown(pixels: NDArray[np.uint8], matrix: NDArray[np.int32]) -> NDArray[np.uint8]:
    """Turn and mirror `(h, w, 3)` by a matrix `[[a, b, u], [c, d, v], ...]`: x to a x + c y, y to b x + d y.

    Raises:
        ReadError: it is neither quarter turns nor mirrors.
    """
    (a, b), (c, d) = np.sign(matrix[:2, :2]).tolist()
    if bool(a) != bool(d) or bool(b) != bool(c) or bool(a) == bool(b):
        raise ReadError("the film is shown turned by no quarter, or skewed", FIX)
    turned, x, y = (pixels, a, d) if a else (pixels.transpose(1, 0, 2), c, b)
    return np.ascontiguousarray(turned[:: int(y), :: int(x)])
