"""Attacks on the tokens of a fitted network: what may move and how far; without a move, what `predict` says."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import chiasm
from chiasm.fitting.attacked import attacked, can_be_attacked, network_within, spread_of
from chiasm.fusion.attack import fgsm, noise, pgd
from chiasm.tokens import Tokens
from lighter_trials import only_ridges


def line(weights: torch.Tensor) -> tuple[dict[str, Tokens], torch.Tensor]:
    values = torch.arange(12.0).reshape(2, 2, 3)
    mask = torch.tensor([[True, True], [True, False]])
    return {"a": Tokens(values, mask), "b": Tokens(values.clone(), mask)}, weights


def test_steps_stay_within_the_spread_and_go_its_whole_length_against_a_straight_loss() -> None:
    tokens, weights = line(torch.tensor([1.0, -2.0, 0.0]))
    spread = {name: torch.tensor([[1.0, 2.0, 3.0]]) for name in tokens}

    def loss(own: dict[str, Tokens]) -> torch.Tensor:
        return sum((part.values * weights).sum() for part in own.values())  # type: ignore[return-value]

    moves = torch.tensor([0.1, -0.2, 0.0])
    for how in (fgsm, pgd):
        moved = how(tokens, ["a"], 0.1, loss, spread=spread)
        step = moved["a"].values - tokens["a"].values
        torch.testing.assert_close(step[tokens["a"].mask], moves.expand(3, 3), atol=1e-6, rtol=0)
        assert not step[~tokens["a"].mask].any() and moved["b"] is tokens["b"]
    random = noise(tokens, ["a"], 0.1, torch.Generator().manual_seed(0), spread=spread)
    step = (random["a"].values - tokens["a"].values)[tokens["a"].mask].abs()
    torch.testing.assert_close(step, torch.tensor([0.1, 0.2, 0.3]).expand(3, 3), atol=1e-6, rtol=0)
    with pytest.raises(ValueError, match="one step or more"):
        pgd(tokens, ["a"], 0.1, loss, steps=0)


def test_ten_steps_turn_where_one_step_goes_too_far() -> None:
    tokens = {"a": Tokens(torch.zeros(1, 1, 2), torch.ones(1, 1, dtype=torch.bool))}

    def loss(own: dict[str, Tokens]) -> torch.Tensor:
        x = own["a"].values[0, 0]
        return x[1] * 0.1 + x[0] - 4 * x[0] ** 2  # highest at x0 = 1 / 8

    one, ten = (loss(how(tokens, ["a"], 1.0, loss)) for how in (fgsm, pgd))
    assert float(one) < 0 < float(ten)


@pytest.mark.parametrize("modality", ["", "m1"])
def test_a_prediction_without_a_move_is_the_models_own_and_an_attack_raises_its_loss(modality: str) -> None:
    cohort = chiasm.synthetic_cohort("complementary", 84, target="classification", seed=1, missing=0.3)
    train, test = cohort.subset(np.arange(60)), cohort.subset(np.arange(60, 84))
    model = chiasm.fit(train, f"healnet:epochs=1,latents=4,latent_width=8{modality and ',modality=m1'}", seed=0)
    spread, outcome = spread_of(model, train), test.outcome
    assert outcome is not None and can_be_attacked(model)
    still, _ = attacked(model, test, outcome, "fgsm", ["m1", "m2"], 0.0, spread, 0)
    plain = model.predict(test.with_target(None, None))
    columns = [name for name in plain if name != "pattern"]
    np.testing.assert_allclose(still[columns], plain.loc[still.index, columns], atol=1e-6)
    assert list(still["pattern"]) == list(plain.loc[still.index, "pattern"])

    def loss(how: str, names: list[str]) -> tuple[float, int]:
        frame, struck = attacked(model, test, outcome, how, names, 0.5, spread, 0)
        right = frame[columns].to_numpy()[np.arange(24), outcome.value.astype(int)]
        return float(-np.log(right).mean()), struck

    own = float(-np.log(still[columns].to_numpy()[np.arange(24), outcome.value.astype(int)]).mean())
    assert loss("pgd", ["m1", "m2"])[0] > own < loss("fgsm", ["m1"])[0]
    here = test.present[:, list(test.modalities).index("m1")].sum()
    assert loss("noise", ["m1"])[1] == here
    if modality:
        assert loss("fgsm", ["m2"]) == (pytest.approx(own), 0)


def test_what_has_no_gradient_is_not_attacked() -> None:
    cohort = chiasm.synthetic_cohort("complementary", 60, target="regression", seed=1)
    with only_ridges():
        model = chiasm.fit(cohort, "early-fusion", seed=0)
    assert network_within(model) is None and not can_be_attacked(model)
