"""Networks of neurons: one state is a Poisson regression, and the divergence pulls to the prior."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from chiasm.cohort import Unsupported
from chiasm.dynamics.states.fitted import Settings, _one_start, _smoothed, fit_states, settings_kernels
from chiasm.dynamics.states.networks import Bins, Networks, divergence, fresh, hardened, one_hot_from
from chiasm.dynamics.states.recordings import Kernels, recordings_of

REFERENCES = json.loads((Path(__file__).parent / "fixtures" / "references.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("link", ["exp", "softplus"])
def test_one_free_state_is_the_poisson_regression_of_statsmodels(link: str) -> None:
    own = REFERENCES["regressions"]
    recording = recordings_of([np.array(own["counts"], float)])
    found = fit_states(recording, Settings(1, "free", link, kernels=1, slowest=own["tau"]), seed=0)
    for neuron, theirs in enumerate(own["links"][link]):
        ours = [found.emission.bias[0, neuron], *found.emission.weight[0, neuron]]
        np.testing.assert_allclose(ours, theirs["coefficients"], atol=2e-4)
    total = sum(theirs["log_likelihood"] for theirs in own["links"][link])
    assert found.path[-1] * len(own["counts"]) == pytest.approx(total, abs=1e-6)


def minimum_of(sign: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Choices and prior where the divergence alone is minimised, its entropy times `sign`; 1.0 is the right one."""
    prior = torch.log(torch.tensor([0.2, 0.5, 0.3], dtype=torch.float64)).expand(2, 2, 3)
    logits = torch.tensor([0.9, 0.0, 0.4], dtype=torch.float64).repeat(1, 2, 2, 1).requires_grad_()
    optimiser = torch.optim.Adam([logits], lr=0.2)
    for _ in range(150):
        optimiser.zero_grad()
        log_q = torch.log_softmax(logits, -1)
        entropy = -(log_q.exp() * log_q).sum(-1).masked_fill(torch.eye(2, dtype=torch.bool), 0.0).sum()
        (divergence(logits, prior) + (1 - sign) * entropy).backward()
        optimiser.step()
    return torch.softmax(logits, -1).detach()[0, 0, 1], torch.softmax(prior, -1)[0, 1]


def test_the_divergence_alone_leads_to_the_prior_and_with_the_other_sign_to_certainty() -> None:
    choice, prior = minimum_of(1.0)
    np.testing.assert_allclose(choice, prior, atol=1e-3)
    certain, _ = minimum_of(-1.0)  # the sign of the released code: certain of a choice of which nothing is known
    assert certain.max() > 0.99


def test_the_divergence_is_that_of_the_formula_and_no_neuron_is_tied_to_itself() -> None:
    rng = np.random.default_rng(0)
    logits, prior = torch.from_numpy(rng.normal(size=(2, 3, 3, 3))), torch.from_numpy(rng.normal(size=(3, 3, 3)))
    q, p = torch.softmax(logits, -1).numpy(), torch.softmax(prior, -1).numpy()
    each = (q * np.log(q / p)).sum(-1)
    each[:, np.arange(3), np.arange(3)] = 0
    assert float(divergence(logits, prior)) == pytest.approx(each.sum())
    assert float(divergence(prior[None], prior)) == pytest.approx(0, abs=1e-12)


def test_a_connection_is_as_probable_as_its_evidence_and_signs_are_then_held() -> None:
    rng = np.random.default_rng(0)
    counts, past = rng.poisson(0.5, (2000, 3)).astype(float), rng.gamma(1, 0.5, (2000, 3, 1))
    networks = fresh(1, counts, 1, "softplus", rng)
    networks.weight = torch.tensor([[[-0.5, 1.5, 0.0], [-1.5, -0.5, 0.01], [0.0, 0.0, -0.5]]], dtype=torch.float64)
    made = one_hot_from(networks, Bins.of(counts, past, np.ones((2000, 1))))
    assert made.adjacency is not None
    chance = torch.softmax(made.adjacency, -1)[0]
    assert chance[0, 1, 2] > 0.99 and chance[1, 0, 0] > 0.99 and chance[0, 2, 1] > 0.8 and chance[1, 2, 1] > 0.8
    assert chance[0, 2, 0] == pytest.approx(float(chance[0, 2, 2]))
    weight = hardened(made).effective()[0]
    assert weight[0, 2] == 0 and weight[0, 1] == pytest.approx(1.5) and weight[1, 0] == pytest.approx(-1.5)
    assert weight[0, 0] == -0.5  # its own past is read as it is


