"""The diffusion of categories equals its formula, summed over all paths by brute force, and its shares fall to 0."""

from __future__ import annotations

from itertools import product
from math import log

import pytest
import torch

from chiasm.generation.multinomial import before, cosine_shares, divergence, drawn, noised

STEPS, SIZES = 3, (3, 2)
VALID = torch.tensor([[1.0, 1.0, 1.0], [1.0, 1.0, 0.0]])
SHARES = torch.tensor([1.0, 0.8, 0.5, 0.1])


def step(one: int, other: int, at: int, levels: int) -> float:
    """`q(x_t = other | x_{t-1} = one)`."""
    own = float(SHARES[at] / SHARES[at - 1])
    return own * (one == other) + (1 - own) / levels


def joint(first: int, now: int, at: int, levels: int) -> list[float]:
    """`q(x_{t-1} = k, x_t = now | x_0 = first)` of each k, summed over all paths."""
    found = [0.0] * levels
    for path in product(range(levels), repeat=at - 1):
        whole, chance = (first, *path, now), 1.0
        for place in range(at):
            chance *= step(whole[place], whole[place + 1], place + 1, levels)
        found[whole[-2]] += chance
    return found


def told(levels: int) -> list[float]:
    return [0.2, 0.5, 0.3] if levels == 3 else [0.9, 0.1]


@pytest.mark.parametrize("at", [1, 2, 3])
def test_the_loss_of_a_step_is_the_divergence_over_all_paths(at: int) -> None:
    for column, levels in enumerate(SIZES):
        for first, now in product(range(levels), repeat=2):
            true = joint(first, now, at, levels)
            true = [own / sum(true) for own in true]
            model = [0.0] * levels
            for start, weight in enumerate(told(levels)):
                for place, own in enumerate(joint(start, now, at, levels)):
                    model[place] += weight * own
            model = [own / sum(model) for own in model]
            expected = sum(p * log(p / q) for p, q in zip(true, model, strict=True) if p)
            one, other = (torch.zeros(1, 2, 3) for _ in range(2))
            one[0, :, 0] = other[0, :, 0] = 1
            one[0, column], other[0, column] = torch.eye(3)[first], torch.eye(3)[now]
            chances = torch.zeros(1, 2, 3)
            chances[0, :, 0] = 1
            chances[0, column, :levels] = torch.tensor(told(levels))
            own, earlier = SHARES[at : at + 1] / SHARES[at - 1 : at], SHARES[at - 1 : at]
            found = divergence(one, other, chances, own, earlier, VALID)[0, column]
            assert found == pytest.approx(expected, abs=2e-6)
            if at == 1:
                reached = [told(levels)[k] * step(k, now, 1, levels) for k in range(levels)]
                assert found == pytest.approx(-log(reached[first] / sum(reached)), abs=2e-6)


def test_noise_of_many_steps_is_that_of_one_and_nobody_leaves_his_levels() -> None:
    first = torch.tensor([[[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]]])
    found = noised(first, SHARES[2:3], VALID)
    twice = noised(noised(first, SHARES[1:2], VALID), SHARES[2:3] / SHARES[1:2], VALID)
    torch.testing.assert_close(found, twice)
    assert found[0, 1, 2] == 0 and found.sum(-1).allclose(torch.ones(1, 2))
    many = drawn(found.expand(4000, -1, -1), torch.Generator().manual_seed(0))
    assert (many.mean(0) - found[0]).abs().max() < 0.03 and many[:, 1, 2].sum() == 0


def test_shares_fall_from_one_to_almost_nothing_and_the_first_step_back_is_what_was_there() -> None:
    shares = cosine_shares(100)
    assert shares[0] == 1 and (shares.diff() < 0).all() and shares[-1] < 1e-3
    first = torch.tensor([[[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]]])
    now = torch.tensor([[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]])
    torch.testing.assert_close(before(now, first, shares[1:2], shares[:1], VALID), first)
