"""Molecules: one text for every spelling, and what is refused, without a word on stderr."""

from __future__ import annotations

import time
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chiasm.readers import ReadError, reader_for
from chiasm.readers.sequence.molecule import MoleculeReader
from examples import examples

Chem = pytest.importorskip("rdkit.Chem")

NAME = "Jane_Roe_1957"
ALANINE = "C[C@H](N)C(=O)O"


def block(smiles: str) -> str:
    from rdkit.Chem import AllChem

    molecule = Chem.AddHs(Chem.MolFromSmiles(smiles))
    AllChem.EmbedMolecule(molecule, randomSeed=1)
    molecule.SetProp("_Name", NAME)
    return str(Chem.MolToMolBlock(molecule))


def test_every_spelling_gives_one_text(tmp_path: Path) -> None:
    reader = MoleculeReader()
    assert reader.read("OCC") == reader.read(" CCO\n") == reader.read("C(O)C") == "CCO"
    assert reader.read("[NH3+][C@@H](C)C(=O)[O-].[Na+].[Cl-]").count(".") == 2
    assert reader.read("C/C=C/C") != reader.read("C/C=C\\C")
    assert reader.read("N[C@@H](C)C(=O)O") == ALANINE != reader.read("N[C@H](C)C(=O)O")
    smi, sdf, mol = tmp_path / "a.smi", tmp_path / "a.sdf", tmp_path / "a.mol"
    smi.write_text(f"N[C@@H](C)C(=O)O {NAME}\n")
    mol.write_text(block(ALANINE))
    sdf.write_text(block(ALANINE) + f"> <patient>\n{NAME}\n\n$$$$\n")
    for path in (smi, sdf, mol):
        assert reader.read(path) == ALANINE and reader.inspect(path) == ()
    assert isinstance(reader_for("molecule"), MoleculeReader)


def test_real_molecules_are_read_as_rdkit_reads_them(shared_data: Path) -> None:
    folder = shared_data / "molecules-delaney"
    frame = pd.concat(pd.read_csv(path) for path in sorted(folder.glob("*.csv")))
    column = next(name for name in frame.columns if "smiles" in name.lower())
    for smiles in frame[column].dropna().head(200):
        assert MoleculeReader().read(smiles) == Chem.CanonSmiles(smiles)


BROKEN_CELLS = {
    "empty": ("", "empty"),
    "blank": ("  \n", "empty"),
    "not closed": ("CC(C", "RDKit makes no molecule"),
    "a valence of five": ("CC(C)(C)(C)C", "valence"),
    "an aromatic ring that cannot be": ("c1cccc1", "RDKit makes no molecule"),
    "words": (NAME, "RDKit makes no molecule"),
    "a broken InChI": ("InChI=1S/C2H6O/c1-2-3/h3H,2H2,1H4", "RDKit makes no molecule"),
    "an InChI of nothing": ("InChI=nothing", "RDKit makes no molecule"),
    "an InChIKey": ("LFQSCWFLJHTTHZ-UHFFFAOYSA-N", "is a digest, from which no structure follows"),
    "a reaction": ("CC>>CO", "RDKit makes no molecule"),
    "a name behind": (f"CCO {NAME}", "holds a blank"),
    "two": ("CCO\nCCC", "holds 2 molecules"),
    "too long": ("C" * 5001, "over 5,000"),
    "long once written": ("c1ccccc1" * 250 + "[13CH2]" * 425, "over 5,000"),
    "many rings": ("C1CC1" * 600, "over 2,500 atoms or 500 rings"),
    "a ring of thousands": (f"C1{'C' * 4900}1", "over 2,500 atoms or 500 rings"),
    "deep brackets": ("(" * 4999, "RDKit makes no molecule"),
    "a NUL": ("CC\0O", "control characters"),
    "another script": ("CCÖ", "RDKit makes no molecule"),
}


@pytest.mark.parametrize("broken", BROKEN_CELLS)
def test_broken_smiles_are_refused_in_silence(broken: str, capfd: pytest.CaptureFixture[str]) -> None:
    content, what = BROKEN_CELLS[broken]
    began = time.process_time()
    with pytest.raises(ReadError, match=what) as caught:
        MoleculeReader().read(content)
    assert time.process_time() - began < 5
    assert NAME not in str(caught.value) and caught.value.__cause__ is None
    assert capfd.readouterr() == ("", "")
    Chem.MolFromSmiles("CC(")
    assert capfd.readouterr().err, "what RDKit says to others is not silenced"


