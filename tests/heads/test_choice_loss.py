"""The loss of a choice equals its formula, has its derivatives, and is that of classes where all share the options."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.optimize import check_grad

from chiasm.errors import Unsupported
from chiasm.heads.choice import ChoiceHead
from chiasm.heads.head import target_tensors
from chiasm.linear.conditional import ConditionalLogit
from chiasm.linear.linear import fit_path, nll
from chiasm.linear.logistic import fit_ridge_logistic
from chiasm.linear.offered import Offered, common_shift, cross_validated_shift, prior_of
from chiasm.targets import Options, Outcome

N, K, E = 30, 4, 3


def drawn(seed: int = 0) -> tuple[Outcome, np.ndarray, np.random.Generator]:
    rng = np.random.default_rng(seed)
    sizes = rng.integers(2, K + 1, N)
    texts = np.empty(N, dtype=object)
    texts[:] = [tuple("abcd"[:size]) for size in sizes]
    inside = np.arange(K) < sizes[:, None]
    values = np.where(inside[..., None], rng.normal(size=(N, K, E)), 0.0)
    place = (rng.random(N) * sizes).astype(float)
    outcome = Outcome(np.floor(place), None, np.ones(N, bool), options=Options(texts, K, values, np.full(E, 0.1)))
    return outcome, rng.normal(size=(N, E)), rng


def by_hand(outcome: Outcome, link: np.ndarray) -> np.ndarray:
    found = []
    options = outcome.options
    assert options is not None and options.values is not None
    for i, z in enumerate(link):
        logits = options.values[i, : options.sizes[i]] @ z
        found.append(np.log(np.exp(logits).sum()) - logits[int(outcome.value[i])])
    return np.array(found)


def test_the_loss_is_the_formula_here_and_in_a_network() -> None:
    outcome, link, _ = drawn()
    np.testing.assert_allclose(nll("choice", link, outcome), by_hand(outcome, link).sum())
    value, options = target_tensors(outcome)
    found = ChoiceHead().losses(torch.from_numpy(link).float(), value, options)
    np.testing.assert_allclose(found.numpy(), by_hand(outcome, link), rtol=1e-4)
    output = torch.from_numpy(link).float().requires_grad_()
    ChoiceHead().loss(output, value, options).backward()  # type: ignore[no-untyped-call]
    assert output.grad is not None and bool(torch.isfinite(output.grad).all())


def test_its_derivatives_are_those_of_the_loss() -> None:
    outcome, link, rng = drawn()
    loss = ConditionalLogit()
    local = loss.local(outcome, None)

    def value(flat: np.ndarray) -> float:
        return local.at(flat.reshape(N, E)).value

    def gradient(flat: np.ndarray) -> np.ndarray:
        return local.at(flat.reshape(N, E)).gradient.ravel()

    assert check_grad(value, gradient, link.ravel()) < 1e-4
    near, step = local.at(link), rng.normal(size=(N, E))
    differences = (local.at(link + 1e-6 * step).gradient - local.at(link - 1e-6 * step).gradient) / 2e-6
    np.testing.assert_allclose(near.times(step), differences, atol=1e-6)
    assert (near.curvature * step**2 - step * near.times(step)).sum(axis=1).min() >= -1e-12
    assert near.square is not None
    x = rng.normal(size=(N, 2))
    direction = rng.normal(size=(E, 2))
    whole = direction.ravel() @ near.square(x) @ direction.ravel()
    np.testing.assert_allclose(whole, ((x @ direction.T) * near.times(x @ direction.T)).sum())


def test_a_ridge_is_at_its_minimum_and_knows_no_order_of_options() -> None:
    outcome, _, rng = drawn()
    x = rng.normal(size=(N, 5))
    fit = fit_path("choice", x, outcome, [3.0])[0]
    offered = Offered.of(outcome)
    gradient = offered.gradient(offered.probability(offered.logits(fit.linear_predictor(x))))
    np.testing.assert_allclose((x - x.mean(0)).T @ gradient + 3.0 * fit.coef, 0.0, atol=2e-3)
    options = outcome.options
    assert options is not None and options.values is not None
    order = [rng.permutation(size) for size in options.sizes]
    values = options.values.copy()
    for i, own in enumerate(order):
        values[i, : len(own)] = options.values[i, own]
    place = [float(np.argsort(own)[int(right)]) for own, right in zip(order, outcome.value, strict=True)]
    turned = Outcome(np.array(place), None, outcome.known, options=Options(options.texts, K, values, options.prior))
    np.testing.assert_allclose(fit_path("choice", x, turned, [3.0])[0].coef, fit.coef, atol=1e-3)


def test_options_that_all_share_are_classes() -> None:
    rng = np.random.default_rng(1)
    n = 60
    x, code = rng.normal(size=(n, 4)), rng.integers(0, 3, n)
    texts = np.empty(n, dtype=object)
    texts[:] = [("a", "b", "c")] * n
    values = np.tile(np.eye(3), (n, 1, 1))
    counts = np.bincount(code)
    prior = np.log(counts / n) - np.log(counts / n).mean()
    outcome = Outcome(code.astype(float), None, np.ones(n, bool), options=Options(texts, 3, values, prior))
    own = fit_path("choice", x, outcome, [5.0])[0]
    classes = fit_ridge_logistic(x, code, [5.0])[0]
    np.testing.assert_allclose(own.coef, classes[0], atol=0.01)


def test_a_common_shift_is_what_the_options_alone_say() -> None:
    outcome, _, _ = drawn()
    offered = Offered.of(outcome)
    shift = common_shift(offered, np.zeros((N, E)), 2.0)
    p = offered.probability(offered.logits(np.tile(shift, (N, 1))))
    np.testing.assert_allclose(offered.gradient(p).sum(0) + 2.0 * shift, 0.0, atol=1e-6)


def test_no_trees_are_grown() -> None:
    outcome, _, _ = drawn()
    for grow in (ConditionalLogit().boosting, ConditionalLogit().prior_votes):
        with pytest.raises(Unsupported, match="another recipe"):
            grow(outcome, None)


def noise(seed: int, n: int, axes: int = 16) -> Outcome:
    """Answers that nothing tells, among options of many features."""
    rng = np.random.default_rng(seed)
    texts = np.empty(n, dtype=object)
    texts[:] = [tuple("abcd")] * n
    options = Options(texts, K, 0.5 * rng.normal(size=(n, K, axes)))
    return Outcome(rng.integers(K, size=n).astype(float), None, np.ones(n, bool), options=options)


@pytest.mark.parametrize("made_of", ["level", "prior"])
def test_what_all_links_are_shifted_by_is_not_learned_by_heart(made_of: str) -> None:
    losses = []
    for seed in range(8):
        seen, new = noise(seed, 60), noise(seed + 100, 300)
        shift = ChoiceHead().level(np.zeros((60, 16)), seen) if made_of == "level" else prior_of(seen)
        losses.append(nll("choice", np.tile(shift, (300, 1)), new) / 300)
    assert np.mean(losses) < np.log(K) + 0.02, losses


def test_who_is_kept_together_is_held_out_together() -> None:
    few = noise(0, 12)
    assert few.options is not None
    rows = np.tile(np.arange(12), 6)
    several = replace(few.options.take(rows), units=rows)
    of_units = Offered.of(replace(few.take(rows), options=several))
    told = np.abs(cross_validated_shift(of_units, np.zeros((72, 16)))).max()
    assert told < np.abs(cross_validated_shift(replace(of_units, units=None), np.zeros((72, 16)))).max() / 10


def test_a_fold_knows_nothing_of_the_answers_that_it_holds_out() -> None:
    outcome, x, _ = drawn()
    assert outcome.options is not None
    train, found = np.arange(N) < 20, []
    for value in (outcome.value, np.where(train, outcome.value, 0.0)):
        whole = replace(outcome, value=value, options=replace(outcome.options, prior=None))
        learned = replace(whole, options=replace(outcome.options, prior=prior_of(whole)))
        found.append(fit_path("choice", x[train], learned.take(train), [1.0])[0].linear_predictor(x))
    np.testing.assert_array_equal(*found)
