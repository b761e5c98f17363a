"""Inverse effectiveness scales the fusion layer's gradients and nothing else; heads of modalities, hidden tokens."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from balanced import OUTPUTS, batch, gradients, network

from chiasm.fusion.concatenated import ALONE, REBUILT
from chiasm.heads.head import Head
from chiasm.protocols import Fused
from chiasm.tokens import Tokens
from chiasm.training import Step
from chiasm.training.alone import OnlyAlone, WithAlone
from chiasm.training.inverse_effectiveness import InverseEffectiveness, effectiveness, effectiveness_coefficient
from chiasm.training.objective import Computed
from chiasm.training.rebuilding import Rebuilding

KINDS = list(OUTPUTS)
LAYER = "fusion.fuse"


@pytest.mark.parametrize("kind", KINDS)
def test_the_losses_of_patients_are_those_of_which_the_loss_is_the_mean(kind: str) -> None:
    head, given = Head(6, OUTPUTS[kind], kind), batch(kind)
    link = torch.randn(len(given), OUTPUTS[kind], generator=torch.Generator().manual_seed(0))
    value, event = given.target.value, given.target.event
    each = head.losses(link, value, event)
    assert torch.equal(~each.isnan(), event if kind == "survival" else ~value.reshape(len(given), -1).isnan().all(1))
    if kind == "survival":  # rows of one time share their terms, in whatever order they stand
        order = torch.randperm(len(given), generator=torch.Generator().manual_seed(1))
        turned = head.losses(link[order], value[order], event[order])
        torch.testing.assert_close(turned, each[order], equal_nan=True)
    if kind == "multilabel":  # the loss is the mean over cells, not over patients
        value = torch.where(value.isnan().any(1, keepdim=True), torch.nan, value)
        each = head.losses(link, value, event)
    torch.testing.assert_close(each[~each.isnan()].mean(), head.loss(link, value, event))
    if kind == "classification":
        torch.testing.assert_close(torch.exp(-each), link.softmax(1).gather(1, value.long()[:, None])[:, 0])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("noise", [False, True])
def test_only_the_gradients_of_the_fusion_layer_change(kind: str, noise: bool) -> None:
    own, given = network(kind, dropout=0.3, outputs=OUTPUTS[kind]), batch(kind)
    plain = gradients(own, given, WithAlone())
    found = gradients(own, given, WithAlone(), InverseEffectiveness(LAYER, noise=noise))
    changed = {name for name in plain if not torch.equal(plain[name], found[name])}
    assert changed == {f"{LAYER}.weight", f"{LAYER}.bias"}
    if not noise:
        ratio = found[f"{LAYER}.weight"] / plain[f"{LAYER}.weight"]
        torch.testing.assert_close(
            ratio[ratio.isfinite()], ratio[ratio.isfinite()].mean().expand(ratio.isfinite().sum())
        )


def test_at_strength_zero_and_without_noise_every_gradient_is_the_one_without_the_hook() -> None:
    own, given = network("survival", dropout=0.3, outputs=1), batch("survival")
    plain = gradients(own, given, WithAlone())
    found = gradients(own, given, WithAlone(), InverseEffectiveness(LAYER, strength=0.0))
    assert all(torch.equal(plain[name], found[name]) for name in plain)


def test_the_coefficient_falls_with_rho_is_one_at_one_and_lies_between_zero_and_two() -> None:
    found = [effectiveness_coefficient(rho, 1.0) for rho in (0.0, 0.5, 1.0, 1.5, 9.0)]
    assert found == sorted(found, reverse=True) and len(set(found)) == 5
    assert found[2] == 1.0 and found[0] == 1 + math.tanh(1) and 0 < found[-1] < found[0] < 2


def step(kind: str, given: Any, alone: dict[str, torch.Tensor], link: torch.Tensor) -> Step:
    """A step in which the heads said this."""
    extras = {f"{ALONE}{name}": own for name, own in alone.items()}
    return Step(network(kind), given, Computed({}, link, Fused(link, extras=extras)), 0)


def test_rho_is_the_mean_of_the_modalities_over_the_whole_for_complete_patients() -> None:
    given = batch("classification", complete=True)
    generator = torch.Generator().manual_seed(0)
    links = torch.randn(4, len(given), 3, generator=generator)
    rho = effectiveness(step("classification", given, dict(zip("abc", links[:3], strict=True)), links[3]))
    scores = [float(own.softmax(1).gather(1, given.target.value.long()[:, None]).sum()) for own in links]
    assert rho == pytest.approx(sum(scores[:3]) / 3 / scores[3], rel=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_head_says_of_who_lacks_its_modality_does_not_count(kind: str) -> None:
    given = batch(kind)
    links = torch.randn(4, len(given), OUTPUTS[kind], generator=torch.Generator().manual_seed(0))
    alone = dict(zip("abc", links[:3], strict=True))
    behind = {name: torch.where(given.present[:, [m]], own, 1e9) for m, (name, own) in enumerate(alone.items())}
    one, other = (effectiveness(step(kind, given, said, links[3])) for said in (alone, behind))
    assert one == other and one is not None
    single = replace(given, present=torch.eye(3, dtype=torch.bool)[torch.arange(len(given)) % 3])
    assert effectiveness(step(kind, single, alone, links[3])) is None


def test_branches_learn_side_by_side_as_each_would_alone() -> None:
    own, given = network("survival", outputs=1), batch("survival")
    found = gradients(own, given, OnlyAlone())
    moved = {name for name, gradient in found.items() if bool((gradient != 0).any())}
    assert moved and all(name.startswith(("fusion.entrances", "fusion.branches", "fusion.alone")) for name in moved)
    own.zero_grad(set_to_none=True)
    link, rows = own(given.tokens, given.present)[1].extras[f"{ALONE}b"], given.present[:, 1]
    alone = own.head.loss(link[rows], given.target.value[rows], given.target.event[rows])
    alone.backward()
    for name, parameter in own.named_parameters():
        if name.startswith(("fusion.entrances.1", "fusion.branches.1", "fusion.alone.1")):
            assert parameter.grad is not None and torch.equal(parameter.grad, found[name])
    own.eval()
    only = torch.tensor([False, True, False])
    with torch.no_grad():
        nobody = replace(given, present=given.present & ~only)
        whole, rest = (OnlyAlone().validation(own, [part]) for part in (given, nobody))
    assert whole - rest == pytest.approx(float(alone.detach()), rel=1e-5)


def test_hidden_tokens_are_not_read_and_shown_ones_are_no_target() -> None:
    own, given = network("survival", rebuilds=True).train(), batch("survival")
    drawn = {name: torch.rand(tokens.mask.shape) for name, tokens in given.tokens.items()}
    objective, before = Rebuilding(), None
    for name, tokens in given.tokens.items():
        hidden = drawn[name].argsort(1).argsort(1) < tokens.mask.shape[1] // 2
        made = objective.rebuilt(own, given, drawn).fused.extras[f"{REBUILT}{name}"]
        changed = dict(given.tokens)
        changed[name] = Tokens(torch.where(hidden[..., None], 7.0, tokens.values), tokens.mask)
        other = objective.rebuilt(own, replace(given, tokens=changed), drawn).fused.extras[f"{REBUILT}{name}"]
        assert torch.equal(made, other)
    for given_target in (given.target, given.target.take(given.target.value.argsort().numpy())):
        losses = objective.rebuilt(own, replace(given, target=given_target), drawn).losses
        assert before is None or losses == before, "no outcome is read"
        before = losses
    assert set(losses) == {f"{REBUILT}{name}" for name in given.tokens}


def test_the_error_of_hidden_tokens_is_one_where_nothing_is_said_of_them_and_absent_patients_have_none() -> None:
    own, given = network("survival", rebuilds=True).train(), batch("survival")
    with torch.no_grad():
        for back in own.fusion.rebuild:
            back.weight.zero_()
            back.bias.zero_()
        behind = {
            name: Tokens(torch.where(given.present[:, m, None, None], tokens.values, 9.0), tokens.mask)
            for m, (name, tokens) in enumerate(given.tokens.items())
        }
        drawn = {name: torch.rand(tokens.mask.shape) for name, tokens in given.tokens.items()}
        one, other = (
            Rebuilding().rebuilt(own, replace(given, tokens=of), drawn).losses for of in (given.tokens, behind)
        )
    assert one == other and all(float(loss) == pytest.approx(1.0) for loss in one.values())
    state = torch.get_rng_state()
    own.eval()
    with torch.no_grad():
        assert Rebuilding().validation(own, [given]) == Rebuilding().validation(own, [given])
    assert torch.equal(state, torch.get_rng_state()) and not own.fusion.training
