"""Read waveforms in DICOM: electrocardiograms of 12 leads and ambulatory ones, pressures and others, by pydicom."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chiasm.readers.image.dicom_header import opened
from chiasm.readers.reading import Limits, ReadError, check_values
from chiasm.readers.registry import missing
from chiasm.readers.signal.lead_codes import lead_of_code
from chiasm.readers.signal.leads import STANDARD, lead_name, to_millivolt
from chiasm.readers.signal.pieces import Piece, joined
from chiasm.readers.signal.recording import Recording, Row

WAVEFORMS = 0x54000100
MARK, MARK_PLACE = b"DICM", 128
MOST_BYTES, MOST_INFLATED = 1 << 30, 1 << 28
TYPES = {
    (8, "SB"): "i1", (8, "UB"): "u1", (16, "SS"): "i2", (16, "US"): "u2",
    (32, "SL"): "i4", (32, "UL"): "u4", (64, "SV"): "i8", (64, "UV"): "u8",
}  # fmt: skip
AGAIN = "export the recording again"
NAMES = {0x00100010, 0x00100020}  # who the patient is: name and identifier
OFF = {"DISCONNECTED", "INVALID", "TEST DATA"}  # states of a channel that measures no patient
IN_DOUBT = {"QUESTIONABLE", "UNCALIBRATED", "UNZEROED"}
OFF_NOTE = "leads that came off, or that the device calls invalid or a test, are missing"
DOUBT_NOTE = "leads that the device calls questionable, not calibrated or not zeroed are read as they are"
ZERO_NOTE = "a stretch of a second or more is 0, which the file also writes for no data: it is read as 0"
PERSON_NOTE = "the file says who the patient is; that is not read"
IN_BRACKETS = re.compile(r"\s*\([^()]*\)\s*$")


def is_dicom(path: Path) -> bool:
    """Tell whether the file begins as DICOM does."""
    with path.open("rb") as file:
        file.seek(MARK_PLACE)
        return file.read(len(MARK)) == MARK


def read_waveform(path: Path, limits: Limits) -> Recording:
    """Read the original waveforms, `stored x sensitivity x correction + baseline`; those derived of them are left out.

    Only the sequence of waveforms is read into memory: no name, no date, no identifier. A padding value is no data
    (PS3.3 C.10.9), but for 0, which programs in use write for a sample too. To be called inside `guarded`.

    Raises:
        ReadError: no waveform, damaged, cut off, over a limit, coded in a way that is not read; see `joined`.
        Unsupported: pydicom is missing.
    """
    try:
        from pydicom.filereader import read_partial
    except ImportError:
        raise missing("pydicom", "signals", "recordings in DICOM") from None
    if path.stat().st_size > MOST_BYTES:
        raise ReadError(f"the file is over {MOST_BYTES >> 30} GB", "cut the recording, or write it as WFDB or EDF")
    with opened(path, MOST_INFLATED) as (stream, inflated):
        if inflated and stream.getbuffer().nbytes > MOST_INFLATED:  # type: ignore[attr-defined]
            raise ReadError(f"the recording inflates to over {MOST_INFLATED >> 20} MB", "export it without deflate")
        filled: set[int] = set()  # tags that hold something, which is not looked at

        def is_behind(tag: int, vr: str | None, length: int) -> bool:
            filled.update({tag} if length else ())
            return tag > WAVEFORMS

        tags = read_partial(stream, is_behind, specific_tags=[WAVEFORMS], force=False)
    groups = list(tags.get("WaveformSequence") or ())
    if not groups:
        raise ReadError("the DICOM file holds no waveform", 'write kind = "dicom" for an image')
    little = tags.original_encoding[1] is not False
    original = [own for own in groups if own.get("WaveformOriginality") != "DERIVED"]
    notes = (PERSON_NOTE,) if filled & NAMES else ()
    if len(original) < len(groups):
        notes = (
            *notes,
            "waveforms that were derived from the recording, such as median beats, are left out",
        )
    if not original:
        original, notes = groups, (*notes[:-1], "the waveform was derived from the recording, as a median beat is")
    told: set[str] = set()
    pieces = [piece for k, own in enumerate(original) for piece in _pieces(own, k, limits, little, told)]
    return joined(pieces, limits, (*notes, *sorted(told)))


def _pieces(group: Any, place: int, limits: Limits, little: bool, told: set[str]) -> Iterator[Piece]:
    """Read the channels of a multiplex group, the `place`-th one; adds to the notes `told`."""
    channels, samples = int(group.NumberOfWaveformChannels), int(group.NumberOfWaveformSamples)
    check_values((channels, samples), limits)
    coded = int(group.WaveformBitsAllocated), str(group.WaveformSampleInterpretation)
    if coded not in TYPES:
        raise ReadError("the samples are coded in a way that is not read, as by a law of telephony", AGAIN)
    kind = np.dtype(TYPES[coded]).newbyteorder("<" if little else ">")
    content = bytes(group.WaveformData or b"")
    if len(content) < channels * samples * kind.itemsize:
        raise ReadError("a waveform holds fewer samples than its header announces", "copy the file again")
    stored = np.frombuffer(content, kind, channels * samples).reshape(samples, channels)
    pad = _padding(group, kind)
    described = list(group.ChannelDefinitionSequence)
    if len(described) != channels:
        raise ReadError("a waveform describes another number of channels than it has", AGAIN)
    hz, start = float(group.SamplingFrequency), float(group.get("MultiplexGroupTimeOffset") or 0) / 1e3
    if not hz > 0:
        raise ReadError("a waveform does not say its rate", AGAIN)
    for k, channel in enumerate(described):
        row: Row = stored[:, k].astype(np.float64)
        factor = _factor(channel)
        if pad == 0 and longest_run(stored[:, k] == 0) >= hz:
            told.add(ZERO_NOTE)
        if factor is not None:
            row *= factor
            row += float(channel.get("ChannelBaseline") or 0)
        if pad:
            row[stored[:, k] == pad] = np.nan
        states = _states(channel)
        if states & OFF:
            row[:] = np.nan
            told.add(OFF_NOTE)
        if states & IN_DOUBT:
            told.add(DOUBT_NOTE)
        unit = "" if factor is None else _unit(channel)  # stored numbers, of which nobody says what they are
        skew = float(channel.get("ChannelTimeSkew") or 0) + float(channel.get("ChannelSampleSkew") or 0) / hz
        yield Piece(_name(channel), unit, hz, start + skew, row, group=place, step=abs(factor or 1.0))


def longest_run(flags: NDArray[np.bool_]) -> int:
    """Return the length of the longest run of true flags."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], flags, [False])).astype(np.int8)))
    return int((edges[1::2] - edges[::2]).max(initial=0))


