"""P23: a forward pass leaves the state of a network and its inputs as they were, in training mode too."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from adapted_cohorts import network_of, notes
from chiasm.encoders import pack
from chiasm.fitting.neural import NetworkPredictor
from chiasm.recipes.registry import make_recipe
from chiasm.testing.laws import globals_unchanged
from chiasm.training.batches import presence, take
from small_recipes import at_night, mixed, small
from tiny_models import tiny_models

ON_TOKENS = [
    small("healnet"),
    small("healnet", tied=True, depth=3),
    small("lego-fuse"),
    small("lego-fuse", mode="weave"),
]
ADAPTED = [
    "probe", "lora:rank=2", "ssf", "unipt:narrow=4",  # nothing, what peft does, what we do inside, a network beside
    *at_night("full-tuning", "prefix:tokens=3", "petl-ast:reduction=4"),
]  # fmt: skip


def leaves_everything(predictor: Any, cohort: Any) -> None:
    """Run the stored network once in either mode on all patients, and compare bytes."""
    assert isinstance(predictor, NetworkPredictor)
    network, tokens = predictor.network(), pack(cohort, predictor.encoders)
    present = torch.from_numpy(presence(tokens, sorted(predictor.encoders)))
    batch = take(tokens, np.arange(len(cohort)))
    trunks = getattr(network.fusion, "trunks", {})
    held = [network, *trunks.values()]
    for mode in (False, True):
        network.train(mode)
        state = [{key: value.clone() for key, value in module.state_dict().items()} for module in held]
        given = {name: (own.values.clone(), own.mask.clone()) for name, own in batch.items()}
        here = present.clone()
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            network(batch, present)
        for module, before in zip(held, state, strict=True):
            after = module.state_dict()
            assert list(after) == list(before) and all(torch.equal(after[key], before[key]) for key in before)
        for name, (values, mask) in given.items():
            assert torch.equal(batch[name].values, values) and torch.equal(batch[name].mask, mask)
        assert torch.equal(present, here)


@pytest.mark.parametrize("recipe", ON_TOKENS, ids=lambda recipe: recipe.id)
def test_a_fusion_changes_nothing_by_running(recipe: Any) -> None:
    cohort = mixed("classification")
    model = recipe.fit(cohort, seed=0)
    with globals_unchanged("forward"):
        leaves_everything(model.predictor, cohort)


@pytest.mark.parametrize("name", ADAPTED)
def test_an_adapted_network_changes_nothing_by_running(name: str, tmp_path: Path) -> None:
    cohort = notes(tiny_models(tmp_path / "models"), tmp_path / "store")
    recipe = make_recipe(f"{name}{',' if ':' in name else ':'}epochs=1,latent_width=4")
    leaves_everything(network_of(recipe.fit(cohort, seed=0)), cohort)
