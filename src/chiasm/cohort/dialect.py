"""How a table of text is written: its encoding, separator, what stands before its header, and names of rows.

What is unambiguous is read: a byte order mark, `sep=;` of a spreadsheet, comments before the header, a separator that
every line has as often, a header that is one cell short because R writes none for the names of the rows. What cannot be
told is said by its owner, in a `Form`.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from dataclasses import dataclass

from chiasm.cohort.notation import are_plain

SEPARATORS = (",", ";", "\t", "|")
LINES = 20  # first lines that have to agree
ROW_NAMES = ""  # name of a column of row names, which a header leaves out
SPREADSHEET = re.compile(r"\"?sep=(.)\"?\s*", re.IGNORECASE)


class DialectError(ValueError):
    """Error for text that cannot be told apart: `what` is wrong, and the `fix`."""

    def __init__(self, what: str, fix: str) -> None:
        super().__init__(f"{what}; {fix}")
        self.what = what
        self.fix = fix


@dataclass(frozen=True)
class Form:
    """What its owner says of a table; None where nothing is said.

    Args:
        missing: cells that stand for a missing value, besides empty ones, in place of pandas' list (NA, None, nan ...).
        decimal: "," or ".".
        encoding: a name that Python knows.
        separator: one character.
        sheet: that of a workbook.
        labels: False for the codes of a statistics program, not the words of their labels.
        field: of a VCF, "GT" or "DS".
        names: of variants, by their "position" or "id".
    """

    missing: tuple[str, ...] | None = None
    decimal: str | None = None
    encoding: str | None = None
    separator: str | None = None
    sheet: str | None = None
    labels: bool | None = None
    field: str | None = None
    names: str | None = None


def unfit_form(form: Form) -> tuple[str, str] | None:
    """Return why a form says nothing sensible, and the fix; None if it does."""
    if form.decimal not in (None, ",", "."):
        return "hold a decimal sign that is none", 'write decimal = "," or "."'
    if form.separator is not None and len(form.separator) != 1:
        return "hold a separator that is not one character", r'write it as in separator = ";" or "\t"'
    if form.separator is not None and form.separator == form.decimal:
        return "hold one character as separator and as decimal sign", "correct one of the two"
    if form.field not in (None, "GT", "DS") or form.names not in (None, "position", "id"):
        return "name no field or names of genotypes", 'write field = "GT" or "DS", names = "position" or "id"'
    try:
        codecs.lookup(form.encoding or "utf-8")
    except LookupError:
        return "hold an encoding that is not known", 'write it as in encoding = "latin-1"'
    return None


@dataclass(frozen=True)
class Dialect:
    """How a file is read: `skipped` lines stand before the header, whose `names` include one for the row names."""

    encoding: str
    separator: str
    skipped: int
    names: tuple[str, ...]


def dialect_of(head: bytes, form: Form, usual: str, cut: bool = False) -> Dialect:
    """Tell how a table is written from its first bytes; `usual` is the separator that its suffix names.

    `cut` says that more follows, so that the last line, or a cell of it, may go on.

    Raises:
        DialectError: binary data, no header, or text of another encoding.
    """
    encoding = form.encoding or _encoding(head)
    try:
        text = codecs.getincrementaldecoder(encoding)("strict").decode(head)  # a character may be cut at the end
    except (UnicodeDecodeError, UnicodeError):
        fix = 'save it again as UTF-8, or name its encoding, as in encoding = "latin-1"'
        raise DialectError("is not UTF-8 text" if not form.encoding else "is not text in this encoding", fix) from None
    lines = list(io.StringIO(text.lstrip("\ufeff"), newline=""))  # a form feed or a raised dot ends no line
    separator, skipped = form.separator, 0
    told = SPREADSHEET.fullmatch(lines[0].rstrip("\r\n")) if lines else None
    if told:
        separator, skipped = separator or told[1], 1
    skipped += _comments(lines[skipped:], separator)
    cut = cut or len(lines) > skipped + LINES + 1
    lines = lines[skipped : skipped + LINES + 1]
    if not lines or not lines[0].strip():
        raise DialectError("has no header", "write the names of the columns in the first row")
    separator = separator or _separator(lines, usual, cut)
    header, *rows = _cells(lines, separator)
    names = [name.strip().strip('"') for name in header]
    names[0] = names[0].removeprefix("#").strip()
    if not any(names):
        raise DialectError("has no header", "write the names of the columns in the first row")
    whole = rows[: len(rows) - cut]
    if whole and all(len(row) == len(names) + 1 and row[0].strip() and row[-1].strip() for row in whole):
        names = [ROW_NAMES, *names]
    return Dialect(encoding, separator, skipped, tuple(names))


def whole_header(head: bytes) -> bool:
    """True if the first bytes of a table hold its header and a row after it; comments before it do not count."""
    rows = quotes = 0
    for line in head.splitlines(keepends=True):
        quotes += line.count(b'"')
        if quotes % 2 == 0 and line.endswith((b"\n", b"\r")) and not line.startswith((b"#", b"sep=")):
            rows += 1
    return rows > 1


def _encoding(head: bytes) -> str:
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    if b"\0" in head:
        even, odd = head[0::2].count(0), head[1::2].count(0)
        half = len(head) // 2
        if half and min(even, odd) == 0 and max(even, odd) > 0.4 * half:
            return "utf-16-le" if odd else "utf-16-be"
        raise DialectError("is not text: it holds binary data", "write the table as comma-separated text")
    return "utf-8-sig"


def _cells(lines: list[str], separator: str) -> list[list[str]]:
    try:
        return list(csv.reader(lines, delimiter=separator))
    except csv.Error:
        return [line.split(separator) for line in lines]


def _comments(lines: list[str], separator: str | None) -> int:
    """Number of lines before the header that are comments; a `#` before the names themselves is none."""
    marked = next((i for i, line in enumerate(lines) if not line.startswith("#")), len(lines))
    if not marked or marked == len(lines):
        return 0
    last, following = lines[marked - 1], lines[marked]
    for own in [separator] if separator else SEPARATORS:
        if following.count(own) and following.count(own) == last.count(own):
            names = [at for at in range(marked) if lines[at].count(own) == last.count(own)]
            holds_number = any(are_plain([cell.strip() for cell in following.split(own)]))
            return names[0] if holds_number else marked
    return marked


def _separator(lines: list[str], usual: str, cut: bool) -> str:
    """The separator that every row has as often as the header, the most often; the usual one where two or none do."""
    counts = {own: [len(row) for row in _cells(lines, own)] for own in SEPARATORS}
    agreed = []
    for own in SEPARATORS:
        cells = counts[own]
        if cells[0] > 1 and len(set(cells[: max(2, len(cells) - cut)])) == 1:
            agreed.append(own)
    return max(agreed, key=lambda own: (counts[own][0], own == usual), default=usual)