def _factor(channel: Any) -> float | None:
    """Return sensitivity x correction; None if the channel does not say its sensitivity."""
    said, correction = channel.get("ChannelSensitivity"), channel.get("ChannelSensitivityCorrectionFactor")
    if said is None:
        return None
    factor = float(said) * (1.0 if correction is None else float(correction))
    if not (np.isfinite(factor) and factor):
        raise ReadError("the sensitivity of a lead, or its correction, is zero or no number", AGAIN)
    return factor


def _states(channel: Any) -> set[str]:
    """Return what the device says of a channel: one word or several."""
    said = channel.get("ChannelStatus") or ()
    return {str(word).strip().upper() for word in ((said,) if isinstance(said, str) else said)}


def _unit(channel: Any) -> str:
    """Return the unit by its code in UCUM; of another code, as `MDC_DIM_MICRO_VOLT`, what it means."""
    sequence = "ChannelSensitivityUnitsSequence"
    code, scheme = _first(channel, sequence, "CodeValue"), _first(channel, sequence, "CodingSchemeDesignator")
    if code and (scheme.upper() == "UCUM" or to_millivolt(code) is not None):
        return code
    return _first(channel, sequence, "CodeMeaning") or code


def _padding(group: Any, kind: np.dtype[Any]) -> int | None:
    """Return the number that stands for no sample; None if there is none."""
    content = bytes(group.get("WaveformPaddingValue") or b"")
    if len(content) < kind.itemsize:
        return None
    return int(np.frombuffer(content, kind, 1).item())


def _name(channel: Any) -> str:
    """Return the name of a channel: by the code of its source, by what the code means, its label, or the code."""
    code = _first(channel, "ChannelSourceSequence", "CodeValue")
    meaning = _first(channel, "ChannelSourceSequence", "CodeMeaning")
    plain = lead_name(IN_BRACKETS.sub("", meaning))  # of `Lead I (Einthoven)`
    known = lead_of_code(code) or (plain if plain in STANDARD else meaning)
    return known or str(channel.get("ChannelLabel") or "") or code


def _first(channel: Any, sequence: str, keyword: str) -> str:
    items = list(channel.get(sequence) or [])
    return str(items[0].get(keyword) or "").strip() if items else ""
