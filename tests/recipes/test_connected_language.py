"""A language model reads modalities through a connector: it answers from the picture, and says what it cannot read."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import chiasm
from chiasm.fitting.base import trainable
from chiasm.fitting.card import held_of_training
from chiasm.fitting.model import FittedModel
from chiasm.language.asked import ANSWERS, PROMPT
from chiasm.language.predictor import ConnectedPredictor
from chiasm.language.taught import lessons
from chiasm.language.tiny import TinyLanguage
from chiasm.recipes.language.biomedgpt import BioMedGpt
from chiasm.recipes.language.connected import Questions, exchanged
from chiasm.recipes.language.llava_med import LlavaMed
from chiasm.recipes.language.med_palm_m import MedPalmM
from chiasm.recipes.registry import RECIPES
from chiasm.testing import check_recipe
from molecule_cohorts import whole_parts
from planted_shapes import shapes_cohort

BRIEF: dict[str, Any] = {"epochs": 1, "lessons": 1, "soft": 2, "connector": "resampler", "batch": 64}
CHANCE = (1 / 3 + 1 / 2 + 1 / 2) / 3


def right(model: Any, cohort: chiasm.Cohort) -> float:
    """Share of the answers that are right."""
    assert cohort.outcome is not None
    said = model.predict(cohort)["choice"].to_numpy()
    return float((said == cohort.outcome.value[cohort.order].astype(int) + 1).mean())


@pytest.fixture(scope="module")
def brief() -> FittedModel:
    """A model that was hardly trained."""
    return LlavaMed(**BRIEF).fit(shapes_cohort(40), seed=0)


def test_it_is_stored_and_opened_and_answers_the_same_whoever_else_is_asked(brief: FittedModel, tmp_path: Path) -> None:
    asked = shapes_cohort(6, seed=1)
    brief.save(tmp_path / "model")
    opened = chiasm.load_model(tmp_path / "model")
    expected = brief.predict(asked)
    pd.testing.assert_frame_equal(opened.predict(asked), expected)
    alone = brief.predict(asked.subset([2]))
    np.testing.assert_allclose(
        alone.filter(like="p_").to_numpy(), expected.filter(like="p_").iloc[[2]].to_numpy(), atol=1e-6
    )
    without = brief.predict(asked.with_modalities(["question"]))
    assert set(without["pattern"]) == {"question"} and not np.allclose(without["p_1"], expected["p_1"])
    assert "of five training texts or more" in " ".join(held_of_training(brief))


def test_the_weights_of_a_tiny_model_that_was_taught_count_as_trained(brief: FittedModel) -> None:
    predictor = brief.predictor
    assert isinstance(predictor, ConnectedPredictor)
    made = predictor.network()
    assert brief.trained_parameters == sum(own.numel() for own in made.parameters()) > 80_000


def test_a_lesson_of_a_long_report_is_within_the_reach() -> None:
    base, said = shapes_cohort(12), [f"{k:02d}" + "xyz" * 60 for k in range(12)]
    images = dict(zip(base.ids.tolist(), base.raw("image"), strict=True))
    reports = pd.DataFrame({"report": said}, index=base.ids)
    cohort = chiasm.cohort_from_frames(reports, {"image": images}, chiasm.FreeText("report"))
    recipe = LlavaMed(**BRIEF)
    asked = recipe.questions(trainable(cohort, 0, None, "cpu"))
    language = recipe.language(asked)
    assert isinstance(language, TinyLanguage)
    words = language.words
    prompts = asked.asked.prompts(asked.cohort, words)
    made = lessons(prompts, asked.answers, asked.right, asked.held_out, words, number=20, most=2, seed=0)
    longest = [int(made.tokens[name].lengths.max()) for name in (PROMPT, ANSWERS)]
    assert longest[0] > 180 and sum(longest) <= language.reach


def test_the_order_of_options_decides_nothing(brief: FittedModel) -> None:
    asked = shapes_cohort(6, seed=1)
    assert asked.options is not None
    texts = np.empty(6, dtype=object)
    texts[:] = [own[::-1] for own in asked.options.texts.tolist()]
    turned = replace(asked, options=replace(asked.options, texts=texts))
    given, other = brief.predict(asked), brief.predict(turned)
    for row, own in enumerate(asked.options.texts.tolist()):
        forth = [float(given[f"p_{k + 1}"].iloc[row]) for k in range(len(own))]
        back = [float(other[f"p_{k + 1}"].iloc[row]) for k in range(len(own))]
        np.testing.assert_allclose(forth, back[::-1], atol=1e-6)


def asked_at_length(questions: list[str]) -> chiasm.Cohort:
    """Pictures with these questions, between two answers."""
    shown = shapes_cohort(len(questions), seed=1)
    frames = {
        "image": dict(zip(shown.ids.tolist(), shown.raw("image"), strict=True)),
        "question": pd.Series(questions, index=shown.ids),
    }
    table = pd.DataFrame({"a": "ring", "b": "cross"}, index=shown.ids)
    return chiasm.cohort_from_frames(table, frames, chiasm.Choice(options=("a", "b")), kinds={"question": "text"})


def test_a_prompt_beyond_the_reach_is_cut_for_its_patient_alone_and_said(brief: FittedModel) -> None:
    plain, long = "which shape is it?", "which shape is it? " * 80
    with pytest.warns(chiasm.FindingWarning, match=r"the texts of 2 patients \(rows 2, 3\) are longer") as said:
        found = brief.predict(asked_at_length([long, long + "no", plain, plain]))
    assert len(said) == 1 and "shape" not in str(said[0].message)
    pd.testing.assert_frame_equal(found.iloc[2:], brief.predict(asked_at_length([plain] * 4)).iloc[2:])
    predictor = brief.predictor
    assert isinstance(predictor, ConnectedPredictor)
    words, room = predictor.network().fusion.language.words, 40  # type: ignore[union-attr]
    cut = predictor.asked.cut(long, (), words, room)
    whole = predictor.asked.prompt(long, (), words)
    assert len(cut) == room + 1 and cut[:30] == whole[:30] and cut[-2:] == whole[-2:]  # one slot more than the words


def test_answers_beyond_the_reach_are_counted_and_refused(brief: FittedModel) -> None:
    cohort = asked_at_length(["which shape is it?"] * 2)
    assert cohort.options is not None
    texts = np.empty(2, dtype=object)
    texts[:] = [("ring", "cross " * 400), ("ring", "cross")]
    with pytest.raises(chiasm.Unsupported, match=r"the prompts of 1 patient have up to .* can read"):
        brief.predict(replace(cohort, options=replace(cohort.options, texts=texts)))


def test_what_it_cannot_answer_or_read_is_refused_before_anything_is_trained() -> None:
    with pytest.raises(chiasm.Unsupported, match="take a target of kind choice"):
        chiasm.fit(chiasm.synthetic_cohort("complementary", 60, seed=1, target="regression"), "llava-med")
    with pytest.raises(chiasm.Unsupported, match="all of this cohort are read as words"):
        LlavaMed().supports(shapes_cohort(20).with_modalities(["question"]))
    with pytest.raises(chiasm.Unsupported, match="no modality 'asked'"):
        LlavaMed(question="asked").supports(shapes_cohort(20).with_modalities(["image"]))
    with pytest.raises(chiasm.Unsupported, match="'image' is not read as words"):
        LlavaMed(question="image").asked(shapes_cohort(20), chiasm.Choice("answer", ("a", "b", "c"), "text"))
    with pytest.raises(chiasm.Unsupported, match="no modality 'note', which `connected` names"):
        LlavaMed(connected="note").supports(shapes_cohort(20))
    both = LlavaMed(connected="question")
    assert both.slots(shapes_cohort(20)) == ("image", "question") and both.words(shapes_cohort(20)) == ()
    for options in ({"connector": "glue"}, {"images": "none"}, {"soft": 0}, {"most": -1}):
        with pytest.raises(ValueError, match=r"is not known|lies outside|0 or more"):
            LlavaMed(**options)  # type: ignore[arg-type]


def test_a_trial_compares_it_with_the_same_trained_on_images_of_others() -> None:
    assert LlavaMed().against == "llava-med:images=shuffled" and LlavaMed().compared_with.against == ""
    assert LlavaMed(control="none").against == "" and LlavaMed(modality="image").against == ""
    has = np.array([True, False, True, True, False])
    order = exchanged(has, np.random.default_rng(0))
    assert sorted(order.tolist()) == [0, 1, 2, 3, 4]
    assert all((order[row] != row) == here for row, here in enumerate(has.tolist()))


@pytest.mark.nightly
@pytest.mark.parametrize("kind", ["classification", "choice", "text"])
def test_laws_hold(kind: str) -> None:
    check_recipe(LlavaMed(epochs=2, lessons=1, soft=4, batch=16), kinds=(kind,), n=84)


@pytest.mark.nightly
@pytest.mark.parametrize("name", ["gmai-vl", "retina-vlm", "med-palm-m", "med-gemini"])
def test_laws_hold_of_other_curricula(name: str) -> None:
    check_recipe(RECIPES[name](epochs=2, lessons=1, soft=4, batch=16), kinds=("classification",), n=84)


@pytest.mark.nightly
def test_laws_hold_of_molecules() -> None:
    pytest.importorskip("rdkit.Chem")
    check_recipe(BioMedGpt(epochs=2, lessons=1, soft=4, batch=16), kinds=("classification",), n=60, parts=whole_parts)


def test_a_recipe_that_cannot_do_what_it_is_asked_says_what_can() -> None:
    pictures = shapes_cohort(20).with_modalities(["image"])
    with pytest.raises(chiasm.Unsupported, match="is taught by a table"):
        RECIPES["retina-vlm"]().supports(pictures)
    with pytest.raises(chiasm.Unsupported, match="reads molecules"):
        BioMedGpt().supports(pictures)
    for wrong in ({"tune": "lora"}, {"soft": 2000}):
        with pytest.raises(ValueError, match=r"leaves the language model|lies outside"):
            BioMedGpt(**wrong)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="must be 1 or more"):
        MedPalmM(temperature=0.5)


def test_an_exemplar_is_of_a_training_patient_and_never_of_one_held_out(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = list[Questions]()
    learned = MedPalmM.stages

    def kept(self: MedPalmM, asked: Questions, language: Any, soft: int) -> Any:
        seen.append(asked)
        return learned(self, asked, language, soft)

    monkeypatch.setattr(MedPalmM, "stages", kept)
    cohort = shapes_cohort(40)
    model = MedPalmM(**BRIEF).fit(cohort, seed=0)
    (asked,) = seen
    own = asked.asked.exemplars
    assert set(own) == {asked.tasks[row] for row in asked.learned}
    for task, text in own.items():
        said = {asked.answers[row][asked.right[row]] for row in asked.learned if asked.tasks[row] == task}
        assert text.startswith("<image>\nQuestion: ") and text.rsplit(": ", 1)[1] in said
    assert "3 questions of training patients with the right answer, word for word" in held_of_training(model)


@pytest.mark.nightly
def test_it_answers_from_the_picture_and_shuffled_pictures_leave_chance() -> None:
    train, tested = shapes_cohort(400, seed=1), shapes_cohort(300, seed=2)
    model = chiasm.fit(train, "llava-med", seed=0)
    assert right(model, tested) > 0.85
    margin = 2.6 * (CHANCE * (1 - CHANCE) / 300) ** 0.5
    assert abs(right(model, shapes_cohort(300, seed=2, exchanged=True)) - CHANCE) < margin
    control = chiasm.fit(train, "llava-med:images=shuffled", seed=0)
    assert abs(right(control, tested) - CHANCE) < margin
