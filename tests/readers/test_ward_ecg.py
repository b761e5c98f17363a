"""Electrocardiograms of wards: DICOM, aECG, MUSE XML and SCP-ECG give what was stored, and what one another give."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from refusals import PERSON, refused, written

from examples import examples

pydicom = pytest.importorskip("pydicom")

import ward_files  # noqa: E402
from ward_files import TWELVE, aecg, channels, derived, dicom, lead_data, muse, parts, scp, sequence_set, stored  # noqa: E402

from chiasm.readers import ReadError  # noqa: E402
from chiasm.readers.signal.lead_codes import LEADS, lead_of_code  # noqa: E402
from chiasm.readers.signal.leads import STANDARD  # noqa: E402
from chiasm.readers.signal.signal import EcgReader, SignalReader  # noqa: E402

SIGNAL, ECG = SignalReader(), EcgReader()
NAMED = "the file says who the patient is; that is not read"
GAPS = "the recording has gaps, which count as missing"
VALUES = stored()
WRITERS: dict[str, Callable[..., Path]] = {
    "dicom": dicom,
    "dicom, codes of SCP": lambda path: dicom(path, scheme="SCPECG"),
    "dicom, names alone": lambda path: dicom(path, scheme="99LOCAL"),
    "dicom, big endian": lambda path: dicom(path, kind=(16, "SS", ">i2")),
    "dicom, 32 bits": lambda path: dicom(path, kind=(32, "SL", "<i4")),
    "aecg": aecg,
    "scp": scp,
    "scp, first differences": lambda path: scp(path, order=1),
    "scp, as they are": lambda path: scp(path, order=0),
    "scp, differences without a code": lambda path: scp(path, order=1, coded=False),
    "scp, plain": lambda path: scp(path, order=0, coded=False),
}


@pytest.mark.parametrize("name", WRITERS)
def test_what_was_stored_is_read_in_every_format(tmp_path: Path, name: str) -> None:
    path = WRITERS[name](tmp_path / PERSON)
    found = SIGNAL.read(path)
    assert found.hz == 500 and found.units == ("uV",) * 12 and found.leads == TWELVE
    expected = 2.5 * VALUES + (0 if name.startswith("scp") else 10)  # a baseline, an origin
    np.testing.assert_array_equal(found.values, expected.astype(np.float32))
    ecg = ECG.read(path)
    assert ecg.leads == STANDARD and ecg.hz == 100 and set(ecg.units) == {"mV"} and ecg.values.shape == (12, 200)
    assert not any(PERSON in note for note in (*SIGNAL.inspect(path), *ECG.inspect(path)))


def test_the_three_formats_and_a_table_give_the_same_electrocardiogram(tmp_path: Path) -> None:
    table = tmp_path / "x.csv"
    rows = 2.5 * VALUES / 1000
    header = "time_s," + ",".join(f"{lead} [mV]" for lead in TWELVE)
    lines = [f"{k / 500},{','.join(map(repr, map(float, rows[:, k])))}" for k in range(rows.shape[1])]
    table.write_text("\n".join([header, *lines]))
    wanted = ECG.read(table)
    zero = 'value="0" unit="uV"'
    for path in (scp(tmp_path / "x.scp"), aecg(tmp_path / "x.xml", sequence_set(VALUES, origin=zero))):
        found = ECG.read(path)
        assert found.leads == wanted.leads
        np.testing.assert_allclose(found.values, wanted.values, atol=1e-6)
    eight = ECG.read(muse(tmp_path / "y.xml"))  # III, aVR, aVL and aVF are computed
    assert eight.leads == STANDARD
    independent = [STANDARD.index(lead) for lead in TWELVE[:8]]
    np.testing.assert_allclose(eight.values[independent], wanted.values[independent], atol=1e-6)
    np.testing.assert_allclose(eight.values[2], eight.values[1] - eight.values[0], atol=1e-6)


def test_the_example_of_pydicom_is_read_as_pydicom_reads_it() -> None:
    from pydicom.data import get_testdata_file

    path = Path(str(get_testdata_file("waveform_ecg.dcm")))
    found = SIGNAL.read(path)
    whole = pydicom.dcmread(path)
    np.testing.assert_array_equal(found.values, whole.waveform_array(0).T.astype(np.float32))
    meanings = [
        channel.ChannelSourceSequence[0].CodeMeaning for channel in whole.WaveformSequence[0].ChannelDefinitionSequence
    ]
    assert found.leads == tuple(meaning.replace("Lead ", "").split()[0] for meaning in meanings)
    assert SIGNAL.inspect(path) == (
        NAMED,
        "waveforms that were derived from the recording, such as median beats, are left out",
    )


def test_codes_of_leads_are_those_of_dicom() -> None:
    from pydicom.sr._concepts_dict import concepts

    meanings = {
        code: words.removeprefix("Lead ")
        for own in concepts["MDC"].values()
        for code, (words, sets) in own.items()
        if 3001 in sets
    }
    seen = 0
    for number, name in LEADS.items():
        meaning = meanings[f"2:{number}"]
        known = meaning == name or f" {name}" in f" {meaning}" or meaning == f"Derived Lead {name.split()[-1]}"
        assert (
            known
            or (name, meaning.split(",")[0]) in {(n, n) for n in ("aVR", "aVL", "aVF")}
            or name == "-aVR"
            or (name in ("CC5", "CM5") and "V5" in meaning)
        ), (name, meaning)
        seen += known
    assert seen > 40
    assert lead_of_code("MDC_ECG_LEAD_AVR") == "aVR" and lead_of_code("2:999") is None
    assert lead_of_code("93000") is None


@pytest.mark.parametrize("state", ["DISCONNECTED", "INVALID", "TEST DATA", ["OK", "INVALID"], "QUESTIONABLE", "OK"])
def test_what_the_device_says_of_a_channel_counts(tmp_path: Path, state: str | list[str]) -> None:
    path = dicom(tmp_path / "x.dcm", VALUES[:2], ("I", "II"), change=channels(ChannelStatus=[None, state]))
    found, notes = SIGNAL.read(path).values, SIGNAL.inspect(path)
    off = state not in ("QUESTIONABLE", "OK")
    assert np.isnan(found[1]).all() == off and not np.isnan(found[0]).any()
    assert any("came off" in note for note in notes) == off
    assert any("calls questionable" in note for note in notes) == (state == "QUESTIONABLE")


def source(code: str, meaning: str) -> Callable[[Any], None]:
    def change(whole: Any) -> None:
        own = whole.WaveformSequence[0].ChannelDefinitionSequence[1].ChannelSourceSequence[0]
        own.CodeValue, own.CodeMeaning = code, meaning

    return change


def test_a_channel_whose_code_is_no_lead_is_called_by_what_it_means(tmp_path: Path) -> None:
    for code, meaning, name in (
        ("2:18960", "Arterial pressure", "Arterial pressure"),
        ("2:20480", "Respiration impedance", "Respiration impedance"),
        ("2:74", "External pacing lead: anterior-posterior", "external pacing"),
        ("2:18960", "", "2:18960"),
    ):
        path = dicom(tmp_path / "x.dcm", VALUES[:2], ("I", "II"), change=source(code, meaning))
        assert SIGNAL.read(path).leads == ("I", name)
        assert ECG.read(path).leads == ("I",)
    pacing = ward_files.NUMBERS | {"defibrillator": 73, "derived V1": 33, "ES": 131, "lead 150": 150}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ward_files, "NUMBERS", pacing)
        names = ("I", "defibrillator", "derived V1", "ES", "lead 150")
        path = scp(tmp_path / "x.scp", VALUES[:5], names)
        assert SIGNAL.read(path).leads == names
        assert ECG.read(path).leads == ("I", "derived V1", "ES", "lead 150")


def test_a_unit_in_another_code_and_a_name_with_brackets_are_understood(tmp_path: Path) -> None:
    def coded(whole: Any) -> None:
        for channel in whole.WaveformSequence[0].ChannelDefinitionSequence:
            unit = channel.ChannelSensitivityUnitsSequence[0]
            unit.CodeValue, unit.CodingSchemeDesignator, unit.CodeMeaning = "MDC_DIM_MICRO_VOLT", "MDC", "microvolt"

    names = ("Lead I (Einthoven)", "Lead II")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a code of MDC is longer than its field, and so it is sent
        path = dicom(tmp_path / "x.dcm", VALUES[:2], names, scheme="99LOCAL", change=coded)
    found = ECG.read(path)
    assert found.leads[:2] == ("I", "II")
    wanted = ECG.read(dicom(tmp_path / "y.dcm", VALUES[:2], ("I", "II")))
    np.testing.assert_array_equal(found.values, wanted.values)


@pytest.mark.parametrize("name", ["ChannelSensitivity", "ChannelSensitivityCorrectionFactor"])
def test_a_sensitivity_of_zero_is_refused(tmp_path: Path, name: str) -> None:
    refused(SIGNAL, dicom(tmp_path / f"{PERSON}.dcm", change=channels(**{name: [None, "0"]})), "zero or no number")


def test_names_of_leads_in_mdc_tell_what_was_derived(tmp_path: Path) -> None:
    names = {
        "dI": "derived I", "DI": "derived I", "dIII": "derived III", "dV1": "derived V1", "daVR": "derived aVR",
        "AVRneg": "-aVR", "fI": "Frank I", "fH": "Frank H", "II": "II", "V3R": "V3R",
    }  # fmt: skip
    assert {name: lead_of_code(f"MDC_ECG_LEAD_{name}") for name in names} == names
    path = aecg(tmp_path / "x.xml", sequence_set(VALUES[:5], ("dI", "dII", "AVRneg", "dV1", "V2")))
    assert ECG.read(path).leads == ("V2", "derived I", "derived II", "-aVR", "derived V1")


def test_groups_of_a_dicom_file_stand_at_their_times(tmp_path: Path) -> None:
    """Four leads after another, a rhythm strip below, as on paper; and a gap."""
    long = stored(6, 5000)
    groups = [parts(long[k : k + 1, :1250], 2500 * k, (TWELVE[k],)) for k in range(4)]
    groups.append(parts(long[5:6], 0, ("V6",)))
    found = SIGNAL.read(dicom(tmp_path / "x.dcm", groups=groups))
    assert found.leads == ("I", "II", "V1", "V2", "V6") and found.values.shape == (5, 5000)
    for k, lead in enumerate(("I", "II", "V1", "V2")):
        row = found.values[found.leads.index(lead)]
        np.testing.assert_array_equal(row[1250 * k : 1250 * (k + 1)], 2.5 * long[k, :1250] + 10)
        assert np.isnan(np.delete(row, np.arange(1250 * k, 1250 * (k + 1)))).all()
    assert SIGNAL.inspect(tmp_path / "x.dcm") == (NAMED, GAPS)
    gap = [parts(VALUES[:1, :500], 0, ("I",)), parts(VALUES[:1, 500:], 4000, ("I",))]
    row = SIGNAL.read(dicom(tmp_path / "y.dcm", groups=gap)).values[0]
    assert np.flatnonzero(np.isnan(row)).tolist() == list(range(500, 2000)) and len(row) == 2500
    np.testing.assert_array_equal(row[2000:], 2.5 * VALUES[0, 500:] + 10)


def test_a_skewed_channel_keeps_its_place_among_the_leads(tmp_path: Path) -> None:
    def skewed(whole: Any) -> None:
        whole.WaveformSequence[0].ChannelDefinitionSequence[0].ChannelSampleSkew = "5"

    found = SIGNAL.read(dicom(tmp_path / "x.dcm", VALUES[:2], ("I", "II"), change=skewed))
    assert found.leads == ("I", "II") and found.values.shape == (2, 1005)
    np.testing.assert_array_equal(found.values[0, 5:], 2.5 * VALUES[0] + 10)


def test_each_group_has_its_own_rate_and_only_voltages_are_an_ecg(tmp_path: Path) -> None:
    groups = [parts(VALUES[:1], 0, ("II",)), parts(VALUES[1:2, :250], 0, ("Arterial pressure",), hz=125)]

    def pressure(whole: Any) -> None:
        whole.WaveformSequence[1].ChannelDefinitionSequence[0].ChannelSensitivityUnitsSequence[0].CodeValue = "mm[Hg]"

    path = dicom(tmp_path / "x.dcm", groups=groups, change=pressure)
    found = SIGNAL.read(path)
    assert found.leads == ("II", "Arterial pressure") and found.hz == 500 and found.units == ("uV", "mm[Hg]")
    assert ECG.read(path).leads == ("II",)
    assert "1 of 2 leads are no voltage and are left out" in ECG.inspect(path)


@pytest.mark.parametrize(
    "pad, missing",
    [(b"\x00\x80", True), (b"\x01\x80", True), (b"\xff\x7f", True), (b"\x00\x00", False), (b"", False)],
    ids=["lowest", "one above it", "highest", "zero", "none"],
)
def test_padding_is_missing_unless_it_is_zero(tmp_path: Path, pad: bytes, missing: bool) -> None:
    """Programs in use write a padding value of 0, and have samples of 0: a second of them is told, and read as 0."""
    values = np.repeat(VALUES[:1], 2, axis=1)
    values[0, 700:] = int.from_bytes(pad or b"\0\0", "little", signed=True)

    def change(whole: Any) -> None:
        if pad:
            whole.WaveformSequence[0].add_new(0x5400100A, "OW", pad)

    row = SIGNAL.read(dicom(tmp_path / "x.dcm", values, ("I",), change=change)).values[0]
    assert np.isnan(row[700:]).all() == missing and not np.isnan(row[:700]).any()
    assert any("also writes for no data" in note for note in SIGNAL.inspect(tmp_path / "x.dcm")) == (pad == b"\0\0")


def test_units_of_a_channel_are_kept_and_a_missing_sensitivity_is_no_unit(tmp_path: Path) -> None:
    milli = dicom(tmp_path / "x.dcm", VALUES[:2], ("I", "II"), unit="mV")
    with pytest.raises(ReadError, match="spans more"):
        ECG.read(dicom(tmp_path / "y.dcm", VALUES[:2] * 4, ("I", "II"), change=no_sensitivity))
    assert SIGNAL.read(milli).units == ("mV", "mV")
    assert SIGNAL.read(tmp_path / "y.dcm").units == ("", "")


def no_sensitivity(whole: Any) -> None:
    for channel in whole.WaveformSequence[0].ChannelDefinitionSequence:
        del channel.ChannelSensitivity


def test_series_of_an_aecg_stand_at_their_times_and_derived_beats_are_left_out(tmp_path: Path) -> None:
    sets = [
        sequence_set(VALUES[:1, :500], ("I",), head="20020101235959.500"),
        sequence_set(VALUES[:1, 500:], ("I",), head="20020102000003.500+0000"),  # past midnight, three seconds later
    ]
    path = aecg(tmp_path / "x.xml", *sets, more=derived(VALUES[:, :100]))
    row = SIGNAL.read(path).values[0]
    assert len(row) == 2500 and np.flatnonzero(np.isnan(row)).tolist() == list(range(500, 2000))
    np.testing.assert_array_equal(row[2000:], 2.5 * VALUES[0, 500:] + 10)
    assert [note.split(",")[0] for note in SIGNAL.inspect(path)] == [
        "the file says who the patient is or who recorded it; that is not read",
        "representative beats",
        "the recording has gaps",
    ]
    mixed = sequence_set(VALUES[:1], ("I",), scale='value="0.0025" unit="mV"', origin='value="10" unit="uV"')
    found = SIGNAL.read(aecg(tmp_path / "y.xml", mixed))
    assert found.units == ("mV",)
    np.testing.assert_allclose(found.values[0], (2.5 * VALUES[0] + 10) / 1000, rtol=1e-6)
    west = sequence_set(VALUES[:1], ("I",), head="20020101180000-0600", step='value="4" unit="ms"')
    assert (
        SIGNAL.read(aecg(tmp_path / "z.xml", west, sequence_set(VALUES[1:2, :1], ("II",), head="20020102000000"))).hz
        == 500
    )
    utf16 = tmp_path / "u.xml"
    utf16.write_bytes((tmp_path / "y.xml").read_text().replace("UTF-8", "UTF-16").encode("utf-16"))
    np.testing.assert_array_equal(SIGNAL.read(utf16).values, found.values)


def test_a_rate_of_muse_has_an_exponent_and_a_lead_that_came_off_is_missing(tmp_path: Path) -> None:
    found = SIGNAL.read(muse(tmp_path / "x.xml", base="2", exponent="2"))
    assert found.hz == 200 and found.leads == TWELVE[:8]
    np.testing.assert_array_equal(found.values, (2.5 * VALUES[:8]).astype(np.float32))
    assert SIGNAL.inspect(tmp_path / "x.xml") == (
        NAMED,
        "median beats, which were derived from the rhythm, are left out",
    )
    whole = muse(tmp_path / "y.xml").read_text("latin-1")
    off = whole.replace(lead_data("V1", VALUES[2]), lead_data("V1", VALUES[2], LeadOff="TRUE"))
    assert off != whole
    row = SIGNAL.read(written(tmp_path / "y.xml", off.encode("latin-1"))).values[2]
    assert np.isnan(row).all()
    millivolt = {"LeadAmplitudeUnits": "MILLIVOLTS", "LeadAmplitudeUnitsPerBit": "0.0025"}
    assert SIGNAL.read(muse(tmp_path / "z.xml", changed=millivolt)).units == ("mV",) * 8


def test_leads_of_scp_begin_where_they_say(tmp_path: Path) -> None:
    found = SIGNAL.read(scp(tmp_path / "x.scp", VALUES[:2], ("I", "II"), starts=(1, 1001)))
    assert found.values.shape == (2, 2000)
    np.testing.assert_array_equal(found.values[1, 1000:], (2.5 * VALUES[1]).astype(np.float32))
    assert np.isnan(found.values[1, :1000]).all() and np.isnan(found.values[0, 1000:]).all()


def test_what_fills_up_an_scp_file_is_no_part_of_it_and_its_header_decodes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = scp(tmp_path / "x.scp")
    whole = path.read_bytes()
    found = ECG.read(written(path, whole + bytes(16)))
    np.testing.assert_array_equal(found.values, ECG.read(scp(tmp_path / "y.scp")).values)
    refused(SIGNAL, written(tmp_path / f"{PERSON}.scp", bytes(2) + whole[2:]), "checksum")
    notes = ECG.inspect(path)
    monkeypatch.setattr("chiasm.readers.signal.scp.decoded", lambda *given: 1 / 0)
    assert ECG.inspect(path) == notes == (NAMED,)


@settings(max_examples=examples(60), deadline=None)
@given(row=st.lists(st.integers(-32768, 32767) | st.integers(-9, 9), min_size=1, max_size=40))
def test_the_default_code_gives_back_every_number(row: list[int]) -> None:
    from chiasm.readers.signal.scp_samples import decoded, summed

    assert decoded(ward_files.packed(row), len(row)).tolist() == row
    for order in (0, 1, 2):
        differences = ward_files.differences(np.array(row), order)
        assert summed(differences, order).tolist() == row
