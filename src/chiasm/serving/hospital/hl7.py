"""HL7 v2 messages of results (ORU^R01): what they say of a patient, their acknowledgement, and the answer as an ORU."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from chiasm.readers.registry import missing
from chiasm.serving.faults import Fault, Refused
from chiasm.serving.hospital.facts import Asked, Fact, Person, asked_from
from chiasm.serving.hospital.mapping import CodeMap

ACCEPTED, FAILED, REJECTED = "AA", "AE", "AR"
SEGMENTS = 5_000
SYSTEMS = {"LN": "LOINC", "SCT": "SNOMED", "SNM": "SNOMED", "I10": "ICD10", "I10C": "ICD10CM", "I9C": "ICD9CM"}
CHARSETS = {"": "ascii", "ASCII": "ascii", "UNICODE UTF-8": "utf-8", "8859/1": "latin-1", "8859/15": "iso8859-15"}
GENDERS = {"F": "female", "M": "male", "O": "other", "A": "other", "U": "unknown"}
VOID = ("D", "W", "X", "N", "R", "I", "O", "S")  # of OBX-11: deleted, wrong, not obtained, not yet there
NUMBER, STRUCTURED, CODED = ("NM",), ("SN",), ("CE", "CWE", "CNE", "ID", "IS")
MOMENT = re.compile(r"(\d{4})(\d{2})?(\d{2})?(\d{2})?(\d{2})?(\d{2})?(?:\.\d{1,4})?([+-]\d{4})?")
CONTROL_LETTERS = 199
ERROR_CODES = {"not-readable": "100", "unknown-type": "200", "unknown-version": "203"}
APPLICATION_ERROR = "207"
SENT_TYPE = "ORU^R01^ORU_R01"


class BrokenMessage(Exception):
    """A message that is rejected.

    Args:
        code: short stable name.
        what: one sentence without a word of the message.
    """

    def __init__(self, code: str, what: str) -> None:
        super().__init__(what)
        self.code, self.what = code, what


@dataclass(frozen=True, repr=False)
class Message:
    """A message that was read.

    Args:
        segments: name and fields of each, the fields as they stand, in their order; of MSH, field 1 is the separator.
        marks: separator of fields, and of components, repetitions, escapes and sub-components.
    """

    segments: tuple[tuple[str, tuple[str, ...]], ...]
    marks: str

    def field(self, name: str, number: int) -> str:
        """Return a field of the first segment of a name; "" where there is none."""
        own = next((fields for segment, fields in self.segments if segment == name), ())
        return own[number] if number < len(own) else ""

    def components(self, text: str) -> list[str]:
        """Split a field into components of its first repetition, unescaped."""
        return [self._plain(own) for own in text.split(self.marks[2])[0].split(self.marks[1])]

    def _plain(self, text: str) -> str:
        field, component, repetition, escape, sub = tuple(self.marks)
        for letter, mark in zip("FSRTE", (field, component, repetition, sub, escape), strict=True):
            text = text.replace(f"{escape}{letter}{escape}", mark)
        return text

    @property
    def control(self) -> str:
        return self.field("MSH", 10)

    @property
    def sender(self) -> tuple[str, str]:
        """Application and facility."""
        return self.field("MSH", 3), self.field("MSH", 4)


def read_message(data: bytes) -> Message:
    """Read a message by hl7apy, in the character set that MSH-18 names.

    Raises:
        BrokenMessage: it is no message of HL7 v2, of a version or character set that is not read, or has no control id.
        Unsupported: the package hl7apy is missing.
    """
    try:
        from hl7apy.exceptions import HL7apyException, UnsupportedVersion  # type: ignore[import-untyped]
        from hl7apy.parser import parse_message  # type: ignore[import-untyped]
    except ImportError:
        raise missing("hl7apy", "hospital", "HL7 v2 messages") from None
    head = data[: data.find(b"\r")] if b"\r" in data else data
    if not head.startswith(b"MSH") or len(head) < 9 or len(set(head[3:8])) < 5:
        raise BrokenMessage("not-readable", "it is no message of HL7 v2: it begins with MSH and its separators")
    marks = head[3:8].decode("latin-1")
    named = head.decode("latin-1").split(marks[0])
    charset = CHARSETS.get(named[17].split(marks[2])[0] if len(named) > 17 else "")
    if charset is None:
        raise BrokenMessage("not-readable", f"its character set is not read: write {', '.join(filter(None, CHARSETS))}")
    try:
        text = data.decode(charset)
    except UnicodeDecodeError:
        raise BrokenMessage("not-readable", "its text is not in the character set that MSH-18 names") from None
    if text.count("\r") > SEGMENTS:
        raise BrokenMessage("not-readable", f"it has over {SEGMENTS:,} segments: send several messages")
    try:
        found = parse_message(text, find_groups=False)
        segments = tuple((own.name, _fields(own.to_er7(), marks[0])) for own in found.children)
    except UnsupportedVersion:
        raise BrokenMessage("unknown-version", "its version is not read: write 2.1 to 2.8.2") from None
    except (HL7apyException, ValueError, KeyError, IndexError, AttributeError, TypeError, RecursionError):
        raise BrokenMessage("not-readable", "it does not follow HL7 v2: a segment or a field is none") from None
    message = Message(segments, marks)
    if not message.control or len(message.control) > CONTROL_LETTERS:
        raise BrokenMessage("not-readable", "it has no control id (MSH-10), by which it is acknowledged")
    return message


def _fields(text: str, separator: str) -> tuple[str, ...]:
    parts = text.split(separator)
    return ("MSH", separator, *parts[1:]) if parts[0] == "MSH" else tuple(parts)


def asked_of_message(message: Message, mapping: CodeMap, now: datetime) -> Asked:
    """Read the patient of an ORU^R01, as `asked_from` says; the time of the question is that of the message, or now.

    Raises:
        BrokenMessage: another type of message, several patients, or a time that is none.
        Refused: 422 with every fault.
    """
    kind = message.components(message.field("MSH", 9))[:2]
    if kind != ["ORU", "R01"]:
        raise BrokenMessage("unknown-type", "it is no ORU^R01: nothing else is answered here")
    if sum(name == "PID" for name, _ in message.segments) != 1:
        raise BrokenMessage("not-readable", "it has one patient (PID), and no more")
    at = moment_of(message.field("MSH", 7), last=True) or now
    facts, left_out = facts_of_message(message, at)
    first = moment_of(message.field("PID", 7))
    born = None if first is None else (first, _last(message.field("PID", 7), first))
    dead = message.field("PID", 30) == "Y"
    gender = GENDERS.get(message.components(message.field("PID", 8))[0])
    return asked_from(facts, [], Person("", born, gender, dead), mapping, at, left_out)


def facts_of_message(message: Message, at: datetime) -> tuple[list[Fact], Counter[str]]:
    """List the results (OBX) that are coded and final or corrected, and count by reason what was left out."""
    found, left_out, observed = list[Fact](), Counter[str](), ""
    for name, fields in message.segments:
        own = (*fields, *[""] * 20)
        if name == "OBR":
            observed = own[7]
        if name != "OBX":
            continue
        parts = message.components(own[3])
        codes = _codes(parts)
        if own[11] in VOID or not codes:
            left_out["not final, or without a code"] += 1
            continue
        when = moment_of(own[14] or observed) or at
        unit = message.components(own[6])[0]
        value, answers, bound = _value(message, own[2], own[5])
        found.append(Fact(codes[0], codes, when, answers=answers, unit=unit, value=value, bound=bound))
    return found, left_out


def _codes(parts: list[str]) -> tuple[str, ...]:
    """The first and the alternate coding of a coded element."""
    return tuple(code for code in (_code(parts[0:3]), _code(parts[3:6])) if code)


def _code(parts: list[str]) -> str:
    code, system = (parts[0] if parts else ""), (parts[2] if len(parts) > 2 else "")
    return f"{SYSTEMS.get(system, system or 'LOCAL')}//{code}" if code else ""


def _value(message: Message, kind: str, text: str) -> tuple[float, tuple[str, ...], bool]:
    """Return number, coded answers, and whether it is a bound; repeated values are none."""
    if message.marks[2] in text:
        return math.nan, (), False
    parts = message.components(text)
    if kind in NUMBER:
        return _number(parts[0]), (), False
    if kind in STRUCTURED:
        if parts[0] not in ("", "="):
            return math.nan, (), True
        return (_number(parts[1]) if len(parts) == 2 else math.nan), (), False
    return math.nan, _codes(parts) if kind in CODED else (), False


def _number(text: str) -> float:
    try:
        found = float(text) if re.fullmatch(r"[+-]?\d+(\.\d*)?|[+-]?\.\d+", text.strip()) else math.nan
    except ValueError:
        return math.nan
    return found if math.isfinite(found) else math.nan


def moment_of(text: str, *, last: bool = False) -> datetime | None:
    """Read a time stamp, UTC where it names no zone: its first moment, or its last; None where there is none.

    Raises:
        BrokenMessage: it is no time stamp.
    """
    text = text.partition("^")[0].strip().strip('"')
    if not text:
        return None
    match = MOMENT.fullmatch(text)
    try:
        if match is None:
            raise ValueError
        year, month, day, hour, minute, second = (int(own) if own else None for own in match.groups()[:6])
        zone = match.group(7)
        shift = (
            timedelta(hours=int(zone[1:3]), minutes=int(zone[3:5])) * (-1 if zone[0] == "-" else 1)
            if zone
            else timedelta()
        )
        first = datetime(
            year or 0,
            month or 1,
            day or 1,
            hour or 0,
            minute or 0,
            second or 0,
            tzinfo=timezone(shift) if zone else UTC,
        )
    except (ValueError, OverflowError):
        raise BrokenMessage("not-readable", "a time in it is none: write 20260301080000+0100") from None
    if last and hour is None:
        first += timedelta(days=1) - timedelta(seconds=1)
    return first.astimezone(UTC)


def _last(text: str, first: datetime) -> datetime:
    """The last moment that a date can mean: of a year, of a month, of a day, or the moment itself."""
    digits = len(text.partition("^")[0].strip())
    if digits >= 10:
        return first
    year, month = (first.year + 1, 1) if digits < 6 else (first.year + first.month // 12, first.month % 12 + 1)
    after = first + timedelta(days=1) if digits >= 8 else first.replace(year=year, month=month)
    return after - timedelta(seconds=1)


def acknowledgement(message: Message | None, code: str, now: datetime, faults: tuple[Fault, ...] = ()) -> bytes:
    """Return an ACK: AA taken, AE not answered, AR rejected; an ERR segment for each fault, no value in it.

    Args:
        message: what is acknowledged; None where it could not be read.
    """
    sender = message.sender if message else ("", "")
    control = message.control if message else ""
    marks = message.marks if message else "|^~\\&"
    line = marks[0].join
    version = message.field("MSH", 12) if message else "2.5.1"
    kind = "ACK" + (marks[1] + "R01" + marks[1] + "ACK" if message else "")
    stamp = now.strftime("%Y%m%d%H%M%S+0000")
    head = line(
        ["MSH", marks[1:], "CHIASM", "", *sender, stamp, "", kind, f"A{control}"[:CONTROL_LETTERS], "P", version]
    )
    parts = [head, line(["MSA", code, control])]
    for fault in faults[:20]:
        words = escaped(f"{fault.field}: {fault.message}" if fault.field else fault.message, marks)
        parts.append(line(["ERR", "", "", ERROR_CODES.get(fault.code, APPLICATION_ERROR), "E", "", "", "", words]))
    return ("\r".join(parts) + "\r").encode("ascii", "replace")


def escaped(text: str, marks: str) -> str:
    """Write a text into a field."""
    field, component, repetition, escape, sub = tuple(marks)
    text = text.replace(escape, f"{escape}E{escape}")
    for mark, letter in ((field, "F"), (component, "S"), (repetition, "R"), (sub, "T")):
        text = text.replace(mark, f"{escape}{letter}{escape}")
    return text.replace("\r", " ").replace("\n", " ")


def answer_message(message: Message, resource: Mapping[str, Any], now: datetime) -> bytes:
    """Return the answer as an ORU^R01 about the same patient (PID as it was sent), for a receiver that was named."""
    marks = "|^~\\&"
    pid = marks[0].join(own for own in next(fields for name, fields in message.segments if name == "PID"))
    pid = pid.translate(str.maketrans(message.marks, marks))
    stamp = now.strftime("%Y%m%d%H%M%S+0000")
    model = escaped(str(resource["method"]["text"]), marks)
    charset = "UNICODE UTF-8"
    lines = [
        f"MSH|{marks[1:]}|CHIASM||{'|'.join(message.sender)}|{stamp}||{SENT_TYPE}|P{message.control}"[:600]
        + f"|P|2.5.1||||||{charset}",
        pid,
        f"OBR|1|||PREDICTION^{model}^L|||{stamp}|||||||||||||||||||P",
    ]
    for number, (words, value, unit) in enumerate(_results(resource), 1):
        kind = "NM" if isinstance(value, float) else "TX"
        shown = f"{value:.6g}" if isinstance(value, float) else escaped(value, marks)
        lines.append(
            f"OBX|{number}|{kind}|{number}^{escaped(words, marks)}^L||{shown}|{escaped(unit, marks)}|||||P|||{stamp}"
        )
    lines += [f"NTE|{number}||{escaped(own['text'], marks)}" for number, own in enumerate(resource["note"], 1)]
    return ("\r".join(lines) + "\r").encode("utf-8")


def _results(resource: Mapping[str, Any]) -> list[tuple[str, float | str, str]]:
    found: list[tuple[str, float | str, str]] = []
    for own in resource.get("prediction", []):
        words = f"probability of {own['outcome']['text']}"
        if span := own.get("whenRange"):
            words += f" within {span['high']['value']:g} {span['high'].get('unit', '')}".rstrip()
        found.append((words, float(own["probabilityDecimal"]), "1"))
    if quantity := resource.get("valueQuantity"):
        found.append((str(resource["code"]["text"]), float(quantity["value"]), str(quantity.get("unit", ""))))
    return found or [("prediction", "not predicted, see the notes", "")]


def faults_of(error: Refused | BrokenMessage) -> tuple[Fault, ...]:
    """Return the faults of either."""
    return (Fault("", error.code, error.what),) if isinstance(error, BrokenMessage) else error.faults
