"""Conformal sets: the coverage that is promised, in each group, and none where too few patients are known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import chiasm
from chiasm.cli import main
from chiasm.cohort.subgroups import Subgroup
from chiasm.evaluation.subgroups import TOO_FEW
from chiasm.metrics.conformal import (
    class_sets,
    fewest_for,
    followed_to,
    hazard_at,
    survival_threshold,
    threshold,
    time_at,
)
from chiasm.models.conformal import calibrated
from chiasm.targets import Outcome
from lighter_trials import ridges_by_day
from small_recipes import at_night

LEVEL = 0.8


def drawn(kind: str, n: int, rng: np.random.Generator) -> tuple[pd.DataFrame, Outcome, np.ndarray]:
    """Predictions that are too sure of themselves in one group, outcomes, and the group of each patient."""
    group = np.where(rng.uniform(size=n) < 0.3, "odd", "even")
    s = rng.normal(size=n)
    harder = np.where(group == "odd", 3.0, 1.0)
    if kind == "regression":
        return pd.DataFrame({"prediction": s}), Outcome(s + harder * rng.normal(size=n), None, np.ones(n, bool)), group
    if kind == "survival":
        times = np.array([1.0, 3.0, 8.0])
        rate = 0.1 * np.exp(s)
        frame = pd.DataFrame({"risk": s} | {f"survival_{t:g}": np.exp(-rate * t) for t in times})
        event, censored = rng.exponential(1 / (rate * harder)), rng.exponential(12, n)
        time, died = np.minimum(event, censored), event <= censored
        return frame, Outcome(time, died, np.ones(n, bool)), group
    p = 1 / (1 + np.exp(-3 * s / harder))
    y = (rng.uniform(size=n) < p).astype(float)
    sure = 1 / (1 + np.exp(-3 * s))
    frame = pd.DataFrame({"p_no": 1 - sure, "p_yes": sure})
    if kind == "classification":
        return frame, Outcome(y, None, np.ones(n, bool)), group
    return frame, Outcome(np.c_[1 - y, y], None, np.ones(n, bool)), group


NAMES = {"classification": ("no", "yes"), "multilabel": ("no", "yes")}


def covered(kind: str, told: pd.DataFrame, outcome: Outcome, true_time: np.ndarray | None) -> np.ndarray:
    if kind == "regression":
        return ((told["low"] <= outcome.value) & (outcome.value <= told["high"])).to_numpy()
    if kind == "survival":
        assert true_time is not None
        return true_time >= told["at_least"].to_numpy()
    if kind == "multilabel":
        said, true = told["set_yes"].to_numpy(), np.where(outcome.value[:, 1] == 1, "with", "without")
        return (said == "either") | (said == true)
    return np.array([NAMES[kind][int(y)] in own.split(", ") for y, own in zip(outcome.value, told["set"], strict=True)])


@pytest.mark.parametrize("kind", ["classification", "survival", *at_night("multilabel", "regression")])
def test_each_group_is_covered_and_the_mean_alone_would_not_do(kind: str) -> None:
    """Over draws of all patients, within three standard errors; one threshold for everybody fails some."""
    rng, found = np.random.default_rng(3), []
    for _ in range(25):
        frame, outcome, group = drawn(kind, 200, rng)
        told = calibrated(kind, NAMES.get(kind, ()), frame, outcome, {"group": group}, LEVEL)
        everyone = np.full(len(group), "")
        loose = calibrated(kind, NAMES.get(kind, ()), frame, outcome, {"everyone": everyone}, LEVEL)
        frame, outcome, group = drawn(kind, 300, rng)
        event = None
        if kind == "survival":  # times nobody censors
            rate = 0.1 * np.exp(frame["risk"].to_numpy()) * np.where(group == "odd", 3.0, 1.0)
            event = rng.exponential(1 / rate)
        own = covered(kind, told.added_to(frame, {"group": group}), outcome, event)
        whole = covered(kind, loose.added_to(frame, {"everyone": np.full(len(group), "")}), outcome, event)
        found.append([of[group == name].mean() for of in (own, whole) for name in ("odd", "even")])
    mean, error = np.mean(found, axis=0), np.std(found, axis=0) / np.sqrt(len(found))
    assert (mean[:2] > LEVEL - 3 * error[:2]).all(), mean
    if kind != "multilabel":
        assert mean[2] < LEVEL - 3 * error[2], "one threshold for all fails those who are harder to predict"


def test_a_threshold_is_the_order_statistic_of_the_formula() -> None:
    score = np.arange(1.0, 20.0)
    assert threshold(score, 0.95) == 19 and threshold(score, 0.9) == 18 and np.isinf(threshold(score[:18], 0.95))
    assert (fewest_for(0.95), fewest_for(0.9), fewest_for(0.5)) == (19, 9, 1)
    likeliest = class_sets(np.array([[0.2, 0.8], [0.5, 0.5]]), np.array([0.1, np.nan]))
    assert likeliest.tolist() == [[False, True], [False, False]]


def test_the_time_at_a_hazard_is_the_inverse_of_the_hazard_at_a_time() -> None:
    rng = np.random.default_rng(0)
    times = np.array([1.0, 4.0, 9.0])
    survival = np.exp(-np.cumsum(rng.exponential(0.3, size=(50, 3)), axis=1))
    at = rng.uniform(0, 9, size=50)
    assert time_at(survival, times, hazard_at(survival, times, at)) == pytest.approx(at)
    assert np.isnan(time_at(survival, times, np.full(50, np.nan))).all()


def test_without_censoring_a_bound_is_the_split_conformal_one() -> None:
    """All weights are one: the threshold is the k-th smallest score with (k + 1) / (n + 1) above 1 - level."""
    rng = np.random.default_rng(1)
    n, times = 60, np.array([1.0, 3.0, 50.0])
    survival = np.exp(-np.outer(rng.uniform(0.5, 2, n), times))
    time = rng.exponential(1, n)
    score = np.sort(hazard_at(survival, times, time))
    k = int(np.floor((n + 1) * 0.2 + 1e-9))  # the k smallest, with the new one, make no more than a fifth
    event = np.ones(n, dtype=bool)
    found = survival_threshold(survival, times, time, event, LEVEL, followed_to(time, event, 50.0))
    assert found == pytest.approx(score[k - 1]) and (k + 1) / (n + 1) > 0.2 >= k / (n + 1)


def test_a_group_too_small_has_no_set_and_never_that_of_others() -> None:
    rng = np.random.default_rng(5)
    frame, outcome, group = drawn("regression", 120, rng)
    pattern = np.array(["a"] * 110 + ["b"] * 10)
    told = calibrated("regression", (), frame, outcome, {"pattern": pattern, "group": group}, LEVEL)
    new = told.added_to(frame, {"pattern": pattern, "group": group})
    assert new["low"][110:].isna().all() and new["low"][:110].notna().all()
    assert (new["note"][110:] == f"{TOO_FEW}: 10 calibration patients with pattern 'b'").all()
    strange = told.added_to(frame[:1], {"pattern": np.array(["c"]), "group": group[:1]})
    assert strange["low"].isna().all() and "0 calibration patients with pattern 'c'" in strange["note"].iloc[0]
    width = (new["high"] - new["low"])[:110].to_numpy()
    own = {row["level"]: row["threshold"] for row in told.table().to_dict("records")}
    widest = np.maximum(own["a"], [own[name] for name in group[:110]])
    assert width == pytest.approx(2 * widest), "of several groups the widest set"


def test_no_events_give_no_bound() -> None:
    frame, outcome, _ = drawn("survival", 80, np.random.default_rng(0))
    none = Outcome(outcome.value, np.zeros(80, dtype=bool), outcome.known)
    told = calibrated("survival", (), frame, none, {"everyone": np.full(80, "")}, LEVEL)
    assert told.table()["said"].tolist() == [TOO_FEW]
    assert told.added_to(frame, {"everyone": np.full(80, "")})["at_least"].isna().all()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder, and manifests of held-out and of new patients."""
    path = tmp_path_factory.mktemp("sure")
    rng = np.random.default_rng(0)
    ids = np.array([f"p{k:03d}" for k in range(320)])
    x = rng.normal(size=(320, 2))
    label = np.where(rng.uniform(size=320) < 1 / (1 + np.exp(-2 * x[:, 0])), "yes", "no")
    sex = np.where(np.arange(320) % 2, "f", "m")
    patients = pd.DataFrame({"label": label, "sex": sex, "u": x[:, 0]}, index=pd.Index(ids, name="id"))
    scan = pd.DataFrame({"v": x[:, 1], "w": x[:, 0] + rng.normal(size=320)}, index=patients.index)
    for name, rows, both in (("old", slice(0, 120), 120), ("held", slice(120, 240), 60), ("new", slice(240, 320), 20)):
        (path / name).mkdir()
        patients[rows].to_csv(path / name / "patients.csv")
        scan[rows][:both].to_csv(path / name / "scan.csv")
        (path / name / "cohort.toml").write_text(
            '[patients]\ntable = "patients.csv"\nid = "id"\nsubgroups = ["sex"]\n[target]\nkind = "classification"\n'
            'column = "label"\n[modalities.blood]\nkind = "table"\ncolumns = ["u"]\n[modalities.scan]\nkind = "table"\n'
            'table = "scan.csv"\n'
        )
    with ridges_by_day():
        chiasm.fit(path / "old" / "cohort.toml", "late-fusion").save(path / "model")
    return path


