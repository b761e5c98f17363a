"""Triples in a manifest: read as any table, met by names, and what is wrong with them is said."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import chiasm
from chiasm.cohort import Cohort
from chiasm.cohort import knowledge as of_knowledge
from chiasm.cohort.manifest import read_manifest
from chiasm.encoders.knowledge import Entities

TWICE = "aspirin;is a;salicylate\n"
TRIPLES = f"head;relation;tail\n{TWICE}salicylate;is a;acid\naspirin;acts on;COX-1\n{TWICE}"


def write(folder: Path, section: str = 'triples = "kg.csv"\ncolumn = "drug"', triples: str = TRIPLES) -> Path:
    (folder / "kg.csv").write_text(triples)
    names = ["aspirin", "", "aspirin", "unknown"] * 3
    patients = pd.DataFrame({"id": [f"p{k:02d}" for k in range(12)], "drug": names, "age": range(12), "y": [0, 1] * 6})
    patients.iloc[::-1].to_csv(folder / "patients.csv", index=False)
    (folder / "cohort.toml").write_text(
        'name = "k"\n[patients]\ntable = "patients.csv"\nid = "id"\n[target]\nkind = "classification"\ncolumn = "y"\n'
        f'[modalities.age]\nkind = "table"\ncolumns = ["age"]\n[knowledge]\n{section}\n'
    )
    return folder / "cohort.toml"


def findings(manifest: Path) -> dict[str, str]:
    cohort, problems = read_manifest(manifest)
    return {own.finding: own.severity for own in (*problems, *(() if cohort is None else cohort.findings))}


def test_triples_are_read_once_each_and_met_by_name(tmp_path: Path) -> None:
    cohort = chiasm.open_cohort(write(tmp_path))
    known = cohort.knowledge
    assert known is not None and known.entities == ("COX-1", "acid", "aspirin", "salicylate")
    assert known.relations == ("acts on", "is a") and known.triples.tolist() == [[2, 0, 0], [2, 1, 3], [3, 1, 1]]
    assert known.named.tolist() == [2, -1, 2, -1] * 3
    part = cohort.subset([0, 3]).knowledge
    assert part is not None and part.named.tolist() == [2, -1] and part.triples is known.triples
    assert Entities(("aspirin", "zinc")).packed(cohort).lengths.tolist() == [1, 0, 1, 0] * 3
    tokens = Entities(known.entities).packed(cohort.subset([1, 2])).take(np.arange(2))
    assert tokens.mask[:, 0].tolist() == [False, True] and float(tokens.values[1, 0, 0]) == 2.0
    assert not Entities(known.entities).packed(replace(cohort, knowledge=None)).lengths.any()


def test_knowledge_is_part_of_the_fingerprint_and_frames_have_it_too(tmp_path: Path) -> None:
    cohort = chiasm.open_cohort(write(tmp_path))
    assert cohort.fingerprint != replace(cohort, knowledge=None).fingerprint
    triples, patients = (
        pd.read_csv(tmp_path / "kg.csv", sep=";"),
        pd.read_csv(tmp_path / "patients.csv", index_col="id"),
    )

    def framed(column: str) -> Cohort:
        return chiasm.cohort_from_frames(
            patients, {"age": patients[["age"]]}, chiasm.Classification("y"), knowledge=(triples, column)
        )

    made = framed("drug").knowledge
    assert made is not None and cohort.knowledge is not None and made.content == cohort.knowledge.content
    for column, words in (("none", "no such column"), ("y", "is the target's")):
        with pytest.raises(chiasm.CohortError, match=words):
            framed(column)
    triples = triples.rename(columns={"tail": "object"})
    with pytest.raises(chiasm.CohortError, match="no such column 'tail'"):
        framed("drug")


def test_what_is_wrong_with_triples_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert findings(write(tmp_path, triples=TRIPLES.replace("aspirin", "ASA"))) == {"knowledge-of-nobody": "warning"}
    assert findings(write(tmp_path, triples=TRIPLES + ";is a;acid\n")) == {"partial-triples": "warning"}
    assert findings(write(tmp_path, triples="head,relation,tail\na,,b\n")) == {"no-triples": "error"}
    assert findings(write(tmp_path, 'triples = "kg.csv"\ncolumn = "durg"')) == {"missing-column": "error"}
    assert findings(write(tmp_path, 'triples = "kg.csv"\ncolumn = "y"')) == {"target-as-input": "error"}
    assert findings(write(tmp_path, 'triples = "kg.csv"\ncolumn = "drug"\nhead = "subject"')) == {
        "missing-column": "error"
    }
    assert findings(write(tmp_path, 'triples = "kg.csv"\ncolum = "drug"')) == {
        "unknown-key": "error", "missing-key": "error",
    }  # fmt: skip
    assert "broken-table" in findings(write(tmp_path, 'triples = "other.csv"\ncolumn = "drug"'))
    assert findings(write(tmp_path, 'triples = "../kg.csv"\ncolumn = "drug"'))
    monkeypatch.setattr(of_knowledge, "TRIPLES", 2)
    assert findings(write(tmp_path)) == {"too-many-triples": "error"}
