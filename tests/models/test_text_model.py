"""A model of texts says training texts alone, whatever others are, is kept, and its card says what it holds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import chiasm
from chiasm.cohort import Cohort, Unsupported, synthetic_cohort
from chiasm.compute.memo import forget
from chiasm.fitting.model import FittedModel
from chiasm.fitting.possible import ImpossiblePrediction
from chiasm.fitting.text_space import TextSpace
from chiasm.models.same_target import stored_columns
from chiasm.targets.texts import typical
from lighter_trials import only_ridges

Halves = tuple[Cohort, Cohort]


@pytest.fixture(scope="module")
def halves() -> Halves:
    cohort = synthetic_cohort("complementary", 120, target="text", seed=3, missing=0.2)
    return cohort.subset(np.arange(120) < 80), cohort.subset(np.arange(120) >= 80)


@pytest.fixture(scope="module")
def model(halves: Halves) -> FittedModel:
    with only_ridges():
        made: FittedModel = chiasm.fit(halves[0], "late-fusion", seed=0)  # type: ignore[assignment]
        return made


def texts(cohort: Cohort) -> list[str]:
    assert cohort.outcome is not None and cohort.outcome.texts is not None
    return [own[0] for own in cohort.outcome.texts.references]


def test_it_says_training_texts_and_more_of_them_right_than_the_typical_one(halves: Halves, model: FittedModel) -> None:
    train, test = halves
    frame = model.predict(test.with_target(None, None))
    assert list(frame.columns) == ["pattern", "text"] and set(frame["text"]) <= set(texts(train))
    right = np.mean([a == b for a, b in zip(frame["text"], np.array(texts(test))[test.order], strict=True)])
    assert right > 0.4  # a guess among four is a quarter


def test_kept_and_opened_it_says_the_same_and_its_card_says_what_it_holds(
    tmp_path: Path, halves: Halves, model: FittedModel
) -> None:
    model.save(tmp_path / "model")
    again = chiasm.load_model(tmp_path / "model").predict(halves[1])
    pd.testing.assert_frame_equal(again, model.predict(halves[1]))
    (card,) = (file.read_text(encoding="utf-8") for file in (tmp_path / "model").glob("*.md"))
    assert "4 texts of training patients, word for word" in card and "nodule" not in card


def test_the_texts_of_others_and_the_order_of_training_patients_change_nothing(halves: Halves) -> None:
    train, test = halves
    assert test.outcome is not None and test.outcome.texts is not None
    with only_ridges():
        one = chiasm.fit(train, "early-fusion", seed=0).predict(test)
        other = np.empty(len(test), dtype=object)
        other[:] = [("words that no training patient has",)] * len(test)
        changed = replace(test.outcome, texts=replace(test.outcome.texts, references=other))
        forget()
        two = chiasm.fit(train, "early-fusion", seed=0).predict(test.with_target(test.target, changed))
    pd.testing.assert_frame_equal(one, two)


def test_of_whom_nothing_is_read_it_says_the_typical_text(halves: Halves) -> None:
    train, test = halves
    with only_ridges():
        everyone = train.with_modalities(["m1"])
        everyone = everyone.subset(everyone.present[:, 0])
        prior = chiasm.fit(everyone, "presence", seed=0).predict(test)
    assert everyone.outcome is not None and everyone.outcome.texts is not None
    assert set(prior["text"]) == {typical(everyone.outcome.texts)}


def test_a_score_that_is_not_finite_is_an_error_and_no_typical_text(halves: Halves, model: FittedModel) -> None:
    test = halves[1]

    class Diverged:
        def link(self, cohort: Cohort) -> np.ndarray:
            return np.where(np.arange(len(cohort))[:, None] == 3, np.nan, np.zeros((len(cohort), 4)))

    broken = replace(model, predictor=Diverged())  # type: ignore[arg-type]
    with pytest.raises(ImpossiblePrediction, match="1 patient what cannot be"):
        broken.predict(test)


def test_the_scorer_is_no_column_of_the_outcome(halves: Halves) -> None:
    assert stored_columns(replace(halves[0].target, entities=("mass",)).stored()) == ["said"]  # type: ignore[union-attr, type-var]


def test_models_of_texts_do_not_merge_for_what_they_are(model: FittedModel) -> None:
    with pytest.raises(Unsupported, match="says texts, in a space learned of its own patients"):
        chiasm.merge([model, model])


def test_no_text_is_in_the_repr_of_the_space(halves: Halves) -> None:
    assert "nodule" not in repr(TextSpace.fit(halves[0].outcome.texts))  # type: ignore[union-attr, arg-type]


def test_it_is_not_served_to_whoever_asks_over_http(tmp_path: Path, model: FittedModel) -> None:
    model.save(tmp_path / "model")
    with pytest.raises(Unsupported, match="word for word, which are not served over HTTP"):
        chiasm.serving_app([tmp_path / "model"])


def test_what_is_made_of_numbers_refuses_it_in_a_sentence(tmp_path: Path, halves: Halves, model: FittedModel) -> None:
    model.save(tmp_path / "model")
    asked = (
        lambda: chiasm.explain(model, halves[1]),
        lambda: chiasm.conformal(model, halves[1]),
        lambda: chiasm.update(tmp_path / "model", halves[1]),
    )
    for ask in asked:
        with pytest.raises(Unsupported, match="of numbers, and this model says a text"):
            ask()
