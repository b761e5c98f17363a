"""Pictures by MONAI's networks: sizes, seeds, models that open again, conditions that lead, and MONAI's own losses."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from made_pictures import SIDE, picture_cohort, spots
from torch import Tensor
from torch.nn import functional

import chiasm
from chiasm import artifact
from chiasm.api.generating import generate
from chiasm.generation.adversarial_pictures import AdversarialPictures, numbers_of, patch_loss
from chiasm.generation.catalogue import PICTURES, make_generator
from chiasm.generation.coded_pictures import PictureCodes
from chiasm.generation.diffusion import sample
from chiasm.generation.latent_pictures import LatentDiffusion
from chiasm.generation.marks import mark_in, mark_of
from chiasm.generation.picture_diffusion import PREDICTION, SCHEDULE, PictureDiffusion
from chiasm.generation.picture_generator import cropped, even, halvings_of

pytestmark = pytest.mark.skipif(
    find_spec("monai") is None or find_spec("einops") is None, reason="MONAI and einops are not installed"
)

QUICK = {
    "latent-diffusion": "width=8,levels=1,encoder_width=8,encoder_steps=2,steps=2,batch=4,draws=2,halvings=1",
    "vqvae": "codes=8,code_width=4,encoder_width=8,encoder_steps=2,width=8,depth=1,heads=2,steps=2,batch=4,halvings=1",
    "gan": "noise=4,width=4,critic_width=4,steps=2,batch=4,halvings=1",
}
LEARNT = {
    "latent-diffusion": "width=16,levels=2,encoder_width=16,encoder_steps=600,steps=900,halvings=1,draws=20",
    "vqvae": "steps=300,encoder_steps=300",
    "gan": "steps=900",
}


def quick(name: str) -> Any:
    return make_generator(f"{name}:{QUICK[name]}", PICTURES)


def told(n: int, size: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.rand(n, 2, *size, generator=generator) * 2 - 1, torch.randn(n, 3, generator=generator)


@pytest.mark.parametrize("name", QUICK)
@pytest.mark.parametrize("size", [(9, 12), pytest.param((8, 9, 10), marks=pytest.mark.nightly)])
def test_a_stored_model_opens_again_and_draws_the_same(name: str, size: tuple[int, ...], tmp_path: Path) -> None:
    pictures, known = told(10, size)
    before = torch.random.get_rng_state()
    steps: list[tuple[int, int]] = []
    made = quick(name).fit(pictures, known, 3, lambda *own: steps.append(own))
    assert steps == [(k + 1, len(steps)) for k in range(len(steps))]
    asked = torch.cat([known[:2], torch.full((1, 3), torch.nan)])
    drawn = made.sample(3, 5, asked)
    assert drawn.shape == (3, 2, *size)
    assert drawn.abs().max() <= 1
    artifact.save(tmp_path / "model", made)
    again: Any = artifact.load(tmp_path / "model")
    assert torch.equal(again.sample(3, 5, asked), drawn)
    assert not torch.equal(again.sample(3, 6, asked), drawn)
    assert again.sample(0, 0).shape == (0, 2, *size)
    assert "draw pictures of" in again.of_training() or "draws pictures of" in again.of_training()
    assert torch.equal(before, torch.random.get_rng_state())


@pytest.mark.nightly
@pytest.mark.parametrize("name", QUICK)
def test_a_seed_gives_the_same_weights_with_and_without_conditions(name: str) -> None:
    pictures, known = told(10, (8, 8))
    for condition in (known, None):
        one, again = (quick(name).fit(pictures, condition, 3) for _ in range(2))
        assert torch.equal(one.sample(2, 1), again.sample(2, 1))


@pytest.mark.nightly
@pytest.mark.parametrize("name", LEARNT)
def test_a_condition_leads(name: str) -> None:
    pictures, bright = spots(300, side=16)
    known = torch.tensor(bright[:, None] * 2.0 - 1, dtype=torch.float32)
    made = make_generator(f"{name}:{LEARNT[name]}", PICTURES).fit(pictures, known, 0)
    most = made.sample(60, 1, known[:60]).flatten(1).amax(1)
    assert most[bright[:60] == 1].median() > most[bright[:60] == 0].median() + 0.3


def test_the_loss_of_a_vqvae_and_the_writing_of_its_codes_are_monais() -> None:
    from monai.inferers import VQVAETransformerInferer
    from monai.utils.ordering import Ordering

    how: PictureCodes = quick("vqvae")
    pictures, known = told(10, (8, 8))
    made = how.fit(pictures, known, 0)
    shows, writes = made.networks()
    with torch.no_grad():
        shown, commitment = shows(pictures)
        torch.testing.assert_close(how.loss(shows, pictures), functional.mse_loss(shown, pictures) + commitment)
        codes = shows.index_quantize(pictures).flatten(1)
        theirs = VQVAETransformerInferer()(
            pictures,
            shows,
            writes.network,
            Ordering("raster_scan", 2, (1, *made.grid)),
            condition=writes.context(10, known),
        )[..., : how.codes]
        torch.testing.assert_close(writes(codes, known), theirs)
        expected = functional.cross_entropy(theirs.transpose(1, 2), codes)
        torch.testing.assert_close(how.unlikely(writes, codes, known), expected)
        assert not torch.allclose(writes(codes), theirs)


def test_no_code_is_told_by_itself_or_by_later_ones() -> None:
    pictures, known = told(10, (8, 8))
    _, writes = quick("vqvae").fit(pictures, known, 0).networks()
    codes = torch.zeros(1, writes.design.places, dtype=torch.long)
    other = codes.clone()
    other[:, 5:] = 3
    with torch.no_grad():
        one, two = writes(codes, known[:1]), writes(other, known[:1])
    torch.testing.assert_close(one[:, :6], two[:, :6])
    assert not torch.allclose(one[:, 6:], two[:, 6:])


def test_what_an_autoencoder_learns_is_its_formula() -> None:
    how = LatentDiffusion(kl=0.3)

    class Known(torch.nn.Module):
        def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
            return x[:, :1] * 2, torch.full_like(x[:, :1], 0.5)

        def decode(self, z: Tensor) -> Tensor:
            return z.expand(-1, 2, -1, -1)

    pictures, _ = told(10, (8, 8))
    found = how.loss(Known(), pictures, torch.Generator().manual_seed(1))
    mean = pictures[:, :1] * 2
    noise = torch.randn(mean.shape, generator=torch.Generator().manual_seed(1))
    between = torch.distributions.kl_divergence(
        torch.distributions.Normal(mean, 0.5), torch.distributions.Normal(torch.zeros(()), 1.0)
    )
    expected = (mean + 0.5 * noise - pictures).abs().mean() + 0.3 * between.sum((1, 2, 3)).mean()
    torch.testing.assert_close(found, expected)


@pytest.mark.nightly
def test_the_loss_and_the_drawing_of_latents_are_monais() -> None:
    from monai.inferers import LatentDiffusionInferer
    from monai.networks.schedulers import DDIMScheduler, DDPMScheduler

    pictures, known = told(10, (8, 8))
    made = quick("latent-diffusion").fit(pictures, known, 0)
    network, latents = made.network(), made.latents
    theirs = DDPMScheduler(num_train_timesteps=1000, schedule="cosine", prediction_type="v_prediction")
    theirs.alphas_cumprod = SCHEDULE.alpha_bar.float()
    with torch.no_grad():
        own = network.encode(pictures)[0] / made.reach
        generator = torch.Generator().manual_seed(1)
        noise, t = torch.randn(own.shape, generator=generator), torch.randint(1000, (10,), generator=generator)
        told_of = PictureDiffusion().loss(lambda x, share, c: x * 0.5, own, None, torch.Generator().manual_seed(1))
        network.encode_stage_2_inputs = lambda x: network.encode(x)[0]  # theirs draws around the mean
        said = LatentDiffusionInferer(theirs, scale_factor=1 / made.reach)(
            pictures, network, lambda x, timesteps, context: x * 0.5, noise=noise, timesteps=t
        )  # fmt: skip
        expected = ((said - theirs.get_velocity(own, noise, t)) ** 2).mean()
        torch.testing.assert_close(told_of, expected, rtol=1e-4, atol=1e-6)
        start = torch.randn(2, *own.shape[1:], generator=generator)
        drawn = sample(latents.predict, start, SCHEDULE, steps=10, condition=known[:2], prediction=PREDICTION)
        shown = network.decode(drawn * made.reach)
        ddim = DDIMScheduler(1000, "cosine", prediction_type="v_prediction", clip_sample=False)
        ddim.alphas_cumprod, ddim.final_alpha_cumprod = SCHEDULE.alpha_bar.float(), torch.ones(())
        ddim.set_timesteps(10)
        ddim.timesteps = torch.tensor(SCHEDULE.descending(10))
        found = LatentDiffusionInferer(ddim, scale_factor=1 / made.reach).sample(
            start, network, lambda x, timesteps, context: latents.predict(x, timesteps.long().expand(2), known[:2]),
            ddim, verbose=False,
        )  # fmt: skip
    torch.testing.assert_close(shown, found, rtol=1e-3, atol=1e-4)


def test_what_a_critic_learns_is_its_formula() -> None:
    how = AdversarialPictures(r1=0.5)
    real, known = told(6, (8, 8))
    made = real.flip(0)
    weight = torch.randn(2, 8, 8, generator=torch.Generator().manual_seed(2)) / 8

    class Linear(torch.nn.Module):
        def forward(self, x: Tensor, condition: Tensor | None) -> Tensor:
            return (x * weight).sum((1, 2, 3))[:, None, None, None].abs()

    found = how.judged(Linear(), real, made, known)
    said = [(own * weight).sum((1, 2, 3)).abs() for own in (real, made)]
    expected = (((said[0] - 1) ** 2).mean() + (said[1] ** 2).mean()) / 2 + 0.25 * (weight**2).sum()
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(patch_loss(said[1], real=True, critic=False), ((said[1] - 1) ** 2).mean())
    some = torch.tensor([[1.0, 2.0], [torch.nan, torch.nan]])
    assert numbers_of(some, 2, 2).tolist() == [[1, 2, 0], [0, 0, 1]]
    assert numbers_of(None, 1, 2).tolist() == [[0, 0, 1]]


def test_sides_are_filled_up_and_cut_again() -> None:
    pictures = torch.arange(15.0).reshape(1, 1, 3, 5) / 15
    filled = even(pictures, 4)
    assert filled.shape == (1, 1, 4, 8)
    assert torch.equal(filled[..., 3, :5], pictures[..., 2, :])
    assert torch.equal(cropped(filled, (3, 5)), pictures)
    assert even(filled, 4) is filled
    assert [halvings_of((side, 64), 3) for side in (4, 7, 8, 15, 16, 64)] == [1, 1, 2, 2, 3, 3]


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("gan:steps=0", "steps=0 draws nothing"),
        ("vqvae:heads=3", "width=64 is no multiple of heads=3"),
        ("vqvae:codes=1", "codes=1 lies outside 2 to 4,096"),
        ("latent-diffusion:encoder_width=12", "width=12 is no multiple of 8"),
        ("latent-diffusion:process=walk", "no process is called 'walk'"),
        ("latent-difusion", "did you mean 'latent-diffusion'"),
    ],
)
def test_options_that_cannot_be_are_refused(line: str, what: str) -> None:
    with pytest.raises(ValueError, match=what):
        make_generator(line, PICTURES, "generator of pictures")


def test_pictures_that_a_critic_cannot_read_are_refused() -> None:
    with pytest.raises(ValueError, match="sides of 8 or more, and a picture has 6"):
        quick("gan").fit(told(10, (6, 8))[0], None, 0)


@pytest.mark.nightly
@pytest.mark.parametrize("name", QUICK)
def test_a_cohort_has_their_mark_and_their_reports(name: str, tmp_path: Path) -> None:
    manifest = picture_cohort(tmp_path / "real", 70)
    line = quick(name).name
    made = generate(manifest, tmp_path / "made", patients=30, pictures=line, utility=False, accept_privacy="a test")
    opened = chiasm.open_cohort(tmp_path / "made")
    assert opened.generated is not None and opened.generated.generator == f"gaussian-copula and {line}"
    assert all(mark_in(own) == mark_of(line, 0) for own in (tmp_path / "made" / "image").iterdir())
    assert made.pictures["image"].values.shape[1:] == (1, SIDE, SIDE)
    assert {"kid", "fid", "ms_ssim"} <= set(made.pictures["image"].likeness["synthetic"])
    assert made.privacy is not None
    assert "image: memorised, pixels" in {own.id for own in made.privacy.measures}
