"""Columns under another name are found by how names are written, before letters are compared, and only one for one."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import chiasm
from chiasm.cohort import Classification, Cohort, cohort_from_frames
from chiasm.cohort.near_names import FORM, Near, meant, near_names

GENES = [f"ENSG{141_000 + k:011d}" for k in range(30)]
VERSION, CASE = "in another version of the Ensembl identifier", "in other upper and lower case"
MARKS, ENDS = "with other marks between the words", "with another beginning or end"


@pytest.mark.parametrize(
    ("missing", "spare", "how"),
    [
        (GENES[1], f"{GENES[1]}.16", VERSION),
        (f"{GENES[1]}.3", f"{GENES[1]}.16", VERSION),
        ("TP53", "tp53", CASE),
        ("Gr\u00f6\u00dfe", "Gro\u0308\u00dfe", FORM),
        ("HLA-A", "HLA.A", MARKS),
        ("HLA_A", "hla a", MARKS),
        ("TP53", "rna_TP53", ENDS),
        ("TP53|7157", "TP53", ENDS),
        ("gene:TP53", "rna_TP53", ENDS),
        (GENES[1], f"rna_{GENES[1]}.2", ENDS),
        ("is_female", "female", ENDS),
        ("is_female", "is_femal", ""),
    ],
)
def test_a_name_is_found_by_how_it_is_written(missing: str, spare: str, how: str) -> None:
    others = [GENES[2], f"{GENES[3]}.16", "stage", "bmi"]
    near = near_names([missing], [spare, *others])[missing]
    assert (near.name, near.how) == (spare, how)
    assert meant(near) == (f"is it '{spare}'?" if how != FORM else f"{FORM.removeprefix('under ')}: write them alike")


def test_a_gene_is_never_taken_for_its_neighbour() -> None:
    found = near_names(GENES, [f"{name}.{k}" for k, name in enumerate(GENES)])
    assert {name: near.name.partition(".")[0] for name, near in found.items()} == {name: name for name in GENES}
    assert {near.how for near in found.values()} == {VERSION}


def test_two_that_could_be_meant_are_not_chosen_between() -> None:
    for spare in (["rna_TP53", "cnv_TP53"], ["tp53", "Tp53"]):
        near = near_names(["TP53"], spare).get("TP53")
        assert near is None or near.how == ""
    assert near_names(["rna_TP53"], ["rna_KRAS"]).get("rna_TP53", Near("", "")).how == ""
    assert near_names(["egfr"], ["smoker"]) == {} == near_names([], ["a"]) == near_names(["a"], [])


def cohort(columns: list[str]) -> Cohort:
    rng = np.random.default_rng(0)
    ids = [f"p{k:02d}" for k in range(40)]
    values = pd.DataFrame(rng.normal(size=(40, 30)), index=ids, columns=columns)
    patients = pd.DataFrame({"y": np.where(values.iloc[:, 0] + rng.normal(size=40) > 0, "a", "b")}, index=ids)
    return cohort_from_frames(patients, {"rna": values}, Classification("y"), kinds={"rna": "omics"})


@pytest.fixture(scope="module")
def model() -> object:
    return chiasm.fit(cohort(GENES), "single:rna")


def test_genes_named_otherwise_are_told_of_in_one_sentence(model) -> None:
    with pytest.raises(chiasm.Unsupported) as told:
        model.predict(cohort([f"{name}.7" for name in GENES]))
    said = str(told.value)
    assert "30 columns at fit, and 30 of them missing now: 30 of them stand there in another version" in said
    assert f"as '{GENES[0]}.7' for '{GENES[0]}'" in said and GENES[1] not in said and "strict=False" in said
    with pytest.raises(chiasm.Unsupported, match="are Ensembl identifiers and the cohort's are not: translate"):
        model.predict(cohort([f"SYM{k}" for k in range(30)]))
    both = f"28 of them missing now: 27 of them .* for '{GENES[2]}'; '{GENES[29]}'"
    with pytest.raises(chiasm.Unsupported, match=both):
        model.predict(cohort([*GENES[:2], *(f"rna_{name}" for name in GENES[2:29]), "other"]))
