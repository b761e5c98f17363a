"""P20: what every adapter keeps at every kind of module: identity, merge, removal, and a base that nothing touches."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from bases import BASES, Base
from chiasm.adapters import (
    IA3,
    Adapter,
    Attached,
    AttentionLoRA,
    Bottleneck,
    ChannelSpatial,
    DynamicPrompt,
    LoRA,
    NormTuning,
    PeftAdapter,
    PeftAttached,
    ScaleShift,
    SparseDelta,
    Together,
    UniPT,
    attach,
    restore_adapter,
    save_adapter,
)
from chiasm.adapters.sparse_masks import every_place

CONV = {"Conv1d": 1, "Conv2d": 2, "Conv3d": 3, "BatchNorm1d": 1, "BatchNorm2d": 2, "BatchNorm3d": 3}
TOKENS = ("LayerNorm", "LayerNorm-plain", "MultiheadAttention", "feed-forward", "norm2", "TransformerEncoderLayer")


@dataclass(frozen=True)
class Case:
    """An adapter, at one kind of module."""

    adapter: Callable[[Base], Adapter | PeftAdapter]
    kind: str
    merges: bool
    fresh: bool = True  # whether a fresh one is the identity

    @property
    def base(self) -> Base:
        return BASES[self.kind]

    def attach_watched(self) -> tuple[nn.Module, Attached | PeftAttached, dict[str, Tensor]]:
        """And the very tensors of the base, under whatever names the adapter has put them."""
        model = self.base.model()
        tensors = dict(model.state_dict(keep_vars=True))
        return model, attach(model, self.adapter(self.base), self.base.where), tensors

    def attach(self, seed: int = 0) -> tuple[nn.Module, Attached | PeftAttached]:
        model = self.base.model()
        return model, attach(model, self.adapter(self.base), self.base.where, seed=seed)


def some_places(base: Base) -> SparseDelta:
    """Every third weight of the sites."""
    places = every_place(base.model(), base.where)
    return SparseDelta({name: found[::3] for name, found in places.items()})


def _cases() -> dict[str, Case]:
    cases = {}
    for kind in [*CONV, *TOKENS, "Linear", "BatchNorm-plain", "out_proj"]:
        if kind != "TransformerEncoderLayer":
            cases[f"ScaleShift-{kind}"] = Case(lambda base: ScaleShift(), kind, True)
            cases[f"ScaleShift-scale-{kind}"] = Case(lambda base: ScaleShift(shift=False), kind, True)
            cases[f"ScaleShift-paper-{kind}"] = Case(lambda base: ScaleShift(start="paper"), kind, True, fresh=False)
    for kind in ("Linear", "Conv1d-whole", "Conv2d-whole", "Conv3d-whole", "feed-forward"):
        cases[f"LoRA-{kind}"] = Case(lambda base: LoRA(rank=2), kind, True)
        cases[f"LoRA-group-{kind}"] = Case(lambda base: LoRA(rank=1, groups=3), kind, True)
    for kind in ("MultiheadAttention", "out_proj", "Linear", "Conv2d-whole", "feed-forward"):
        for groups in (1, 3):
            cases[f"AttentionLoRA-{groups}-{kind}"] = Case(
                lambda base, groups=groups: AttentionLoRA(rank=2, groups=groups), kind, True
            )
    for kind in ("Linear", "Conv2d", "Conv3d", "feed-forward"):
        for inputs in (False, True):
            cases[f"IA3-{inputs}-{kind}"] = Case(lambda base, inputs=inputs: IA3(inputs), kind, True)
    for kind in (*CONV, *TOKENS, "Linear", "out_proj"):
        if kind not in ("LayerNorm-plain", "TransformerEncoderLayer"):
            cases[f"SparseDelta-{kind}"] = Case(lambda base: some_places(base), kind, True)
    cases["UniPT"] = Case(lambda base: UniPT(4), "TransformerEncoderLayer", False, fresh=False)
    for attend in (True, False):
        for kind in ("TransformerEncoderLayer", "MultiheadAttention", "LayerNorm"):
            cases[f"DynamicPrompt-{attend}-{kind}"] = Case(
                lambda base, attend=attend: DynamicPrompt(3, 4, attend=attend), kind, False
            )
    for kind in ("Conv2d", "BatchNorm2d"):
        cases[f"ChannelSpatial-{kind}"] = Case(lambda base: ChannelSpatial(layout="first"), kind, False)
    both = (Bottleneck(4), ScaleShift()), (("layers.0.linear1",), ("layers.1.linear2",))
    cases["Together-feed-forward"] = Case(lambda base: Together(*both), "feed-forward", False)
    beside = Bottleneck(4, parallel=True, pairs=(("layers.0.linear1", "layers.1.linear2"),))
    cases["Bottleneck-pair-feed-forward"] = Case(lambda base: beside, "feed-forward", False)
    cases["NormTuning-LayerNorm"] = Case(lambda base: NormTuning(), "LayerNorm", True)
    for parallel in (False, True):
        side = "parallel" if parallel else "sequential"
        for kind, dims in CONV.items():
            cases[f"Bottleneck-{side}-{kind}"] = Case(
                lambda base, dims=dims, parallel=parallel: Bottleneck(
                    4, dims=dims, layout="first", parallel=parallel, norm=True
                ),
                kind,
                False,
            )
        for kind in (*TOKENS, "Linear"):
            cases[f"Bottleneck-{side}-{kind}"] = Case(
                lambda base, parallel=parallel: Bottleneck(4, parallel=parallel), kind, False
            )
        for kind in TOKENS:
            cases[f"Bottleneck-gated-{side}-{kind}"] = Case(
                lambda base, parallel=parallel: Bottleneck(4, dims=1, parallel=parallel, gate=True), kind, False
            )
    return cases


CASES = _cases()


def _each_time() -> set[str]:
    """Each adapter at a fifth of the kinds of module that it serves, and at one at least; the others at night."""
    of: dict[str, list[str]] = {}
    for name, case in CASES.items():
        of.setdefault(name.removesuffix(case.kind), []).append(name)
    return {name for names in of.values() for name in names[::5]}


EACH_TIME = _each_time()


def at_night(name: str) -> Any:
    return () if name in EACH_TIME else pytest.mark.nightly


def _each(names: list[str]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("case", [pytest.param(CASES[name], id=name, marks=at_night(name)) for name in names])


every_case = _each(list(CASES))
every_merging = _each([name for name, case in CASES.items() if case.merges])


def stir(attached: Attached | PeftAttached, seed: int = 5) -> None:
    """Give the adapter other numbers, as training would."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in attached.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.3)


