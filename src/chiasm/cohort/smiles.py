"""Digests of molecules by their structure, not by their spelling, if RDKit is installed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, MutableMapping
from typing import Any

from chiasm.cohort.digests import digest_of

MOST_CHARACTERS = 5_000  # of a SMILES; RDKit takes a tenth of a second for that many
# Rings take RDKit memory in the square of the atoms (one of 15,000 atoms: 6 GB), time in more than the square of the
# rings, and a net of a few thousand ends the process.
MOST_ATOMS, MOST_RINGS = 2_500, 500
SMALL = 1_000  # characters of a SMILES that cannot hold so many


def parse_smiles(smiles: str) -> Any:
    """Parse plain SMILES without a name into an RDKit molecule, None if refused; raises ImportError without RDKit."""
    from rdkit import Chem

    asked: Any = Chem.SmilesParserParams()
    asked.allowCXSMILES = False
    asked.parseName = False
    return Chem.MolFromSmiles(smiles, asked)


def is_too_large(atoms: int, bonds: int, fragments: int = 1) -> bool:
    """Tell whether RDKit's search for rings may take minutes, gigabytes, or the process.

    Of f fragments there are `bonds - atoms + f` rings.
    """
    return atoms > MOST_ATOMS or bonds - atoms + fragments > MOST_RINGS


def is_large_smiles(smiles: str) -> bool:
    """Tell, before rings are looked for, whether a SMILES is too large to be read; raises as `parse_smiles`."""
    if len(smiles) <= SMALL:
        return False
    from rdkit import Chem

    asked: Any = Chem.SmilesParserParams()
    asked.allowCXSMILES, asked.parseName, asked.sanitize, asked.removeHs = False, False, False, False
    found = Chem.MolFromSmiles(smiles, asked)
    if found is None:
        return False
    return is_too_large(found.GetNumAtoms(), found.GetNumBonds(), len(Chem.GetMolFrags(found)))


def molecule_digests(texts: Iterable[str], known: MutableMapping[bytes, bytes]) -> Iterator[bytes]:
    """Yield the digest of each molecule's canonical SMILES, or of its text if RDKit refuses it or is not installed.

    Refused molecules are not reported here, but by their reader.

    Args:
        known: cache of digests by stamp, a hash of the text and of RDKit's version; new ones are added.
    """
    try:
        from rdkit import rdBase
    except ImportError:
        yield from map(digest_of, texts)
        return
    for text in texts:
        stamp = digest_of(f"rdkit-{rdBase.rdkitVersion}\0{text}")
        if stamp not in known:
            with rdBase.BlockLogs():  # RDKit's messages quote the molecule
                known[stamp] = digest_of(_canonical(text) or text)
        yield known[stamp]


def _canonical(text: str) -> str | None:
    if not text.isascii() or len(text) > MOST_CHARACTERS or len(text.split()) != 1:
        return None
    from rdkit import Chem

    try:
        found = None if is_large_smiles(text) else parse_smiles(text)
        return None if found is None else str(Chem.MolToSmiles(found))
    except Exception:  # RDKit raises errors of its own, which quote the molecule
        return None
