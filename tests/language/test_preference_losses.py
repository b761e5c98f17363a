"""Losses of preference: ln 2 where nothing was learned, the price of length in every loss, and every pair counts."""

from __future__ import annotations

import math

import pytest
import torch

from chiasm.language.preference.losses import LOSSES, ORPO, Preference, Sides, pair_losses, priced

PAIRS = 5


def sides(seed: int, low: float, high: float, whole: bool = False) -> Sides:
    drawn = low + (high - low) * torch.rand(
        2, PAIRS, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)
    )
    return Sides(*(drawn.round() if whole else drawn))


POLICY, REFERENCE, LENGTHS = sides(1, -30, -5), sides(2, -30, -5), sides(3, 1, 9, whole=True)


def test_a_policy_that_is_the_reference_has_ln_2() -> None:
    for own in (Preference(), Preference("r-dpo", alpha=0.0), Preference("dpo", beta=3.0)):
        found = pair_losses(own, POLICY, POLICY, LENGTHS)
        torch.testing.assert_close(found, torch.full((PAIRS,), math.log(2), dtype=torch.float64))
    even = pair_losses(Preference("ipo", beta=0.5), POLICY, POLICY, LENGTHS)
    torch.testing.assert_close(even, torch.ones(PAIRS, dtype=torch.float64))


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize(("beta", "alpha"), [(0.05, 0.3), (2.0, 0.01)])
def test_a_price_is_a_reference_that_is_priced(loss: str, beta: float, alpha: float) -> None:
    """And a price changes every loss that may have one: it is never left out in silence."""
    if loss in (ORPO, "dpo"):
        with pytest.raises(ValueError, match="alpha"):
            Preference(loss, beta, alpha)
        return
    own, free = Preference(loss, beta, alpha), Preference(loss, beta, 0.0)
    paid = Sides(priced(own, REFERENCE.chosen, LENGTHS.chosen), priced(own, REFERENCE.rejected, LENGTHS.rejected))
    expected = pair_losses(free, POLICY, paid, LENGTHS)
    torch.testing.assert_close(pair_losses(own, POLICY, REFERENCE, LENGTHS), expected)
    apart = LENGTHS.chosen != LENGTHS.rejected
    assert bool((expected[apart] != pair_losses(free, POLICY, REFERENCE, LENGTHS)[apart]).all())


def test_the_price_changes_its_sign_with_the_order_of_a_pair() -> None:
    """Of a smoothed loss the flipped half is that of the pair turned round, its lengths too."""
    own = Preference("r-dpo", beta=0.3, alpha=0.2, smoothing=0.2)
    sharp = Preference("r-dpo", beta=0.3, alpha=0.2)
    turned = [Sides(one.rejected, one.chosen) for one in (POLICY, REFERENCE, LENGTHS)]
    kept, flipped = pair_losses(sharp, POLICY, REFERENCE, LENGTHS), pair_losses(sharp, *turned)
    torch.testing.assert_close(pair_losses(own, POLICY, REFERENCE, LENGTHS), (0.8 * kept - 0.2 * flipped) / 0.6)


@pytest.mark.parametrize("loss", LOSSES)
def test_every_pair_counts_and_is_pushed_the_right_way(loss: str) -> None:
    policy = Sides(POLICY.chosen.clone().requires_grad_(), POLICY.rejected.clone().requires_grad_())
    pair_losses(Preference(loss), policy, REFERENCE, LENGTHS).sum().backward()
    chosen, rejected = policy.chosen.grad, policy.rejected.grad
    assert chosen is not None and rejected is not None
    assert bool((chosen != 0).all()) and bool((rejected != 0).all())
    if loss != "ipo":  # which is a square: it pulls back who went too far
        assert bool((chosen < 0).all()) and bool((rejected > 0).all())


def test_a_longer_chosen_text_has_less_to_gain() -> None:
    same = Sides(torch.zeros(2), torch.zeros(2))
    lengths = Sides(torch.tensor([9.0, 3.0]), torch.tensor([3.0, 9.0]))
    longer, shorter = pair_losses(Preference("r-dpo", alpha=0.1), same, same, lengths).tolist()
    assert longer < math.log(2) < shorter


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"loss": "ppo"}, "choose one of"),
        ({"beta": 0.0}, "above 0"),
        ({"alpha": -0.1}, "0 or more"),
        ({"smoothing": 0.5}, "below .5"),
        ({"loss": "ipo", "smoothing": 0.1}, "leave smoothing out"),
    ],
)
def test_numbers_that_make_no_loss_are_refused(given: dict[str, object], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        Preference(**given)  # type: ignore[arg-type]
