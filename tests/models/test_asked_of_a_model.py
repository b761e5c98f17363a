"""A model says what it predicts of a patient and why, or answers the question that it reads; identifiers stay out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

import chiasm
from chiasm.cohort import Cohort, Unsupported, cohort_from_frames
from command_line import Run
from lighter_trials import only_ridges
from served_models import cohort, frames

WHO = "case-0006"


@pytest.fixture(scope="module")
def model() -> Any:
    with only_ridges():
        return chiasm.fit(cohort(140), "late-fusion", seed=0)


@pytest.fixture(scope="module")
def others() -> Cohort:
    return cohort(40, seed=3, target=False)


def test_the_answer_is_the_offline_prediction(model: Any, others: Cohort) -> None:
    answer = chiasm.ask(model, "What does the model predict for this patient?", others, patient=WHO)
    offline = model.predict(others).loc[WHO]
    assert answer.answered and {own.key: own.value for own in answer.places} == {
        name: pytest.approx(offline[name], abs=1e-6) for name in ("p_no", "p_yes")
    }
    assert f"'yes' {offline['p_yes']:.3f}" in answer.text and WHO not in str(answer)


def test_contributions_add_up_to_the_prediction(model: Any, others: Cohort) -> None:
    answer = chiasm.ask(model, "Why is the risk high?", others, patient=WHO)
    shares = {own.key: own.value for own in answer.places if own.file == "shares"}
    assert set(shares) == {"p_yes.clinical", "p_yes.lab", "p_yes.rna"}
    whole = float(model.predict(others).loc[WHO, "p_yes"])
    assert sum(shares.values()) + model.prevalence["yes"] == pytest.approx(whole, abs=1e-6)


def test_how_sure_it_is_needs_held_out_patients(model: Any, others: Cohort) -> None:
    assert "--calibrate" in chiasm.ask(model, "How sure is it?", others, patient=WHO).text
    sure = chiasm.ask(model, "How sure is it?", others, patient=WHO, calibrate=cohort(160, seed=9))
    found = chiasm.conformal(model, cohort(160, seed=9)).predict(others).loc[WHO]
    assert {own.key: own.value for own in sure.places if own.value}.items() <= found.to_dict().items()


@pytest.mark.parametrize(
    "question",
    [
        "Should he take aspirin?",
        "Who is he?",
        "What is the survival of case-0007?",
        "Is it cancer?",
        "What would help this patient?",
        "What helps him?",
        "Would it help?",
    ],
)
def test_what_it_does_not_say_is_not_answered(model: Any, others: Cohort, question: str) -> None:
    answer = chiasm.ask(model, question, others, patient=WHO)
    assert not answer.answered and not answer.places and "case" not in answer.text


def test_which_modality_helps_is_told(model: Any, others: Cohort) -> None:
    assert chiasm.ask(model, "Which modality helps most?", others, patient=WHO).topic == "contributions"


def test_of_itself_it_tells_without_a_patient(model: Any) -> None:
    said = chiasm.ask(model, "How many patients did the model learn from?")
    assert said.text == "The model learned from 140 patients." and said.places[0].key == "model.learned_from"
    assert not chiasm.ask(model, "How likely is yes?").answered


@dataclass
class Echo:
    """A model that answers with what it reads: the question's length, or the option that stands in the question."""

    kind: str
    trained_parameters: int = 0
    recipe: str = "echo"
    learned_from: Mapping[str, int] = field(default_factory=dict)
    target: Mapping[str, Any] = field(default_factory=dict)
    modalities: Mapping[str, str] = field(default_factory=lambda: {"question": "text", "rna": "omics"})

    @property
    def response(self) -> Any:
        return SimpleNamespace(kind=self.kind, classes=(), texts=())

    def predict(self, given: Any, **options: Any) -> pd.DataFrame:
        (question,) = given.raw("question")
        columns: dict[str, Any] = {"pattern": ["question+rna"]}
        if self.kind == "text":
            columns["text"] = [f"{question} {given.raw('rna').iloc[0, 0]:.3f}"]
        else:
            texts = given.options.texts[0]
            columns["choice"] = [1]
            columns |= {f"p_{k + 1}": [float(text in str(question))] for k, text in enumerate(texts)}
        return pd.DataFrame(columns, index=list(given.ids))

    def save(self, path: Path | str) -> None:
        raise NotImplementedError


