"""Blocks of different modalities, trained in different places, to one model: without data, and refused where unlike."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from chiasm import api
from chiasm.cohort import Cohort, Unsupported, synthetic_cohort
from chiasm.encoders import pack
from chiasm.fitting.model import FittedModel
from chiasm.fusion.lego_block import pool
from chiasm.merging import spherical_mean
from chiasm.models.merged_blocks import block_method_of
from chiasm.models.merged_scores import scores_of
from chiasm.recipes.fusion import lego_blocks
from chiasm.recipes.fusion.lego_blocks import in_order, matched_widths, restored_block
from chiasm.recipes.fusion.lego_merge import LegoMergePredictor
from chiasm.testing.cohorts import restricted
from chiasm.tokens import Tokens
from small_recipes import at_night, gap, mixed, read_no_weights, small

KINDS = ("regression", "survival", "classification", "multilabel")
PLACES = {"m1": 0, "m2": 1}


def halves(cohort: Cohort) -> list[Cohort]:
    """Two places that share no patient."""
    return [cohort.subset(np.arange(len(cohort)) % 2 == k) for k in (0, 1)]


def block(cohort: Cohort, modality: str, seed: int = 0, **options: Any) -> FittedModel:
    model = small("lego-merge", blocks=modality, **options).fit(cohort, seed=seed)
    assert isinstance(model, FittedModel)
    return model


@pytest.fixture(scope="module")
def cohorts() -> dict[str, Cohort]:
    """All horizons are named, as places that mean to merge their models have to."""
    found = {kind: mixed(kind) for kind in KINDS}
    survival = found["survival"]
    assert survival.target is not None and survival.outcome is not None
    target = dataclasses.replace(survival.target, times=(5.0, 10.0))  # type: ignore[call-arg]
    return found | {"survival": survival.with_target(target, survival.outcome)}


@pytest.fixture(scope="module")
def blocks(cohorts: dict[str, Cohort]) -> dict[str, list[FittedModel]]:
    """A block of `m1` from one half of the patients, one of `m2` from the other."""
    return {
        kind: [block(place, name) for place, name in zip(halves(cohorts[kind]), PLACES, strict=True)] for kind in KINDS
    }


@pytest.mark.parametrize("kind", KINDS)
def test_blocks_of_two_places_are_one_model_that_reads_whatever_a_patient_has(
    kind: str, blocks: dict[str, list[FittedModel]], cohorts: dict[str, Cohort], tmp_path: Path
) -> None:
    for number, model in enumerate(blocks[kind]):
        model.save(tmp_path / f"place-{number}")
    found = api.merge([tmp_path / "place-0", tmp_path / "place-1"])
    assert sorted(found.model.modalities) == ["m1", "m2"] and found.model.recipe == "lego-merge"
    found.model.save(tmp_path / "merged")
    again = api.load_model(tmp_path / "merged")
    for pattern in (("m1",), ("m2",), ("m1", "m2")):
        frame = found.model.predict(restricted(cohorts[kind], pattern))
        assert set(frame["pattern"]) == {"+".join(pattern)} and np.isfinite(frame.iloc[:, 1:].to_numpy()).all()
        assert again.predict(restricted(cohorts[kind], pattern)).equals(frame)
    if kind != "regression":  # whose means and scales differ between places
        for name, model in zip(PLACES, blocks[kind], strict=True):  # one block alone says what it said
            alone = restricted(cohorts[kind], (name,))
            alone = alone.with_modalities((name,))
            own, merged = model.predictor.link(alone), found.model.predictor.link(alone)
            np.testing.assert_allclose(merged, own, rtol=1e-6, atol=1e-9)


def test_the_latents_and_heads_are_averaged_by_the_weights(
    blocks: dict[str, list[FittedModel]], cohorts: dict[str, Cohort]
) -> None:
    both = restricted(cohorts["classification"], ("m1", "m2")).with_modalities(("m1", "m2"))
    parts = [model.predictor for model in blocks["classification"]]
    merged = api.merge(blocks["classification"], "mean:head=slerp", weights=[1, 3]).model.predictor
    embeddings = []
    for name, part in zip(PLACES, parts, strict=True):
        assert isinstance(part, LegoMergePredictor)
        own = pack(both.with_modalities((name,)), part.encoders)[name].take(np.arange(len(both)))
        net = restored_block(part.sizes, part.shapes[name], part.blocks[name]).double().eval()
        with torch.no_grad():
            embeddings.append(pool(net(Tokens(own.values.double(), own.mask), torch.ones(len(both), dtype=torch.bool))))
    heads = {
        key: spherical_mean(
            [torch.from_numpy(part.heads[n][key]) for n, part in zip(PLACES, parts, strict=True)], [1, 3]
        )
        for key in parts[0].heads["m1"]
    }
    mean = 0.25 * embeddings[0] + 0.75 * embeddings[1]
    read = torch.nn.functional.layer_norm(
        mean, mean.shape[-1:], heads["norm.weight"].double(), heads["norm.bias"].double()
    )
    expected = read @ heads["linear.weight"].double().T + heads["linear.bias"].double()
    np.testing.assert_allclose(merged.link(both), expected.numpy(), rtol=1e-5, atol=1e-7)


BY_DAY = {("mean", "slerp"), ("mean", "ot"), ("product", "slerp")}


@pytest.mark.parametrize(
    ("method", "head"),
    [
        pytest.param(method, head, marks=[] if (method, head) in BY_DAY else [pytest.mark.nightly])
        for method in ("mean", "harmonic", "geometric", "product")
        for head in ("slerp", "linear", "ot")
    ],
)
def test_any_number_of_blocks_in_any_order(method: str, head: str, cohorts: dict[str, Cohort]) -> None:
    cohort = cohorts["classification"]
    three = [block(cohort, name) for name in ("m1", "m2", "m3")]
    merged = api.merge(three, f"{method}:head={head}").model
    frame = merged.predict(cohort)
    assert gap(frame, api.merge(three[::-1], f"{method}:head={head}").model.predict(cohort)) < 1e-9
    whole = small("lego-merge", method=method, head_method=head).fit(cohort, seed=0)
    assert np.isfinite(frame.iloc[:, 1:].to_numpy()).all() and list(frame.columns) == list(
        whole.predict(cohort).columns
    )


def test_widths_in_another_order_are_found_by_transport(blocks: dict[str, list[FittedModel]]) -> None:
    predictor = blocks["classification"][0].predictor
    assert isinstance(predictor, LegoMergePredictor)
    head = predictor.heads["m1"]
    order = np.random.default_rng(0).permutation(len(head["norm.weight"]))
    found = matched_widths({"a": head, "b": in_order(head, order)})
    assert np.array_equal(found["a"], np.arange(len(order))) and np.array_equal(
        order[found["b"]], np.arange(len(order))
    )


def test_other_starts_are_refused_unless_widths_are_matched(cohorts: dict[str, Cohort]) -> None:
    cohort = cohorts["classification"]
    models = [block(cohort, "m1", seed=0), block(cohort, "m2", seed=1)]
    with pytest.raises(Unsupported, match=r"one --seed, or match their widths by head=ot"):
        api.merge(models)
    both = restricted(cohort, ("m1", "m2"))
    mixed_starts = api.merge(models, "mean:head=ot").model
    assert len(mixed_starts.predict(both)) == len(both)
    third = block(cohort, "m3", seed=0)
    for given in ([mixed_starts, third], [third, mixed_starts]):  # what one merge matched, the next does not forget
        with pytest.raises(Unsupported, match=r"started from different latents.*head=ot"):
            api.merge(given)
    assert len(api.merge([mixed_starts, third], "mean:head=ot").model.predict(both)) == len(both)


@pytest.mark.filterwarnings("ignore::chiasm.errors.FindingWarning")
@pytest.mark.parametrize("kind", ["survival", *at_night("regression")])
def test_a_cohort_in_another_unit_is_refused(
    kind: str, blocks: dict[str, list[FittedModel]], cohorts: dict[str, Cohort]
) -> None:
    cohort = cohorts[kind]
    in_months = [dataclasses.replace(own, target={**own.target, "unit": "months"}) for own in blocks[kind]]
    assert cohort.target is not None and cohort.outcome is not None
    in_days = cohort.with_target(dataclasses.replace(cohort.target, unit="days"), cohort.outcome)  # type: ignore[call-arg]
    with pytest.raises(Unsupported, match=r"predicts in 'months' and the target of .* is in 'days': convert"):
        api.merge(in_months, cohort=in_days)
    assert api.merge(in_months, cohort=cohort).model is not None


def test_blocks_that_do_not_fit_are_refused_before_a_weight_is_read(
    blocks: dict[str, list[FittedModel]], cohorts: dict[str, Cohort], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = blocks["classification"]
    cohort = cohorts["classification"]
    renamed = dataclasses.replace(second, response=dataclasses.replace(second.response, classes=("x", "y")))
    others = {
        "twice": (first, r"both hold a block of 'm1'"),
        "target": (blocks["survival"][1], "different targets"),
        "wide": (block(cohort, "m2", latent_width=16), "different sizes"),
        "domain": (block(cohort, "m2", domain="rfft"), "different sizes"),
        "classes": (renamed, "different classes"),
        "network": (small("healnet").fit(cohort, seed=0), "holds no network"),
        "linear": (small("single", modality="m2").fit(cohort, seed=0), "holds no network"),
    }
    first.save(tmp_path / "a")
    for name, (model, _) in others.items():
        model.save(tmp_path / name)

    read_no_weights(monkeypatch)
    for name, (_, message) in others.items():
        with pytest.raises(Unsupported, match=message):
            api.merge([tmp_path / "a", tmp_path / name])
    for method, message in (
        ("men", "did you mean 'mean'"), ("ties", "choose one of mean, harmonic, geometric"),
        ("mean:hed=ot", "no option 'hed'"), ("mean:head=sler", "did you mean 'slerp'"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=message):
            api.merge([tmp_path / "a", tmp_path / "target"], method)
    with pytest.raises(ValueError, match="a block of weight zero"):
        api.merge([tmp_path / "a", tmp_path / "target"], weights=[1, 0])
    with pytest.raises(ValueError, match="have no base"):
        api.merge([tmp_path / "a", tmp_path / "a"], base=tmp_path / "a")


def test_a_cohort_gives_the_scores_before_and_after_and_the_calibration(
    blocks: dict[str, list[FittedModel]], cohorts: dict[str, Cohort]
) -> None:
    plain = api.merge(blocks["survival"])
    assert plain.calibrated_on == 0 and "mean of the models'" in plain.calibration and plain.scores == {}
    found = api.merge(blocks["survival"], cohort=cohorts["survival"])
    cohort = cohorts["survival"]
    assert list(found.scores) == ["model 1", "model 2", "merged"]
    assert all(np.isfinite(own["harrell_c"]) for own in found.scores.values())
    here = cohort.with_modalities(("m1", "m2")).present.any(1)
    assert found.calibrated_on == here.sum() and f"fitted on {here.sum()} patients" in found.calibration
    assert found.model.response.slope != plain.model.response.slope
    assert found.model.response.times == plain.model.response.times == (5.0, 10.0)
    shared = restricted(cohort, ("m1",))
    order = plain.model.predict(shared)["risk"].rank().tolist()
    assert found.model.predict(shared)["risk"].rank().tolist() == order


@pytest.mark.filterwarnings("ignore::chiasm.errors.FindingWarning")
def test_the_scores_are_those_before_the_calibration(
    blocks: dict[str, list[FittedModel]], cohorts: dict[str, Cohort]
) -> None:
    """A calibration looks good on those it was fitted on."""
    both = restricted(cohorts["classification"], ("m1", "m2"))
    found = api.merge(blocks["classification"], cohort=both)
    before = scores_of({"merged": api.merge(blocks["classification"]).model}, both)["merged"]
    after = scores_of({"merged": found.model}, both)["merged"]
    assert found.scores["merged"] == pytest.approx(before, nan_ok=True)
    assert found.calibrated_on == len(both) and after["brier"] < before["brier"]


@pytest.mark.filterwarnings("ignore::chiasm.errors.FindingWarning")
def test_too_few_patients_leave_the_calibration_as_it_is(
    blocks: dict[str, list[FittedModel]], cohorts: dict[str, Cohort]
) -> None:
    few = restricted(cohorts["classification"], ("m1", "m2"))
    found = api.merge(blocks["classification"], cohort=few.subset(np.arange(9)))
    assert found.calibrated_on == 0
    assert found.model.response.slope == api.merge(blocks["classification"]).model.response.slope


def test_a_block_needs_its_modality(cohorts: dict[str, Cohort]) -> None:
    with pytest.raises(Unsupported, match="no modality 'm9'"):
        small("lego-merge", blocks="m9").supports(cohorts["regression"])
    small("lego-merge", blocks="m2").supports(cohorts["regression"].with_modalities(("m1", "m2")))
    with pytest.raises(Unsupported, match="needs 2 modalities"):
        small("lego-merge").supports(cohorts["regression"].with_modalities(("m1",)))
    assert block_method_of("harmonic").head == "slerp"


@pytest.mark.nightly
def test_places_that_share_no_patient_know_more_together() -> None:
    """The claim of MM-Lego, with no overlap at all: blocks from disjoint patients, scored on paired ones."""
    cohort = synthetic_cohort("complementary", 900, target="classification", seed=1)
    part = np.arange(len(cohort)) % 3
    models = [
        small("lego-merge", blocks=name, epochs=12).fit(cohort.subset(part == k), seed=0)
        for k, name in enumerate(("m1", "m2"))
    ]
    found = api.merge(models, cohort=cohort.subset(part == 2))
    scores = {name: own["auroc"] for name, own in found.scores.items()}
    assert found.best == "merged" and found.warning is None
    assert scores["merged"] > max(scores["model 1"], scores["model 2"]) + 0.03


def test_matching_widths_without_the_package_is_refused_at_once(
    blocks: dict[str, list[FittedModel]], cohorts: dict[str, Cohort], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lego_blocks, "find_spec", lambda name: None)
    with pytest.raises(Unsupported, match=r"pip install \"chiasm\[transport\]\""):
        api.merge(blocks["regression"], "mean:head=ot")
    with pytest.raises(Unsupported, match="needs POT"):
        small("lego-merge", head_method="ot").supports(cohorts["regression"])
    small("lego-merge").supports(cohorts["regression"])
