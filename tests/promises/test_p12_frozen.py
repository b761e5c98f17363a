"""P12: frozen means byte-identical, buffers too; the parameters that training changed are those that are reported."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import chiasm
from chiasm.heads.head import Head
from chiasm.protocols import Fused
from chiasm.recipes import neural
from chiasm.recipes.base import trainable
from chiasm.recipes.lego_blocks import train_blocks
from chiasm.testing.laws import folder_bytes
from chiasm.tokens import Tokens
from chiasm.training import Network, TrainOptions, memo, train
from small_recipes import every_variant, mixed, short_name, small

KINDS = ["classification", "survival"]
NEURAL = [recipe for recipe in every_variant() if hasattr(recipe, "latents")]


def content(part: Any) -> bytes:
    """Every array of a part, in a fixed order."""
    if isinstance(part, dict):
        return b"".join(key.encode() + content(part[key]) for key in sorted(part))
    return np.ascontiguousarray(part).tobytes()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("mode", ["stack", "weave"])
def test_fusing_leaves_the_blocks_that_it_started_from(kind: str, mode: str) -> None:
    cohort = mixed(kind)
    memo.forget()
    merge, fuse = small("lego-merge"), small("lego-fuse", mode=mode)
    model = merge.fit(cohort, seed=0)
    blocks = train_blocks(trainable(cohort, 0, None, "cpu"), merge)
    assert train_blocks(trainable(cohort, 0, None, "cpu"), fuse) is blocks, "from the same memo"
    before = content(blocks.blocks), content(blocks.heads), folder_bytes(model.save)
    tokens = {name: packed.values.clone() for name, packed in blocks.data.tokens.items()}
    fused = fuse.fit(cohort, seed=0)
    fused.predict(cohort)
    assert (content(blocks.blocks), content(blocks.heads), folder_bytes(model.save)) == before
    assert all(torch.equal(values, blocks.data.tokens[name].values) for name, values in tokens.items())
    started = {
        f"fusion.blocks.{k}.{key}": value
        for k, state in enumerate(blocks.blocks.values())
        for key, value in state.items()
    }
    state = fused.predictor.state
    moved = [key for key, value in started.items() if not np.array_equal(value, state[key])]
    assert moved, "fine-tuning trains the blocks' copies"
    assert folder_bytes(merge.fit(cohort, seed=0).save) == before[2], "merged again from the same memo"


@pytest.mark.parametrize("recipe", every_variant(), ids=short_name)
def test_predicting_and_evaluating_leave_a_model_as_it_was(recipe: Any) -> None:
    cohort = mixed("classification")
    model = recipe.fit(cohort, seed=0)
    before = folder_bytes(model.save)
    model.predict(cohort)
    assert folder_bytes(model.save) == before
    if recipe.name.startswith("lego-merge"):
        chiasm.evaluate(
            cohort, [recipe, small("lego-fuse")], chiasm.Protocol(folds=2, inner_folds=2, draws=100), jobs=1
        )
        assert folder_bytes(model.save) == before


@pytest.mark.parametrize("recipe", NEURAL, ids=short_name)
def test_the_parameters_that_changed_are_those_that_are_counted(recipe: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    changed = []
    plain = neural.train

    def spied(network: Network, *given: Any, **named: Any) -> Any:
        before = {key: value.clone() for key, value in network.state_dict().items()}
        history = plain(network, *given, **named)
        assert history.best_epoch > 0
        after = network.state_dict()
        changed.append(sum(value.numel() for key, value in before.items() if not torch.equal(value, after[key])))
        return history

    monkeypatch.setattr(neural, "train", spied)
    memo.forget()
    model = recipe.fit(mixed("classification"), seed=0)
    counted = changed if recipe.name.startswith("lego-merge") else changed[-1:]
    assert model.trained_parameters == sum(counted)


class Frozen(nn.Module):
    """A frozen part with a BatchNorm, and a small part that is trained."""

    def __init__(self) -> None:
        super().__init__()
        self.base = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6)).requires_grad_(False)
        self.small = nn.Linear(6, 5)

    def train(self, mode: bool = True) -> Frozen:
        super().train(mode)
        self.base.eval()
        return self

    def forward(self, tokens: dict[str, Tokens], present: torch.Tensor) -> Fused:
        (own,) = tokens.values()
        return Fused(self.small(self.base(own.where_present(present[:, 0]).values.mean(1))))


def test_training_leaves_what_is_frozen_byte_identical() -> None:
    cohort = mixed("classification").with_modalities(["m3"])
    cohort = cohort.subset(cohort.present.any(1))
    data = neural.prepare(trainable(cohort, 0, None, "cpu"))
    network = neural.build(lambda: Network(Frozen(), Head(5, 2, "classification")), 0)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    options = TrainOptions(epochs=3, batch=8)
    train(network, data.tokens, data.present, data.value, data.event, data.held_out, options, seed=0)
    for key, value in network.state_dict().items():
        assert torch.equal(value, before[key]) == key.startswith("fusion.base."), key
    assert neural.parameter_count(network) == sum(p.numel() for p in network.parameters() if p.requires_grad)
