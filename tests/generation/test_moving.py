"""Blocks over time: at zero each frame is the image network's own, bit for bit; trained, words steer a moving blob."""

from __future__ import annotations

import pytest
import torch
from moving_blobs import FRAMES, SCHEDULE, TinyDenoiser, films, told_right, trained_denoiser
from scipy.stats import binomtest  # type: ignore[import-untyped]

from chiasm.generation.diffusion import guided, sample
from chiasm.generation.moving import Moving, TemporalBlock, fit_motion

PLACES = ("first", "middle", "wider")


def moving(image: TinyDenoiser) -> Moving:
    return Moving(image, dict.fromkeys(PLACES, image.width), 2, heads=4)


def test_untrained_blocks_leave_each_frame_as_the_image_network_says_it_bit_for_bit() -> None:
    image = TinyDenoiser(8)
    own, generator = moving(image), torch.Generator().manual_seed(0)
    x, t = torch.randn(2, 5, 1, 8, 8, generator=generator), torch.tensor([3, 70])
    alone = image(x.flatten(0, 1), t.repeat_interleave(5), None).unflatten(0, (2, 5))
    assert torch.equal(own(x, t, torch.eye(2)), alone) and torch.equal(own(x, t, None), alone)
    assert not any(part._forward_hooks for part in image.modules())  # and nothing is left on it


def test_training_moves_the_blocks_alone_and_then_frames_and_words_tell() -> None:
    image, generator = TinyDenoiser(8), torch.Generator().manual_seed(0)
    before = {name: own.clone() for name, own in image.state_dict().items()}
    pictures, told = films(8, generator)
    own = fit_motion(moving(image), pictures, told, SCHEDULE, updates=2, batch=2, generator=generator)
    for name, value in image.state_dict().items():
        assert torch.equal(value, before[name])
    x, t = torch.randn(2, FRAMES, 1, 8, 8, generator=generator), torch.tensor([3, 70])
    said = own(x, t, told[:2])
    assert (said - own(x, t, told[:2].flip(1))).abs().max() > 0
    other = x.clone()
    other[0, 3] += 1
    changed = (own(other, t, told[:2]) - said).abs().flatten(2).amax(2)
    assert (changed[0] > 0).all() and not changed[1].any()  # each frame reads the others of its film, and of no other


def test_the_attention_is_over_frames_at_each_pixel() -> None:
    """The reference is a loop over pixels with torch's own attention."""
    block, generator = TemporalBlock(6, 2, heads=2), torch.Generator().manual_seed(0)
    torch.nn.init.normal_(block.out.weight, generator=generator)
    x, told = torch.randn(8, 6, 2, 2, generator=generator), torch.randn(2, 2, generator=generator)
    found = block(x, 4, told).unflatten(0, (2, 4))
    reference = torch.nn.MultiheadAttention(6, 2, batch_first=True)
    reference.in_proj_weight, reference.in_proj_bias = block.inward.weight, block.inward.bias
    reference.out_proj.weight, reference.out_proj.bias = (
        torch.nn.Parameter(torch.eye(6)),
        torch.nn.Parameter(torch.zeros(6)),
    )
    angles = torch.arange(4.0)[:, None] * torch.tensor([1.0, 10**-1.5, 1e-3])
    place = block.place(torch.cat([angles.sin(), angles.cos()], 1))
    scale, shift, gate = block.told(told).split((6, 6, 12), 1)
    for film in range(2):
        for row, column in [(0, 0), (1, 0), (0, 1), (1, 1)]:
            own = x[4 * film : 4 * film + 4, :, row, column]
            tokens = block.norm(own) * (1 + scale[film]) + shift[film] + place
            mixed = reference(tokens[None], tokens[None], tokens[None])[0][0]
            hidden = torch.nn.functional.gelu(block.hidden(torch.cat([mixed, tokens], 1)) * (1 + gate[film]))
            torch.testing.assert_close(found[film, :, :, row, column], own + block.out(hidden), atol=1e-5, rtol=1e-5)


def test_places_that_are_not_there_and_films_without_conditions_are_refused() -> None:
    with pytest.raises(ValueError, match="no part 'second'"):
        Moving(TinyDenoiser(8), {"second": 8}, 2)
    with pytest.raises(ValueError, match="5 heads do not divide 8 channels"):
        TemporalBlock(8, 2, heads=5)
    with pytest.raises(ValueError, match="4 films and 3 conditions"):
        fit_motion(moving(TinyDenoiser(8)), torch.zeros(4, 4, 1, 8, 8), torch.zeros(3, 2), SCHEDULE)


@pytest.mark.nightly
def test_left_and_right_steer_a_blob_as_a_classifier_sees_it() -> None:
    generator = torch.Generator().manual_seed(0)
    pictures, told = films(1000, generator)
    own = fit_motion(
        moving(trained_denoiser(pictures, generator)), pictures, told, SCHEDULE, updates=700, generator=generator
    )
    asked = torch.eye(2).repeat(30, 1)
    noise = torch.randn(60, FRAMES, 1, 8, 8, generator=generator)
    with torch.no_grad():
        drawn = sample(guided(own, 2.0), noise, SCHEDULE, steps=25, condition=asked, clip=1.0)
        deaf = moving(own.image)
        one, other = (sample(deaf, noise[:4], SCHEDULE, steps=5, condition=told) for told in (asked[:4], 1 - asked[:4]))
    assert torch.equal(one, other)  # before blocks are trained the words steer nothing
    judged = told_right(pictures[:500], told[:500])
    assert (judged(pictures[500:]) == told[500:, 1].bool()).float().mean() > 0.95
    right = int((judged(drawn) == asked[:, 1].bool()).sum())
    assert binomtest(right, 60, alternative="greater").proportion_ci(0.99).low > 0.5