BROKEN_FILES = {
    "truncated": (lambda text: text[: len(text) // 2], "truncated"),
    "two molecules": (lambda text: (text + "$$$$\n") * 2, "holds 2 molecules"),
    "no atoms": (lambda text: f"{NAME}\n\n\n  0  0  0  0  0  0  0  0  0  0999 V2000\nM  END\n", "no atoms"),
    "more atoms than lines": (lambda text: text.replace(" 13 12", "999 12"), "RDKit makes no molecule"),
    "bonds to nowhere": (lambda text: text.replace("\n  1  2  1", "\n  1 99  1"), "RDKit makes no molecule"),
    "an unknown element": (lambda text: text.replace(" C  ", " Qq ", 1), "RDKit makes no molecule"),
    "garbage": (lambda text: f"{NAME}\nM  END\n", "RDKit makes no molecule"),
    "binary": (lambda text: text + "\0", "control characters"),
    "empty": (lambda text: "", "empty"),
    "a header of V3000 that lies": (
        lambda text: (
            f"{NAME}\n\n\n  0  0  0     0  0            999 V3000\nM  V30 BEGIN CTAB\n"
            "M  V30 COUNTS 999999999 999999999 0 0 0\nM  V30 BEGIN ATOM\nM  END\n"
        ),
        "2,500 atoms",
    ),
}


@pytest.mark.parametrize("broken", BROKEN_FILES)
def test_broken_structures_are_refused(tmp_path: Path, broken: str, capfd: pytest.CaptureFixture[str]) -> None:
    spoil, what = BROKEN_FILES[broken]
    whole = block(ALANINE)
    assert spoil(whole) != whole
    path = tmp_path / f"{NAME}.sdf"
    path.write_text(spoil(whole))
    with pytest.raises(ReadError, match=what) as caught:
        MoleculeReader().read(path)
    assert NAME not in str(caught.value) and str(tmp_path) not in str(caught.value)
    assert capfd.readouterr() == ("", "")


@given(data=st.data())
@settings(max_examples=examples(80), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_other_error_escapes(tmp_path: Path, data: st.DataObject) -> None:
    suffix = data.draw(st.sampled_from([".smi", ".sdf"]))
    content = bytearray((block("CCO") if suffix == ".sdf" else "C1CC1[C@H](N)C(=O)O").encode())
    place = data.draw(st.integers(0, len(content) - 1))
    content[place : place + data.draw(st.integers(0, 4))] = data.draw(st.binary(max_size=4))
    path = tmp_path / f"x{suffix}"
    path.write_bytes(bytes(content))
    try:
        found = MoleculeReader().read(path)
    except ReadError:
        return
    assert MoleculeReader().read(found) == found


ENHANCED = """
  chiasm

  0  0  0     0  0            999 V3000
M  V30 BEGIN CTAB
M  V30 COUNTS 4 3 0 0 0
M  V30 BEGIN ATOM
M  V30 1 C -1.0 0.5 0 0
M  V30 2 C 0.0 0.0 0 0 CFG=1
M  V30 3 O 0.0 -1.0 0 0
M  V30 4 F 1.0 0.5 0 0
M  V30 END ATOM
M  V30 BEGIN BOND
M  V30 1 1 2 1 CFG=1
M  V30 2 1 2 3
M  V30 3 1 2 4
M  V30 END BOND
M  V30 BEGIN COLLECTION
M  V30 MDLV30/STE{kind} ATOMS=(1 2)
M  V30 END COLLECTION
M  V30 END CTAB
M  END
"""


@pytest.mark.parametrize("kind, noted", [("RAC1", True), ("REL1", True), ("ABS", False)])
def test_a_racemate_is_noted(tmp_path, kind, noted):
    path = tmp_path / "m.mol"
    path.write_text(ENHANCED.format(kind=kind))
    assert "@" in MoleculeReader().read(path)
    notes = MoleculeReader().inspect(path)
    assert bool(notes) == noted and all("one enantiomer is read" in note for note in notes)


@pytest.mark.parametrize("cell", ["*CC*", "[*:1]CC", "C*"])
def test_an_atom_that_stands_for_any_is_noted(cell):
    assert "stands for any" in MoleculeReader().inspect(cell)[0]
    assert MoleculeReader().inspect("CCO") == ()


@pytest.mark.parametrize("smiles", ["CCO", "C[C@H](N)C(=O)O", "c1ccccc1", "[Na+].[Cl-]", "CC(=O)Oc1ccccc1C(=O)O"])
def test_an_inchi_is_its_molecule(smiles):
    assert MoleculeReader().read(Chem.MolToInchi(Chem.MolFromSmiles(smiles))) == MoleculeReader().read(smiles)
