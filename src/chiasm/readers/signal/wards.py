"""Recordings as the devices of a ward export them: DICOM waveforms, HL7 aECG, MUSE XML and SCP-ECG."""

from __future__ import annotations

from pathlib import Path

from chiasm.readers.guard import file_of, guarded
from chiasm.readers.reading import Limits, ReadError
from chiasm.readers.signal import aecg, muse
from chiasm.readers.signal.dicom_waveform import is_dicom, read_waveform
from chiasm.readers.signal.ecg_xml import is_xml, read_tree
from chiasm.readers.signal.recording import Recording
from chiasm.readers.signal.scp import is_scp, read_scp

NOUN, AGAIN = "a recording", "export it again"


def is_of_ward(path: Path) -> bool:
    """Tell by its content whether a file is DICOM, XML or SCP-ECG."""
    return is_dicom(path) or is_scp(path) or is_xml(path)


def read_ward(path: Path, limits: Limits, header_only: bool = False) -> Recording:
    """Read the recording, each lead at its own rate and in its own unit, NaN where it was not recorded.

    Args:
        header_only: decode no sample of SCP-ECG, for the notes alone; the others are quick to read.

    Raises:
        ReadError: damaged, cut off, over a limit, or of a kind that is not read.
        Unsupported: pydicom is missing.
    """
    with guarded(NOUN, AGAIN):
        file_of(path, limits)
        if is_dicom(path):
            return read_waveform(path, limits)
        if is_scp(path):
            return read_scp(path, limits, header_only)
        root, left_out = read_tree(path, aecg.WITHOUT | muse.WITHOUT)
        if root.tag == aecg.ROOT:
            return aecg.recording_of(root, left_out, limits)
        if root.tag == muse.ROOT:
            return muse.recording_of(root, left_out, limits)
    raise ReadError(
        "the XML file is neither HL7 aECG nor of MUSE", "export it as one of these, or as DICOM, SCP-ECG, EDF or WFDB"
    )
