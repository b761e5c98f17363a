"""One molecule in two spellings is one content: in duplicates, in folds, and in what is encoded."""

from __future__ import annotations

import builtins
import sys

import numpy as np
import pandas as pd
import pytest

import chiasm
from chiasm.cohort import Classification, Cohort, cohort_from_frames, fold_ids
from chiasm.cohort.digests import digest_of
from chiasm.cohort.units import content_keys

pytest.importorskip("rdkit")

# kekulised and aromatic, another first atom, an explicit hydrogen: the pairs are one molecule each
PAIRS = [
    ("C1=CC=CC=C1", "c1ccccc1"),
    ("OCC", "CCO"),
    ("CC(=O)OC1=CC=CC=C1C(=O)O", "OC(=O)c1ccccc1OC(C)=O"),
    ("[CH4]", "C"),
]
REFUSED = "C1CC("


def cohort_of(texts: list[str]) -> Cohort:
    ids = [f"p{k:02d}" for k in range(len(texts))]
    label = pd.DataFrame({"label": np.arange(len(texts)) % 2}, index=ids)
    values = {"drug": pd.DataFrame({"smiles": texts}, index=ids)}
    return cohort_from_frames(label, values, Classification("label"), kinds={"drug": "molecule"})


def spelled(which: int) -> list[str]:
    return [pair[which] for pair in PAIRS]


def test_spellings_of_one_molecule_are_duplicates() -> None:
    cohort = cohort_of(spelled(0) + spelled(1) + ["CCN"])
    keys = content_keys(cohort)
    assert keys[:4].tolist() == keys[4:8].tolist() and len(np.unique(keys)) == 5
    (problem,) = [p for p in chiasm.check_cohort(cohort) if "identical in every modality" in p.what]
    assert problem.what.startswith("8 patients")
    folds = fold_ids(cohort, 2, seed=0, group_duplicates=True)
    assert folds[:4].tolist() == folds[4:8].tolist()


def test_hands_and_isotopes_are_other_molecules() -> None:
    texts = ["C[C@H](N)C(=O)O", "C[C@@H](N)C(=O)O", "CC(N)C(=O)O", "[13CH4]", "C"]
    assert len(np.unique(content_keys(cohort_of(texts)))) == 5


def test_each_molecule_is_encoded_once(tmp_path) -> None:
    found = chiasm.encode(cohort_of(spelled(0) + spelled(1)), store=tmp_path / "store", jobs=1)
    assert (found.counts["drug"].sources, found.counts["drug"].distinct, found.counts["drug"].encoded) == (8, 4, 4)
    again = chiasm.encode(cohort_of(spelled(1)), store=tmp_path / "store", jobs=1)
    assert (again.counts["drug"].encoded, again.counts["drug"].stored) == (0, 4)


def test_what_is_refused_is_reported_once_and_quietly(capfd) -> None:
    cohort = cohort_of([*spelled(0), REFUSED, REFUSED, "not a molecule"])
    problems = [p for p in chiasm.check_cohort(cohort) if "RDKit" in p.what]
    assert len(problems) == 1 and problems[0].row == 6
    assert len(np.unique(content_keys(cohort))) == 6
    said = capfd.readouterr()
    assert REFUSED not in said.err and REFUSED not in said.out


def test_a_cell_that_stands_often_is_parsed_once(monkeypatch) -> None:
    import chiasm.cohort.smiles as smiles

    parsed, parse = [], smiles.parse_smiles
    monkeypatch.setattr(smiles, "parse_smiles", lambda text: parsed.append(text) or parse(text))
    known: dict[bytes, bytes] = {}
    found = list(smiles.molecule_digests(["OCC", "CCO", "OCC", REFUSED, REFUSED], known))
    assert found == [digest_of("CCO")] * 3 + [digest_of(REFUSED)] * 2
    assert parsed == ["OCC", "CCO", REFUSED]
    assert list(smiles.molecule_digests(["CCO"], known)) == found[:1] and len(parsed) == 3


def test_without_rdkit_a_text_is_itself(monkeypatch) -> None:
    real = builtins.__import__

    def without(name, *rest, **more):
        if name.partition(".")[0] == "rdkit":
            raise ImportError(name)
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    for name in [name for name in sys.modules if name.partition(".")[0] == "rdkit"]:
        monkeypatch.delitem(sys.modules, name)
    assert len(np.unique(content_keys(cohort_of(spelled(0) + spelled(1))))) == 8
