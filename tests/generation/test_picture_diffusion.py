"""Pictures out of noise: sizes of two and three axes, seeds, conditions that lead, and the loss that MONAI has."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from chiasm.generation.diffusion import q_sample, target_of
from chiasm.generation.picture_diffusion import PREDICTION, SCHEDULE, FittedPictures, PictureDiffusion, share_of
from chiasm.generation.picture_net import PictureNetDesign

SMALL = PictureDiffusion(width=8, levels=2, steps=3, batch=4, draws=2)


def halves(n: int, size: int = 6) -> tuple[Tensor, Tensor]:
    """Pictures bright on the left or on the right, and which of the two."""
    generator = torch.Generator().manual_seed(0)
    right = torch.arange(n) % 2
    pictures = torch.full((n, 1, size, size), -0.6)
    pictures[right == 0, :, :, : size // 2] = 0.6
    pictures[right == 1, :, :, size // 2 :] = 0.6
    return pictures + 0.05 * torch.randn(pictures.shape, generator=generator), right.float()[:, None] * 2 - 1


@pytest.mark.parametrize(("size", "patch"), [((5, 7), 1), ((5, 6), 2), ((4, 3, 5), 2)])
def test_sizes_of_two_and_three_axes_even_or_not(size: tuple[int, ...], patch: int) -> None:
    network = PictureNetDesign(len(size), 2, condition=3, width=8, levels=2, patch=patch).build()
    torch.nn.init.normal_(network.last.weight)
    x, share = torch.randn(2, 2, *size), torch.tensor([0.1, 0.9])
    known = torch.randn(2, 3)
    said = network(x, share, known)
    assert said.shape == x.shape
    free = network(x, share)
    torch.testing.assert_close(network(x, share, torch.full((2, 3), torch.nan)), free)
    half = network(x, share, torch.stack([known[0], torch.full((3,), torch.nan)]))
    torch.testing.assert_close(half, torch.stack([said[0], free[1]]))
    assert not torch.allclose(said, free)


@pytest.mark.parametrize("process", ["diffusion", "flow"])
def test_a_seed_gives_the_same_weights_and_pictures_and_changes_nothing_global(process: str) -> None:
    pictures, known = halves(12)
    before = torch.random.get_rng_state()
    one, again = (replace(SMALL, process=process).fit(pictures, known, seed=3) for _ in range(2))
    assert all((own == again.state[name]).all() for name, own in one.state.items())
    drawn = one.sample(3, 5, known[:3])
    assert torch.equal(drawn, again.sample(3, 5, known[:3]))
    assert not torch.equal(drawn, one.sample(3, 6, known[:3]))
    assert drawn.shape == (3, 1, 6, 6)
    assert drawn.abs().max() <= 1
    assert torch.equal(before, torch.random.get_rng_state())


@pytest.mark.parametrize(
    ("process", "steps"),
    [("diffusion", 60), pytest.param("flow", 300, marks=pytest.mark.nightly)],
)
def test_a_condition_leads(process: str, steps: int) -> None:
    pictures, known = halves(32)
    made = PictureDiffusion(process, width=8, levels=2, steps=steps, batch=16, learning_rate=6e-3, draws=10)
    drawn = made.fit(pictures, known, seed=0).sample(30, 1, known[:30])
    towards = drawn[..., 3:].mean((1, 2, 3)) - drawn[..., :3].mean((1, 2, 3))
    assert ((towards > 0) == (known[:30, 0] > 0)).float().mean() > 0.9


def test_the_loss_is_its_formula() -> None:
    pictures, known = halves(4)
    found = SMALL.loss(lambda x, share, c: x * 0.5, pictures, known, torch.Generator().manual_seed(1))
    generator = torch.Generator().manual_seed(1)
    noise, t = torch.randn(pictures.shape, generator=generator), torch.randint(1000, (4,), generator=generator)
    said = q_sample(pictures, t, noise, SCHEDULE) * 0.5
    torch.testing.assert_close(found, ((said - target_of(pictures, t, noise, SCHEDULE, PREDICTION)) ** 2).mean())
    assert share_of(torch.tensor([0, 999])).tolist() == pytest.approx([0.001, 1.0])


@pytest.mark.nightly
def test_the_loss_is_monais() -> None:
    inferers = pytest.importorskip("monai.inferers")
    schedulers = pytest.importorskip("monai.networks.schedulers")
    pictures, _ = halves(4)
    generator = torch.Generator().manual_seed(1)
    noise, t = torch.randn(pictures.shape, generator=generator), torch.randint(1000, (4,), generator=generator)
    theirs = schedulers.DDPMScheduler(num_train_timesteps=1000, schedule="cosine", prediction_type="v_prediction")
    theirs.alphas_cumprod = SCHEDULE.alpha_bar.float()  # its own cosine is bent otherwise at the ends
    said = inferers.DiffusionInferer(theirs)(
        pictures, lambda x, timesteps, context: x * 0.5, noise=noise, timesteps=t
    )  # fmt: skip
    expected = ((said - theirs.get_velocity(pictures, noise, t)) ** 2).mean()
    found = SMALL.loss(lambda x, share, c: x * 0.5, pictures, None, torch.Generator().manual_seed(1))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)


def test_what_is_no_picture_is_refused() -> None:
    pictures, _ = halves(12)
    with pytest.raises(ValueError, match="7 pictures are too few"):
        SMALL.fit(pictures[:7], None, 0)
    for wrong in (pictures * 3, torch.where(pictures > 0, torch.nan, pictures)):
        with pytest.raises(ValueError, match="outside of -1 to 1"):
            SMALL.fit(wrong, None, 0)
    with pytest.raises(ValueError, match="no process is called 'gan'"):
        PictureDiffusion("gan")
    empty = SMALL.fit(pictures, None, 0).sample(0, 0)
    assert isinstance(SMALL.fit(pictures, None, 0), FittedPictures)
    assert empty.shape == (0, 1, 6, 6)