def predicted(folder: Path, *options: str, out: str = "p.csv") -> pd.DataFrame | None:
    words = [
        "predict",
        str(folder / "model"),
        str(folder / "new" / "cohort.toml"),
        "--out",
        str(folder / out),
        "--force",
    ]
    try:
        main([*words, *options])
    except SystemExit as end:
        if end.code:
            return None
    return pd.read_csv(folder / out, keep_default_na=True)


def test_the_command_adds_sets_and_refuses_unseen_patterns(folder: Path, capsys) -> None:
    bare = predicted(folder)
    assert bare is not None and list(bare.columns) == ["patient", "pattern", "p_no", "p_yes"]
    assert "60 patients have a pattern of modalities that no training patient had: blood." in capsys.readouterr().err
    sure = predicted(folder, "--calibrate", str(folder / "held" / "cohort.toml"), "--coverage", ".8")
    assert sure is not None and set(sure["set"]) <= {"no", "yes", "no, yes"} and len(set(sure["set"])) > 1
    pd.testing.assert_frame_equal(sure[bare.columns.tolist()], bare)
    told = capsys.readouterr().out
    assert "Sets that cover 0.8 of the outcomes" in told and "blood+scan" in told
    kept = predicted(folder, "--unseen", "refuse")
    assert kept is not None and kept["p_yes"].notna().sum() == 20 and len(kept) == 80
    assert "Refused 60" in capsys.readouterr().out
    pd.testing.assert_frame_equal(kept[kept["p_yes"].notna()], bare[bare["pattern"] == "blood+scan"])


