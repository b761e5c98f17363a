"""Speech in and out of a conversation: a recording to words, words to a recording, and how many words went wrong.

What hears is faster-whisper, what speaks is piper: each is imported where somebody asks for it, and reads a model that
lies on this machine. piper is under the GPL, and no part of chiasm needs it.
"""

from __future__ import annotations

import io
import wave
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import gcd
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from chiasm.language.asking.hearing import words_of
from chiasm.readers.registry import missing

HEARD_HERTZ = 16_000
MOST_SECONDS = 60.0
RATES = range(8_000, 192_001)
Sound = NDArray[np.float32]
Listener = Callable[[bytes], str]
"""Given a recording as WAV, it returns the words."""
Voice = Callable[[str], bytes]
"""Given words, it returns a recording as WAV."""


@dataclass(frozen=True)
class WordErrors:
    """Words of a transcript that went wrong, and the words that were said."""

    substituted: int
    inserted: int
    deleted: int
    words: int

    @property
    def rate(self) -> float:
        """The word error rate; above 1 where more went wrong than was said, NaN where nothing was."""
        wrong = self.substituted + self.inserted + self.deleted
        return wrong / self.words if self.words else float("nan")

    def __add__(self, other: WordErrors) -> WordErrors:
        return WordErrors(
            self.substituted + other.substituted, self.inserted + other.inserted, self.deleted + other.deleted,
            self.words + other.words,
        )  # fmt: skip


def word_errors(said: str, heard: str) -> WordErrors:
    """Count the fewest words that were substituted, inserted and deleted between what was said and what was heard.

    Words are compared without case and marks. Of ways with as few errors, the one with most substitutions is taken.
    """
    a, b = words_of(said), words_of(heard)
    row = [(j, 0, j, 0) for j in range(len(b) + 1)]  # errors, substituted, inserted, deleted
    for i, word in enumerate(a, 1):
        next_row = [(i, 0, 0, i)]
        for j, other in enumerate(b, 1):
            cost, subs, ins, gone = row[j - 1]
            same = (cost, subs, ins, gone) if word == other else (cost + 1, subs + 1, ins, gone)
            more = (next_row[-1][0] + 1, next_row[-1][1], next_row[-1][2] + 1, next_row[-1][3])
            less = (row[j][0] + 1, row[j][1], row[j][2], row[j][3] + 1)
            next_row.append(min((same, more, less), key=lambda own: (own[0], -own[1])))
        row = next_row
    _, substituted, inserted, deleted = row[-1]
    return WordErrors(substituted, inserted, deleted, len(a))


def read_wav(recording: bytes) -> tuple[Sound, int]:
    """Read a recording: samples between -1 and 1 of one channel, the mean of several, and how many there are a second.

    Raises:
        ValueError: it is no WAV of 16 bits, is cut off, empty, or longer than a minute.
    """
    try:
        with wave.open(io.BytesIO(recording)) as file:
            width, channels, hertz, frames = (
                file.getsampwidth(), file.getnchannels(), file.getframerate(), file.getnframes(),
            )  # fmt: skip
            if width != 2 or hertz not in RATES or not 1 <= channels <= 8:
                raise ValueError("the recording is no WAV of 16 bits with 8,000 to 192,000 samples a second")
            if frames > MOST_SECONDS * hertz:
                raise ValueError(f"the recording is longer than {MOST_SECONDS:g} seconds")
            held = file.readframes(frames)
    except (wave.Error, EOFError):
        raise ValueError("the recording is no WAV file, or is cut off") from None
    if not held or len(held) != frames * channels * width:
        raise ValueError("the recording is empty, or cut off")
    samples = np.frombuffer(held, dtype="<i2")
    return np.asarray(samples.reshape(-1, channels).mean(axis=1) / 32768, dtype=np.float32), hertz


def write_wav(sound: Sound, hertz: int) -> bytes:
    """Write samples between -1 and 1 as a WAV of 16 bits and one channel."""
    made = io.BytesIO()
    with wave.open(made, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(hertz)
        file.writeframes(np.asarray(np.clip(sound, -1, 1) * 32767).astype("<i2").tobytes())
    return made.getvalue()


def resampled(sound: Sound, hertz: int, to: int) -> Sound:
    """Return a sound with another number of samples a second, filtered against aliases."""
    if hertz == to:
        return sound
    from scipy.signal import resample_poly  # type: ignore[import-untyped]

    common = gcd(hertz, to)
    return np.asarray(resample_poly(sound, to // common, hertz // common), dtype=np.float32)


def whisper_listener(folder: Path | str, *, language: str = "en", threads: int = 1) -> Listener:
    """Return what hears speech by a model of faster-whisper in a folder of this machine; nothing is downloaded.

    Raises:
        Unsupported: faster-whisper is not installed.
        ValueError: the folder holds no model.
    """
    place = Path(folder)
    if not (place / "model.bin").is_file():
        raise ValueError(f"'{place.name}' holds no model of faster-whisper: 'model.bin' is missing")
    try:
        from faster_whisper import WhisperModel  # type: ignore[import-not-found,import-untyped,unused-ignore]
    except ImportError as error:
        raise missing(str(error.name or "faster-whisper"), "speech", "recordings of speech") from None
    model = WhisperModel(str(place), device="cpu", compute_type="int8", cpu_threads=threads, local_files_only=True)

    def hear(recording: bytes) -> str:
        sound, hertz = read_wav(recording)
        pieces, _ = model.transcribe(resampled(sound, hertz, HEARD_HERTZ), language=language, beam_size=5)
        return " ".join(piece.text.strip() for piece in pieces).strip()

    return hear


def piper_voice(model: Path | str) -> Voice:
    """Return what speaks by a voice of piper, a .onnx file with its .onnx.json beside it.

    piper is under the GPL-3.0: it is imported here alone, when a voice is asked for.

    Raises:
        Unsupported: piper is not installed.
        ValueError: there is no such voice.
    """
    place = Path(model)
    if not place.is_file() or not Path(f"{place}.json").is_file():
        raise ValueError(f"'{place.name}' is no voice of piper: name a .onnx file with its .onnx.json beside it")
    try:
        from piper import PiperVoice  # type: ignore[import-not-found,import-untyped,unused-ignore]
    except ImportError as error:
        raise missing(str(error.name or "piper"), "voice", "spoken answers") from None
    voice = PiperVoice.load(str(place))

    def speak(words: str) -> bytes:
        chunks = list(voice.synthesize(words))
        if not chunks:
            raise ValueError("the voice said nothing")
        sound = np.concatenate([chunk.audio_float_array for chunk in chunks])
        return write_wav(np.asarray(sound, dtype=np.float32), int(chunks[0].sample_rate))

    return speak


def total(errors: Sequence[WordErrors]) -> WordErrors:
    """Return the errors of several transcripts together."""
    return sum(errors, WordErrors(0, 0, 0, 0))
