"""`biod2c`: the laws of a recipe, queues that a resumed training continues, and a base that is named."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from chiasm.cohort import Unsupported
from chiasm.fitting.base import trainable
from chiasm.fitting.neural import new_network, prepare
from chiasm.recipes.fusion.biod2c import QUEUE, BioD2CRecipe, Consistent
from chiasm.testing import check_recipe
from chiasm.training import Examples
from small_recipes import gap, mixed, small


@pytest.mark.nightly
def test_it_passes_the_public_check() -> None:
    check_recipe(small("biod2c"), kinds=("classification",), n=56)


def test_the_queue_is_filled_step_by_step_kept_short_and_restored() -> None:
    training = trainable(mixed("classification"), 0, None, "cpu")
    data = prepare(training)
    network = new_network(training, data, small("biod2c")._design("m1"), 0.0)
    batch = Examples(data.tokens, data.present, data.target, data.held_out).batch(np.arange(30), "cpu")
    objective = Consistent(1.0)
    assert float(objective(network, batch).losses["consistency"].detach()) == 0.0  # nobody was seen before
    both = int((data.present[:30, 0] & data.present[:30, 1]).sum())
    assert len(objective.queues["asks m2"]) == both
    with torch.inference_mode():
        objective.validation(network.eval(), [batch])
    again = Consistent(1.0)
    again.restore(objective.state())
    losses = [float(own(network, batch).losses["consistency"].detach()) for own in (objective, again)]
    assert losses[0] == losses[1] > 0
    objective.queues["asks m2"] = torch.zeros(QUEUE, 8)
    objective(network, batch)
    assert len(objective.queues["asks m2"]) == QUEUE


def test_base_and_consistency_change_the_model() -> None:
    whole = mixed("classification")
    one, other, third = (
        small("biod2c", **own).fit(whole, seed=0).predict(whole) for own in ({}, {"base": "m3"}, {"consistency": 0.0})
    )
    assert gap(one, other) > 1e-6 and gap(one, third) > 1e-9
    alone = small("biod2c", modality="m2", base="m3").fit(whole, seed=0)  # its own base, without gates
    assert bool(np.isfinite(alone.predict(whole).drop(columns="pattern").to_numpy(float)).all())


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(Unsupported, match="no modality 'm9' as a base"):
        small("biod2c", base="m9").supports(mixed("classification"))
    for options in ({"consistency": -1.0}, {"beta": float("nan")}, {"heads": 3}):
        with pytest.raises(ValueError, match=r"consistency is|no multiple"):
            BioD2CRecipe(**options)  # type: ignore[arg-type]
