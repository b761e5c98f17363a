"""What people give in a notebook by mistake or by habit: read, or refused in one sentence."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import chiasm
from chiasm.cohort import Classification, CohortError, Regression, cohort_from_frames, cohort_from_mudata
from chiasm.encoders.table.scaling import Projection

N = 24
IDS = [f"p{i:02d}" for i in range(N)]
RNG = np.random.default_rng(0)
PATIENTS = pd.DataFrame({"y": ["a", "b"] * (N // 2), "hb": RNG.normal(size=N)}, index=IDS)
RNA = pd.DataFrame(RNG.normal(size=(N, 6)), index=IDS, columns=[f"g{k}" for k in range(6)])


def made(**modalities: object) -> chiasm.Cohort:
    return cohort_from_frames(
        PATIENTS, modalities, Classification("y"), kinds={"note": "text"} if "note" in modalities else None
    )


def test_a_subset_by_identifiers_holds_these_patients() -> None:
    numbers = [str(i) for i in range(N, 0, -1)]
    patients, rna = PATIENTS.set_axis(numbers, axis=0), RNA.set_axis(numbers, axis=0)
    cohort = cohort_from_frames(patients, {"rna": rna}, Classification("y"))
    for chosen in (["1", "2"], np.array(["1", "2"]), np.array(["2", "1"], dtype=object), pd.Index(["1", "2"])):
        assert cohort.subset(chosen).ids.tolist() == ["1", "2"]
    assert cohort.subset([1, 2]).ids.tolist() == cohort.ids[[1, 2]].tolist()
    with pytest.raises(ValueError, match="1 of 2 identifiers are not among the patients") as raised:
        cohort.subset(["1", "Jane Doe"])
    assert "Jane" not in str(raised.value)
    with pytest.raises(ValueError, match="a patient stands twice"):
        cohort.subset(["1", "1"])
    with pytest.raises(ValueError, match="by row numbers, by a mask or by identifiers"):
        cohort.subset([1.0, 2.0])  # type: ignore[list-item]
    assert len(cohort.subset([])) == 0


def test_the_targets_own_column_is_refused_in_a_frame() -> None:
    with pytest.raises(CohortError, match="modality 'clin': column 'y' is the target's"):
        made(clin=PATIENTS)
    with pytest.raises(CohortError, match="column 'hb' is the target's"):
        cohort_from_frames(PATIENTS, {"rna": RNA.assign(hb=PATIENTS["hb"])}, Regression("hb"), kinds={"rna": "omics"})


def test_levels_of_an_index_or_of_columns_are_refused() -> None:
    index = pd.MultiIndex.from_arrays([IDS, ["visit 1"] * N], names=["patient", "visit"])
    with pytest.raises(CohortError, match="modality 'rna': the index has 2 levels; keep the level of the patients"):
        made(rna=RNA.set_axis(index, axis=0))
    with pytest.raises(CohortError, match="patients: the index has 2 levels"):
        cohort_from_frames(PATIENTS.set_axis(index, axis=0), {"rna": RNA}, Classification("y"))
    columns = pd.MultiIndex.from_product([["mean"], RNA.columns])
    with pytest.raises(CohortError, match="the columns have 2 levels"):
        made(rna=RNA.set_axis(columns, axis=1))


def test_a_series_is_a_frame_of_one_column() -> None:
    note = pd.Series([f"note {i}" for i in range(N)], index=IDS)
    assert made(note=note, rna=RNA).kinds["note"] == "text"
    assert made(hb=pd.Series(RNG.normal(size=N), index=IDS, name="hb2")).raw("hb").shape == (N, 1)


def test_a_bag_is_an_array_of_numbers_or_the_path_of_one(tmp_path: Path) -> None:
    arrays = {name: RNG.normal(size=(3, 4)).astype(np.float32) for name in IDS}
    for name, own in arrays.items():
        np.save(tmp_path / f"{name}.npy", own)
    expected = made(slides=arrays)
    others = (
        {name: tmp_path / f"{name}.npy" for name in IDS},
        {name: str(tmp_path / f"{name}.npy") for name in IDS},
        {name: own.tolist() for name, own in arrays.items()},
        {name: own.astype(object) for name, own in arrays.items()},
        {name: pd.DataFrame(own) for name, own in arrays.items()},
    )
    for bags in others:
        cohort = made(slides=bags)
        assert all(np.array_equal(*pair) for pair in zip(cohort.raw("slides"), expected.raw("slides"), strict=True))
        assert chiasm.check_cohort(cohort) == chiasm.check_cohort(expected) == []
    masked = np.ma.masked_array(np.ones((3, 4)), mask=np.eye(3, 4))
    assert np.isnan(made(slides={**arrays, IDS[2]: masked}).raw("slides")[2]).sum() == 3
    rows = [np.ma.masked_array(np.ones(4), mask=[0, 1, 0, 0]), np.ma.masked_array(np.ones(4))]
    assert np.isnan(made(slides={**arrays, IDS[2]: rows}).raw("slides")[2]).sum() == 1
    texts = (
        np.ma.masked_array([["1.5", "2"]]),
        np.ma.masked_array([[1j]]),
        np.array([["a"]]),
        np.array([["1.5", "2"]]),
        np.array([["1.5", 2.0]], object),
    )
    for odd in (*texts, [[1, 2], [3]], None, {"a": 1}, np.ones((2, 2), complex)):
        with pytest.raises(CohortError, match=r"row 4, modality 'slides': what .* nor a path in 1 row \(row 4\)"):
            made(slides={**arrays, IDS[2]: odd})


@pytest.mark.parametrize("target", ["y", ("y",), 3])
def test_a_target_by_its_name_alone_is_refused_in_a_sentence(target: object) -> None:
    with pytest.raises(CohortError, match=r'target: the target is no target; write Classification\("column"\)'):
        cohort_from_frames(PATIENTS, {"rna": RNA}, target)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("patients", "modalities", "words"),
    [
        (PATIENTS, RNA, "the modalities are no mapping"),
        (PATIENTS, [RNA], "the modalities are no mapping"),
        (PATIENTS.to_dict(), {"rna": RNA}, "the patients are no frame"),
        (PATIENTS, {"rna": RNA.to_numpy()}, "kind 'bag' does not fit what was given"),
        (PATIENTS, {"rna": None}, "kind 'bag' does not fit what was given"),
    ],
)
def test_what_is_no_frame_is_refused_in_a_sentence(patients: object, modalities: object, words: str) -> None:
    with pytest.raises(CohortError, match=words):
        cohort_from_frames(patients, modalities, Classification("y"))  # type: ignore[arg-type]


def test_one_recipe_by_its_name_is_a_trial_of_one() -> None:
    cohort = made(rna=RNA)
    trial = chiasm.evaluate(cohort, "single:rna", chiasm.Protocol(folds=2, repeats=1, draws=100), jobs=1)
    assert "single:rna" in set(trial.table()["recipe"])


def test_gene_sets_are_read_from_a_file_in_frames_too(tmp_path: Path) -> None:
    (tmp_path / "x.gmt").write_text("one\tfirst\tg0\tg1\tg2\ntwo\tsecond\tg3\tg4\tg9\n")
    for groups in (tmp_path / "x.gmt", str(tmp_path / "x.gmt")):
        cohort = cohort_from_frames(PATIENTS, {"rna": RNA}, kinds={"rna": "omics"}, groups={"rna": groups})
        assert cohort.groups_of("rna") == {"one": ["g0", "g1", "g2"], "two": ["g3", "g4"]}
    with pytest.raises(CohortError, match="there is no such file"):
        cohort_from_frames(PATIENTS, {"rna": RNA}, kinds={"rna": "omics"}, groups={"rna": str(tmp_path / "y.gmt")})


def test_an_anndata_in_the_place_of_a_mudata_is_told() -> None:
    anndata = pytest.importorskip("anndata")
    with pytest.raises(CohortError, match=r"this is an AnnData, one modality.*mudata.MuData"):
        cohort_from_mudata(anndata.AnnData(RNA), Classification("y"))
    with pytest.raises(CohortError, match="this is no MuData"):
        cohort_from_mudata(RNA, Classification("y"))


@pytest.mark.parametrize("factor", [1e39, 1e-50])
def test_an_omics_block_out_of_the_range_of_single_precision_is_refused(factor: float) -> None:
    cohort = cohort_from_frames(PATIENTS, {"rna": RNA * factor}, Classification("y"), kinds={"rna": "omics"})
    (problem,) = [own for own in chiasm.check_cohort(cohort) if own.finding == "out-of-range"]
    assert problem.severity == "error" and problem.row == 2 and "another unit" in problem.fix
    with pytest.raises(CohortError, match="too large or too small for single precision, the first in 'g0'"):
        cohort.raw("rna")


def test_an_h5ad_of_layers_alone_is_refused_in_a_sentence(tmp_path: Path) -> None:
    anndata = pytest.importorskip("anndata")
    obs, var = pd.DataFrame(index=IDS), pd.DataFrame(index=["g0", "g1"])
    anndata.AnnData(X=None, obs=obs, var=var, layers={"counts": np.ones((N, 2))}).write_h5ad(tmp_path / "rna.h5ad")
    PATIENTS.rename_axis("id").to_csv(tmp_path / "patients.csv")
    (tmp_path / "cohort.toml").write_text(
        '[patients]\ntable = "patients.csv"\nid = "id"\n[modalities.rna]\nkind = "omics"\ntable = "rna.h5ad"\n'
    )
    with pytest.raises(CohortError, match=r"rna.h5ad.*: the file holds no X: layers and raw are not read"):
        chiasm.open_cohort(tmp_path / "cohort.toml")


@pytest.mark.parametrize("recipe", ["healnet:epochs=1,latents=4,latent_width=8", "late-fusion"])
def test_a_model_that_is_asked_for_nobody_answers_nothing(recipe: str) -> None:
    cohort = made(rna=RNA, hb=RNA + 1.0)
    found = chiasm.fit(cohort, recipe).predict(cohort.subset([]))
    assert found.shape == (0, 3) and list(found.columns) == ["pattern", "p_a", "p_b"]


@pytest.mark.parametrize("recipe", ["single:labs", "late-fusion", "kron-rls"])
def test_records_that_are_all_alike_say_nothing_and_stop_nothing(recipe: str) -> None:
    rows = {"hours": [0.0, 1.0] * N, "code": ["A", "B"] * N, "numeric_value": [1.0, 2.0] * N}
    labs = pd.DataFrame(rows, index=np.repeat(IDS, 2))
    kinds = {"labs": "events", "rna": "omics"}
    cohort = cohort_from_frames(PATIENTS, {"labs": labs, "rna": RNA}, Classification("y"), kinds=kinds)
    found = chiasm.fit(cohort, recipe).predict(cohort)
    assert np.isfinite(found[["p_a", "p_b"]].to_numpy()).all()
    if recipe == "single:labs":
        assert np.ptp(found["p_a"]) < 1e-6


def test_components_of_no_column_are_zero_for_everybody() -> None:
    projection = Projection.fit(np.zeros((5, 0)), 8)
    assert projection(np.zeros((3, 0))).tolist() == [[0.0]] * 3
