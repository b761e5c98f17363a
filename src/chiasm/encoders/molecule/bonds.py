"""Molecule encoder for networks on graphs: a token for each atom and one for each bond, which names its two atoms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from chiasm.artifact import storable
from chiasm.cohort import Cohort
from chiasm.encoders.molecule.molecules import (
    ATOM,
    BONDS,
    MAX_ATOMS,
    OfMolecules,
    atom_features,
    molecule_of,
    one_of,
    quiet_rdkit,
)
from chiasm.specs import name_and_options
from chiasm.tokens import PackedTokens, Tokens

GEOMETRIES = ("E", "Z")
BOND = len(BONDS) + 1 + 2 + len(GEOMETRIES)  # features of a bond
WIDTH = 4 + ATOM + BOND
NUMBERED = 256  # atoms' numbers are divided by it: exact in float32, and of the size of the other columns


@storable("encoder-bonds")
@dataclass(frozen=True)
class AtomsAndBonds(OfMolecules):
    """Molecule encoder with a token for each heavy atom and one for each bond, from which the graph is read back.

        atom i           [1, 0, i / 256, 0, its 49 features, 0 ...]
        bond of i and j  [0, 1, i / 256, j / 256, 0 ..., its 9 features]

    An atom's features are those of the encoder `graph`. A bond's are its type (single, double, triple, aromatic, any
    other), conjugated, in a ring, E, Z. Atoms are numbered in canonical order; a bond names its ends by these numbers,
    so that the tokens are a bag, whose order means nothing. A molecule with more than `atoms` atoms keeps the first of
    them, and the bonds among these. A molecule of one atom has one token.

    For the recipes `gin` and `molfm`. Any other reads the tokens as it reads every bag, and not the graph: `graph` and
    `fingerprint` are made for these.

    Args:
        atoms: maximum number of atoms per molecule.

    Raises:
        ValueError: the option is out of range.
        ReadError: at `encode`, a text that is not a molecule.
        Unsupported: RDKit is not installed.
    """

    atoms: int = 200

    id: ClassVar[str] = "bonds"
    version: ClassVar[str] = "1"

    def __post_init__(self) -> None:
        if not 1 <= self.atoms <= MAX_ATOMS:
            raise ValueError(f"encoder 'bonds' keeps 1 to {MAX_ATOMS:,} atoms")

    @property
    def width(self) -> int:
        return WIDTH

    @property
    def slots(self) -> int:
        return 0

    def encode(self, raw: Sequence[str]) -> Tokens:
        """Encode canonical SMILES to tokens `(B, most atoms and bonds, 62)`, float32."""
        with quiet_rdkit():
            parts = [self._tokens(molecule_of(text)) for text in raw]
        rows = np.arange(len(parts))
        return PackedTokens.scatter(parts, rows, len(parts), self.width).take(rows)

    def _tokens(self, molecule: Any) -> NDArray[np.float32]:
        from rdkit.Chem import CanonicalRankAtoms

        rank = list(CanonicalRankAtoms(molecule))
        atoms = np.zeros((molecule.GetNumAtoms(), WIDTH))
        for atom in molecule.GetAtoms():
            place = rank[atom.GetIdx()]
            atoms[place, :3] = 1, 0, place / NUMBERED
            atoms[place, 4 : 4 + ATOM] = atom_features(atom)
        bonds = []
        for bond in molecule.GetBonds():
            ends = sorted((rank[bond.GetBeginAtomIdx()], rank[bond.GetEndAtomIdx()]))
            if ends[1] < self.atoms:
                own = np.zeros(WIDTH)
                own[:4] = 0, 1, *(end / NUMBERED for end in ends)
                own[4 + ATOM :] = bond_features(bond)
                bonds.append((ends, own))
        rows = [own for _, own in sorted(bonds, key=lambda pair: pair[0])]
        return np.stack([*atoms[: self.atoms], *rows]).astype(np.float32)


def bond_features(bond: Any) -> list[bool]:
    """Return the features `(9,)` of a bond, none of which depends on the numbers of its atoms."""
    geometry = bond.GetProp("_CIPCode") if bond.HasProp("_CIPCode") else ""
    return [
        *one_of(str(bond.GetBondType()), BONDS),
        bond.GetIsConjugated(),
        bond.IsInRing(),
        *(geometry == known for known in GEOMETRIES),
    ]


def graphs_of(cohort: Cohort) -> tuple[str, ...]:
    """Return the modalities of an encoded cohort whose tokens are atoms and bonds."""
    chosen = cohort.encodings
    return tuple(own for own in cohort.modalities if own in chosen and _names_bonds(chosen[own].encoder))


def _names_bonds(spec: str) -> bool:
    return name_and_options(spec)[0] == AtomsAndBonds.id
