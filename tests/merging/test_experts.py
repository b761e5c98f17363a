"""Product of Gaussian experts: the closed form, absent ones, and numbers that would overflow."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from chiasm.merging.experts import product_of_experts
from examples import examples

laws = settings(max_examples=examples(25), deadline=None)


def draw(seed: int, models: int) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    generator = torch.Generator().manual_seed(seed)
    pairs = [[torch.randn(3, 4, dtype=torch.float64, generator=generator) for _ in range(2)] for _ in range(models)]
    return [mean for mean, _ in pairs], [spread for _, spread in pairs]


@laws
@given(seed=st.integers(0, 10**6), models=st.integers(1, 4), prior=st.booleans())
def test_it_is_the_closed_form(seed: int, models: int, prior: bool) -> None:
    means, spreads = draw(seed, models)
    weights = torch.rand(3, models, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)) + 0.1
    mean, log_variance = product_of_experts(means, spreads, weights, prior=prior)
    precision = sum(weights[:, [m]] / spreads[m].exp() for m in range(models)) + (1.0 if prior else 0.0)
    expected = sum(weights[:, [m]] * means[m] / spreads[m].exp() for m in range(models)) / precision
    torch.testing.assert_close(mean, expected)
    torch.testing.assert_close(log_variance, -torch.as_tensor(precision).log())


def test_one_without_prior_is_itself_and_two_of_it_are_half_as_wide() -> None:
    means, spreads = draw(0, 1)
    mean, log_variance = product_of_experts(means, spreads, torch.ones(3, 1), prior=False)
    torch.testing.assert_close(mean, means[0])
    torch.testing.assert_close(log_variance, spreads[0])
    mean, log_variance = product_of_experts(means * 2, spreads * 2, torch.ones(3, 2), prior=False)
    torch.testing.assert_close(mean, means[0])
    torch.testing.assert_close(log_variance, spreads[0] - math.log(2))


@pytest.mark.parametrize("behind", [math.nan, math.inf, 1e9])
def test_what_stands_behind_an_absent_modality_is_never_read(behind: float) -> None:
    means, spreads = draw(1, 3)
    present = torch.tensor([[True, False, True]] * 3)
    hidden = [torch.full_like(means[1], behind).requires_grad_(), torch.full_like(means[1], behind).requires_grad_()]
    found = product_of_experts([means[0], hidden[0], means[2]], [spreads[0], hidden[1], spreads[2]], present)
    expected = product_of_experts([means[0], means[2]], [spreads[0], spreads[2]], torch.ones(3, 2))
    for own, other in zip(found, expected, strict=True):
        torch.testing.assert_close(own, other)
    (found[0].sum() + found[1].sum()).backward()
    assert all(value.grad is not None and torch.equal(value.grad, torch.zeros_like(value)) for value in hidden)


def test_nobody_present_is_the_prior_and_without_one_is_refused() -> None:
    means, spreads = draw(2, 2)
    mean, log_variance = product_of_experts(means, spreads, torch.zeros(3, 2))
    assert torch.equal(mean, torch.zeros_like(mean)) and torch.equal(log_variance, torch.zeros_like(mean))
    with pytest.raises(ValueError, match="without a modality has no product"):
        product_of_experts(means, spreads, torch.tensor([[1.0, 1.0], [0.0, 0.0], [1.0, 0.0]]), prior=False)


@pytest.mark.parametrize("spread", [-1000.0, 1000.0])
def test_extreme_precisions_neither_overflow_nor_lose_the_mean(spread: float) -> None:
    means, spreads = draw(3, 2)
    mean, log_variance = product_of_experts(
        means, [torch.full_like(s, spread) for s in spreads], torch.ones(3, 2), prior=False
    )
    torch.testing.assert_close(mean, (means[0] + means[1]) / 2)
    torch.testing.assert_close(log_variance, torch.full_like(mean, spread - math.log(2)))


def test_what_does_not_fit_is_refused() -> None:
    means, spreads = draw(4, 2)
    for arguments, message in (
        ((means, spreads[:1], torch.ones(3, 2)), "2 means and 1 log variances"),
        (([], [], torch.ones(3, 0)), "one or more"),
        ((means, [spreads[0], spreads[1][:, :2]], torch.ones(3, 2)), "have one shape"),
        ((means, spreads, torch.ones(2, 2)), r"must be \(B, M\) = \(3, 2\)"),
        ((means, spreads, -torch.ones(3, 2)), "finite and not negative"),
    ):
        with pytest.raises(ValueError, match=message):
            product_of_experts(*arguments)
