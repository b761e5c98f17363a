"""Read electrocardiograms that a MUSE system exported as XML: the rhythm, not the median beat."""

from __future__ import annotations

import binascii
from collections.abc import Iterator
from xml.etree.ElementTree import Element

import numpy as np

from chiasm.readers.reading import Limits, ReadError, check_values
from chiasm.readers.signal.pieces import Piece, joined
from chiasm.readers.signal.recording import Recording

ROOT = "RestingECG"
PERSON = "PatientDemographics"
WITHOUT = frozenset({
    PERSON, "TestDemographics", "Order", "Diagnosis", "OriginalDiagnosis", "DiagnosisStatement", "MuseInfo",
    "RestingECGMeasurements", "OriginalRestingECGMeasurements", "QRSTimesTypes", "MeasurementMatrix", "PharmaData",
    "IntervalMeasurement", "AmplitudeMeasurement", "ExtraQuestions",
})  # fmt: skip
UNITS = {"MICROVOLTS": "uV", "MILLIVOLTS": "mV"}
SAMPLE_BYTES = 2
AGAIN = "export the recording again"


def recording_of(root: Element, left_out: set[str], limits: Limits) -> Recording:
    """Read the recording: little-endian 16-bit samples in base64, times LeadAmplitudeUnitsPerBit.

    Raises:
        ReadError: no rhythm, a lead of another length than it says, no rate, no unit; see `joined`.
    """
    waveforms = list(root.iter("Waveform"))
    rhythms = [own for own in waveforms if (_text(own, "WaveformType") or "Rhythm").lower() == "rhythm"]
    if not rhythms:
        raise ReadError("the file holds no rhythm, only median beats or none", "export it with the full disclosure")
    notes = ("the file says who the patient is; that is not read",) if left_out & {PERSON, "TestDemographics"} else ()
    if len(rhythms) < len(waveforms):
        notes = (*notes, "median beats, which were derived from the rhythm, are left out")
    return joined([piece for k, own in enumerate(rhythms) for piece in _pieces(own, k, limits)], limits, notes)


def _pieces(waveform: Element, place: int, limits: Limits) -> Iterator[Piece]:
    try:
        hz = float(_text(waveform, "SampleBase")) * 10.0 ** float(_text(waveform, "SampleExponent") or 0)
    except (ValueError, OverflowError):
        raise ReadError("the waveform does not say its rate", AGAIN) from None
    for lead in waveform.findall("LeadData"):
        unit = UNITS.get(_text(lead, "LeadAmplitudeUnits").upper())
        if unit is None or int(_text(lead, "LeadSampleSize") or SAMPLE_BYTES) != SAMPLE_BYTES:
            raise ReadError("a lead is not in samples of 16 bits of a voltage", AGAIN)
        packed = _text(lead, "WaveFormData")
        check_values((len(packed),), limits)
        try:
            content = binascii.a2b_base64("".join(packed.split()), strict_mode=True)
            factor = float(_text(lead, "LeadAmplitudeUnitsPerBit"))
            said = int(_text(lead, "LeadSampleCountTotal") or len(content) // SAMPLE_BYTES)
            first = int(_text(lead, "LeadOffsetFirstSample") or 0)
        except ValueError:
            raise ReadError("the samples of a lead, or the numbers that describe them, are damaged", AGAIN) from None
        if len(content) != said * SAMPLE_BYTES or not (np.isfinite(factor) and factor):
            raise ReadError("a lead holds another number of samples than it says", AGAIN)
        row = np.frombuffer(content, "<i2") * factor
        if _text(lead, "LeadOff").upper() == "TRUE":  # the electrode had come off
            row = np.full(len(row), np.nan)
        begin = first / hz if hz > 0 else 0.0
        yield Piece(_text(lead, "LeadID"), unit, hz, begin, row, group=place, step=abs(factor))


def _text(element: Element, name: str) -> str:
    return (element.findtext(name) or "").strip()
