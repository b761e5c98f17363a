"""Read EDF and BDF recordings through pyedflib; annotations, which may hold text about a patient, are not read."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from chiasm.readers.reading import Limits, ReadError, check_size, check_values
from chiasm.readers.registry import missing
from chiasm.readers.signal.edf_records import ANNOTATIONS, Onsets, onsets, spread
from chiasm.readers.signal.recording import Recording, check_rate, check_spread

EDF, BDF = b"0       ", b"\xffBIOSEMI"
FIXED_BYTES = 256
LEAD_BYTES = 216  # of the header for each lead, before the numbers of samples
PATIENT = slice(8, 88)
RESERVED = slice(192, 197)
BLOCK = 1 << 22
NOBODY = {"", "X", "X X X X"}
TRUNCATED = "copy the file again, it is truncated or was never finished"


def is_edf(path: Path) -> bool:
    """Tell whether the file begins as EDF or BDF does."""
    with path.open("rb") as file:
        return file.read(8) in (EDF, BDF)


def read_edf(path: Path, limits: Limits, header_only: bool = False) -> Recording:
    """Read the recording in the units of its header, each lead at its own rate, NaN in the gaps of EDF+D.

    Raises:
        ReadError: the file is damaged, over a limit, its size is not the one announced, or its records overlap.
    """
    check_size(path, limits)
    head = _head(path)
    _check_length(path, head)
    pyedflib = _pyedflib()
    at = onsets(path) if _is_discontinuous(head) else None
    with _continuous(path, head, header_only) as whole:
        try:
            reader = pyedflib.EdfReader(
                str(whole),
                annotations_mode=pyedflib.DO_NOT_READ_ANNOTATIONS,
                check_file_size=pyedflib.CHECK_FILE_SIZE,
            )
        except Exception as fault:  # pyedflib quotes the path
            raise _refused(str(fault)) from None
        try:
            return _recording(reader, head, limits, header_only, at)
        except ReadError:
            raise
        except Exception:
            raise ReadError("the EDF file is damaged", "write the recording again") from None
        finally:
            reader.close()


def _recording(reader: Any, head: bytes, limits: Limits, header_only: bool, at: Onsets | None) -> Recording:
    labels = [str(label).strip() for label in reader.getSignalLabels()]
    # pyedflib knows the annotations of EDF+ alone; what a plain EDF calls so is text too
    kept = [k for k, label in enumerate(labels) if label not in ANNOTATIONS]
    if not kept:
        raise ReadError("the recording has no leads", "take the file away if the patient has none")
    lengths = [int(reader.getNSamples()[k]) for k in kept]
    rates = tuple(check_rate(float(reader.getSampleFrequency(k))) for k in kept)
    check_values((sum(lengths),), limits)
    if at is not None:
        values = len(kept), int(np.ceil(at.seconds * max(rates)))
        check_values(values, limits)
        check_spread(values[0] * values[1], sum(lengths))
    if min(lengths) <= 0:
        raise ReadError("a lead has no samples", "write the recording again")
    leads = tuple(labels[k] for k in kept)
    units = tuple(str(reader.getPhysicalDimension(k)).strip() for k in kept)
    named = head[PATIENT].decode("ascii", errors="replace").strip() not in NOBODY
    notes = ("the header has a patient field that is filled in; it is not read",) if named else ()
    if at is not None and at.gaps:
        notes = (*notes, "the recording has gaps, which count as missing")
    if header_only:
        return Recording(leads, units, rates, notes)
    rows = tuple(np.asarray(reader.readSignal(k), dtype=np.float64) for k in kept)
    if [len(row) for row in rows] != lengths:
        raise ReadError("the file holds fewer samples than its header announces", TRUNCATED)
    if at is not None and at.gaps:
        rows = tuple(spread(row, rate, at) for row, rate in zip(rows, rates, strict=True))
    return Recording(leads, units, rates, notes, rows)


def _is_discontinuous(head: bytes) -> bool:
    return head[RESERVED] in (b"EDF+D", b"BDF+D")


@contextmanager
def _continuous(path: Path, head: bytes, header_only: bool) -> Iterator[Path]:
    """Give the file, or a copy of a discontinuous one that says it is continuous, which is all that pyedflib reads.

    For the header alone the copy has the length of the file and a hole for its records.
    """
    if not _is_discontinuous(head):
        yield path
        return
    size = path.stat().st_size
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / f"copy{path.suffix}"
        with path.open("rb") as source, copy.open("wb") as target:
            start = source.read(FIXED_BYTES)
            target.write(start[: RESERVED.stop - 1] + b"C" + start[RESERVED.stop :])
            left = (int(head[184:192]) if header_only else size) - FIXED_BYTES
            while left > 0 and (block := source.read(min(BLOCK, left))):
                target.write(block)
                left -= len(block)
            target.truncate(size)
        yield copy


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        head = file.read(FIXED_BYTES)
    if len(head) < FIXED_BYTES:
        raise ReadError("the file ends within its header", TRUNCATED)
    records = head[236:244].strip()
    if records == b"-1":
        raise ReadError("the header does not say how long the recording is", TRUNCATED)
    return head


def _check_length(path: Path, head: bytes) -> None:
    """Check the announced samples against the size of the file; pyedflib would print what it finds."""
    try:
        start, records, leads = int(head[184:192]), int(head[236:244]), int(head[252:256])
        with path.open("rb") as file:
            file.seek(FIXED_BYTES + LEAD_BYTES * max(leads, 0))
            samples = sum(int(file.read(8)) for _ in range(leads))
    except ValueError:
        raise _refused("") from None
    if leads > 0 and path.stat().st_size != start + records * samples * (3 if head[:8] == BDF else 2):
        raise _refused("filesize")


def _refused(fault: str) -> ReadError:
    if "ilesize" in fault or "umber of datarecords" in fault.lower():
        return ReadError("the file is not as long as its header announces", TRUNCATED)
    return ReadError(
        "the header does not keep to EDF or BDF", "write the recording again with a program that keeps to it"
    )


def _pyedflib() -> Any:
    try:
        import pyedflib
    except ImportError:
        raise missing("pyedflib", "signals", "recordings in EDF or BDF") from None
    return pyedflib
