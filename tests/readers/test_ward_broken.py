"""Recordings of wards that are broken, hostile or compressed are refused in words."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from refusals import PERSON, damage, refused, survives, written

from examples import examples

pydicom = pytest.importorskip("pydicom")

from ward_files import aecg, dicom, muse, scp, sequence_set, stored  # noqa: E402

from chiasm.readers import ReadError  # noqa: E402
from chiasm.readers.signal import ecg_xml  # noqa: E402
from chiasm.readers.signal.signal import EcgReader, SignalReader  # noqa: E402

SIGNAL, ECG = SignalReader(), EcgReader()
NAMED = "the file says who the patient is; that is not read"
GAPS = "the recording has gaps, which count as missing"
VALUES = stored()


def nested(depth: int) -> str:
    return "<a>" * depth + "</a>" * depth


LAUGHS = '<!DOCTYPE AnnotatedECG [<!ENTITY a "lol">' + "".join(
    f'<!ENTITY {chr(98 + k)} "{f"&{chr(97 + k)};" * 10}">' for k in range(9)
)
FILE_ENTITY = '<!DOCTYPE AnnotatedECG [<!ENTITY a SYSTEM "file:///etc/passwd">]>'


def group(name: str, value: Any) -> Callable[[Path], Path]:
    return lambda path: dicom(path, change=lambda whole: setattr(whole.WaveformSequence[0], name, value))


def cut(write: Callable[[Path], Path], share: float = 0.6) -> Callable[[Path], Path]:
    def spoilt(path: Path) -> Path:
        content = write(path).read_bytes()
        return written(path, content[: int(len(content) * share)])

    return spoilt


def flipped(path: Path) -> Path:
    content = bytearray(scp(path).read_bytes())
    content[len(content) // 2] ^= 1
    return written(path, bytes(content))


def no_waveform(whole: Any) -> None:
    del whole.WaveformSequence


BROKEN: dict[str, tuple[Callable[[Path], Path], str]] = {
    "DICOM without a waveform": (lambda path: dicom(path, change=no_waveform), "no waveform"),
    "DICOM cut": (cut(dicom), "damaged|fewer samples"),
    "DICOM of more samples than it has": (group("NumberOfWaveformSamples", 1001), "fewer samples"),
    "DICOM of 4 billion samples": (group("NumberOfWaveformSamples", 2**32 - 1), "over the limit"),
    "DICOM of more channels": (group("NumberOfWaveformChannels", 6), "another number of channels"),
    "DICOM by the law of telephony": (lambda path: dicom(path, kind=(8, "MB", "u1")), "law of telephony"),
    "DICOM without a rate": (group("SamplingFrequency", 0), "rate"),
    "DICOM of an impossible rate": (group("SamplingFrequency", 1e9), "rate"),
    "aECG cut": (cut(aecg), "damaged or cut off"),
    "aECG with a laugh": (lambda path: aecg(path, before=LAUGHS + "]>"), "entities"),
    "aECG with a file": (lambda path: aecg(path, before=FILE_ENTITY), "entities"),
    "aECG with an unknown entity": (
        lambda path: aecg(path, more="&who;", before='<!DOCTYPE AnnotatedECG SYSTEM "a.dtd">'), "entities",
    ),
    "aECG of 10,000 levels": (lambda path: aecg(path, more=nested(10_000)), "nested too deeply"),
    "aECG with a word": (
        lambda path: aecg(path, sequence_set(VALUES[:1], ("I",)).replace("</digits>", " x</digits>")),
        "no number",
    ),
    "aECG without times": (
        lambda path: aecg(path, sequence_set(VALUES).replace("TIME_ABSOLUTE", "MDC_OTHER")), "scale|times",
    ),
    "aECG of no step": (lambda path: aecg(path, sequence_set(VALUES, step='value="0" unit="s"')), "numbers of seconds"),
    "aECG without a scale": (lambda path: aecg(path, sequence_set(VALUES, scale='value="" unit="uV"')), "scale"),
    "aECG of two days apart in years": (
        lambda path: aecg(path, sequence_set(VALUES), sequence_set(VALUES, head="20220101000000")), "over the limit",
    ),
    "aECG without leads": (lambda path: aecg(path, sequence_set(VALUES[:0], ())), "no samples"),
    "MUSE of median beats alone": (lambda path: muse(path, kind="Median"), "no rhythm"),
    "MUSE of a wrong length": (lambda path: muse(path, changed={"LeadSampleCountTotal": "999"}), "another number"),
    "MUSE of damaged base64": (lambda path: muse(path, changed={"WaveFormData": "AAA"}), "damaged"),
    "MUSE without a unit": (lambda path: muse(path, changed={"LeadAmplitudeUnits": ""}), "voltage"),
    "MUSE without a rate": (lambda path: muse(path, base=""), "rate"),
    "MUSE of a rate of 10^400": (lambda path: muse(path, exponent="400"), "rate"),
    "another XML": (lambda path: written(path, b"<?xml version='1.0'?><restingecgdata/>"), "neither HL7 aECG"),
    "HTML": (lambda path: written(path, b"<!DOCTYPE html><html><body><br></body></html>"), "damaged or cut off"),
    "SCP cut": (cut(scp), "cut off or damaged"),
    "SCP with a bit changed": (flipped, "cut off or damaged"),
    "SCP by a reference beat": (lambda path: scp(path, flags=0x65), "save2gdf"),
    "SCP in two rates": (lambda path: scp(path, bimodal=1), "save2gdf"),
    "SCP by a code of its own": (lambda path: scp(path, tables=1), "save2gdf"),
    "SCP without a rhythm": (lambda path: scp(path, without=(6,)), "no rhythm"),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_broken_hostile_and_compressed_files_are_refused(tmp_path: Path, name: str) -> None:
    write, words = BROKEN[name]
    path = write(tmp_path / f"{PERSON}.x")
    for reader in (SIGNAL, ECG):
        refused(reader, path, words, megabytes=60)
    with pytest.raises(ReadError, match=words):
        ECG.inspect(path)


def test_a_large_xml_is_refused_before_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = aecg(tmp_path / "x.xml")
    monkeypatch.setattr(ecg_xml, "MOST_BYTES", 1000)
    refused(SIGNAL, path, "over 0 MB")
    monkeypatch.undo()
    monkeypatch.setattr(ecg_xml, "MOST_ELEMENTS", 80)
    refused(SIGNAL, path, "too many parts")


@settings(max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), name=st.sampled_from(["dicom", "aecg", "muse", "scp"]))
def test_whatever_the_bytes_it_is_read_or_refused(tmp_path: Path, data: st.DataObject, name: str) -> None:
    path = tmp_path / name
    if not path.exists():
        {"dicom": dicom, "aecg": aecg, "muse": muse, "scp": scp}[name](path)
    survives(SIGNAL, written(tmp_path / "spoilt", data.draw(damage(path.read_bytes()))))
