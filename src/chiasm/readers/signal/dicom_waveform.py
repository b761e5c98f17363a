"""Read waveforms in DICOM: electrocardiograms of 12 leads and ambulatory ones, pressures and others, by pydicom."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from chiasm.readers.guard import guarded
from chiasm.readers.image.dicom_header import opened
from chiasm.readers.reading import Limits, ReadError, check_values
from chiasm.readers.registry import missing
from chiasm.readers.signal.lead_codes import lead_of_code
from chiasm.readers.signal.pieces import Piece, joined
from chiasm.readers.signal.recording import Recording, Row

WAVEFORMS = 0x54000100
MARK, MARK_PLACE = b"DICM", 128
MOST_BYTES = 1 << 30
TYPES = {
    (8, "SB"): "i1", (8, "UB"): "u1", (16, "SS"): "i2", (16, "US"): "u2",
    (32, "SL"): "i4", (32, "UL"): "u4", (64, "SV"): "i8", (64, "UV"): "u8",
}  # fmt: skip
AGAIN = "export the recording again"


def is_dicom(path: Path) -> bool:
    """Tell whether the file begins as DICOM does."""
    with path.open("rb") as file:
        file.seek(MARK_PLACE)
        return file.read(len(MARK)) == MARK


def read_waveform(path: Path, limits: Limits) -> Recording:
    """Read the original waveforms, `stored x sensitivity x correction + baseline`; those derived of them are left out.

    Only the sequence of waveforms is read into memory: no name, no date, no identifier.

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
    with guarded("a recording", AGAIN):
        with opened(path, MOST_BYTES) as (stream, _):
            tags = read_partial(stream, lambda tag, vr, length: tag > WAVEFORMS, specific_tags=[WAVEFORMS], force=False)
        groups = list(tags.get("WaveformSequence") or ())
        if not groups:
            raise ReadError("the DICOM file holds no waveform", 'write kind = "dicom" for an image')
        little = tags.original_encoding[1] is not False
        original = [own for own in groups if own.get("WaveformOriginality") != "DERIVED"]
        notes: tuple[str, ...] = ()
        if len(original) < len(groups):
            notes = ("waveforms that were derived from the recording, such as median beats, are left out",)
        if not original:
            original, notes = groups, ("the waveform was derived from the recording, as a median beat is",)
        pieces = [piece for own in original for piece in _pieces(own, limits, little)]
        return joined(pieces, limits, notes)


def _pieces(group: Any, limits: Limits, little: bool) -> Iterator[Piece]:
    """Read the channels of a multiplex group."""
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
        if pad is not None:
            row[stored[:, k] == pad] = np.nan
        if channel.get("ChannelSensitivity") is None:
            unit = ""  # stored numbers, of which nobody says what they are
        else:
            factor = float(channel.ChannelSensitivity) * float(channel.get("ChannelSensitivityCorrectionFactor") or 1)
            row *= factor
            row += float(channel.get("ChannelBaseline") or 0)
            unit = _first(channel, "ChannelSensitivityUnitsSequence", "CodeValue")
        skew = float(channel.get("ChannelTimeSkew") or 0) + float(channel.get("ChannelSampleSkew") or 0) / hz
        yield Piece(_name(channel), unit, hz, start + skew, row)


def _padding(group: Any, kind: np.dtype[Any]) -> int | None:
    """Return the number that stands for no sample. One within the range, as 0, is one of samples too, and is kept."""
    content = bytes(group.get("WaveformPaddingValue") or b"")
    if len(content) < kind.itemsize:
        return None
    found, ends = int(np.frombuffer(content, kind, 1).item()), np.iinfo(kind)
    return found if found and found in (ends.min, ends.max) else None


def _name(channel: Any) -> str:
    """Return the name of a channel: by the code of its source, by what the code means, or its label."""
    code = _first(channel, "ChannelSourceSequence", "CodeValue")
    meaning = _first(channel, "ChannelSourceSequence", "CodeMeaning")
    return lead_of_code(code) or meaning or str(channel.get("ChannelLabel") or "")


def _first(channel: Any, sequence: str, keyword: str) -> str:
    items = list(channel.get(sequence) or [])
    return str(items[0].get(keyword) or "").strip() if items else ""