def test_kernels_read_the_past_alone_and_unequal_recordings_do_not_touch() -> None:
    rng = np.random.default_rng(0)
    long, short = (rng.poisson(1.0, (bins, 2)).astype(float) for bins in (9, 4))
    both = recordings_of([long, short])
    kernels = Kernels.spaced(2, 4.0)
    read = kernels(both.counts)
    kept = np.exp(-1 / np.array(kernels.taus))
    for t in range(9):
        own = sum((1 - kept) * kept ** (t - 1 - s) * long[s][:, None] for s in range(t)) if t else np.zeros((2, 2))
        np.testing.assert_allclose(read[0, t], own, atol=1e-12)
    np.testing.assert_allclose(read[1, :4], kernels(short[None])[0])
    after = kernels.after(both.counts, both.bins)
    np.testing.assert_allclose(after[1], kernels(np.concatenate([short, np.zeros((1, 2))])[None])[0, -1])
    np.testing.assert_allclose(kernels.stepped(read[:, 7], both.counts[:, 7])[0], read[0, 8])


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ([np.array([[1.0, -1.0]])], "negative numbers"),
        ([np.array([[1.0, 0.5]])], "fractions"),
        ([np.array([[1.0, np.nan]])], "not finite"),
        ([np.array([[1e7, 1.0]])], "counts above"),
        ([np.ones((3, 2)), np.ones((3, 4))], "4 neurons, and others have 2"),
        ([np.ones((0, 2))], "bins by neurons"),
    ],
)
def test_what_is_no_count_is_refused_in_one_sentence(arrays: list[np.ndarray], words: str) -> None:
    with pytest.raises(Unsupported, match=words):
        recordings_of(arrays)


def test_a_silent_recording_is_read_and_silence_alone_is_refused() -> None:
    rng = np.random.default_rng(0)
    both = recordings_of([rng.poisson(0.5, (40, 2)).astype(float), np.zeros((30, 2)), np.ones((1, 2))])
    settings = Settings(2, "gaussian", kernels=1, rounds=3, restarts=1)
    found = fit_states(both, settings, seed=0)
    assert np.isfinite(found.posterior(both).evidence).all()
    with pytest.raises(Unsupported, match="no recording holds a spike"):
        fit_states(recordings_of([np.zeros((30, 2))]), settings, seed=0)
    with pytest.raises(Unsupported, match="2 states are asked for, and the longest recording has 1 bin"):
        fit_states(recordings_of([np.ones((1, 2))]), settings, seed=0)


def test_networks_without_one_hot_parts_are_their_weights() -> None:
    weight = torch.ones(1, 2, 2, dtype=torch.float64)
    plain = Networks(torch.zeros(1, 2), weight, torch.zeros(1), "exp", torch.zeros(2, 2))
    assert plain.effective() is weight


def test_thousands_of_spikes_a_bin_have_a_rate() -> None:
    counts = np.random.default_rng(0).poisson(2000.0, size=(30, 1))
    assert fresh(1, counts, 1, "softplus", np.random.default_rng(0)).bias.item() == pytest.approx(2000, rel=0.05)
    own = fit_states(recordings_of([counts]), Settings(1, "gaussian", kernels=1), seed=0)
    assert own.ahead(recordings_of([counts])).mean() == pytest.approx(counts.mean(), rel=0.01)


def test_what_pads_a_recording_is_not_read_as_silence() -> None:
    short, long = np.full((6, 2), 3.0), np.full((40, 2), 1.0)
    np.testing.assert_array_equal(_smoothed(recordings_of([short, long])), np.concatenate([short, long]))


def test_starts_are_ranked_by_what_the_fit_improves() -> None:
    """Rounds raise a start's score, all penalties in it; with the weights' squares for them, ten rounds lower it."""
    rng = np.random.default_rng(2)
    states = np.repeat(rng.integers(2, size=12), 20)
    counts = rng.poisson(np.array([[1.5, 0.2, 0.5], [0.2, 1.5, 0.5]])[states]).astype(float)
    own = recordings_of(np.split(counts, 4))
    scores = []
    for rounds in (6, 10):
        settings = Settings(2, "gaussian", kernels=1, rounds=rounds)
        past = own.flat(settings_kernels(settings)(own.counts))
        scores.append(_one_start(own, past, settings, 0, 1)[0])
    assert scores == sorted(scores)
