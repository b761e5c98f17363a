"""`chiasm.collect`: gains on patients who have both, prices, and the answer in words."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import chiasm
import chiasm.errors
from chiasm.compute.isolation import seeded
from chiasm.evaluation.collecting import Question, questions
from chiasm.evaluation.contrasts import UNKNOWN, Contrast
from chiasm.evaluation.prices import break_even, weighed
from chiasm.evaluation.protocol import plan
from chiasm.recipes.registry import make_recipe
from lighter_trials import only_ridges
from small_recipes import at_night

N = 240
PLAIN = chiasm.Protocol(folds=5, repeats=1, draws=200)


def made(kind: str, *, have: int = 160, copy: bool = False, costs: dict[str, float] | None = None) -> chiasm.Cohort:
    """An outcome of both modalities, of which `m2` is had by the first `have`; a copy of `m1` with `copy`."""
    rng = np.random.default_rng(3)
    m1, m2 = rng.normal(size=(N, 2)), rng.normal(size=(N, 2))
    ids = [f"p{k:03d}" for k in rng.permutation(N)]
    signal = m1[:, 0] + m2[:, 0]
    noise = rng.normal(size=N)
    time = np.exp(-signal + noise)
    patients = pd.DataFrame(
        {"y": signal + noise, "ill": (signal + noise > 0).astype(int), "time": time, "died": rng.random(N) < 0.7}, ids
    )
    patients["two"] = (signal - noise > 0.5).astype(int)
    second = m1 if copy else m2
    frames = {
        "m1": pd.DataFrame(m1, ids, ["a", "b"]),
        "m2": pd.DataFrame(second + 0.01 * rng.normal(size=(N, 2)), ids, ["c", "d"]).iloc[:have],
    }
    targets = {
        "regression": chiasm.Regression("y"),
        "classification": chiasm.Classification("ill"),
        "survival": chiasm.Survival("time", "died"),
        "multilabel": chiasm.Multilabel(("ill", "two")),
    }
    return chiasm.cohort_from_frames(patients, frames, targets[kind], cost=costs)


@pytest.fixture(autouse=True)
def ridges() -> Iterator[None]:
    with only_ridges():
        yield


def asked(cohort: chiasm.Cohort, **options: object) -> pd.DataFrame:
    found = chiasm.collect(cohort, protocol=PLAIN, jobs=1, **options)  # type: ignore[arg-type]
    return found.table.set_index(["have", "add"])


@pytest.mark.parametrize("kind", ["regression", "survival", *at_night("classification", "multilabel")])
def test_what_a_modality_adds_is_found_for_every_kind_of_target(kind: str) -> None:
    table = asked(made(kind))
    row = table.loc[("m1", "m2")]
    assert (row["asked"], row["patients"]) == (N - 160, 160)
    assert row["low"] < row["gain"] < row["high"]
    assert row["gain"] > 0.05
    assert table.loc[("", "m1"), "gain"] > 0.05  # whoever has nothing gains by either


def test_the_gain_is_the_difference_of_what_two_predictions_explain_of_those_who_have_both() -> None:
    """By hand: losses pooled over the tested patients who have both, in units of the training mean's."""
    cohort, gained, null = made("regression", have=60), 0.0, 0.0
    for split in plan(cohort, PLAIN, 0):
        train, test = cohort.subset(split.train), cohort.subset(split.test)
        test = test.subset(test.rows_of("m2"))
        model = make_recipe("late-fusion").fit(train, seed=seeded(0, split.key))
        value = test.outcome.value
        null += ((value - train.outcome.value.mean()) ** 2).sum()
        both, alone = (
            ((model.predict(own).loc[list(test.ids), "prediction"].to_numpy() - value) ** 2).sum()
            for own in (test, test.with_modalities(["m1"]))
        )
        gained += alone - both
    row = asked(cohort, recipe="late-fusion").loc[("m1", "m2")]
    assert row["gain"] == pytest.approx(gained / null, abs=1e-9)
    assert (row["folds"], row["patients"]) == (5, 60)


