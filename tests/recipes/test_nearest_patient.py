"""`nearest-patient` says the text of the nearest training patient, by what both have, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

import chiasm
from chiasm.fitting.card import rows_kept
from chiasm.recipes.baselines.nearest_patient import NearestPatient
from chiasm.testing import check_recipe
from small_recipes import at_night


def cohort_of(texts: list[str], **columns: list[float]) -> chiasm.Cohort:
    """A table of one column a modality; NaN: the patient lacks it. Without texts a cohort to predict on."""
    ids = [f"{k:03d}" for k in range(max(map(len, columns.values())))]
    frames = {name: pd.DataFrame({"x": own}, index=ids).dropna() for name, own in columns.items()}
    if not texts:
        return chiasm.cohort_from_frames(pd.DataFrame(index=ids), frames)
    return chiasm.cohort_from_frames(pd.DataFrame({"said": texts}, index=ids), frames, chiasm.FreeText("said"))


@pytest.mark.parametrize("modality", ["", *at_night("m1")])
def test_laws_hold(modality: str) -> None:
    check_recipe(NearestPatient(modality=modality), kinds=("text",), n=56)


def test_each_is_answered_with_the_text_of_the_nearest_in_what_both_have(tmp_path: Path) -> None:
    nan, n = float("nan"), 12
    a, b = [float(5 * k % n) for k in range(n)], [float(7 * k % n) for k in range(n)]
    train = cohort_of([f"finding {k}" for k in range(n)], a=a, b=[nan, nan, *b[2:]])
    model = NearestPatient().fit(train, seed=0)
    asked = cohort_of([], a=[a[8] + 0.1, nan, a[8], a[0] + 0.1], b=[nan, b[5] + 0.1, b[8], nan])
    assert model.predict(asked)["text"].tolist() == ["finding 8", "finding 5", "finding 8", "finding 0"]
    assert model.trained_parameters == 0 and "row by row" in " ".join(rows_kept(model))
    model.save(tmp_path / "model")
    assert chiasm.load_model(tmp_path / "model").predict(asked).equals(model.predict(asked))


def test_of_equally_near_ones_the_text_of_most_is_said_and_without_the_modality_the_typical_one() -> None:
    nan = float("nan")
    texts = ["left lung", "right lung", "right lung", *["clear chest"] * 4, *["clear"] * 5]
    train = cohort_of(texts, a=[1.0] * 3 + [5.0] * 9, b=[float(7 * k % 12) for k in range(12)])
    model = NearestPatient("a").fit(train, seed=0)
    asked = cohort_of([], a=[1.0, 5.0, nan], b=[0.0, 0.0, 0.0])
    assert model.predict(asked)["text"].tolist() == ["right lung", "clear", "clear"]
    many = NearestPatient("a", 12).fit(train, seed=0)
    assert set(many.predict(asked)["text"]) == {"clear"}


def test_a_training_patient_without_the_modality_lends_no_text_to_who_has_that_alone() -> None:
    nan, own = float("nan"), [float(3 * k % 10) for k in range(10)]
    train = cohort_of(["none"] * 10 + ["some"] * 10, a=own + [nan] * 10, b=[nan] * 10 + own)
    asked = cohort_of([], a=[9.0, nan], b=[nan, 9.0])
    assert NearestPatient().fit(train, seed=0).predict(asked)["text"].tolist() == ["none", "some"]


def test_other_targets_and_no_neighbour_are_refused() -> None:
    with pytest.raises(chiasm.Unsupported, match="take a target of texts"):
        chiasm.fit(chiasm.synthetic_cohort("complementary", 60, seed=1), "nearest-patient")
    with pytest.raises(ValueError, match="asks nobody"):
        NearestPatient(neighbours=0)
