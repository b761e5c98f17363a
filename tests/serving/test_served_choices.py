"""A model that chooses among each patient's own options: asked for them, and answered by their numbers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from starlette.testclient import TestClient

import chiasm
from chiasm.api.serving import serving_app
from chiasm.cohort import Cohort
from lighter_trials import only_ridges
from served_models import asked


def made(seed: int = 0, n: int = 120) -> Cohort:
    return chiasm.synthetic_cohort("unique", n=n, target="choice", missing=0.3, seed=seed)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("chooses") / "model"
    with only_ridges():
        chiasm.fit(made(), "late-fusion", seed=0).save(path)
    return path


@pytest.fixture(scope="module")
def client(folder: Path) -> Iterator[TestClient]:
    with asked([folder]) as own:
        yield own


def bodies(cohort: Cohort) -> list[dict[str, object]]:
    """The patients of a request, in the order of the cohort's identifiers."""
    assert cohort.options is not None
    found: list[dict[str, object]] = [{"options": list(own)} for own in cohort.options.texts.tolist()]
    for name in cohort.modalities:
        frame = cohort.raw(name)
        for row, (_, values) in zip(cohort.rows_of(name).tolist(), frame.iterrows(), strict=True):
            found[row][name] = values.to_dict()
    return found


def test_the_service_is_the_offline_prediction_in_the_order_of_each_patients_options(
    client: TestClient, folder: Path
) -> None:
    new = made(1, 40)
    assert new.options is not None
    offline = chiasm.load_model(folder).predict(new.with_target(None, None)).loc[list(new.ids)]
    answers = client.post("/predict", json={"patients": bodies(new)}).json()["patients"]
    assert set(new.options.sizes) == {2, 3}
    for answer, size, (_, row) in zip(answers, new.options.sizes, offline.iterrows(), strict=True):
        own = answer["prediction"]
        assert list(own) == ["choice", *(f"p_{place + 1}" for place in range(size))], "no option of others"
        assert own["choice"] == row["choice"]
        np.testing.assert_allclose([own[name] for name in own], row[list(own)].astype(float), atol=1e-9)


def test_a_patient_alone_is_answered_as_among_others_who_have_more_options(client: TestClient) -> None:
    asks = bodies(made(2, 12))
    together = client.post("/predict", json={"patients": asks}).json()["patients"]
    for row in (0, 1):
        (alone,) = client.post("/predict", json={"patients": [asks[row]]}).json()["patients"]
        assert alone["prediction"] == pytest.approx(together[row]["prediction"])


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (None, "no-options", "2 to 26 texts"),
        (["present"], "no-options", "2 to 26 texts"),
        ("present", "no-options", "2 to 26 texts"),
        (["x"] * 27, "no-options", "2 to 26 texts"),
        (["present", " present "], "not-options", "stands twice"),
        (["present", "  "], "not-options", "none is empty"),
        (["present", 3], "not-options", "a text of its own"),
        (["present", "\ud800"], "not-options", "a text of its own"),
    ],
)
def test_options_that_cannot_be_chosen_among_are_told_at_their_field(
    client: TestClient, options: object, code: str, words: str
) -> None:
    body = bodies(made(1, 8))[0] | {"options": options}
    found = client.post(
        "/predict", content=json.dumps({"patients": [body]}), headers={"Content-Type": "application/json"}
    )
    error = found.json()["error"]
    assert (found.status_code, error["code"], error["field"]) == (422, code, "patients[0].options")
    assert words in error["message"] and "present" not in error["message"]


def test_the_schema_asks_for_options_and_an_explanation_is_refused(client: TestClient) -> None:
    patient = client.get("/schema").json()["properties"]["patients"]["items"]
    assert patient["required"] == ["options"] and patient["properties"]["options"]["x-kind"] == "options"
    found = client.post("/explain", json={"patients": bodies(made(1, 8))[:1]})
    assert found.status_code == 422 and "options of each patient's own" in found.json()["error"]["message"]


def test_sets_are_numbers_of_the_patients_own_options(folder: Path) -> None:
    held = made(3, 200)
    with asked([folder], calibrate=held, coverage=0.8) as client:
        answers = client.post("/predict", json={"patients": bodies(made(4, 30))}).json()["patients"]
    told = [answer["sure"]["set"] for answer in answers if answer["sure"]["set"]]
    assert told and all(set(own.split(", ")) <= {"1", "2", "3"} for own in told)


def test_a_modality_of_the_name_that_options_have_is_refused(tmp_path: Path) -> None:
    cohort = chiasm.synthetic_cohort("unique", n=60, target="choice", seed=0)
    assert cohort.options is not None and cohort.outcome is not None
    people = pd.DataFrame({"own": [json.dumps(own) for own in cohort.options.texts]}, index=list(cohort.ids))
    people["right"] = cohort.outcome.value.astype(int) + 1
    frames = {"options": cohort.raw("m1")}
    again = chiasm.cohort_from_frames(people, frames, chiasm.Choice("right", "own", "from 1"))
    with only_ridges():
        chiasm.fit(again, "single:options", seed=0).save(tmp_path / "model")
    with pytest.raises(chiasm.Unsupported, match="name the modality otherwise"):
        serving_app([tmp_path / "model"])