def look(model: nn.Module) -> dict[str, Any]:
    """All of a network that a user may see: tensors by their bytes, objects, flags, modes, kinds, hooks, fields."""
    return {
        "state": {name: tensor.clone() for name, tensor in model.state_dict().items()},
        "order": list(model.state_dict()),
        "objects": [id(parameter) for parameter in model.parameters()],
        "flags": [parameter.requires_grad for parameter in model.parameters()],
        "modes": [module.training for module in model.modules()],
        "kinds": [type(module) for module in model.modules()],
        "hooks": [len(module._forward_hooks) + len(module._forward_hooks_with_kwargs) for module in model.modules()],
        "fields": [sorted(vars(module)) for module in model.modules()],
    }


def same_bytes(before: dict[str, Tensor], after: dict[str, Tensor]) -> bool:
    return list(before) == list(after) and all(
        before[name].detach().numpy().tobytes() == after[name].detach().numpy().tobytes() for name in before
    )


def assert_same(before: dict[str, Any], after: dict[str, Any]) -> None:
    assert same_bytes(before["state"], after["state"])
    for key in before.keys() - {"state"}:
        assert before[key] == after[key], key


def train(model: nn.Module, attached: Attached | PeftAttached, x: Tensor, steps: int = 3) -> None:
    model.train()
    optimiser = torch.optim.AdamW(attached.parameters(), lr=0.01, weight_decay=0.5)  # decay: all it holds moves
    generator = torch.Generator().manual_seed(9)
    for _ in range(steps):
        optimiser.zero_grad()
        output = model(x)
        (output - torch.randn(output.shape, generator=generator)).square().mean().backward()
        optimiser.step()
    model.eval()


@every_case
def test_a_fresh_adapter_is_the_identity(case: Case) -> None:
    x = case.base.input()
    before = case.base.model()(x)
    after = case.attach()[0](x)
    assert torch.allclose(before, after, atol=1e-6) == case.fresh


@every_case
def test_disabled_is_the_base(case: Case) -> None:
    x = case.base.input()
    model, attached = case.attach()
    stir(attached)
    with attached.disabled():
        torch.testing.assert_close(model(x), case.base.model()(x), rtol=1e-6, atol=1e-6)
    assert not torch.allclose(model(x), case.base.model()(x), atol=1e-3)


@every_merging
def test_merged_equals_adapted_and_unmerged_is_adapted_again(case: Case) -> None:
    x = case.base.input()
    model, attached = case.attach()
    stir(attached)
    adapted = model(x)
    plain = attached.merge()
    assert plain is model and type(model) is type(case.base.model())
    torch.testing.assert_close(model(x), adapted, rtol=1e-5, atol=1e-5 * max(1.0, float(adapted.detach().abs().max())))
    assert attached.merge() is model
    with pytest.raises(ValueError, match="unmerge it"):
        attached.load(attached.state())
    second = attach(model, case.adapter(case.base), case.base.where)  # a plain network takes another adapter
    second.remove()
    attached.unmerge()
    assert torch.equal(model(x), adapted)


