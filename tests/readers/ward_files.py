"""Electrocardiograms in the files of wards, written by hand as each format says: DICOM, aECG, MUSE XML, SCP-ECG."""

from __future__ import annotations

import base64
import binascii
import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from refusals import PERSON, written

HZ = 500
TWELVE = ("I", "II", "V1", "V2", "V3", "V4", "V5", "V6", "III", "aVR", "aVL", "aVF")
NUMBERS = {name: k for k, name in enumerate(("I", "II", "V1", "V2", "V3", "V4", "V5", "V6"), 1)} | {
    "III": 61, "aVR": 62, "aVL": 63, "aVF": 64,
}  # fmt: skip


def stored(leads: int = 12, samples: int = 1000, seed: int = 0) -> np.ndarray:
    """(L, T) whole numbers of 2.5 uV, as a device keeps them: steps of all sizes, the largest beyond one byte."""
    rng = np.random.default_rng(seed)
    steps = rng.integers(-8, 9, (leads, samples)) + rng.integers(-260, 261, (leads, samples)) * (
        rng.random((leads, samples)) < 0.05
    )
    waves = np.cumsum(steps, axis=1)
    return np.asarray(np.clip(waves - waves.mean(axis=1, keepdims=True).astype(int), -8000, 8000), np.int16)


def dicom(
    path: Path,
    values: np.ndarray | None = None,
    leads: Sequence[str] = TWELVE,
    *,
    hz: float = HZ,
    unit: str = "uV",
    scheme: str = "MDC",
    kind: tuple[int, str, str] = (16, "SS", "<i2"),
    groups: Sequence[dict[str, Any]] | None = None,
    change: Any = None,
) -> Path:
    """A DICOM waveform; `groups` (keys of the arguments, with `start` in ms and `originality`) for several."""
    import pydicom
    from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
    from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian

    big = kind[2].startswith(">")
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRBigEndian if big else ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.9.1.1"
    meta.MediaStorageSOPInstanceUID = "1.2.3"
    whole = FileDataset(str(path), {}, file_meta=meta, preamble=bytes(128))
    whole.SOPClassUID, whole.PatientName, whole.Modality = meta.MediaStorageSOPClassUID, PERSON, "ECG"
    whole.WaveformSequence = []
    for given in groups or [{}]:
        own = {"values": values, "leads": leads, "hz": hz, "start": 0, "originality": "ORIGINAL", **given}
        samples = stored() if own["values"] is None else own["values"]
        group = Dataset()
        group.MultiplexGroupTimeOffset, group.WaveformOriginality = own["start"], own["originality"]
        group.NumberOfWaveformChannels, group.NumberOfWaveformSamples = samples.shape
        group.SamplingFrequency = own["hz"]
        group.WaveformBitsAllocated, group.WaveformSampleInterpretation = kind[:2]
        group.add_new(0x54001010, "OB" if kind[0] == 8 else "OW", samples.T.astype(kind[2]).tobytes())
        group.ChannelDefinitionSequence = []
        for lead in own["leads"]:
            source, units, channel = Dataset(), Dataset(), Dataset()
            number = NUMBERS.get(lead)
            prefix = {"MDC": "2:", "SCPECG": "5.6.3-9-"}.get(scheme, "")
            source.CodeValue = f"{prefix}{number}" if prefix and number else "none"
            source.CodingSchemeDesignator, source.CodeMeaning = scheme, lead
            units.CodeValue, units.CodingSchemeDesignator, units.CodeMeaning = unit, "UCUM", unit
            channel.ChannelSourceSequence = [source]
            channel.ChannelSensitivity, channel.ChannelSensitivityCorrectionFactor = "1.25", "2"
            channel.ChannelSensitivityUnitsSequence = [units]
            channel.ChannelBaseline, channel.ChannelSampleSkew = "10", "0"
            channel.WaveformBitsStored = kind[0]
            group.ChannelDefinitionSequence.append(channel)
        whole.WaveformSequence.append(group)
    if change is not None:
        change(whole)
    path.parent.mkdir(parents=True, exist_ok=True)
    pydicom.dcmwrite(path, whole, enforce_file_format=True)
    return path


