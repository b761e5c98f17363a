"""`distilled`: a teacher that never saw whom it tells of, DeiT's loss, and a token of its own."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

import chiasm
from adapted_cohorts import network_of, pictures, trunk_of
from chiasm.cohort import Unsupported
from chiasm.fitting.base import trainable
from chiasm.recipes.adaptation.distilled_fusion import TokenTrunk
from chiasm.recipes.baselines.late import LateFusion
from chiasm.recipes.registry import make_recipe
from chiasm.testing.adaptation import check_adaptation
from chiasm.training.from_teacher import OF_CLASSES, OF_TEACHER, Distilling, TaughtTargets

NETWORK = "raster:size=16,patch=8,dim=8,depth=1,heads=2"
QUICK = "epochs=2,latent_width=4"


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> chiasm.Cohort:
    folder = tmp_path_factory.mktemp("pictures")
    return pictures(folder, folder / "store", NETWORK)


def test_the_laws_of_adapted_recipes_hold(cohort: chiasm.Cohort) -> None:
    model = check_adaptation(make_recipe(f"distilled:{QUICK}"), cohort)
    state = network_of(model).state
    assert any(name.endswith("second") for name in state) and "head.linear.weight" not in state
    chances = model.predict(cohort).filter(like="p_").to_numpy()
    np.testing.assert_allclose(chances.sum(1), 1, atol=1e-6)


def loss_of(kind: str, alpha: float, temperature: float = 1.0) -> tuple[float, dict[str, torch.Tensor]]:
    draw = torch.Generator().manual_seed(0)
    parts = {name: torch.randn(5, 3, generator=draw) for name in ("c", "d", "t")}
    target = TaughtTargets(torch.tensor([0.0, 1, 2, 1, 0]), torch.zeros(5, dtype=torch.bool), parts["t"])
    none: Any = SimpleNamespace(target=target, extras={OF_CLASSES: parts["c"], OF_TEACHER: parts["d"]})
    (loss,) = Distilling(kind, alpha, temperature).losses(none, none, parts["c"], none).values()  # type: ignore[arg-type]
    return float(loss), parts


def test_the_loss_is_that_of_deit_and_with_weight_zero_cross_entropy() -> None:
    codes = torch.tensor([0, 1, 2, 1, 0])
    loss, parts = loss_of("hard", 0.0)
    plain = float(functional.cross_entropy(parts["c"], codes))
    assert loss == pytest.approx(plain)
    decided = float(functional.cross_entropy(parts["d"], parts["t"].argmax(1)))
    assert loss_of("hard", 0.5)[0] == pytest.approx(0.5 * plain + 0.5 * decided)
    teacher, student = (functional.log_softmax(parts[name] / 2, 1) for name in ("t", "d"))
    soft = teacher.exp() * (teacher - student)
    assert loss_of("soft", 0.3, 2.0)[0] == pytest.approx(0.7 * plain + 0.3 * 4 * float(soft.sum(1).mean()), rel=1e-5)


def test_nobody_is_told_of_by_a_teacher_that_saw_the_patient(
    cohort: chiasm.Cohort, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[set[str]] = []
    told: list[tuple[int, set[str]]] = []
    fit = LateFusion.fit

    def noted(self: LateFusion, training: chiasm.Cohort, **how: Any) -> Any:
        seen.append(set(training.ids))
        model = fit(self, training, **how)

        def predict(asked: chiasm.Cohort) -> Any:
            told.append((len(seen) - 1, set(asked.ids)))
            return model.predict(asked)

        return SimpleNamespace(predict=predict)

    monkeypatch.setattr(LateFusion, "fit", noted)
    training = trainable(cohort, 0, None, "cpu")
    recipe = make_recipe(f"distilled:{QUICK}")
    data, _, _ = recipe.prepared(training)
    logits = recipe.told(training, data)
    held_out = set(np.asarray(data.cohort.ids)[data.held_out])
    assert len(told) == 3 and all(not seen[number] & asked for number, asked in told)
    assert not held_out & set().union(*seen)
    assert torch.equal(torch.isnan(logits).all(1), torch.from_numpy(data.held_out))
    assert torch.isnan(make_recipe("distilled:alpha=0").told(training, data)).all() and len(told) == 3


def test_the_token_reads_the_network_and_leaves_the_rest_of_it_as_it_is(cohort: chiasm.Cohort) -> None:
    trunk, tokens = trunk_of(cohort)
    taught = TokenTrunk(trunk)
    plain, both = trunk(tokens).values, taught(tokens).values
    assert both.shape == (plain.shape[0], 2, plain.shape[2])
    with torch.no_grad():
        taught.second += 1
    assert not torch.allclose(taught(tokens).values[:, 1], both[:, 1])
    conv = make_recipe(f"distilled:token=false,{QUICK}").fit(cohort, seed=0)
    assert not any(name.endswith("second") for name in network_of(conv).state)


def test_what_cannot_be_taught_is_refused(cohort: chiasm.Cohort, tmp_path: Path) -> None:
    for options, words in (
        ("kind=warm", "choose one of"),
        ("temperature=2", "no temperature"),
        ("teacher=distilled", "another"),
    ):
        with pytest.raises(ValueError, match=words):
            make_recipe(f"distilled:{options}")
    with pytest.raises(Unsupported, match="no classes that a teacher could tell"):
        make_recipe("distilled").supports(cohort.with_target(chiasm.Regression("x"), cohort.outcome))
