"""Recordings that are broken, hostile or none: each is refused in a sentence that names nobody."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from examples import examples

pytest.importorskip("wfdb")
pytest.importorskip("pyedflib")

from test_signal import NAME, edited, silent, table, waves, write_edf, write_wfdb

from chiasm.readers import Limits, ReadError, reader_for
from chiasm.readers.signal.signal import EcgReader, SignalReader


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
    "discontinuous without its times": (
        lambda data: bytes_at(192, b"EDF+D")(data).replace(b"+1\x14\x14", b"?1\x14\x14"),
        "does not say when",
    ),
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
    "one value and a gap": (lines(300, row="{t:.3f},\n").replace("0.000,\n", "0.000,1\n"), "no valid sample"),
    "times without a unit": ("time,II\n" + "".join(f"{4 * k},1.5\n" for k in range(50)), "seconds or milliseconds"),
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
@settings(max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
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
            assert not np.isinf(reader.read(item).values).any()
        except ReadError as error:
            silent(error, tmp_path)
