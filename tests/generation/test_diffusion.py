"""Diffusion equals diffusers' numbers; DDIM draws nothing with eta 0; inversion finds the noise; flows are straight."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from chiasm.generation.diffusion import (
    CLEAN,
    Schedule,
    clean_and_noise,
    ddim_inverse_step,
    ddim_step,
    ddpm_step,
    guided,
    invert,
    q_sample,
    sample,
    target_of,
)  # fmt: skip
from chiasm.generation.flows import euler, flow_point, flow_target

THEIRS = json.loads((Path(__file__).parent / "fixtures" / "diffusers.json").read_text())
X, SAID, NOISE = (torch.tensor(THEIRS[name]) for name in ("x", "said", "noise"))
SPREAD = 0.5  # of the values of the known case below


def near(found: Tensor, expected: object, **how: float) -> None:
    torch.testing.assert_close(found, torch.as_tensor(expected).to(found), **(how or {"rtol": 2e-4, "atol": 2e-5}))


def gaussian(schedule: Schedule) -> Any:
    """The best prediction of the noise where values are N(1, SPREAD^2)."""

    def predict(x: Tensor, t: Tensor, condition: object) -> Tensor:
        a = schedule.at(t, x)
        return (1 - a).sqrt() * (x - a.sqrt()) / (a * SPREAD**2 + 1 - a)

    return predict


def test_schedules_are_those_of_diffusers() -> None:
    for own in THEIRS["schedules"]:
        made = Schedule(own["kind"], 1000, own["low"], own["high"])
        near(made.betas[own["at"]], own["betas"], rtol=1e-4, atol=1e-7)
        near(made.alpha_bar[own["at"]], own["alpha_bar"], rtol=1e-3, atol=1e-7)
    assert Schedule().descending(10) == THEIRS["timesteps"]
    assert Schedule().descending(7) == THEIRS["trailing7"]


def test_steps_are_those_of_diffusers_for_what_a_network_may_predict() -> None:
    for own in THEIRS["steps"]:
        schedule, t, before, how = Schedule(own["kind"]), own["t"], own["before"], own["prediction"]
        near(q_sample(X, t, NOISE, schedule), own["q"])
        near(target_of(X, t, NOISE, schedule, "v"), own["v"])
        near(ddim_step(X, t, before, SAID, schedule, how), own["ddim"])
        near(ddpm_step(X, t, before, SAID, schedule, NOISE, how), own["ddpm"])
        near(ddim_step(X, t, before, SAID, schedule, how, 0.6, NOISE), own["ddim_eta"])
        if "inverse" in own:
            near(ddim_inverse_step(X, before, t, SAID, schedule, how), own["inverse"])


def test_whatever_is_predicted_says_the_same_values_and_noise() -> None:
    schedule, t = Schedule("cosine"), torch.tensor([3, 700])
    noised = q_sample(X, t, NOISE, schedule)
    for prediction in ("epsilon", "v", "x0"):
        said = target_of(X, t, NOISE, schedule, prediction)  # type: ignore[arg-type]
        x0, noise = clean_and_noise(noised, t, said, schedule, prediction)  # type: ignore[arg-type]
        near(x0, X)
        near(noise, NOISE, rtol=1e-3, atol=1e-3)
    held, left = clean_and_noise(noised, t, NOISE, schedule, clip=0.2)
    assert held.abs().max() <= 0.2
    near(q_sample(held, t, left, schedule), noised)


def test_ddim_draws_nothing_with_eta_0_and_is_ddpm_with_eta_1() -> None:
    schedule = Schedule(steps=100)
    for t, before in ((99, 70), (5, CLEAN)):
        found = ddim_step(X, t, before, SAID, schedule, eta=1, noise=NOISE)
        near(found, ddpm_step(X, t, before, SAID, schedule, NOISE))
    with pytest.raises(ValueError, match="draws noise at each step"):
        ddim_step(X, 9, 8, SAID, schedule, eta=0.5)
    once, again = (sample(gaussian(schedule), X, schedule, steps=20) for _ in range(2))
    assert torch.equal(once, again)
    drawn = [
        sample(gaussian(schedule), X, schedule, steps=20, eta=1.0, generator=torch.Generator().manual_seed(seed))
        for seed in (0, 0, 1)
    ]
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])


@pytest.mark.parametrize("eta", [0.0, 1.0])
def test_values_of_a_known_distribution_are_drawn_from_noise(eta: float) -> None:
    schedule, generator = Schedule("cosine"), torch.Generator().manual_seed(0)
    noise = torch.randn(4000, 1, generator=generator, dtype=torch.float64)
    drawn = sample(gaussian(schedule), noise, schedule, steps=60, eta=eta, generator=generator)
    assert drawn.mean() == pytest.approx(1, abs=0.03)
    assert drawn.std() == pytest.approx(SPREAD, abs=0.03)


def test_inversion_finds_the_noise_better_with_more_steps_and_wholly_when_steps_are_solved() -> None:
    schedule = Schedule()
    x0 = 1 + SPREAD * torch.randn(64, 1, generator=torch.Generator().manual_seed(1), dtype=torch.float64)

    def error(steps: int, rounds: int = 0) -> float:
        noise = invert(gaussian(schedule), x0, schedule, steps=steps, rounds=rounds)
        return float((sample(gaussian(schedule), noise, schedule, steps=steps) - x0).abs().mean())

    found = [error(steps) for steps in (20, 60, 180)]
    assert found[0] > 2 * found[1] > 4 * found[2]
    assert error(100, rounds=12) < 1e-6


def test_an_inversion_can_stop_and_start_at_a_middle_step() -> None:
    schedule = Schedule()
    steps = schedule.descending(200)[120:]
    x0 = torch.tensor([[0.3], [1.7]], dtype=torch.float64)
    middle = invert(gaussian(schedule), x0, schedule, steps=steps, rounds=8)
    near(sample(gaussian(schedule), middle, schedule, steps=steps), x0, rtol=1e-6, atol=1e-6)


def test_guidance_leads_away_from_no_condition() -> None:
    asked: list[object] = []

    def predict(x: Tensor, t: Tensor, condition: Any) -> Tensor:
        asked.append(condition)
        return x * 0 + (0 if condition is None else condition)

    t = torch.zeros(2)
    assert (guided(predict, 3.0)(X, t, 2.0) == 6).all()
    assert asked == [None, 2.0]
    assert (guided(predict, 1.0)(X, t, 2.0) == 2).all()
    assert asked == [None, 2.0, 2.0]


def test_a_flow_goes_straight_and_its_euler_steps_are_exact_on_it() -> None:
    share = torch.tensor([0.25, 1.0])
    near(flow_point(X, share, NOISE), torch.stack([0.75 * X[0] + 0.25 * NOISE[0], NOISE[1]]))

    def towards(x: Tensor, share: Tensor, condition: object) -> Tensor:
        return flow_target(X, x) / share.reshape(-1, 1, 1, 1)  # of the whole path, what is left by its length

    for steps in (1, 7):
        near(euler(towards, NOISE, steps=steps), X)
    with pytest.raises(ValueError, match="0 steps lead nowhere"):
        euler(towards, NOISE, steps=0)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"kind": "lineer"}, "no schedule is called 'lineer'"),
        ({"steps": 1}, "too short"),
        ({"low": 0.1, "high": 0.1}, "no schedule: give 0 < low < high < 1"),
    ],
)
def test_a_schedule_that_is_none_is_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Schedule(**given)
    with pytest.raises(ValueError, match="2000 steps cannot be taken"):
        Schedule().descending(2000)
