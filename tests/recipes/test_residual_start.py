"""Networks that start from a linear model: what is learned upon it, what is kept of it, and where it is the model."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn

import chiasm
from chiasm.artifact import storable
from chiasm.citation import Citation
from chiasm.cohort import Cohort, Outcome, Unsupported, synthetic_cohort
from chiasm.compute.memo import forget
from chiasm.fitting import residual
from chiasm.fitting.base import trainable
from chiasm.fitting.gate import choose_gate
from chiasm.fitting.network_recipe import NetworkRecipe
from chiasm.fitting.neural import new_head, prepare
from chiasm.fitting.residual import ResidualPredictor
from chiasm.protocols import Fused
from chiasm.recipes.registry import make_recipe
from chiasm.testing import check_recipe
from chiasm.tokens import Tokens
from chiasm.training import checkpoint
from small_recipes import at_night, mixed, small

PATIENTS = 120


class Product(nn.Module):
    """`e` is the product over modalities present of `W_m x_m`, x_m the mean token; `still` makes it one for all."""

    def __init__(self, shapes: Any, width: int, still: bool) -> None:
        super().__init__()
        self.names, self.still = sorted(shapes), still
        self.maps = nn.ModuleList(nn.Linear(shapes[name][0] * max(1, shapes[name][1]), width) for name in self.names)

    def forward(self, tokens: dict[str, Tokens], present: Tensor) -> Fused:
        parts = []
        for m, name in enumerate(self.names):
            own = tokens[name].where_present(present[:, m])
            values = own.values * own.mask[..., None]
            fixed = self.maps[m].in_features > values.shape[2]
            mapped = self.maps[m](values.flatten(1) if fixed else values.sum(1) / own.mask.sum(1, True).clamp_min(1))
            parts.append(torch.where(present[:, [m]], mapped, torch.ones_like(mapped)))
        product = torch.stack(parts).prod(0)
        return Fused(product * 0.0 + 1.0 if self.still else product)


@storable("scratch-product")
@dataclass(frozen=True)
class ProductDesign:
    latent_width: int
    still: bool

    def fusion(self, shapes: Any, dropout: float = 0.0) -> Product:
        return Product(shapes, self.latent_width, self.still)


@dataclass(frozen=True)
class ProductRecipe(NetworkRecipe):
    id, family, needs = "scratch-product", "fusion", "two modalities or more"
    paper = Citation("A scratch recipe", "nowhere", 2026, "https://example.org")

    still: bool = False

    def design(self) -> ProductDesign:
        return ProductDesign(self.latent_width, self.still)


PRODUCT = ProductRecipe(latent_width=8, epochs=25, batch=32, learning_rate=2e-2, modality_dropout=0.0, upon="late")


def unlabelled(cohort: Cohort) -> Cohort:
    return cohort.with_target(None, None)


@pytest.fixture(scope="module")
def crossed() -> tuple[Cohort, Any]:
    """A cohort whose outcome is in no modality alone, and the model of the product upon late fusion."""
    cohort = synthetic_cohort("xor", PATIENTS, target="regression", seed=1)
    return cohort, PRODUCT.fit(cohort, seed=0)


def test_what_no_linear_model_finds_is_added_to_it(crossed: tuple[Cohort, Any], tmp_path: Path) -> None:
    cohort, model = crossed
    new = synthetic_cohort("xor", 200, target="regression", seed=2)
    own: ResidualPredictor = model.predictor
    assert 0.5 < own.gate <= 1.0 and new.outcome is not None
    said = model.predict(unlabelled(new)).loc[list(new.ids), "prediction"].to_numpy()
    assert 1 - np.mean((new.outcome.value - said) ** 2) / np.var(new.outcome.value) > 0.6
    start = make_recipe("late-fusion").fit(cohort, seed=0)
    begun = start.response.calibrated(start.predictor.link(new))
    expected = begun + own.gate * (own.added.network.link(new) - own.added.level)
    np.testing.assert_array_equal(own.link(new), expected)
    assert own.trained_parameters > start.trained_parameters
    model.save(tmp_path / "model")
    pd.testing.assert_frame_equal(
        chiasm.load_model(tmp_path / "model").predict(unlabelled(new)), model.predict(unlabelled(new))
    )


@pytest.mark.parametrize("kind", ["survival", *at_night("classification", "regression", "multilabel")])
def test_a_network_that_says_the_same_of_all_is_its_start_to_the_bit(kind: str) -> None:
    cohort = mixed(kind)
    still = replace(PRODUCT, still=True, epochs=2)
    for started, start in ((still, "late-fusion"), (replace(still, modality="m1"), "single:m1,models=linear")):
        found, expected = started.fit(cohort, seed=0), make_recipe(start).fit(cohort, seed=0)
        pd.testing.assert_frame_equal(
            found.predict(unlabelled(cohort)), expected.predict(unlabelled(cohort)), check_exact=True
        )
        assert type(found.predictor) is type(expected.predictor)
        assert found.response.slope == expected.response.slope
        assert np.array_equal(found.response.hazard, expected.response.hazard)


def test_the_laws_of_a_recipe_hold_upon_a_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a gate that keeps half of the network, whatever it gains."""
    monkeypatch.setattr(residual, "choose_gate", lambda *_, **__: 0.5)
    check_recipe(replace(PRODUCT, epochs=2, upon="stacked"), kinds=("survival",), n=56)


