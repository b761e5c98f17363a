"""HL7 v2 messages of results (ORU^R01): what they say of a patient, their acknowledgement, and the answer as an ORU."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone, tzinfo
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
VOID = ("D", "W", "X", "N", "R", "I", "O", "S", "P")  # of OBX-11: deleted, wrong, not obtained, not yet there or final
NUMBER, STRUCTURED, CODED = ("NM",), ("SN",), ("CE", "CWE", "CNE", "ID", "IS")
MOMENT = re.compile(r"(\d{4})(\d{2})?(\d{2})?(\d{2})?(\d{2})?(\d{2})?(?:\.\d{1,4})?([+-]\d{4})?")
CONTROL_LETTERS = 199
ERROR_CODES = {"not-readable": "100", "unknown-type": "200", "unknown-version": "203"}
APPLICATION_ERROR = "207"
SENT_TYPE = "ORU^R01^ORU_R01"
STANDARD = "|^~\\&"
VERSION, PROCESSING = "2.5.1", "P"
VERSIONS = re.compile(r"2\.[1-8](\.[12])?")
LINE_FEED = re.compile(r"\r\n|\n[A-Z][A-Z0-9]{2}")


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
        escape, meant = re.escape(self.marks[3]), _meant(self.marks)
        return re.sub(f"{escape}([FSRTE]){escape}", lambda own: meant[own[1]], text)

    @property
    def control(self) -> str:
        return self.field("MSH", 10)

    @property
    def sender(self) -> tuple[str, str]:
        """Application and facility."""
        return self.field("MSH", 3), self.field("MSH", 4)

    @property
    def processing(self) -> str:
        """MSH-11: production, training or debugging."""
        return self.field("MSH", 11) or PROCESSING


def _meant(marks: str) -> dict[str, str]:
    """Letter of an escape sequence to the mark that it stands for."""
    field, component, repetition, escape, sub = tuple(marks)
    return {"F": field, "S": component, "R": repetition, "T": sub, "E": escape}


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
    head = re.split(rb"[\r\n]", data, maxsplit=1)[0]
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
    if LINE_FEED.search(text):
        raise BrokenMessage("not-readable", "segments end with CR: send no line feeds between them")
    if text.count("\r") > SEGMENTS:
        raise BrokenMessage("not-readable", f"it has over {SEGMENTS:,} segments: send several messages")
    try:
        parse_message(text, find_groups=False)
    except UnsupportedVersion:
        raise BrokenMessage("unknown-version", "its version is not read: write 2.1 to 2.8.2") from None
    except (HL7apyException, ValueError, KeyError, IndexError, AttributeError, TypeError, RecursionError):
        raise BrokenMessage("not-readable", "it does not follow HL7 v2: a segment or a field is none") from None
    message = Message(tuple((own[:3], _fields(own, marks[0])) for own in text.split("\r") if own.strip()), marks)
    if not message.control or len(message.control) > CONTROL_LETTERS:
        raise BrokenMessage("not-readable", "it has no control id (MSH-10), by which it is acknowledged")
    return message


def head_of(data: bytes) -> Message | None:
    """Return the first segment (MSH) of a message that cannot be read, as it stands; None where there is none."""
    head = re.split(rb"[\r\n]", data, maxsplit=1)[0]
    marks = head[3:8].decode("latin-1")
    if not head.startswith(b"MSH") or len(set(marks)) < 5 or not marks.isascii() or not marks.isprintable():
        return None
    if any(own.isalnum() or own.isspace() for own in marks):
        return None
    return Message((("MSH", _fields(head.decode("latin-1"), marks[0])),), marks)


def _fields(text: str, separator: str) -> tuple[str, ...]:
    parts = text.split(separator)
    return ("MSH", separator, *parts[1:]) if parts[0] == "MSH" else tuple(parts)


def asked_of_message(message: Message, mapping: CodeMap, now: datetime, local: tzinfo = UTC) -> Asked:
    """Read the patient of an ORU^R01, as `asked_from` says; the time of the question is that of the message, or now.

    A time without a zone is one of the zone of MSH-7 (HL7 v2.5.1, 2.15.9.7), and of `local` where that names none.

    Raises:
        BrokenMessage: another type of message, several patients, or a time that is none.
        Refused: 422 with every fault.
    """
    kind = message.components(message.field("MSH", 9))[:2]
    if kind != ["ORU", "R01"]:
        raise BrokenMessage("unknown-type", "it is no ORU^R01: nothing else is answered here")
    if sum(name == "PID" for name, _ in message.segments) != 1:
        raise BrokenMessage("not-readable", "it has one patient (PID), and no more")
    sent = message.field("MSH", 7)
    at = moment_of(sent, last=True, local=local) or now.astimezone(local)
    local = zone_of(sent) or local
    facts, left_out = facts_of_message(message, at, local)
    date = message.field("PID", 7)
    first, last = moment_of(date, local=local), moment_of(date, last=True, local=local)
    born = None if first is None or last is None else (first, last)
    dead = message.field("PID", 30) == "Y"
    gender = GENDERS.get(message.components(message.field("PID", 8))[0])
    return asked_from(facts, [], Person("", born, gender, dead), mapping, at, left_out)


def facts_of_message(message: Message, at: datetime, local: tzinfo = UTC) -> tuple[list[Fact], Counter[str]]:
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
        when = moment_of(own[14] or observed, local=local) or at
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


def zone_of(text: str) -> tzinfo | None:
    """Return the zone that a time stamp names; None where it names none."""
    match = MOMENT.fullmatch(_stamp(text))
    zone = match.group(7) if match else None
    if not zone:
        return None
    shift = timedelta(hours=int(zone[1:3]), minutes=int(zone[3:5]))
    return timezone(-shift if zone[0] == "-" else shift)


def _stamp(text: str) -> str:
    return text.partition("^")[0].strip().strip('"')


def moment_of(text: str, *, last: bool = False, local: tzinfo = UTC) -> datetime | None:
    """Read a time stamp, in the zone `local` where it names none; None without one.

    Args:
        last: the last moment of a year, a month or a day, and not the first.


    Raises:
        BrokenMessage: it is no time stamp.
    """
    text = _stamp(text)
    if not text:
        return None
    match = MOMENT.fullmatch(text)
    try:
        if match is None:
            raise ValueError
        year, month, day, hour, minute, second = (
            int(own) if own else least for own, least in zip(match.groups()[:6], (0, 1, 1, 0, 0, 0), strict=True)
        )
        found = datetime(year, month, day, hour, minute, second, tzinfo=zone_of(text) or local)
        if last and not match.group(4):
            if match.group(3):
                found += timedelta(days=1)
            elif match.group(2):
                found = found.replace(year=year + month // 12, month=month % 12 + 1)
            else:
                found = found.replace(year=year + 1)
            found -= timedelta(seconds=1)
        return found.replace(tzinfo=timezone(found.utcoffset() or timedelta()))  # a date stays one of its place
    except (ValueError, OverflowError):
        raise BrokenMessage("not-readable", "a time in it is none: write 20260301080000+0100") from None


def acknowledgement(message: Message | None, code: str, now: datetime, faults: tuple[Fault, ...] = ()) -> bytes:
    """Return an ACK: AA taken, AE not answered, AR rejected; an ERR segment for each fault, no value in it.

    Args:
        message: what is acknowledged, or its head where no more can be read; None where there is not even that.
    """
    message = message or Message((), STANDARD)
    control, marks = message.control[:CONTROL_LETTERS], message.marks
    line = marks[0].join
    named = message.components(message.field("MSH", 12))[0]
    version = named if VERSIONS.fullmatch(named) else VERSION
    trigger = (*message.components(message.field("MSH", 9)), "")[1]
    kind = marks[1].join(["ACK", trigger, "ACK"] if re.fullmatch(r"[A-Z]\d\d", trigger) else ["ACK"])
    stamp = now.strftime("%Y%m%d%H%M%S+0000")
    head = line(
        ["MSH", marks[1:], "CHIASM", "", *message.sender, stamp, "", kind, f"A{control}"[:CONTROL_LETTERS],
         message.processing, version]
    )  # fmt: skip
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


def restated(text: str, marks: str) -> str:
    """Write a field of one set of marks in the standard one; what stands in it says the same then."""
    if marks == STANDARD:
        return text
    meant, same = _meant(marks), dict(zip(marks, STANDARD, strict=True))
    escape = re.escape(marks[3])
    parts = re.split(f"{escape}([^{escape}]*){escape}", text)
    found = []
    for number, part in enumerate(parts):
        if number % 2 == 0:
            found += [same[own] if own in same and own != marks[3] else escaped(own, STANDARD) for own in part]
        elif part in meant:
            found.append(escaped(meant[part], STANDARD))
        else:  # bytes, highlights and the like are named by the same letters everywhere
            found.append(f"{STANDARD[3]}{part}{STANDARD[3]}")
    return "".join(found)


def answer_message(message: Message, resource: Mapping[str, Any], now: datetime) -> bytes:
    """Return the answer as an ORU^R01 about the same patient (PID as it was sent), for a receiver that was named."""
    marks = STANDARD
    fields = next(fields for name, fields in message.segments if name == "PID")
    pid = marks[0].join(restated(own, message.marks) for own in fields)
    sender = marks[0].join(restated(own, message.marks) for own in message.sender)
    control = restated(message.control, message.marks)
    processing = restated(message.processing, message.marks)
    stamp = now.strftime("%Y%m%d%H%M%S+0000")
    model = escaped(str(resource["method"]["text"]), marks)
    charset = "UNICODE UTF-8"
    lines = [
        f"MSH|{marks[1:]}|CHIASM||{sender}|{stamp}||{SENT_TYPE}|P{control}"[:600]
        + f"|{processing}|{VERSION}||||||{charset}",
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
