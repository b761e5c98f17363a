"""Embeddings of a subject: what they learn is known, tied it is textual inversion, nothing outside of a mask."""

from __future__ import annotations

import pytest
import torch
from analytic_scores import gaussian
from torch import nn

from chiasm.generation.diffusion import Schedule, q_sample
from chiasm.generation.subjects import (
    StepEmbedding,
    fit_subject,
    masked_condition,
    masked_noise_loss,
    with_subject,
)

SCHEDULE = Schedule("cosine", 50)
SUBJECT = torch.linspace(-1, 1, 6).repeat(3, 1)  # three images of one subject, each pixel as its condition says
MASK = torch.arange(6) < 4
KNOWN = gaussian(SCHEDULE, 0.6)


def drawn() -> torch.Generator:
    return torch.Generator().manual_seed(1)


def test_the_embedding_becomes_the_subject_within_the_mask_and_stays_where_it_was_outside() -> None:
    own = fit_subject(
        KNOWN, SUBJECT, torch.zeros(6), SCHEDULE, masks=MASK.expand(3, 6), stretches=2, updates=200, batch=16,
        learning_rate=0.05, generator=drawn(),
    )  # fmt: skip
    torch.testing.assert_close(own.values[:, :4], SUBJECT[:2, :4], atol=0.15, rtol=0)
    assert not own.values[:, 4:].any()
    held = fit_subject(
        KNOWN, SUBJECT, torch.zeros(6), SCHEDULE, keep=1e4, updates=20, learning_rate=0.05, generator=drawn()
    )
    assert held.values.abs().max() < 0.1


def test_background_has_no_gradient_and_whatever_stands_there_is_not_read() -> None:
    said = torch.randn(2, 1, 6, generator=drawn()).requires_grad_()
    wanted = torch.zeros(2, 1, 6)
    wanted[..., 4:] = torch.nan
    loss = masked_noise_loss(said, wanted, MASK)
    (found,) = torch.autograd.grad(loss, said)
    assert not found[..., 4:].any() and found[..., :4].all()
    torch.testing.assert_close(loss, said[..., :4].square().mean())


def test_one_stretch_is_textual_inversion() -> None:
    """The reference has one vector and the mean squared error, and draws the same images, steps and noise."""
    network = _network()
    initial = torch.full((6,), 0.1)

    def predict(x: torch.Tensor, t: torch.Tensor, condition: torch.Tensor) -> torch.Tensor:
        return network(torch.cat([x, condition], 1))

    own = fit_subject(predict, SUBJECT, initial, SCHEDULE, stretches=1, updates=25, batch=4, generator=drawn())
    word, generator = initial.clone().requires_grad_(), drawn()
    optimizer = torch.optim.Adam([word], lr=5e-3)
    for _ in range(25):
        rows, t = torch.randint(3, (4,), generator=generator), torch.randint(50, (4,), generator=generator)
        noise = torch.randn(4, 6, generator=generator)
        optimizer.zero_grad()
        said = predict(q_sample(SUBJECT[rows], t, noise, SCHEDULE), t, word.expand(4, 6))
        nn.functional.mse_loss(said, noise).backward()
        optimizer.step()
    torch.testing.assert_close(own.values[0], word.detach(), atol=1e-6, rtol=0)
    assert (own.values[0] - initial).abs().min() > 0.01
    free = StepEmbedding(initial, SCHEDULE, 7)
    assert torch.equal(free(torch.arange(50)), initial.expand(50, 6))


def test_a_subject_stands_wherever_a_condition_is_given_and_within_its_mask_alone() -> None:
    own = StepEmbedding(torch.zeros(6), SCHEDULE, 2)
    own.values.data[1] = 1.0
    x, t = torch.zeros(2, 6), torch.tensor([3, 40])
    told = with_subject(KNOWN, own)
    assert torch.equal(told(x, t, None), KNOWN(x, t, None))
    assert torch.equal(told(x, t, "it"), KNOWN(x, t, own.values[[0, 1]]))
    apart = masked_condition(told, MASK)(x, t, "it")
    assert torch.equal(apart[:, 4:], KNOWN(x, t, None)[:, 4:]) and torch.equal(apart[:, :4], told(x, t, "it")[:, :4])


def test_what_nothing_is_learnt_from_is_refused() -> None:
    with pytest.raises(ValueError, match="marks no pixel"):
        fit_subject(KNOWN, SUBJECT, torch.zeros(6), SCHEDULE, masks=torch.zeros(3, 6, dtype=torch.bool))
    with pytest.raises(ValueError, match="one image or more"):
        fit_subject(KNOWN, SUBJECT[:0], torch.zeros(6), SCHEDULE)
    with pytest.raises(ValueError, match="0 stretches do not divide 50 steps"):
        StepEmbedding(torch.zeros(6), SCHEDULE, 0)


def _network() -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(12, 8), nn.Tanh(), nn.Linear(8, 6)).requires_grad_(False)
