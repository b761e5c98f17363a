"""Groups of parameters in the training loop: each has its own share of the rate, through every epoch and a resume."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from chiasm.cohort import synthetic_cohort
from chiasm.encoders import fit_encoders, pack
from chiasm.fusion.healnet import HealNet
from chiasm.heads.head import Head, target_tensors
from chiasm.training import Examples, Network, Phase, TargetTensors, TrainOptions, checkpoint, loop, train
from chiasm.training.adamw import AdamW
from chiasm.training.batches import presence
from chiasm.training.layer_rates import layer_rates

OPTIONS = TrainOptions(epochs=3, patience=3, batch=16, learning_rate=1e-3, weight_decay=0.1)
BELOW = ("fusion.latent", "fusion.entrances")


@pytest.fixture(scope="module")
def data() -> Any:
    """The patients, and the shapes of their tokens."""
    cohort = synthetic_cohort("complementary", 48, target="regression", seed=1)
    encoders = fit_encoders(cohort)
    tokens = pack(cohort, encoders)
    shapes = {name: (encoder.width, encoder.slots) for name, encoder in encoders.items()}
    assert cohort.outcome is not None
    target = TargetTensors(*target_tensors(cohort.outcome))
    return Examples(tokens, presence(tokens, cohort.modalities), target, np.arange(48) % 4 == 0), shapes


def fresh(data: Any) -> Network:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Network(HealNet(data[1], latents=4, latent_width=8, heads=2, head_width=4), Head(8, 1, "regression"))


def state(network: Network) -> dict[str, torch.Tensor]:
    return {key: value.clone() for key, value in network.state_dict().items()}


def decayed(network: Network, decay: float) -> list[dict[str, Any]]:
    return layer_rates(network, "fusion.layers", stem=BELOW, rate=1e-3, decay=decay, weight_decay=0.1)


def learn(network: Network, data: Any, groups: Any = None, checkpoint: Path | None = None, **options: Any) -> None:
    """Train with these groups of parameters."""
    phase = Phase(replace(OPTIONS, **options), groups=None if groups is None else lambda _: groups)
    train(network, data[0], (phase,), seed=0, checkpoint=checkpoint)


def test_a_layer_whose_rate_is_frozen_does_not_move(data: Any) -> None:
    network = fresh(data)
    before = state(network)
    layers = [name for name, _ in network.named_parameters() if name.startswith("fusion.layers.0")]
    named = dict(network.named_parameters())
    still = {"params": [named[name] for name in layers], "scale": 0.0}
    moving = {"params": [own for name, own in named.items() if name not in layers]}
    learn(network, data, [still, moving])
    after = network.state_dict()
    assert all(torch.equal(after[name], before[name]) for name in layers)
    assert not torch.equal(after["fusion.layers.1.0.1.widen.weight"], before["fusion.layers.1.0.1.widen.weight"])
    assert not torch.equal(after["head.linear.weight"], before["head.linear.weight"])


def test_the_rate_decays_from_the_head_down(data: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """AdamW's first step is the rate times the sign of the gradient: its size shows each layer's own rate."""
    seen: list[float] = []
    own = loop._set_rate

    def noted(optimiser: AdamW, *rest: Any) -> None:
        own(optimiser, *rest)
        seen.extend(group["lr"] for group in optimiser.param_groups)

    monkeypatch.setattr(loop, "_set_rate", noted)
    network = fresh(data)
    before = state(network)
    groups = [{**group, "weight_decay": 0.0} for group in decayed(network, 0.5)]
    learn(network, data, groups, epochs=1, batch=36, learning_rate=2e-3, weight_decay=1e-2)
    top = max(seen)
    assert {round(rate / top, 6) for rate in seen} == {0.125, 0.25, 0.5, 1.0}
    after = network.state_dict()
    for name, scale in (
        ("fusion.latent", 0.125),
        ("fusion.layers.0.1.0.out.0.weight", 0.25),
        ("head.linear.weight", 1),
    ):
        assert float((after[name] - before[name]).abs().max()) == pytest.approx(top * scale, rel=1e-2)


def test_groups_of_one_rate_are_no_groups(data: Any) -> None:
    plain, grouped = fresh(data), fresh(data)
    learn(plain, data)
    groups = [{**group, "weight_decay": 0.1} for group in decayed(grouped, 1.0)]
    learn(grouped, data, groups)
    for key, value in plain.state_dict().items():
        assert torch.equal(grouped.state_dict()[key], value)


def test_resumed_equals_uninterrupted_with_groups(data: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = fresh(data)
    learn(whole, data, decayed(whole, 0.5))
    save = checkpoint.save_checkpoint

    def stops(path: Path, state: Any) -> None:
        save(path, state)
        raise KeyboardInterrupt

    file = tmp_path / "stopped.safetensors"
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(checkpoint, "save_checkpoint", stops)
        first = fresh(data)
        learn(first, data, decayed(first, 0.5), file)
    resumed = fresh(data)
    learn(resumed, data, decayed(resumed, 0.5), file)
    for key, value in whole.state_dict().items():
        assert torch.equal(resumed.state_dict()[key], value)


def test_a_parameter_in_no_group_is_refused_unless_it_is_frozen(data: Any) -> None:
    network = fresh(data)
    head = [{"params": list(network.head.parameters())}]
    with pytest.raises(ValueError, match="is in no group"):
        learn(network, data, head)
    before = state(network)
    network.fusion.requires_grad_(False)
    learn(network, data, head)
    moved = {key for key, value in network.state_dict().items() if not torch.equal(value, before[key])}
    assert moved and all(key.startswith("head.") for key in moved)
