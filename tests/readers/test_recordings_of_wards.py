"""Recordings as wards keep them: several rates, gaps, missing gains, leads that are none, annotations in plain EDF."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from chiasm.encoders.signal.rocket import RandomConvolutions
from chiasm.readers import ReadError, Signal
from chiasm.readers.signal.leads import electrical, lead_names
from chiasm.readers.signal.recording import Recording
from chiasm.readers.signal.signal import EcgReader, SignalReader

wfdb = pytest.importorskip("wfdb")
pytest.importorskip("pyedflib")

from test_signal import NAME, waves, write_edf, write_wfdb  # noqa: E402

SAMPLES = 4000  # of 500 a second
FAST = np.sin(2 * np.pi * 62.5 * np.arange(SAMPLES) / 500)  # 1 mV: 8 samples a period


def interleaved(folder: Path, name: str = "r", gain: str = "1000/mV") -> Path:
    """Lead II with four samples a frame, a pressure with one: 125 frames a second."""
    frames = np.column_stack([(FAST * 1000).reshape(-1, 4), np.arange(SAMPLES // 4) % 100])
    (folder / f"{name}.dat").write_bytes(frames.astype("<i2").tobytes())
    lines = [
        f"{name} 2 125 {SAMPLES // 4}",
        f"{name}.dat 16x4 {gain} 16 0 0 0 0 II",
        f"{name}.dat 16 1/mmHg 16 0 0 0 0 ABP",
    ]
    (folder / f"{name}.hea").write_text("\n".join(lines) + "\n")
    return folder / name


def test_several_samples_a_frame_keep_their_rate(tmp_path: Path) -> None:
    signal = SignalReader().read(interleaved(tmp_path))
    assert signal.hz == 500 and signal.values.shape == (2, SAMPLES)
    assert np.ptp(signal.values[0]) == pytest.approx(2.0, abs=1e-3)
    np.testing.assert_allclose(signal.values[0], FAST, atol=1e-3)
    assert SignalReader().inspect(tmp_path / "r") == ("the leads have 2 sampling rates; all are brought to 500 Hz",)
    ecg = EcgReader().read(tmp_path / "r")
    assert ecg.leads == ("II",) and ecg.values.shape == (1, SAMPLES // 5)


def test_segments_of_several_samples_a_frame_have_gaps_where_none_is(tmp_path: Path) -> None:
    for name in ("a", "b"):
        interleaved(tmp_path, name)
    frames = SAMPLES // 4
    (tmp_path / "layout.hea").write_text("layout 2 125 0\n~ 0x4 1000/mV 16 0 0 0 0 II\n~ 0 1/mmHg 16 0 0 0 0 ABP\n")
    (tmp_path / "long.hea").write_text(f"long/4 2 125 {frames * 2 + 1250}\nlayout 0\na {frames}\n~ 1250\nb {frames}\n")
    signal = SignalReader().read(tmp_path / "long")
    assert signal.hz == 500 and signal.values.shape == (2, 2 * SAMPLES + 5000)
    np.testing.assert_allclose(signal.values[0, SAMPLES + 5000 :], FAST, atol=1e-3)
    assert np.flatnonzero(np.isnan(signal.values[0])).tolist() == list(range(SAMPLES, SAMPLES + 5000))


def test_segments_of_other_leads_or_units_are_refused(tmp_path: Path) -> None:
    for name, leads, unit in (("a", ["I", "II"], "mV"), ("b", ["II", "I"], "mV"), ("c", ["I", "II"], "uV")):
        values = waves(2, 300, 100) * (1000 if unit == "uV" else 1)
        wfdb.wrsamp(
            name, fs=100, units=[unit] * 2, sig_name=leads, p_signal=values, fmt=["16"] * 2, write_dir=str(tmp_path)
        )
    for second in ("b", "c"):
        (tmp_path / "long.hea").write_text(f"long/2 2 100 600\na 300\n{second} 300\n")
        with pytest.raises(ReadError, match="segments differ"):
            SignalReader().read(tmp_path / "long")


@pytest.mark.parametrize("gain", ["", "0", "0/mV", "0(0)/mV"])
def test_a_missing_gain_is_said_and_held_to_the_height_of_an_ecg(tmp_path: Path, gain: str) -> None:
    low, high = tmp_path / "low", tmp_path / "high"
    slow = waves(1, SAMPLES, 500)[:, 0]
    for folder, factor in ((low, 200), (high, 8_000)):
        folder.mkdir()
        (folder / "r.dat").write_bytes((slow * factor).astype("<i2").tobytes())
        rest = f" {gain} 16 0 0 0 0 II" if gain else ""
        (folder / "r.hea").write_text(f"r 1 500 {SAMPLES}\nr.dat 16{rest}\n")
    for reader in (SignalReader(), EcgReader()):
        assert "without a gain are read as 200 units a mV" in reader.inspect(low / "r")[-1]
    np.testing.assert_allclose(SignalReader().read(low / "r").values[0], slow, atol=6e-3)
    with pytest.raises(ReadError, match="spans more than 50"):
        EcgReader().read(high / "r")


def test_only_leads_of_the_heart_are_an_ecg(tmp_path: Path) -> None:
    record = write_wfdb(tmp_path, waves(4, 1000, 100), ["RESP", "MLII", "PLETH", "V1"], hz=100)
    assert EcgReader().read(record).leads == ("II", "V1")
    assert EcgReader().inspect(record)[-1] == "2 of 4 leads are no limb or chest leads and are left out"
    (tmp_path / "only").mkdir()
    only = write_wfdb(tmp_path / "only", waves(2, 1000, 100), ["RESP", "PLETH"], hz=100)
    with pytest.raises(ReadError, match="no lead is one of an electrocardiogram"):
        EcgReader().read(only)
    unnamed = Recording(("channel 1", "EEG Fpz-Cz"), ("mV", "uV"), (100.0, 100.0))
    assert electrical(unnamed) == [0]


@pytest.mark.parametrize(
    "names, kept",
    [
        ("MLII V5", "II V5"),
        ("II MLII", "II MLII"),
        ("D1 D3 ML5", "I III ML5"),
        ("V7 V8 V9 V3R vx X", "V7 V8 V9 V3R vx X"),
        ("ECG1 ECG2 EMG", "ECG1 ECG2"),
        ("mod.V1 CM5 CC5 MV2 MCL1 SpO2", "mod.V1 CM5 CC5 MV2 MCL1"),
        ("ES AS AI EOG(L)", "ES AS AI"),
        ("EKG, ABP ART CVP", "EKG,"),
        ("I, Airflow Thorax", "I,"),
    ],
)
def test_names_of_leads(names: str, kept: str) -> None:
    leads = tuple(names.split())
    chosen = electrical(Recording(leads, ("mV",) * len(leads), (100.0,) * len(leads)))
    assert lead_names([leads[k] for k in chosen]) == kept.split()


def test_annotations_of_a_plain_edf_are_no_lead(tmp_path: Path) -> None:
    path = write_edf(tmp_path / f"{NAME}.edf", [waves(1, 2500, 250)[:, 0] * 1000], ["II"], [250])
    content = bytearray(path.read_bytes())
    content[192:236] = b" " * 44  # the field that says EDF+C: a plain EDF now
    path.write_bytes(content)
    for reader in (SignalReader(), EcgReader()):
        assert reader.read(path).leads == ("II",)
        assert reader.inspect(path) is not None


def discontinuous(path: Path, times: list[float], suffix: str = "edf") -> Path:
    """Ten records of a second, each said to begin at its time."""
    path = write_edf(path, [waves(1, 250 * len(times), 250)[:, 0] * 1000], ["II"], [250])
    content = bytearray(path.read_bytes())
    content[196:197] = b"D"
    start, width = int(content[184:192]), 3 if suffix == "bdf" else 2
    per_record = [int(content[256 + 216 * 2 + 8 * k :][:8]) for k in range(2)]
    for record, seconds in enumerate(times):
        place = start + width * (sum(per_record) * record + per_record[0])
        said = f"+{seconds:.6f}".rstrip("0").rstrip(".").encode() + b"\x14\x14"
        content[place : place + width * per_record[1]] = said.ljust(width * per_record[1], b"\0")
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("suffix", ["edf", "bdf"])
def test_a_discontinuous_edf_is_read_with_its_gaps(tmp_path: Path, suffix: str) -> None:
    whole = waves(1, 2500, 250)[:, 0] * 1000
    even = discontinuous(tmp_path / f"even.{suffix}", [float(k) for k in range(10)], suffix)
    np.testing.assert_allclose(SignalReader().read(even).values[0], whole, atol=0.1)
    assert "gaps" not in " ".join(SignalReader().inspect(even))
    late = discontinuous(tmp_path / f"late.{suffix}", [7.5 + k + 4.0 * (k > 5) for k in range(10)], suffix)
    signal = SignalReader().read(late)
    assert signal.values.shape == (1, 3500)
    assert np.flatnonzero(np.isnan(signal.values[0])).tolist() == list(range(1500, 2500))
    np.testing.assert_allclose(signal.values[0, 2500:], whole[1500:], atol=0.1)
    assert SignalReader().inspect(late)[-1] == "the recording has gaps, which count as missing"
    with pytest.raises(ReadError, match="before the one before"):
        SignalReader().read(discontinuous(tmp_path / f"back.{suffix}", [0, 1, 1.5, *range(3, 10)], suffix))
    with pytest.raises(ReadError, match="over the limit"):
        SignalReader().read(discontinuous(tmp_path / f"year.{suffix}", [*range(9), 9e7], suffix))


@pytest.mark.parametrize("name, hz", [("time (ms)", 250), ("time_ms", 250), ("t [us]", 250_000), ("seconds", 0.25)])
def test_times_that_say_their_unit(tmp_path: Path, name: str, hz: float) -> None:
    path = tmp_path / "x.csv"
    path.write_text(f"{name},II\n" + "".join(f"{4 * k},1.5\n" for k in range(50)))
    assert SignalReader().read(path).hz == pytest.approx(hz)


def test_what_a_gap_hides_changes_no_token() -> None:
    values = waves(1, 6000, 100).T.astype(np.float32)
    whole = Signal(values, ("II",), 100.0, ("mV",))
    encoder = RandomConvolutions(leads="II")
    token = encoder.encode([whole]).values[0, 0].numpy()
    holed, line = values.copy(), values.copy()
    holed[:, 1000:3000] = np.nan
    line[:, 1000:3000] = np.linspace(values[0, 999], values[0, 3000], 2000)  # what a line over the gap would hold
    with_gap = encoder.encode([replace(whole, values=holed)]).values[0, 0].numpy()
    assert np.abs(with_gap - token).max() < 0.05  # the same rhythm, twenty seconds less of it
    assert np.abs(encoder.encode([replace(whole, values=line)]).values[0, 0].numpy() - token).max() > 0.1
