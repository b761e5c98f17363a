"""Losses of preference: ln 2 where nothing was learned, the price of length in every loss, and every pair counts."""

from __future__ import annotations

import math

import pytest
import torch
from torch import argmax, argmin

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


def grown(own: Preference) -> tuple[float, float]:
    """Mean length, and share of the good, that a policy over 16 completions ends with: 1 to 8 tokens, good or not.

    The scorer pays for what is good and for each token; the reference is even, pairs are drawn from it.
    """
    length, good = torch.arange(1.0, 9).repeat(2), torch.arange(2.0).repeat_interleave(8)
    drawn = torch.randint(0, 16, (400, 2), generator=torch.Generator().manual_seed(0))
    score = (2 * good + 0.5 * length)[drawn]
    kept = score[:, 0] != score[:, 1]
    best, worst = (drawn[kept].gather(1, order(score[kept], 1, keepdim=True))[:, 0] for order in (argmax, argmin))
    logits = torch.zeros(16, requires_grad=True)
    for _ in range(60):
        each = torch.log_softmax(logits, 0)
        policy, even = Sides(each[best], each[worst]), torch.full((len(best),), -math.log(16))
        pair_losses(own, policy, Sides(even, even), Sides(length[best], length[worst])).mean().backward()
        with torch.no_grad():
            logits -= 5 * logits.grad  # type: ignore[operator]
            logits.grad = None
    share = torch.softmax(logits.detach(), 0)
    return float(share @ length), float(share @ good)


def test_under_a_scorer_that_pays_for_length_a_price_keeps_texts_short_and_good() -> None:
    found = {alpha: grown(Preference("r-dpo", beta=0.5, alpha=alpha)) for alpha in (0.0, 0.1, 0.3)}
    lengths, goods = zip(*found.values(), strict=True)
    assert lengths[0] > lengths[1] + 0.1 > lengths[2] + 0.5 and lengths[0] > 6
    assert min(goods) > 0.9


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
