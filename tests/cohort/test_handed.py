"""Patients to predict need not be a cohort: whatever can mean one thing only predicts as the cohort of it does."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest

import chiasm

IDS = [f"p{k:02d}" for k in range(60)]


def frames() -> dict[str, pd.DataFrame]:
    rng = np.random.default_rng(2)
    clinical = pd.DataFrame({"age": rng.normal(60, 9, 60).round(1), "stage": rng.choice(["I", "II"], 60)}, index=IDS)
    return {"clinical": clinical, "rna": pd.DataFrame(rng.normal(size=(60, 4)), index=IDS, columns=list("abcd"))}


@cache
def model(*names: str) -> Any:
    parts = {name: own for name, own in frames().items() if name in names}
    y = pd.DataFrame({"y": np.random.default_rng(3).normal(size=60)}, index=IDS)
    cohort = chiasm.cohort_from_frames(
        y, parts, chiasm.Regression("y"), kinds={"rna": "omics"} if "rna" in parts else {}
    )
    return chiasm.fit(cohort, "late-fusion" if len(names) > 1 else f"single:{names[0]}")


def cohort(parts: dict[str, pd.DataFrame]) -> chiasm.Cohort:
    ids = list(dict.fromkeys(key for own in parts.values() for key in own.index))
    return chiasm.cohort_from_frames(pd.DataFrame(index=ids), parts, kinds={"rna": "omics"} if "rna" in parts else {})


def test_frames_by_modality_are_the_patients_that_any_names_in_their_order() -> None:
    parts = {"clinical": frames()["clinical"].iloc[[5, 3, 9]], "rna": frames()["rna"].iloc[[9, 40]]}
    found = model("clinical", "rna").predict(parts)
    assert list(found.index) == ["p05", "p03", "p09", "p40"]
    pd.testing.assert_frame_equal(found, model("clinical", "rna").predict(cohort(parts)))


@pytest.mark.parametrize("as_series", [False, True])
def test_one_patient_as_a_dictionary_or_a_series(as_series: bool) -> None:
    parts = {name: own.iloc[[7]] for name, own in frames().items()}
    wanted = model("clinical", "rna").predict(cohort(parts))
    one = {name: own.iloc[0] if as_series else own.iloc[0].to_dict() for name, own in parts.items()}
    found = model("clinical", "rna").predict(one)
    assert list(found.index) == ["patient"]
    assert found["prediction"].iloc[0] == pytest.approx(wanted["prediction"].iloc[0], abs=1e-12)
    alone = model("clinical", "rna").predict({**one, "rna": None})
    assert alone["pattern"].iloc[0] == "clinical"


def test_one_patient_with_a_bag_and_a_sequence() -> None:
    rng = np.random.default_rng(5)
    bags = {key: rng.normal(size=(3, 4)).astype(np.float32) for key in IDS}
    letters = rng.choice(list("ACGT"), (60, 40))
    reads = pd.DataFrame({"read": ["".join(row) for row in letters]}, index=IDS)
    y = pd.DataFrame({"y": rng.normal(size=60)}, index=IDS)
    whole = chiasm.cohort_from_frames(y, {"bag": bags, "read": reads}, chiasm.Regression("y"), kinds={"read": "dna"})
    fitted = chiasm.fit(whole, "late-fusion")
    found = fitted.predict({"bag": bags["p04"], "read": reads["read"].iloc[4]})
    wanted = fitted.predict(whole.subset(["p04"]).with_target(None, None))
    assert found["pattern"].iloc[0] == "bag+read"
    assert found["prediction"].iloc[0] == pytest.approx(wanted["prediction"].iloc[0], abs=1e-6)


def test_a_frame_or_anndata_alone_is_the_one_table_that_a_model_reads() -> None:
    block = frames()["rna"]
    wanted = model("rna").predict(cohort({"rna": block}))
    pd.testing.assert_frame_equal(model("rna").predict(block), wanted)
    anndata = pytest.importorskip("anndata")
    held = anndata.AnnData(block.astype(np.float32))
    np.testing.assert_allclose(model("rna").predict(held)["prediction"], wanted["prediction"], atol=1e-6)
    both = model("clinical", "rna").predict({"clinical": frames()["clinical"], "rna": held})
    np.testing.assert_allclose(both["prediction"], model("clinical", "rna").predict(frames())["prediction"], atol=1e-6)


@pytest.mark.filterwarnings("ignore::FutureWarning:mudata")
def test_a_mudata_is_its_modalities() -> None:
    anndata, mudata = pytest.importorskip("anndata"), pytest.importorskip("mudata")
    held = mudata.MuData({"rna": anndata.AnnData(frames()["rna"].astype(np.float32))})
    found = model("clinical", "rna").predict(held)
    wanted = model("clinical", "rna").predict(cohort({"rna": frames()["rna"]}))
    np.testing.assert_allclose(found["prediction"], wanted["prediction"], atol=1e-6)


def test_an_anndata_is_an_omics_block_of_a_cohort() -> None:
    anndata = pytest.importorskip("anndata")
    held = anndata.AnnData(frames()["rna"].astype(np.float32))
    made = chiasm.cohort_from_frames(pd.DataFrame(index=IDS), {"rna": held, "clinical": frames()["clinical"]})
    assert made.kinds == {"rna": "omics", "clinical": "table"}
    np.testing.assert_allclose(made.raw("rna"), frames()["rna"], atol=1e-6)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([1, 2], "list is no cohort"),
        (frames()["rna"], "a frame is one modality, and the model reads 'clinical', 'rna'"),
        ({"clincal": frames()["clinical"]}, "no modality 'clincal', but 'clinical', 'rna': did you mean 'clinical'"),
        (
            {"clinical": {"age": 61, "stage": "I"}, "rna": frames()["rna"]},
            "'clinical' is of one patient, and other modalities are of several",
        ),
    ],
    ids=["a list", "a frame for two", "a typo", "one and several"],
)
def test_what_may_mean_several_things_is_refused_with_the_way_to_write_it(given: Any, said: str) -> None:
    with pytest.raises(chiasm.CohortError, match=said) as told:
        model("clinical", "rna").predict(given)
    assert 'give {"clinical": frame}' in str(told.value)


def test_what_may_be_a_patient_is_not_quoted_and_nothing_is_refused() -> None:
    with pytest.raises(chiasm.CohortError, match=r"no modality that is called so \(1 name not known\)") as told:
        model("clinical", "rna").predict({"case-007": {"age": 61}})
    assert "case-007" not in str(told.value)
    with pytest.raises(chiasm.CohortError, match="'rna' is a int"):
        model("clinical", "rna").predict({"rna": 5})
    for nothing in ({}, {"clinical": None}):
        with pytest.raises(chiasm.CohortError, match="no modality of 'clinical', 'rna' is given"):
            model("clinical", "rna").predict(nothing)


def test_identifiers_are_read_as_a_cohort_reads_them() -> None:
    block = frames()["rna"].iloc[:3]
    numbers = model("rna").predict({"rna": block.set_axis([1.0, 2.0, 3.0], axis=0)})
    assert list(numbers.index) == ["1", "2", "3"]
    np.testing.assert_allclose(numbers["prediction"], model("rna").predict({"rna": block})["prediction"])


def test_a_patient_who_lacks_columns_is_refused_unless_they_may_lack() -> None:
    with pytest.raises(chiasm.Unsupported, match="stage"):
        model("clinical", "rna").predict({"clinical": {"age": 61}})
    with pytest.warns(chiasm.FindingWarning, match="1 of 2 columns that the model reads are not there"):
        assert len(model("clinical", "rna").predict({"clinical": {"age": 61}}, strict=False)) == 1
