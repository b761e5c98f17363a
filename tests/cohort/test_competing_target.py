"""Competing risks as a target: what its column of causes may hold, what is refused, and in which words."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import chiasm
from chiasm.cohort.splits import fold_ids
from chiasm.targets import CompetingRisks

N = 60


def patients(cause: object, n: int = N, **columns: object) -> pd.DataFrame:
    index = [f"p{k:03d}" for k in range(n)]
    return pd.DataFrame({"days": np.arange(1, n + 1) * 3.0, "cause": cause, **columns}, index=index)


def cohort(frame: pd.DataFrame, **options: str) -> chiasm.Cohort:
    values = pd.DataFrame({"x": np.random.default_rng(0).normal(size=len(frame))}, index=frame.index)
    return chiasm.cohort_from_frames(frame, {"a": values}, CompetingRisks("days", "cause", unit="days", **options))


def found(frame: pd.DataFrame, **options: str) -> list[str]:
    return [str(problem) for problem in chiasm.check_cohort(cohort(frame, **options)) if problem.modality is None]


WORDS = np.array(["alive", "cancer", "heart", "alive", "cancer"] * (N // 5), object)


@pytest.mark.parametrize(
    ("levels", "options"),
    [
        ({}, {}),
        ({"alive": 0, "cancer": 1, "heart": 2}, {"main": "1"}),
        ({"alive": 0.0, "cancer": 1.0, "heart": 2.0}, {}),
        ({"alive": None}, {}),
        ({"alive": ""}, {}),
        ({"alive": "lost"}, {"censored": "lost"}),
        ({"alive": "Censored"}, {}),
    ],
)
def test_censored_is_a_level_zero_a_word_or_an_empty_cell(levels: dict, options: dict) -> None:
    made = cohort(patients([levels.get(word, word) for word in WORDS]), **options)
    assert made.outcome is not None and made.outcome.cause is not None and made.target is not None
    assert made.outcome.known.all()
    assert made.outcome.cause.tolist() == [{"alive": 0, "cancer": 1, "heart": 2}[word] for word in WORDS]
    assert [str(levels.get(n, n)).removesuffix(".0") for n in ("cancer", "heart")] == list(made.target.names)


def test_an_empty_cause_is_unknown_where_a_level_means_censored() -> None:
    words = WORDS.copy()
    words[:2] = None
    problems = [own for own in chiasm.check_cohort(cohort(patients(words), main="cancer")) if own.severity == "error"]
    assert len(problems) == 1 and "column 'cause' is missing" in str(problems[0])


def test_the_main_cause_comes_first_and_is_the_most_frequent_unless_named() -> None:
    said = found(patients(WORDS))
    assert len(said) == 1 and "the most frequent one, 'cancer'" in said[0]
    assert found(patients(WORDS), main="heart") == []
    made = cohort(patients(WORDS), main="heart")
    assert made.target is not None and made.target.names == ("heart", "cancer")
    assert made.target.rarest(made.outcome) == N // 5


@pytest.mark.parametrize(
    ("cause", "options", "said"),
    [
        (["0", "cancer"] * (N // 2), {}, 'take kind = "survival"'),
        (["0"] * N, {}, "column 'cause' has no event"),
        (
            WORDS,
            {"main": "stroke"},
            "no event of the cause 'stroke', which `main` names; name one of 'cancer', 'heart'",
        ),
        (["0", *[f"c{k}" for k in range(N - 1)]], {}, "59 causes, more than 12; group those that matter less into one"),
        (WORDS, {"censored": "alife"}, "nobody has the level 'alife' of column 'cause', which `censored` names"),
        (WORDS, {"censored": "alife"}, "is it 'alive'?"),
        (["cancer", "heart"] * (N // 2), {"main": "cancer"}, "nobody without an event"),
        (["none", "cancer", "heart"] * (N // 3), {"main": "cancer"}, "has a cause 'none'; name it by `censored`"),
        ([*WORDS[:-1], "stroke"], {"main": "cancer"}, "has 1 event of the cause 'stroke', fewer than 5"),
    ],
)
def test_causes_that_cannot_be_learned_are_told(cause: list[str], options: dict, said: str) -> None:
    assert any(said in own for own in found(patients(cause), **options)), found(patients(cause), **options)


def test_times_are_checked_as_of_survival() -> None:
    frame = patients(WORDS)
    frame.iloc[:3, 0] = (-5.0, 0.0, np.inf)
    said = found(frame, main="cancer")
    assert len(said) == 1 and "must be a time above zero and finite in 3 rows" in said[0] and "-5" not in said[0]
    assert "are they in a smaller unit?" in found(frame.assign(days=30_000.0 + np.arange(N)), main="cancer")[0]


def test_options_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(ValueError, match="cannot be the level that means censored"):
        CompetingRisks("days", "cause", censored="alive", main="alive")
    with pytest.raises(ValueError, match="positive, finite and increasing"):
        CompetingRisks("days", "cause", times=(3.0, 2.0))


def test_a_manifest_names_them(tmp_path: Path) -> None:
    patients(WORDS, x=np.random.default_rng(0).normal(size=N)).to_csv(tmp_path / "patients.csv", index_label="id")
    text = """name = "two ends"
[patients]
table = "patients.csv"
id = "id"
[target]
kind = "competing"
time = "days"
cause = "cause"
censored = "alive"
main = "heart"
unit = "days"
times = [30, 90]
[modalities.a]
kind = "table"
columns = ["x"]
"""
    (tmp_path / "cohort.toml").write_text(text)
    made = chiasm.open_cohort(tmp_path)
    assert made.target == CompetingRisks(
        "days", "cause", "alive", "heart", "days", (30.0, 90.0), ("heart", "cancer")
    ) and chiasm.check_cohort(tmp_path) == []  # fmt: skip
    (tmp_path / "cohort.toml").write_text(text.replace('cause = "cause"\n', "").replace('"alive"', '"heart"'))
    said = [str(own) for own in chiasm.check_cohort(tmp_path)]
    assert any("key 'cause' is missing in [target]" in own for own in said)
    assert any("'main' and 'censored' of the target name one level" in own for own in said)
    (tmp_path / "cohort.toml").write_text(text.replace('cause = "cause"', 'cause = "cause"\nstart = "x"'))
    assert any("in intervals of a start and a stop is not read" in str(own) for own in chiasm.check_cohort(tmp_path))


def test_every_fold_has_the_main_cause_and_a_rare_other_one_need_not_be_in_each() -> None:
    words = np.array(["alive", "cancer", "cancer"] * (N // 3), object)
    words[:2] = "heart"
    made = cohort(patients(words), main="cancer")
    assert made.outcome is not None and made.outcome.cause is not None
    folds = fold_ids(made, 5, seed=0)
    counts = [int((made.outcome.cause[folds == fold] == 1).sum()) for fold in range(5)]
    assert min(counts) >= 1 and max(counts) - min(counts) <= 3
    few = cohort(patients(["cancer", "cancer", *["heart"] * (N - 2)]), main="cancer")
    with pytest.raises(chiasm.CohortError, match="2 events of the main cause, fewer than the 5 folds"):
        fold_ids(few, 5, seed=0)
