"""What `attach` refuses, and the ways in which torch goes round a module."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bases import BASES
from chiasm.adapters import (
    Bottleneck,
    DynamicPrompt,
    LoRA,
    Part,
    ScaleShift,
    UniPT,
    attach,
    restore_adapter,
    save_adapter,
)
from chiasm.artifact import ArtifactError, load, save
from chiasm.cohort import Unsupported


def test_no_site_is_an_error() -> None:
    with pytest.raises(ValueError, match="no submodule"):
        attach(BASES["Linear"].model(), ScaleShift(), lambda name, module: False)


def test_a_site_of_an_unknown_kind_is_named_before_anything_changes() -> None:
    model = BASES["Linear"].model()
    with pytest.raises(ValueError, match="'1' is a ReLU"):
        attach(model, ScaleShift(), lambda name, module: name in ("0", "1", "3"))
    assert all(parameter.requires_grad for parameter in model.parameters())
    attach(model, ScaleShift(), BASES["Linear"].where).remove()


def test_a_second_adapter_is_refused_until_the_first_is_gone() -> None:
    base = BASES["Linear"]
    model = base.model()
    first = attach(model, ScaleShift(), base.where)
    for carrier in (model, model[0], nn.Sequential(model)):
        with pytest.raises(ValueError, match="already"):
            attach(carrier, ScaleShift(), lambda name, module: isinstance(module, nn.Linear))
    first.merge()
    second = attach(model, ScaleShift(), base.where)
    second.remove()
    first.remove()
    with pytest.raises(ValueError, match="removed"):
        first.merge()


def test_what_changes_outputs_is_not_merged() -> None:
    base = BASES["Linear"]
    attached = attach(base.model(), Bottleneck(), base.where)
    with pytest.raises(Unsupported, match="'0' changes no weight"):
        attached.merge()


def test_an_output_that_torch_never_asks_for_is_no_site() -> None:
    with pytest.raises(ValueError, match=r"'attention.out_proj' and never calls it"):
        attach(BASES["out_proj"].model(), Bottleneck(), BASES["out_proj"].where)


def test_a_weight_that_is_computed_already_is_no_site() -> None:
    model = nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(3, 3)))
    with pytest.raises(ValueError, match="computes its 'weight' itself"):
        attach(model, ScaleShift(), lambda name, module: name == "0")


@pytest.mark.parametrize("adapter", [ScaleShift(start="paper"), Bottleneck(4)])
@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("site", ["layers.0.linear1", "layers.1.linear2", "layers.0.norm1", "layers.0"])
def test_the_fused_layer_of_torch_does_not_go_round_an_adapter(
    adapter: ScaleShift | Bottleneck, padded: bool, site: str
) -> None:
    if site == "layers.0" and isinstance(adapter, ScaleShift):
        return
    base = BASES["TransformerEncoderLayer"]
    model, x = base.model(), base.input()
    attached = attach(model, adapter, lambda name, module: name == site)
    with torch.no_grad():
        for parameter in attached.parameters():
            parameter.add_(0.3)
    mask = torch.zeros(x.shape[:2], dtype=torch.bool)
    mask[0, 2:] = padded
    slow = model(x, src_key_padding_mask=mask)  # with gradients on, torch takes the plain way
    with torch.no_grad():
        fast = model(x, src_key_padding_mask=mask)
    torch.testing.assert_close(fast[~mask], slow[~mask], rtol=1e-4, atol=1e-5)


@dataclass(frozen=True)
class Broken:
    def parts(self, sites: dict[str, nn.Module]) -> dict[str, Part]:
        return {name: _BrokenPart() for name in sites}


class _BrokenPart(Part):
    changes = ("weight",)

    def changed(self, name: str, base: Tensor | None) -> Tensor:
        return self.nowhere  # type: ignore[return-value]


def test_a_part_that_fails_is_not_answered_with_the_base() -> None:
    base = BASES["Linear"]
    model = base.model()
    attach(model, Broken(), base.where)
    with pytest.raises(RuntimeError, match="failed on 'weight'"):
        model(base.input())


def test_dropout_follows_train_and_running_statistics_do_not() -> None:
    model = BASES["Conv2d"].model()
    attached = attach(model, ScaleShift(), BASES["Conv2d"].where)
    model.train()
    assert model.drop.training and model.training and not model.norm.training
    model.norm.train()
    assert not model.norm.training
    attached.remove()
    model.train()
    assert model.norm.training


def test_vectors_of_a_spectral_norm_rest() -> None:
    model = nn.Sequential(nn.utils.parametrizations.spectral_norm(nn.Linear(4, 4)), nn.Linear(4, 2)).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    attach(model, ScaleShift(), lambda name, module: name == "1")
    model.train()
    for _ in range(3):
        model(torch.ones(2, 4)).sum().backward()
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_tied_weights_stay_tied_and_are_adapted_at_the_site_alone() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    model[1].weight = model[0].weight
    attached = attach(model, ScaleShift(start="paper"), lambda name, module: name == "1")
    adapted = model(torch.ones(1, 4))
    attached.merge()
    torch.testing.assert_close(model(torch.ones(1, 4)), adapted)
    attached.remove()
    assert model[1].weight is model[0].weight


def test_half_precision_is_kept_and_stored(tmp_path: Path) -> None:
    base = BASES["Linear"]
    model, other = base.model().bfloat16(), base.model().bfloat16()
    attached = attach(model, ScaleShift(start="paper"), base.where)
    assert {parameter.dtype for parameter in attached.parameters()} == {torch.bfloat16}
    save_adapter(tmp_path / "a", attached)
    restore_adapter(tmp_path / "a", other)
    x = base.input().bfloat16()
    assert torch.equal(model(x), other(x))


def test_a_base_that_was_changed_meanwhile_is_not_saved_for(tmp_path: Path) -> None:
    base = BASES["Linear"]
    model = base.model()
    attached = attach(model, ScaleShift(), base.where)
    with torch.no_grad():
        model.get_submodule("0")._parameters["bias"].add_(1)
    with pytest.raises(ValueError, match=r"'0\.bias' differs"):
        save_adapter(tmp_path / "a", attached)


def test_equal_weights_in_another_structure_are_refused(tmp_path: Path) -> None:
    base = BASES["Linear"]
    save_adapter(tmp_path / "a", attach(base.model(), ScaleShift(), base.where))
    other = base.model()
    other[1] = nn.GELU()
    with pytest.raises(ValueError, match="other kinds"):
        restore_adapter(tmp_path / "a", other)


def test_a_folder_that_is_no_adapter_or_was_edited_is_refused(tmp_path: Path) -> None:
    base = BASES["Linear"]
    save(tmp_path / "options", ScaleShift())
    with pytest.raises(ArtifactError, match="no adapter"):
        restore_adapter(tmp_path / "options", base.model())
    save_adapter(tmp_path / "a", attach(base.model(), ScaleShift(), base.where))
    file = tmp_path / "a" / "model.json"
    document = json.loads(file.read_text())
    document["model"]["sites"] = ["3"]
    file.write_text(json.dumps(document))
    with pytest.raises(ArtifactError, match="hash"):
        restore_adapter(tmp_path / "a", base.model())


@pytest.mark.parametrize(
    ("small", "huge"),
    [
        (Bottleneck(2), Bottleneck(10**9)),
        (DynamicPrompt(2, 2), DynamicPrompt(10**9, 2)),
        (UniPT(2), UniPT(10**9)),
        (LoRA(2), LoRA(2, groups=10**9)),
    ],
    ids=lambda adapter: type(adapter).__name__,
)
def test_options_in_a_file_that_ask_for_more_than_it_holds_are_refused_before_they_are_made(
    small: Any, huge: Any, tmp_path: Path
) -> None:
    kind = "feed-forward" if isinstance(small, LoRA) else "TransformerEncoderLayer"
    base = BASES[kind]
    sites = ["layers.0.linear1"] if isinstance(small, LoRA) else list(base.sites)
    save_adapter(tmp_path / "a", attach(base.model(), small, lambda name, module: name in sites))
    save(tmp_path / "b", dataclasses.replace(load(tmp_path / "a"), adapter=huge))
    model = base.model()
    with pytest.raises(ValueError, match=r"must be|more tensors"):
        restore_adapter(tmp_path / "b", model)
    assert torch.equal(model(base.input()), base.model()(base.input()))
