"""peft behind our interface: its sums by hand, and where torch or peft would break a law."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from bases import BASES
from chiasm.adapters import IA3, LoRA, NormTuning, Prefix, Prompt, ScaleShift, attach, restore_adapter, save_adapter
from chiasm.cohort import Unsupported


def first(name: str, module: nn.Module) -> bool:
    return name == "0"


def root(name: str, module: nn.Module) -> bool:
    return name == ""


@pytest.mark.parametrize("groups", [1, 3])
def test_lora_is_the_sum_of_its_groups(groups: int) -> None:
    layer = nn.Linear(6, 5)
    model, x = nn.Sequential(layer), torch.randn(4, 6)
    attached = attach(model, LoRA(rank=2, alpha=3, groups=groups), first)
    assert attached.count() == groups * 2 * (6 + 5)
    with torch.no_grad():
        for parameter in attached.parameters():
            parameter.normal_()
    state = attached.state()
    expected = F.linear(x, layer.weight, layer.bias)
    for name in ["default", *(f"group-{i}" for i in range(1, groups))]:
        a, b = state[f"0.lora_A.{name}.weight"], state[f"0.lora_B.{name}.weight"]
        expected = expected + 3 / 2 * x @ a.T @ b.T
    torch.testing.assert_close(model(x), expected)


@pytest.mark.parametrize("kind", ["Linear", "Conv2d", "Conv3d"])
def test_ia3_is_scale_and_shift_without_the_shift(kind: str) -> None:
    base = BASES[kind]
    ours, theirs = base.model(), base.model()
    a, b = attach(ours, ScaleShift(shift=False), base.where), attach(theirs, IA3(), base.where)
    assert a.count() == b.count()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for one, other in zip(a.parameters(), b.parameters(), strict=True):
            values = torch.randn(one.shape, generator=generator)
            one.copy_(values)
            other.copy_(values.reshape(other.shape))
    x = base.input()
    torch.testing.assert_close(ours(x), theirs(x), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(a.merge()(x), b.merge()(x), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("grad", [True, False])
def test_the_fused_layer_of_torch_does_not_go_round_lora(grad: bool) -> None:
    base = BASES["feed-forward"]
    model, x = base.model(), base.input()
    attached = attach(model, LoRA(rank=2), lambda name, module: name == "layers.1.linear1")
    with torch.no_grad():
        for parameter in attached.parameters():
            parameter.add_(0.3)
    with torch.set_grad_enabled(grad):
        assert not torch.allclose(model(x), base.model()(x), atol=1e-3)


@pytest.mark.parametrize(
    ("adapter", "kind", "message"),
    [
        (LoRA(2), "MultiheadAttention", "'attention' is a MultiheadAttention"),
        (LoRA(2), "out_proj", "'attention.out_proj' and never calls it"),
        (LoRA(2), "Conv2d", "'second' convolves in groups"),
        (LoRA(6), "Linear", "'0' has rank 5 at most"),
        (IA3(), "Conv1d", "'first' is a Conv1d"),
        (NormTuning(), "norm2", "'layers.1.norm2'"),
        (NormTuning(), "LayerNorm-plain", "'0' is a LayerNorm"),
        (Prompt(), "Linear", "whole model"),
    ],
)
def test_what_cannot_be_adapted_is_named_and_untouched(adapter: Any, kind: str, message: str) -> None:
    base = BASES[kind]
    model = base.model()
    before = [(type(module), sorted(vars(module)), module.training) for module in model.modules()]
    with pytest.raises(ValueError, match=message):
        attach(model, adapter, base.where)
    assert before == [(type(module), sorted(vars(module)), module.training) for module in model.modules()]
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_a_shared_weight_is_refused_by_both_its_names() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    model[1].weight = model[0].weight
    with pytest.raises(ValueError, match="'0' and '1' share a weight"):
        attach(model, LoRA(2), lambda name, module: name == "1")


def test_the_network_itself_is_no_site() -> None:
    with pytest.raises(ValueError, match="the network itself"):
        attach(nn.Linear(4, 4), LoRA(2), root)


def test_a_merge_that_overflows_changes_nothing() -> None:
    model = BASES["Linear"].model()
    attached = attach(model, LoRA(rank=2), BASES["Linear"].where)
    with torch.no_grad():
        for name, parameter in attached.named_parameters():
            parameter.fill_(3e38 if name.startswith("3.") else 0.5)
    x = BASES["Linear"].input()
    state = attached.state()
    with pytest.raises(ValueError, match="not finite"):
        attached.merge()
    assert all(torch.equal(state[name], tensor) for name, tensor in attached.state().items())
    attached.remove()
    assert torch.equal(model(x), BASES["Linear"].model()(x))


@pytest.mark.parametrize("kwargs", [{"rank": 0}, {"groups": 0}])
def test_options_that_cannot_be(kwargs: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="1 or more"):
        LoRA(**kwargs)


@pytest.fixture(scope="module")
def bert() -> nn.Module:
    transformers = pytest.importorskip("transformers")
    options = {"hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 12}
    torch.manual_seed(0)
    return transformers.BertModel(transformers.BertConfig(vocab_size=20, **options)).eval()


@pytest.fixture(scope="module")
def gpt() -> nn.Module:
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    return transformers.GPT2LMHeadModel(
        transformers.GPT2Config(vocab_size=20, n_embd=8, n_layer=2, n_head=2, n_positions=32)
    ).eval()


IDS = torch.tensor([[1, 2, 3, 4], [5, 6, 7, 0]])
MASK = torch.tensor([[1, 1, 1, 1], [1, 1, 1, 0]])


@pytest.mark.parametrize(
    ("adapter", "which", "count"), [(Prompt(3), "bert", 24), (Prompt(3, "causal"), "gpt", 24), (Prefix(3), "gpt", 96)]
)
def test_a_prompt_is_learned_saved_and_removed(
    adapter: Any, which: str, count: int, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    model = request.getfixturevalue(which)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    fields, plain = sorted(vars(model)), model(IDS, attention_mask=MASK)[0]
    attached = attach(model, adapter, root)
    assert attached.count() == count
    optimiser = torch.optim.AdamW(attached.parameters(), lr=0.1)
    own = attached.state()
    attached.model(input_ids=IDS, attention_mask=MASK)[0].square().mean().backward()
    optimiser.step()
    assert sum(int((own[name] != tensor).sum()) for name, tensor in attached.state().items()) == count
    adapted = attached.model(input_ids=IDS, attention_mask=MASK)[0]
    with attached.disabled() as base:
        assert torch.equal(base(IDS, attention_mask=MASK)[0], plain)
    with pytest.raises(Unsupported, match="cannot be merged"):
        attached.merge()
    save_adapter(tmp_path / "prompt", attached)
    attached.remove()
    assert sorted(vars(model)) == fields
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert torch.equal(model(IDS, attention_mask=MASK)[0], plain)
    restored = restore_adapter(tmp_path / "prompt", model)
    assert torch.equal(restored.model(input_ids=IDS, attention_mask=MASK)[0], adapted)
    restored.remove()


@pytest.mark.parametrize("adapter", [LoRA(2), LoRA(2, groups=2), IA3(), NormTuning(), ScaleShift(start="paper")])
def test_a_model_of_transformers_takes_every_family(adapter: Any, bert: nn.Module) -> None:
    plain = bert(IDS, attention_mask=MASK)[0]
    end = "LayerNorm" if isinstance(adapter, NormTuning) else ("query", "value", "dense")
    attached = attach(bert, adapter, lambda name, module: name.startswith("encoder") and name.endswith(end))
    with torch.no_grad():
        for parameter in attached.parameters():
            parameter.add_(0.1)
    adapted = bert(IDS, attention_mask=MASK)[0]
    assert not torch.allclose(plain, adapted, atol=1e-3)
    attached.merge()
    torch.testing.assert_close(bert(IDS, attention_mask=MASK)[0], adapted, rtol=1e-5, atol=1e-5)
    attached.remove()
    assert torch.equal(bert(IDS, attention_mask=MASK)[0], plain)


@pytest.mark.parametrize("adapter", [LoRA(2), IA3(), IA3(True)], ids=str)
def test_a_place_is_one_place_though_another_name_ends_like_it(adapter: Any) -> None:
    """Of a list of names, peft takes every module whose name ends like one, and its weights were never given back."""
    torch.manual_seed(0)
    network = nn.ModuleDict({"fc": nn.Linear(4, 4), "sub": nn.ModuleDict({"fc": nn.Linear(4, 4)})})
    before = {name: value.clone() for name, value in network.state_dict().items()}
    attached = attach(network, adapter, lambda name, _: name == "fc", seed=0)
    assert all(name.startswith("fc.") for name, _ in attached.named_parameters())
    with torch.no_grad():
        for parameter in attached.parameters():
            parameter.add_(0.5)
    attached.merge()
    attached.unmerge()
    attached.remove()
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
