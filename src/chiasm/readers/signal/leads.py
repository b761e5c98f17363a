"""Leads of an electrocardiogram: their names, order and unit, and those that follow from I and II."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np

from chiasm.readers.reading import ReadError
from chiasm.readers.signal.recording import Recording, Row

STANDARD = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")
EUROPEAN = {"D1": "I", "D2": "II", "D3": "III", "DI": "I", "DII": "II", "DIII": "III"}
NAMES = {name.upper(): name for name in STANDARD} | EUROPEAN
MODIFIED = {"MLI": "I", "MLII": "II", "MLIII": "III"}  # limb leads with electrodes on the trunk
SPELLING = re.compile(r"(?:(?:ECG|EKG|LEAD)[ _:-]*)*([A-Z0-9]+)(?:-REF)?")
# other leads of a heart: further chest leads, Frank's, EASI, bipolar, modified, inverted, derived and nameless ones
OTHERS = re.compile(
    r"V(?:[7-9]|[3-9]R|1R|2R)|V?[XYZ]|[EA]S|AI|C[MCBSH][1-7]|M(?:OD)?[ ._-]?V[1-6]|MCL[ -]?[1-6]|ML5|ML I{1,3}|"
    r"-?AVR|-?(?:I{1,3}|AV[RLF]|V[1-6])(?:-(?:I{1,3}|AV[RLF]|V[1-6]))?|(?:ECG|EKG|LEAD)[ _:.-]*[0-9]*|"
    r"(?:ECG|EKG)[ _:.-].*|ECG(?:[A-Z]{1,3})?[0-9+-]*|DERIVED (?:I{1,3}|AV[RLF]|V[1-6])|FRANK [A-Z]|"
)
NO_HEART = re.compile(
    r".*(?:RESP|PLETH|PPG|SP ?O2|SA ?O2|ABP|\bART\b|CVP|PAP|ICP|NIBP|\bBP|EEG|EOG|EMG|FLOW|THOR|ABDO|CHEST|SNOR|"
    r"IMPED|ACC|TEMP|PCG|SOUND|MIC|STATUS|EVENT|TRIG|MARK|ANNOT|CO2|STEP|PULSE|GSR|EDA|\bLEG|\bCHIN|[FCPO][1-8Z]-?[AM][12]).*"
)

MILLIVOLT: Mapping[str, float] = {
    **dict.fromkeys(("mv", "millivolt", "millivolts"), 1.0),
    **dict.fromkeys(("uv", "\u00b5v", "\u03bcv", "microvolt", "microvolts"), 1e-3),
    **dict.fromkeys(("v", "volt", "volts"), 1e3),
    **dict.fromkeys(("nv", "nanovolt", "nanovolts"), 1e-6),
}
WIDEST_MILLIVOLT = 50.0  # between the lowest and the highest half percent of a lead


def lead_name(name: str) -> str:
    """Return the standard name of a lead (`AVR`, `Lead II`, `ECG V1`, `D2`), or any other name as it is (`-aVR`)."""
    spelt = SPELLING.fullmatch(name.strip().upper())
    return NAMES.get(spelt.group(1), name) if spelt else name


def lead_names(names: Sequence[str]) -> list[str]:
    """Return the names of a recording's leads; `MLII` is known as `II` where no other lead is, `MLI` and `MLIII` so."""
    found = [lead_name(name) for name in names]
    for place, name in enumerate(found):
        own = MODIFIED.get(name.strip().upper())
        if own is not None and own not in found:
            found[place] = own
    return found


def to_millivolt(unit: str) -> float | None:
    """Return how many mV the unit is; 1 if none is given, None if it is not a voltage."""
    return MILLIVOLT.get(unit.strip().lower()) if unit.strip() else 1.0


def electrical(recording: Recording) -> list[int]:
    """List the positions of the leads of an electrocardiogram: their unit is a voltage or not given, their name one.

    A name is that of a limb or chest lead, or of another lead of the heart (`V7`, `MCL1`, `ECG 2`). If none is, every
    voltage counts whose name is not known to be something else (`RESP`, `PLETH`, an EEG).

    Raises:
        ReadError: there is none, or two are the same standard lead.
    """
    volts = [k for k, unit in enumerate(recording.units) if to_millivolt(unit) is not None]
    if not volts:
        raise ReadError("no lead is a voltage", "write the unit of the leads (mV), or call the kind 'signal'")
    chosen = [k for k in volts if of_heart(recording.leads[k])]
    chosen = chosen or [k for k in volts if not NO_HEART.fullmatch(recording.leads[k].strip().upper())]
    if not chosen:
        raise ReadError("no lead is one of an electrocardiogram", "name the leads (I, II, V1), or call it 'signal'")
    names = lead_names([recording.leads[k] for k in chosen])
    twice = [name for name in STANDARD if names.count(name) > 1]
    if twice:
        raise ReadError(f"lead {twice[0]} stands twice in the file", "keep one of the two, or name the other one")
    return chosen


def of_heart(name: str) -> bool:
    """Tell whether a name is one of a limb or chest lead, or of another lead of an electrocardiogram."""
    plain = name.strip().upper()
    return lead_name(name) in STANDARD or plain in MODIFIED or bool(OTHERS.fullmatch(plain))


def check_height(row: Row) -> None:
    """Refuse a lead without a unit that is too high to be in mV."""
    known = row[np.isfinite(row)]
    low, high = np.quantile(known, (0.005, 0.995)) if len(known) else (0.0, 0.0)
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