def sequence_set(
    values: np.ndarray,
    leads: Sequence[str] = TWELVE,
    *,
    head: str = "20020101235959.500",
    step: str = 'value="0.002" unit="s"',
    scale: str = 'value="2.5" unit="uV"',
    origin: str = 'value="10" unit="uV"',
) -> str:
    parts = [
        f'<component><sequence><code code="MDC_ECG_LEAD_{lead.upper()}"/><value xsi:type="SLIST_PQ"><origin {origin}/>'
        f"<scale {scale}/><digits>{' '.join(map(str, row))}</digits></value></sequence></component>"
        for lead, row in zip(leads, values, strict=True)
    ]
    times = f'<value xsi:type="GLIST_TS"><head value="{head}"/><increment {step}/></value>'
    clock = f'<component><sequence><code code="TIME_ABSOLUTE"/>{times}</sequence></component>'
    return f"<component><sequenceSet>{clock}{''.join(parts)}</sequenceSet></component>"


def aecg(path: Path, *sets: str, more: str = "", before: str = "") -> Path:
    name = f"<componentOf><subject><name>{PERSON}</name></subject></componentOf>"
    spaces = 'xmlns="urn:hl7-org:v3" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'
    sets = sets or (sequence_set(stored()),)
    series = f"<component><series>{''.join(sets)}{more}</series></component>"
    head = f'<?xml version="1.0" encoding="UTF-8"?>{before}'
    return written(path, f"{head}<AnnotatedECG {spaces}>{name}{series}</AnnotatedECG>".encode())


def derived(values: np.ndarray) -> str:
    return f"<derivation><derivedSeries>{sequence_set(values)}</derivedSeries></derivation>"


def lead_data(name: str, row: np.ndarray, **changed: str) -> str:
    own = {
        "LeadByteCountTotal": str(2 * len(row)), "LeadSampleCountTotal": str(len(row)),
        "LeadAmplitudeUnitsPerBit": "2.5", "LeadAmplitudeUnits": "MICROVOLTS", "LeadID": name,
        "LeadOffsetFirstSample": "0", "LeadSampleSize": "2", "LeadOff": "FALSE",
        "WaveFormData": base64.encodebytes(row.astype("<i2").tobytes()).decode(),
    }  # fmt: skip
    return f"<LeadData>{''.join(f'<{key}>{value}</{key}>' for key, value in {**own, **changed}.items())}</LeadData>"


def muse(
    path: Path,
    values: np.ndarray | None = None,
    leads: Sequence[str] = TWELVE[:8],
    *,
    kind: str = "Rhythm",
    base: str = "500",
    exponent: str = "0",
    changed: dict[str, str] | None = None,
    before: str = '<!DOCTYPE RestingECG SYSTEM "restecg.dtd">',
) -> Path:
    values = stored()[:8] if values is None else values
    median = f"<Waveform><WaveformType>Median</WaveformType><SampleBase>500</SampleBase>{lead_data('I', values[0])}"
    parts = "".join(lead_data(lead, row, **(changed or {})) for lead, row in zip(leads, values, strict=True))
    rate = f"<SampleBase>{base}</SampleBase><SampleExponent>{exponent}</SampleExponent>"
    rhythm = f"<Waveform><WaveformType>{kind}</WaveformType>{rate}{parts}</Waveform>"
    person = f"<PatientDemographics><PatientLastName>{PERSON}</PatientLastName></PatientDemographics>"
    text = f'<?xml version="1.0" encoding="ISO-8859-1"?>\n{before}\n<RestingECG>{person}{median}</Waveform>{rhythm}'
    return written(path, f"{text}</RestingECG>".encode("latin-1"))


CODE = {0: "0"} | {n: "1" * n + "00" for n in range(1, 9)} | {-n: "1" * n + "01" for n in range(1, 9)}  # EN 1064, C.4


