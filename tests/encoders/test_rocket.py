"""Fixed convolutions: as by hand, in millivolt, lead by lead, whatever the recording's order and length."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from chiasm.encoders.signal import rocket
from chiasm.encoders.signal.rocket import STANDARD_LEADS, RandomConvolutions, convolved
from chiasm.readers.reading import ReadError, Signal
from chiasm.testing import check_encoder

ECG = RandomConvolutions()
CHANNELS = RandomConvolutions(kind="signal")


def record(seed: int, leads: tuple[str, ...] = STANDARD_LEADS, samples: int = 400, hz: float = 100.0) -> Signal:
    noise = np.random.default_rng(seed).normal(0, 0.1, (len(leads), samples))
    beats = np.sin(2 * np.pi * 1.3 * np.arange(samples) / hz) ** 20
    return Signal((noise + beats).astype(np.float32), leads, hz, ("mV",) * len(leads))


def tokens(encoder: RandomConvolutions, signal: Signal) -> np.ndarray:
    return np.asarray(encoder.encode([signal]).values[0].numpy())


def test_the_laws_of_an_encoder_hold() -> None:
    check_encoder(ECG, [record(k, samples=100 + 90 * k) for k in range(6)])
    check_encoder(CHANNELS, [record(k, ("Fz", "Cz", "Pz")[: 1 + k % 3], 50 + 300 * k, 64.0) for k in range(6)])


def test_it_is_the_convolution_that_it_says() -> None:
    values = np.random.default_rng(0).normal(size=(2, 90)).astype(np.float32)
    found = convolved(torch.from_numpy(values)).reshape(2, 3, 84, 2)
    for block, dilation in enumerate((1, 4, 16)):
        for row in (0, 1, 40, 83):
            places = list(combinations(range(9), 3))[row]
            padded = np.pad(values[1], 4 * dilation, mode="edge")
            windows = np.stack([padded[k * dilation : k * dilation + 90] for k in range(9)])
            rest = [k for k in range(9) if k not in places]
            above = windows[list(places)].mean(0) - windows[rest].mean(0) - (0.5, -0.5, 0.1, -0.1)[row % 4]
            expected = [(above > 0).mean(), np.maximum(above, 0).mean()]
            np.testing.assert_allclose(found[1, block, row], expected, atol=1e-6)


def test_a_long_recording_in_blocks_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    values = torch.from_numpy(record(1, samples=500).values)
    whole = convolved(values)
    monkeypatch.setattr(rocket, "BLOCK", 37)
    np.testing.assert_allclose(convolved(values), whole, atol=1e-6)


@settings(deadline=None, max_examples=10)
@given(st.permutations(range(12)), st.floats(-3, 3))
def test_order_case_and_offset_of_an_ecg_do_not_matter(order: list[int], offset: float) -> None:
    signal = record(3)
    turned = Signal(
        signal.values[order] + np.float32(offset),
        tuple(signal.leads[k].upper() for k in order),
        signal.hz,
    )
    one, other = tokens(ECG, signal), tokens(ECG, turned)
    loose = np.isclose(one, other, atol=2e-5)
    assert loose.mean() > 0.99 and np.abs(one - other).max() < 0.01, "a sample on its threshold may fall either way"


def test_amplitude_counts_in_an_ecg_and_not_in_other_signals() -> None:
    signal = record(4)
    double = replace(signal, values=2 * signal.values)
    assert np.abs(tokens(ECG, signal) - tokens(ECG, double)).max() > 0.5
    np.testing.assert_allclose(tokens(CHANNELS, signal), tokens(CHANNELS, double), atol=1e-4)


def test_a_lead_keeps_its_slot_and_a_missing_one_says_so() -> None:
    signal = record(5)
    six = Signal(signal.values[:6], STANDARD_LEADS[:6], signal.hz)
    found = tokens(ECG, six)
    assert np.array_equal(found[:6], tokens(ECG, signal)[:6])
    assert list(found[:, 504]) == [1.0] * 6 + [0.0] * 6
    assert not found[6:].any()
    chosen = RandomConvolutions(leads="II+V1")
    assert chosen.slots == 2 and list(tokens(chosen, six)[:, 504]) == [1.0, 0.0]


def test_gaps_are_bridged_and_a_lead_that_is_mostly_gap_is_missing() -> None:
    signal = record(6)
    values = signal.values.copy()
    values[2, 100:103] = np.nan
    values[7, :300] = np.nan
    found = tokens(ECG, replace(signal, values=values))
    assert np.isfinite(found).all()
    assert found[7].sum() == 0 and found[2, 504] == 1
    assert np.abs(found[2] - tokens(ECG, signal)[2]).max() < 0.1
    assert np.array_equal(found[0], tokens(ECG, signal)[0])


def test_the_sampling_rate_hardly_matters() -> None:
    steps = np.arange(5000) / 500
    wave = (np.sin(2 * np.pi * 1.1 * steps) ** 8)[None].astype(np.float32)
    fine = tokens(RandomConvolutions(leads="I"), Signal(wave, ("I",), 500.0))
    coarse = tokens(RandomConvolutions(leads="I"), Signal(wave[:, ::5], ("I",), 100.0))
    assert np.abs(fine - coarse).max() < 0.06
    raw = tokens(RandomConvolutions(leads="I", hz=0.0), Signal(wave, ("I",), 500.0))
    assert np.abs(fine - raw).max() > 0.1


def test_what_cannot_be_is_refused() -> None:
    good = record(7)
    broken = {
        "none of the leads": replace(good, leads=tuple("mnopqrstuwxy")),
        "not in mV": replace(good, units=("uV",) * 12),
        "no sampling rate": replace(good, hz=0.0),
        "is empty": replace(good, values=np.zeros((12, 0), np.float32)),
        "samples a second": replace(good, hz=0.1),
        "none of the": replace(good, values=np.full((12, 9), np.nan, np.float32)),
    }
    for message, signal in broken.items():
        with pytest.raises(ReadError, match=message):
            ECG.encode([signal])
    for wrong in ({"kind": "eeg"}, {"hz": -1.0}):
        with pytest.raises(ValueError, match="rocket"):
            RandomConvolutions(**wrong)  # type: ignore[arg-type]


def test_options_show_in_the_identity() -> None:
    others: list[dict[str, Any]] = [{}, {"kind": "signal"}, {"leads": "I"}, {"hz": 250.0}]
    assert len({RandomConvolutions(**options).identity for options in others}) == 4


def test_real_recordings_have_twelve_leads(shared_data: Path) -> None:
    folder = shared_data / "ptbxl-ecg" / "ecg"
    wfdb = pytest.importorskip("wfdb")
    names = sorted(path.with_suffix("") for path in folder.glob("*.hea"))[:5]
    if not names:
        pytest.skip("the recordings are not there")
    found = [wfdb.rdrecord(str(name)) for name in names]
    raw = [Signal(r.p_signal.T.astype(np.float32), tuple(r.sig_name), float(r.fs), tuple(r.units)) for r in found]
    given = ECG.encode(raw)
    assert given.values.shape == (len(raw), 12, 508) and bool((given.values[..., 504] == 1).all())
    assert float(given.values.abs().max()) < 100
