"""Recordings from WFDB, EDF and tables: values, units, rate and leads; and what is refused."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chiasm.readers import Limits, ReadError, reader_for
from chiasm.readers.leads import STANDARD, lead_name, twelve_leads
from chiasm.readers.recording import at_rate, without_gaps
from chiasm.readers.signal import EcgReader, SignalReader

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


def test_short_gaps_are_bridged_and_long_ones_refused(tmp_path: Path) -> None:
    row = np.arange(500.0)
    holed = row.copy()
    holed[[0, 100, 101, 102, 499]] = np.nan
    filled = without_gaps(holed, 100)
    np.testing.assert_allclose(filled[1:499], row[1:499])
    assert filled[0] == 1 and filled[499] == 498
    for wrong, what in ((slice(100, 202), "gap of 1.0 seconds"), (slice(None), "no valid sample")):
        holed = row.copy()
        holed[wrong] = np.nan
        with pytest.raises(ReadError, match=what):
            without_gaps(holed, 100)
    values = waves(2, 500, 100)
    values[100:103, 0] = np.nan
    signal = SignalReader().read(write_wfdb(tmp_path, values, ["I", "II"], hz=100))
    assert np.isfinite(signal.values).all() and abs(signal.values[0, 101] - waves(2, 500, 100)[101, 0]) < 0.05


@given(hz=st.floats(50, 2000), offset=st.floats(-5, 5))
@settings(max_examples=25, deadline=None)
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


def edited(old: str, new: str) -> Callable[[Path], None]:
    def spoil(record: Path) -> None:
        header = record.with_name(record.name + ".hea")
        text = header.read_text()
        assert old in text
        header.write_text(text.replace(old, new))

    return spoil


def cut(record: Path) -> None:
    data = record.with_name(record.name + ".dat")
    data.write_bytes(data.read_bytes()[:-7])


def linked(record: Path) -> None:
    data = record.with_name(record.name + ".dat")
    secret = record.parent.parent / "secret.dat"
    data.replace(secret)
    data.symlink_to(secret)


def header_is(content: bytes) -> Callable[[Path], None]:
    return lambda record: record.with_name(record.name + ".hea").write_bytes(content) and None


BROKEN_RECORDS = {
    "data outside": (edited(f"{NAME}.dat", "../secret.dat"), "outside its folder"),
    "absolute data": (edited(f"{NAME}.dat", "/etc/passwd"), "outside its folder"),
    "data of a url": (edited(f"{NAME}.dat", "http://host/secret.dat"), "outside its folder"),
    "data of a chain": (edited(f"{NAME}.dat", "zip::secret.dat"), "outside its folder"),
    "a link outside": (linked, "outside its folder"),
    "missing data": (lambda record: record.with_name(NAME + ".dat").unlink(), "not there"),
    "truncated data": (cut, "shorter than"),
    "a lying length": (edited(" 500 1000", " 500 100000"), "shorter than"),
    "a bomb of a length": (edited(" 500 1000", " 500 99999999999"), "shorter than"),
    "a bomb of a skew": (edited(".dat 16 ", ".dat 16:99999999 "), "skewed"),
    "a bomb of a frame": (edited(".dat 16 ", ".dat 16x99999999 "), "shorter than"),
    "an unknown format": (edited(".dat 16 ", ".dat 17 "), "format"),
    "no rate": (edited(" 500 1000", " 0 1000"), "sampling rate"),
    "fewer leads": (edited(f"{NAME} 2", f"{NAME} 3"), "announces other"),
    "no leads": (header_is(b"x 0 500 1000\n"), "no leads"),
    "an empty header": (header_is(b"# a comment\n"), "header is empty"),
    "garbage": (header_is(bytes(range(256)) * 8), "WFDB|outside|announces"),
    "a header of megabytes": (header_is(b"# " + b"x" * 2_000_000), "over 1 MB"),
    "a long number": (header_is(b"x 1 500 " + b"9" * 5000 + b"\nx.dat 16\n"), "WFDB|not there"),
}


def silent(error: ReadError, folder: Path) -> None:
    """The error names neither a path nor a patient, nor what it was raised from."""
    assert NAME not in str(error) and str(folder) not in str(error) and "secret" not in str(error)
    assert error.__cause__ is None and (error.__context__ is None or error.__suppress_context__)


@pytest.mark.parametrize("broken", BROKEN_RECORDS)
def test_broken_records_are_refused(tmp_path: Path, broken: str) -> None:
    spoil, what = BROKEN_RECORDS[broken]
    folder = tmp_path / NAME
    folder.mkdir()
    record = write_wfdb(folder, waves(2, 1000, 500), ["I", "II"])
    spoil(record)
    tracemalloc.start()
    with pytest.raises(ReadError, match=what) as caught:
        EcgReader().read(record)
    assert tracemalloc.get_traced_memory()[1] < 50e6
    tracemalloc.stop()
    silent(caught.value, folder)


def bytes_at(place: int, content: bytes) -> Callable[[bytes], bytes]:
    return lambda data: data[:place] + content + data[place + len(content) :]


BROKEN_EDF = {
    "truncated": (lambda data: data[:-100], "not as long"),
    "a header alone": (lambda data: data[:200], "within its header"),
    "more records": (bytes_at(236, b"99999999"), "not as long|damaged|keep to"),
    "unknown length": (bytes_at(236, b"-1      "), "how long"),
    "discontinuous": (bytes_at(192, b"EDF+D"), "discontinuous"),
    "no leads": (bytes_at(252, b"0   "), "keep to"),
    "too many leads": (bytes_at(252, b"9999"), "keep to"),
    "a duration of zero": (bytes_at(244, b"0       "), "keep to|sampling|damaged|not as long"),
    "a header of text": (bytes_at(236, b"a lot   "), "keep to|not as long"),
    "garbage": (lambda data: data[:8] + bytes(range(256)) * 20, "keep to"),
    "nothing": (lambda data: b"", "neither EDF nor BDF|empty"),
}


@pytest.mark.parametrize("broken", BROKEN_EDF)
def test_broken_edf_is_refused(tmp_path: Path, broken: str) -> None:
    spoil, what = BROKEN_EDF[broken]
    path = write_edf(tmp_path / f"{NAME}.edf", [waves(1, 500, 250)[:, 0]], ["II"], [250])
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(ReadError, match=what) as caught:
        SignalReader().read(path)
    silent(caught.value, tmp_path)


def lines(count: int, start: str = "time,II\n", row: str = "{t:.3f},1\n") -> str:
    return start + "".join(row.format(t=k / 100) for k in range(count))


BROKEN_TABLES = {
    "no time": (lines(50, "II,V1\n"), "no column holds the time"),
    "an index in place of a time": (lines(50, "sample,II\n"), "no column holds the time"),
    "uneven times": (lines(50) + "7.3,1\n", "evenly"),
    "times that stand still": ("time,II\n" + "0,1\n" * 50, "evenly"),
    "whole steps without a name": ("".join(f"{k},1.5\n" for k in range(50)), "not said to be the time"),
    "text": (lines(50) + f"0.5,{NAME}\n", "no number"),
    "a row of more cells": (lines(50) + "0.5,1,2,3\n", "no number"),
    "rows of more cells": (lines(50, row="{t:.3f},1,2\n"), "no number"),
    "no rows": ("time,II\n", "no rows"),
    "two rows": (lines(2), "fewer than three"),
    "the time alone": (lines(50, "time\n", "{t:.3f}\n"), "no column beside"),
    "an empty lead": (lines(50, "time,II\n", "{t:.3f},\n"), "no valid sample"),
    "a long gap": (lines(300, row="{t:.3f},\n").replace("0.000,\n", "0.000,1\n"), "gap"),
    "binary": ("time,II\n\0\0", "binary"),
    "another encoding": ("time,Ünit\n".encode("latin-1") + b"0,1\n", "UTF-8"),
    "half a header": ("time,1,2,3\n0,1,2,3\n", "neither names nor numbers"),
    "infinite": ("time,II\n" + "".join(f"{k / 100},1e39\n" for k in range(50)), "too large"),
}


@pytest.mark.parametrize("broken", BROKEN_TABLES)
def test_broken_tables_are_refused(tmp_path: Path, broken: str) -> None:
    content, what = BROKEN_TABLES[broken]
    path = tmp_path / f"{NAME}.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ReadError, match=what) as caught:
        SignalReader().read(path)
    silent(caught.value, tmp_path)


def test_limits_hold_before_anything_is_decoded(tmp_path: Path) -> None:
    record = write_wfdb(tmp_path, waves(2, 1000, 500), ["I", "II"])
    edf = write_edf(tmp_path / "x.edf", [waves(1, 500, 250)[:, 0]], ["II"], [250])
    for item in (record, edf, table(tmp_path / "x.csv")):
        for limits, what in ((Limits(values=400), "values, over"), (Limits(bytes=500), "GB, over")):
            with pytest.raises(ReadError, match=what):
                SignalReader().read(item, limits)


def test_what_is_no_recording_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.bin").write_bytes(b"\1\2\3")
    for item in (tmp_path, tmp_path / "nowhere", tmp_path / "x.bin", "1 2 3"):
        for reader in (EcgReader(), SignalReader()):
            with pytest.raises(ReadError) as caught:
                reader.read(item)
            silent(caught.value, tmp_path)
    slow = write_wfdb(tmp_path, waves(1, 100, 10), ["II"], hz=10)
    with pytest.raises(ReadError, match="fewer than 50"):
        EcgReader().read(slow)
    for second in ("Lead I", "I"):
        record = write_wfdb(tmp_path, waves(2, 500, 100), ["I", "II"], hz=100)
        edited(" II\n", f" {second}\n")(record)
        with pytest.raises(ReadError, match="I stands twice"):
            EcgReader().read(record)
    for kind, reader in (("ecg", EcgReader), ("signal", SignalReader)):
        assert isinstance(reader_for(kind), reader) and reader().kind == kind


@given(data=st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_other_error_escapes(tmp_path: Path, data: st.DataObject) -> None:
    which = data.draw(st.sampled_from([".hea", ".dat", ".edf", ".csv"]))
    path = tmp_path / f"{NAME}{which}"
    source = tmp_path / f"whole{which}"
    if not source.exists():
        write_wfdb(tmp_path, waves(2, 60, 100), ["I", "II"], hz=100)
        write_edf(tmp_path / f"{NAME}.edf", [waves(1, 100, 100)[:, 0]], ["II"], [100])
        table(tmp_path / f"{NAME}.csv", 100, samples=60)
        for suffix in (".hea", ".dat", ".edf", ".csv"):
            (tmp_path / f"whole{suffix}").write_bytes((tmp_path / f"{NAME}{suffix}").read_bytes())
    for suffix in (".hea", ".dat"):
        (tmp_path / f"{NAME}{suffix}").write_bytes((tmp_path / f"whole{suffix}").read_bytes())
    content = bytearray(source.read_bytes())
    place = data.draw(st.integers(0, min(len(content), 1200) - 1))
    how = data.draw(st.sampled_from(["cut", "flip", "garbage"]))
    if how == "cut":
        content = content[:place]
    elif how == "flip":
        content[place] ^= 1 << data.draw(st.integers(0, 7))
    else:
        content[place : place + 8] = data.draw(st.binary(min_size=8, max_size=8))
    path.write_bytes(bytes(content))
    item = tmp_path / NAME if which in (".hea", ".dat") else path
    if which in (".edf", ".csv"):
        item = path.rename(tmp_path / f"other{which}")
    for reader in (SignalReader(), EcgReader()):
        try:
            assert np.isfinite(reader.read(item).values).all()
        except ReadError as error:
            silent(error, tmp_path)
