"""Read SCP-ECG (EN 1064, ISO 11073-91064): leads stored as they are, as differences, or by the default code."""

from __future__ import annotations

import binascii
import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from chiasm.readers.reading import Limits, ReadError, check_values
from chiasm.readers.signal.lead_codes import lead_of_number
from chiasm.readers.signal.pieces import Piece, joined
from chiasm.readers.signal.recording import Recording
from chiasm.readers.signal.scp_samples import DEFAULT_CODE, decoded, summed

MARK, MARK_PLACE = b"SCPECG", slice(16, 22)
MOST_BYTES = 64 << 20
HEADER = struct.Struct("<HHIBB6s")  # of a section: checksum, number, length, two versions, reserved
POINTER = struct.Struct("<HII")  # number, length and place of a section, counted from 1
LEAD = struct.Struct("<IIB")  # first and last sample, number of the lead
RHYTHM = struct.Struct("<HHBB")  # nV a unit, us a sample, differences, bimodal
PATIENT, CODES, LEADS, SAMPLES = 1, 2, 3, 6
MOST_LEADS = 85
NANOVOLT = 1e-3  # in uV
NAME_TAGS = {0, 1, 2, 3}
CONVERT = "convert it to EDF with BioSig: save2gdf -f=EDF in.scp out.edf"
CUT = "the SCP-ECG file is cut off or damaged", "copy it again"


def is_scp(path: Path) -> bool:
    """Tell whether the file begins as SCP-ECG does."""
    with path.open("rb") as file:
        return file.read(MARK_PLACE.stop)[MARK_PLACE] == MARK


def read_scp(path: Path, limits: Limits, header_only: bool = False) -> Recording:
    """Read the rhythm in microvolts, each lead from its first sample on.

    Args:
        header_only: decode no sample; the leads hold zeros.

    Raises:
        ReadError: damaged, a checksum that is wrong, over a limit, or compressed by a reference beat, in two rates, or
            by a code of the file's own, which are not read.
    """
    if path.stat().st_size > MOST_BYTES:
        raise ReadError(f"the SCP-ECG file is over {MOST_BYTES >> 20} MB", "check the file")
    content = path.read_bytes()
    checksum, length = struct.unpack_from("<HI", content)
    if not 6 <= length <= len(content):
        raise ReadError(*CUT)
    content = content[:length]  # some programs fill up the last block
    if binascii.crc_hqx(content[2:], 0xFFFF) != checksum:
        raise ReadError(
            "the SCP-ECG file is cut off or damaged, or its checksum was never written",
            "copy it again, or export it again with a checksum (bytes 1 and 2)",
        )
    sections = {number: body for number, body in _sections(content) if body}
    if LEADS not in sections or SAMPLES not in sections:
        raise ReadError("the SCP-ECG file holds no rhythm", "export it with the rhythm, not only with the report")
    notes = ("the file says who the patient is; that is not read",) if _is_named(sections.get(PATIENT, b"")) else ()
    return joined(list(_pieces(sections, limits, header_only)), limits, notes)


def _sections(content: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the number and the content of each section that the first one points to."""
    _, _, length, *_ = HEADER.unpack_from(content, 6)
    if not HEADER.size <= length <= len(content) - 6:
        raise ReadError(*CUT)
    for place in range(6 + HEADER.size, 6 + length - POINTER.size + 1, POINTER.size):
        number, size, index = POINTER.unpack_from(content, place)
        if not number or not size:
            continue
        section = content[index - 1 : index - 1 + size]
        if index < 1 or len(section) < max(size, HEADER.size):
            raise ReadError(*CUT)
        checksum, own, said, *_ = HEADER.unpack_from(section)
        if own != number or said != size or binascii.crc_hqx(section[2:], 0xFFFF) != checksum:
            raise ReadError(*CUT)
        yield number, section[HEADER.size :]


def _pieces(sections: dict[int, bytes], limits: Limits, header_only: bool) -> Iterator[Piece]:
    number, flags = struct.unpack_from("<BB", sections[LEADS])
    per_unit, microseconds, order, bimodal = RHYTHM.unpack_from(sections[SAMPLES])
    if flags & 1 or bimodal:
        raise ReadError("the recording is compressed by a reference beat or in two rates, which is not read", CONVERT)
    coded = CODES in sections
    if coded and struct.unpack_from("<H", sections[CODES])[0] != DEFAULT_CODE:
        raise ReadError("the recording is compressed by a code of its own, which is not read", CONVERT)
    if order > 2 or not 0 < number <= MOST_LEADS or not per_unit or not microseconds:
        raise ReadError(*CUT)
    leads = list(LEAD.iter_unpack(sections[LEADS][2 : 2 + number * LEAD.size]))
    sizes = struct.unpack_from(f"<{number}H", sections[SAMPLES], RHYTHM.size)
    place = RHYTHM.size + 2 * number
    if len(leads) != number or place + sum(sizes) > len(sections[SAMPLES]):
        raise ReadError(*CUT)
    hz = 1e6 / microseconds
    check_values((number, max(end - start + 1 for start, end, _ in leads)), limits)
    for (start, end, lead), size in zip(leads, sizes, strict=True):
        samples = end - start + 1
        part = sections[SAMPLES][place : place + size]
        place += size
        if samples > (8 * size if coded else size // 2):  # each takes a bit at least
            raise ReadError(*CUT)
        if header_only:
            yield Piece(lead_of_number(lead), "uV", hz, max(start - 1, 0) / hz, np.zeros(max(samples, 0)))
            continue
        stored = decoded(part, samples) if coded else np.frombuffer(part[: 2 * samples], "<i2")
        if len(stored) != samples:
            raise ReadError(*CUT)
        row = summed(stored, order) * (per_unit * NANOVOLT)
        yield Piece(lead_of_number(lead), "uV", hz, max(start - 1, 0) / hz, row)


def _is_named(patient: bytes) -> bool:
    """Tell whether the section of the patient has a name or an identifier; neither is read."""
    place = 0
    while place + 3 <= len(patient):
        tag, size = struct.unpack_from("<BH", patient, place)
        if tag == 255:
            break
        if tag in NAME_TAGS and patient[place + 3 : place + 3 + size].strip(b"\0 "):
            return True
        place += 3 + size
    return False
