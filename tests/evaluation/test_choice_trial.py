"""A choice from end to end: the planted answer is found, the order of options changes nothing, and a page says both."""

from __future__ import annotations

import json
from collections.abc import Iterator
from html import unescape
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import chiasm
from chiasm.cohort import Cohort
from chiasm.recipes.registry import make_recipe, supported
from lighter_trials import only_ridges

WORDS = {"side": ("left lung", "right lung"), "size": ("small nodule", "large nodule"), "none": ("a cat", "a dog")}


@pytest.fixture(autouse=True, scope="module")
def ridges() -> Iterator[None]:
    with only_ridges():
        yield


def planted(n: int = 90, *, seed: int = 0, order: int = 0, right: str = "answer") -> Cohort:
    """Questions about a side or a size, which the image knows, among options in an order of their own.

    The question alone cannot tell, nor can the options; every third patient has two distractors more.
    """
    rng, turn = np.random.default_rng(seed), np.random.default_rng(order)
    image = rng.normal(size=(n, 2))
    asks = np.where(rng.random(n) < 0.5, "side", "size")
    answers, lists, places = [], [], []
    for row in range(n):
        which = int(image[row, 0 if asks[row] == "side" else 1] > 0)
        own = [*WORDS[str(asks[row])], *(WORDS["none"] if row % 3 == 0 else ())]
        shown = [own[int(k)] for k in turn.permutation(len(own))]
        answers.append(own[which])
        lists.append(json.dumps(shown))
        places.append(shown.index(own[which]) + 1)
    ids = [f"q{row:03d}" for row in range(n)]
    patients = pd.DataFrame({"answer": answers, "place": places, "options": lists}, index=ids)
    frames = {
        "image": pd.DataFrame(image, index=ids, columns=["x", "y"]),
        "question": pd.DataFrame({"asks": asks}, index=ids),
    }
    return chiasm.cohort_from_frames(patients, frames, chiasm.Choice(right, "options"), name="planted")


@pytest.fixture(scope="module")
def trial() -> chiasm.Trial:
    protocol = chiasm.Protocol(folds=2, repeats=1, draws=100)
    recipes = ["single:question", "single:image"]
    contrasts = [("single:image", "single:question")]
    return chiasm.evaluate(planted(), recipes, protocol, seed=0, contrasts=contrasts, jobs=1)


@pytest.fixture(scope="module")
def model() -> chiasm.fitting.model.FittedModel:
    return chiasm.fit(planted(), "single:image,models=linear", seed=0)


def test_the_image_answers_what_the_question_alone_cannot(trial: chiasm.Trial) -> None:
    of = {row["name"]: row for row in trial.document["recipes"]}
    guess = 0.5  # of two options; that a cat is never right is soon learned
    assert of["single:image"]["mean"] > 0.85 and abs(of["single:question"]["mean"] - guess) < 0.13
    assert abs(of["presence"]["mean"] - guess) < 0.13 and of["null"]["mean"] < of["presence"]["mean"] + 0.1
    contrast = trial.document["contrasts"][0]
    assert contrast["difference"] > 0.3, contrast


def test_the_primary_metric_is_the_share_answered_right(trial: chiasm.Trial) -> None:
    rows = trial.predictions[trial.predictions["recipe"] == "single:image"].set_index("patient")
    right = rows["choice"] - 1 == trial.outcomes["value"].loc[rows.index]
    by_fold = right.groupby(rows["fold"]).mean()
    mean = next(row["mean"] for row in trial.document["recipes"] if row["name"] == "single:image")
    np.testing.assert_allclose(by_fold.mean(), mean)
    best = trial.predictions[trial.predictions["recipe"] == "best-available"].set_index("patient")
    shared = rows["choice"].loc[best.index] == best["choice"]
    assert shared.mean() > 0.9  # it is the image's own answer, and no place is preferred


def test_answers_are_counted_by_place(trial: chiasm.Trial) -> None:
    table = pd.DataFrame(trial.document["places"])
    target = trial.document["cohort"]["target"]
    for name, own in table.groupby("recipe"):
        assert own["right"].tolist() == target["counts"]
        np.testing.assert_allclose(own["answered"].sum(), 90)
        assert own["offered"].tolist() == [90, 90, 30, 30], name
    null = table[table["recipe"] == "null"].set_index("place")
    assert set(null["answered"]) <= {0.0, 45.0, 90.0}  # in each fold the place of its training patients


def test_the_page_says_what_was_asked_and_where_the_answers_stood(trial: chiasm.Trial, tmp_path: Path) -> None:
    page = unescape(trial.report(tmp_path / "report.html").read_text(encoding="utf-8"))
    assert "the right one of each patient's own options" in page and "2 for 60, 4 for 30" in page
    assert "a guess is right for 42 %" in page and 'id="place-table"' in page
    assert "probability of the chosen option" in page


