"""Leads of an electrocardiogram: their names, order and unit, and those that follow from I and II."""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np

from chiasm.readers.reading import ReadError
from chiasm.readers.signal.recording import Recording, Row

STANDARD = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")
NAMES = {name.upper(): name for name in STANDARD}
SPELLING = re.compile(r"(?:(?:ECG|EKG|LEAD)[ _:-]*)*([A-Z0-9]+)(?:-REF)?")

MILLIVOLT: Mapping[str, float] = {
    **dict.fromkeys(("mv", "millivolt", "millivolts"), 1.0),
    **dict.fromkeys(("uv", "\u00b5v", "\u03bcv", "microvolt", "microvolts"), 1e-3),
    **dict.fromkeys(("v", "volt", "volts"), 1e3),
    **dict.fromkeys(("nv", "nanovolt", "nanovolts"), 1e-6),
}
WIDEST_MILLIVOLT = 50.0  # between the lowest and the highest half percent of a lead


def lead_name(name: str) -> str:
    """Return the standard name of a lead (`AVR`, `Lead II`, `ECG V1`), or any other name as it is (`MLII`, `-aVR`)."""
    spelt = SPELLING.fullmatch(name.strip().upper())
    return NAMES.get(spelt.group(1), name) if spelt else name


def to_millivolt(unit: str) -> float | None:
    """Return how many mV the unit is; 1 if none is given, None if it is not a voltage."""
    return MILLIVOLT.get(unit.strip().lower()) if unit.strip() else 1.0


def electrical(recording: Recording) -> list[int]:
    """List the positions of the leads whose unit is a voltage, or is not given.

    Raises:
        ReadError: there is none, or two are the same standard lead.
    """
    chosen = [k for k, unit in enumerate(recording.units) if to_millivolt(unit) is not None]
    if not chosen:
        raise ReadError("no lead is a voltage", "write the unit of the leads (mV), or call the kind 'signal'")
    names = [lead_name(recording.leads[k]) for k in chosen]
    twice = [name for name in STANDARD if names.count(name) > 1]
    if twice:
        raise ReadError(f"lead {twice[0]} stands twice in the file", "keep one of the two, or name the other one")
    return chosen


def check_height(row: Row) -> None:
    """Refuse a lead without a unit that is too high to be in mV."""
    low, high = np.quantile(row, (0.005, 0.995))
    if high - low > WIDEST_MILLIVOLT:
        raise ReadError(
            f"a lead without a unit spans more than {WIDEST_MILLIVOLT:g}, which no electrocardiogram does in mV",
            "name the unit, as in 'II (uV)'",
        )


def twelve_leads(rows: dict[str, Row]) -> dict[str, Row]:
    """Put the standard leads first, in the standard order, and the others behind them in their own.

    If I and II are present, those of III, aVR, aVL and aVF that are missing are computed from them (Einthoven,
    Goldberger): `III = II - I`, `aVR = -(I + II) / 2`, `aVL = I - II / 2`, `aVF = II - I / 2`.
    """
    found = dict(rows)
    if "I" in rows and "II" in rows:
        first, second = rows["I"], rows["II"]
        limbs = {
            "III": second - first,
            "aVR": -(first + second) / 2,
            "aVL": first - second / 2,
            "aVF": second - first / 2,
        }
        found = {**limbs, **rows}
    order = [name for name in STANDARD if name in found] + [name for name in found if name not in STANDARD]
    return {name: found[name] for name in order}
