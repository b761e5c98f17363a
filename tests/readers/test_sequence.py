"""Proteins and DNA: capital letters of an alphabet, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chiasm.readers import Limits, ReadError, reader_for
from chiasm.readers.sequence.sequence import AMINO_ACIDS, NUCLEOTIDES, DnaReader, ProteinReader
from examples import examples

NAME = "Jane_Roe_1957"


def test_a_cell_and_a_file_give_the_same_sequence(tmp_path: Path) -> None:
    path = tmp_path / "x.fasta"
    path.write_text(f">{NAME} heavy chain\r\nmkvl\r\nWAAX*\r\n\r\n")
    assert ProteinReader().read(path) == "MKVLWAAX" == ProteinReader().read("mkvl waax")
    assert ProteinReader().read(">x\nMKV") == "MKV"
    assert DnaReader().read("acgu nryk") == "ACGTNRYK"
    assert ProteinReader().inspect(path) == () == ProteinReader().inspect("MKV")
    assert "is its kind 'dna'" in ProteinReader().inspect("ACGT" * 20)[0]
    assert isinstance(reader_for("protein"), ProteinReader) and isinstance(reader_for("dna"), DnaReader)


BROKEN = {
    "empty": ("", "empty"),
    "a name alone": (f">{NAME}\n", "sequence is empty"),
    "a stop alone": ("*", "sequence is empty"),
    "two records": (f">{NAME}\nMK\n>b\nMK\n", "holds 2 sequences"),
    "letters before the name": (f"MK\n>{NAME}\nMK\n", "before the name"),
    "a foreign letter": ("MK1V", "position 3 is not an amino acid"),
    "a stop within": ("MK*V", "position 3"),
    "a gap": ("MK--V", "gap at position 3"),
    "a letter of another script": ("MKßV", "position 3"),
    "binary": ("MK\0V", "control characters"),
    "too long": ("M" * 3000, "over the limit"),
    "compressed": ("\x1f\x8b\x08", "control characters"),
}


@pytest.mark.parametrize("broken", BROKEN)
@pytest.mark.parametrize("place", ["cell", "file"])
def test_broken_sequences_are_refused(tmp_path: Path, broken: str, place: str) -> None:
    content, what = BROKEN[broken]
    path = tmp_path / f"{NAME}.fa"
    path.write_text(content)
    with pytest.raises(ReadError, match=what) as caught:
        ProteinReader().read(path if place == "file" else content, Limits(characters=2000))
    assert NAME not in str(caught.value) and str(tmp_path) not in str(caught.value)


def test_dna_refuses_a_protein_and_files_of_another_kind(tmp_path: Path) -> None:
    with pytest.raises(ReadError, match="position 5 is not a base"):
        DnaReader().read("ACGTLL")
    (tmp_path / "x.fa.gz").write_bytes(b"\x1f\x8b")
    for path in (tmp_path / "x.fa.gz", tmp_path, tmp_path / "nowhere.fa"):
        with pytest.raises(ReadError):
            DnaReader().inspect(path)


@given(content=st.one_of(st.binary(max_size=60), st.text("ACGTUacgtnMKVL>-*\n 1ß", max_size=60).map(str.encode)))
@settings(max_examples=examples(100), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_give_letters_of_the_alphabet_or_an_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.fa"
    path.write_bytes(content)
    for reader, alphabet in ((ProteinReader(), AMINO_ACIDS), (DnaReader(), NUCLEOTIDES)):
        try:
            found = reader.read(path)
        except ReadError:
            continue
        assert found and set(found) <= set(alphabet) and reader.read(found) == found
