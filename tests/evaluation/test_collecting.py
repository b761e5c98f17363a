"""`chiasm.collect`: gains on patients who have both, prices, and the answer in words."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import chiasm
from chiasm.evaluation.collecting import Question, questions
from chiasm.evaluation.contrasts import UNKNOWN, Contrast
from chiasm.evaluation.prices import break_even, weighed
from lighter_trials import only_ridges

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


@pytest.mark.parametrize("kind", ["regression", "classification", "survival", "multilabel"])
def test_what_a_modality_adds_is_found_for_every_kind_of_target(kind: str) -> None:
    table = asked(made(kind))
    row = table.loc[("m1", "m2")]
    assert (row["asked"], row["patients"]) == (N - 160, 160)
    assert row["low"] > 0
    assert row["low"] < row["gain"] < row["high"]
    assert table.loc[("", "m1"), "gain"] > 0.05  # whoever has nothing gains by either


def test_the_gain_is_the_difference_of_what_two_models_explain() -> None:
    """The share explained of those who have both, with both and with one alone, by hand in one fold."""
    cohort = made("regression", have=N)
    from chiasm.evaluation.fits import with_horizons
    from chiasm.evaluation.protocol import plan
    from chiasm.recipes.registry import make_recipe

    found = []
    for split in plan(cohort, PLAIN, 0):
        train, test = cohort.subset(split.train), cohort.subset(split.test)
        model = make_recipe("late-fusion").fit(with_horizons(train), seed=0)
        value = test.outcome.value
        null = ((value - train.outcome.value.mean()) ** 2).sum()
        share = [
            1 - ((model.predict(own).loc[list(test.ids), "prediction"].to_numpy() - value) ** 2).sum() / null
            for own in (test, test.with_modalities(["m1"]))
        ]
        found.append(share[0] - share[1])
    row = asked(cohort, recipe="late-fusion").loc[("m1", "m2")]
    assert row["gain"] == pytest.approx(np.mean(found), abs=1e-9)


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
    (row,) = weighed([(Question(("m1",), "m2", 5, 50), gain)], costs, worth).to_dict("records")
    assert row["decision"] == decision
    (row,) = weighed([(Question(("m1",), "m2", 5, 50), gain)], costs, worth, leaks=True).to_dict("records")
    assert row["decision"] not in ("collect", "do not collect")


def test_break_even() -> None:
    assert break_even(10, 0.1) == 100
    assert break_even(10, 0.0) == break_even(10, -0.1) == math.inf
    assert break_even(0, 0.0) == 0
    assert math.isnan(break_even(math.nan, 0.1))


@pytest.mark.parametrize("worth", [0, -1, math.inf, math.nan])
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
    with pytest.raises(chiasm.Unsupported, match="the cohort has 1"):
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
