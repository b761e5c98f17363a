"""Stretches of leads, each with its time, put together to a recording."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from chiasm.readers.reading import Limits, ReadError, check_values
from chiasm.readers.signal.leads import STANDARD, lead_name
from chiasm.readers.signal.recording import Recording, Row, check_rate, check_spread

GAPS = "the recording has gaps, which count as missing"
TWICE = "a lead was recorded twice at one time, differently: the longer recording is kept"
TOLERANCE = 1.5  # samples by which times that are rounded may overlap
MOST_LEADS, MOST_TRIES = 1000, 200_000  # leads; how often a stretch is put to another of its name
COARSEST = 1.0  # seconds: a begin that is written less finely tells nothing of where a stretch goes on


@dataclass(frozen=True)
class Piece:
    """Stretch of one lead: `row` `(T,)` in its unit at `hz` samples a second, from `seconds` on.

    Leads of one `group` (a multiplex group, a sequence set) were recorded side by side: those of one name are several.
    `series` counts what was recorded in one go, where the file says so. `step` is the unit's smallest one, and
    `rounding` the seconds to which the begin is written.
    """

    lead: str
    unit: str
    hz: float
    seconds: float
    row: Row
    group: int = 0
    series: int | None = None
    step: float = 0.0
    rounding: float = 0.0

    @property
    def end(self) -> float:
        """Seconds at which the stretch ends."""
        return self.seconds + len(self.row) / self.hz


def joined(pieces: Sequence[Piece], limits: Limits, notes: tuple[str, ...] = ()) -> Recording:
    """Put pieces together, each lead at its own rate, NaN where a lead was not recorded; times count from the first.

    Pieces of one name that overlap are one where their samples are equal there within a step, as the strip of lead II
    below a page is. Of a standard lead that two groups hold differently, the longer one is kept. Others of one name, or
    of another rate or unit, are leads of their own.

    Raises:
        ReadError: there is none, or one without samples; a rate that is impossible; one series with two stretches of a
            lead at one time; over a limit.
    """
    if not pieces or not all(len(piece.row) for piece in pieces):
        raise ReadError("the recording has no samples", "take the file away if the patient has none")
    leads: list[list[Piece]] = []
    order: list[int] = []  # of the leads in the file
    known: dict[tuple[str, str, float], list[int]] = {}  # those of one name, unit and rate
    tries = 0
    for place, piece in sorted(enumerate(pieces), key=lambda numbered: numbered[1].seconds):
        check_rate(piece.hz)
        alike = known.setdefault((piece.lead, piece.unit, piece.hz), [])
        for k in alike:
            tries += 1
            if (going_on := _going_on(piece, leads[k])) is not None:
                leads[k], order[k] = going_on, min(order[k], place)
                break
        else:
            if tries > MOST_TRIES:
                raise ReadError("too many stretches of one lead lie at one time", "export the recording again")
            if len(leads) >= MOST_LEADS:
                raise ReadError(f"the recording has more than {MOST_LEADS:,} leads", "cut it into several")
            alike.append(len(leads))
            leads.append([piece])
            order.append(place)
    leads = [leads[k] for k in np.argsort(order)]
    chosen = _longest(leads)
    notes = (*notes, TWICE) if len(chosen) < len(leads) else notes
    leads = chosen
    first = min(own[0].seconds for own in leads)
    seconds = max((_begin(own[-1], first) + len(own[-1].row)) / own[-1].hz for own in leads)
    values = len(leads), int(np.ceil(seconds * max(own[0].hz for own in leads)))
    check_values(values, limits)
    check_spread(values[0] * values[1], sum(len(piece.row) for own in leads for piece in own))
    rows = tuple(_placed(own, first, seconds) for own in leads)
    lacking = sum(int(np.isnan(row).sum()) for row in rows)
    if lacking > sum(int(np.isnan(piece.row).sum()) for own in leads for piece in own):
        notes = (*notes, GAPS)
    heads = [own[0] for own in leads]
    return Recording(
        tuple(own.lead for own in heads), tuple(own.unit for own in heads), tuple(own.hz for own in heads), notes, rows
    )


def _going_on(piece: Piece, lead: list[Piece]) -> list[Piece] | None:
    """Return the stretches of a lead with one more, which begins where the last one ended, or later, or equals it.

    None if it is another lead of that name, unit and rate. A begin that is written in whole seconds, or more coarsely,
    is moved to the end of the stretch before, if it is less than a second away.
    """
    last = lead[-1]
    apart, rounding = piece.seconds - last.end, min(max(piece.rounding, last.rounding), COARSEST)
    if piece.group != last.group and abs(apart) < rounding and abs(apart) >= 1 / piece.hz:
        return [*lead, replace(piece, seconds=last.end)]
    if apart >= -TOLERANCE / piece.hz:
        return [*lead, piece]
    if piece.group == last.group:
        return None
    skipped = round((piece.seconds - last.seconds) * piece.hz)
    both = min(len(last.row) - skipped, len(piece.row))
    if np.allclose(last.row[skipped : skipped + both], piece.row[:both], rtol=0, atol=piece.step, equal_nan=True):
        return [*lead[:-1], replace(last, row=np.concatenate([last.row, piece.row[both:]]))]
    if piece.series is not None and piece.series == last.series:
        raise ReadError("one series holds two stretches of a lead at the same time", "export the recording again")
    return None


def _longest(leads: list[list[Piece]]) -> list[list[Piece]]:
    """Keep the longest of what several groups hold of a standard lead at one time."""
    kept: list[list[Piece]] = []
    for own in leads:
        name = lead_name(own[0].lead)
        same = [
            k for k, other in enumerate(kept)
            if name in STANDARD and lead_name(other[0].lead) == name and other[0].group != own[0].group
            and own[0].seconds < other[-1].end and other[0].seconds < own[-1].end
        ]  # fmt: skip
        if not same:
            kept.append(own)
        elif _duration(own) > _duration(kept[same[0]]):
            kept[same[0]] = own
    return kept


def _duration(pieces: list[Piece]) -> float:
    """Return the seconds that are valid."""
    return sum(int(np.isfinite(piece.row).sum()) for piece in pieces) / pieces[0].hz


def _begin(piece: Piece, first: float) -> int:
    """Return the sample at which a piece begins; less than one is none, as the skew of a multiplexer."""
    samples = (piece.seconds - first) * piece.hz
    return round(samples) if samples >= 1 - 1e-6 else 0


def _placed(pieces: list[Piece], first: float, seconds: float) -> Row:
    """Put the stretches of a lead at their times in a row as long as the recording."""
    whole = round(seconds * pieces[0].hz)
    if len(pieces[0].row) >= whole:
        return pieces[0].row
    row = np.full(whole, np.nan)
    for piece in pieces:
        start = _begin(piece, first)
        part = row[start : start + len(piece.row)]
        part[:] = piece.row[: len(part)]
    return row
