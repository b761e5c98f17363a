"""P14: a batch with no event, one patient or only ties gives a finite loss and gradient, or is skipped and counted."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from chiasm.heads.head import Head
from chiasm.heads.kinds import HEADS
from chiasm.heads.survival import cox_loss
from chiasm.linear.ridge_cox import cox_nll
from chiasm.protocols import Fused
from chiasm.tokens import PackedTokens, Tokens
from chiasm.training import Examples, Network, Phase, TargetTensors, TrainOptions, loop, train
from examples import examples
from small_recipes import FEW, at_night, cohort_for, elsewhere, every_recipe, mixed, on_paths, short_name, small

HUGE = [0.0, 1.0, 30.0, 200.0, 1e4, 1e8, 1e20]


def loss_and_gradient(risk: Any, time: Any, event: Any, dtype: torch.dtype = torch.float32) -> tuple[float, np.ndarray]:
    output = torch.tensor(np.asarray(risk)[:, None], dtype=dtype, requires_grad=True)
    loss = cox_loss(output, torch.tensor(np.asarray(time), dtype=dtype), torch.tensor(np.asarray(event, bool)))
    loss.backward()
    return float(loss.detach()), output.grad[:, 0].numpy()


@pytest.mark.parametrize(
    ("time", "event"),
    [
        ([1, 2, 3, 4], [0, 0, 0, 0]),
        ([3], [1]),
        ([3], [0]),
        ([2, 2, 2, 2], [1, 1, 1, 1]),
        ([2, 2, 2, 2], [1, 0, 1, 0]),
        ([1, 2, 3, 4], [0, 0, 0, 1]),
        ([1, 1, 2, 2], [1, 1, 1, 1]),
        ([4, 3, 2, 1], [1, 1, 1, 1]),
    ],
    ids=[
        "no event",
        "one event",
        "one censored",
        "all ties",
        "ties with censored",
        "last one only",
        "two ties",
        "plain",
    ],
)
@pytest.mark.parametrize("size", HUGE)
def test_the_cox_loss_is_finite(time: list[float], event: list[int], size: float) -> None:
    for signs in ([1, -1, 1, -1], [1, 1, -1, -1], [-1, -1, 1, 1]):
        loss, gradient = loss_and_gradient(size * np.array(signs[: len(time)]), time, event)
        assert np.isfinite(loss) and np.isfinite(gradient).all()
        if not any(event) or len(time) == 1:
            assert loss == 0 and (gradient == 0).all()


patients = st.lists(st.tuples(st.floats(-6, 6), st.integers(1, 6), st.booleans()), min_size=1, max_size=25)


@settings(max_examples=examples(100), deadline=None)
@given(patients)
def test_the_cox_loss_is_efrons_likelihood(rows: list[tuple[float, int, bool]]) -> None:
    risk, time, event = (np.array(part) for part in zip(*rows, strict=True))
    loss, gradient = loss_and_gradient(risk, time, event, torch.float64)
    events = max(1, int(event.sum()))
    assert loss == pytest.approx(cox_nll(risk, time.astype(float), event) / events, abs=1e-9)
    step = 1e-5
    for k in range(len(risk)):
        up, down = (risk + sign * step * (np.arange(len(risk)) == k) for sign in (1, -1))
        slope = (cox_nll(up, time.astype(float), event) - cox_nll(down, time.astype(float), event)) / (2 * step)
        assert gradient[k] == pytest.approx(slope / events, abs=1e-6)


def test_efron_ties_by_hand() -> None:
    loss, _ = loss_and_gradient(np.log([1.0, 2.0, 4.0]), [1, 1, 2], [1, 1, 0], torch.float64)
    assert loss == pytest.approx((np.log(7.0) + np.log(7.0 - 0.5 * 3.0) - np.log(2.0)) / 2, abs=1e-12)


def test_who_is_censored_at_the_time_of_an_event_is_at_risk() -> None:
    loss, _ = loss_and_gradient(np.log([1.0, 3.0]), [2, 2], [1, 0], torch.float64)
    assert loss == pytest.approx(np.log(4.0), abs=1e-12)


def test_a_cox_loss_does_not_depend_on_the_order_of_the_patients() -> None:
    rng = np.random.default_rng(0)
    risk, time, event = rng.normal(size=40), rng.integers(1, 8, 40), rng.random(40) < 0.5
    order = rng.permutation(40)
    loss, gradient = loss_and_gradient(risk, time, event, torch.float64)
    again, turned = loss_and_gradient(risk[order], time[order], event[order], torch.float64)
    assert again == pytest.approx(loss, abs=1e-12)
    np.testing.assert_allclose(turned, gradient[order], atol=1e-12)


@pytest.mark.parametrize("kind", HEADS)
@pytest.mark.parametrize("n", [1, 2, 5])
def test_every_loss_of_a_batch_of_one_kind_is_finite(kind: str, n: int) -> None:
    torch.manual_seed(0)
    head = Head(4, 1 if kind in ("regression", "survival", "competing") else 3, kind)
    value = torch.ones(n, 3) if kind in ("boxes", "mask", "multilabel", "response", "text") else torch.ones(n)
    event = torch.randn(n, 2, 3) if kind == "choice" else torch.zeros(n, dtype=torch.bool)
    loss = head.loss(head(torch.randn(n, 4)), value, event)
    loss.backward()
    assert bool(torch.isfinite(loss))
    assert all(bool(torch.isfinite(p.grad).all()) for p in head.parameters() if p.grad is not None)


class Mean(torch.nn.Module):
    """The mean of the tokens."""

    def forward(self, tokens: dict[str, Tokens], present: torch.Tensor) -> Fused:
        (own,) = tokens.values()
        return Fused(own.where_present(present[:, 0]).values.mean(1))


def trained(value: torch.Tensor, event: torch.Tensor, kind: str, batch: int, epochs: int = 2) -> tuple[Network, Any]:
    torch.manual_seed(0)
    n = len(value)
    network = Network(Mean(), Head(4, 2 if kind == "classification" else 1, kind))
    values = torch.randn(n, 4)
    tokens = {"m": PackedTokens(values, np.arange(n + 1), 1)}
    held_out = np.arange(n) % 5 == 0
    examples = Examples(tokens, np.ones((n, 1), bool), TargetTensors(value, event), held_out)
    (history,) = train(network, examples, (Phase(TrainOptions(epochs=epochs, batch=batch)),), seed=0)
    return network, history


def test_steps_without_anything_to_learn_are_skipped_and_counted() -> None:
    event = torch.zeros(40, dtype=torch.bool)
    event[[0, 1]] = True  # row 0 is held out: one of four batches of eight holds the one event
    network, history = trained(torch.arange(1.0, 41.0), event, "survival", 8)
    assert history.skipped_steps == 2 * 3
    assert len(history.validation) == 2 and np.isfinite(history.validation).all()
    assert all(bool(torch.isfinite(p).all()) for p in network.parameters())


def test_no_event_at_all_trains_nothing_and_says_so() -> None:
    network, history = trained(torch.arange(1.0, 41.0), torch.zeros(40, dtype=torch.bool), "survival", 8)
    assert history.skipped_steps == 2 * 4
    torch.manual_seed(0)
    fresh = Head(4, 1, "survival")
    assert all(torch.equal(a, b) for a, b in zip(network.head.parameters(), fresh.parameters(), strict=True))


def test_batches_of_one_patient_and_of_one_class_train() -> None:
    for kind, batch in (("classification", 1), ("classification", 4), ("regression", 1), ("survival", 1)):
        network, history = trained(torch.zeros(20), torch.ones(20, dtype=torch.bool), kind, batch)
        assert np.isfinite(history.validation).all()
        assert all(bool(torch.isfinite(p).all()) for p in network.parameters())


def test_a_cohort_that_is_one_group_trains_with_nobody_held_out() -> None:
    cohort = replace(mixed("classification"), group=np.full(len(mixed("classification")), "one person"))
    frame = small("healnet").fit(cohort, seed=0).predict(cohort)
    assert np.isfinite(frame.select_dtypes("number").to_numpy()).all()


def test_an_epoch_whose_loss_is_no_number_is_never_the_best(monkeypatch: pytest.MonkeyPatch) -> None:
    losses = iter([float("nan"), 0.7, 0.5, float("nan")])
    monkeypatch.setattr(loop, "_validation_loss", lambda *arguments: next(losses))
    _, history = trained(torch.zeros(20), torch.ones(20, dtype=torch.bool), "regression", 8, epochs=4)
    assert history.best_epoch == 3


@pytest.mark.parametrize("odd", ["few events", "all ties", *at_night("some ties")])
@pytest.mark.parametrize("recipe", on_paths([*every_recipe(), *elsewhere()], FEW), ids=short_name)
def test_every_recipe_survives_few_events_and_ties(recipe: Any, odd: str) -> None:
    cohort = cohort_for(recipe, "survival")
    outcome = cohort.outcome
    events, time = {
        "few events": (6, outcome.value),
        "some ties": (30, np.ceil(outcome.value / 20)),
        "all ties": (30, np.full(len(cohort), 3.0)),
    }[odd]
    event = np.arange(len(cohort)) % (len(cohort) // events) == 0
    given = cohort.with_target(cohort.target, type(outcome)(time, event, outcome.known))
    frame = recipe.fit(given, seed=0).predict(cohort)
    assert np.isfinite(frame.drop(columns="pattern").to_numpy(float)).all()
