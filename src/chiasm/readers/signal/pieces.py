"""Stretches of leads, each with its time, put together to a recording."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from chiasm.readers.reading import Limits, ReadError, check_values
from chiasm.readers.signal.recording import Recording, Row, check_rate

GAPS = "the recording has gaps, which count as missing"
TOLERANCE = 1.5  # samples by which times that are rounded may overlap


@dataclass(frozen=True)
class Piece:
    """Stretch of one lead: `row` `(T,)` in its unit at `hz` samples a second, from `seconds` on."""

    lead: str
    unit: str
    hz: float
    seconds: float
    row: Row


def joined(pieces: Sequence[Piece], limits: Limits, notes: tuple[str, ...] = ()) -> Recording:
    """Put pieces together, each lead at its own rate, NaN where a lead was not recorded; times count from the first.

    Pieces of one name that overlap, or differ in rate or unit, are leads of their own.

    Raises:
        ReadError: there is none, or one without samples; a rate that is impossible; over a limit.
    """
    if not pieces or not all(len(piece.row) for piece in pieces):
        raise ReadError("the recording has no samples", "take the file away if the patient has none")
    first = min(piece.seconds for piece in pieces)
    leads: list[list[Piece]] = []
    order: list[int] = []  # of the leads in the file
    for place, piece in sorted(enumerate(pieces), key=lambda numbered: numbered[1].seconds):
        check_rate(piece.hz)
        own = next((k for k, lead in enumerate(leads) if _follows(piece, lead[-1])), None)
        if own is None:
            leads.append([piece])
            order.append(place)
        else:
            leads[own].append(piece)
            order[own] = min(order[own], place)
    leads = [leads[k] for k in np.argsort(order)]
    seconds = max(piece.seconds - first + len(piece.row) / piece.hz for piece in pieces)
    check_values((len(leads), int(np.ceil(seconds * max(piece.hz for piece in pieces)))), limits)
    rows = tuple(_placed(own, first, seconds) for own in leads)
    lacking = sum(int(np.isnan(row).sum()) for row in rows)
    if lacking > sum(int(np.isnan(piece.row).sum()) for piece in pieces):
        notes = (*notes, GAPS)
    heads = [own[0] for own in leads]
    return Recording(
        tuple(own.lead for own in heads), tuple(own.unit for own in heads), tuple(own.hz for own in heads), notes, rows
    )


def _follows(piece: Piece, last: Piece) -> bool:
    """Tell whether a piece goes on where another one of its lead ended, or later."""
    same = (piece.lead, piece.unit, piece.hz) == (last.lead, last.unit, last.hz)
    return same and piece.seconds >= last.seconds + (len(last.row) - TOLERANCE) / last.hz


def _placed(pieces: list[Piece], first: float, seconds: float) -> Row:
    """Put the stretches of a lead at their times in a row as long as the recording."""
    hz, whole = pieces[0].hz, round(seconds * pieces[0].hz)
    if len(pieces[0].row) >= whole:
        return pieces[0].row
    row = np.full(whole, np.nan)
    for piece in pieces:
        start = round((piece.seconds - first) * hz)
        part = row[start : start + len(piece.row)]
        part[:] = piece.row[: len(part)]
    return row
