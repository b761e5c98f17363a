"""The patients of a request, checked against what the model reads; each fault names its field, none a value."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from chiasm.cohort.kinds import CELL, EVENTS, FILES
from chiasm.errors import count, nearest
from chiasm.serving.columns import cells_of
from chiasm.serving.faults import Fault, Refused, refused
from chiasm.serving.reads import Reads, ReadsColumns, ReadsItem
from chiasm.serving.settings import Limits, Policy
from chiasm.targets.options import MOST_OPTIONS

SURROGATE = re.compile("[\ud800-\udfff]")  # half of a sign, which no text holds
LARGEST = sys.float_info.max
RECORD = {"hours", "code", "numeric_value"}
KNOWN = ("patients",)
OPTIONS = "options"
"""Where a patient's own options stand, beside the modalities, for a model that chooses among them."""


@dataclass(frozen=True, repr=False)
class Upload:
    """The name of the parts of a request that hold one source."""

    name: str


@dataclass(frozen=True, repr=False)
class Patient:
    """One patient of a request.

    Args:
        given: modality to `Cells`, a text, records, an array of tokens, or an `Upload`.
        notes: what is unfamiliar of him, in sentences that name columns.
        lacking: of each table the columns without a value.
        options: his own, for a model that chooses among them; else none.
    """

    given: Mapping[str, Any]
    notes: tuple[str, ...] = ()
    lacking: Mapping[str, list[str]] = field(default_factory=dict)
    options: tuple[str, ...] = ()


def patients_of(
    document: Any,
    reads: Mapping[str, Reads],
    limits: Limits,
    policy: Policy,
    uploads: frozenset[str] = frozenset(),
    *,
    chooses: bool = False,
) -> list[Patient]:
    """Read the patients of a request.

    Args:
        document: the parsed JSON.
        uploads: names of the parts that came with it.
        chooses: each patient has options of his own, among which the model chooses.

    Raises:
        Refused: 422, with every fault that was found.
    """
    if not isinstance(document, dict):
        raise refused(422, "not-an-object", 'the request is no JSON object: write {"patients": [{...}]}')
    if strange := [key for key in document if key not in KNOWN]:
        raise refused(422, "unknown-field", f"{_unknown(strange[0], KNOWN)}: a request has `patients`")
    given = document.get("patients")
    if not isinstance(given, list) or not given:
        raise refused(422, "no-patients", "`patients` is a list of one patient or more", "patients")
    if len(given) > limits.patients:
        what = f"a request holds {limits.patients:,} patients at most, and this one {len(given):,}: send several"
        raise refused(422, "too-many-patients", what, "patients")
    faults: list[Fault] = []
    found = []
    for row, own in enumerate(given):
        place, rest, options = f"patients[{row}]", own, tuple[str, ...]()
        if chooses and isinstance(own, dict):
            rest = {name: value for name, value in own.items() if name != OPTIONS}
            options = _options(own.get(OPTIONS), f"{place}.{OPTIONS}", faults)
        found.append(replace(_patient(rest, place, reads, policy, uploads, faults), options=options))
    if faults:
        raise Refused(422, faults)
    return found


def _patient(
    given: Any, place: str, reads: Mapping[str, Reads], policy: Policy, uploads: frozenset[str], faults: list[Fault]
) -> Patient:
    if not isinstance(given, dict):
        faults.append(Fault(place, "not-an-object", "a patient is an object of modalities"))
        return Patient({})
    there: dict[str, Any] = {}
    notes: list[str] = []
    lacking: dict[str, list[str]] = {}
    for name, value in given.items():
        own = reads.get(name)
        if own is None:
            what = f"{_unknown(name, reads)}: the model reads {', '.join(sorted(reads))}"
            faults.append(Fault(place, "unknown-modality", what))
        elif value is None:
            continue
        elif isinstance(own, ReadsColumns):
            cells = cells_of(value, own, f"{place}.{name}", policy, faults)
            if cells is not None:
                there[name] = cells
                notes += cells.notes
                if cells.lacking:
                    lacking[name] = cells.lacking
        elif (item := _item(value, own, f"{place}.{name}", uploads, faults)) is not None:
            there[name] = item
    return Patient(there, tuple(notes), lacking)


