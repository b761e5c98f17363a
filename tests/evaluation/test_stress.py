"""Faults put in on purpose: who is struck, what recipes lose, and what is refused."""

from __future__ import annotations

import html
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import chiasm
from chiasm.evaluation.stress.attacks import NO_GRADIENT, attack_table
from chiasm.evaluation.stress.faults import ATTACKS, DRIFT, LOST, MIXED, Fault, faults_of, mislabelled, struck
from chiasm.evaluation.stress.sites import site_splits
from lighter_trials import only_ridges

N = 160
PLAIN = chiasm.Protocol(folds=2, inner_folds=2, repeats=1, draws=100)


@pytest.fixture(scope="module", autouse=True)
def ridges() -> Iterator[None]:
    with only_ridges():
        yield


def made() -> chiasm.Cohort:
    """An outcome of `m1` and `m2`; `m3` is noise, with a column of words."""
    rng = np.random.default_rng(5)
    values, ids = rng.normal(size=(N, 3, 2)), [f"p{k:03d}" for k in range(N)]
    patients = pd.DataFrame({"y": values[:, 0, 0] + values[:, 1, 0] + 0.5 * rng.normal(size=N)}, ids)
    frames = {f"m{m + 1}": pd.DataFrame(values[:, m], ids, [f"a{m}", f"b{m}"]) for m in range(3)}
    frames["m3"]["word"] = rng.choice(["low", "high"], N)
    frames["m2"] = frames["m2"].iloc[:120]
    return chiasm.cohort_from_frames(patients, frames, chiasm.Regression("y"))


def test_a_drift_moves_every_number_by_standard_deviations_of_training() -> None:
    cohort = made()
    train, test = cohort.subset(np.arange(100)), cohort.subset(np.arange(100, N))
    moved, number = struck(Fault(DRIFT, "m3", 2.0), test, train, 0)
    before, after = test.raw("m3"), moved.raw("m3")
    assert number == len(test) and list(after["word"]) == list(before["word"])
    for name in ("a2", "b2"):
        steps = (after[name] - before[name]) / train.raw("m3")[name].std(ddof=0)
        assert np.allclose(np.abs(steps), 2.0) and np.ptp(steps) < 1e-9
    assert np.array_equal(moved.present, test.present) and moved.raw("m1").equals(test.raw("m1"))


def test_a_column_that_says_yes_or_no_does_not_drift() -> None:
    ids = [f"p{k}" for k in range(40)]
    flags = pd.DataFrame({"male": np.arange(40) % 2, "age": np.arange(40.0)}, ids)
    cohort = chiasm.cohort_from_frames(
        flags[["age"]].rename(columns={"age": "y"}), {"m": flags}, chiasm.Regression("y")
    )
    moved, _ = struck(Fault(DRIFT, "m", 1.0), cohort, cohort, 0)
    assert set(moved.raw("m")["male"]) == {0, 1} and not np.allclose(moved.raw("m")["age"], flags["age"])


def test_outcomes_that_stay_the_same_are_not_counted_as_wrong() -> None:
    ids = [f"p{k}" for k in range(100)]
    patients = pd.DataFrame({"ill": np.arange(100) < 10}, ids).astype(int)
    frame = pd.DataFrame({"a": np.arange(100.0)}, ids)
    cohort = chiasm.cohort_from_frames(patients, {"m": frame}, chiasm.Classification("ill"))
    wrong, number = mislabelled(cohort, 0.4, 0)
    assert number == (wrong.outcome.value != cohort.outcome.value).sum() < 20


def test_what_is_lost_is_absent_and_nobody_loses_all() -> None:
    cohort = made()
    half, some = struck(Fault(LOST, "m2", 0.5), cohort, cohort, 0)
    whole, every = struck(Fault(LOST, "m2", 1.0), cohort, cohort, 0)
    assert (some, every) == (60, 120)
    assert len(half.rows_of("m2")) == 60 and not len(whole.rows_of("m2"))
    assert set(whole.ids) == set(cohort.ids)
    alone = cohort.with_modalities(["m2"])
    assert struck(Fault(LOST, "m2", 1.0), alone, alone, 0)[1] == 0


def test_mixed_patients_have_values_of_others_and_a_higher_level_strikes_them_too() -> None:
    cohort = made()
    known = cohort.raw("m2").to_numpy()
    hit = []
    for level in (0.1, 0.25):
        mixed, number = struck(Fault(MIXED, "m2", level), cohort, cohort, 0)
        values = mixed.raw("m2").to_numpy()
        other = set(np.flatnonzero((values != known).any(axis=1)).tolist())
        assert len(other) == number == round(120 * level)
        assert sorted(map(tuple, values)) == sorted(map(tuple, known))
        hit.append(other)
    assert hit[0] < hit[1]


def test_wrong_labels_are_those_of_others() -> None:
    cohort = made()
    wrong, number = mislabelled(cohort, 0.25, 0)
    changed = wrong.outcome.value != cohort.outcome.value
    assert changed.sum() == number == 40
    assert np.array_equal(np.sort(wrong.outcome.value), np.sort(cohort.outcome.value))
    assert wrong.raw("m1").equals(cohort.raw("m1"))