def test_one_modality_adds_to_who_has_it_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(residual, "choose_gate", lambda *_, **__: 0.5)
    cohort = mixed("classification")
    model = small("healnet", modality="m2", upon="late").fit(cohort, seed=0)
    own, lacking = model.predictor, np.flatnonzero(~cohort.present[:, cohort.modalities.index("m2")])
    added = own.added.link(unlabelled(cohort))
    assert len(lacking) and not added[lacking].any()
    having = np.flatnonzero(cohort.present[:, cohort.modalities.index("m2")])
    np.testing.assert_allclose(added[having].mean(0), 0, atol=1e-6)  # presence says nothing
    assert model.has_prior and list(model.modalities) == ["m2"]
    assert np.array_equal(own.start.link(cohort)[lacking], np.tile(own.start.prior, (len(lacking), 1)))


class Stopped(BaseException):
    """The power went off."""


def test_resumed_is_bit_for_bit_the_uninterrupted_one(
    crossed: tuple[Cohort, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped in the second of the networks that measure the gate, and in the last one."""
    cohort, whole = crossed
    original = checkpoint.save_checkpoint
    for place, after in (("without-part-1", 3), ("checkpoints", 2)):
        written = []

        def stop(path: Path, state: Any, place: str = place, after: int = after, written: list[Path] = written) -> None:
            original(path, state)
            if path.parent.name == place:
                written.append(path)
            if len(written) == after:
                raise Stopped

        with monkeypatch.context() as patched:
            patched.setattr(checkpoint, "save_checkpoint", stop)
            with pytest.raises(Stopped):
                PRODUCT.fit(cohort, seed=0, checkpoint=tmp_path / "checkpoints")
        forget()
    torch.manual_seed(5)  # whatever the next process draws before it resumes
    resumed = PRODUCT.fit(cohort, seed=0, checkpoint=tmp_path / "checkpoints")
    assert resumed.predictor.gate == whole.predictor.gate
    pd.testing.assert_frame_equal(resumed.predict(unlabelled(cohort)), whole.predict(unlabelled(cohort)))


def test_a_gate_keeps_what_gains_and_nothing_else() -> None:
    rng = np.random.default_rng(0)
    start, rest = rng.normal(size=(2, 400, 1))
    outcome = Outcome(1e3 * (start + rest)[:, 0] + 5e4, None, np.ones(400, bool))
    folds = np.arange(400) % 5
    begun = 1e3 * start + 5e4
    assert choose_gate("regression", begun, 1e3 * rest, outcome, folds) > 0.9
    assert 0.3 < choose_gate("regression", begun, 2e3 * rest, outcome, folds) < 0.6
    assert choose_gate("regression", begun, -1e3 * rest, outcome, folds) == 0.0
    assert choose_gate("regression", begun, np.zeros((400, 1)), outcome, folds) == 0.0
    noise = [choose_gate("regression", begun, 1e2 * rng.normal(size=(400, 1)), outcome, folds) for _ in range(40)]
    assert np.count_nonzero(noise) <= 3


def test_a_network_learns_upon_links_of_models_that_never_saw_the_patient(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def learn(self: ProductRecipe, training: Any) -> Any:
        seen.append(training)
        return NetworkRecipe.learn(self, training)

    monkeypatch.setattr(residual, "choose_gate", lambda *_, **__: 0.5)
    monkeypatch.setattr(ProductRecipe, "learn", learn)
    cohort = mixed("survival")
    replace(PRODUCT, epochs=1, still=True).fit(cohort, seed=0)
    whole = trainable(cohort, 0, None, "cpu")
    begun = make_recipe("late-fusion").cross_fitted(whole)
    offsets = dict(zip(whole.cohort.ids, begun.calibrated, strict=True))
    assert len(seen) == 4 and len(seen[-1].cohort) == len(whole.cohort)
    for training in seen:
        np.testing.assert_array_equal(training.offset, [offsets[patient] for patient in training.cohort.ids])
    measured = [set(whole.cohort.ids) - set(training.cohort.ids) for training in seen[:3]]
    assert sorted(patient for part in measured for patient in part) == sorted(whole.cohort.ids)


def test_a_head_upon_a_start_begins_with_it() -> None:
    """Its last layer is zero, and the start stands in the units of the target."""
    training = trainable(mixed("regression"), 0, None, "cpu")
    offset = training.outcome.value[:, None] + 1.0
    data = prepare(replace(training, offset=offset))
    head = new_head(replace(training, offset=offset), 8, 0)
    assert not head(torch.randn(3, 8)).any() and new_head(training, 8, 0)(torch.randn(3, 8)).any()
    np.testing.assert_allclose(data.started(np.arange(5)), offset[:5], rtol=1e-5)
    assert data.origin == 0.0 and prepare(training).origin == data.centre


def test_starts_are_named_and_asked_what_they_need() -> None:
    assert "upon" not in make_recipe("healnet").name and make_recipe("healnet").settings == 1
    assert make_recipe("lego-fuse:upon=stacked").settings == make_recipe("stacked-fusion").settings
    assert make_recipe("healnet:upon=late").reading("rna").name == "healnet:modality=rna,upon=late"
    with pytest.raises(ValueError, match="upon='mean' is not known: choose one of late, stacked, multi-ridge"):
        make_recipe("healnet:upon=mean")
    with pytest.raises(Unsupported, match="needs 2 modalities"):
        make_recipe("lego-merge:upon=late,blocks=m1").supports(mixed("classification"))
