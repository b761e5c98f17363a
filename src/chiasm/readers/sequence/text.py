"""Reader of notes: a cell of a table or a file of plain text, as one normalised text."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from pathlib import Path

from chiasm.readers.reading import LIMITS, Item, Limits, ReadError, check_size

SUFFIXES = (".txt", ".md")
UTF8_BYTES = 4  # most bytes of a character
UTF16 = (b"\xff\xfe", b"\xfe\xff")
DOCUMENTS = {
    b"%PDF-": "PDF",
    b"{\\rtf": "RTF",
    b"PK\x03\x04": "a zip or Office file",
    b"\xd0\xcf\x11\xe0": "an Office file",
}
CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f\x7f]")
SURROGATE = re.compile("[\ud800-\udfff]")
FIX = "save it as plain text in UTF-8"


class TextReader:
    """Reader of a note as it is written: composed Unicode (NFC), lines ended by `\\n`, without blanks around it.

    Nothing is removed: names in a note stay in it, and reach the encoder.
    """

    kind = "text"
    version = "1"

    def inspect(self, item: Item, limits: Limits = LIMITS) -> tuple[str, ...]:
        """Return no notes; check a cell as `read` does, a file by its size and kind."""
        return inspect_plain(self.read, item, SUFFIXES, limits)

    def read(self, item: Item, limits: Limits = LIMITS) -> str:
        """Read the note.

        Raises:
            ReadError: empty, longer than `limits.characters`, not UTF-8, binary, or a document of another format.
        """
        text = read_plain(item, SUFFIXES, limits)
        text = unicodedata.normalize("NFC", text.replace("\r\n", "\n").replace("\r", "\n")).strip()
        if not text:
            raise ReadError("the note is empty", "leave the cell or the file out if the patient has none")
        if len(text) > limits.characters:
            raise too_long(limits)
        return text


def inspect_plain(
    read: Callable[[Item, Limits], str], item: Item, suffixes: tuple[str, ...], limits: Limits
) -> tuple[str, ...]:
    """Implement `inspect` for the readers of text: read a cell, or check the size and kind of a file."""
    if isinstance(item, Path):
        check_text_file(item, suffixes, limits)
    else:
        read(item, limits)
    return ()


def read_plain(item: Item, suffixes: tuple[str, ...], limits: Limits) -> str:
    """Read the text of a cell or a file, checked against `limits.characters` before it is decoded."""
    if isinstance(item, str):
        if len(item) > limits.characters:
            raise too_long(limits)
        text = item
    elif isinstance(item, Path):
        check_text_file(item, suffixes, limits)
        try:
            content = item.read_bytes()
        except OSError:
            raise ReadError("the file cannot be read", "check that it may be opened") from None
        text = decoded(content)
    else:
        raise ReadError("a table of events is no text", "name one column, or the files by `path`")
    if len(text) > limits.characters:
        raise too_long(limits)
    if SURROGATE.search(text):
        raise ReadError("the text holds half a character (a lone surrogate)", FIX)
    if CONTROL.search(text):
        raise ReadError("the text holds control characters, as binary data does", FIX)
    return text


def check_text_file(path: Path, suffixes: tuple[str, ...], limits: Limits) -> None:
    """Refuse a file that is missing, empty, of another kind, or surely over `limits.characters`."""
    if not path.is_file():
        raise ReadError("there is no such file", f"give a file of {', '.join(suffixes)}")
    if path.suffix.lower() not in suffixes:
        raise ReadError("the file is of a kind that is not read", f"write it as one of {', '.join(suffixes)}")
    check_size(path, limits)
    if path.stat().st_size > UTF8_BYTES * limits.characters:
        raise too_long(limits)


def decoded(content: bytes) -> str:
    """Decode UTF-8, with or without a byte order mark."""
    for start, name in DOCUMENTS.items():
        if content.startswith(start):
            raise ReadError(f"the file is {name}, not plain text", FIX)
    if content.startswith(UTF16):
        raise ReadError("the text is UTF-16", FIX)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ReadError("the text is not UTF-8", FIX) from None


def too_long(limits: Limits) -> ReadError:
    """Build the error for a text over the limit of characters."""
    return ReadError(
        f"the text is over the limit of {limits.characters:,} characters", "shorten it, or split it by its sections"
    )
