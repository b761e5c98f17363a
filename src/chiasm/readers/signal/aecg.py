"""Read HL7 annotated electrocardiograms (aECG): the recorded series, not the beats that were derived from them."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from xml.etree.ElementTree import Element

import numpy as np

from chiasm.readers.reading import Limits, ReadError, check_values
from chiasm.readers.signal.lead_codes import lead_of_code
from chiasm.readers.signal.leads import to_millivolt
from chiasm.readers.signal.pieces import Piece, joined
from chiasm.readers.signal.recording import Recording, Row

ROOT = "AnnotatedECG"
SUBJECT = frozenset({"componentOf", "author", "performer", "secondaryPerformer"})  # who, where and in which trial
DERIVED = "derivation"
BEATS = {"REPRESENTATIVE_BEAT"}
WITHOUT = SUBJECT | {DERIVED, "subjectOf", "annotationSet", "definition", "controlVariable"}
SECONDS = {"s": 1.0, "ms": 1e-3, "us": 1e-6}
TIME = re.compile(r"(\d{8}(?:\d\d){0,3})(\.\d{1,9})?([+-]\d{4})?")
AGAIN = "export the recording again"


def recording_of(root: Element, left_out: set[str], limits: Limits) -> Recording:
    """Read the recording: `origin + scale x digit` in the unit of the scale, each lead where its time says.

    Raises:
        ReadError: a sequence without leads, times, units or numbers that are any; see `joined`.
    """
    notes = ("the file says who the patient is or who recorded it; that is not read",) if left_out & SUBJECT else ()
    every = list(root.iter("series"))
    recorded = [series for series in every if _code(series) not in BEATS]
    if every and not recorded:
        raise ReadError("the file holds representative beats alone, and no rhythm", "export it with the rhythm")
    if DERIVED in left_out or len(recorded) < len(every):
        notes = (*notes, "representative beats, which were derived from the recording, are left out")
    pieces, place = list[Piece](), 0
    for number, series in enumerate(recorded):
        began = _began(series) if len(recorded) > 1 else (0.0, 0.0)
        for group in series.iter("sequenceSet"):
            pieces += [replace(piece, group=place, series=number) for piece in _pieces(group, began, limits)]
            place += 1
    return joined(pieces, limits, notes)


def _code(element: Element) -> str:
    code = element.find("code")
    return "" if code is None else code.get("code", "")


def _began(series: Element) -> tuple[float, float] | None:
    """Return the seconds at which a series began, and to how many it is written; None if it does not say."""
    time = series.find("effectiveTime")
    low = None if time is None else time.find("low")
    said = TIME.fullmatch("" if low is None else low.get("value", ""))
    found = (_seconds(said), _resolution(said)) if said is not None else None
    return found if found is not None and np.isfinite(found[0]) else None


def _pieces(group: Element, began: tuple[float, float] | None, limits: Limits) -> Iterator[Piece]:
    """Read the leads of a sequence set, which share one sequence of times; relative ones count from the series."""
    times: tuple[float, float, float] | None = None
    leads: list[tuple[str, str, Row, float]] = []
    for sequence in group.iter("sequence"):
        code, value = sequence.find("code"), sequence.find("value")
        name = "" if code is None else code.get("code", "")
        if value is None or not name:
            raise ReadError("a sequence has no code or no value", AGAIN)
        if name in ("TIME_ABSOLUTE", "TIME_RELATIVE"):
            times = _times(value)
            if name == "TIME_RELATIVE":
                if began is None:
                    raise ReadError("a series with relative times does not say when it began", AGAIN)
                times = times[0] + began[0], times[1], max(times[2], began[1])
            continue
        leads.append((lead_of_code(name) or name, *_numbers(value, limits)))
    if times is None:
        raise ReadError("a sequence set does not say its times", AGAIN)
    start, step, rounding = times
    for lead, unit, row, unit_step in leads:
        yield Piece(lead, unit, 1 / step, start, row, step=unit_step, rounding=rounding)


def _times(value: Element) -> tuple[float, float, float]:
    """Return the seconds at which a set begins (of any day), those between its samples, and how finely it is said."""
    head, increment = value.find("head"), value.find("increment")
    if head is None or increment is None or not value.get("type", "").startswith("GLIST"):
        raise ReadError("the times of a sequence set are not evenly spaced", AGAIN)
    step = _number(increment.get("value")) * SECONDS.get(increment.get("unit", ""), np.nan)
    begin, rounding = float("nan"), 0.0
    if value.get("type") != "GLIST_TS":
        begin = _number(head.get("value")) * SECONDS.get(head.get("unit", "s"), np.nan)
    elif said := TIME.fullmatch(head.get("value", "")):
        begin, rounding = _seconds(said), _resolution(said)
    if not (np.isfinite(begin) and np.isfinite(step) and step > 0):
        raise ReadError("the times of a sequence set are no numbers of seconds", AGAIN)
    return begin, step, rounding


def _resolution(said: re.Match[str]) -> float:
    """Return to how many seconds a time is written."""
    if said.group(2):
        return float(10.0 ** (1 - len(said.group(2))))
    return {8: 86_400.0, 10: 3_600.0, 12: 60.0}.get(len(said.group(1)), 1.0)


def _seconds(said: re.Match[str]) -> float:
    """Return the seconds since 1970 of a time such as `20021122091000.000+0100`."""
    try:
        day = datetime.strptime(said.group(1).ljust(14, "0"), "%Y%m%d%H%M%S")
    except ValueError:
        return float("nan")
    zone = said.group(3) or "+0000"
    apart = timedelta(hours=int(zone[:3]), minutes=int(zone[0] + zone[3:]))
    return (day.replace(tzinfo=UTC) - apart).timestamp() + float(said.group(2) or 0)


def _numbers(value: Element, limits: Limits) -> tuple[str, Row, float]:
    """Return the unit, the samples and the step of a sequence."""
    origin, scale, digits = value.find("origin"), value.find("scale"), value.find("digits")
    text = "" if digits is None else (digits.text or "")
    check_values((len(text) // 2 + 1,), limits)
    with warnings.catch_warnings():
        warnings.simplefilter("error", DeprecationWarning)  # numpy stops at a word
        try:
            numbers = np.fromstring(text, dtype=np.float64, sep=" ")
        except (DeprecationWarning, ValueError):
            raise ReadError("a sequence of samples holds what is no number", AGAIN) from None
    if scale is None:
        if value.get("type", "").startswith("SLIST_PQ"):
            raise ReadError("a sequence of samples does not say its scale", AGAIN)
        return "", numbers, 1.0
    unit = scale.get("unit", "")
    offset = 0.0 if origin is None else _number(origin.get("value", "0"))
    own = unit if origin is None else origin.get("unit", unit)
    if own != unit and offset:
        here, there = to_millivolt(unit), to_millivolt(own)
        if here is None or there is None:
            raise ReadError("the origin of a lead is in another unit than its scale", AGAIN)
        offset *= there / here
    factor = _number(scale.get("value"))
    if not (np.isfinite(offset) and np.isfinite(factor) and factor):
        raise ReadError("the origin or the scale of a lead is no number", AGAIN)
    return unit, offset + factor * numbers, abs(factor)


def _number(text: str | None) -> float:
    try:
        return float(text or "")
    except ValueError:
        return float("nan")
