"""Parameters fitted to courses: R's nls on theophylline, what is not estimable, and patients of one's own."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import ttest_1samp

import chiasm
from chiasm.dynamics.twins.compartment import Compartment
from chiasm.dynamics.twins.controllers import Constant
from chiasm.dynamics.twins.fitting import (
    OPEN,
    TOO_FEW,
    concentration,
    fit_courses,
    of_cohort,
    read_courses,
    twins_of_courses,
)
from chiasm.dynamics.twins.limits import Limits
from chiasm.dynamics.twins.rollout import rollout
from chiasm.dynamics.twins.settings import read_settings

ORACLE = json.loads(Path(__file__).with_name("theophylline.json").read_text())["patients"]


def courses(patients: list[dict[str, list[float]]]) -> pd.DataFrame:
    rows = []
    for own in patients:
        rows += [(own["subject"], at, seen, np.nan) for at, seen in zip(own["time"], own["conc"], strict=True)]
        rows.append((own["subject"], 0.0, np.nan, own["dose"]))
    return pd.DataFrame(rows, columns=["patient", "time", "concentration", "dose"])


@pytest.mark.parametrize("chosen", [slice(8, 9), pytest.param(slice(0, 12), marks=pytest.mark.nightly)])
def test_theophylline_is_fitted_as_by_r(chosen: slice) -> None:
    found = fit_courses(courses(ORACLE[chosen]))
    for number, own in enumerate(ORACLE[chosen], start=1):
        fitted = found[found["patient"] == number].set_index("parameter")
        logs = np.log(fitted[["estimate", "low", "high"]])
        assert logs["estimate"]["eliminate"] == pytest.approx(own["lKe"], abs=2e-4)
        assert logs["estimate"]["absorb"] == pytest.approx(own["lKa"], abs=2e-4)
        assert logs["estimate"]["eliminate"] + logs["estimate"]["volume"] == pytest.approx(own["lCl"], abs=2e-4)
        for parameter, ends in (("eliminate", own["ke"]), ("absorb", own["ka"])):
            if None not in ends:
                assert logs.loc[parameter, ["low", "high"]].tolist() == pytest.approx(ends, abs=1e-3)
            elif parameter == "absorb":
                assert fitted.loc[parameter, "why"] == OPEN and np.isnan(fitted.loc[parameter, "high"])


def test_what_is_fitted_is_what_the_twin_simulates() -> None:
    twin = Compartment(("a",), torch.tensor([[1.2, 0.1, 0.5]], dtype=torch.float64))
    limits = Limits((0.0,), (9.0,), (0.0,), (0.0,))
    course = rollout(twin, Constant((0.0,), (2.0,)), limits, 6, 0)
    times = np.arange(7.0)
    found = concentration(np.array([1.2, 0.1, 0.5]), times, times[:-1], np.full(6, 2.0))
    np.testing.assert_allclose(found, course.measured[:, 0, 0].numpy(), rtol=1e-10, atol=1e-12)


def test_too_few_measurements_and_wrong_tables_are_told() -> None:
    few = courses([{**ORACLE[0], "time": [1.0, 2.0], "conc": [3.0, 2.0]}])
    assert set(fit_courses(few)["why"]) == {TOO_FEW} and bool(fit_courses(few)["estimate"].isna().all())
    with pytest.raises(ValueError, match="0 of 1 patients have estimable parameters"):
        twins_of_courses(few, 0.5, 0)
    with pytest.raises(ValueError, match="no column 'dose'"):
        fit_courses(few.drop(columns="dose"))
    with pytest.raises(ValueError, match="something that is no number"):
        fit_courses(few.assign(time="noon"))
    with pytest.raises(ValueError, match="a row of no patient"):
        fit_courses(few.assign(patient=np.nan))
    for wrong in (-1.0, 1e300):
        with pytest.raises(ValueError, match="a number below 0 or over"):
            fit_courses(few.assign(time=wrong))


def test_page_and_document_hold_what_patients_have_in_common_and_nothing_of_one(tmp_path: Path) -> None:
    courses(ORACLE[:6]).to_csv(tmp_path / "courses.csv", index=False)
    study = {
        "twin": "compartment", "fit": {"table": str(tmp_path / "courses.csv")}, "training": {"epochs": 1, "steps": 4},
        "test": {"steps": 4},
    }  # fmt: skip
    chiasm.control(study).save(tmp_path / "out")
    kept = pd.read_csv(tmp_path / "out" / "parameters.csv")
    page, told = ((tmp_path / "out" / name).read_text(encoding="utf-8") for name in ("twin.html", "twin.json"))
    common = json.loads(told)["fitted"]
    patients = json.loads(told)["patients"]
    assert f"{patients['left_out']} patient" in page and sum(patients.values()) == 6
    assert [row["parameter"] for row in common] == list(Compartment.PARAMETERS) and len(kept) == 18
    for row in common:
        assert f"{row['mean']:.3f}" in page
    for value, low, high in kept[["estimate", "low", "high"]].to_numpy():
        assert f"{low:.3f} to {high:.3f}" not in page and str(value)[:8] not in told


def test_identifiers_are_text_and_the_order_of_rows_decides_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chiasm.dynamics.twins.fitting._end", lambda *given: 0.0)  # the ends are not asked
    both = [{**ORACLE[9], "subject": "01"}, {**ORACLE[10], "subject": "1"}]
    table = courses(both)
    found = []
    for name, own in {"plain": table, "turned": table.iloc[::-1], "european": table}.items():
        own = own.assign(patient=own["patient"].replace("1", "NA") if name == "european" else own["patient"])
        told = own.to_csv(index=False, sep=";" if name == "european" else ",")
        (tmp_path / f"{name}.csv").write_text(told.replace(".", ",") if name == "european" else told)
        found.append(fit_courses(read_courses(tmp_path / f"{name}.csv")))
        assert found[-1]["patient"].tolist() == [1, 1, 1, 2, 2, 2]
        np.testing.assert_allclose(found[-1]["estimate"], found[0]["estimate"], rtol=1e-6)


def test_a_profile_of_two_valleys_is_told_and_stops_nothing() -> None:
    rng = np.random.default_rng(0)
    for _ in range(18):
        number, error = int(rng.integers(5, 9)), float(rng.choice([0.05, 0.3, 0.8, 1.5]))
        absorb, eliminate = np.exp(rng.normal(0, 1)), np.exp(rng.normal(-2, 1))
        times = np.linspace(0.25, 24, number)
        seen = concentration(np.array([absorb, eliminate, 0.48]), times, np.array([0.0]), np.array([4.0]))
        seen = seen * np.exp(error * rng.normal(size=number))
    found = fit_courses(courses([{"subject": 1, "time": times.tolist(), "conc": seen.tolist(), "dose": 4.0}]))  # type: ignore[dict-item]
    assert len(found) == 3 and found["estimate"].notna().all()
    told = found[found["why"] == ""]
    assert (told["low"] < told["estimate"]).all() and (told["estimate"] < told["high"]).all()


def test_a_drug_in_thousandths_is_fitted_as_one_in_whole_numbers() -> None:
    one = fit_courses(courses([ORACLE[8]]))
    small = {**ORACLE[8], "conc": [own * 1e-7 for own in ORACLE[8]["conc"]], "dose": ORACLE[8]["dose"] * 1e-7}
    again = fit_courses(courses([small]))  # type: ignore[list-item]
    np.testing.assert_allclose(again[["estimate", "low", "high"]], one[["estimate", "low", "high"]], rtol=1e-3)


def test_patients_of_ones_own_are_trained_on_or_tested(tmp_path: Path) -> None:
    courses([ORACLE[9], ORACLE[10]]).to_csv(tmp_path / "kurven ü.csv", index=False)
    (tmp_path / "twin.toml").write_text('twin = "compartment"\n[fit]\ntable = "kurven ü.csv"\n', encoding="utf-8")
    own = read_settings(tmp_path / "twin.toml")
    assert sorted(own.train.patients + own.test.patients) == ["fitted-001", "fitted-002"]
    (tmp_path / "none.toml").write_text('twin = "compartment"\n[fit]\ntable = "none.csv"\n')
    with pytest.raises(ValueError, match=r"there is no file 'none\.csv'"):
        read_settings(tmp_path / "none.toml")
    for place in ("../kurven ü.csv", str(tmp_path / "kurven ü.csv")):
        (tmp_path / "far").mkdir(exist_ok=True)
        (tmp_path / "far" / "twin.toml").write_text(
            f'twin = "compartment"\n[fit]\ntable = {json.dumps(place)}\n', encoding="utf-8"
        )
        with pytest.raises(ValueError, match=r"the path leaves the folder of twin\.toml: put the \.csv beside"):
            read_settings(tmp_path / "far" / "twin.toml")
    (tmp_path / "other.toml").write_text('twin = "metabolic"\n[fit]\ntable = "kurven ü.csv"\n', encoding="utf-8")
    with pytest.raises(ValueError, match="only the twin 'compartment' is fitted"):
        read_settings(tmp_path / "other.toml")


MIDDLE = np.array(Compartment.MIDDLE)


def drawn_courses(rng: np.random.Generator, patients: int, spread: float) -> pd.DataFrame:
    """Courses about the middle patient, errors of .3 mg/L."""
    times, found = [0.25, 0.5, 1.0, 2.0, 3.5, 5.0, 7.0, 9.0, 12.0, 24.0], []
    for number in range(patients):
        own = MIDDLE * np.exp(spread * rng.standard_normal(3))
        seen = concentration(own, np.array(times), np.array([0.0]), np.array([4.0])) + 0.3 * rng.standard_normal(10)
        found.append({"subject": number, "time": times, "conc": seen.clip(0).tolist(), "dose": 4.0})
    return courses(found)  # type: ignore[arg-type]


@pytest.mark.nightly
def test_profiles_hold_the_truth_as_often_as_they_say() -> None:
    found = fit_courses(drawn_courses(np.random.default_rng(0), 80, 0.0))
    told = found[found["why"] == ""]
    truth = told["parameter"].map(dict(zip(Compartment.PARAMETERS, MIDDLE, strict=True)))
    held = ((told["low"] <= truth) & (truth <= told["high"])).groupby(told["parameter"]).mean()
    assert held.between(0.88, 1.0).all() and held.mean() < 0.995 and len(told) > 0.9 * len(found)


@pytest.mark.nightly
def test_intervals_over_patients_hold_the_truth_as_often_as_they_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chiasm.dynamics.twins.fitting._end", lambda *given: 0.0)  # the patients' own are not asked
    rng, held = np.random.default_rng(0), []
    for _ in range(80):
        found = of_cohort(fit_courses(drawn_courses(rng, 6, 0.2)))
        held.append((found["low"] <= MIDDLE) & (found["high"] >= MIDDLE))
    shares = np.mean(held, axis=0)
    assert (shares > 0.88).all() and shares.mean() < 0.99


def test_what_patients_have_in_common_is_of_those_of_whom_all_is_told() -> None:
    rng = np.random.default_rng(0)
    each = np.exp(rng.normal(size=(6, 3)))
    rows = [
        {"patient": k, "parameter": name, "estimate": value, "why": OPEN if k == 5 and name == "absorb" else ""}
        for k, own in enumerate(each)
        for name, value in zip(Compartment.PARAMETERS, own, strict=True)
    ]
    found = of_cohort(pd.DataFrame(rows))
    for k, row in enumerate(found.to_dict("records")):
        own = ttest_1samp(np.log(each[:5, k]), 0.0).confidence_interval()
        assert np.log([row["low"], row["high"]]) == pytest.approx([own.low, own.high])
        assert row["mean"] == pytest.approx(np.exp(np.log(each[:5, k]).mean())) and row["patients"] == 5
    few = of_cohort(pd.DataFrame(rows[:12]))
    assert few["mean"].notna().all() and few["low"].isna().all()


def test_absorption_and_elimination_that_change_places_leave_the_curve(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chiasm.dynamics.twins.fitting.STARTS", (0.02,))  # the slower one is found as absorption
    times = [0.25, 0.5, 1.0, 2.0, 4.0, 6.0, 8.0, 12.0, 24.0]
    truth = np.array([1.5, 0.05, 0.5])
    seen = concentration(truth, np.array(times), np.array([0.0]), np.array([4.0]))
    found = fit_courses(courses([{"subject": 1, "time": times, "conc": seen.tolist(), "dose": 4.0}]))  # type: ignore[dict-item]
    np.testing.assert_allclose(found["estimate"], truth, rtol=1e-3)
    exchanged = np.array([0.05, 1.5, 0.5 * 0.05 / 1.5])
    with np.errstate(all="raise", under="ignore"):
        again = concentration(exchanged, np.array(times), np.array([0.0]), np.array([4.0]))
        concentration(np.array([0.01, 100.0, 1.0]), np.array([24.0]), np.array([0.0]), np.array([4.0]))
    np.testing.assert_allclose(again, seen)
