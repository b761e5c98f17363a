"""Readers of protein and DNA sequences: a cell of a table or a FASTA file of one record, as capital letters."""

from __future__ import annotations

import re
from pathlib import Path
from string import ascii_lowercase, ascii_uppercase

from chiasm.readers.reading import LIMITS, Item, Limits, ReadError
from chiasm.readers.sequence.text import check_text_file, inspect_plain, read_plain

SUFFIXES = (".fasta", ".fa", ".faa", ".fna", ".ffn", ".seq", ".txt")
AMINO_ACIDS = "ACDEFGHIKLMNPQRSTVWY" + "BZXJUO"
NUCLEOTIDES = "ACGT" + "NRYSWKMBDHV"
GAPS = "-."
CAPITALS = str.maketrans(ascii_lowercase, ascii_uppercase)  # str.upper makes SS of a sharp s
SUSPICIOUS = 50  # length from which a protein in letters of nucleotides alone is suspicious


class ProteinReader:
    """Reader of a protein: the 20 amino acids, U and O, and B, Z, J, X for uncertain ones; a final `*` is dropped."""

    kind = "protein"
    version = "1"

    def inspect(self, item: Item, limits: Limits = LIMITS) -> tuple[str, ...]:
        """Note if all letters are those of nucleotides; only for a cell, since a file is not opened."""
        if isinstance(item, Path):
            check_text_file(item, SUFFIXES, limits)
            return ()
        sequence = self.read(item, limits)
        if len(sequence) >= SUSPICIOUS and not set(sequence) - set("ACGTUN"):
            return ("the protein is written in letters of nucleotides alone: is its kind 'dna'?",)
        return ()

    def read(self, item: Item, limits: Limits = LIMITS) -> str:
        """Read the residues.

        Raises:
            ReadError: empty, several records, a gap or a foreign letter (by its position), over `limits.characters`.
        """
        return _checked(_letters(item, limits).removesuffix("*"), AMINO_ACIDS, "an amino acid")


class DnaReader:
    """Reader of DNA: A, C, G, T, and N and the other IUPAC codes for uncertain ones; RNA is read as DNA, its U as T."""

    kind = "dna"
    version = "1"

    def inspect(self, item: Item, limits: Limits = LIMITS) -> tuple[str, ...]:
        """Return no notes; check a cell as `read` does, a file by its size and kind."""
        return inspect_plain(self.read, item, SUFFIXES, limits)

    def read(self, item: Item, limits: Limits = LIMITS) -> str:
        """Read the bases. Raises as `ProteinReader.read` does."""
        return _checked(_letters(item, limits).replace("U", "T"), NUCLEOTIDES, "a base")


def _letters(item: Item, limits: Limits) -> str:
    """Read the only record as capital letters; the line that names it is not kept."""
    lines = read_plain(item, SUFFIXES, limits).split("\n")
    names = [k for k, line in enumerate(lines) if line.lstrip().startswith(">")]
    if len(names) > 1:
        raise ReadError(f"the file holds {len(names):,} sequences", "write one record a patient")
    if names and any(line.strip() for line in lines[: names[0]]):
        raise ReadError("letters stand before the name of the sequence", "write the record again, its '>' line first")
    body = lines[names[0] + 1 :] if names else lines
    return re.sub(r"\s+", "", "".join(body)).translate(CAPITALS)


def _checked(sequence: str, alphabet: str, what: str) -> str:
    if not sequence:
        raise ReadError("the sequence is empty", "leave the cell or the file out if the patient has none")
    foreign = re.search(f"[^{alphabet}]", sequence)
    if foreign is None:
        return sequence
    place = foreign.start() + 1
    if foreign.group() in GAPS:
        raise ReadError(f"there is a gap at position {place:,}", "write the sequence as it was before it was aligned")
    raise ReadError(f"the letter at position {place:,} is not {what}", "correct it, or check the kind of the modality")