def packed(row: Sequence[int]) -> bytes:
    """The default code: numbers of up to 8 by themselves, of 8 bits and of 16 bits behind a mark."""

    def word(n: int) -> str:
        if n in CODE:
            return CODE[n]
        return f"1111111110{n & 0xFF:08b}" if -128 <= n < 128 else f"1111111111{n & 0xFFFF:016b}"

    bits = "".join(map(word, row))
    bits += "0" * (-len(bits) % 8)
    return bytes(int(bits[k : k + 8], 2) for k in range(0, len(bits), 8))


def differences(row: np.ndarray, order: int) -> np.ndarray:
    wide = row.astype(np.int64)
    return wide if not order else np.concatenate([wide[:order], np.diff(wide, order)])


def section(number: int, body: bytes) -> bytes:
    body += bytes(len(body) % 2)
    rest = struct.pack("<HIBB6s", number, 16 + len(body), 20, 20, b"SCPECG" if not number else bytes(6)) + body
    return struct.pack("<H", binascii.crc_hqx(rest, 0xFFFF)) + rest


def scp(
    path: Path,
    values: np.ndarray | None = None,
    leads: Sequence[str] = TWELVE,
    *,
    order: int = 2,
    coded: bool = True,
    tables: int = 19_999,
    flags: int = 0x64,
    bimodal: int = 0,
    starts: Sequence[int] | None = None,
    without: Sequence[int] = (),
) -> Path:
    values = stored() if values is None else values
    rows = [differences(row, order) for row in values]
    parts = [packed(row.tolist()) if coded else row.astype("<i2").tobytes() for row in rows]
    starts = starts or [1] * len(leads)
    described = b"".join(
        struct.pack("<IIB", start, start + values.shape[1] - 1, NUMBERS[lead])
        for start, lead in zip(starts, leads, strict=True)
    )
    samples = struct.pack("<HHBB", 2500, 2000, order, bimodal) + b"".join(struct.pack("<H", len(p)) for p in parts)
    name = PERSON.encode() + b"\0"
    sections = {1: b"\x00" + struct.pack("<H", len(name)) + name + b"\xff\0\0"}
    sections |= {2: struct.pack("<H", tables)} if coded else {}
    sections |= {3: bytes([len(leads), flags]) + described, 6: samples + b"".join(parts)}
    built = {number: section(number, body) for number, body in sections.items() if number not in without}
    place, pointers = 6 + 16 + 10 * (len(built) + 1), b""
    pointers += struct.pack("<HII", 0, 16 + 10 * (len(built) + 1), 7)
    for number, body in built.items():
        pointers += struct.pack("<HII", number, len(body), place + 1)
        place += len(body)
    rest = section(0, pointers) + b"".join(built.values())
    rest = struct.pack("<I", 6 + len(rest)) + rest
    return written(path, struct.pack("<H", binascii.crc_hqx(rest, 0xFFFF)) + rest)


def checked_scp(data: bytes) -> bytes:
    """The checksums of an SCP-ECG file and of each section that its first one points to, made right."""
    whole = bytearray(data)
    for place in range(22, min(len(whole) - 9, 22 + 16 + 10 * 12), 10):
        _, size, index = struct.unpack_from("<HII", whole, place)
        if 0 < index <= len(whole) - 2 and 16 <= size <= len(whole):
            end = min(index - 1 + size, len(whole))
            struct.pack_into("<H", whole, index - 1, binascii.crc_hqx(bytes(whole[index + 1 : end]), 0xFFFF))
    if len(whole) > 6:
        length = struct.unpack_from("<I", whole, 2)[0]
        struct.pack_into("<H", whole, 0, binascii.crc_hqx(bytes(whole[2:length]), 0xFFFF))
    return bytes(whole)


def channels(**changes: Sequence[Any]) -> Callable[[Any], None]:
    """Change an attribute of each channel; None leaves it."""

    def change(whole: Any) -> None:
        for name, values in changes.items():
            for channel, value in zip(whole.WaveformSequence[0].ChannelDefinitionSequence, values, strict=False):
                if value is not None:
                    setattr(channel, name, value)

    return change


def parts(values: np.ndarray, start: int, leads: tuple[str, ...], **more: Any) -> dict[str, Any]:
    return {"values": values, "start": start, "leads": leads, **more}
