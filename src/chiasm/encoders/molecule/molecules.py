"""Molecule encoders: four fingerprints and descriptors of the whole molecule, or one token per atom."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray

from chiasm.artifact import storable
from chiasm.encoders.frozen import identity_of
from chiasm.readers.reading import ReadError
from chiasm.readers.registry import missing
from chiasm.tokens import PackedTokens, Tokens

Floats = NDArray[np.float64]
LARGEST = 20.0  # limit of a descriptor after the logarithm
MAX_ATOMS = 5000  # larger molecules are refused

ELEMENTS = (6, 7, 8, 16, 9, 15, 17, 35, 53, 5, 14, 34, 1, 11, 19)  # any other shares one more column
DEGREES, HYDROGENS, CHARGES, RINGS = range(6), range(4), (-1, 0, 1), (3, 4, 5, 6)
HYBRIDS = ("SP", "SP2", "SP3")
HANDS = ("R", "S")
BONDS = ("SINGLE", "DOUBLE", "TRIPLE", "AROMATIC")
ATOM = 49  # features of an atom
INTRICATE = 100_000  # limit of steps in assigning R/S labels, milliseconds for a drug


class OfMolecules:
    """Common base of the encoders of molecules: nothing is fitted, and RDKit's version is part of the identity."""

    fitted_on_cohort: ClassVar[bool] = False
    batch: ClassVar[int] = 64

    @property
    def identity(self) -> str:
        return identity_of(self, _release())

    def fit(self, raw: Any, patients: Sequence[str] = ()) -> Self:
        """Return this encoder unchanged: there is nothing to fit."""
        return self


@storable("encoder-fingerprint")
@dataclass(frozen=True)
class Fingerprint(OfMolecules):
    """Molecule encoder with four tokens: ECFP and FCFP count fingerprints, MACCS structural keys, and descriptors.

    0. `ln(1 + count)` of the Morgan environments up to `radius` bonds, hashed to `bits` (Rogers and Hahn 2010, ECFP)
    1. the same with atoms named by function: donor, acceptor, aromatic, halogen, acid, base (FCFP)
    2. the 166 MACCS keys
    3. 43 properties (weight, logP, TPSA, rings, connectivity and shape indices), MQN's 42 counts, and the surface area
       by charge, refractivity and logP (14, 10, 12), each as `sign(x) ln(1 + |x|)` clipped at 20, non-finite ones as 0

    Tokens 2 and 3 are padded with zeros to `bits`. Nothing is fitted: scaling is left to later steps. The version of
    RDKit is part of the identity, since it defines the hashes and the descriptors.

    Args:
        bits: the width, 256 to 4,096.
        radius: radius in bonds, 0 to 6.

    Raises:
        ValueError: an option is out of range.
        ReadError: at `encode`, a text that is not a molecule.
        Unsupported: RDKit is not installed.
    """

    bits: int = 512
    radius: int = 2

    id: ClassVar[str] = "fingerprint"
    version: ClassVar[str] = "1"

    def __post_init__(self) -> None:
        if not 256 <= self.bits <= 4096 or not 0 <= self.radius <= 6:
            raise ValueError("encoder 'fingerprint' has 256 to 4,096 bits and a radius of 0 to 6")

    @property
    def width(self) -> int:
        return self.bits

    @property
    def slots(self) -> int:
        return 4

    def encode(self, raw: Sequence[str]) -> Tokens:
        """Encode canonical SMILES to tokens `(B, 4, bits)`, float32."""
        with quiet_rdkit():
            from rdkit.Chem import rdFingerprintGenerator as generator
            from rdkit.Chem.rdMolDescriptors import GetMACCSKeysFingerprint

            plain = generator.GetMorganGenerator(radius=self.radius, fpSize=self.bits, includeChirality=True)
            functional = generator.GetMorganGenerator(
                radius=self.radius,
                fpSize=self.bits,
                atomInvariantsGenerator=generator.GetMorganFeatureAtomInvGen(),
            )
            values = np.zeros((len(raw), self.slots, self.bits), np.float32)
            for row, text in enumerate(raw):
                molecule = molecule_of(text)
                keys = np.array(GetMACCSKeysFingerprint(molecule), np.float64)[1:]  # key 0 is never set
                descriptors = _descriptors(molecule)
                values[row, 0] = np.log1p(plain.GetCountFingerprintAsNumPy(molecule))
                values[row, 1] = np.log1p(functional.GetCountFingerprintAsNumPy(molecule))
                values[row, 2, : len(keys)] = keys
                values[row, 3, : len(descriptors)] = descriptors
        return Tokens(torch.from_numpy(values), torch.ones(values.shape[:2], dtype=torch.bool))


