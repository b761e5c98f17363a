"""WFDB records by wfdb, EDF and BDF by pyedflib, each lead at its own rate."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pyedflib
import wfdb
from scipy.signal import resample_poly

from references.compared import Case, Found, files_below

HIGHEST = "leads of several rates brought to the highest by scipy's resample_poly; invalid samples bridged by a line"
MILLIVOLT = "leads in mV, at 100 Hz by scipy's resample_poly; III, aVR, aVL, aVF by Einthoven and Goldberger"
FORMATS = ("80", "212", "16", "24", "32", "310", "311", "8", "61", "160")
ANNOTATIONS = ("EDF Annotations", "BDF Annotations")  # text of a plain EDF, which pyedflib takes for a lead
PACKED = ("508", "516", "524")


def edf_cases(folders: Sequence[Path], work: Path) -> Iterator[Case]:
    """Every file of pyedflib, then what it writes in every type, with other ranges, rates, units and annotations."""
    for folder in folders:
        for name, path in files_below(folder, ".edf", ".bdf"):
            yield Case("EDF, BDF", name, "signal", path, lambda path=path: edf(path), convention=HIGHEST)
    work.mkdir(parents=True, exist_ok=True)
    kinds = {
        "EDF": pyedflib.FILETYPE_EDF, "EDF+": pyedflib.FILETYPE_EDFPLUS,
        "BDF": pyedflib.FILETYPE_BDF, "BDF+": pyedflib.FILETYPE_BDFPLUS,
    }  # fmt: skip
    rates = ((100,), (250, 250, 250), (500, 100), (256, 1, 128))
    ranges = ((-1000.0, 1000.0), (0.0, 1.0), (5.0, -5.0), (-3.2768, 3.2767))
    for number, (kind, own, (low, high)) in enumerate(product(kinds, rates, ranges)):
        path = work / f"{number}.{kind[:3].lower()}"
        _write_edf(path, kinds[kind], own, low, high, number)
        name = f"written: {kind}, {own} Hz, {low:g} .. {high:g}"
        yield Case("EDF, BDF", name, "signal", path, lambda path=path: edf(path), convention=HIGHEST)
    for unit, hz in product(("uV", "mV", "V", "nV"), (100, 250, 500, 360)):
        path = work / f"ecg-{unit}-{hz}.edf"
        high = {"uV": 3000.0, "mV": 3.0, "V": 0.003, "nV": 3e6}[unit]
        _write_edf(path, pyedflib.FILETYPE_EDFPLUS, (hz, hz), -high, high, hz, unit, ("I", "II"))
        to_mv = {"uV": 1e-3, "mV": 1.0, "V": 1e3, "nV": 1e-6}[unit]
        name = f"written as an ECG: {unit}, {hz} Hz"
        yield Case(
            "EDF, BDF", name, "ecg", path,
            lambda path=path, to_mv=to_mv, hz=hz: ecg(edf(path)["values"] * to_mv, hz), 1e-6, MILLIVOLT,
        )  # fmt: skip


def _write_edf(
    path: Path, kind: int, rates: Sequence[int], low: float, high: float, seed: int, unit: str = "mV",
    labels: Sequence[str] = (),
) -> None:  # fmt: skip
    rng = np.random.default_rng(seed)
    bits = 24 if kind in (pyedflib.FILETYPE_BDF, pyedflib.FILETYPE_BDFPLUS) else 16
    with warnings.catch_warnings(), pyedflib.EdfWriter(str(path), len(rates), kind) as writer:
        warnings.simplefilter("ignore", UserWarning)  # of reaches that are cut to eight characters: these are compared
        for k, hz in enumerate(rates):
            writer.setSignalHeader(k, {
                "label": labels[k] if labels else f"lead {k}", "dimension": unit, "sample_frequency": hz,
                "physical_min": low, "physical_max": high, "digital_min": -(2 ** (bits - 1)),
                "digital_max": 2 ** (bits - 1) - 1, "transducer": "", "prefilter": "",
            })  # fmt: skip
        ends = sorted((low, high))
        writer.writeSamples([_wave(rng, hz * 8, hz) * (ends[1] - ends[0]) / 3 + sum(ends) / 2 for hz in rates])
        if kind in (pyedflib.FILETYPE_EDFPLUS, pyedflib.FILETYPE_BDFPLUS):
            writer.writeAnnotation(1.5, -1, "beat")


def _wave(rng: np.random.Generator, length: int, hz: float) -> np.ndarray:
    return np.sin(2 * np.pi * 1.1 * np.arange(length) / hz) + 0.1 * np.clip(rng.normal(size=length), -3, 3)


def edf(path: Path) -> Found:
    """The leads in physical units."""
    with pyedflib.EdfReader(str(path)) as reader:
        places = [k for k, name in enumerate(reader.getSignalLabels()) if name.strip() not in ANNOTATIONS]
        rows = [reader.readSignal(k) for k in places]
        rates = [float(reader.getSampleFrequency(k)) for k in places]
        names = [reader.getLabel(k).strip() for k in places]
        units = tuple(reader.getPhysicalDimension(k).strip() for k in places)
    return _together(rows, rates, names) | {"units": units}


def wfdb_cases(folders: Sequence[Path], work: Path) -> Iterator[Case]:
    """Every record of the folders, then what wfdb writes in every format, gain, baseline, rate and frame."""
    for folder in folders:
        for name, path in files_below(folder, ".hea"):
            record = path.with_suffix("")
            yield Case("WFDB", name, "signal", record, lambda record=record: record_of(record), convention=HIGHEST)
    work.mkdir(parents=True, exist_ok=True)
    number = 0
    for fmt, gain, leads in product((*FORMATS, *PACKED), (200.0, 1000.5), (1, 3)):
        number += 1
        rng = np.random.default_rng(number)
        own = _record(work, f"f{number}", [fmt] * leads, [gain] * leads, rng)
        name = f"written: format {fmt}, gain {gain:g}, {leads} leads"
        yield Case("WFDB", name, "signal", own, lambda own=own: record_of(own), convention=HIGHEST)
    for frames, base, unit in product(([2, 1], [4, 1, 2], [1, 3]), (0, 512), ("mV", "mmHg")):
        number += 1
        own = _frames(work, f"f{number}", frames, base, unit, np.random.default_rng(number))
        name = f"written: {frames} samples a frame, baseline {base}, {unit}"
        yield Case("WFDB", name, "signal", own, lambda own=own: record_of(own), convention=HIGHEST)
    for unit, hz in product(("uV", "mV", "V"), (100, 250, 500, 1000)):
        own, to_mv = f"ecg{unit}{hz}", {"uV": 1e-3, "mV": 1.0, "V": 1e3}[unit]
        rng = np.random.default_rng(hz)
        rows = np.stack([_wave(rng, 10 * hz, hz), _wave(rng, 10 * hz, hz)], axis=1) / to_mv
        wfdb.wrsamp(own, hz, [unit] * 2, ["I", "II"], p_signal=rows, fmt=["16"] * 2, write_dir=str(work))
        name = f"written as an ECG: {unit}, {hz} Hz"
        yield Case(
            "WFDB", name, "ecg", work / own,
            lambda own=own, to_mv=to_mv, hz=hz: ecg(record_of(work / own)["values"] * to_mv, hz), 1e-6, MILLIVOLT,
        )  # fmt: skip


def _record(work: Path, name: str, formats: list[str], gains: list[float], rng: np.random.Generator) -> Path:
    """A record of whole numbers, by wfdb where it writes the format, else of its bytes."""
    walk = np.cumsum(rng.integers(-3, 4, (600, len(formats))), axis=0)
    digital = np.clip(walk, -100, 100).astype(np.int64)  # the narrowest format has eight bits
    leads = [f"lead {k}" for k in range(len(formats))]
    try:
        wfdb.wrsamp(
            name, 250, ["mV"] * len(formats), leads, d_signal=digital, fmt=formats, adc_gain=gains,
            baseline=[5] * len(formats), write_dir=str(work),
        )  # fmt: skip
        return work / name
    except Exception:  # wfdb reads more formats than it writes
        coded = {
            "160": (digital + 32768).astype("<u2"),
            "61": digital.astype(">i2"),
            "8": np.diff(digital, axis=0, prepend=0),
        }
        fewest = -(-digital.size // 3) * 4  # of 310 and 311, three samples in four bytes: any bytes are samples
        content = coded[formats[0]] if formats[0] in coded else rng.integers(0, 256, fewest)
        content = content if formats[0] in ("160", "61") else content.astype(np.uint8)
        (work / f"{name}.dat").write_bytes(content.tobytes())
        lines = [
            f"{name}.dat {formats[0]} {gain:g}(5)/mV 16 0 0 0 0 {lead}" for gain, lead in zip(gains, leads, strict=True)
        ]
        (work / f"{name}.hea").write_text("\n".join([f"{name} {len(formats)} 250 {len(digital)}", *lines]) + "\n")
        return work / name


def _frames(work: Path, name: str, frames: list[int], base: int, unit: str, rng: np.random.Generator) -> Path:
    """A record with several samples a frame, written by its bytes."""
    count = 400
    parts = [rng.integers(-1000, 1000, (count, own)) for own in frames]
    (work / f"{name}.dat").write_bytes(np.concatenate(parts, axis=1).astype("<i2").tobytes())
    lines = [f"{name}.dat 16x{own} 200({base})/{unit} 16 0 0 0 0 lead {k}" for k, own in enumerate(frames)]
    (work / f"{name}.hea").write_text("\n".join([f"{name} {len(frames)} 125 {count}", *lines]) + "\n")
    return work / name


def record_of(path: Path) -> Found:
    """The leads in physical units."""
    record = wfdb.rdrecord(str(path), smooth_frames=False)
    rows = [bridged(np.asarray(row, float)) for row in record.e_p_signal]
    rates = [record.fs * count for count in record.samps_per_frame]
    return _together(rows, rates, record.sig_name) | {"units": tuple(record.units)}


def bridged(row: np.ndarray) -> np.ndarray:
    """A line in place of samples that the format calls invalid; here no gap is long."""
    known, places = np.isfinite(row), np.arange(len(row))
    return np.interp(places, places[known], row[known])


def _together(rows: Sequence[np.ndarray], rates: Sequence[float], names: Sequence[str]) -> dict[str, Any]:
    highest = max(rates)
    same = [row if hz == highest else _resampled(row, highest, hz) for row, hz in zip(rows, rates, strict=True)]
    length = min(map(len, same))
    return {"values": np.stack([row[:length] for row in same]), "hz": highest, "leads": tuple(names)}


def _resampled(row: np.ndarray, wanted: float, hz: float) -> np.ndarray:
    from fractions import Fraction

    ratio = Fraction(wanted / hz).limit_denominator(10_000)
    return resample_poly(row, ratio.numerator, ratio.denominator, padtype="line")


def ecg(leads: np.ndarray, hz: float) -> Found:
    """Lead I and II in mV, and what follows from them, at 100 Hz."""
    first, second = (row if hz == 100 else _resampled(row, 100, hz) for row in leads)
    rows = [first, second, second - first, -(first + second) / 2, first - second / 2, second - first / 2]
    return {"values": np.stack(rows), "hz": 100.0, "leads": ("I", "II", "III", "aVR", "aVL", "aVF")}
