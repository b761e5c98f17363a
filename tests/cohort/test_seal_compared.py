"""What of a sealed cohort has changed since it was sealed is found and named, and what may change is not."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from chiasm.cohort import CohortError
from chiasm.cohort.seal import add_opening, identity_of, read_seal
from chiasm.cohort.sealing import compared, seal_cohort
from sealed_cohorts import TARGETS, refusal, seal_of, sealed_cohort, sealed_names, write_cohort


def test_a_changed_group_or_site_of_a_sealed_patient_is_found_and_an_older_seal_stays_valid(tmp_path: Path) -> None:
    manifest = sealed_cohort(tmp_path, more="")
    table, name = tmp_path / "patients.csv", min(sealed_names(manifest))
    text, seal = table.read_text(), read_seal(seal_of(manifest))
    document = json.loads(seal_of(manifest).read_text())
    assert document.pop("belonging")
    document["identity"] = identity_of(document)
    for column in ("family", "site"):
        patients = pd.read_csv(table, dtype=str)
        patients.loc[patients["case"] == name, column] = "other"
        patients.to_csv(table, index=False)
        assert compared(manifest, seal)[0] == ["the group or the site of a sealed patient has changed"]
        seal_of(manifest).write_text(json.dumps(document))  # as it was written before groups and sites were in it
        assert compared(manifest, read_seal(seal_of(manifest))) == ([], [])
        add_opening(seal_of(manifest), document["identity"], "run", ["presence"])
        opened = json.loads(seal_of(manifest).read_text())
        assert len(opened.pop("openings")) == 1, "nothing else is written, so that an older chiasm reads it still"
        assert opened == {key: value for key, value in document.items() if key != "openings"}
        seal_of(manifest).write_text(json.dumps(seal.model_dump(mode="json")))
        table.write_text(text)
    assert compared(manifest, seal) == ([], [])
    emptied = {**json.loads(seal_of(manifest).read_text()), "belonging": ""}
    seal_of(manifest).write_text(json.dumps(emptied))
    with pytest.raises(CohortError, match="does not have the hash"):
        read_seal(seal_of(manifest))


def test_a_sealed_patient_who_is_gone_or_another_target_is_found(tmp_path: Path) -> None:
    manifest = sealed_cohort(tmp_path)
    patients = pd.read_csv(tmp_path / "patients.csv")
    gone = patients["case"] == sorted(sealed_names(manifest))[0]
    patients[~gone].to_csv(tmp_path / "patients.csv", index=False)
    assert "1 of the" in refusal(manifest) and "case-" not in refusal(manifest)
    patients.to_csv(tmp_path / "patients.csv", index=False)
    manifest.write_text(manifest.read_text().replace(TARGETS["classification"], TARGETS["regression"]))
    assert "sealed for another target (classification of label)" in refusal(manifest)


def test_what_has_changed_since_is_named(tmp_path: Path) -> None:
    manifest = sealed_cohort(tmp_path)
    seal = read_seal(seal_of(manifest))
    assert compared(manifest, seal) == ([], [])
    patients = pd.read_csv(tmp_path / "patients.csv", dtype=str)
    inside = patients["case"].isin(sealed_names(manifest))
    changed = patients.copy()
    changed.loc[~inside, "age"] = "50"  # of the others whatever is mended
    changed.sample(frac=1, random_state=0).to_csv(tmp_path / "patients.csv", index=False)
    assert compared(manifest, seal) == ([], [])
    row = inside[inside].index[0]
    changed.loc[row, "label"] = "no" if patients.loc[row, "label"] == "yes" else "yes"
    changed.to_csv(tmp_path / "patients.csv", index=False)
    assert compared(manifest, seal) == (["an outcome of a sealed patient has changed"], [])
    changed.loc[row, ["label", "age"]] = [patients.loc[row, "label"], "61.25"]
    changed.to_csv(tmp_path / "patients.csv", index=False)
    assert compared(manifest, seal) == (["a value of a sealed patient in modality 'clinical' has changed"], [])
    patients.to_csv(tmp_path / "patients.csv", index=False)
    manifest.write_text(manifest.read_text().replace('"age", "sex", ', '"age", '))
    assert compared(manifest, seal) == ([], ["clinical"])


def test_a_molecule_is_compared_as_it_is_written(tmp_path: Path) -> None:
    """Whatever version of a package is there to read it."""
    manifest = write_cohort(
        tmp_path, more="\n[modalities.drug]\nkind = 'molecule'\ntable = 'drugs.csv'\ncolumn = 'smiles'\n"
    )
    ids = pd.read_csv(tmp_path / "patients.csv")["case"]
    drugs = pd.DataFrame({"case": ids, "smiles": ["C" * (1 + k % 7) + "O" for k in range(len(ids))]})
    drugs.to_csv(tmp_path / "drugs.csv", index=False)
    seal_cohort(manifest, 0.25)
    seal = read_seal(seal_of(manifest))
    assert compared(manifest, seal) == ([], [])
    drugs["smiles"] = [text[::-1] for text in drugs["smiles"]]  # the same molecules
    drugs.to_csv(tmp_path / "drugs.csv", index=False)
    assert compared(manifest, seal) == (["a value of a sealed patient in modality 'drug' has changed"], [])


@pytest.mark.parametrize("kind", ["text", "choice"])
def test_a_sealed_text_or_option_that_has_changed_is_found(tmp_path: Path, kind: str) -> None:
    manifest = write_cohort(tmp_path, more="")
    patients = pd.read_csv(tmp_path / "patients.csv", dtype=str)
    patients["said"] = ["left lung" if own == "yes" else "no finding" for own in patients["label"]]
    patients["options"], column = '["left lung", "no finding", "mass"]', "said" if kind == "text" else "options"
    patients.to_csv(tmp_path / "patients.csv", index=False)
    options = "" if kind == "text" else '\noptions = "options"\nanswers = "text"'
    target = f'kind = "{kind}"\ncolumn = "said"{options}'
    manifest.write_text(manifest.read_text().replace(TARGETS["classification"], target))
    seal_cohort(manifest, 0.25, seed=3)
    seal = read_seal(seal_of(manifest))
    assert compared(manifest, seal) == ([], [])
    inside, was = patients["case"].isin(sealed_names(manifest)), "left" if kind == "text" else "mass"
    patients.loc[inside, column] = patients.loc[inside, column].str.replace(was, "heart")
    patients.to_csv(tmp_path / "patients.csv", index=False)
    assert compared(manifest, seal)[0], "as many words, and other ones"
