"""Readers of electrocardiograms and other signals, from WFDB, EDF, BDF and tables of text, as leads at one rate."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from chiasm.readers.reading import LIMITS, Item, Limits, ReadError, Signal, check_values
from chiasm.readers.signal.edf import is_edf, read_edf
from chiasm.readers.signal.leads import check_height, electrical, lead_name, to_millivolt, twelve_leads
from chiasm.readers.signal.recording import Recording, Row, at_rate, distinct, without_gaps
from chiasm.readers.signal.signal_table import SUFFIXES, read_table
from chiasm.readers.signal.wfdb_record import is_record, read_header, read_record

ECG_HZ = 100.0
SLOWEST_ECG_HZ = 50.0
LARGEST = float(np.finfo(np.float32).max) / 1e3  # also after a volt has become mV
FORMATS = "WFDB (a path without suffix), EDF, BDF, or a table of text (.csv, .tsv)"


class SignalReader:
    """Reader of a recording of any kind: `(L, T)` float32, with leads, units and rate as in the file.

    Leads of several rates are brought to the highest one. Invalid samples are bridged by a line up to a second (or
    five samples, if that is longer).
    """

    kind = "signal"
    version = "1"

    def inspect(self, item: Item, limits: Limits = LIMITS) -> tuple[str, ...]:
        """Return notes from the header: text about a patient, rates that differ."""
        found = _load(item, limits, header_only=True)
        rates = sorted(set(found.rates))
        if len(rates) < 2:
            return found.notes
        return (*found.notes, f"the leads have {len(rates)} sampling rates; all are brought to {rates[-1]:g} Hz")

    def read(self, item: Item, limits: Limits = LIMITS) -> Signal:
        """Read the signal.

        Raises:
            ReadError: a damaged or truncated file, one that names another outside its folder, no sampling rate, a
                long gap, a lead without a valid sample, over a limit.
            Unsupported: wfdb or pyedflib is missing.
        """
        found = _load(item, limits)
        values = _together(found, max(found.rates), limits)
        return Signal(np.stack(values).astype(np.float32), distinct(found.leads), max(found.rates), found.units)


class EcgReader:
    """Reader of an ECG: `(L, T)` float32 in mV at 100 Hz, the twelve standard leads first and in their order.

    Leads are recognised by their names, however they are spelt; leads with other names (`MLII`) are kept, behind the
    standard ones. Leads whose unit is not a voltage are left out. If I and II are present, missing ones of III, aVR,
    aVL and aVF are computed. A lead without a unit is taken as mV, and refused if it is too high for that.
    """

    kind = "ecg"
    version = "1"

    def inspect(self, item: Item, limits: Limits = LIMITS) -> tuple[str, ...]:
        """Return notes from the header: text about a patient, leads left out, missing units."""
        found = _load(item, limits, header_only=True)
        left = len(found.leads) - len(electrical(found)) if found.leads else 0
        notes = list(found.notes)
        if left:
            notes.append(f"{left:,} of {len(found.leads):,} leads are no voltage and are left out")
        if any(not unit for unit in found.units):
            notes.append("leads without a unit are taken to be in mV")
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
            distinct(lead_name(found.leads[k]) for k in chosen),
            tuple(found.units[k] for k in chosen),
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
        return Signal(np.stack(list(rows.values())).astype(np.float32), tuple(rows), ECG_HZ, ("mV",) * len(rows))


def _load(item: Item, limits: Limits, header_only: bool = False) -> Recording:
    if not isinstance(item, Path):
        raise ReadError("a signal is read from a file, not from a cell of a table", "name the files by `path`")
    try:
        if is_record(item):
            return read_header(item, limits) if header_only else read_record(item, limits)
        if item.is_dir():
            raise ReadError("a folder is no recording", f"give {FORMATS}")
        if not item.is_file():
            raise ReadError("there is no such recording", f"give {FORMATS}")
        if is_edf(item):
            return read_edf(item, limits, header_only)
        if item.suffix.lower() in SUFFIXES:
            return read_table(item, limits, header_only)
    except OSError:
        raise ReadError("the file cannot be read", "check that it may be opened") from None
    if item.suffix.lower() in (".edf", ".bdf"):
        raise ReadError("the file is neither EDF nor BDF", "write the recording again")
    raise ReadError("the format of the recording is not known", f"give {FORMATS}")


def _together(found: Recording, hz: float, limits: Limits) -> list[Row]:
    """Bring every lead to one rate without gaps, cut to the length of the shortest."""
    seconds = max(len(row) / rate for row, rate in zip(found.rows, found.rates, strict=True))
    check_values((len(found.rows), int(np.ceil(seconds * hz))), limits)
    rows = [at_rate(without_gaps(row, rate), rate, hz) for row, rate in zip(found.rows, found.rates, strict=True)]
    length = min(map(len, rows))
    if max(float(np.abs(row).max()) for row in rows) > LARGEST:
        raise ReadError("the samples are too large to be numbers of this file", "check the gain in the header")
    return [row[:length] for row in rows]
