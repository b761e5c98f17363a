"""Recordings of wards in several groups, series and sets: each stands where its time says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from refusals import PERSON, refused

pydicom = pytest.importorskip("pydicom")

from ward_files import TWELVE, aecg, channels, dicom, parts, sequence_set, stored  # noqa: E402

from chiasm.readers import ReadError  # noqa: E402
from chiasm.readers.signal.leads import STANDARD  # noqa: E402
from chiasm.readers.signal.signal import EcgReader, SignalReader  # noqa: E402

SIGNAL, ECG = SignalReader(), EcgReader()
NAMED = "the file says who the patient is; that is not read"
GAPS = "the recording has gaps, which count as missing"
VALUES = stored()


def page(strip: np.ndarray) -> list[dict[str, Any]]:
    """Three leads at a time for 2.5 s each, and lead II below for the whole time."""
    long = stored(12, 5000)
    rows = (("I", "II", "III"), ("aVR", "aVL", "aVF"), ("V1", "V2", "V3"), ("V4", "V5", "V6"))
    columns = [
        parts(long[[TWELVE.index(name) for name in names], 1250 * k : 1250 * (k + 1)], 2500 * k, names)
        for k, names in enumerate(rows)
    ]
    return [*columns, parts(strip, 0, ("II",))]


@pytest.mark.parametrize("apart", [0, 1, 2000], ids=["equal", "rounded", "another"])
def test_a_page_of_three_by_four_leads_with_a_strip_below_is_one_electrocardiogram(tmp_path: Path, apart: int) -> None:
    strip = stored(12, 5000)[1:2] + np.int16(apart)
    path = dicom(tmp_path / "x.dcm", groups=page(strip))
    found = SIGNAL.read(path)
    assert sorted(found.leads) == sorted(STANDARD) and found.values.shape == (12, 5000)
    second = found.values[found.leads.index("II")]
    np.testing.assert_array_equal(second[1250:], 2.5 * strip[0, 1250:] + 10)
    assert not np.isnan(second).any()
    assert any("recorded twice" in note for note in SIGNAL.inspect(path)) == (apart > 1)
    ecg = ECG.read(path)
    assert ecg.leads == STANDARD and np.isnan(ecg.values[2, 300:]).all() and not np.isnan(ecg.values[1]).any()


def test_leads_of_one_name_side_by_side_are_several_as_before(tmp_path: Path) -> None:
    assert SIGNAL.read(dicom(tmp_path / "x.dcm", VALUES[:2], ("ECG", "ECG"))).leads == ("ECG", "ECG 2")
    two = [parts(VALUES[:1], 0, ("Pressure",)), parts(VALUES[1:2], 0, ("Pressure",))]
    assert SIGNAL.read(dicom(tmp_path / "y.dcm", groups=two)).leads == ("Pressure", "Pressure 2")
    with pytest.raises(ReadError, match="stands twice"):
        ECG.read(dicom(tmp_path / "z.dcm", VALUES[:2], ("II", "II")))


def test_sets_whose_times_are_whole_seconds_follow_each_other(tmp_path: Path) -> None:
    """Sets of 512 samples, 1.024 s, whose begins are cut to seconds; one that lasts longer is refused."""
    long = stored(1, 512 * 50)
    sets = [
        sequence_set(long[:, 512 * k : 512 * (k + 1)], ("I",), head=f"2002010100{int(1.024 * k):04d}")
        for k in range(50)
    ]
    path = aecg(tmp_path / "x.xml", *sets)
    found = SIGNAL.read(path)
    assert found.leads == ("I",)
    np.testing.assert_array_equal(found.values[0], 2.5 * long[0] + 10)
    assert GAPS not in SIGNAL.inspect(path)
    apart = [
        sequence_set(long[:, :1000], ("I",), head="20020101000000"),
        sequence_set(long[:, 1000:2000], ("I",), head="20020101000005"),
    ]
    row = SIGNAL.read(aecg(tmp_path / "y.xml", *apart)).values[0]
    assert np.flatnonzero(np.isnan(row)).tolist() == list(range(1000, 2500))
    over = [sequence_set(long[:, k : k + 1000], ("I",), head=f"2002010100000{k}.000") for k in (0, 1)]
    refused(SIGNAL, aecg(tmp_path / f"{PERSON}.xml", *over), "two stretches of a lead")


def relative(values: np.ndarray, leads: tuple[str, ...]) -> str:
    words = sequence_set(values, leads, head="0").replace("TIME_ABSOLUTE", "TIME_RELATIVE")
    return words.replace("GLIST_TS", "GLIST_PQ")


def series(content: str, begin: str = "", code: str = "RHYTHM") -> str:
    time = f'<effectiveTime><low value="{begin}"/></effectiveTime>' if begin else ""
    return f'<code code="{code}"/>{time}{content}'


def test_relative_times_count_from_the_begin_of_their_series(tmp_path: Path) -> None:
    between = "</series></component><component><series>"
    first = series(relative(VALUES[:1, :500], ("I",)), "20020101000000.0")
    second = series(relative(VALUES[:1, 500:], ("I",)), "20020101000005.0")
    found = SIGNAL.read(aecg(tmp_path / "x.xml", first + between + second))
    assert found.leads == ("I",) and found.values.shape == (1, 3000)
    np.testing.assert_array_equal(found.values[0, 2500:], 2.5 * VALUES[0, 500:] + 10)
    assert np.isnan(found.values[0, 500:2500]).all()
    nowhere = aecg(tmp_path / f"{PERSON}.xml", first + between + series(relative(VALUES[:1], ("I",))))
    refused(SIGNAL, nowhere, "does not say when it began")
    beat = series(sequence_set(VALUES[:1, :300], ("I",)), code="REPRESENTATIVE_BEAT")
    path = aecg(tmp_path / "y.xml", series(sequence_set(VALUES[:1], ("I",))) + between + beat)
    assert SIGNAL.read(path).leads == ("I",) and SIGNAL.read(path).values.shape == (1, 1000)
    assert any("representative beats" in note for note in SIGNAL.inspect(path))


def test_a_skew_of_less_than_a_sample_is_no_gap(tmp_path: Path) -> None:
    path = dicom(
        tmp_path / "x.dcm",
        VALUES[:10],
        TWELVE[:10],
        change=channels(ChannelSampleSkew=[f"{k / 10}" for k in range(10)]),
    )
    np.testing.assert_array_equal(SIGNAL.read(path).values, (2.5 * VALUES[:10] + 10).astype(np.float32))
    assert SIGNAL.inspect(path) == (NAMED,)


def test_a_begin_that_is_written_to_the_minute_splices_no_copy(tmp_path: Path) -> None:
    """Two equal series of one minute are one recording; it does not become twice as long."""
    one = series(sequence_set(VALUES, head="202001011010"))
    wanted = SIGNAL.read(aecg(tmp_path / "one.xml", one))
    found = SIGNAL.read(aecg(tmp_path / "two.xml", one + "</series></component><component><series>" + one))
    assert found.leads == wanted.leads
    np.testing.assert_array_equal(found.values, wanted.values)


def test_a_time_that_is_none_is_no_number_of_seconds(tmp_path: Path) -> None:
    refused(SIGNAL, aecg(tmp_path / "x.xml", sequence_set(VALUES, head="202001")), "no numbers of seconds")


def test_representative_beats_alone_are_no_recording(tmp_path: Path) -> None:
    path = aecg(tmp_path / "x.xml", sequence_set(VALUES))
    beats = '<series><code code="REPRESENTATIVE_BEAT"/>'
    path.write_text(path.read_text().replace("<series>", beats))
    refused(SIGNAL, path, "representative beats alone")
