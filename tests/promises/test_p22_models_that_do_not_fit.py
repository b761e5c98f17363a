"""P22: fitted models that do not fit are refused by header, before a weight is read; and scores tell (P24)."""

from __future__ import annotations

import copy
import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from chiasm import api, artifact
from chiasm.cohort import Cohort, Unsupported
from chiasm.fitting.model import FittedModel
from chiasm.fitting.neural import NetworkPredictor
from chiasm.models.merged import Merged
from chiasm.models.merged_scores import mean_response
from small_recipes import mixed, read_no_weights, small

KINDS = ("classification", "survival", "regression")


@pytest.fixture(scope="module")
def cohorts() -> dict[str, Cohort]:
    return {kind: mixed(kind) for kind in KINDS}


@pytest.fixture(scope="module")
def fitted(cohorts: dict[str, Cohort]) -> dict[str, list[FittedModel]]:
    """Three seeds a kind of target, on the same patients."""
    return {kind: [small("healnet").fit(cohorts[kind], seed=seed) for seed in range(3)] for kind in KINDS}


def folders(models: list[FittedModel], place: Path) -> list[Path]:
    for number, model in enumerate(models):
        model.save(place / f"seed-{number}")
    return [place / f"seed-{number}" for number in range(len(models))]


def changed(model: FittedModel, **parts: Any) -> FittedModel:
    return dataclasses.replace(model, predictor=dataclasses.replace(model.predictor, **parts))  # type: ignore[type-var]


def state(model: Any) -> dict[str, np.ndarray]:
    assert isinstance(model.predictor, NetworkPredictor)
    return model.predictor.state


@pytest.mark.parametrize("kind", KINDS)
def test_one_model_and_the_endpoints_predict_as_it_did(
    kind: str, fitted: dict[str, list[FittedModel]], cohorts: dict[str, Cohort]
) -> None:
    a, b, _ = fitted[kind]
    for merged in (
        api.merge([a]).model, api.merge([a, b], weights=[1, 0]).model, api.merge([b, a], "slerp", weights=[0, 2]).model,
        api.merge([a, a]).model, api.merge([a], "ties:density=1", base=b).model,
    ):  # fmt: skip
        np.testing.assert_allclose(
            merged.predict(cohorts[kind]).iloc[:, 1:], a.predict(cohorts[kind]).iloc[:, 1:], rtol=1e-4, atol=1e-6
        )


def test_folders_and_models_merge_to_the_same_and_the_result_is_a_model(
    fitted: dict[str, list[FittedModel]], cohorts: dict[str, Cohort], tmp_path: Path
) -> None:
    places = folders(fitted["survival"], tmp_path)
    found = api.merge(places[:2], "ties:density=0.5,scale=0.8", base=places[2], weights=[1, 2])
    direct = api.merge(fitted["survival"][:2], "ties:density=0.5,scale=0.8", base=fitted["survival"][2], weights=[1, 2])
    for key, value in state(direct.model).items():
        assert np.array_equal(state(found.model)[key], value)
    found.model.save(tmp_path / "merged")
    again = api.load_model(tmp_path / "merged")
    assert again.predict(cohorts["survival"]).equals(found.model.predict(cohorts["survival"]))
    key = "head.linear.weight"
    mean = np.mean([state(model)[key] for model in fitted["survival"]], axis=0)
    np.testing.assert_allclose(state(api.merge(fitted["survival"]).model)[key], mean, rtol=1e-5, atol=1e-7)


def test_a_step_function_is_averaged_as_one(fitted: dict[str, list[FittedModel]]) -> None:
    first, second, third = (model.response for model in fitted["survival"])
    mean = mean_response([first, second, third], [1.0, 3.0, 0.0])
    for time in [0.0, *first.event_times[:3], *second.event_times[-3:], 1e9]:
        steps = [float(own.hazard[own.event_times <= time].max(initial=0.0)) for own in (first, second, mean)]
        assert steps[2] == pytest.approx(0.25 * steps[0] + 0.75 * steps[1])
    assert mean.slope == pytest.approx(0.25 * first.slope + 0.75 * second.slope)