@pytest.mark.parametrize("mode", [False, True])
@pytest.mark.parametrize(
    ("case", "merged"),
    [
        pytest.param(case, merged, id=f"{name}{'-merged' if merged else ''}", marks=at_night(name))
        for name, case in CASES.items()
        for merged in ((False, True) if case.merges else (False,))
    ],
)
def test_removed_is_the_base_bit_for_bit(case: Case, merged: bool, mode: bool) -> None:
    model = case.base.model().train(mode)
    next(model.parameters(), torch.zeros(1)).requires_grad_(False)
    before = look(model)
    attached = attach(model, case.adapter(case.base), case.base.where)
    stir(attached)
    train(model, attached, case.base.input())
    if merged:
        attached.merge()
    assert attached.remove() is model
    assert_same(before, look(model))


@every_case
def test_training_changes_what_is_counted_and_nothing_of_the_base(case: Case) -> None:
    model, attached, base = case.attach_watched()
    stir(attached)
    own = attached.state()
    x = case.base.input().requires_grad_()  # as if a layer before were trained: the base still gets nothing
    train(model, attached, x, steps=4)
    assert same_bytes(case.base.model().state_dict(), base)
    assert all(tensor.grad is None for tensor in base.values())
    changed = sum(int((attached.state()[name] != own[name]).sum()) for name, _ in attached.named_parameters())
    assert attached.count() == sum(parameter.numel() for parameter in attached.parameters())
    assert changed == attached.count()


@every_case
def test_forward_leaves_state_and_input_unchanged(case: Case) -> None:
    model, attached = case.attach()
    stir(attached)
    x = case.base.input()
    given, base, own = x.clone(), copy.deepcopy(model.state_dict()), attached.state()
    for mode in (False, True):
        model.train(mode)
        model(x)
    assert torch.equal(given, x) and same_bytes(base, model.state_dict()) and same_bytes(own, attached.state())


@every_case
def test_saved_and_restored_gives_the_same_output(case: Case, tmp_path: Path) -> None:
    model, attached = case.attach()
    stir(attached)
    x = case.base.input()
    save_adapter(tmp_path / "adapter", attached)
    other = case.base.model()
    restored = restore_adapter(tmp_path / "adapter", other)
    assert torch.equal(other(x), model(x))
    assert restored.count() == attached.count()
    held = sum(file.stat().st_size for file in (tmp_path / "adapter").iterdir() if file.suffix == ".safetensors")
    assert held < 16 * attached.count() + 4000


@every_case
def test_another_base_is_refused_by_name_and_untouched(case: Case, tmp_path: Path) -> None:
    _, attached = case.attach()
    save_adapter(tmp_path / "adapter", attached)
    other = case.base.model()
    for name, tensor in list(other.state_dict().items())[:1]:
        tensor.view(-1)[0] += 1
        before = look(other)
        with pytest.raises(ValueError, match=f"other weights.*'{name}'"):
            restore_adapter(tmp_path / "adapter", other)
        assert_same(before, look(other))
    wider = nn.Sequential(nn.Linear(3, 3))
    with pytest.raises(ValueError, match=r"another network: .*'"):
        restore_adapter(tmp_path / "adapter", wider)


@every_case
def test_a_wrong_state_is_refused_by_name_and_changes_nothing(case: Case) -> None:
    _, attached = case.attach()
    own = attached.state()
    name = next(iter(dict(attached.named_parameters())))
    wrong = {
        "must be": {**own, name: torch.zeros(99, 3)},
        "not finite": {**own, name: torch.full_like(own[name], np.nan)},
        "missing": {key: value for key, value in own.items() if key != name},
        "unknown": {**own, "ghost": torch.zeros(1)},
    }
    for message, state in wrong.items():
        with pytest.raises(ValueError, match=message) as caught:
            attached.load(state)
        assert ("ghost" if message == "unknown" else name) in str(caught.value)
        assert same_bytes(own, attached.state())
    with pytest.raises(ValueError, match=name):
        attached.load({**own, name: own[name].long()})


@every_case
def test_a_diverged_adapter_is_neither_saved_nor_merged(case: Case, tmp_path: Path) -> None:
    _, attached, base = case.attach_watched()
    with torch.no_grad():
        next(attached.parameters()).fill_(torch.nan)
    with pytest.raises(ValueError, match="not finite"):
        save_adapter(tmp_path / "adapter", attached)
    assert not (tmp_path / "adapter").exists()
    if case.merges:
        with pytest.raises(ValueError, match="not finite"):
            attached.merge()
        assert same_bytes(case.base.model().state_dict(), base) and not attached.merged


@every_case
def test_the_same_seed_gives_the_same_parts_and_the_global_generator_rests(case: Case) -> None:
    first = case.attach(seed=3)[1]
    torch.rand(5)
    state = torch.get_rng_state()
    second = case.attach(seed=3)[1]
    assert same_bytes(first.state(), second.state())
    assert torch.equal(state, torch.get_rng_state())
