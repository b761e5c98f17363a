"""Recordings from WFDB, EDF and tables: values, units, rate and leads; and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chiasm.readers import ReadError
from chiasm.readers.signal.leads import STANDARD, lead_name, twelve_leads
from chiasm.readers.signal.recording import at_rate, without_gaps
from chiasm.readers.signal.signal import EcgReader, SignalReader
from examples import examples

wfdb = pytest.importorskip("wfdb")
pyedflib = pytest.importorskip("pyedflib")

NAME = "Jane_Roe_1957"  # planted in paths and headers; no message may hold it
TWELVE = ["I", "II", "III", "AVR", "AVL", "AVF", "V1", "V2", "V3", "V4", "V5", "V6"]


def waves(leads: int, samples: int, hz: float) -> np.ndarray:
    """(T, L) smooth signals of 1 mV, slow enough for 100 samples a second."""
    seconds = np.arange(samples) / hz
    return np.stack([np.sin(2 * np.pi * (1 + k / 4) * seconds + k) for k in range(leads)], axis=1)


def write_wfdb(
    folder: Path, values: np.ndarray, leads: list[str], hz: float = 500, unit: str = "mV", fmt: str = "16"
) -> Path:
    wfdb.wrsamp(
        NAME, fs=hz, units=[unit] * len(leads), sig_name=leads, p_signal=values, fmt=[fmt] * len(leads),
        write_dir=str(folder), comments=[f"patient {NAME}"],
    )  # fmt: skip
    return folder / NAME


def write_edf(path: Path, rows: list[np.ndarray], leads: list[str], rates: list[int], unit: str = "uV") -> Path:
    kind = pyedflib.FILETYPE_BDFPLUS if path.suffix == ".bdf" else pyedflib.FILETYPE_EDFPLUS
    writer = pyedflib.EdfWriter(str(path), len(leads), file_type=kind)
    top = 2**23 - 1 if path.suffix == ".bdf" else 2**15 - 1
    for k, (lead, rate) in enumerate(zip(leads, rates, strict=True)):
        writer.setSignalHeader(
            k,
            {
                "label": lead, "dimension": unit, "sample_frequency": rate, "physical_max": 3000.0,
                "physical_min": -3000.0, "digital_max": top, "digital_min": -top, "prefilter": "", "transducer": "",
            },
        )  # fmt: skip
    writer.setPatientName(NAME)
    writer.writeSamples(rows)
    writer.writeAnnotation(0.5, -1, f"{NAME} fainted")
    writer.close()
    return path


def edited(old: str, new: str) -> Callable[[Path], None]:
    def spoil(record: Path) -> None:
        header = record.with_name(record.name + ".hea")
        text = header.read_text()
        assert old in text
        header.write_text(text.replace(old, new))

    return spoil


def silent(error: ReadError, folder: Path) -> None:
    """The error names neither a path nor a patient, nor what it was raised from."""
    assert NAME not in str(error) and str(folder) not in str(error) and "secret" not in str(error)
    assert error.__cause__ is None and (error.__context__ is None or error.__suppress_context__)


def test_a_real_record_is_read_as_it_is(shared_data: Path) -> None:
    folder = shared_data / "ptbxl-ecg" / "ecg"
    for name in ("00001", "00015"):
        raw = wfdb.rdrecord(str(folder / name)).p_signal
        signal = EcgReader().read(folder / name)
        assert signal.leads == STANDARD and signal.hz == 100 and set(signal.units) == {"mV"}
        assert signal.values.shape == (12, 1000) and signal.values.dtype == np.float32
        np.testing.assert_allclose(signal.values, raw.T, atol=1e-6)
    assert EcgReader().inspect(folder / "00001") == ()


def test_leads_are_named_and_ordered_whatever_their_spelling(tmp_path: Path) -> None:
    leads = ["V6", "Lead II", "ECG I", "MLII", "avf", "V1"]
    values = waves(6, 1000, 500)
    signal = EcgReader().read(write_wfdb(tmp_path, values, leads))
    assert signal.leads == ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V6", "MLII")
    assert signal.hz == 100 and signal.values.shape == (9, 200)
    expected = waves(6, 200, 100).T
    np.testing.assert_allclose(signal.values[0, 20:-20], expected[2, 20:-20], atol=5e-3)
    np.testing.assert_allclose(signal.values[2], signal.values[1] - signal.values[0], atol=1e-5)
    np.testing.assert_allclose(signal.values[5, 20:-20], expected[4, 20:-20], atol=5e-3)  # its own, not computed
    assert [lead_name(name) for name in ("-aVR", "I-II", "V1-V2", "aVR ", "ECG_V3", "EKG V4-Ref")] == [
        "-aVR", "I-II", "V1-V2", "aVR", "V3", "V4",
    ]  # fmt: skip


def test_limb_leads_follow_from_two(tmp_path: Path) -> None:
    rows = {"II": np.array([3.0, 1.0]), "I": np.array([1.0, 2.0])}
    found = twelve_leads(rows)
    assert list(found) == ["I", "II", "III", "aVR", "aVL", "aVF"]
    np.testing.assert_allclose(found["aVR"] + found["aVL"] + found["aVF"], 0)
    assert list(twelve_leads({"V2": rows["I"], "II": rows["II"]})) == ["II", "V2"]


@pytest.mark.parametrize("unit, factor", [("uV", 1e-3), ("V", 1e3), ("mV", 1.0)])
def test_an_ecg_comes_in_millivolt(tmp_path: Path, unit: str, factor: float) -> None:
    values = waves(2, 1000, 100) / factor
    signal = EcgReader().read(write_wfdb(tmp_path, values, ["I", "II"], hz=100, unit=unit, fmt="32"))
    np.testing.assert_allclose(signal.values[:2], values.T * factor, atol=1e-4)
    plain = SignalReader().read(tmp_path / NAME)
    assert plain.units == (unit, unit) and plain.leads == ("I", "II")
    np.testing.assert_allclose(plain.values, values.T, rtol=1e-4, atol=1e-4 / factor)


def test_what_is_no_voltage_is_left_out_of_an_ecg(tmp_path: Path) -> None:
    wfdb.wrsamp(
        NAME, fs=100, units=["mV", "mmHg"], sig_name=["II", "ABP"], p_signal=waves(2, 500, 100), fmt=["16"] * 2,
        write_dir=str(tmp_path),
    )  # fmt: skip
    assert EcgReader().read(tmp_path / NAME).leads == ("II",)
    assert "1 of 2 leads are no voltage" in EcgReader().inspect(tmp_path / NAME)[0]
    assert SignalReader().read(tmp_path / f"{NAME}.hea").units == ("mV", "mmHg")


@pytest.mark.parametrize("fmt", ["16", "24", "32", "80", "212", "516"])
def test_formats_of_wfdb(tmp_path: Path, fmt: str) -> None:
    values = waves(3, 601, 250)
    record = write_wfdb(tmp_path, values, ["a", "b", "c"], hz=250, fmt=fmt)
    edited(" c\n", " a\n")(record)
    signal = SignalReader().read(record)
    assert signal.leads == ("a", "b", "a 2") and signal.hz == 250
    np.testing.assert_allclose(signal.values, values.T, atol=2e-2)


def test_segments_are_joined(tmp_path: Path) -> None:
    values = waves(2, 300, 100)
    for k in (0, 1):
        wfdb.wrsamp(
            f"{NAME}_{k}", fs=100, units=["mV"] * 2, sig_name=["I", "II"], p_signal=values[150 * k : 150 * (k + 1)],
            fmt=["16"] * 2, write_dir=str(tmp_path),
        )  # fmt: skip
    header = tmp_path / "joined.hea"
    header.write_text(f"joined/2 2 100 300\n{NAME}_0 150\n{NAME}_1 150\n")
    np.testing.assert_allclose(SignalReader().read(tmp_path / "joined").values, values.T, atol=1e-3)
    refused = {
        f"joined/2 2 100 300\n{NAME}_0 150\n../{NAME}_1 150\n": "outside its folder",
        f"joined/2 2 100 300\n{NAME}_0 150\n{NAME}_1 140\n": "not as long",
        f"joined/2 2 100 300\n{NAME}_0 160\n{NAME}_1 140\n": "not what the header",
        f"joined/2 2 100 150\n{NAME}_0 150\nnowhere 0\n": "not there",
        "joined/1 2 100 300\njoined 300\n": "not what the header",
        f"joined/3 2 100 300\n{NAME}_0 150\n{NAME}_1 150\n": "announces other",
        "joined/1 2 100 300\n~ 300\n": "empty",
    }
    for text, what in refused.items():
        header.write_text(text)
        with pytest.raises(ReadError, match=what) as caught:
            SignalReader().read(tmp_path / "joined")
        silent(caught.value, tmp_path)


def test_a_header_may_leave_the_length_out(tmp_path: Path) -> None:
    record = write_wfdb(tmp_path, waves(2, 1000, 500), ["I", "II"])
    edited(" 500 1000", " 500")(record)
    assert SignalReader().read(record).values.shape == (2, 1000)


def test_a_folder_that_looks_like_a_remote_file_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "zip::file"
    folder.mkdir()
    with pytest.raises(ReadError, match="remote"):
        SignalReader().read(write_wfdb(folder, waves(2, 1000, 500), ["I", "II"]))


@pytest.mark.parametrize("suffix", [".edf", ".bdf"])
def test_edf_and_bdf(tmp_path: Path, suffix: str) -> None:
    rows = [waves(1, 2500, 250)[:, 0] * 1000, np.cos(np.arange(1000) / 16) * 500]
    path = write_edf(tmp_path / f"{NAME}{suffix}", rows, ["ECG I", "II"], [250, 100])
    signal = SignalReader().read(path)
    assert (signal.hz, signal.leads, signal.units) == (250, ("ECG I", "II"), ("uV", "uV"))
    np.testing.assert_allclose(signal.values[0], rows[0], atol=0.1)
    np.testing.assert_allclose(signal.values[1, ::5][20:-20], rows[1][::2][20:-20], atol=5)
    ecg = EcgReader().read(path)
    assert ecg.leads[:2] == ("I", "II") and ecg.values.shape == (6, 1000)
    np.testing.assert_allclose(ecg.values[1], rows[1] / 1000, atol=1e-4)
    notes = SignalReader().inspect(path)
    assert len(notes) == 2 and "patient field" in notes[0] and "sampling rates" in notes[1]
    assert NAME not in " ".join(notes)


def table(path: Path, hz: float = 360, header: str = "time,II (uV),V1 (uV)", samples: int = 1000) -> Path:
    values = waves(2, samples, hz) * 1000
    lines = [header] if header else []
    lines += [f"{k / hz:.4f},{a:.3f},{b:.3f}" for k, (a, b) in enumerate(values)]
    path.write_text("\n".join(lines) + "\n")
    return path


def test_a_table_of_text(tmp_path: Path) -> None:
    path = table(tmp_path / "x.csv")
    signal = SignalReader().read(path)
    assert (signal.hz, signal.leads, signal.units) == (360, ("II", "V1"), ("uV", "uV"))
    np.testing.assert_allclose(signal.values, waves(2, 1000, 360).T * 1000, atol=1e-2)
    ecg = EcgReader().read(path)
    assert ecg.values.shape == (2, 278) and abs(ecg.values).max() < 1.2
    bare = SignalReader().read(table(tmp_path / "bare.csv", header=""))
    assert bare.leads == ("lead 1", "lead 2") and bare.hz == 360
    milli = tmp_path / "milli.csv"
    milli.write_text("II;time_ms\n" + "\n".join(f"{np.sin(k)};{k * 4}" for k in range(50)))
    assert SignalReader().read(milli).hz == 250
    with pytest.raises(ReadError, match="spans more than 50"):
        EcgReader().read(table(tmp_path / "unit.csv", header="time,II,V1"))
    assert "taken to be in mV" in EcgReader().inspect(tmp_path / "unit.csv")[0]


def test_short_gaps_are_bridged_and_long_ones_are_missing(tmp_path: Path) -> None:
    row = np.arange(500.0)
    holed = row.copy()
    holed[[0, 100, 101, 102, 499]] = np.nan
    filled = without_gaps(holed, 100, 100)
    np.testing.assert_allclose(filled[1:499], row[1:499])
    assert filled[0] == 1 and filled[499] == 498
    holed[200:302] = np.nan
    assert np.flatnonzero(np.isnan(without_gaps(holed, 100, 100))).tolist() == list(range(200, 302))
    assert np.flatnonzero(np.isnan(without_gaps(holed, 100, 200))).tolist() == list(range(399, 604))
    assert np.isnan(without_gaps(np.full(500, np.nan), 100, 50)).all()
    values = waves(2, 500, 100)
    values[100:103, 0] = np.nan
    values[200:400, 1] = np.nan
    signal = SignalReader().read(write_wfdb(tmp_path, values, ["I", "II"], hz=100))
    assert np.isfinite(signal.values[0]).all() and abs(signal.values[0, 101] - waves(2, 500, 100)[101, 0]) < 0.05
    assert np.flatnonzero(np.isnan(signal.values[1])).tolist() == list(range(200, 400))
    ecg = EcgReader().read(tmp_path / NAME)
    assert np.array_equal(np.isnan(ecg.values[ecg.leads.index("III")]), np.isnan(signal.values[1]))


@given(hz=st.floats(50, 2000), offset=st.floats(-5, 5))
@settings(max_examples=examples(25), deadline=None)
def test_resampling_keeps_a_slow_wave(hz: float, offset: float) -> None:
    seconds = np.arange(int(4 * hz)) / hz
    row = np.sin(2 * np.pi * seconds) + offset
    found = at_rate(row, hz, 100)
    expected = np.sin(2 * np.pi * np.arange(len(found)) / 100) + offset
    assert abs(len(found) - 400) <= 2
    np.testing.assert_allclose(found[30:-30], expected[30:-30], atol=0.02)


def test_what_is_too_fast_for_the_rate_is_filtered_out() -> None:
    row = np.sin(2 * np.pi * 80 * np.arange(5000) / 500)
    assert abs(at_rate(row, 500, 100)[50:-50]).max() < 0.02
