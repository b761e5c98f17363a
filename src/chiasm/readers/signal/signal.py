"""Readers of electrocardiograms and other signals, as leads at one rate; `wards` has the formats of wards."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from chiasm.readers.guard import quiet
from chiasm.readers.reading import LIMITS, Floats, Item, Limits, ReadError, Signal, check_values
from chiasm.readers.signal.edf import is_edf, read_edf
from chiasm.readers.signal.leads import check_height, electrical, lead_names, of_heart, to_millivolt, twelve_leads
from chiasm.readers.signal.recording import Recording, Row, check_spread, distinct, without_gaps
from chiasm.readers.signal.signal_table import SUFFIXES, read_table
from chiasm.readers.signal.wards import is_of_ward, read_ward
from chiasm.readers.signal.wfdb_record import is_record, read_header, read_record

ECG_HZ = 100.0
SLOWEST_ECG_HZ = 50.0
LARGEST = float(np.finfo(np.float32).max) / 1e3  # also after a volt has become mV
UNCALIBRATED = "leads without a gain are read as 200 units a mV, which is the format's default"
FORMATS = "WFDB (a path without suffix), EDF, BDF, DICOM, aECG, MUSE XML, SCP-ECG, or a table of text (.csv, .tsv)"


class SignalReader:
    """Reader of a recording of any kind: `(L, T)` float32, with leads, units and rate as in the file.

    Leads of several rates are brought to the highest one. Invalid samples are bridged by a line up to a second (or
    five samples, if that is longer); in a longer gap the values are NaN, which is missing.
    """

    kind = "signal"
    version = "2"
    accepts = ("1",)

    def inspect(self, item: Item, limits: Limits = LIMITS) -> tuple[str, ...]:
        """Return notes from the header: text about a patient, rates that differ."""
        found = _load(item, limits, header_only=True)
        rates = sorted(set(found.rates))
        notes = list(found.notes)
        if len(rates) > 1:
            notes.append(f"the leads have {len(rates)} sampling rates; all are brought to {rates[-1]:g} Hz")
        if found.assumed:
            notes.append(UNCALIBRATED)
        return tuple(notes)

    def read(self, item: Item, limits: Limits = LIMITS) -> Signal:
        """Read the signal.

        Raises:
            ReadError: a damaged or truncated file, one that names another outside its folder, no sampling rate, no
                valid sample, over a limit.
            Unsupported: wfdb or pyedflib is missing.
        """
        found = _load(item, limits)
        values = _together(found, max(found.rates), limits)
        return Signal(_stacked(values), distinct(found.leads), max(found.rates), found.units)


class EcgReader:
    """Reader of an ECG: `(L, T)` float32 in mV at 100 Hz, the twelve standard leads first and in their order.

    Leads are recognised by their names, however they are spelt; MLII counts as II where there is no other. Other leads
    of the heart (`V7`, `MCL1`) are kept, behind the standard ones; what is no lead of the heart (`RESP`, `PLETH`) or no
    voltage is left out. If I and II are present, missing ones of III, aVR, aVL and aVF are computed. A lead without a
    unit or a gain is taken as mV, and refused if it is too high for that. NaN is missing, as for `SignalReader`.
    """

    kind = "ecg"
    version = "2"
    accepts = ("1",)

    def inspect(self, item: Item, limits: Limits = LIMITS) -> tuple[str, ...]:
        """Return notes from the header: text about a patient, leads left out, missing units."""
        found = _load(item, limits, header_only=True)
        notes = list(found.notes)
        chosen = electrical(found) if found.leads else []
        volts = [k for k, unit in enumerate(found.units) if to_millivolt(unit) is not None]
        if len(volts) < len(found.leads):
            left = len(found.leads) - len(volts)
            notes.append(f"{left:,} of {len(found.leads):,} leads are no voltage and are left out")
        if len(chosen) < len(volts):
            left = len(volts) - len(chosen)
            notes.append(f"{left:,} of {len(found.leads):,} leads are no limb or chest leads and are left out")
        if chosen and not any(of_heart(found.leads[k]) for k in chosen):
            notes.append("no lead has a name of an electrocardiogram")
        if any(not found.units[k] for k in chosen):
            notes.append("leads without a unit are taken to be in mV")
        if set(chosen) & set(found.assumed):
            notes.append(UNCALIBRATED)
        return tuple(notes)

    def read(self, item: Item, limits: Limits = LIMITS) -> Signal:
        """Read the electrocardiogram. Raises as `SignalReader.read` does, and if a standard lead appears twice."""
        found = _load(item, limits)
        chosen = electrical(found)
        if min(found.rates[k] for k in chosen) < SLOWEST_ECG_HZ:
            raise ReadError(
                f"a lead has fewer than {SLOWEST_ECG_HZ:g} samples a second", "call the kind 'signal' if it is no ECG"
            )
        kept = Recording(
            distinct(lead_names([found.leads[k] for k in chosen])),
            tuple("" if k in found.assumed else found.units[k] for k in chosen),
            tuple(found.rates[k] for k in chosen),
            rows=tuple(found.rows[k] for k in chosen),
        )
        values = _together(kept, ECG_HZ, limits)
        rows: dict[str, Row] = {}
        for name, unit, row in zip(kept.leads, kept.units, values, strict=True):
            if not unit:
                check_height(row)
            rows[name] = row * (to_millivolt(unit) or 1.0)
        rows = twelve_leads(rows)
        return Signal(_stacked(list(rows.values())), tuple(rows), ECG_HZ, ("mV",) * len(rows))


def _load(item: Item, limits: Limits, header_only: bool = False) -> Recording:
    if not isinstance(item, Path):
        raise ReadError("a signal is read from a file, not from a cell of a table", "name the files by `path`")
    try:
        with quiet():
            if is_record(item):
                return read_header(item, limits) if header_only else read_record(item, limits)
            if item.is_dir():
                raise ReadError("a folder is no recording", f"give {FORMATS}")
            if not item.is_file():
                raise ReadError("there is no such recording", f"give {FORMATS}")
            if is_edf(item):
                return read_edf(item, limits, header_only)
            if is_of_ward(item):
                return read_ward(item, limits, header_only)
            if item.suffix.lower() in SUFFIXES:
                return read_table(item, limits, header_only)
    except OSError:
        raise ReadError("the file cannot be read", "check that it may be opened") from None
    if item.suffix.lower() in (".edf", ".bdf"):
        raise ReadError("the file is neither EDF nor BDF", "write the recording again")
    raise ReadError("the format of the recording is not known", f"give {FORMATS}")


def _together(found: Recording, hz: float, limits: Limits) -> list[Row]:
    """Bring every lead to one rate, NaN in its long gaps, cut to the length of the shortest."""
    seconds = max(len(row) / rate for row, rate in zip(found.rows, found.rates, strict=True))
    values = len(found.rows), int(np.ceil(seconds * hz))
    check_values(values, limits)
    check_spread(values[0] * values[1], sum(map(len, found.rows)))
    rows = [without_gaps(row, rate, hz) for row, rate in zip(found.rows, found.rates, strict=True)]
    length = min(map(len, rows))
    rows = [row[:length] for row in rows]
    highest = [float(np.abs(row[np.isfinite(row)]).max(initial=-1.0)) for row in rows]
    if max(highest) < 0:
        raise ReadError("the leads have no valid sample", "leave the file out if the patient has no recording")
    if max(highest) > LARGEST:
        raise ReadError("the samples are too large to be numbers of this file", "check the gain in the header")
    return rows


def _stacked(rows: list[Row]) -> Floats:
    """Return `(L, T)` of rows of one length, one converted at a time."""
    values = np.empty((len(rows), len(rows[0])), dtype=np.float32)
    for place, row in zip(values, rows, strict=True):
        place[:] = row
    return values
