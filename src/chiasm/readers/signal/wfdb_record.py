"""Read WFDB records, as PhysioNet keeps them: a header in text and its signal files beside it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from chiasm.readers.reading import Limits, ReadError, check_packed, check_size, check_values
from chiasm.readers.registry import missing
from chiasm.readers.signal.recording import Recording, check_rate, check_spread

HEADER = ".hea"
HEADER_BYTES = 1 << 20
MOST_SEGMENTS, MOST_LEADS = 4096, 1000
NOTHING = "~"  # the name of a signal file or a segment that is not there
SIGNAL_FILE = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_]+)?")
SEGMENT = re.compile(r"[A-Za-z0-9_-]+")
BITS: dict[str, Fraction] = {  # per sample, on average
    "8": Fraction(8),
    "16": Fraction(16),
    "24": Fraction(24),
    "32": Fraction(32),
    "61": Fraction(16),
    "80": Fraction(8),
    "160": Fraction(16),
    "212": Fraction(12),
    "310": Fraction(32, 3),
    "311": Fraction(32, 3),
}
COMPRESSED = {"508": 1, "516": 2, "524": 3}  # bytes of a sample
NO_GAIN = re.compile(r"[+-]?0*\.?0*(?:[eE][+-]?\d+)?(?:[(/]|$)")  # a gain of 0 is none
AGAIN = "write the record again"


def is_record(path: Path) -> bool:
    """Tell whether a WFDB header exists; `path` is the record without its suffix, or one of its files."""
    return _header_of(path).is_file()


def read_header(path: Path, limits: Limits) -> Recording:
    """Read leads, units and rate of a record; every file that the header names is checked, none is decoded.

    Raises:
        ReadError: the header is damaged, names a file that is not beside it, or announces what its files do not hold.
    """
    header = _checked(_header_of(path), limits)
    record, others = header, list[_Header]()
    if header.segments:
        named = [name for name in header.segments if name != NOTHING]
        if not named:
            raise ReadError("every segment of the record is empty", "take it away if the patient has none")
        record, *others = [_Header(header.path.with_name(name + HEADER)) for name in dict.fromkeys(named)]
        _one_layout(record, others, header.parsed.seg_len[0] == 0)
    names, units = record.parsed.sig_name or [], record.parsed.units or []
    leads = tuple(name or "" for name in names)
    hz = check_rate(float(header.parsed.fs or 0))
    note = ("the header holds comments, which may say who the patient is; they are not read",)
    return Recording(
        leads,
        tuple(unit or "" for unit in units),
        tuple(check_rate(hz * (count or 1)) for count in record.parsed.samps_per_frame),
        note if header.parsed.comments else (),
        assumed=tuple(
            k for k, name in enumerate(names) if any(name in part.uncalibrated for part in (record, *others))
        ),
    )


def read_record(path: Path, limits: Limits) -> Recording:
    """Read the record in physical units, each lead at its own rate, NaN where a sample is invalid or a segment is not.

    Raises as `read_header` does.
    """
    found = read_header(path, limits)
    place = _header_of(path)
    try:
        record = _wfdb().rdrecord(_name(place), smooth_frames=False)
        rows = tuple(np.asarray(row, dtype=np.float64) for row in record.e_p_signal)
    except Exception:  # whatever wfdb raises quotes the file
        raise ReadError("the signal files do not hold what the header announces", AGAIN) from None
    if tuple(name or "" for name in record.sig_name or ()) != found.leads or len(rows) != len(found.leads):
        raise ReadError("the signal files hold other leads than the header announces", AGAIN)
    if not rows or not all(row.ndim == 1 and row.size for row in rows):
        raise ReadError("the record holds no samples", "write it again, or take it away if the patient has none")
    return replace(found, rows=rows)


def _one_layout(first: _Header, others: Sequence[_Header], variable: bool) -> None:
    """Refuse segments that are not the leads, units and rates of the first (of a layout: some of them)."""

    def described(header: _Header) -> list[tuple[object, ...]]:
        parsed = header.parsed
        return list(zip(parsed.sig_name, parsed.units, (n or 1 for n in parsed.samps_per_frame), strict=True))

    wanted = described(first)
    for segment in others:
        own = described(segment)
        if not (set(own) <= set(wanted) if variable else own == wanted):
            raise ReadError(
                "the segments differ in their leads, units or rates",
                "write the record again, with the same leads in every segment",
            )


class _Header:
    """Header whose size and file names (which must lie beside it) are checked before wfdb parses it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.is_file():
            raise ReadError("the header names a segment that is not there", "copy all files of the record")
        if "::" in str(path.absolute()):
            raise ReadError("the path holds '::', which is the sign of a remote file", "rename the folder or file")
        if not path.resolve().is_relative_to(path.parent.resolve()):
            raise ReadError("the header is a link out of its folder", "copy the file itself")
        if path.stat().st_size > HEADER_BYTES:
            raise ReadError("the header is over 1 MB", "a WFDB header is a short text: write it again")
        text = path.read_text(encoding="ascii", errors="ignore")
        lines = [line.strip() for line in text.splitlines()]
        lines = [line for line in lines if line and not line.startswith("#")]
        if not lines:
            raise ReadError("the header is empty", AGAIN)
        named = [line.split()[0] for line in lines[1:]]
        fields = [line.split() for line in lines[1:]]
        self.is_several = "/" in lines[0].split()[0]
        most = MOST_SEGMENTS if self.is_several else MOST_LEADS
        if len(named) > most:
            what = "segments" if self.is_several else "leads"
            raise ReadError(f"the header lists more than {most:,} {what}", "cut it into several records")
        for name in dict.fromkeys(named):  # all leads may lie in one file, and one segment be named many times
            self._beside(name, SEGMENT if self.is_several else SIGNAL_FILE)
        try:
            self.parsed: Any = _wfdb().rdheader(_name(path))
        except Exception:  # whatever wfdb raises quotes the header
            raise ReadError("the header is not one of WFDB", AGAIN) from None
        bare = [len(own) < 3 or bool(NO_GAIN.match(own[2])) for own in fields]
        self.uncalibrated = {name for name, bare in zip(self.parsed.sig_name or (), bare, strict=False) if bare}
        self.segments: list[str] = list(self.parsed.seg_name) if self.is_several else []
        found = self.segments if self.is_several else self.parsed.file_name or []
        announced = self.parsed.n_seg if self.is_several else self.parsed.n_sig
        if list(found) != named or announced != len(named):
            raise ReadError("the header announces other leads or segments than it lists", AGAIN)
        if not named or not self.parsed.n_sig:
            raise ReadError("the record has no leads", "take it away if the patient has none")

    def _beside(self, name: str, pattern: re.Pattern[str]) -> None:
        if name == NOTHING:
            return
        if not pattern.fullmatch(name) or not (self.path.parent / name).resolve().is_relative_to(
            self.path.parent.resolve()
        ):
            raise ReadError(
                "the header names a file outside its folder, which is not opened",
                "keep the files of a record together, and their names to letters, digits, _ and -",
            )


