"""Shapley values add up, muted passes are quiet, and modulation at k = 1 changes no gradient by a bit."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from balanced import OUTPUTS, SHAPES, batch, gradients, network

from chiasm.training import Objective
from chiasm.training.adaptive_modulation import LARGEST, AdaptiveModulation, ratios
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


def test_who_predicts_better_than_the_other_has_the_ratio_above_one_and_learns_slower() -> None:
    own, given = network("classification", TWO), batch("classification", TWO, complete=True)
    right = 4 * torch.nn.functional.one_hot(given.target.value.long(), 3).float()
    parts = torch.stack([right, torch.zeros_like(right)])
    found = ratios(own, given, parts)
    assert found[0] is not None and found[1] is not None
    assert found[0] > 1 > found[1] and found[0] * found[1] == pytest.approx(1)
    objective = AdaptiveModulation(2.5, 2)
    assert objective.coefficients(own, given, torch.zeros_like(parts)) == [1.0, 1.0]  # the means are one
    first, second = objective.coefficients(own, given, parts)
    mean = (1 + np.array(found)) / 2
    assert first == pytest.approx(np.exp(2.5 * (mean[0] - found[0]))) and first < 1 < second < LARGEST
    extreme = AdaptiveModulation(1e6, 2)
    extreme.coefficients(own, given, torch.zeros_like(parts))
    assert extreme.coefficients(own, given, 1e6 * parts) == [0.0, pytest.approx(LARGEST)]


@pytest.mark.parametrize("kind", KINDS)
def test_modalities_are_compared_on_those_who_have_both(kind: str) -> None:
    own, given = network(kind), batch(kind)
    parts = torch.randn(3, len(given), OUTPUTS[kind], generator=torch.Generator().manual_seed(0))
    before = ratios(own, given, parts)
    changed = parts.clone()
    changed[0, given.present.sum(1) == 1] += 5
    assert ratios(own, given, changed) == before
    apart = replace(given, present=torch.eye(3, dtype=torch.bool)[torch.arange(len(given)) % 3])
    assert ratios(own, apart, parts) == [None] * 3
    assert AdaptiveModulation(2.5, 3).coefficients(own, apart, parts) == [1.0] * 3


def test_its_means_are_stored_and_restored() -> None:
    own, given = network("survival"), batch("survival")
    objectives: list[Any] = [AdaptiveModulation(2.5, 3) for _ in range(2)]
    gradients(own, given, objectives[0])
    objectives[1].restore(objectives[0].state())
    with torch.no_grad():
        own.fusion.fuse.weight.add_(1.0)
    one, other = (gradients(own, given, objective) for objective in objectives)
    assert objectives[1].seen.tolist() == [2, 2, 2] and all(torch.equal(one[name], other[name]) for name in one)


def test_an_offset_is_given_to_the_link_and_to_each_part_that_is_scored() -> None:
    own, given = network("regression", TWO), batch("regression", TWO, complete=True)
    upon = replace(given, offset=torch.full((len(given), 1), 0.5))
    torch.testing.assert_close(
        AdaptiveModulation(2.5, 2)(own, upon).link, own(given.tokens, given.present)[0] + 0.5, atol=0, rtol=0
    )
    parts = torch.randn(2, len(given), 1, generator=torch.Generator().manual_seed(0))
    assert ratios(own, upon, parts) == ratios(own, given, parts + 0.5)


def test_more_than_six_modalities_are_refused() -> None:
    shapes = dict.fromkeys("abcdefg", (2, 0))
    own, given = network("regression", shapes), batch("regression", shapes)
    with pytest.raises(ValueError, match="6 at most"):
        shapley_links(own, given, own(given.tokens, given.present)[0])