def test_the_card_of_a_model_takes_the_trial_of_its_cohort(trial: chiasm.Trial, tmp_path: Path) -> None:
    model = chiasm.fit(planted(), "single:question", seed=0)
    text = chiasm.write_card(model, tmp_path / "card.md", trial=trial).read_text(encoding="utf-8")
    assert "accuracy" in text and "options" in text
    with pytest.raises(chiasm.TrialError, match="the outcome"):
        chiasm.write_card(chiasm.fit(planted(right="place"), "single:question", seed=0), tmp_path / "c.md", trial=trial)


def test_permuting_options_permutes_probabilities(model: chiasm.fitting.model.FittedModel) -> None:
    one, other = planted(), planted(order=7)
    assert one.options is not None and other.options is not None

    def by_text(cohort: Cohort, found: pd.DataFrame) -> list[dict[str, float]]:
        assert cohort.options is not None
        p = found.filter(like="p_").to_numpy()
        return [dict(zip(own, row, strict=False)) for own, row in zip(cohort.options.texts, p, strict=True)]

    told, turned = model.predict(one), model.predict(other)
    for own, its in zip(by_text(one, told), by_text(other, turned), strict=True):
        np.testing.assert_allclose(list(own.values()), [its[text] for text in own], rtol=1e-9)
    assert not told["choice"].equals(turned["choice"])
    again = chiasm.fit(other, "single:image,models=linear", seed=0)  # in training too
    for own, its in zip(by_text(one, told), by_text(one, again.predict(one)), strict=True):
        np.testing.assert_allclose(list(own.values()), [its[text] for text in own], atol=1e-5)


def test_to_predict_takes_options_and_no_answer(model: chiasm.fitting.model.FittedModel, tmp_path: Path) -> None:
    cohort = planted(seed=3)
    whole = model.predict(cohort)
    model.save(tmp_path / "model")
    opened = chiasm.load_model(tmp_path / "model")
    asked = planted(seed=3, right="").with_target(None, None).subset([4, 7])  # four options of the whole cohort
    found = opened.predict(asked)
    pd.testing.assert_frame_equal(found, whole.loc[found.index], check_dtype=False, atol=1e-12)
    assert not [own for own in chiasm.check_cohort(planted(right="")) if own.severity == "error"]
    assert list(found.columns) == ["pattern", "choice", "p_1", "p_2", "p_3", "p_4"]
    assert (found[["p_3", "p_4"]] == 0).all().all() and set(whole["choice"]) == {1, 2, 3, 4}
    with pytest.raises(chiasm.Unsupported, match=r"target=chiasm\.Choice"):
        opened.predict({"image": {"x": 0.1, "y": 0.2}})
    with pytest.raises(chiasm.Unsupported, match="has no form in ONNX"):
        chiasm.export_onnx(opened, tmp_path / "model.onnx")


def test_recipes_that_know_no_options_say_so() -> None:
    cohort = planted(40)
    for name in ("boosted-trees", "block-forest", "kron-rls"):
        assert not supported(make_recipe(name), cohort)
    with pytest.raises(chiasm.Unsupported, match="another recipe"):
        chiasm.fit(cohort, "boosted-trees", seed=0)


@pytest.mark.nightly
def test_a_network_reads_the_question_and_the_image_together() -> None:
    """Whether the image agrees with the question: neither alone, nor any sum of both, can tell yes from no."""
    rng = np.random.default_rng(0)
    n = 600
    image, question = rng.choice([-1.0, 1.0], n), rng.choice([-1.0, 1.0], n)
    shown = [["yes", "no"] if own else ["no", "yes"] for own in rng.random(n) < 0.5]
    ids = [f"q{row:03d}" for row in range(n)]
    patients = pd.DataFrame(
        {"answer": np.where(image * question > 0, "yes", "no"), "options": list(map(json.dumps, shown))}, index=ids
    )
    frames = {
        name: pd.DataFrame(own[:, None] + 0.3 * rng.normal(size=(n, 4)), index=ids, columns=list("abcd"))
        for name, own in (("image", image), ("question", question))
    }
    cohort = chiasm.cohort_from_frames(patients, frames, chiasm.Choice("answer", "options"))
    recipes = ["late-fusion", "healnet", "healnet:modality=image", "healnet:modality=question"]
    trial = chiasm.evaluate(cohort, recipes, chiasm.Protocol(folds=3, repeats=1), seed=0, jobs=1)
    of = {row["name"]: row["mean"] for row in trial.document["recipes"]}
    assert of["healnet"] > 0.9 and of["late-fusion"] < 0.6 and of["single:question"] < 0.6, of
    assert trial.verdict is not None and trial.verdict.outcome == "pays"
