"""Copies of a sound are near each other in every format, rate and loudness; two voices are not, whatever they share."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from scipy.signal import lfilter, resample_poly

from chiasm.encoding.decoded_twins import NEAR
from chiasm.encoding.sound_thumbnail import sound_thumbnail
from chiasm.readers import Signal
from chiasm.readers.signal.audio import AudioReader
from small_recipes import at_night

soundfile = pytest.importorskip("soundfile")
HZ, SECONDS = 16_000, 3


def voice(seed: int) -> np.ndarray:
    """Harmonics of a pitch that wavers, as loud as words are, and a little noise."""
    rng = np.random.default_rng(seed)
    steps = np.arange(SECONDS * HZ) / HZ
    pitch = (120 + 60 * rng.random()) * (1 + 0.1 * np.sin(2 * np.pi * rng.uniform(0.5, 3) * steps + rng.random()))
    phase = 2 * np.pi * np.cumsum(pitch) / HZ
    wave = sum(np.sin(k * phase) / k for k in range(1, 25))
    words = np.clip(lfilter([0.001], [1, -0.999], rng.normal(size=len(steps))) * 20, 0, 1)
    return np.asarray(0.3 * wave * words / np.abs(wave).max() + 1e-4 * rng.normal(size=len(steps)))


def apart(one: np.ndarray | None, other: np.ndarray | None) -> float:
    assert one is not None and other is not None and one.shape == other.shape
    assert one.mean() == pytest.approx(0, abs=1e-9) and one.std() == pytest.approx(1)
    return float(np.sqrt(np.mean((one - other) ** 2)))


def of(values: np.ndarray) -> np.ndarray | None:
    return sound_thumbnail(Signal(values[None].astype(np.float32), ("mono",), float(HZ)))


COPIES = {
    "Ogg": (1, {"format": "OGG", "subtype": "VORBIS"}), "Opus": (1, {"format": "OGG", "subtype": "OPUS"}),
    "8 bits": (1, {"format": "WAV", "subtype": "PCM_U8"}), "law": (1, {"format": "WAV", "subtype": "ULAW"}),
    "8 kHz": (0.5, {"format": "WAV"}), "44.1 kHz": (44.1 / 16, {"format": "FLAC"}),
}  # fmt: skip


@pytest.mark.parametrize("name", COPIES)
@pytest.mark.parametrize("seed", [0, *at_night(1, 2, 3)])
def test_a_copy_in_another_format_or_rate_is_near(tmp_path: Path, name: str, seed: int) -> None:
    wave, (rate, options) = voice(seed), COPIES[name]
    copy = resample_poly(wave, round(rate * 160), 160)
    soundfile.write(tmp_path / "x", copy, round(rate * HZ), **options)
    assert apart(of(wave), sound_thumbnail(AudioReader().read(tmp_path / "x"))) < NEAR["audio"] - 0.05


def test_a_louder_or_stereo_copy_is_near_and_a_shared_start_or_beep_makes_none() -> None:
    voices = [voice(k) for k in range(10, 18)]
    both = Signal(np.stack([voices[0], voices[0] / 2]).astype(np.float32), ("left", "right"), float(HZ))
    assert apart(of(voices[0]), sound_thumbnail(both)) < 0.05 and apart(of(voices[0]), of(voices[0] / 5)) < 0.1
    steps = np.arange(SECONDS * HZ) / HZ
    thump = 0.3 * np.exp(-2 * steps)
    beep = 0.5 * np.sin(2 * np.pi * 1000 * steps) * (steps % 2 < 0.5)
    for shared, share in ((0 * steps, 1.0), (thump, 0.1), (beep, 0.3)):
        found = [of(share * own + shared) for own in voices]
        assert min(apart(one, other) for one, other in combinations(found, 2)) > NEAR["audio"] + 0.1


def test_what_is_steady_or_short_has_no_thumbnail() -> None:
    steps = np.arange(SECONDS * HZ) / HZ
    assert of(0.3 * np.sin(2 * np.pi * 500 * steps)) is None and of(0 * steps) is None
    assert of(voice(0)[:1000]) is None
