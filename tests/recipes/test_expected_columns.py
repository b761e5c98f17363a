"""New patients: every missing column is named, or read as missing on request; what the model does not know is said."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import chiasm
from chiasm.cohort import Classification, Cohort, CohortError, cohort_from_frames
from chiasm.errors import FindingWarning

N = 60
RNG = np.random.default_rng(0)
IDS = [f"p{i:02d}" for i in range(N)]
CLIN = pd.DataFrame(
    {
        "age": RNG.normal(60, 9, N),
        "bmi": RNG.normal(25, 3, N),
        "is_female": RNG.integers(0, 2, N),
        "crp": RNG.exponential(2, N),
        "stage": [("I", "II", "III")[i % 3] for i in range(N)],
    },
    index=IDS,
)
RNA = pd.DataFrame(RNG.normal(size=(N, 6)), index=IDS, columns=[f"gene{k}" for k in range(6)])
PATIENTS = pd.DataFrame({"y": np.where(CLIN["age"] + RNG.normal(0, 5, N) > 60, "a", "b")}, index=IDS)
NETWORK = "healnet:epochs=1,latents=4,latent_width=8"
FITTED = ["single:clin", "late-fusion", "early-fusion", "stacked-fusion", "kron-rls", NETWORK]


def cohort(clin: pd.DataFrame, rna: pd.DataFrame = RNA, *, target: bool = False) -> Cohort:
    wanted = Classification("y") if target else None
    return cohort_from_frames(
        PATIENTS.loc[clin.index], {"clin": clin, "rna": rna.loc[clin.index]}, wanted, kinds={"rna": "omics"}
    )


@pytest.fixture(scope="module", params=FITTED)
def model(request: pytest.FixtureRequest) -> object:
    return chiasm.fit(cohort(CLIN, target=True), request.param)


def test_a_model_tells_its_columns(model) -> None:
    assert model.columns["clin"] == sorted(CLIN.columns)
    template = model.template()
    assert list(template["clin"].columns) == sorted(CLIN.columns) and not len(template["clin"])


def test_every_missing_column_is_named_with_the_nearest(model) -> None:
    new = CLIN.drop(columns=["age", "crp"]).rename(columns={"is_female": "female"})
    with pytest.raises(chiasm.Unsupported) as raised:
        model.predict(cohort(new))
    said = str(raised.value)
    assert "modality 'clin'" in said and "3 of them missing now" in said and "strict=False" in said
    assert "'age'" in said and "'crp'" in said and "'is_female' (is it 'female'?)" in said


def test_without_strict_absent_columns_are_read_as_missing_and_told(model) -> None:
    expected = model.predict(cohort(CLIN.assign(age=np.nan, crp=np.nan)))
    with pytest.warns(FindingWarning, match=r"2 of \d+ columns .* for every patient: 'age', 'crp' \(modality 'clin'\)"):
        found = model.predict(cohort(CLIN.drop(columns=["age", "crp"])), strict=False)
    pd.testing.assert_frame_equal(found, expected)


def test_unknown_levels_and_values_far_outside_are_warned_of(model) -> None:
    odd = CLIN.copy()
    odd.loc[IDS[:3], "age"] = [500.0, np.inf, -40.0]
    odd["stage"] = odd["stage"].where(odd.index != IDS[5], "IV")
    with pytest.warns(FindingWarning) as said:
        model.predict(cohort(odd))
    text = str(said[0].message)
    assert "column 'age' lies far outside of training in 3 patients (modality 'clin')" in text
    assert (
        "column 'stage' has a level that the model does not keep, or has not seen, in 1 patient" in text
        and "500" not in text
        and "IV" not in text
    )
    with pytest.warns(FindingWarning, match="'stage' has a level that .* has not seen, in 60 patients"):
        model.predict(cohort(CLIN.assign(stage=CLIN["stage"].str.lower())))


def test_known_patients_are_nothing_to_warn_of(model) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", FindingWarning)
        model.predict(cohort(CLIN))


def test_a_column_of_numbers_that_holds_text_now_is_named_with_its_row(model) -> None:
    with pytest.raises(CohortError, match="row 4, modality 'clin': column 'age' holds numbers, and something else"):
        model.predict(cohort(CLIN.assign(age=["<5" if i == 2 else str(value) for i, value in enumerate(CLIN["age"])])))


def test_the_command_line_reads_absent_columns_as_missing_on_request(tmp_path: Path, run) -> None:
    chiasm.fit(cohort(CLIN, target=True), "single:clin").save(tmp_path / "model")
    new = CLIN.drop(columns=["crp"]).rename_axis("id").reset_index()
    new.to_csv(tmp_path / "new.csv", index=False)
    columns = str([name for name in CLIN.columns if name != "crp"]).replace("'", '"')
    (tmp_path / "cohort.toml").write_text(
        f'[patients]\ntable = "new.csv"\nid = "id"\n[modalities.clin]\nkind = "table"\ncolumns = {columns}\n'
    )
    arguments = ["predict", str(tmp_path / "model"), str(tmp_path / "cohort.toml"), "--out", str(tmp_path / "out.csv")]
    said = run(*arguments)
    assert said.code == 2 and "new.csv, modality 'clin'" in said.err and "'crp'" in said.err
    assert not (tmp_path / "out.csv").exists()
    assert run(*arguments, "--no-strict").code == 0 and len(pd.read_csv(tmp_path / "out.csv")) == N