def _options(given: Any, place: str, faults: list[Fault]) -> tuple[str, ...]:
    """Return a patient's options; none with a fault where they cannot be chosen among."""
    if not isinstance(given, list) or not 2 <= len(given) <= MOST_OPTIONS:
        what = f"the model chooses among a patient's own options: give a list of 2 to {MOST_OPTIONS} texts"
        faults.append(Fault(place, "no-options", what))
        return ()
    plain = [own.strip() for own in given if isinstance(own, str) and not SURROGATE.search(own)]
    if len(plain) < len(given) or "" in plain or len(set(plain)) < len(plain):
        faults.append(Fault(place, "not-options", "each option is a text of its own: none is empty or stands twice"))
        return ()
    return tuple(plain)


def _unknown(name: str, known: Any) -> str:
    """Say that a name is not known; one that is like no name may be a patient's, and is not quoted."""
    like = nearest(name, known)
    return f"'{name}' is not known, did you mean '{like}'?" if like else "a name is not known"


def _item(value: Any, own: ReadsItem, place: str, uploads: frozenset[str], faults: list[Fault]) -> Any:
    """Return a text, records, an array or an upload; None with a fault where it is none of these."""
    if own.form == CELL:
        if isinstance(value, str) and value.strip() and not SURROGATE.search(value):
            return value
        what = f"the kind '{own.kind}' is one text; leave it out where there is none"
        faults.append(Fault(place, "not-a-text", what))
    elif own.form == EVENTS:
        before = len(faults)
        records = list(_records(value, place, faults))
        if len(faults) == before:
            return records or None
    elif own.form == FILES:
        if isinstance(value, dict) and set(value) == {"upload"} and isinstance(value["upload"], str):
            if value["upload"] in uploads:
                return Upload(value["upload"])
            what = "no part of the request has this name: send it as multipart/form-data, with the JSON in the part "
            faults.append(Fault(f"{place}.upload", "no-such-part", f"{what}`request`"))
        elif own.kind == "bag" and isinstance(value, list):
            return _bag(value, place, faults)
        else:
            what = f'the kind \'{own.kind}\' is {{"upload": "<name of the parts that hold it>"}}'
            faults.append(Fault(place, "not-an-upload", what))
    return None


def _bag(value: list[Any], place: str, faults: list[Fault]) -> Any:
    rows = [row for row in value if isinstance(row, list) and row]
    plain = len(rows) == len(value) > 0 and all(type(cell) in (int, float) for row in rows for cell in row)
    if plain and len({len(row) for row in rows}) == 1:
        try:
            found = np.array(rows, dtype=np.float32)
        except OverflowError:
            found = np.full(1, np.inf)
        if np.isfinite(found).all():
            return found
    faults.append(Fault(place, "not-a-bag", "a bag is a list of tokens, each a list of as many finite numbers"))
    return None


def _finite(value: Any) -> bool:
    return type(value) in (int, float) and -LARGEST <= value <= LARGEST


def _records(value: Any, place: str, faults: list[Fault]) -> Iterator[dict[str, Any]]:
    if not isinstance(value, list):
        faults.append(Fault(place, "not-records", "records are a list of {hours, code, numeric_value}"))
        return
    wrong = 0
    for row, own in enumerate(value):
        plain = isinstance(own, dict) and {"hours", "code"} <= set(own) <= RECORD
        if plain and type(own["hours"]) in (int, float) and isinstance(own["code"], str) and own["code"]:
            number = own.get("numeric_value")
            if (number is None or _finite(number)) and _finite(own["hours"]) and not SURROGATE.search(own["code"]):
                number = None if number is None else float(number)
                yield {"hours": float(own["hours"]), "code": own["code"], "numeric_value": number}
                continue
        wrong += 1
        if wrong == 1:
            what = "a record is {hours: number, code: text, numeric_value: number or null}"
            faults.append(Fault(f"{place}[{row}]", "not-a-record", what))
    if wrong > 1:
        faults.append(Fault(place, "not-records", f"{count(wrong, 'record')} are so"))
