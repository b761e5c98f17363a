"""Pictures known by heart: whose they are, that repeating makes more of them, and what is tuned so that fewer are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from chiasm.adapters.site_search import Choice
from chiasm.generation import memorised as of_memory
from chiasm.generation.memorised import memorised, memory_controlled, repeated
from chiasm.generation.picture_diffusion import FittedPictures, PictureDiffusion
from chiasm.generation.tuned_pictures import Tuning, changed_weights, sites_of, threshold_of, tuned, tuned_small

SMALL = PictureDiffusion(width=8, levels=1, steps=2, batch=4, draws=2)


def noise(n: int, side: int = 4, seed: int = 0) -> Tensor:
    """Pictures of which none is like another."""
    return torch.rand(n, 1, side, side, generator=torch.Generator().manual_seed(seed)) * 1.6 - 0.8


@pytest.fixture(scope="module")
def model() -> FittedPictures:
    return SMALL.fit(noise(12), None, 0)


def test_what_a_training_picture_stands_behind_is_found_with_whose_it_is() -> None:
    train, held = noise(40), noise(60, seed=1)
    drawn = torch.cat([train[[3, 3, 7]] + 0.02 * noise(3, seed=2), noise(7, seed=3)])
    found = memorised(drawn, train, held)
    assert found.hits.tolist() == [True] * 3 + [False] * 7
    assert found.whose[:3].tolist() == [3, 3, 7]
    assert found.share == pytest.approx(0.3)
    assert found.of(np.arange(40) == 3) == pytest.approx(0.2)
    assert found.of(np.arange(40) < 10) == pytest.approx(0.03)
    assert memorised(held[:20], train, held[20:]).share < 0.1
    with pytest.raises(ValueError, match="a training picture is there twice"):
        memorised(drawn, repeated(train, np.full(40, 2)), held)


def grown(pictures: int, steps: int, width: int, levels: int) -> list[float]:
    """Share of drawn pictures behind which a training picture stands that was there once, four times, 16 times."""
    train, times = noise(pictures), np.ones(pictures, dtype=int)
    times[: pictures // 8], times[pictures // 8 : pictures // 4] = 16, 4
    how = PictureDiffusion(width=width, levels=levels, steps=steps, batch=16, draws=8, learning_rate=4e-3)
    drawn = how.fit(repeated(train, times), None, 0).sample(150, 0)
    found = memorised(drawn, train, noise(100, seed=1))
    return [found.of(times == own) for own in (1, 4, 16)]


def test_what_is_repeated_is_memorised() -> None:
    once, some, often = grown(32, 90, 8, 1)
    assert often > 0.003
    assert often > 5 * max(once, some)


@pytest.mark.nightly
def test_memorisation_grows_with_duplicates() -> None:
    once, some, often = grown(64, 500, 16, 2)
    assert 0.0 <= once < some < often
    assert often > 4 * some


@pytest.mark.parametrize("sites", [("middle",), ("first", "up.0"), ()])
def test_all_but_the_parts_that_are_tuned_stay_bit_for_bit(model: FittedPictures, sites: tuple[str, ...]) -> None:
    found = tuned(model, noise(10, seed=4), None, Tuning(2, 4), sites, 0)
    moved = {name for name, own in model.state.items() if (own != found.state[name]).any()}
    assert all(name.startswith(sites or ("none",)) for name in moved)
    assert all(any(name.startswith(site) for name in moved) for site in sites)
    assert torch.equal(found.sample(2, 1), tuned(model, noise(10, seed=4), None, Tuning(2, 4), sites, 0).sample(2, 1))
    assert (changed_weights(model, found) == 0) == (not sites)


def test_the_smallest_weights_alone_are_tuned(model: FittedPictures) -> None:
    found = tuned_small(model, noise(10, seed=4), None, Tuning(2, 4, 1e-2), 0, share=0.2)
    network = model.network()
    sites = tuple(name for name, own in network.named_modules() if own._parameters and "norm" not in name)
    limit = threshold_of(network, tuple(name for name in sites if name), 0.2)
    changed = 0
    for name, own in model.state.items():
        moved = own != found.state[name]
        assert (np.abs(own[moved]) < limit * 1.5).all()
        changed += int(moved.sum())
    assert 0 < changed == changed_weights(model, found) < 0.25 * sum(own.size for own in model.state.values())


def test_parts_are_those_of_the_network_and_others_are_refused(model: FittedPictures) -> None:
    assert sites_of(model) == ("first", "down.0", "middle", "up.0", "last")
    with pytest.raises(ValueError, match="no part of the model is called 'midle': did you mean 'middle'"):
        tuned(model, noise(10), None, Tuning(), ("midle",), 0)
    with pytest.raises(ValueError, match="the model draws pictures of 1 x 4 x 4, and these are 1 x 5 x 5"):
        tuned(model, noise(10, side=5), None, Tuning(), ("middle",), 0)
    with pytest.raises(ValueError, match="the model is told 0 numbers"):
        tuned_small(model, noise(10), torch.zeros(10, 2), Tuning(), 0)
    with pytest.raises(ValueError, match="steps=0 draws nothing"):
        Tuning(0)
    with pytest.raises(ValueError, match="share lies above 0"):
        tuned_small(model, noise(10), None, Tuning(), 0, share=0)


def test_the_front_is_of_choices_that_no_other_betters(model: FittedPictures, monkeypatch: pytest.MonkeyPatch) -> None:
    """With costs that are known, the front is that of all masks; what is held out is not learnt from."""
    train, held = noise(30), noise(30, seed=1)
    asked: list[tuple[str, ...]] = []

    class Known:
        def __init__(self, share: float) -> None:
            self.share = share

    def known(fitted: FittedPictures, pictures: Tensor, *more: Any) -> object:
        assert pictures is train
        asked.append(more[2])
        return fitted

    monkeypatch.setattr(of_memory, "tuned", known)
    monkeypatch.setattr(of_memory, "kernel_distance", lambda *_: 8.0 - len(asked[-1]))
    monkeypatch.setattr(of_memory, "memorised", lambda *_: Known(float("middle" in asked[-1]) + len(asked[-1]) / 9))
    told: list[Choice] = []
    front = memory_controlled(
        model, train, train, held, Tuning(), trials=32, rates=(1e-3, 1e-3), drawn=2, told=told.append
    )  # fmt: skip
    assert len(told) == 32
    assert [len(own.sites) for own in front] == [0, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 3, 3, 3, 3, 4, 5]
    assert all("middle" not in own.sites for own in front[:-1])


@pytest.mark.nightly
def test_small_weights_learn_other_pictures_too() -> None:
    left, right = noise(40, 6), noise(40, 6)
    left[..., :3], right[..., 3:] = 0.8, 0.8
    base = PictureDiffusion(width=16, levels=2, steps=300, batch=16, draws=10, learning_rate=4e-3).fit(left, None, 0)
    for found in (
        tuned_small(base, right, None, Tuning(300, 16, 4e-3), 0, share=0.3),
        tuned(base, right, None, Tuning(300, 16, 4e-3), ("middle", "up.1", "up.0"), 0),
    ):
        drawn = found.sample(40, 0)
        towards = drawn[..., 3:].mean((1, 2, 3)) - drawn[..., :3].mean((1, 2, 3))
        before = base.sample(40, 0)
        assert (before[..., 3:].mean((1, 2, 3)) < before[..., :3].mean((1, 2, 3))).float().mean() > 0.9
        assert (towards > 0).float().mean() > 0.9
