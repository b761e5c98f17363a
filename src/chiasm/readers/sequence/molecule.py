"""Reader of molecules, from SMILES, InChI or a file of one structure, as canonical SMILES."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from chiasm.cohort.smiles import MOST_ATOMS, MOST_CHARACTERS, MOST_RINGS, is_large_smiles, is_too_large, parse_smiles
from chiasm.readers.reading import LIMITS, Item, Limits, ReadError
from chiasm.readers.registry import missing
from chiasm.readers.sequence.text import read_plain

SMILES_FILES = (".smi", ".smiles", ".txt")
STRUCTURES = (".sdf", ".mol")
RECORD_END = "$$$$"
INCHI_KEY = re.compile(r"[A-Z]{14}-[A-Z]{10}-[A-Z]")
BLOCK_END = "M  END"
COUNTS, COUNTS_V3000 = re.compile(r"^([ \d]{3})([ \d]{3})"), re.compile(r"M  V30 COUNTS\s+(\d{1,9})\s+(\d{1,9})")


class MoleculeReader:
    """Reader of a molecule as RDKit's canonical isomeric SMILES: two spellings of one molecule give one text.

    Salts and mixtures keep all their parts. From a structure file (SDF, MOL) the atoms, bonds and stereochemistry
    are read, hydrogens folded into their atoms; names and data fields are not. A cell may hold an InChI.
    """

    kind = "molecule"
    version = "2"
    accepts = ("1",)

    def inspect(self, item: Item, limits: Limits = LIMITS) -> tuple[str, ...]:
        """Note a racemate, of which one enantiomer is read, and atoms that stand for any; refuse what `read` does."""
        molecule = self._molecule(item, limits)[0]
        notes = []
        groups = {str(group.GetGroupType()) for group in molecule.GetStereoGroups()}
        if groups & {"STEREO_AND", "STEREO_OR"}:
            notes.append("the structure is a racemate or of relative configuration, and one enantiomer is read")
        if any(atom.GetAtomicNum() == 0 for atom in molecule.GetAtoms()):
            notes.append("an atom stands for any (*): a polymer, a fragment or a pattern, not a whole molecule")
        return tuple(notes)

    def read(self, item: Item, limits: Limits = LIMITS) -> str:
        """Read the canonical SMILES.

        Raises:
            ReadError: empty, several molecules, not a molecule, an impossible valence, no atoms, over 5,000
                characters of SMILES.
            Unsupported: RDKit is missing.
        """
        return self._molecule(item, limits)[1]

    def _molecule(self, item: Item, limits: Limits) -> tuple[Any, str]:
        """Parse the molecule, and write its canonical SMILES."""
        text = read_plain(item, (*SMILES_FILES, *STRUCTURES), limits)
        chem, silence = _rdkit()
        with silence():  # RDKit writes what it could not parse to stderr
            try:
                if isinstance(item, Path) and item.suffix.lower() in STRUCTURES:
                    found = _structure(chem, text)
                else:
                    found = _smiles(text, is_file=isinstance(item, Path))
                smiles = "" if found is None else str(chem.MolToSmiles(found))
            except ReadError:
                raise
            except Exception:  # RDKit quotes the molecule
                raise _unreadable() from None
        if found is None:
            raise _unreadable()
        if not smiles:
            raise ReadError("the molecule has no atoms", "leave it out if the patient has none")
        if len(smiles) > MOST_CHARACTERS:
            raise _too_large()
        return found, smiles


def _smiles(text: str, is_file: bool) -> Any:
    lines = [line.split() for line in text.splitlines() if line.strip()]
    if not lines:
        raise ReadError("the molecule is empty", "leave the cell or the file out if the patient has none")
    if len(lines) > 1:
        raise ReadError(f"the text holds {len(lines):,} molecules", "write one a patient, its parts joined by '.'")
    if len(lines[0]) > 1 and not is_file:  # in a file the name of the molecule may follow
        raise ReadError("the SMILES holds a blank", "write the SMILES alone, without a name")
    smiles = lines[0][0]
    if INCHI_KEY.fullmatch(smiles):
        raise ReadError("an InChIKey is a digest, from which no structure follows", "write SMILES or InChI")
    if len(smiles) > MOST_CHARACTERS:
        raise _too_large()
    if not smiles.isascii():  # RDKit would read up to the first such letter and drop the rest
        raise _unreadable()
    if smiles.startswith("InChI="):
        from rdkit import Chem

        return Chem.MolFromInchi(smiles, logLevel=None)  # type: ignore[no-untyped-call]
    if is_large_smiles(smiles):
        raise _too_many()
    return parse_smiles(smiles)


def _structure(chem: Any, text: str) -> Any:
    lines = [line.rstrip() for line in text.splitlines()]
    ends = lines.count(BLOCK_END)
    if ends > 1 or lines.count(RECORD_END) > 1:
        raise ReadError(f"the file holds {max(ends, lines.count(RECORD_END)):,} molecules", "write one file a patient")
    if not ends:
        raise ReadError("the structure ends before its 'M  END'", "copy the file again, it is truncated")
    whole = "\n".join(lines[: lines.index(BLOCK_END) + 1]) + "\n"
    counts = COUNTS_V3000.findall(whole.replace("-\nM  V30 ", "")) + COUNTS.findall("".join(lines[3:4]))
    if any(is_too_large(int(atoms.strip() or 0), int(bonds.strip() or 0)) for atoms, bonds in counts):
        raise _too_many()
    return chem.MolFromMolBlock(whole)


def _unreadable() -> ReadError:
    return ReadError(
        "RDKit makes no molecule of it: the notation is wrong, or an atom has a valence it cannot have",
        "check the structure, and that it is SMILES, InChI, SDF or MOL",
    )


def _too_many() -> ReadError:
    return ReadError(
        f"the molecule has over {MOST_ATOMS:,} atoms or {MOST_RINGS:,} rings", "give it as a protein or as a bag"
    )


def _too_large() -> ReadError:
    return ReadError(
        f"the SMILES is over {MOST_CHARACTERS:,} characters", "give a molecule of that size as a protein or as a bag"
    )


def _rdkit() -> tuple[Any, Any]:
    try:
        from rdkit import Chem, rdBase
    except ImportError:
        raise missing("rdkit", "molecules", "molecules") from None
    return Chem, rdBase.BlockLogs
