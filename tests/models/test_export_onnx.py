"""A model as an ONNX file says what the model says, of every pattern of modalities, and holds no more than it may."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import chiasm
from archived import RELEASES
from chiasm import Unsupported
from chiasm.models.export import answer, checking
from chiasm.models.export.checking import session_of
from chiasm.models.export.inputs import Reading

ARCHIVE = RELEASES[-1]
CLOSE = 1e-5


@pytest.fixture(scope="module", autouse=True)
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder for exported files; models name their encoders from the archive."""
    made = tmp_path_factory.mktemp("onnx")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ARCHIVE)
        patch.setenv("CHIASM_STORE", str(made / "tokens"))
        yield made


def inputs_of(model: Any, cohort: chiasm.Cohort, description: dict[str, Any]) -> dict[str, np.ndarray]:
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
    given = inputs_of(model, cohort, description)
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
