"""Notes: what comes back, and what is refused."""

from __future__ import annotations

import tracemalloc
import unicodedata
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chiasm.readers import Limits, ReadError, reader_for
from chiasm.readers.sequence.text import TextReader
from examples import examples

NAME = "Jane_Roe_1957"


def test_a_cell_and_a_file_give_the_same_note(tmp_path: Path) -> None:
    note = "  Fever since Monday.\r\nNo cough.\rCafe\u0301 au lait spots.\n"
    expected = "Fever since Monday.\nNo cough.\nCafé au lait spots."
    assert TextReader().read(note) == expected
    for number, (start, suffix) in enumerate(((b"", ".txt"), (b"\xef\xbb\xbf", ".md"))):
        path = tmp_path / f"{number}{suffix}"
        path.write_bytes(start + note.encode())
        assert TextReader().read(path) == expected
        assert TextReader().inspect(path) == ()
    assert isinstance(reader_for("text"), TextReader)


BROKEN = {
    "empty": (b"", "empty"),
    "blank": (b" \n\t\r\n", "empty"),
    "latin-1": ("Käse".encode("latin-1"), "not UTF-8"),
    "utf-16": ("note".encode("utf-16"), "UTF-16"),
    "utf-16 without a mark": ("note".encode("utf-16-le"), "control characters"),
    "a NUL": (b"note\0note", "control characters"),
    "cut within a letter": ("Käse".encode()[:2], "not UTF-8"),
    "a PDF": (b"%PDF-1.7 text", "is PDF"),
    "rich text": (b"{\\rtf1 text}", "is RTF"),
    "an office document": (b"PK\x03\x04text", "Office"),
    "a picture": (b"\x89PNG\r\n\x1a\n", "not UTF-8"),
    "too long": (b"x" * 2001, "over the limit of 2,000 characters"),
    "far too long": (b"x" * 30_000_000, "over the limit of 2,000 characters"),
}


@pytest.mark.parametrize("broken", BROKEN)
def test_broken_notes_are_refused(tmp_path: Path, broken: str) -> None:
    content, what = BROKEN[broken]
    path = tmp_path / f"{NAME}.txt"
    path.write_bytes(content)
    tracemalloc.start()
    with pytest.raises(ReadError, match=what) as caught:
        TextReader().read(path, Limits(characters=2000))
    assert tracemalloc.get_traced_memory()[1] < 5e6
    tracemalloc.stop()
    assert NAME not in str(caught.value) and str(tmp_path) not in str(caught.value)


@pytest.mark.parametrize("cell", ["", "  ", "a\0b", "x" * 2001, "\ud800", "\x1b[31mred", pd.DataFrame()])
def test_broken_cells_are_refused(cell: object) -> None:
    for act in (TextReader().read, TextReader().inspect):
        with pytest.raises(ReadError):
            act(cell, Limits(characters=2000))  # type: ignore[arg-type]


def test_another_kind_of_file_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "nowhere.txt", tmp_path / "note.docx"):
        if path.suffix == ".docx":
            path.write_text("x")
        for act in (TextReader().read, TextReader().inspect):
            with pytest.raises(ReadError, match=r"no such file|of a kind"):
                act(path)


@given(content=st.one_of(st.binary(max_size=200), st.text(max_size=100).map(lambda text: text.encode(errors="ignore"))))
@settings(max_examples=examples(80), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_give_a_clean_note_or_an_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.txt"
    path.write_bytes(content)
    try:
        note = TextReader().read(path)
    except ReadError:
        return
    assert note and note == note.strip() and unicodedata.is_normalized("NFC", note) and "\r" not in note
    assert TextReader().read(note) == note
