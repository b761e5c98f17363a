"""Recipes that draw by other networks than `unet`: alone as in a batch, stored, and with any contrast absent."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

import chiasm
from chiasm.cohort import Unsupported
from chiasm.recipes.segmentation.monai import Monai
from chiasm.recipes.segmentation.ssma_dense import SsmaDense
from chiasm.recipes.segmentation.stu_net import StuNetRecipe
from chiasm.segmentation import monai_nets
from mask_cohorts import opened

SMALL = "crops=1,flips=all,epochs=1"
NAMES = [f"ssma-dense:width=4,depth=1,eta=2,{SMALL}", f"stu-net:width=2,{SMALL}"]


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> chiasm.Cohort:
    return opened(tmp_path_factory.mktemp("shapes"), 16, absent=0.25)


MONAI = [
    f"monai:network={network},width={width},{SMALL}"
    for network, width in (("unet", 4), ("dynunet", 4), ("swin-unetr", 12))
]


@pytest.mark.parametrize("name", [*NAMES, *(pytest.param(own, marks=pytest.mark.nightly) for own in MONAI)])
def test_a_model_says_the_same_of_one_and_of_all_and_after_it_was_stored(
    name: str, cohort: chiasm.Cohort, tmp_path: Path
) -> None:
    if name in MONAI:
        pytest.importorskip("monai")
    model = chiasm.fit(cohort, name, seed=0)
    said = model.predict(cohort)
    assert set(said["pattern"]) == {"one", "two", "one+two"}
    alone = model.predict(cohort.subset(np.arange(len(cohort)) == 3))
    pd.testing.assert_frame_equal(alone, said.iloc[[3]])
    model.save(tmp_path / "model")
    pd.testing.assert_frame_equal(chiasm.load_model(tmp_path / "model").predict(cohort), said)


def test_sizes_out_of_range_are_refused() -> None:
    for wrong in ({"width": 0}, {"depth": 9}, {"eta": 0}):
        with pytest.raises(ValueError, match="lies between"):
            SsmaDense(**wrong)
    for wrong in ({"size": "xl"}, {"width": 500}):
        with pytest.raises(ValueError, match=r"lies between|known"):
            StuNetRecipe(**wrong)
    for wrong in ({"network": "vnet"}, {"network": "swin-unetr", "width": 16}, {"depth": 9}):
        with pytest.raises(ValueError, match=r"lies between|known|multiple of 12"):
            Monai(**wrong)


def test_a_network_of_monai_reads_zeros_for_what_is_absent_and_draws_at_the_images_size(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without MONAI, whose import is dear: a convolution in its place, and what it was given."""
    given = []

    def in_its_place(network: str, channels: int, axes: int, labels: int, width: int, depth: int) -> nn.Module:
        conv = nn.Conv2d(channels, labels + 1, 1)
        conv.register_forward_pre_hook(lambda _, values: given.append(values[0]))
        return conv

    monkeypatch.setattr(monai_nets, "made", in_its_place)
    network = monai_nets.MonaiNet("unet", {"a": 1, "b": 2}, 2, 3, 4, 3)
    a, nothing = torch.randn(2, 1, 9, 20), torch.full((2, 2, 9, 20), torch.nan)
    said = network({"a": a, "b": nothing}, torch.tensor([[True, False]] * 2))
    assert said.shape == (2, 4, 9, 20) and given[0].shape == (2, 3, 16, 24)
    assert torch.equal(given[0][:, :1, :9, :20], a) and not given[0][:, 1:].any() and not given[0][..., 20:].any()
    torch.testing.assert_close(network({"a": a}, torch.tensor([[True, False]] * 2)), said)


@pytest.mark.nightly
@pytest.mark.parametrize(("network", "width"), [("unet", 4), ("dynunet", 4), ("swin-unetr", 12)])
def test_networks_of_monai_draw_volumes_alone_as_in_a_batch(network: str, width: int) -> None:
    pytest.importorskip("monai")
    torch.manual_seed(0)
    made = monai_nets.MonaiNet(network, {"a": 1}, 3, 2, width, 2).eval()
    a, present = torch.randn(2, 1, 5, 9, 12), torch.ones(2, 1, dtype=torch.bool)
    said = made({"a": a}, present)
    assert said.shape == (2, 3, 5, 9, 12)
    torch.testing.assert_close(made({"a": a[:1]}, present[:1]), said[:1], rtol=1e-4, atol=1e-4)


def test_what_a_network_of_monai_lacks_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in = ModuleType("nets")
    vars(stand_in).update(dict.fromkeys(("DynUNet", "SwinUNETR", "UNet")))
    monkeypatch.setitem(sys.modules, "monai.networks.nets", stand_in)
    monkeypatch.setattr(monai_nets, "find_spec", lambda _: None)
    with pytest.raises(Unsupported, match="needs einops, which is not installed"):
        monai_nets.made("swin-unetr", 1, 2, 2, 12, 2)
    monkeypatch.setitem(sys.modules, "monai.networks.nets", None)
    with pytest.raises(Unsupported, match=r"chiasm\[imaging\]"):
        monai_nets.made("unet", 1, 2, 2, 4, 2)
