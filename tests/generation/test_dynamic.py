"""The middle of k-space is a projection, what was measured is kept, a static scan tunes a network to its subject."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import wilcoxon

from chiasm.compute.isolation import own_randomness
from chiasm.generation.dynamic import FrameNet, FrameOptions, followed_frames, learnt, moved
from chiasm.generation.kspace import consistent, cropped, image_of, kept_places, measured, spectrum
from chiasm.segmentation.phantoms import phantom


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("shape", [(12, 9), (8, 6, 5)])
def test_the_crop_of_k_space_is_linear_idempotent_and_a_box_about_the_middle(shape: tuple[int, ...]) -> None:
    kept = kept_places(shape, 0.25)
    x, y = drawn(3, *shape), drawn(3, *shape, seed=1)
    torch.testing.assert_close(cropped(2 * x - 3 * y, kept), 2 * cropped(x, kept) - 3 * cropped(y, kept))
    torch.testing.assert_close(cropped(cropped(x, kept), kept), cropped(x, kept))
    torch.testing.assert_close(cropped(torch.ones(shape), kept), torch.ones(shape))
    torch.testing.assert_close(cropped(x, kept_places(shape, 1)), x)
    assert kept[(0,) * len(shape)] and 0 < kept.float().mean() <= 0.25 and kept.sum() % 2 == 1
    whole = torch.fft.ifftn(spectrum(x, len(shape)) * kept, dim=tuple(range(-len(shape), 0)), norm="ortho")
    assert whole.imag.abs().max() < 1e-12  # what is kept of a real image is real
    torch.testing.assert_close(image_of(spectrum(x, len(shape)), len(shape)), x)
    torch.testing.assert_close(measured(x, kept, 0, torch.Generator()), cropped(x, kept).abs())
    with pytest.raises(ValueError, match="a share of 0 of k-space cannot be kept"):
        kept_places(shape, 0)


def test_noise_has_the_deviation_that_was_asked_for() -> None:
    kept = kept_places((64, 64), 1)
    flat = torch.full((4, 64, 64), 50.0, dtype=torch.float64)  # far from 0, where a magnitude is a real part
    told = measured(flat, kept, 0.3, torch.Generator().manual_seed(0))
    assert abs(float(told.std()) / 0.3 - 1) < 0.03


def test_what_was_measured_is_told_as_it_was() -> None:
    kept = kept_places((12, 10), 0.2)
    told, low = drawn(2, 12, 10), cropped(drawn(2, 12, 10, seed=3), kept)
    found = consistent(told, low, kept)
    torch.testing.assert_close(cropped(found, kept), low)
    torch.testing.assert_close(found - cropped(found, kept), told - cropped(told, kept))
    with own_randomness(0):
        net = FrameNet(2, 4)
    first = cropped(drawn(2, 12, 10).float(), kept)
    torch.testing.assert_close(net(first, first, kept), first)  # untrained it is what was measured
    trained = learnt(net, drawn(3, 12, 10).float(), kept, FrameOptions(width=4, steps=3, learning_rate=0.05))
    torch.testing.assert_close(cropped(trained(first, first, kept), kept), first, atol=1e-5, rtol=0)
    assert (trained(first, first, kept) - first).abs().max() > 1e-4
    torch.testing.assert_close(net(first, first, kept), first)  # and what was given stays


def test_frames_are_told_one_after_the_other_the_same_by_the_same_seed() -> None:
    kept = kept_places((8, 8), 0.25)
    with own_randomness(0):
        net = FrameNet(2, 4)
    scans = drawn(2, 8, 8).float()
    nets = [learnt(net, scans, kept, FrameOptions(width=4, steps=2), seed) for seed in (0, 0, 1)]
    told = [followed_frames(own, cropped(scans, kept), kept) for own in nets]
    assert torch.equal(told[0], told[1]) and not torch.equal(told[0], told[2])
    low = cropped(scans, kept)
    torch.testing.assert_close(told[0][1], nets[0](low[1:], told[0][:1], kept)[0])
    still = moved(scans, 0.0, torch.Generator())
    torch.testing.assert_close(still, scans, atol=1e-5, rtol=0)


@pytest.mark.nightly
def test_tuning_on_the_right_static_scan_gains_more_than_on_another_subjects() -> None:
    shape = (40, 40)
    kept = kept_places(shape, 0.0625)

    def static(seed: int) -> torch.Tensor:
        return torch.from_numpy(phantom(seed, shape, noise=(0, 0))[0]["clear"])

    options, tuning = FrameOptions(), FrameOptions(steps=100, learning_rate=1e-3)
    with own_randomness(0):
        net = FrameNet(2)
    generic = learnt(net, torch.stack([static(100 + k) for k in range(24)]), kept, options)
    gains = []
    for seed in range(8):
        frames = moved(static(seed).expand(8, -1, -1), 0.03, torch.Generator().manual_seed(seed))
        low = cropped(frames, kept)
        errors = [
            float((followed_frames(own, low, kept) - frames).square().mean())
            for own in (
                generic,
                learnt(generic, static(seed)[None], kept, tuning, seed),
                learnt(generic, static(50 + seed)[None], kept, tuning, seed),
            )
        ]
        gains.append(10 * np.log10([errors[0] / errors[1], errors[0] / errors[2]]))
    right, other = np.transpose(gains)
    assert right.mean() > 0 and wilcoxon(right, other, alternative="greater").pvalue < 0.01
