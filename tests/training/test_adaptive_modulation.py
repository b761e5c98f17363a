"""Shapley values add up, muted passes are quiet, and modulation at k = 1 changes no gradient by a bit."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from balanced import OUTPUTS, SHAPES, batch, gradients, network

from chiasm.training import Objective
from chiasm.training.adaptive_modulation import LARGEST, AdaptiveModulation, gaps, ratio
from chiasm.training.shapley import shapley_links

KINDS = list(OUTPUTS)
TWO = {"a": SHAPES["a"], "b": SHAPES["b"]}


def test_the_parts_add_up_to_the_link_and_an_absent_modality_has_none() -> None:
    own, given = network("classification", dropout=0.4), batch("classification")
    link, _ = own.train()(given.tokens, given.present)  # dropout and all
    parts = shapley_links(own, given, link)
    torch.testing.assert_close(parts.sum(0), link, atol=1e-6, rtol=0)
    assert torch.equal(parts.abs().sum(2).T > 0, given.present)
    alone = given.present.sum(1) == 1
    torch.testing.assert_close(parts.sum(0)[alone], link[alone], atol=1e-6, rtol=0)


def test_two_modalities_have_the_parts_of_the_paper() -> None:
    own, given = network("regression", TWO).eval(), batch("regression", TWO, complete=True)

    def link(*here: bool) -> torch.Tensor:
        present = torch.tensor([here]).expand(len(given), -1)
        return own(given.tokens, present)[0]

    first = 0.5 * (link(True, True) - link(False, True) + link(True, False))
    torch.testing.assert_close(shapley_links(own, given, link(True, True))[0], first, atol=1e-6, rtol=0)


def test_muted_passes_run_in_evaluation_mode_and_leave_each_part_in_its_own() -> None:
    own, given = network("regression", TWO, dropout=0.9), batch("regression", TWO, complete=True)
    own.train().head.eval()
    modes = [module.training for module in own.modules()]
    still = own(given.tokens, given.present)[0].detach()
    state = torch.get_rng_state()
    one, other = (shapley_links(own, given, still) for _ in range(2))
    assert torch.equal(one, other) and torch.equal(state, torch.get_rng_state())
    assert modes == [module.training for module in own.modules()]


@pytest.mark.parametrize("kind", KINDS)
def test_a_coefficient_of_one_leaves_every_gradient_as_it_was(kind: str) -> None:
    own, given = network(kind, dropout=0.3), batch(kind)
    plain, modulated = (gradients(own, given, objective) for objective in (Objective(), AdaptiveModulation(0.0, 3)))
    assert plain.keys() == modulated.keys()
    assert all(torch.equal(plain[name], modulated[name]) for name in plain)


def test_the_gradient_of_each_part_is_scaled_by_its_coefficient(monkeypatch: pytest.MonkeyPatch) -> None:
    own, given = network("regression", TWO), batch("regression", TWO, complete=True)
    wanted = [0.25, 3.0]
    objective = AdaptiveModulation(2.5, 2)
    monkeypatch.setattr(objective, "coefficients", lambda *_: wanted)
    found = gradients(own, given, objective)
    own.zero_grad(set_to_none=True)
    link, _ = own(given.tokens, given.present)
    slope = torch.autograd.grad(own.head.loss(link, given.target.value, given.target.event), link)[0]
    link, _ = own(given.tokens, given.present)
    parts = shapley_links(own, given, link)
    sum((k * part * slope).sum() for k, part in zip(wanted, parts, strict=True)).backward()  # type: ignore[union-attr]
    for name, parameter in own.named_parameters():
        torch.testing.assert_close(found[name], parameter.grad)


def said(given: Any, strength: float) -> torch.Tensor:
    """Parts of which the first knows the class by so much, and the second says nothing: `(2, B, 3)`."""
    right = strength * torch.nn.functional.one_hot(given.target.value.long(), 3).float()
    return torch.stack([right, torch.zeros_like(right)])


def test_who_gains_on_the_other_learns_slower_and_who_is_as_far_ahead_as_before_keeps_its_pace() -> None:
    own, given = network("classification", TWO), batch("classification", TWO, complete=True)
    before, after = (gaps(own, given, said(given, strength))[0, 1] for strength in (1.0, 4.0))
    assert 0 < before < after and gaps(own, given, said(given, 4.0))[1, 0] == -after
    objective = AdaptiveModulation(2.5, 2)
    assert objective.coefficients(own, given, said(given, 1.0)) == [1.0, 1.0]  # nothing is known of the steps before
    assert objective.coefficients(own, given, said(given, 1.0)) == pytest.approx([1.0, 1.0])
    first, second = objective.coefficients(own, given, said(given, 4.0))
    assert first == pytest.approx(np.exp(2.5 * (np.exp(before) - np.exp(after)))) and first < 1 < second < LARGEST
    assert objective.mean[0, 1] == pytest.approx((2 * before + after) / 3), "the mean of the losses, not of the ratios"
    assert ratio(np.array([before])) == pytest.approx(np.exp(before))


def test_one_odd_batch_is_soon_forgotten() -> None:
    own, given = network("classification", TWO), batch("classification", TWO, complete=True)
    objective = AdaptiveModulation(2.5, 2)
    for _ in range(10):
        objective.coefficients(own, given, said(given, 1.0))
    assert objective.coefficients(own, given, said(given, -1e6)) == pytest.approx([LARGEST, 0.0])
    for _ in range(200):
        found = objective.coefficients(own, given, said(given, 1.0))
    assert found == pytest.approx([1.0, 1.0], abs=0.2)


@pytest.mark.parametrize("kind", KINDS)
def test_modalities_are_compared_on_those_who_have_both(kind: str) -> None:
    own, given = network(kind), batch(kind)
    parts = torch.randn(3, len(given), OUTPUTS[kind], generator=torch.Generator().manual_seed(0))
    before = gaps(own, given, parts)
    changed = parts.clone()
    changed[0, given.present.sum(1) == 1] += 5
    np.testing.assert_array_equal(gaps(own, given, changed), before)
    apart = replace(given, present=torch.eye(3, dtype=torch.bool)[torch.arange(len(given)) % 3])
    assert np.isnan(gaps(own, apart, parts)).all()
    objective = AdaptiveModulation(2.5, 3)
    objective.coefficients(own, given, parts)
    assert objective.coefficients(own, apart, 3 * parts) == [1.0] * 3


def test_a_batch_in_which_no_outcome_counts_measures_nothing() -> None:
    own, given = network("survival", TWO), batch("survival", TWO, complete=True)
    censored = replace(given, target=replace(given.target, event=torch.zeros_like(given.target.event)))
    objective = AdaptiveModulation(2.5, 2)
    parts = torch.randn(2, len(given), 1, generator=torch.Generator().manual_seed(0))
    objective.coefficients(own, given, parts)
    seen = objective.seen.copy()
    assert objective.coefficients(own, censored, 5 * parts) == [1.0, 1.0]
    np.testing.assert_array_equal(objective.seen, seen)


def test_the_gradient_of_who_has_one_modality_is_never_scaled(monkeypatch: pytest.MonkeyPatch) -> None:
    own, given = network("regression"), batch("regression")
    alone = replace(given, present=torch.eye(3, dtype=torch.bool)[torch.arange(len(given)) % 3])
    objective = AdaptiveModulation(2.5, 3)
    monkeypatch.setattr(objective, "coefficients", lambda *_: [0.1, 5.0, 2.0])
    plain, modulated = (gradients(own, alone, made) for made in (Objective(), objective))
    assert all(torch.equal(plain[name], modulated[name]) for name in plain)


def test_its_means_are_stored_and_restored() -> None:
    own, given = network("survival"), batch("survival")
    objectives: list[Any] = [AdaptiveModulation(2.5, 3) for _ in range(2)]
    gradients(own, given, objectives[0])
    objectives[1].restore(objectives[0].state())
    with torch.no_grad():
        own.fusion.fuse.weight.add_(1.0)
    one, other = (gradients(own, given, objective) for objective in objectives)
    assert objectives[1].seen[0].tolist() == [0, 2, 2] and all(torch.equal(one[name], other[name]) for name in one)


def test_an_offset_is_given_to_the_link_and_to_each_part_that_is_scored() -> None:
    own, given = network("regression", TWO), batch("regression", TWO, complete=True)
    upon = replace(given, offset=torch.full((len(given), 1), 0.5))
    torch.testing.assert_close(
        AdaptiveModulation(2.5, 2)(own, upon).link, own(given.tokens, given.present)[0] + 0.5, atol=0, rtol=0
    )
    parts = torch.randn(2, len(given), 1, generator=torch.Generator().manual_seed(0))
    np.testing.assert_array_equal(gaps(own, upon, parts), gaps(own, given, parts + 0.5))


def test_more_than_six_modalities_are_refused() -> None:
    shapes = dict.fromkeys("abcdefg", (2, 0))
    own, given = network("regression", shapes), batch("regression", shapes)
    with pytest.raises(ValueError, match="6 at most"):
        shapley_links(own, given, own(given.tokens, given.present)[0])
