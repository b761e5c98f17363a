"""Edits in rounds and by inversion, on scores that are known: where they lead, how fast, and what they leave alone."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from analytic_scores import gaussian, two_lumps

from chiasm.generation.diffusion import Schedule, pairs
from chiasm.generation.progressive import Rounds, inverted_edit, progressive_edit

SCHEDULE = Schedule("linear")
HOW = Rounds(rounds=6, strength=0.4, steps=50, inside=1.0)
MASK = (torch.arange(16) < 6).reshape(1, 1, 4, 4)


def image(n: int = 1) -> torch.Tensor:
    return torch.randn(n, 1, 4, 4, generator=torch.Generator().manual_seed(3), dtype=torch.float64)


def drawn() -> torch.Generator:
    return torch.Generator().manual_seed(5)


@pytest.mark.parametrize("inside", [1.0, 0.6])
def test_a_gaussian_nears_its_fixed_point_by_the_rate_that_is_predicted(inside: float) -> None:
    deviation, mean = 0.7, torch.full((1, 4, 4), 2.0).double()
    how, start = replace(HOW, inside=inside, steps=100, rounds=3), torch.zeros(20_000, 1, 1, 1).double()
    found = progressive_edit(
        gaussian(SCHEDULE, deviation), start, mean[:, :1, :1], SCHEDULE, how=how, generator=drawn()
    ).mean((1, 2, 3, 4))  # fmt: skip
    steps = how.of(SCHEDULE)
    a = SCHEDULE.alpha_bar
    rate, variances = a[steps[0]].sqrt(), [float(a[t] * deviation**2 + 1 - a[t]) for t in steps]
    for (t, before), variance in zip(pairs(steps), variances, strict=True):
        earlier = a[before] if before >= 0 else torch.ones(())
        rate = rate * ((a[t] * earlier).sqrt() * deviation**2 + ((1 - a[t]) * (1 - earlier)).sqrt()) / variance
    limit = float(deviation * a[steps[0]].sqrt() / variances[0] ** 0.5)
    assert abs(float(rate) - limit) < 0.008  # the product over the steps is near what infinitely many would give
    fixed = inside * 2.0 * (1 - rate) / (1 - inside * rate)
    torch.testing.assert_close((fixed - found) / fixed, (inside * rate) ** torch.arange(4), atol=0.008, rtol=0)


def test_rounds_leave_the_gaussian_that_they_lead_to_as_it_is() -> None:
    start = 2 + 0.7 * torch.randn(10_000, 1, 1, 1, generator=drawn()).double()
    found = progressive_edit(
        gaussian(SCHEDULE, 0.7), start, torch.full((1,), 2.0).double(), SCHEDULE,
        how=replace(HOW, steps=200, rounds=2), generator=torch.Generator().manual_seed(6),
    )[-1]  # fmt: skip
    assert abs(float(found.mean()) - 2) < 0.02 and abs(float(found.std()) - 0.7) < 0.02


def test_outside_of_the_mask_every_pixel_is_the_original_and_without_shares_all_of_them() -> None:
    start, towards = image(2).float(), torch.full((1, 4, 4), 3.0)
    found = progressive_edit(gaussian(SCHEDULE, 0.5), start, towards, SCHEDULE, how=HOW, mask=MASK, generator=drawn())
    outside = ~MASK.expand(2, 1, 4, 4)
    assert found.shape == (7, 2, 1, 4, 4)
    for own in found:
        assert torch.equal(own[outside], start[outside])
    assert (found[-1][~outside] - start[~outside]).abs().min() > 0.1
    still = replace(HOW, inside=0.0)
    none = progressive_edit(gaussian(SCHEDULE, 0.5), start, towards, SCHEDULE, how=still, generator=drawn())
    assert torch.equal(none, start.expand(7, -1, -1, -1, -1))
    some = progressive_edit(
        gaussian(SCHEDULE, 0.5), start, towards, SCHEDULE, how=replace(HOW, outside=0.01), mask=MASK, generator=drawn()
    )
    assert 0 < (some[1] - start)[outside].abs().max() < 0.05


def test_a_classifier_of_what_it_moves_towards_is_surer_each_round() -> None:
    start, towards = torch.zeros(200, 1, 4, 4), torch.ones(1, 4, 4)
    found = progressive_edit(gaussian(SCHEDULE, 0.5), start, towards, SCHEDULE, how=HOW, generator=drawn())
    sure = torch.sigmoid((found - 0.5).sum((2, 3, 4))).mean(1)  # Bayes' posterior of N(1, ...) against N(0, ...)
    assert (sure.diff()[:4] > 0).all() and sure[0] < 0.01 and sure[-1] > 0.9


def test_an_image_that_is_inverted_comes_back_and_the_error_shrinks_with_the_steps() -> None:
    start, errors = image(8), []
    for n in (10, 30, 90):
        steps = SCHEDULE.descending(n)
        back = inverted_edit(two_lumps(SCHEDULE, 0.3), start, None, None, SCHEDULE, steps=steps)
        errors.append(float((back - start).abs().mean()))
    assert errors[0] > 0.02 and errors[1] < 0.5 * errors[0] and errors[2] < 0.5 * errors[1]
    refined = inverted_edit(
        two_lumps(SCHEDULE, 0.3), start, None, None, SCHEDULE, steps=SCHEDULE.descending(30), refined=4
    )
    assert float((refined - start).abs().mean()) < 0.3 * errors[1]


def test_another_condition_moves_a_gaussian_by_the_difference_of_the_means() -> None:
    start, steps = image(3), SCHEDULE.descending(80)
    here, there = torch.zeros(1, 4, 4).double(), torch.full((1, 4, 4), 1.5).double()
    found = inverted_edit(gaussian(SCHEDULE, 0.8), start, here, there, SCHEDULE, steps=steps, mask=MASK, refined=1)
    outside = ~MASK.expand(3, 1, 4, 4)
    assert torch.equal(found[outside], start[outside])
    torch.testing.assert_close(found[~outside], start[~outside] + 1.5, atol=0.05, rtol=0)


def test_what_cannot_be_edited_is_refused_with_the_reason() -> None:
    for options, said in [
        ({"rounds": 0}, "0 rounds edit nothing"), ({"strength": 0.0}, "no share of the schedule"),
        ({"inside": 1.5}, "from 0 to 1"), ({"strength": 0.01, "steps": 10}, "leaves none"),
    ]:  # fmt: skip
        with pytest.raises(ValueError, match=said):
            Rounds(**options)  # type: ignore[arg-type]
    for mask, said in [(torch.ones(5, 4, dtype=torch.bool), "a mask of its size"), (MASK & False, "marks no pixel")]:
        with pytest.raises(ValueError, match=said):
            progressive_edit(gaussian(SCHEDULE, 1), image(), None, SCHEDULE, how=HOW, mask=mask)
