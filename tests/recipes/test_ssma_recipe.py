"""`ssma`: the laws of a recipe, its stages, and what each of them trains."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from chiasm.fitting.base import trainable
from chiasm.fitting.neural import new_network, prepare
from chiasm.recipes.fusion.ssma import EachAlone, SsmaRecipe
from chiasm.testing import check_recipe
from chiasm.training import Examples
from small_recipes import gap, mixed, small


@pytest.mark.nightly
def test_it_passes_the_public_check() -> None:
    check_recipe(small("ssma"), kinds=("multilabel",), n=56)


def test_a_schedule_of_stages_is_another_model_than_a_joint_one() -> None:
    whole = mixed("classification")
    one, other = (small("ssma", schedule=own).fit(whole, seed=0).predict(whole) for own in ("staged", "joint"))
    assert gap(one, other) > 1e-6


def test_each_stage_trains_its_own_part() -> None:
    data = prepare(trainable(mixed("classification"), 0, None, "cpu"))
    training = trainable(mixed("classification"), 0, None, "cpu")
    recipe = small("ssma")
    network = new_network(training, data, recipe.design(), 0.0)
    trained = {}
    for phase in recipe.phases(data):
        with phase.only(network) as own:
            trained[phase.name] = {name for name, part in network.named_parameters() if any(part is p for p in own)}
    gate = {name for name in trained["together"] if name.startswith("fusion.bottleneck.")}
    head = {name for name in trained["together"] if name.startswith("head.")}
    assert trained["fusion"] == gate | head and trained["streams"] == trained["together"] - gate


def test_the_first_stage_is_the_mean_loss_of_each_modality_alone() -> None:
    training = trainable(mixed("classification"), 0, None, "cpu")
    data = prepare(training)
    network = new_network(training, data, small("ssma").design(), 0.0).eval()
    batch = Examples(data.tokens, data.present, data.target, data.held_out).batch(np.arange(20), "cpu")
    expected = []
    for m, stream in enumerate(network.fusion.streams):
        rows = torch.from_numpy(np.flatnonzero(data.present[:20, m]))
        own = stream(batch.tokens[data.cohort.modalities[m]])[rows].mean(1)
        expected.append(network.head.loss(network.head(own), batch.target.value[rows], batch.target.event[rows]))
    found = EachAlone()(network, batch).losses
    assert list(found) == ["streams"]
    torch.testing.assert_close(found["streams"], torch.stack(expected).mean())


def test_invalid_options_are_refused() -> None:
    for options in ({"eta": 0}, {"schedule": "never"}, {"latents": 0}):
        with pytest.raises(ValueError, match=r"lies between|is not known"):
            SsmaRecipe(**options)  # type: ignore[arg-type]