def asked_of(options: bool = True) -> Cohort:
    _, blocks = frames(8)
    ids = list(blocks["rna"].index)
    people = pd.DataFrame({"options": [json.dumps(["left", "right"])] * len(ids)}, index=ids)
    texts = pd.DataFrame({"question": ["the patient's own"] * len(ids)}, index=ids)
    target = chiasm.Choice(options="options") if options else None
    return cohort_from_frames(
        people if options else people.drop(columns="options"), {"question": texts, "rna": blocks["rna"]}, target,
        kinds={"question": "text", "rna": "omics"},
    )  # fmt: skip


def test_a_model_that_reads_a_question_is_given_it_beside_the_patients_own_modalities() -> None:
    own = asked_of(options=False)
    who = str(own.ids[1])
    said = chiasm.ask(Echo("text"), "Is the heart enlarged?", own, patient=who)
    gene = float(np.asarray(own.subset([who]).raw("rna"))[0, 0])
    assert said.text.startswith(f"Is the heart enlarged? {gene:.3f}\n") and "may be wrong" in said.text
    assert [place.key for place in said.places] == ["text"]


def test_a_choice_is_among_the_patients_options_or_those_that_are_given() -> None:
    own = asked_of()
    who = str(own.ids[0])
    assert chiasm.ask(Echo("choice"), "Is it on the right?", own, patient=who).text.startswith("right (of left 0.000")
    given = chiasm.ask(Echo("choice"), "Is it above?", own, patient=who, options=["below", "above", "beside"])
    assert given.text.startswith("above (of below 0.000, above 1.000, beside 0.000)")
    with pytest.raises(Unsupported, match="the patient has none: give --option"):
        chiasm.ask(Echo("choice"), "Where?", asked_of(options=False), patient=who)


@pytest.mark.parametrize("options", [["left"], ["left", "left"], ["left", " "], [str(k) for k in range(27)]])
def test_options_that_are_no_choice_are_refused(options: list[str]) -> None:
    own = asked_of()
    with pytest.raises(Unsupported, match="2 to 26 different options"):
        chiasm.ask(Echo("choice"), "Where?", own, patient=str(own.ids[0]), options=options)


def test_what_is_asked_of_the_wrong_thing_is_refused_and_no_identifier_is_told(
    model: Any, others: Cohort, run: Run, tmp_path: Path
) -> None:
    with pytest.raises(Unsupported, match="name the cohort and --patient"):
        chiasm.ask(model, "How likely?", patient=WHO)
    with pytest.raises(Unsupported, match="leave --option out"):
        chiasm.ask(model, "How likely?", others, patient=WHO, options=["a", "b"])
    with pytest.raises(Unsupported, match="ask a model folder"):
        chiasm.ask(tmp_path, "How likely?", others, patient=WHO)
    with pytest.raises(ValueError, match="are not among the patients") as refused:
        chiasm.ask(model, "How likely?", others, patient="Kowalski")
    assert "Kowalski" not in str(refused.value)
    with pytest.raises(Unsupported, match="about a patient: name a cohort"):
        chiasm.ask(Echo("text"), "Where?")


def test_the_command_asks_a_model_of_a_patient(model: Any, run: Run, tmp_path: Path) -> None:
    model.save(tmp_path / "model")
    _, blocks = frames(8)
    blocks["lab"].to_csv(tmp_path / "lab.csv", index_label="id")
    pd.DataFrame({"id": blocks["lab"].index}).to_csv(tmp_path / "people.csv", index=False)
    manifest = tmp_path / "cohort.toml"
    manifest.write_text(
        'name = "new"\n[patients]\ntable = "people.csv"\nid = "id"\n'
        '[modalities.lab]\nkind = "table"\ntable = "lab.csv"\ncolumns = ["crp"]\n',
        encoding="utf-8",
    )
    who = str(blocks["lab"].index[0])
    said = run("ask", tmp_path / "model", manifest, "How likely is yes?", "--patient", who, "--json")
    assert said.code == 0 and json.loads(said.out)["places"][1]["key"] == "p_yes" and who not in said.out + said.err
    wrong = run("ask", tmp_path / "model", manifest, "How likely is yes?", "--patient", "Kowalski")
    assert wrong.code == 2 and "not among the patients" in wrong.err and "Kowalski" not in wrong.out + wrong.err
    assert run("ask", tmp_path / "model", manifest, "How", "likely").code == 2
