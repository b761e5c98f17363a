"""Reader of sound, WAV, FLAC and Ogg, by soundfile: channels at the file's own rate."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from chiasm.readers.guard import file_of, guarded
from chiasm.readers.reading import LIMITS, Floats, Item, Limits, ReadError, Signal, check_values
from chiasm.readers.registry import missing
from chiasm.readers.signal.audio_header import bytes_behind, container_of, is_whole_ogg, samples_of
from chiasm.readers.signal.recording import check_rate

NOUN, FIX = "sound", "write it again as WAV or FLAC"
FORMATS = {"WAV", "WAVEX", "RF64", "FLAC", "OGG"}
MOST_CHANNELS = 64
UNSAID = 1 << 40  # soundfile announces 2^63 samples where a stream does not say how many it has
SAMPLES_A_BYTE = 6_554  # a FLAC frame of 10 bytes holds up to 65,535 samples of a channel, an Opus packet fewer
BLOCK = 1 << 18  # samples of a channel decoded at once
LOUDEST = 8.0  # of a file of floats, which may go beyond 1
FEWEST_BEHIND = 16  # bytes that are more than padding
BEHIND = (
    "bytes behind the samples are no part of the sound and are not read: compare its length with what you recorded, "
    "since the header may announce too few samples"
)
BROKEN_OFF = "the file holds fewer samples than its header announces"


class AudioReader:
    """Reader of a `Signal`: `(C, T)` float32 between -1 and 1, at the file's own rate.

    Files of floats are read as they are, which may go a little beyond; over 8 they are numbers of another scale, and
    refused.

    The channels are named `mono`, `left` and `right`, or `channel 1` and so on. What is WAV, FLAC or Ogg (Vorbis, Opus)
    is told by its content. Names, comments and pictures in the file are not read.
    """

    kind = "audio"
    version = "1"

    def inspect(self, item: Item, limits: Limits = LIMITS) -> tuple[str, ...]:
        """Return a note of bytes behind the samples; refuse from the header what `read` would refuse."""
        path = file_of(item, limits)
        with guarded(NOUN, FIX), _opened(path, limits):
            samples = samples_of(path) if container_of(path) == "wave" else None
            return (BEHIND,) if samples is not None and bytes_behind(path, samples) >= FEWEST_BEHIND else ()

    def read(self, item: Item, limits: Limits = LIMITS) -> Signal:
        """Read the sound.

        Raises:
            ReadError: none of these formats, damaged, truncated, empty, over a limit, samples that are not finite.
            Unsupported: soundfile is missing.
        """
        path = file_of(item, limits)
        with guarded(NOUN, FIX), _opened(path, limits) as file:
            values = _whole(file)
            if not np.isfinite(values).all():
                raise ReadError("the sound holds samples that are not finite", FIX)
            if max(float(values.max()), -float(values.min())) > LOUDEST:
                raise ReadError(
                    f"the samples go beyond {LOUDEST:g}, where those of a sound lie between -1 and 1",
                    "divide them by full scale, as 32,768 of 16 bits, and write them again",
                )
            hz, channels = float(file.samplerate), len(values)
        return Signal(values, _names(channels), hz, ("",) * channels)


def _whole(file: Any) -> Floats:
    """Read as many samples as the header announces, and see that they are there."""
    values = np.empty((file.channels, file.frames), dtype=np.float32)
    done = 0
    while done < file.frames:
        block = file.read(min(BLOCK, file.frames - done), dtype="float32", always_2d=True)
        if not len(block):
            raise ReadError(BROKEN_OFF, "copy it again")
        values[:, done : done + len(block)] = block.T
        done += len(block)
    return values


@contextmanager
def _opened(path: Path, limits: Limits) -> Iterator[Any]:
    """Open the file, its announced size checked against the limits and against its own length."""
    try:
        import soundfile  # type: ignore[import-untyped]
    except ImportError:
        raise missing("soundfile", "audio", "sounds") from None
    container = container_of(path)
    if container is None:
        raise ReadError(
            "the file is neither WAV nor FLAC nor Ogg, whatever its name", "convert it to FLAC, with ffmpeg for example"
        )
    if container == "rifx":
        raise ReadError("the sound is WAV of big-endian numbers (RIFX), which is not read", FIX)
    samples = samples_of(path) if container == "wave" else None
    if container == "wave" and (samples is None or samples.cut_off):
        raise ReadError("the file is truncated: it is shorter than its header announces", "copy it again")
    if container == "ogg" and not is_whole_ogg(path):
        raise ReadError("the file is truncated or damaged, or holds more than one stream", "copy it again")
    with soundfile.SoundFile(path) as file:
        if file.format not in FORMATS or not 0 < file.channels <= MOST_CHANNELS:
            raise ReadError(f"the sound is in another format, or has more than {MOST_CHANNELS} channels", FIX)
        if file.frames <= 0 and samples is not None and samples.end > samples.begin:
            raise ReadError(
                "the header announces no samples, but the file goes on: it was never finished",
                "write it again, with ffmpeg for example",
            )
        if file.frames <= 0:
            raise ReadError("the sound has no samples", "take the file away if the patient has none")
        if file.frames >= UNSAID:
            raise ReadError("the header does not say how long the sound is", "write it again, it was never finished")
        check_values((file.channels, file.frames), limits)
        if file.frames > path.stat().st_size * SAMPLES_A_BYTE:
            raise ReadError(BROKEN_OFF, "copy it again")
        check_rate(float(file.samplerate))
        yield file


def _names(channels: int) -> tuple[str, ...]:
    if channels == 1:
        return ("mono",)
    return ("left", "right") if channels == 2 else tuple(f"channel {k}" for k in range(1, channels + 1))