def test_a_modality_that_few_were_trained_on_is_not_judged() -> None:
    """Given folds are sites, one of which alone has `m2`: where it is tested nobody was trained on it."""
    rng = np.random.default_rng(0)
    ids = [f"p{k:03d}" for k in range(N)]
    m1, m2 = rng.normal(size=(2, N))
    patients = pd.DataFrame({"y": m1 + m2 + rng.normal(size=N), "site": np.repeat(list("abcd"), N // 4)}, ids)
    frames = {"m1": pd.DataFrame({"a": m1}, ids), "m2": pd.DataFrame({"b": m2}, ids).iloc[: N // 4]}
    cohort = chiasm.cohort_from_frames(
        patients, frames, chiasm.Regression("y"), folds="site", site="site", cost={"m2": 10.0}
    )
    row = chiasm.collect(cohort, worth=1000, jobs=1).table.set_index(["have", "add"]).loc[("m1", "m2")]
    assert row["decision"] == "too few to say" and math.isnan(row["gain"]) and row["folds"] == 0


def test_who_asks_is_counted_with_those_who_have_nothing_and_those_of_unknown_outcome() -> None:
    cohort = made("regression")
    frame = pd.DataFrame({"y": np.r_[cohort.outcome.value[:30] * np.nan, cohort.outcome.value[30:]]}, cohort.ids)
    frames = {name: cohort.raw(name) for name in ("m1", "m2")}
    frames["m1"] = frames["m1"].iloc[40:]
    alone = sorted(set(cohort.ids[40:]) - set(frames["m2"].index))
    nobody = sorted(set(cohort.ids[:40]) - set(frames["m2"].index))
    again = chiasm.cohort_from_frames(frame, frames, chiasm.Regression("y"))
    with pytest.warns(chiasm.errors.FindingWarning):
        table = asked(again)
    assert table.loc[("m1", "m2"), "asked"] == len(alone)
    assert table.loc[("", "m1"), "asked"] == len(nobody) > 0


def test_a_recipe_that_reads_one_modality_cannot_tell_of_another() -> None:
    with pytest.raises(chiasm.Unsupported, match="'single:m1' reads 1 modality"):
        chiasm.collect(made("regression"), recipe="single:m1")


def test_an_error_of_a_recipe_quotes_nobody() -> None:
    class Forgetful:
        name = "forgetful"

        def supports(self, cohort: chiasm.Cohort) -> None:
            pass

        def fit(self, cohort: chiasm.Cohort, **_: object) -> Forgetful:
            return self

        def predict(self, cohort: chiasm.Cohort) -> pd.DataFrame:
            return pd.DataFrame({"prediction": 0.0}, index=list(cohort.ids[1:]))

    with pytest.raises(RuntimeError, match=r"recipe 'forgetful' failed in r0-f0 with a KeyError$"):
        chiasm.collect(made("regression"), recipe=Forgetful(), protocol=PLAIN, jobs=1)


def test_predictions_that_are_the_same_have_no_interval_and_no_advice() -> None:
    gain = Contrast(0.0, math.nan, math.nan, same=True)
    (row,) = weighed([(Question(("m1",), "m2", 5, 50), gain, 5)], {"m2": 10.0}, 100.0).to_dict("records")
    assert row["decision"] == "cannot tell"


def test_a_copy_of_what_is_there_is_not_collected_at_any_price_of_note() -> None:
    row = asked(made("regression", copy=True, costs={"m2": 50.0}), worth=1000).loc[("m1", "m2")]
    assert abs(row["gain"]) < 0.02
    assert row["decision"] == "do not collect"
    row = asked(made("regression", costs={"m2": 50.0}), worth=1000).loc[("m1", "m2")]
    assert row["decision"] == "collect"
    assert row["net"] == pytest.approx(1000 * row["gain"] - 50)


def test_too_few_who_have_both_is_said() -> None:
    row = asked(made("regression", have=20, costs={"m2": 1.0}), worth=100).loc[("m1", "m2")]
    assert math.isnan(row["gain"])
    assert row["decision"] == "too few to say"


def test_the_order_of_the_rows_changes_nothing() -> None:
    cohort = made("classification")
    first = asked(cohort)
    second = asked(cohort.subset(np.arange(N)[::-1]))
    pd.testing.assert_frame_equal(first, second)


def test_questions_of_a_cohort_of_many_modalities_are_those_of_its_patterns() -> None:
    rng = np.random.default_rng(0)
    ids = [f"p{k}" for k in range(40)]
    frames = {f"m{k}": pd.DataFrame(rng.normal(size=(40, 1)), ids, [f"c{k}"]) for k in range(6)}
    frames["m5"] = frames["m5"].iloc[:30]
    cohort = chiasm.cohort_from_frames(pd.DataFrame({"y": rng.normal(size=40)}, ids), frames, chiasm.Regression("y"))
    found = questions(cohort)
    five = ("m0", "m1", "m2", "m3", "m4")
    assert found[0] == Question(five, "m5", 10, 30)
    assert len(found) == 11  # one that is lacked, and six and five less one, of which one is the same
    assert len(questions(cohort.with_modalities(["m0", "m1", "m5"]))) == 12


GAIN = Contrast(0.1, 0.05, 0.2)


@pytest.mark.parametrize(
    ("gain", "cost", "worth", "decision"),
    [
        (GAIN, 4.0, 100.0, "collect"),
        (GAIN, 21.0, 100.0, "do not collect"),
        (GAIN, 10.0, 100.0, "cannot tell"),
        (GAIN, 10.0, None, ""),
        (GAIN, None, 100.0, ""),
        (UNKNOWN, 10.0, 100.0, "too few to say"),
    ],
)
def test_the_answer_follows_the_interval(
    gain: Contrast, cost: float | None, worth: float | None, decision: str
) -> None:
    costs = {} if cost is None else {"m2": cost}
    (row,) = weighed([(Question(("m1",), "m2", 5, 50), gain, 5)], costs, worth).to_dict("records")
    assert row["decision"] == decision
    (row,) = weighed([(Question(("m1",), "m2", 5, 50), gain, 5)], costs, worth, leaks=True).to_dict("records")
    assert row["decision"] not in ("collect", "do not collect")


def test_break_even() -> None:
    assert break_even(10, 0.1) == 100
    assert break_even(10, 0.0) == break_even(10, -0.1) == math.inf
    assert break_even(0, 0.0) == 0
    assert math.isnan(break_even(math.nan, 0.1))


@pytest.mark.parametrize("worth", [0, -1, math.inf, math.nan, "10", True])
def test_a_worth_that_is_none_is_refused(worth: float) -> None:
    with pytest.raises(ValueError, match="above zero"):
        chiasm.collect(made("regression"), worth=worth)


@pytest.mark.parametrize("cost", [{"m2": -1.0}, {"m2": math.nan}, {"m2": "five"}, {"m2": True}, {"m9": 1.0}])
def test_a_price_that_is_none_is_refused(cost: dict[str, float]) -> None:
    with pytest.raises(chiasm.CohortError, match="cost"):
        made("regression", costs=cost)
    with pytest.raises(chiasm.CohortError, match="cost"):
        chiasm.collect(made("regression"), cost=cost)


def test_one_modality_has_nothing_to_add() -> None:
    with pytest.raises(chiasm.Unsupported, match="needs 2 modalities"):
        chiasm.collect(made("regression").with_modalities(["m1"]))


def test_the_picture_names_what_it_shows(tmp_path: Path) -> None:
    found = chiasm.collect(made("regression", costs={"m2": 50.0}), worth=1000, protocol=PLAIN, jobs=1)
    drawn = found.plot(tmp_path / "gain.svg").read_text()
    for words in ("with m2", "who has m1", "net gain a patient"):
        assert words in drawn
    with pytest.raises(chiasm.Unsupported, match="price"):
        chiasm.collect(made("regression"), protocol=PLAIN, jobs=1).plot(tmp_path / "gain.png")
    with pytest.raises(ValueError, match=r"svg, pdf, png"):
        found.plot(tmp_path / "gain.jpg")