def test_texts_of_as_many_words_are_other_outcomes() -> None:
    ids = [f"p{k}" for k in range(100)]
    texts = pd.DataFrame({"said": [f"text {k}" for k in range(100)]}, ids)
    cohort = chiasm.cohort_from_frames(
        texts, {"m": pd.DataFrame({"a": np.arange(100.0)}, ids)}, chiasm.FreeText("said")
    )
    assert mislabelled(cohort, 0.2, 0)[1] == 20


@pytest.fixture(scope="module")
def found() -> Any:
    """Two recipes under every fault of two modalities."""
    return chiasm.stress(made().with_modalities(["m1", "m2"]), ["late-fusion", "single:m1"], protocol=PLAIN, jobs=1)


def test_faults_hurt_where_a_recipe_leans_on_what_they_strike(found: Any) -> None:
    table = found.table.set_index(["recipe", "fault", "modality", "level"])
    assert len(table) == 2 * (1 + 2 * 9 + 3)
    change = table["change"]
    assert change["late-fusion", DRIFT, "m1", 2.0] < change["late-fusion", DRIFT, "m1", 0.5] < -0.02
    assert change["late-fusion", "lost", "m2", 1.0] < -0.1
    assert change["late-fusion", "mixed", "m1", 0.5] < -0.1
    assert change["late-fusion", "labels", "", 0.4] < 0
    own = table.loc["single:m1"].reset_index()
    untouched = own[own["modality"] == "m2"]
    assert len(untouched) == 9 and (untouched["change"] == 0).all()  # a recipe that reads m1 alone
    assert untouched["change_low"].isna().all()
    assert (untouched["explained_change"] == 0).all()
    assert table.loc[("late-fusion", DRIFT, "m1", 2.0), "explained_change"] < -0.05
    plain = table.loc[("late-fusion", "none", "", 0.0)]
    assert plain["low"] < plain["metric"] < plain["high"] and plain["change"] == 0


@pytest.mark.nightly  # by day the picture of attacks names them, below
def test_the_picture_names_faults_and_what_they_strike(found: Any, tmp_path: Path) -> None:
    assert "drift m1" in found.plot(tmp_path / "stress.svg").read_text()


def test_a_trial_without_faults_has_the_same_figure(tmp_path: Path) -> None:
    cohort = made()
    whole = chiasm.evaluate(cohort, ["late-fusion"], PLAIN, jobs=1)
    trial = whole.table().set_index("recipe")
    found = chiasm.stress(cohort, "late-fusion", faults=(), protocol=PLAIN, jobs=1)
    with pytest.raises(chiasm.Unsupported, match="nothing to draw"):
        found.plot(tmp_path / "stress.png")
    (row,) = found.table.to_dict("records")
    assert row["metric"] == pytest.approx(trial.loc["late-fusion", "mean"], abs=1e-9)
    scores = next(own for own in whole.document["recipes"] if own["name"] == "late-fusion")["metrics"]
    assert row["explained"] == pytest.approx(scores["r2_null"]["mean"], abs=1e-9)


def test_values_that_are_no_numbers_do_not_drift() -> None:
    ids = [f"p{k}" for k in range(30)]
    bag = {name: np.ones((2, 3), np.float32) for name in ids}
    patients = pd.DataFrame({"y": np.arange(30.0)}, ids)
    cohort = chiasm.cohort_from_frames(patients, {"slide": bag}, chiasm.Regression("y"))
    assert {fault.kind for fault in faults_of(cohort)} == {"mixed", "labels"}
    with pytest.raises(chiasm.Unsupported, match="'drift' needs a modality of numbers"):
        faults_of(cohort, ["drift"])
    with pytest.raises(chiasm.Unsupported, match="'lost' needs two modalities"):
        faults_of(cohort, ["lost"])


def at_sites(cohort: chiasm.Cohort, names: list[str]) -> chiasm.Cohort:
    return replace(cohort, site=np.array([names[k % len(names)] for k in range(len(cohort))]))


def test_a_site_is_left_out_whole_and_of_many_the_small_ones_together() -> None:
    cohort = made()
    assert not site_splits(cohort) and not site_splits(at_sites(cohort, ["", "a"]))
    own = at_sites(cohort, ["a", "b", "", "a"])
    assert own.site is not None
    splits = site_splits(own)
    assert [set(own.site[split.test]) for split in splits] == [{"a"}, {"b"}]
    assert all(len(split.test) + len(split.train) == N for split in splits)
    first, _ = site_splits(replace(own, group=np.where(np.arange(N) < 4, "one person", "")))
    assert not set(range(4)) & set(first.train.tolist())
    many = site_splits(at_sites(cohort, [f"s{k}" for k in range(23)]))
    assert len(many) == 10 and sum(len(split.test) for split in many) == N


