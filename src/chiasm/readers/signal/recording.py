"""Recordings as their files hold them, and functions that bring their leads to one rate and bridge short gaps."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from chiasm.readers.reading import ReadError

Row = NDArray[np.float64]

FASTEST_HZ = 1e6
BLOCK = 1 << 20  # samples
LONGEST_GAP_SECONDS = 1.0
LONGEST_GAP_SAMPLES = 5
FEWEST_SAMPLES = 5  # a lead with fewer valid ones holds nothing
MOST_SPREAD, SPREAD_RATIO = 20_000_000, 40  # values; and how many of them a sample may become
FINEST_RATIO = 10_000  # rates are brought together by a ratio of whole numbers up to this one


@dataclass(frozen=True)
class Recording:
    """Recording in one file: its leads as named there, their units and rates in Hz; `notes` are for the user.

    `rows` holds `(T_i,)` float64 for each lead, NaN where a sample is invalid; () if only the header was read.
    `assumed` lists the positions of leads whose unit the file does not give, but its format's default does.
    """

    leads: tuple[str, ...]
    units: tuple[str, ...]
    rates: tuple[float, ...]
    notes: tuple[str, ...] = ()
    rows: tuple[Row, ...] = ()
    assumed: tuple[int, ...] = ()


def distinct(names: Iterable[str]) -> tuple[str, ...]:
    """Make names distinct: the second `ECG` becomes `ECG 2`, a lead without a name is called by its number."""
    found: dict[str, None] = {}
    copies: dict[str, int] = {}  # how far each name was counted
    for number, name in enumerate(names, 1):
        base = " ".join(name.split()) or f"lead {number}"
        own, copy = base, copies.get(base, 1)
        while own in found:
            copy += 1
            own = f"{base} {copy}"
        found[own], copies[base] = None, copy
    return tuple(found)


def check_rate(hz: float) -> float:
    """Return a sampling rate in Hz; refuse an impossible one."""
    if not np.isfinite(hz) or not 0 < hz <= FASTEST_HZ:
        raise ReadError("the sampling rate is not a number above zero", "write the rate in Hz into the header")
    return float(hz)


def check_spread(values: int, samples: int) -> None:
    """Refuse a recording of over 20 million values, gaps included, at its highest rate, of which a 40th is stored."""
    if values > max(MOST_SPREAD, SPREAD_RATIO * samples):
        raise ReadError(
            f"the recording would take {values:,} values, over {SPREAD_RATIO} times the samples that it holds: it is "
            "nearly all gaps, or its leads differ too much in their rates",
            "cut it at its gaps, or keep leads of other rates apart",
        )


def bridged(row: Row, hz: float) -> tuple[Row, NDArray[np.bool_] | None]:
    """Bridge invalid samples by a line between their neighbours (at an end: the nearest one).

    Returns the row without any, and where a gap is longer than one second or five samples, whichever is longer: there
    the line stands for nothing, and the samples count as missing. None if no gap is so long.
    """
    valid = np.isfinite(row)
    if valid.all():
        return row, None
    if valid.sum() < FEWEST_SAMPLES:
        return np.zeros(len(row)), np.ones(len(row), dtype=bool)
    missing = np.zeros(len(row), dtype=bool)
    edges = np.flatnonzero(np.diff(np.concatenate(([True], valid, [True])).astype(np.int8)))
    for start, end in zip(edges[::2], edges[1::2], strict=True):
        missing[start:end] = end - start > max(LONGEST_GAP_SECONDS * hz, LONGEST_GAP_SAMPLES)
    steps = np.arange(len(row))
    return np.interp(steps, steps[valid], row[valid]), missing if missing.any() else None


def without_gaps(row: Row, hz: float, wanted: float) -> Row:
    """Bring a row to another rate, its short gaps bridged and NaN in its long ones; see `bridged` and `at_rate`."""
    whole, missing = bridged(row, hz)
    found = at_rate(whole, hz, wanted)
    if missing is None:
        return found
    for start in range(0, len(found), BLOCK):  # of little memory: a gap may be long
        places = np.arange(start, min(start + BLOCK, len(found))) * (hz / wanted)
        before = np.minimum(np.floor(places + 1e-6).astype(np.int64), len(row) - 1)
        after = np.minimum(np.ceil(places - 1e-6).astype(np.int64), len(row) - 1)
        found[start : start + BLOCK][missing[before] | missing[after]] = np.nan
    return found


def at_rate(row: Row, hz: float, wanted: float) -> Row:
    """Resample a row to another rate, `ceil(T wanted / hz)` samples, with the low-pass filter of `resample_poly`.

    The line from the first to the last sample is removed before and added back, so that an offset does not ring at
    the ends. The ratio of the rates is the nearest one of whole numbers up to 10,000.
    """
    ratio = Fraction(wanted / hz).limit_denominator(FINEST_RATIO)
    if ratio == 1:
        return row
    if not 0 < ratio <= FINEST_RATIO:
        raise ReadError(f"the sampling rate is too far from {wanted:g} Hz to be brought there", "resample the file")
    from scipy.signal import resample_poly  # type: ignore[import-untyped]  # half a second to import

    return np.asarray(resample_poly(row, ratio.numerator, ratio.denominator, padtype="line"), dtype=np.float64)
