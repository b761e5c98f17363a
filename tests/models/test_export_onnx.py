"""A model as an ONNX file says what the model says, of every pattern of modalities, and holds no more than it may."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import chiasm
import onnx_recipes
from archived import RELEASES
from chiasm import Unsupported
from chiasm.artifact import content_of
from chiasm.encoding.preparing import encode_for
from chiasm.models.export import answer, checking
from chiasm.models.export.checking import session_of
from chiasm.models.export.inputs import Reading
from command_line import Run

ARCHIVE = RELEASES[0]
CLOSE = 1e-5


@pytest.fixture(scope="module", autouse=True)
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder for exported files; models name their encoders from the archive."""
    made = tmp_path_factory.mktemp("onnx")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ARCHIVE)
        patch.setenv("CHIASM_STORE", str(made / "tokens"))
        yield made


def inputs_of(cohort: chiasm.Cohort, description: dict[str, Any]) -> dict[str, np.ndarray]:
    """What a runtime is given of a cohort's patients, written from the description of the file alone."""
    given: dict[str, np.ndarray] = {}
    for own in description["modalities"]:
        name, inputs = own["name"], own["inputs"]
        here = cohort.present[:, cohort.modalities.index(name)]
        rows, raw = np.flatnonzero(here), cohort.raw(name)
        given[inputs["present"]] = here
        if "numbers" in inputs:
            given[inputs["numbers"]] = np.full((len(cohort), len(own["numbers"])), 7.0)
            given[inputs["numbers"]][rows] = raw[own["numbers"]]
        if "words" in inputs:
            given[inputs["words"]] = np.full((len(cohort), len(own["words"])), "who knows", object)
            given[inputs["words"]][rows] = raw[list(own["words"])].fillna("").astype(str)
        if "tokens" in inputs:
            longest = max(map(len, raw))
            given[inputs["tokens"]] = np.full((len(cohort), longest, own["token_width"]), np.nan, np.float32)
            given[inputs["mask"]] = np.ones((len(cohort), longest), bool)
            for row, bag in zip(rows, raw, strict=True):
                given[inputs["tokens"]][row, : len(bag)] = bag
                given[inputs["mask"]][row] = np.arange(longest) < len(bag)
    return given


def exported_and_expected(name: str, place: Path, **options: Any) -> tuple[pd.DataFrame, pd.DataFrame]:
    """What the exported file and the archived model say of the archived cohort."""
    manifest = json.loads((ARCHIVE / "cases.json").read_text())[name]["manifest"]
    model, cohort = chiasm.load_model(Path("models") / name), chiasm.open_cohort(manifest)
    found = chiasm.export_onnx(model, place / f"{name}.onnx", **options)
    session = session_of(found.path)
    description = json.loads(session.get_modelmeta().custom_metadata_map["chiasm"])
    given = inputs_of(encode_for(model, cohort).cohort, description)
    columns = description["outputs"]
    said = session.run([*columns, answer.KNOWN] if model.patterns else columns, given)
    expected = model.predict(cohort).loc[cohort.ids]
    return pd.DataFrame(dict(zip(columns, said, strict=False)), index=expected.index), expected


@pytest.mark.parametrize(
    "name",
    [
        "19-late-fusion-survival", "13-early-fusion-multilabel", "22-stacked-fusion-regression",
        "27-healnet-classification",
    ],
)  # fmt: skip
def test_a_file_says_of_a_cohort_what_the_model_says(name: str, place: Path) -> None:
    found, expected = exported_and_expected(name, place)
    assert list(found.columns) == list(expected.columns[1:])
    np.testing.assert_allclose(found, expected[found.columns], rtol=CLOSE, atol=CLOSE)


def test_a_kernel_is_exported_on_demand_alone(place: Path) -> None:
    name, out = "25-kron-rls-classification", place / "25-kron-rls-classification.onnx"
    with pytest.raises(Unsupported, match=r"row by row, for whoever it is passed on to: .*--with-training-rows"):
        chiasm.export_onnx(Path("models") / name, out)
    assert not out.exists()
    found, expected = exported_and_expected(name, place, with_training_rows=True)
    np.testing.assert_allclose(found, expected[found.columns], rtol=CLOSE, atol=CLOSE)


def test_an_encoder_that_was_changed_is_refused_before_anything_is_computed(place: Path) -> None:
    with pytest.raises(Unsupported, match="an encoder's network that was changed in training"):
        chiasm.export_onnx(Path("models") / "48-lora-classification", place / "lora.onnx")


