"""Triples in a manifest: read as any table, met by names, and what is wrong with them is said."""

from __future__ import annotations

import json
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
from chiasm.limits import JSON_PARTS, MODEL_JSON_BYTES

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
            patients, {"age": patients[["age"]]}, chiasm.Classification("y"), knowledge=(triples, column), site="age"
        )

    made = framed("drug").knowledge
    assert made is not None and cohort.knowledge is not None and made.digest == cohort.knowledge.digest
    assert all(map(np.array_equal, made.content, cohort.knowledge.content))
    for column, words in (
        ("none", "no such column"),
        ("y", "is the target's"),
        ("age", "identifiers, groups or sites"),
    ):
        with pytest.raises(chiasm.CohortError, match=words):
            framed(column)
    triples = triples.rename(columns={"tail": "object"})
    with pytest.raises(chiasm.CohortError, match="no such column 'tail'"):
        framed("drug")


def test_what_is_wrong_with_triples_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert findings(write(tmp_path, triples=TRIPLES.replace("aspirin", "ASA"))) == {"knowledge-of-nobody": "warning"}
    assert findings(write(tmp_path, triples=TRIPLES + ";is a;acid\n")) == {
        "partial-triples": "warning", "unmet-names": "warning",
    }  # fmt: skip
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


def test_names_that_are_not_met_are_counted_and_those_that_nearly_are(tmp_path: Path) -> None:
    (own,) = chiasm.open_cohort(write(tmp_path)).findings
    assert own.what == "3 filled cells of 'drug' are in no triple"
    (own,) = chiasm.open_cohort(write(tmp_path, triples=TRIPLES + "Un known;is a;acid\n")).findings
    assert own.what.endswith("are in no triple, 3 of which would but for upper and lower case or blanks")
    (own,) = chiasm.open_cohort(write(tmp_path, triples=TRIPLES.replace("aspirin", "Aspirin "))).findings
    assert own.finding == "knowledge-of-nobody" and ", 6 of whom would but for" in own.what


def test_knowledge_is_of_no_person(tmp_path: Path) -> None:
    """Nor of one who is held back: an entity, a column or a table of patients is refused, and none is named."""
    assert findings(write(tmp_path, 'triples = "kg.csv"\ncolumn = "id"')) == {"people-as-things": "error"}
    for told in ('triples = "patients.csv"\n', 'triples = "./patients.csv"\n'):
        section = told + 'head = "drug"\nrelation = "age"\ntail = "y"\ncolumn = "drug"'
        assert findings(write(tmp_path, section)) == {"patients-as-triples": "error"}
    manifest = write(tmp_path, triples=TRIPLES + "p03;has outcome;died\n")
    with pytest.raises(chiasm.CohortError, match="1 of the 6 entities is an identifier of patients") as caught:
        chiasm.open_cohort(manifest)
    assert "p03" not in str(caught.value)
    frame = pd.DataFrame({"head": ["a"] * 12, "relation": "b", "tail": "c", "y": [0, 1] * 6})
    with pytest.raises(chiasm.CohortError, match="patients' own frame"):
        chiasm.cohort_from_frames(
            frame, {"m": frame[["y"]].rename(columns={"y": "z"})}, chiasm.Classification("y"), knowledge=(frame, "head")
        )


@pytest.mark.parametrize("told", ["the column", "a relation", "nothing"])
def test_knowledge_that_copies_the_outcome_is_a_leak(told: str) -> None:
    rng = np.random.default_rng(0)
    label = np.arange(60) % 2
    things = [f"thing {k % 2 if told == 'the column' else k}" for k in range(60)]
    rows = [
        (thing, "ends", f"so {label[k] if told == 'a relation' else rng.integers(2)}") for k, thing in enumerate(things)
    ]
    patients = pd.DataFrame({"y": label, "thing": things}, index=[f"p{k:02d}" for k in range(60)])
    cohort = chiasm.cohort_from_frames(
        patients, {"m": pd.DataFrame({"x": rng.normal(size=60)}, index=patients.index)}, chiasm.Classification("y"),
        knowledge=(pd.DataFrame(rows, columns=["head", "relation", "tail"]), "thing"),
    )  # fmt: skip
    found = [own for own in chiasm.check_cohort(cohort) if own.leak]
    names = {"the column": "'thing'", "a relation": "'thing: ends'"}
    assert [own.finding for own in found] == ["leaking-column"] * len(found) and bool(found) == (told in names)
    assert told not in names or any(names[told] in own.what for own in found)


def test_more_entities_than_a_model_can_be_saved_with_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for limit, most in (("ENTITIES", 3), ("ENTITY_BYTES", 20), ("ENTITY_PARTS", 0)):
        with monkeypatch.context() as patch:
            patch.setattr(of_knowledge, limit, most)
            triples = TRIPLES + "2,4-D;is a;acid\n" if limit == "ENTITY_PARTS" else TRIPLES
            assert findings(write(tmp_path, triples=triples)) == {"too-many-entities": "error"}
    most = of_knowledge.ENTITIES
    heads = np.array([f"thing {k:06d}" for k in range(most)])
    known = of_knowledge.Knowledge(tuple(heads.tolist()), ("is",), np.zeros((1, 3), np.int64), "c", np.zeros(1, int))
    document = json.dumps({"a": {"b": {"c": {"d": list(known.entities)}}}}, indent=1).encode()
    assert len(document) < MODEL_JSON_BYTES and document.count(b",") < JSON_PARTS
