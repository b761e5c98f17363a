"""Sound: channels and rates as soundfile writes them, what is refused, and bands that follow the pitch."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from refusals import PERSON, refused, survives, written

from chiasm.encoders.signal import melbands
from chiasm.encoders.signal.melbands import MelBands, resampled_between, samples_at, triangles
from chiasm.readers import Limits, Signal, reader_for
from chiasm.readers.signal.audio import AudioReader
from chiasm.testing import check_encoder

soundfile = pytest.importorskip("soundfile")
READER = AudioReader()


def tone(hz: float, seconds: float = 1.0, rate: int = 16_000, channels: int = 1) -> np.ndarray:
    steps = np.arange(int(seconds * rate)) / rate
    return np.stack([0.5 / (1 + k) * np.sin(2 * np.pi * hz * steps) for k in range(channels)], axis=1)


def stored(path: Path, kind: str, values: np.ndarray | None = None, rate: int = 16_000, **options: str) -> bytes:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, tone(220) if values is None else values, rate, format=kind, **options)
    return path.read_bytes()


@pytest.mark.parametrize("kind, subtype, atol", [
    ("WAV", "PCM_16", 4e-5), ("WAV", "PCM_24", 2e-7), ("WAV", "PCM_U8", 8e-3), ("WAV", "FLOAT", 1e-7),
    ("WAV", "DOUBLE", 1e-7), ("WAV", "ULAW", 2e-2), ("FLAC", "PCM_S8", 8e-3), ("FLAC", "PCM_16", 4e-5),
    ("FLAC", "PCM_24", 2e-7), ("WAVEX", "PCM_32", 1e-7), ("RF64", "PCM_16", 4e-5), ("OGG", "VORBIS", 0.1),
])  # fmt: skip
@pytest.mark.parametrize("rate, channels", [(8_000, 1), (44_100, 2), (96_000, 3)])
def test_what_is_written_is_read(
    tmp_path: Path, kind: str, subtype: str, atol: float, rate: int, channels: int
) -> None:
    values = tone(220, 0.3, rate, channels)
    path = tmp_path / "x"
    stored(path, kind, values, rate, subtype=subtype)
    found = READER.read(path)
    assert found.hz == rate and found.values.shape == (channels, len(values)) and found.values.dtype == np.float32
    np.testing.assert_allclose(found.values, values.T, atol=atol)
    np.testing.assert_array_equal(found.values, soundfile.read(path, dtype="float32", always_2d=True)[0].T)
    assert found.leads == {1: ("mono",), 2: ("left", "right")}.get(channels, ("channel 1", "channel 2", "channel 3"))
    assert READER.inspect(path) == () and isinstance(reader_for("audio"), AudioReader)


def patched(kind: str, spoil: Callable[[bytearray], object]) -> Callable[[Path], object]:
    """A second of sound whose bytes are changed."""

    def write(path: Path) -> None:
        content = bytearray(stored(path, kind))
        path.write_bytes(spoil(content) or content)  # type: ignore[arg-type]

    return write


def put(place: int, value: bytes) -> Callable[[bytearray], None]:
    def spoil(content: bytearray) -> None:
        content[place : place + len(value)] = value

    return spoil


def middle(content: bytearray) -> None:
    content[len(content) // 2] ^= 0xFF


def no_end(content: bytearray) -> None:
    content[21] &= 0xF0
    content[22:26] = bytes(4)


def numbers(value: float, subtype: str) -> Callable[[Path], object]:
    return lambda path: stored(path, "WAV", np.full((100, 1), value), subtype=subtype)


BROKEN: dict[str, tuple[Callable[[Path], object], str]] = {
    "WAV cut": (patched("WAV", lambda own: own[:9000]), "truncated"),
    "WAV cut by a byte": (patched("WAV", lambda own: own[:-1]), "truncated"),
    "RF64 cut": (patched("RF64", lambda own: own[:9000]), "truncated"),
    "WAV without samples": (lambda path: stored(path, "WAV", np.zeros((0, 1))), "no samples"),
    "FLAC cut": (patched("FLAC", lambda own: own[: len(own) // 2]), "damaged"),
    "FLAC damaged": (patched("FLAC", middle), "damaged"),
    "FLAC that lies": (patched("FLAC", put(22, (400_000_000).to_bytes(4, "big"))), "fewer samples"),
    "FLAC without a length": (patched("FLAC", no_end), "does not say how long"),
    "FLAC of a year": (patched("FLAC", put(21, b"\xff" * 5)), "over the limit"),
    "Ogg cut": (patched("OGG", lambda own: own[: len(own) // 2]), "truncated or damaged"),
    "Ogg damaged": (patched("OGG", middle), "truncated or damaged"),
    "two Ogg streams": (patched("OGG", lambda own: own + own), "more than one stream"),
    "no rate": (patched("WAV", put(24, bytes(4))), "damaged"),
    "a rate of 1 GHz": (patched("WAV", put(24, (10**9).to_bytes(4, "little"))), "sampling rate"),
    "1,000 channels": (patched("WAV", put(22, (1000).to_bytes(2, "little"))), "channels"),
    "NaN": (numbers(np.nan, "FLOAT"), "not finite"),
    "beyond float32": (numbers(1e300, "DOUBLE"), "not finite"),
    "AIFF": (lambda path: stored(path, "AIFF"), "neither WAV nor FLAC"),
    "MP3 tags": (patched("WAV", lambda own: b"ID3" + own), "neither WAV nor FLAC"),
    "empty": (lambda path: written(path, b""), "empty"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_and_other_files_are_refused(tmp_path: Path, name: str) -> None:
    write, words = BROKEN[name]
    path = tmp_path / f"{PERSON}.wav"
    write(path)
    refused(READER, path, words, megabytes=30)


def test_what_is_no_file_and_what_is_too_large_is_refused(tmp_path: Path) -> None:
    whole = stored(tmp_path / f"{PERSON}.wav", "WAV")
    refused(READER, tmp_path / f"{PERSON}.wav", "over the limit", Limits(values=100))
    refused(READER, "a cell", "where a file is read")
    refused(READER, tmp_path, "a folder")
    refused(READER, Path("/dev/zero"), "a pipe, a device")
    with written(tmp_path / "holes.wav", whole).open("r+b") as file:
        file.truncate(300 << 20)
    refused(READER, tmp_path / "holes.wav", "holes", megabytes=10)
    flac = stored(tmp_path / "x.flac", "FLAC")
    for content in (whole[:2000], flac, stored(tmp_path / "x.ogg", "OGG")):
        for place in range(0, 100, 7):
            survives(READER, written(tmp_path / "x", content[:place] + b"\xff" + content[place + 1 :]))
            survives(READER, written(tmp_path / "y", content[: place * 20]))


def test_a_sound_whose_recorder_could_not_go_back_to_its_header_is_read(tmp_path: Path) -> None:
    patched("WAV", lambda own: own[:4] + b"\xff" * 4 + own[8:40] + b"\xff" * 4 + own[44:])(tmp_path / "x.wav")
    np.testing.assert_allclose(READER.read(tmp_path / "x.wav").values, tone(220).T, atol=4e-5)


def of_length(length: int, more: bytes = b"") -> Callable[[bytearray], bytes]:
    return lambda own: bytes(own[:40]) + length.to_bytes(4, "little") + bytes(own[44:]) + more


def test_a_header_that_was_never_finished_or_denies_samples_is_told(tmp_path: Path) -> None:
    path = tmp_path / f"{PERSON}.wav"
    patched("WAV", of_length(0))(path)
    refused(READER, path, "never finished")
    patched("WAV", of_length(2000))(path)
    assert READER.read(path).values.shape == (1, 1000)
    assert [note.partition(":")[0] for note in READER.inspect(path)] == [
        "bytes behind the samples are no part of the sound and are not read"
    ]
    for more in (b"LIST\4\0\0\0INFO", b"LIST\3\0\0\0abc\0id3 \2\0\0\0ab", bytes(8), b"\0LIST\4\0\0\0INFO"):
        patched("WAV", of_length(32_000, more))(path)
        assert READER.inspect(path) == () and READER.read(path).values.shape == (1, 16_000)
    big = tmp_path / f"{PERSON}-big.wav"
    soundfile.write(big, tone(220), 16_000, format="WAV", endian="BIG")
    refused(READER, big, "RIFX")


def test_floats_go_a_little_beyond_one_and_not_into_the_thousands(tmp_path: Path) -> None:
    path = tmp_path / f"{PERSON}.wav"
    stored(path, "WAV", 6 * tone(220), subtype="FLOAT")
    np.testing.assert_allclose(READER.read(path).values, 6 * tone(220).T, atol=1e-6)
    stored(path, "WAV", 32_768 * tone(220), subtype="FLOAT")
    refused(READER, path, "go beyond 8")


def sound(hz: float, seconds: float = 2.0, rate: float = 16_000.0) -> Signal:
    return Signal(tone(hz, seconds, int(rate)).T.astype(np.float32), ("mono",), rate, ("",))


def test_a_sine_lights_the_band_around_its_frequency_at_its_level() -> None:
    encoder = MelBands()
    top = 2595 * np.log10(1 + 8000 / 700)
    centres = 700 * (10 ** (np.linspace(2595 * np.log10(1 + 20 / 700), top, encoder.bands + 2) / 2595) - 1)[1:-1]
    for band in (20, 35, 50, 63):
        hz = round(centres[band] * 512 / 16_000) * 16_000 / 512  # a line of the spectrum
        weight = triangles(encoder.bands)[round(hz * 512 / 16_000), band]
        for rate in (16_000.0, 44_100.0, 48_000.0):
            token = encoder.encode([sound(hz, rate=rate)]).values[0]
            assert int(token[1, : encoder.bands].argmax()) == band
        assert weight > 0.7
        level = 20 * float(encoder.encode([sound(hz)]).values[0, 0, band])
        every_line = 512 * 150 / 200**2  # of all lines together, by Parseval: sums of the window's squares and itself
        line = 10 * np.log10(0.25**2)  # amplitude 0.5
        assert line + 10 * np.log10(weight) - 0.01 <= level <= line + 10 * np.log10(every_line) + 0.01
    twice = Signal(sound(800).values * 2, ("mono",), 16_000.0)
    bands = [encoder.encode([own]).values[0, 0, : encoder.bands] for own in (sound(800), twice)]
    assert float((bands[1] - bands[0])[int(bands[0].argmax())]) == pytest.approx(np.log10(2), abs=1e-3)


def test_silence_is_silence_and_an_offset_is_no_sound() -> None:
    for offset in (0.0, 0.4):
        found = MelBands().encode([Signal(np.full((2, 16_000), offset, np.float32), ("left", "right"), 16_000.0)])
        np.testing.assert_allclose(found.values[0, :, :64].numpy(), -5.0, atol=1e-3)
        np.testing.assert_allclose(found.values[0, :, 64:].numpy(), 0.0, atol=1e-3)


@pytest.mark.parametrize("hz", [4_000.0, 11_025.0, 16_000.0, 44_100.0, 96_000.0])
def test_a_sound_in_pieces_is_the_whole_one(hz: float, monkeypatch: pytest.MonkeyPatch) -> None:
    from scipy.signal import resample_poly

    noise = Signal(np.random.default_rng(0).normal(0, 0.1, (2, round(0.9 * hz))).astype(np.float32), ("l", "r"), hz)
    ratio = melbands.ratio_of(hz)
    whole = resample_poly(noise.values.mean(axis=0, dtype=np.float64), ratio.numerator, ratio.denominator)
    assert samples_at(noise) == len(whole)
    for start, stop in ((0, 400), (3_000, 7_001), (9_000, len(whole))):
        np.testing.assert_allclose(resampled_between(noise, 0.0, start, stop), whole[start:stop], atol=1e-9)
    tokens = MelBands(seconds=0.1).encode([noise]).values
    monkeypatch.setattr(melbands, "AT_ONCE", 3 * 1600)
    np.testing.assert_allclose(MelBands(seconds=0.1).encode([noise]).values.numpy(), tokens.numpy(), atol=1e-5)


def test_each_stretch_has_its_time_and_the_laws_hold() -> None:
    found = MelBands(seconds=0.5).encode([sound(300, 2.0), sound(300, 0.7)])
    assert found.mask.sum(1).tolist() == [4, 2] and found.times is not None
    np.testing.assert_allclose(found.times[0].numpy() * 3600, [0, 0.5, 1, 1.5], atol=1e-4)
    check_encoder(MelBands(), [sound(200 + 90 * k, 0.5 + k / 3) for k in range(6)])
    for wrong, words in ((sound(300, 0.01), "25 ms"), (sound(3, 2, 500.0), "too few"), (sound(300, 3.0), "more than")):
        with pytest.raises(ValueError, match=words):
            MelBands(most=2).encode([wrong])
    for option in ({"seconds": 0.0}, {"bands": 1000}, {"most": 0}):
        with pytest.raises(ValueError, match="option 'seconds'"):
            MelBands(**option)