def test_another_prevalence_is_bayes_rule(folder: Path) -> None:
    bare, shifted = predicted(folder), predicted(folder, "--prevalence", "yes=.1")
    assert bare is not None and shifted is not None
    model = chiasm.load_model(folder / "model")
    f = model.prevalence["yes"]
    label = pd.read_csv(folder / "old" / "patients.csv")["label"]
    assert f == pytest.approx((label == "yes").mean())
    logit = np.log(bare["p_yes"] / bare["p_no"]) + np.log(0.1 / 0.9) - np.log(f / (1 - f))
    assert shifted["p_yes"].to_numpy() == pytest.approx(1 / (1 + np.exp(-logit.to_numpy())))
    again = chiasm.at_prevalence(model, bare.drop(columns="patient"), model.prevalence)
    assert again["p_yes"].to_numpy() == pytest.approx(bare["p_yes"].to_numpy()), "the training's own changes nothing"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--calibrate", "held", "--coverage", "0"), "the coverage is 0, and is a share between 0 and 1"),
        (("--calibrate", "held", "--coverage", "1"), "the coverage is 1, and is a share between 0 and 1"),
        (("--calibrate", "held", "--coverage", "120"), "the coverage is 120, and is a share between 0 and 1"),
        (("--calibrate", "held", "--coverage", "95"), "for 95 % write 0.95"),
        (("--calibrate", "held", "--within", "sx"), "did you mean 'sex'?"),
        (("--calibrate", "old"), "the model learned from these very patients"),
        (("--calibrate", "new"), "is the cohort that was calibrated on"),
        (("--coverage", ".9"), "belong to --calibrate"),
        (("--calibrate", "held", "--prevalence", "yes=.1"), "leave one of them out"),
        (("--prevalence", "yes=.1", "--prevalence", "no=.2"), "sum to 0.3, and must sum to 1"),
        (("--prevalence", "yes=1.2"), "state a share between 0 and 1"),
        (("--prevalence", "yess=.2"), "did you mean 'yes'?"),
        (("--prevalence", "yes"), "is a class and its share"),
        (("--unseen", "drop"), "is one of keep, refuse"),
    ],
)
def test_what_cannot_be_promised_is_refused_in_a_sentence(folder: Path, capsys, options, said: str) -> None:
    given = [str(folder / own / "cohort.toml") if own in ("held", "old", "new") else own for own in options]
    assert predicted(folder, *given) is None
    assert said in " ".join(capsys.readouterr().err.split())


def test_the_calibration_is_divided_as_the_held_out_patients_are(folder: Path) -> None:
    sure = chiasm.conformal(folder / "model", folder / "held" / "cohort.toml", coverage=0.9)
    assert sure.thresholds.within == ("pattern", "sex") and list(sure.table()["n"]) == [60, 60, 60, 60]
    cohort = chiasm.open_cohort(folder / "new" / "cohort.toml")
    with pytest.raises(chiasm.Unsupported, match="declares no such subgroup"):
        sure.predict(replace(cohort, subgroups=()))
    strange = Subgroup("sex", np.full(len(cohort), "x"))
    told = sure.predict(replace(cohort, subgroups=(strange,)))
    assert (told["set"] == "").all() and told["note"].str.contains("0 calibration patients with sex 'x'").all()
