"""Training under masks of a policy: who gets which gradient, that the policy is gone afterwards, what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

import chiasm
import chiasm.training.loop as loop
from adapted_cohorts import network_of, notes, pictures, stopped_after
from chiasm.adapters import BetaMaskPolicy
from chiasm.protocols import Fused
from chiasm.recipes.registry import make_recipe
from chiasm.testing.adaptation import check_adaptation
from chiasm.tokens import Tokens
from chiasm.training import Batch, Computed, TargetTensors
from chiasm.training.masked_images import DRAWN, MaskedFusion, MaskReward
from small_recipes import at_night
from tiny_models import tiny_models

QUICK = "epochs=2,mask_epochs=2,latent_width=4,grid=2"
RESNET = "monai:random=true,dims=2,size=32"


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of tiny models."""
    return tiny_models(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def cohort(models: Path, tmp_path_factory: pytest.TempPathFactory) -> chiasm.Cohort:
    """Pictures read by a tiny ViT, and a table."""
    folder = tmp_path_factory.mktemp("pictures")
    return pictures(folder, folder / "store", f"hf:{models}/vit")


class Sums(torch.nn.Module):
    """A fusion of one image modality: the sum of its pixels, and what it was given."""

    names = ("scan",)
    frozen_parameters = 0

    def forward(self, tokens: dict[str, Tokens], present: Tensor) -> Fused:
        self.given = tokens["scan"]
        return Fused(tokens["scan"].values.sum((1, 2))[:, None])


def masked() -> tuple[MaskedFusion, dict[str, Tokens], Tensor]:
    """A fusion under masks, and four patients of whom the third has no image."""
    here = torch.tensor([True, True, False, True])
    images = torch.rand(4, 1, 2 * 8 * 8, generator=torch.Generator().manual_seed(0))
    return MaskedFusion(Sums(), {"scan": (2, 8, 8)}, 2, 1.0), {"scan": Tokens(images, here[:, None])}, here[:, None]


def reward(link: Tensor, fused: Fused, value: Tensor) -> Tensor:
    """The whole loss of a batch."""
    batch = Batch({}, torch.ones(len(value), 1) > 0, TargetTensors(value, value > 1))
    return Computed(MaskReward().losses(None, batch, link, fused), link, fused).total


@pytest.mark.parametrize("options", at_night("rank=0", "rank=2"))
def test_the_laws_of_adapted_recipes(cohort: chiasm.Cohort, options: str) -> None:
    model = check_adaptation(make_recipe(f"noise-mask:{QUICK},{options}"), cohort)
    assert not [name for name in network_of(model).state if "polic" in name]


@pytest.mark.nightly
def test_a_residual_network_is_trained_whole(tmp_path: Path) -> None:
    pytest.importorskip("monai")
    cohort = pictures(tmp_path, tmp_path / "store", RESNET, n=24)
    model = make_recipe("noise-mask:rank=0,epochs=1,mask_epochs=1,latent_width=4").fit(cohort, seed=0)
    assert model.trained_parameters > 11_000_000
    assert np.isfinite(model.predict(cohort).select_dtypes("number").to_numpy()).all()


def test_each_network_has_a_gradient_of_its_own_loss_alone() -> None:
    """The released code multiplies the classifier's loss by a log density, which may be negative."""
    fusion, tokens, present = masked()
    value, weight = torch.tensor([0.0, 1.0, 0.0, 1.0]), torch.ones(1, 2, requires_grad=True)
    torch.manual_seed(0)
    fused = fusion(tokens, present)
    link = fused.embedding.detach() * 0.1 @ weight * torch.tensor([1.0, 0.5])
    reward(link, fused, value).backward()
    own = weight.grad.clone()
    (plain,) = torch.autograd.grad(
        functional.cross_entropy(fused.embedding.detach() * 0.1 @ weight * torch.tensor([1.0, 0.5]), value.long()),
        weight,
    )
    torch.testing.assert_close(own, plain)
    costs = functional.cross_entropy(link.detach(), value.long(), reduction="none")[present[:, 0]]
    torch.manual_seed(0)
    for policy in fusion.policies.values():
        found = [p.grad.clone() for p in policy.parameters()]
        policy.zero_grad()
        policy.running.zero_()
        density = policy.draw(tokens["scan"].values[present[:, 0], 0].reshape(-1, 2, 8, 8)).log_density
        others = (costs.sum() - costs) / 2  # each patient's own reward, and the mean of the others
        ((costs - others) * density).mean().backward()
        assert any(float(grad.abs().sum()) > 0 for grad in found)
        for one, other in zip(found, policy.parameters(), strict=True):
            torch.testing.assert_close(one, other.grad)


def test_masks_are_for_training_and_for_those_who_have_an_image() -> None:
    fusion, tokens, present = masked()
    fused = fusion(tokens, present)
    density = fused.extras[DRAWN + "scan"]
    assert not fused.latents and density.shape == (4,)
    assert torch.isnan(density).tolist() == [False, False, True, False]
    share = fusion.fusion.given.values / tokens["scan"].values
    assert torch.equal(share[2], torch.ones_like(share[2]))
    assert bool(((share[[0, 1, 3]] > 0) & (share[[0, 1, 3]] < 1)).all())
    torch.testing.assert_close(share[0, 0, :64], share[0, 0, 64:])  # one mask for all channels
    fusion.eval()
    before, running = torch.get_rng_state(), [p.running.clone() for p in fusion.policies.values()]
    plain = fusion(tokens, present)
    assert not plain.extras and torch.equal(fusion.fusion.given.values, tokens["scan"].values)
    assert torch.equal(before, torch.get_rng_state())
    assert all(torch.equal(p.running, own) for p, own in zip(fusion.policies.values(), running, strict=True))


def test_nobody_with_an_image_gives_a_finite_loss() -> None:
    fusion, tokens, present = masked()
    nobody = {"scan": Tokens(tokens["scan"].values, tokens["scan"].mask & False)}
    fused = fusion(nobody, present & False)
    link = torch.zeros(4, 2, requires_grad=True)
    found = reward(link, fused, torch.zeros(4))
    assert found.item() == pytest.approx(np.log(2))


def test_the_policy_moves_in_the_first_stage_and_is_never_called_later(
    cohort: chiasm.Cohort, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn, draw, stages = [], BetaMaskPolicy.draw, []
    phase = loop._phase

    def counted(self: Any, images: Tensor) -> Any:
        drawn.append(next(self.net.parameters()).detach().clone())
        return draw(self, images)

    def noted(*args: Any) -> Any:
        start = len(drawn)
        found = phase(*args)
        stages.append(len(drawn) - start)
        return found

    monkeypatch.setattr(BetaMaskPolicy, "draw", counted)
    monkeypatch.setattr(loop, "_phase", noted)
    model = make_recipe(f"noise-mask:{QUICK},rank=2").fit(cohort, seed=0)
    model.predict(cohort)
    assert stages[0] == len(drawn) > 2 and stages[1] == 0
    assert not torch.equal(drawn[0], drawn[-1])


@pytest.mark.parametrize("after", [3, *at_night(1)])
def test_a_training_stopped_in_either_stage_goes_on(cohort: chiasm.Cohort, tmp_path: Path, after: int) -> None:
    recipe = make_recipe(f"noise-mask:{QUICK},rank=2")
    whole = recipe.fit(cohort, seed=0)
    with stopped_after(after):
        recipe.fit(cohort, seed=0, checkpoint=tmp_path)
    again = recipe.fit(cohort, seed=0, checkpoint=tmp_path)
    assert all(np.array_equal(own, network_of(again).state[key]) for key, own in network_of(whole).state.items())


def test_what_is_refused(cohort: chiasm.Cohort, models: Path, tmp_path: Path) -> None:
    recipe = make_recipe("noise-mask")
    patches = pictures(tmp_path, tmp_path / "store", "patches:size=32,patch=16", n=16)
    for own in (patches, notes(models, tmp_path / "store", n=24)):
        with pytest.raises(chiasm.Unsupported, match=r"network to adapt|masks are for images"):
            recipe.supports(own)
    with pytest.raises(chiasm.Unsupported, match="cross entropy of a class"):
        recipe.supports(notes(models, tmp_path / "store", n=24, target=chiasm.Regression("x")))
    for options in ("rank=-1", "mask_epochs=0", "grid=0"):
        with pytest.raises(ValueError, match=r"rank is 0|cannot be"):
            make_recipe(f"noise-mask:{options}")