def test_models_that_differ_are_refused_before_a_weight_is_read(
    fitted: dict[str, list[FittedModel]], cohorts: dict[str, Cohort], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    a = fitted["classification"][0]
    wide, late = small("healnet", latent_width=16), small("late-fusion")
    other_classes = dataclasses.replace(a.response, classes=("x", "y"))
    headless = {key: value for key, value in state(a).items() if key != "head.linear.bias"}
    others = {
        "wide": (wide.fit(cohorts["classification"], seed=0), "has shape"),
        "late": (late.fit(cohorts["classification"], seed=0), "holds no network"),
        "target": (fitted["survival"][0], "different targets"),
        "recipe": (small("lego-fuse").fit(cohorts["classification"], seed=0), r"'healnet' and .* 'lego-fuse'"),
        "centre": (changed(a, centre=1.0), "different means by which the outcome is standardised"),
        "modality": (dataclasses.replace(a, modalities={**a.modalities, "m1": "omics"}), "different modalities"),
        "classes": (dataclasses.replace(a, response=other_classes), "different classes"),
        "less": (changed(a, state=headless), "lacks 'head.linear.bias'"),
    }  # fmt: skip
    a.save(tmp_path / "a")
    for name, (model, _) in others.items():
        model.save(tmp_path / name)

    read_no_weights(monkeypatch)
    for name, (model, message) in others.items():
        with pytest.raises((ValueError, Unsupported), match=message) as caught:
            api.merge([tmp_path / "a", tmp_path / name])
        assert f"model 2 ({name})" in str(caught.value) or name == "recipe"
        assert str(tmp_path) not in str(caught.value)
        with pytest.raises((ValueError, Unsupported), match=message):
            api.merge([a, model])
    with pytest.raises(ValueError, match="has shape"):
        api.merge([tmp_path / "a"], "ties", base=tmp_path / "wide")
    for arguments, message in (
        ({"method": "tise"}, "did you mean 'ties'"), ({"method": "ties"}, "give the base"),
        ({"method": "ties:density"}, "write density="),
        ({"method": "ties:density=x", "base": a}, "must be a number, got 'x'"),
        ({"method": "ties:dense=1", "base": a}, "no option 'dense'"), ({"base": a}, "no use for a base"),
        ({"weights": [1.0]}, "one finite weight"), ({"weights": [0.0, 0.0]}, "not all zero"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=message):
            api.merge([tmp_path / "a", tmp_path / "a"], **arguments)
    with pytest.raises(ValueError, match="no model"):
        api.merge([])


def test_encoders_that_were_fitted_on_other_patients_are_refused(
    fitted: dict[str, list[FittedModel]], cohorts: dict[str, Cohort], tmp_path: Path
) -> None:
    """Their arrays have the same shapes; what they scale by differs."""
    cohort = cohorts["classification"]
    other = small("healnet").fit(cohort.subset(np.arange(len(cohort)) > 10), seed=0)
    places = folders([fitted["classification"][0], other], tmp_path)
    for models in ([fitted["classification"][0], other], places):
        with pytest.raises(Unsupported, match=r"were fitted on different patients, .*: fit the models on one cohort"):
            api.merge(models)


def first_array(part: Any) -> np.ndarray | None:
    """The first array of numbers that lies in a part."""
    if isinstance(part, np.ndarray):
        return part if part.size and part.dtype.kind == "f" else None
    inside = part.values() if isinstance(part, dict) else vars(part).values() if dataclasses.is_dataclass(part) else ()
    return next((found for found in map(first_array, inside) if found is not None), None)


def test_encoders_that_differ_in_an_array_alone_are_refused(
    fitted: dict[str, list[FittedModel]], tmp_path: Path
) -> None:
    """The description is the same to the last digit: only the weights file tells."""
    other = copy.deepcopy(fitted["classification"][1])
    assert isinstance(other.predictor, NetworkPredictor)
    array = first_array(other.predictor.encoders)
    assert array is not None
    array += 1e-3
    models = [fitted["classification"][0], other]
    for given in (models, folders(models, tmp_path)):
        with pytest.raises(Unsupported, match="were fitted on different patients"):
            api.merge(given)


@pytest.mark.parametrize("kind", KINDS)
def test_every_model_is_scored_and_the_better_one_is_named(
    kind: str, fitted: dict[str, list[FittedModel]], cohorts: dict[str, Cohort]
) -> None:
    found = api.merge(fitted[kind][:2], cohort=cohorts[kind])
    assert list(found.scores) == ["model 1", "model 2", "merged"]
    assert all(np.isfinite(own[found.metric]) for own in found.scores.values())
    best = max(own[found.metric] for own in found.scores.values())
    assert found.best is not None and found.scores[found.best][found.metric] == best
    same = api.merge([fitted[kind][0]] * 2, cohort=cohorts[kind])
    assert same.best == "merged" and same.warning is None
    assert same.scores["merged"] == pytest.approx(same.scores["model 1"], rel=1e-5, nan_ok=True)


def test_a_merge_that_does_not_pay_is_said_and_not_undone(fitted: dict[str, list[FittedModel]]) -> None:
    model = fitted["classification"][0]
    worse = Merged(model, "auroc", {"model 1": {"auroc": 0.7}, "model 2": {"auroc": 0.8}, "merged": {"auroc": 0.75}})
    assert worse.best == "model 2" and "auroc is 0.750, and 0.800 for 'model 2' alone" in str(worse.warning)
    none = Merged(model, "auroc", {"model 1": {"auroc": 0.7}, "merged": {"auroc": float("nan")}})
    assert "not estimable" in str(none.warning)
    assert Merged(model, "auroc", {}).warning is None


def test_a_cohort_with_another_target_is_refused(
    fitted: dict[str, list[FittedModel]], cohorts: dict[str, Cohort]
) -> None:
    with pytest.raises(Unsupported, match="a target of kind 'classification'"):
        api.merge(fitted["classification"], cohort=cohorts["survival"])


def test_a_damaged_header_or_description_is_refused(fitted: dict[str, list[FittedModel]], tmp_path: Path) -> None:
    a, b, _ = folders(fitted["classification"], tmp_path)
    document = json.loads((b / "model.json").read_text())
    del document["model"]["predictor"]["design"]
    document["sha256"] = artifact.files.digest(document)
    (b / "model.json").write_text(json.dumps(document))
    with pytest.raises(api.ArtifactError, match=r"no 'predictor\.design'"):
        api.merge([a, b])
    (a / "weights.safetensors").write_bytes(b"\xff" * 64)
    with pytest.raises(api.ArtifactError, match="truncated or is not safetensors"):
        api.merge([a, a])
