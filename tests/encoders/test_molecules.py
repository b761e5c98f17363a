"""Molecules: the same tokens however they are written, and no molecule in a message."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chiasm.cohort import Unsupported
from chiasm.encoders.catalogue import make_encoder
from chiasm.encoders.molecule.bonds import AtomsAndBonds
from chiasm.encoders.molecule.molecules import ATOM, AtomGraph, Fingerprint
from chiasm.readers.reading import ReadError
from chiasm.testing import check_encoder
from examples import examples

Chem = pytest.importorskip("rdkit.Chem")

SMILES = [
    "CCO",
    "C",
    "c1ccccc1C(=O)[O-].[Na+]",
    "C[C@H](N)C(=O)O",
    "CN1CCC[C@H]1c1cccnc1",
    "CC(=O)Oc1ccccc1C(=O)O",
    "F/C=C/Cl",
    "*CC[Se]C#N",
    "CN1C=NC2=C1C(=O)N(C(=O)N2C)C",
    "C[C@]12CC[C@H]3[C@H]([C@@H]1CC[C@@H]2O)CCC4=CC(=O)CC[C@]34C",
]


def bag(encoder: AtomGraph, text: str) -> np.ndarray:
    """The tokens in an order of their own."""
    found = encoder.encode([text])
    rows = np.asarray(found.values[0][found.mask[0]].numpy())
    return rows[np.lexsort(np.round(rows.T, 4))]


def renumbered(text: str, seed: int) -> str:
    """The same molecule written from another atom."""
    molecule = Chem.MolFromSmiles(text)
    order = np.random.default_rng(seed).permutation(molecule.GetNumAtoms()).tolist()
    return str(Chem.MolToSmiles(Chem.RenumberAtoms(molecule, order), canonical=False))


def test_the_laws_of_an_encoder_hold() -> None:
    check_encoder(Fingerprint(), SMILES)
    check_encoder(AtomGraph(rounds=2), SMILES)
    check_encoder(AtomsAndBonds(), SMILES)


@settings(deadline=None, max_examples=examples(40))
@given(st.sampled_from(SMILES), st.integers(0, 10**6))
def test_the_numbering_of_atoms_does_not_matter(text: str, seed: int) -> None:
    other = renumbered(text, seed)
    np.testing.assert_allclose(bag(AtomGraph(), text), bag(AtomGraph(), other), atol=1e-5)
    one, two = (Fingerprint().encode([each]).values.numpy() for each in (text, other))
    np.testing.assert_allclose(one, two, atol=1e-5)


def test_an_atom_knows_its_surroundings_round_by_round() -> None:
    """In C-C-C-C-O the first carbon hears of the oxygen at the fourth round, with weight 1/2 (1/3)^3."""
    encoder = AtomGraph(rounds=4)
    found = encoder.encode(["CCCCO"])
    rows = found.values[0].numpy().reshape(5, 5, ATOM)
    oxygen = 2  # the column of element 8
    end = next(row for row in rows if row[0, 0] == 1 and row[1, oxygen] == row[2, oxygen] == row[3, oxygen] == 0)
    assert end[4, oxygen] == pytest.approx(1 / 2 / 27)
    assert rows[:, 0, oxygen].sum() == 1


def test_what_a_token_tells_apart() -> None:
    hands = [bag(AtomGraph(rounds=0), f"C[C@{at}H](N)C(=O)O") for at in ("", "@")]
    assert not np.array_equal(*hands)
    found = Fingerprint().encode(["C[C@H](N)C(=O)O", "C[C@@H](N)C(=O)O", "CCCCCC", "CCCCCCC"]).values.numpy()
    assert not np.array_equal(found[0, 0], found[1, 0]), "environments know hands"
    assert np.array_equal(found[0, 2:], found[1, 2:]), "keys and descriptors do not"
    assert np.expm1(found[2, 0]).sum() == pytest.approx(6 + 6 + 6 - 2, abs=1e-3), "atoms, and environments once"
    assert not np.array_equal(found[2, 3], found[3, 3]), "counts tell hexane from heptane"
    assert not found[:, 2, 166:].any() and not found[:, 3, 121:].any()


def test_a_large_molecule_keeps_its_first_atoms_and_the_average_over_all() -> None:
    text = "C" * 300
    whole, cut = AtomGraph(atoms=300).encode([text]), AtomGraph().encode([text])
    assert cut.values.shape[1] == 200
    assert np.array_equal(whole.values[0, :200].numpy(), cut.values[0].numpy())


def test_atoms_and_bonds_are_the_molecule() -> None:
    encoder = AtomsAndBonds()
    tokens = encoder.encode(["C", "CCO", "F/C=C/Cl", "F/C=C\\Cl", "C" * 300])
    assert tokens.mask.sum(1).tolist()[:4] == [1, 5, 7, 7]
    for row, text in ((1, "CCO"), (2, "F/C=C/Cl")):
        own, molecule = tokens.values[row][tokens.mask[row]].numpy(), Chem.MolFromSmiles(text)
        bonds = own[own[:, 1] == 1]
        rank = list(Chem.CanonicalRankAtoms(molecule))
        ends = {tuple(sorted((rank[b.GetBeginAtomIdx()], rank[b.GetEndAtomIdx()]))) for b in molecule.GetBonds()}
        assert {tuple(np.round(bond[2:4] * 256).astype(int).tolist()) for bond in bonds} == ends
    assert not np.array_equal(tokens.values[2].numpy(), tokens.values[3].numpy()), "E is not Z"
    large = tokens.values[4].numpy()
    assert large[:, 0].sum() == 200 and large[:, 2:4].max() * 256 == 199, "atoms beyond the limit have no bond"


@pytest.mark.parametrize("encoder", [Fingerprint(), AtomGraph(), AtomsAndBonds()])
@pytest.mark.parametrize("text", ["", "not a molecule", "C1CC", "C(C)(C)(C)(C)C", "C" * 5001, "CCQPlanted"])
def test_what_is_no_molecule_is_refused_in_silence(encoder: Any, text: str, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ReadError, match="not a molecule") as caught:
        encoder.encode([text])
    assert "Planted" not in str(caught.value)
    printed = capfd.readouterr()
    assert not printed.out and not printed.err


def test_options_and_the_release_show_in_the_identity() -> None:
    encoders = [Fingerprint(), Fingerprint(bits=1024), Fingerprint(radius=3), AtomGraph(), AtomGraph(rounds=1)]
    encoders += [AtomsAndBonds(), AtomsAndBonds(atoms=50)]
    names = {encoder.identity for encoder in encoders}
    assert len(names) == 7 and all("rdkit-" in name for name in names)
    assert make_encoder("fingerprint:bits=1024", "molecule").width == 1024
    for make, options in (
        (Fingerprint, {"bits": 100}),
        (Fingerprint, {"radius": 9}),
        (AtomGraph, {"rounds": 9}),
        (AtomsAndBonds, {"atoms": 0}),
    ):
        with pytest.raises(ValueError, match="encoder"):
            make(**options)


def test_without_rdkit_the_error_names_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rdkit", None)
    monkeypatch.setitem(sys.modules, "rdkit.rdBase", None)
    for encoder in (Fingerprint(), AtomGraph(), AtomsAndBonds()):
        with pytest.raises(Unsupported, match=r'pip install "chiasm\[molecules\]"'):
            encoder.encode(["C"])
        with pytest.raises(Unsupported, match="rdkit"):
            _ = encoder.identity
