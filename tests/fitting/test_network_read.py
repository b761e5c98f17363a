"""The network that predicts is built once for predictions that follow each other, and goes with its predictor."""

from __future__ import annotations

import gc
from dataclasses import replace
from typing import Any

import numpy as np

import chiasm
from chiasm.fitting import neural


def test_the_network_of_who_was_asked_last_is_kept_in_evaluation_mode() -> None:
    cohort = chiasm.synthetic_cohort("complementary", 40, seed=1)
    model: Any = chiasm.fit(cohort, "healnet:epochs=1,latent_width=8,latents=2,depth=1")
    link = model.predictor.link(cohort)
    ((_, kept),) = neural._READING
    assert not any(module.training for module in kept.modules())  # so that threads may read with it at once
    np.testing.assert_array_equal(model.predictor.link(cohort), link)
    assert neural._READING[0][1] is kept
    other = replace(model.predictor, state={name: 0 * own for name, own in model.predictor.state.items()})
    assert not np.array_equal(other.link(cohort), link) and neural._READING[0][1] is not kept
    del other
    gc.collect()
    assert not neural._READING