def test_a_graph_that_differs_is_not_handed_over(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    right = answer.calibrated
    monkeypatch.setattr(answer, "calibrated", lambda link, response: right(link, response) * 1.001)
    with pytest.raises(Unsupported, match="predictions differ by"):
        chiasm.export_onnx(Path("models") / "02-single-regression", place / "wrong.onnx")
    assert not list(place.glob("*wrong*"))


def test_a_graph_that_reads_absent_modalities_is_not_handed_over(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Reading, "present", lambda self, name: self.rows.op("Equal", 0.0).squeezed(1))
    monkeypatch.setattr(checking, "difference", lambda found, expected: 0.0)
    with pytest.raises(Unsupported, match="behind an absent modality"):
        chiasm.export_onnx(Path("models") / "12-early-fusion-classification", place / "wrong.onnx")
    assert not list(place.glob("*wrong*"))


def test_who_has_nothing_is_no_number_and_an_unseen_pattern_is_told(place: Path) -> None:
    model = chiasm.load_model(Path("models") / "20-stacked-fusion-classification")
    model = dataclasses.replace(model, patterns=("cells+clinical", "omics"))
    found = chiasm.export_onnx(model, place / "patterns.onnx")
    present = np.array([[False, False, False], [True, True, False], [False, False, True], [True, True, True]])
    given: dict[str, np.ndarray] = {}
    for m, own in enumerate(found.description["modalities"]):
        given[own["inputs"]["present"]] = present[:, m]
    given |= {"cells.tokens": np.ones((4, 2, 3), np.float32), "cells.mask": np.ones((4, 2), bool)}
    given |= {"clinical.numbers": np.zeros((4, 3)), "clinical.words": np.full((4, 1), "high", object)}
    given["omics.numbers"] = np.zeros((4, 6))
    yes, known = session_of(found.path).run(["p_yes", answer.KNOWN], given)
    assert np.isnan(yes).tolist() == [True, False, False, False]
    assert known.tolist() == [False, True, True, False]
    given["cells.mask"][1] = False  # who has not one token lacks the modality
    again, known = session_of(found.path).run(["p_yes", answer.KNOWN], given)
    assert again[1] != yes[1] and known.tolist() == [False, False, True, False]


def test_a_model_with_a_prior_answers_who_has_nothing(place: Path) -> None:
    model = chiasm.load_model(Path("models") / "03-single-survival")
    assert model.has_prior
    found = chiasm.export_onnx(model, place / "prior.onnx")
    given = {"clinical.present": np.zeros(1, bool), "clinical.numbers": np.full((1, 3), 1e9)}
    (risk,) = session_of(found.path).run(["risk"], given | {"clinical.words": np.full((1, 1), "?", object)})
    expected = model.response.frame(model.predictor.link(model_of_nobody(model)))["risk"]
    np.testing.assert_allclose(risk, expected, atol=1e-12)


def model_of_nobody(model: Any) -> chiasm.Cohort:
    """One patient who has none of a model's modalities."""
    cohort = chiasm.open_cohort("cohorts/mixed-survival.toml")
    row = np.flatnonzero(~cohort.present[:, cohort.modalities.index("clinical")])[:1]
    return cohort.subset(row).with_modalities(list(model.modalities))


def test_the_file_says_no_value_of_a_patient_but_levels(place: Path) -> None:
    description = chiasm.export_onnx(Path("models") / "19-late-fusion-survival", place / "told.onnx").description
    told = json.dumps(description)
    patients = pd.read_csv("cohorts/patients.csv", dtype=str)
    assert not [own for own in patients["id"] if f'"{own}"' in told]
    assert not [own for own in patients["a0"].dropna() if own in told]
    assert "without blanks before and behind" in description["words_are"]
    assert description["modalities"][1]["words"] == {"grade": ["high", "low", "middle"]}
    held = " ".join(description["holds_of_training_patients"])
    assert "quantiles" in held and "times at which" not in held  # of the hazard only that at the horizons is inside
    assert description["model"] == content_of(chiasm.load_model(Path("models") / "19-late-fusion-survival"))


def test_the_command_says_inputs_outputs_and_the_difference(place: Path, run: Run) -> None:
    model, out = str(ARCHIVE / "models" / "12-early-fusion-classification"), str(place / "command.onnx")
    said = run("export", model, "--out", out).out
    assert "clinical.words" in said and "(B, T, 3) float32" in said and "Outputs: p_no, p_yes" in said
    assert "Compared with the model on 48 made patients of 8 patterns" in said
    again = run("export", model, "--out", out)
    assert again.code == 2 and "--force" in again.err
    told = json.loads(run("export", model, "--out", out, "--force", "--json").out)
    assert told["compared"]["largest_difference"] < CLOSE and told["bytes"] == Path(out).stat().st_size
    wrong = run("export", model, "--out", str(place / "model.pb"))
    assert wrong.code == 2 and "must end in .onnx" in wrong.err


def test_the_page_has_a_row_for_each_recipe() -> None:
    page = (Path(__file__).parents[2] / "docs" / "onnx.md").read_text(encoding="utf-8")
    table = page.partition(onnx_recipes.START)[2].partition(onnx_recipes.END)[0]
    assert [line.split("`")[1] for line in table.splitlines() if line.startswith("| `")] == sorted(onnx_recipes.ROWS)


@pytest.mark.nightly
def test_every_recipe_is_exported_or_says_why_as_the_page_has_it(place: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "onnx.md").read_text(encoding="utf-8")
    assert onnx_recipes.table_of(onnx_recipes.found_of("", False)) in page


@pytest.mark.nightly
@pytest.mark.parametrize("name", sorted(json.loads((ARCHIVE / "cases.json").read_text())))
def test_every_archived_model_says_what_it_says_or_is_refused(name: str, place: Path) -> None:
    try:
        found, expected = exported_and_expected(name, place, with_training_rows=True)
    except Unsupported as error:
        assert "\n" not in str(error) and ": " in str(error)
        return
    np.testing.assert_allclose(found, expected[found.columns], rtol=CLOSE, atol=CLOSE)