@pytest.mark.nightly
def test_a_site_whose_measure_is_turned_is_predicted_worse_by_who_never_saw_it(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x, ids = rng.normal(size=(N, 2)), [f"p{k:03d}" for k in range(N)]
    turned = np.arange(N) % 4 == 0
    y = x[:, 0] * np.where(turned, -1.0, 1.0) + 0.3 * rng.normal(size=N)
    patients = pd.DataFrame({"y": y, "ward": np.where(turned, "b", "a")}, ids)
    turning = pd.DataFrame({"x": x[:, 0] * turned, "same": x[:, 0] * ~turned}, ids)
    for frame, low, high in ((turning, -3.0, -0.2), (pd.DataFrame({"x": y + rng.normal(size=N)}, ids), -0.1, 0.1)):
        cohort = chiasm.cohort_from_frames(
            patients, {"m": frame, "noise": frame * 0 + x[:, [1]]}, chiasm.Regression("y"), site="ward"
        )
        found = chiasm.stress(cohort, "single:m", faults="sites", protocol=PLAIN, jobs=1)
        row = found.table.set_index("fault").loc["sites"]
        assert low < row["change"] < high and row["level"] == 2
    with pytest.raises(chiasm.Unsupported, match="nothing to draw"):
        found.plot(Path("never.svg"))
    page = found.report(tmp_path / "sites.html").read_text(encoding="utf-8")
    assert 'id="site-table"' in page and f"{row['metric'] - row['change']:.3f}" in page
    with pytest.raises(chiasm.Unsupported, match=r"'sites' needs site in \[patients\]"):
        faults_of(made(), ["sites"])


def test_attacks_stand_beside_noise_and_what_has_no_gradient_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for kind in ("fgsm", "noise"):
        monkeypatch.setitem(ATTACKS, kind, (0.05, 0.25))
    network, cohort = "healnet:epochs=1,latents=4,latent_width=8", made().with_modalities(["m1", "m2"])
    found = chiasm.stress(cohort, ["late-fusion", network], faults="fgsm,noise", protocol=PLAIN, jobs=1)
    assert found.not_attacked == {"late-fusion": NO_GRADIENT}
    table = found.attacks
    (recipe,) = table["recipe"].unique()
    assert recipe.startswith("healnet") and list(table["modality"].unique()) == ["m1", "m2", "(all)"]
    whole = table[table["modality"] == "(all)"].set_index("radius")
    assert whole.loc[0.25, "attacked"] < whole.loc[0.05, "attacked"] < whole.loc[0.05, "clean"]
    assert whole.loc[0.25, "attacked"] < whole.loc[0.25, "noise"]
    assert "fgsm" in found.plot(tmp_path / "stress.svg").read_text()
    page = html.unescape(found.report(tmp_path / "stress.html").read_text(encoding="utf-8"))
    assert 'id="attack-table"' in page and NO_GRADIENT in page and 'id="fault-table"' not in page
    assert f"{whole.loc[0.25, 'attacked']:.3f}" in page
    with pytest.raises(ValueError, match=r"must end in \.html"):
        found.report(tmp_path / "stress.pdf")


def test_what_is_lost_is_a_share_of_what_lies_above_chance() -> None:
    rows = [("r", "none", "", 0.0, 0.8, 0.7, 0.9), ("r", "noise", "m", 0.1, 0.77, 0.6, 0.9)]
    rows += [("r", "fgsm", "m", 0.1, 0.6, 0.5, 0.7), ("s", "none", "", 0.0, 0.6, 0.4, 0.8)]
    rows += [("s", "fgsm", "m", 0.1, 0.5, 0.4, 0.7)]
    table = pd.DataFrame(rows, columns=["recipe", "fault", "modality", "level", "metric", "low", "high"])
    table = table.assign(change=table["metric"] - [0.8, 0.8, 0.8, 0.6, 0.6], change_low=0.0, change_high=0.0)
    first, second = attack_table(table, 0.5).to_dict("records")
    assert first["lost"] == pytest.approx(2 / 3) and first["lost_to_noise"] == pytest.approx(0.1)
    assert np.isnan(second["lost"]) and np.isnan(second["noise"])  # its interval holds chance


def test_a_fault_that_there_is_not_is_refused() -> None:
    with pytest.raises(ValueError, match="there is no fault 'fire': there are drift, lost, mixed, labels"):
        chiasm.stress(made(), faults="drift, fire")


def test_wrong_answers_come_with_the_options_that_they_stand_among() -> None:
    cohort = chiasm.synthetic_cohort("unique", n=120, target="choice")
    wrong, number = mislabelled(cohort, 1.0, 0)
    assert wrong.options is not None and wrong.outcome is not None and wrong.outcome.options is not None
    assert wrong.options.texts.tolist() == wrong.outcome.options.texts.tolist()

    def right(own: chiasm.Cohort) -> np.ndarray:
        assert own.options is not None and own.outcome is not None
        pairs = zip(own.options.texts, own.outcome.value.astype(int), strict=True)
        return np.array([texts[place] for texts, place in pairs])

    assert number == (right(cohort) != right(wrong)).sum()
