"""P12: frozen means byte-identical, buffers too; the parameters that training changed are those that are reported."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

import chiasm
from chiasm.artifact import storable
from chiasm.compute import memo
from chiasm.encoders import catalogue
from chiasm.encoders.frozen import hash_state, identity_of
from chiasm.fitting import neural
from chiasm.fitting.base import trainable
from chiasm.fitting.trained_recipe import TrainedRecipe
from chiasm.heads.head import Head
from chiasm.protocols import Fused
from chiasm.recipes.fusion import lego_fuse
from chiasm.recipes.fusion.lego_blocks import train_blocks
from chiasm.recipes.tunings.tuned import TunedRecipe
from chiasm.testing.laws import folder_bytes
from chiasm.tokens import Tokens
from chiasm.training import Network, Phase, TrainOptions
from small_recipes import READING, cohort_for, elsewhere, every_variant, fitted, mixed, on_paths, short_name, small

NEURAL = [recipe for recipe in [*every_variant(), *elsewhere()] if isinstance(recipe, TrainedRecipe)]


def content(part: Any) -> bytes:
    """Every array of a part, in a fixed order."""
    if isinstance(part, dict):
        return b"".join(key.encode() + content(part[key]) for key in sorted(part))
    return np.ascontiguousarray(part).tobytes()


@pytest.mark.parametrize(
    ("kind", "mode"),
    [
        ("classification", "stack"),
        ("survival", "weave"),
        *(
            pytest.param(*double, marks=pytest.mark.nightly)
            for double in (("survival", "stack"), ("classification", "weave"))
        ),
    ],
)
def test_fusing_leaves_the_blocks_that_it_started_from(kind: str, mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lego_fuse, "best_of", lambda losses: "fused")  # two epochs may be worse than the start
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


@pytest.mark.parametrize("recipe", on_paths([*every_variant(), *elsewhere()], READING), ids=short_name)
def test_predicting_and_evaluating_leave_a_model_as_it_was(recipe: Any) -> None:
    cohort = cohort_for(recipe, "classification")
    model = fitted(recipe, "classification")
    before = folder_bytes(model.save)
    model.predict(cohort)
    assert folder_bytes(model.save) == before
    if recipe.name.startswith("lego-merge"):
        chiasm.evaluate(
            cohort, [recipe, small("lego-fuse")], chiasm.Protocol(folds=2, repeats=1, inner_folds=2, draws=100), jobs=1
        )
        assert folder_bytes(model.save) == before


def test_a_model_answers_for_itself_whichever_was_asked_before() -> None:
    """The network of the model that was asked last is kept, and reads for no other."""
    cohort = mixed("regression")
    models = [small("healnet").fit(cohort, seed=seed) for seed in (0, 1)]
    alone = []
    for model in models:
        neural._READING.clear()
        alone.append(model.predict(cohort))
    assert not alone[0].equals(alone[1])
    for number in (0, 1, 1, 0):
        assert models[number].predict(cohort).equals(alone[number])


@pytest.mark.parametrize("recipe", on_paths(NEURAL), ids=short_name)
def test_the_parameters_that_changed_are_those_that_are_counted(recipe: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    changed = []
    plain = neural.train

    def spied(network: Network, *given: Any, **named: Any) -> Any:
        before = {key: value.clone() for key, value in network.state_dict().items()}
        history = plain(network, *given, **named)
        assert all(phase.best_epoch > 0 for phase in history)
        after = network.state_dict()
        changed.append(sum(value.numel() for key, value in before.items() if not torch.equal(value, after[key])))
        return history

    monkeypatch.setattr(neural, "train", spied)
    monkeypatch.setattr(lego_fuse, "best_of", lambda losses: "fused")  # what is counted below was trained last
    memo.forget()
    model = recipe.fit(cohort_for(recipe, "classification"), seed=0)
    counted = changed[-1:]
    if recipe.name.startswith("lego-merge"):
        counted = changed[-3:]  # a block each; of a soup, those of one training
    elif isinstance(recipe, TunedRecipe) or recipe.name.startswith("flora"):
        counted = changed[:1]  # the base; its copies are as large, and adapters go into it
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
    neural.fit_network(network, data, (Phase(TrainOptions(epochs=3, batch=8)),), seed=0, checkpoint=None, device="cpu")
    for key, value in network.state_dict().items():
        assert torch.equal(value, before[key]) == key.startswith("fusion.base."), key
    assert neural.parameter_count(network) == sum(p.numel() for p in network.parameters() if p.requires_grad)


@storable("test-frozen-norm")
@dataclass(frozen=True)
class Normed:
    """A frozen encoder of texts whose network has a BatchNorm, kept in `HELD` so that a test can look at it."""

    id: ClassVar[str] = "normed"
    version: ClassVar[str] = "1"
    fitted_on_cohort: ClassVar[bool] = False
    batch: ClassVar[int] = 4
    width: ClassVar[int] = 6
    slots: ClassVar[int] = 1

    @property
    def identity(self) -> str:
        return identity_of(self, hash_state(held().state_dict()))

    def fit(self, raw: Any, patients: Sequence[str] = ()) -> Normed:
        return self

    def encode(self, raw: Sequence[str]) -> Tokens:
        letters = torch.tensor([[text.count(letter) for letter in "abcd"] for text in raw], dtype=torch.float32)
        with torch.inference_mode():
            return Tokens(held()(letters)[:, None].clone(), torch.ones((len(raw), 1), dtype=torch.bool))


@lru_cache(maxsize=1)
def held() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Linear(6, 9000), nn.Linear(9000, 6))
    network[1].running_mean.copy_(torch.arange(6.0))
    return network.eval().requires_grad_(False)


NORMED = catalogue.Entry("normed", ("text",), f"{__name__}:Normed", "6", "MIT", catalogue.NOTHING)


@pytest.mark.parametrize("name", ["late-fusion", "lego-fuse"])
def test_encoding_and_a_whole_fit_leave_a_frozen_encoder_as_it_was(
    name: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHIASM_STORE", str(tmp_path))
    monkeypatch.setattr(catalogue, "CATALOGUE", (*catalogue.CATALOGUE, NORMED))
    rng = np.random.default_rng(0)
    ids = [f"p{k:02d}" for k in range(40)]
    patients = pd.DataFrame(
        {"y": np.arange(40) % 2, "note": ["".join(rng.choice([*"abcd"], 9)) for _ in ids]}, index=ids
    )
    age = pd.DataFrame({"age": rng.normal(size=40)}, index=ids)
    cohort = chiasm.cohort_from_frames(
        patients, {"age": age, "note": patients[["note"]]}, target=chiasm.Classification("y"), kinds={"note": "text"}
    )
    before = hash_state(held().state_dict())
    encoded = chiasm.encode(cohort, {"note": "normed"}, jobs=1).cohort
    model = chiasm.fit(encoded, small(name))
    model.predict(encoded)
    assert hash_state(held().state_dict()) == before and not held().training
    assert not any(value.requires_grad or value.grad is not None for value in held().parameters())
    frozen = sum(value.numel() for value in held().parameters())
    assert 0 < model.trained_parameters < frozen / 2, "what is frozen is not counted"