def _checked(path: Path, limits: Limits) -> _Header:
    header = _Header(path)
    if not header.segments:
        _check_signals(header, limits)
        return header
    lengths = [int(length) for length in header.parsed.seg_len]
    if sum(lengths) != (header.parsed.sig_len or 0):
        raise ReadError("the segments are not as long as the record", AGAIN)
    frame = stored = header.parsed.n_sig
    seen: dict[str, _Header] = {}  # a record may name one segment many times
    for name, length in zip(header.segments, lengths, strict=True):
        if name == NOTHING:
            continue
        if fresh := name not in seen:
            seen[name] = _Header(path.with_name(name + HEADER))
        segment = seen[name]
        if segment.segments or (segment.parsed.sig_len or 0) != length:
            raise ReadError("a segment is not what the header announces", AGAIN)
        own = sum(count or 1 for count in segment.parsed.samps_per_frame)
        frame = max(frame, own)
        stored += own * length if fresh else 0
        if fresh and length:  # all segments of one name are as long
            _check_signals(segment, limits)
    check_values((frame, sum(lengths)), limits)
    check_spread(frame * sum(lengths), stored)
    return header


def _check_signals(header: _Header, limits: Limits) -> None:
    """Check the announced samples against the limits and against the size of each signal file."""
    parsed = header.parsed
    per_frame = [count or 1 for count in parsed.samps_per_frame]
    files: dict[str, list[int]] = {}
    for k, name in enumerate(parsed.file_name):
        files.setdefault(name, []).append(k)
    length = parsed.sig_len
    for name, own in files.items():
        path = header.path.parent / name
        if not path.is_file():
            raise ReadError("a signal file that the header names is not there", "copy all files of the record")
        check_size(path, limits)
        formats = {parsed.fmt[k] for k in own}
        fmt = formats.pop()
        if formats or fmt not in (*BITS, *COMPRESSED):
            raise ReadError("the signals are in a format that is not known", "write the record in format 16")
        frame = sum(per_frame[k] for k in own)
        if fmt in COMPRESSED:
            if length is None:
                raise ReadError("the header does not say how long the record is", AGAIN)
            check_packed((frame, length), COMPRESSED[fmt], path.stat().st_size)
            continue
        room = Fraction(8 * (path.stat().st_size - max(parsed.byte_offset[k] or 0 for k in own))) / BITS[fmt]
        if length is None:
            length = max(int(room) // frame, 0)
        if length * frame > room + 1:
            raise ReadError(
                "the signal file is shorter than the header announces", "copy the record again, it is truncated"
            )
    longest = max(parsed.skew[k] or 0 for k in range(len(per_frame)))
    check_values((sum(per_frame), (length or 0) + _skew(longest, length or 0)), limits)


def _skew(skew: int, length: int) -> int:
    if skew > length:
        raise ReadError("a lead is skewed by more than the record is long", AGAIN)
    return skew


def _header_of(path: Path) -> Path:
    if path.suffix.lower() in (HEADER, ".dat", ".mat") and path.with_suffix(HEADER).is_file():
        return path.with_suffix(HEADER)
    return path.with_name(path.name + HEADER)


def _name(header: Path) -> str:
    return str(header.absolute().with_suffix(""))


def _wfdb() -> Any:
    try:
        import wfdb  # type: ignore[import-untyped]
    except ImportError:
        raise missing("wfdb", "signals", "recordings in WFDB format") from None
    return wfdb
