"""Metrics of responses equal their references; simulated voxels reach their ceiling, and noise has none."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.metrics import r2_score

from chiasm.fitting.channel_choice import PENALTIES, choose_channels
from chiasm.linear.channel_ridge import ChannelRidge
from chiasm.metrics import response as ours
from chiasm.metrics.noise_ceiling import noise_ceiling, normalised_r
from chiasm.metrics.scored import Scored
from chiasm.targets import Outcome


def known(value: np.ndarray, repeats: np.ndarray | None = None) -> Outcome:
    return Outcome(value, None, np.ones(len(value), dtype=bool), None, None, repeats)


def test_channels_are_scored_as_scikit_learn_does() -> None:
    rng = np.random.default_rng(0)
    value = np.c_[rng.normal(size=(20, 3)), np.full(20, 5.0)]
    guess = value + rng.normal(size=value.shape)
    found = ours.channel_r2(guess, value)[0]
    np.testing.assert_allclose(found[:3], r2_score(value[:, :3], guess[:, :3], multioutput="raw_values"))
    assert np.isnan(found[3]) and ours.r2(guess, value)[0] == pytest.approx(found[:3].mean())
    r = ours.channel_r(guess, value)[0]
    np.testing.assert_allclose(r[:3], [np.corrcoef(guess[:, k], value[:, k])[0, 1] for k in range(3)])
    flat = np.where(np.arange(4) == 1, 7.0, guess)
    assert ours.pearson(flat, value)[0] == pytest.approx((r[0] + r[2]) / 3)  # said nothing of, it counts as zero


def test_draws_of_the_mean_over_many_channels_have_its_mean_and_its_spread() -> None:
    rng = np.random.default_rng(1)
    value = rng.normal(size=(15, 400))
    guess = 0.5 * value + 0.5 * rng.normal(size=value.shape)
    weights = rng.multinomial(15, np.full(15, 1 / 15), size=400)
    point, drawn = ours.r2(guess, value)[0], ours.r2(guess, value, weights)
    assert abs(drawn.mean() - point) < 4 * drawn.std() / np.sqrt(len(drawn))
    fresh = rng.normal(size=(100, 2, 15, 400))
    others = [ours.r2(0.5 * own + 0.5 * noise, own)[0] for own, noise in fresh]
    assert drawn.std() == pytest.approx(np.std(others), rel=0.3)
    np.testing.assert_allclose(ours.r2(guess, value, np.full((1, 15), 2))[0], point)
    again = ours.channel_r(guess, value, weights)[3]
    rows = np.repeat(np.arange(15), weights[3])
    np.testing.assert_allclose(again, ours.channel_r(guess[rows], value[rows])[0])


def drawn_repeats(rng: np.random.Generator, items: int, channels: int, noise: float) -> tuple[np.ndarray, np.ndarray]:
    signal = rng.normal(size=(items, channels))
    return signal, signal[:, None, :] + noise * rng.normal(size=(items, 4, channels))


def test_the_ceiling_is_the_planted_one_and_a_model_that_says_all_reaches_it() -> None:
    rng = np.random.default_rng(2)
    signal, repeats = drawn_repeats(rng, 200, 300, noise=2.0)  # signal 1, noise 4 / 4: half of the means' variance
    ceiling = noise_ceiling(repeats)
    assert ceiling.explainable.mean() == pytest.approx(0.5, abs=0.02)
    assert np.mean(ceiling.split_half) == pytest.approx(0.5, abs=0.02)
    value = repeats.mean(axis=1)
    assert normalised_r(ours.channel_r(signal, value)[0], ceiling).mean() == pytest.approx(1.0, abs=0.03)
    whole = Scored(signal, known(value, repeats), known(value))
    assert ours.explained_of_explainable(whole, np.ones((1, 200)))[0] == pytest.approx(1.0, abs=0.03)
    half = Scored(np.where(np.arange(300) < 150, signal, 0.0), known(value, repeats), known(value))
    assert ours.explained_of_explainable(half, np.ones((1, 200)))[0] == pytest.approx(0.5, abs=0.03)
    bare = Scored(signal, known(value), known(value))
    assert np.isnan(ours.explained_of_explainable(bare, np.ones((1, 200)))[0])


def test_noise_has_no_ceiling_and_a_negative_signal_power_is_kept() -> None:
    rng = np.random.default_rng(3)
    repeats = rng.normal(size=(60, 3, 200))
    ceiling = noise_ceiling(repeats)
    assert abs(ceiling.signal.mean()) < 0.01 and 60 < ceiling.without_signal < 140
    assert np.isnan(normalised_r(np.ones(200), ceiling)).sum() == ceiling.without_signal
    few = noise_ceiling(
        np.where(np.arange(60)[:, None, None] < 58, np.where(np.arange(3)[:, None] < 1, repeats, np.nan), 1.0)
    )
    assert few.items == 2 and np.isnan(few.explainable).all()
    uneven = repeats.copy()
    uneven[:30, 2] = np.nan  # two repetitions here, three there
    assert abs(noise_ceiling(uneven).signal.mean()) < 0.015
    with pytest.raises(ValueError, match="items x repetitions x channels"):
        noise_ceiling(repeats[0])


def test_two_versus_two_is_at_chance_for_noise_and_does_not_see_the_unit_of_a_channel() -> None:
    rng = np.random.default_rng(4)
    value, ones = rng.normal(size=(40, 6)), np.ones((1, 40))
    guess = value + rng.normal(size=value.shape)
    unit, shift = np.array([1, 10, 0.1, 1, 1, 100.0]), 50.0
    found = ours.two_v_two(Scored(guess, known(value), known(value)), ones)[0]
    other = ours.two_v_two(
        Scored(unit * guess + shift, known(unit * value + shift), known(unit * value + shift)), ones
    )[0]
    assert found == pytest.approx(other) and found > 0.9
    noise = [ours.two_v_two(Scored(a, known(b), known(b)), ones)[0] for a, b in rng.normal(size=(50, 2, 40, 6))]
    assert abs(np.mean(noise) - 0.5) < 4 * np.std(noise) / np.sqrt(len(noise))


@pytest.mark.parametrize("columns", [7, 60])
def test_each_channel_is_the_ridge_of_scikit_learn_at_its_own_penalty(columns: int) -> None:
    rng = np.random.default_rng(5)
    x, penalties = rng.normal(size=(30, columns)), np.array([0.1, 3.0, 50.0])
    y = x[:, :3] + rng.normal(size=(30, 3)) + 4.0
    coef, intercept = ChannelRidge(x, y).coefficients(penalties)
    for k, penalty in enumerate(penalties):
        model = Ridge(alpha=penalty).fit(x, y[:, k])
        np.testing.assert_allclose(coef[:, k], model.coef_, rtol=1e-8, atol=1e-10)
        assert intercept[k] == pytest.approx(model.intercept_)


def test_inner_folds_choose_for_each_channel_what_scikit_learn_would() -> None:
    rng = np.random.default_rng(6)
    x, folds = rng.normal(size=(60, 5)), np.arange(60) % 4
    y = np.c_[100 * x[:, 0] + rng.normal(size=60), rng.normal(size=60), x[:, 1] + 2 * rng.normal(size=60)]
    chosen = choose_channels("response", x, known(y), folds)
    standard = (y - y.mean(0)) / y.std(0)
    for k in range(3):
        losses, links = [], []
        for penalty in PENALTIES:
            held = np.zeros(60)
            for fold in range(4):
                train, test = folds != fold, folds == fold
                model = Ridge(alpha=penalty * train.sum()).fit(x[train], standard[train, k])
                held[test] = model.predict(x[test])
            losses.append(((held - standard[:, k]) ** 2).sum())
            links.append(held)
        best = int(np.argmin(losses))
        np.testing.assert_allclose((chosen.links[:, k] - y.mean(0)[k]) / y.std(0)[k], links[best], atol=1e-8)
        final = Ridge(alpha=PENALTIES[best] * 60).fit(x, y[:, k] / y.std(0)[k])
        np.testing.assert_allclose(chosen.model.coef[:, k] / y.std(0)[k], final.coef_, atol=1e-8)
