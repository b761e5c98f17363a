"""When each data record of a discontinuous EDF+ or BDF+ file begins, which its annotations say first."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from chiasm.readers.reading import ReadError
from chiasm.readers.signal.recording import Row

ANNOTATIONS = ("EDF Annotations", "BDF Annotations")
FIXED_BYTES, LABEL_BYTES, COUNT_PLACE = 256, 16, 216
ONSET = re.compile(rb"([+-]\d{1,12}(?:\.\d{0,12})?)(?:\x15[\d.]*)?\x14")
TOLERANCE_SECONDS = 1e-3


@dataclass(frozen=True)
class Onsets:
    """Seconds at which the records begin, ascending from 0, and how long each of them is."""

    seconds_of: NDArray[np.float64]  # (records,)
    duration: float

    @property
    def seconds(self) -> float:
        """Length of the recording, gaps included."""
        return float(self.seconds_of[-1]) + self.duration

    @property
    def gaps(self) -> bool:
        """Whether a record begins later than the one before ends."""
        return bool((np.diff(self.seconds_of) > self.duration + TOLERANCE_SECONDS).any())


def onsets(path: Path) -> Onsets:
    """Read when each record begins: the first time in its annotations. The text behind it is not kept.

    Raises:
        ReadError: a record does not say when it begins, or begins before the one before ends.
    """
    try:
        with path.open("rb") as file:
            head = file.read(FIXED_BYTES)
            start, records, leads = int(head[184:192]), int(head[236:244]), int(head[252:256])
            duration = float(head[244:252])
            labels = [file.read(LABEL_BYTES).decode("ascii", errors="replace").strip() for _ in range(leads)]
            file.seek(FIXED_BYTES + COUNT_PLACE * leads)
            width = 3 if head[:1] == b"\xff" else 2
            sizes = [width * int(file.read(8)) for _ in range(leads)]
            place = next(k for k, label in enumerate(labels) if label in ANNOTATIONS)
            found = []
            for record in range(records):
                file.seek(start + record * sum(sizes) + sum(sizes[:place]))
                said = ONSET.match(file.read(min(sizes[place], 64)))
                if said is None:
                    raise ValueError
                found.append(float(said.group(1)))
        times = np.array(found) - found[0]
        if not duration > 0:
            raise ValueError
    except (ValueError, StopIteration, IndexError):
        raise ReadError(
            "the recording is discontinuous, and does not say when each of its records begins",
            "cut it at its gaps and write it as EDF+C",
        ) from None
    if (np.diff(times) < duration - TOLERANCE_SECONDS).any():
        raise ReadError(
            "a record begins before the one before it ends", "cut the recording there and write it as EDF+C"
        )
    return Onsets(times, duration)


def spread(row: Row, hz: float, at: Onsets) -> Row:
    """Put the samples of each record at its time, with NaN between records that do not meet."""
    samples = len(row) // len(at.seconds_of)
    starts = np.rint(at.seconds_of * hz).astype(np.int64)
    whole = np.full(int(starts[-1]) + samples, np.nan)
    for record, start in enumerate(starts):
        whole[start : start + samples] = row[record * samples : (record + 1) * samples]
    return whole