@storable("encoder-graph")
@dataclass(frozen=True)
class AtomGraph(OfMolecules):
    """Molecule encoder with one token per heavy atom: its own features, and averages over its 1 .. `rounds` bond hops.

    With X `(n, 49)` the atoms' own features (element, neighbours, hydrogens, charge, hybridisation, rings, aromatic,
    R or S, bonds by order), A the bonds and `P = D^-1 (A + I)`, the token of an atom is its row of
    `[X, P X, P^2 X, ...]`: a graph convolution without weights (Wu et al., SGC, ICML 2019), with every power kept. The
    bag does not depend on the numbering of the atoms. A larger molecule keeps its first `atoms` atoms in canonical
    order, after averaging over all.

    Args:
        rounds: powers of P, 0 to 8.
        atoms: maximum number of tokens per molecule.

    Raises:
        ValueError: an option is out of range.
        ReadError: at `encode`, a text that is not a molecule.
        Unsupported: RDKit is not installed.
    """

    rounds: int = 3
    atoms: int = 200

    id: ClassVar[str] = "graph"
    version: ClassVar[str] = "1"

    def __post_init__(self) -> None:
        if not 0 <= self.rounds <= 8 or not 1 <= self.atoms <= MAX_ATOMS:
            raise ValueError(f"encoder 'graph' has 0 to 8 rounds and keeps 1 to {MAX_ATOMS:,} atoms")

    @property
    def width(self) -> int:
        return ATOM * (1 + self.rounds)

    @property
    def slots(self) -> int:
        return 0

    def encode(self, raw: Sequence[str]) -> Tokens:
        """Encode canonical SMILES to tokens `(B, most atoms, 49 (1 + rounds))`, float32; atoms in canonical order."""
        with quiet_rdkit():
            parts = [self._atoms(molecule_of(text)) for text in raw]
        rows = np.arange(len(parts))
        return PackedTokens.scatter(parts, rows, len(parts), self.width).take(rows)

    def _atoms(self, molecule: Any) -> NDArray[np.float32]:
        from rdkit.Chem import CanonicalRankAtoms

        order = np.argsort(list(CanonicalRankAtoms(molecule)))
        place = np.argsort(order)
        own = np.stack([atom_features(atom) for atom in molecule.GetAtoms()])[order]
        ends = [(bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()) for bond in molecule.GetBonds()]
        one, other = place[np.array(ends, np.int64).reshape(-1, 2)].T
        degree = 1.0 + np.bincount(np.concatenate([one, other]), minlength=len(own))
        powers = [own]
        for _ in range(self.rounds):
            last = powers[-1]
            total = last.copy()
            np.add.at(total, one, last[other])
            np.add.at(total, other, last[one])
            powers.append(total / degree[:, None])
        return np.concatenate(powers, axis=1)[: self.atoms].astype(np.float32)


def atom_features(atom: Any) -> Floats:
    """Compute the features `(49,)` of an atom, none of which depends on its index in the molecule."""
    bonds = [str(bond.GetBondType()) for bond in atom.GetBonds()]
    sizes = [atom.IsInRingSize(size) for size in RINGS]
    hand = atom.GetProp("_CIPCode") if atom.HasProp("_CIPCode") else ""
    return np.array(
        [
            *one_of(atom.GetAtomicNum(), ELEMENTS),
            *one_of(atom.GetDegree(), DEGREES),
            *one_of(atom.GetTotalNumHs(), HYDROGENS),
            *one_of(atom.GetFormalCharge(), CHARGES),
            *one_of(str(atom.GetHybridization()), HYBRIDS),
            atom.IsInRing(),
            *sizes,
            atom.IsInRing() and not any(sizes),
            atom.GetIsAromatic(),
            *(hand == known for known in HANDS),
            *(bonds.count(kind) for kind in BONDS),
        ],
        np.float64,
    )


def one_of(value: Any, known: Sequence[Any]) -> Iterator[bool]:
    """Yield a one-hot encoding with a last column for unknown values."""
    yield from (value == item for item in known)
    yield value not in known


def _descriptors(molecule: Any) -> Floats:
    """Compute the two-dimensional descriptors `(121,)` on a signed logarithmic scale."""
    from rdkit.Chem import rdMolDescriptors as descriptors

    found = np.array(
        [
            *descriptors.Properties().ComputeProperties(molecule),
            *descriptors.MQNs_(molecule),
            *descriptors.PEOE_VSA_(molecule),
            *descriptors.SMR_VSA_(molecule),
            *descriptors.SlogP_VSA_(molecule),
        ],
        np.float64,
    )
    found = np.where(np.isfinite(found), found, 0.0)
    return np.asarray(np.clip(np.sign(found) * np.log1p(np.abs(found)), -LARGEST, LARGEST))


def molecule_of(text: str) -> Any:
    """Return the RDKit molecule of canonical SMILES, with R/S labels.

    Raises:
        ReadError: it is no molecule of 1 to 5,000 atoms.
    """
    from rdkit.Chem import MolFromSmiles, rdCIPLabeler

    molecule = MolFromSmiles(text)
    if molecule is None or not 0 < molecule.GetNumAtoms() <= MAX_ATOMS:
        raise ReadError(
            f"the text is not a molecule of 1 to {MAX_ATOMS:,} atoms", "write it as SMILES, or leave the cell empty"
        )
    try:
        rdCIPLabeler.AssignCIPLabels(molecule, maxRecursiveIterations=INTRICATE)
    except RuntimeError:  # limit exceeded: drop all labels rather than keep some
        parts: list[Any] = [*molecule.GetAtoms(), *molecule.GetBonds()]
        for part in parts:
            part.ClearProp("_CIPCode")
    return molecule


@contextmanager
def quiet_rdkit() -> Iterator[None]:
    """Silence RDKit's own messages, which quote the molecule.

    Raises:
        Unsupported: RDKit is not installed.
    """
    try:
        from rdkit.rdBase import BlockLogs
    except ImportError:
        raise missing("rdkit", "molecules", "molecules") from None
    with BlockLogs():
        yield


def _release() -> str:
    try:
        from rdkit import rdBase
    except ImportError:
        raise missing("rdkit", "molecules", "molecules") from None
    return f"rdkit-{rdBase.rdkitVersion}"
