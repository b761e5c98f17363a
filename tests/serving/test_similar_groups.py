"""Groups of training patients that a model keeps: five or more people each, bands in place of outcomes, and no row."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import chiasm
from chiasm.errors import FindingWarning, Unsupported
from chiasm.fitting.similar_groups import SHARES, band_of, coarse_edges, grouped, groups_of
from chiasm.models.similar_patients import people_of
from chiasm.targets.classification import Classification
from chiasm.targets.competing import CompetingRisks
from chiasm.targets.multilabel import Multilabel
from chiasm.targets.outcome import Outcome
from chiasm.targets.regression import Regression
from chiasm.targets.survival import Survival
from lighter_trials import only_ridges
from served_models import as_json, asked

MADE = np.random.default_rng(0)


@pytest.mark.parametrize("n", [10, 11, 14, 15, 29, 200])
def test_every_group_has_so_many_and_less_than_twice_as_many(n: int) -> None:
    sizes = np.bincount(grouped(MADE.normal(size=(n, 3)), 5))
    assert sizes.sum() == n and sizes.min() >= 5 and sizes.max() < 10
    assert np.bincount(grouped(np.zeros((n, 2)), 5)).min() >= 5  # all alike


def test_who_lies_together_is_a_group() -> None:
    heaps = np.repeat(np.arange(6), 8)
    points = heaps[:, None] * 100.0 + MADE.normal(size=(48, 1))
    found = grouped(points, 8)
    assert len({(own, group) for own, group in zip(heaps, found, strict=True)}) == 6


def test_the_bands_at_the_ends_never_say_nobody_or_everybody_of_five() -> None:
    edges = np.array(SHARES)
    bands = [band_of(k / 5, edges) for k in range(6)]
    assert bands == [0, 0, 1, 3, 4, 4]  # none and one of five are told alike, and so are four and all
    assert band_of(0.5, edges) == 2 and band_of(float("nan"), edges) == -1
    assert band_of(3.0, coarse_edges(np.full(9, 3.0))) in (0, 1)


def outcome_of(value: Any, cause: Any = None) -> Outcome:
    value = np.asarray(value, np.float64)
    event = None if cause is None else np.asarray(cause) > 0
    return Outcome(value, event, np.ones(len(value), bool), None if cause is None else np.asarray(cause))


def test_outcomes_of_each_kind_are_told_in_bands() -> None:
    heaps = np.repeat([0.0, 10.0, 20.0], 20)[:, None]
    ill = np.r_[np.zeros(20), np.tile([0.0, 1.0], 10), np.ones(20)]

    def told(outcome: Outcome, target: Any, names: Any = (), times: Any = ()) -> list[dict[str, str]]:
        own = groups_of(heaps, outcome, target, names, times, 20, "mg" if target.is_scaled else "")
        return [one["outcome"] for one in own.nearest(np.array([[0.0], [10.0], [20.0]]))]

    ends = ["20 % or less", "40 to 60 %", "80 % or more"]
    assert [one["p_yes"] for one in told(outcome_of(ill), Classification, ("no", "yes"))] == ends
    labels = np.stack([ill, np.where(np.arange(60) < 57, np.nan, 1.0)], axis=1)
    found = told(outcome_of(labels), Multilabel, ("a", "b"))
    assert [list(one.values()) for one in found] == [[end, "too few to say"] for end in ends]
    numbers = told(outcome_of(np.repeat([1.0, 5.0, 9.0], 20) + ill), Regression)
    assert numbers[0]["prediction"].endswith("mg or less") and numbers[2]["prediction"].endswith("mg or more")
    months = np.r_[np.full(20, 50.0), np.full(20, 50.0), np.full(20, 2.0)]
    found = told(outcome_of(months, [0] * 20 + [0] * 20 + [1] * 20), Survival, (), (12.0, 99.0))
    assert found[0] == {"survival_12": "80 % or more", "survival_99": "too few to say"}
    assert found[2]["survival_12"] == "20 % or less"
    found = told(outcome_of(months, [0] * 40 + [1] * 20), CompetingRisks, ("death", "other"), (12.0,))
    assert sorted(found[2].values()) == ["20 % or less", "80 % or more"] and len(found[0]) == 2


def cohort_of(n: int, seed: int = 0, people: int | None = None, target: bool = True) -> chiasm.Cohort:
    rng = np.random.default_rng(seed)
    ids = [f"case-{number:03d}" for number in range(n)]
    frame = pd.DataFrame(rng.normal(size=(n, 3)), index=ids, columns=["a", "b", "c"])
    patients = pd.DataFrame({"ill": np.where(frame["a"] + rng.normal(size=n) > 0, "yes", "no")}, index=ids)
    if people is not None:
        patients["person"] = [f"person-{number % people}" for number in range(n)]
    return chiasm.cohort_from_frames(
        patients, {"lab": frame}, target=chiasm.Classification("ill") if target else None,
        **({"group": "person"} if people is not None else {}),
    )  # fmt: skip


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("similar") / "risk"
    with only_ridges():
        chiasm.fit(cohort_of(120), "single:lab", keep_similar=20).save(folder)
    return folder


def test_a_folder_holds_groups_and_says_so(kept: Path) -> None:
    model: Any = chiasm.load_model(kept)
    assert model.similar.least == 20 and 3 <= len(model.similar.centres) <= 6
    assert "groups of 20 patients or more" in (kept / "card.md").read_text()
    assert "case-0" not in (kept / "model.json").read_text()
    assert len(set(map(tuple, model.similar.centres.tolist()))) == len(model.similar.centres)


def test_the_service_tells_what_the_model_tells(kept: Path) -> None:
    new = cohort_of(12, seed=1, target=False)
    offline = chiasm.similar_in_training(chiasm.load_model(kept), new)
    assert offline["alike"].any() and set(offline["patients"]) == {"20 or more"}
    body = as_json({"lab": new.raw("lab")}, new.ids)
    body["patients"].append({"lab": {"a": 500.0, "b": -500.0, "c": 500.0}})
    with asked([kept], policy=chiasm.api.Policy(unfamiliar="flag")) as own:
        found = own.post("/similar", json=body).json()["patients"]
        assert own.get("/models").json()["models"][0]["keeps_similar"]
    for one, (_, expected) in zip(found, offline.iterrows(), strict=False):
        assert one["alike"] == expected["alike"]
        assert (one["outcome"] or {}).get("p_yes") == (expected["p_yes"] if expected["alike"] else None)
    assert not found[-1]["alike"] and found[-1]["outcome"] is None and "like nobody" in found[-1]["notes"][-1]
    assert "case-" not in json.dumps(found)


def test_what_would_be_too_small_is_refused_before_the_fit() -> None:
    with pytest.raises(ValueError, match="groups of 5 or more, not 4"):
        chiasm.fit(cohort_of(120), "single:lab", keep_similar=4)
    with pytest.raises(ValueError, match="30 training patients make no two groups of 20"):
        chiasm.fit(cohort_of(30), "single:lab", keep_similar=20)
    with pytest.raises(ValueError, match="12 training patients"):
        chiasm.fit(cohort_of(120, people=12), "single:lab", keep_similar=10)
    assert len(people_of(cohort_of(120, people=12))) == 12


def test_a_model_that_keeps_none_says_what_to_do(served_folder: Path) -> None:
    with pytest.raises(Unsupported, match="--keep-similar 20"):
        chiasm.similar_in_training(chiasm.load_model(served_folder), cohort_of(5, target=False))
    with asked([served_folder]) as own:
        found = own.post("/similar", json={"patients": [{"lab": {"crp": 4.5}}]})
        assert (found.status_code, found.json()["error"]["code"]) == (422, "not-kept")
    with only_ridges(), pytest.warns(FindingWarning, match="has no embedding"):
        cohort = chiasm.synthetic_cohort("complementary", n=80, seed=0)
        model: Any = chiasm.fit(cohort, "late-fusion", keep_similar=20)
    assert model.similar is None
