"""The policy gradient of noise masks against quadrature and enumeration, and whom each loss reaches."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.distributions import Beta

from chiasm.adapters import BetaMaskPolicy, noise_mask_losses, policy_loss


def costs(logits: Tensor, target: Tensor) -> Tensor:
    return F.cross_entropy(logits, target, reduction="none")


def images(n: int = 6) -> Tensor:
    return torch.rand(n, 3, 12, 10, generator=torch.Generator().manual_seed(0))


class Fixed(nn.Module):
    """The same two numbers for every image: the logarithms of alpha and beta of one cell."""

    def __init__(self, alpha: float, beta: float) -> None:
        super().__init__()
        self.logs = nn.Parameter(torch.tensor([alpha, beta]).log())

    def forward(self, x: Tensor) -> Tensor:
        return self.logs.view(1, 2, 1, 1).expand(len(x), 2, 1, 1)


@pytest.mark.parametrize(("alpha", "beta"), [(2.0, 3.0), (1.5, 1.2)])
def test_the_gradient_of_one_cell_is_that_of_a_quadrature(alpha: float, beta: float) -> None:
    policy = BetaMaskPolicy(3, (1, 1), net=Fixed(alpha, beta), mix=1.0)
    torch.manual_seed(0)
    drawn = policy.draw(torch.zeros(200_000, 3, 1, 1))
    policy_loss(drawn.log_density, (drawn.cells.flatten() - 0.7) ** 2).backward()
    logs = torch.tensor([alpha, beta], dtype=torch.float64).log().requires_grad_()
    m = (torch.arange(20_000, dtype=torch.float64) + 0.5) / 20_000
    expected = (Beta(*logs.exp()).log_prob(m).exp() * (m - 0.7) ** 2).mean()
    expected.backward()
    assert policy.net.logs.grad.numpy() == pytest.approx(logs.grad.numpy(), rel=0.05, abs=5e-4)


def test_the_gradient_is_that_of_the_enumeration_of_two_coins() -> None:
    cost = {(0.0, 0.0): 1.0, (0.0, 1.0): 3.0, (1.0, 0.0): -2.0, (1.0, 1.0): 0.5}
    logits = torch.tensor([0.3, -0.8], requires_grad=True)
    expected = sum(
        torch.distributions.Bernoulli(logits=logits).log_prob(torch.tensor(coins)).sum().exp() * value
        for coins, value in cost.items()
    )
    (exact,) = torch.autograd.grad(expected, logits)
    generator = torch.Generator().manual_seed(0)
    coins = (torch.rand(100_000, 2, generator=generator) < torch.sigmoid(logits.detach())).float()
    log_density = torch.distributions.Bernoulli(logits=logits).log_prob(coins).sum(1)
    found = policy_loss(log_density, torch.tensor([cost[tuple(row)] for row in coins.tolist()]))
    (estimate,) = torch.autograd.grad(found, logits)
    torch.testing.assert_close(estimate, exact, rtol=0.03, atol=0.005)


def test_the_baseline_does_not_move_the_mean() -> None:
    """Exactly: over all pairs of draws of one coin, weighted by their probability."""
    logit = torch.tensor(0.4, dtype=torch.float64, requires_grad=True)
    coin, cost = torch.distributions.Bernoulli(logits=logit), torch.tensor([5.0, 2.0], dtype=torch.float64)
    total = torch.zeros((), dtype=torch.float64)
    for pair in itertools.product((0, 1), repeat=2):
        log_density = coin.log_prob(torch.tensor(pair, dtype=torch.float64))
        (gradient,) = torch.autograd.grad(policy_loss(log_density, cost[list(pair)]), logit, retain_graph=True)
        total += log_density.sum().exp().detach() * gradient
    p = torch.sigmoid(logit.detach())
    assert total.item() == pytest.approx(((2.0 - 5.0) * p * (1 - p)).item())


def test_each_image_has_its_own_reward() -> None:
    """The released code gives all images of a batch the mean reward."""
    log_density = torch.zeros(4, requires_grad=True)
    policy_loss(log_density, torch.tensor([1.0, 2.0, 3.0, 10.0])).backward()
    assert log_density.grad.tolist() == pytest.approx([-1.0, -2 / 3, -1 / 3, 2.0])
    with pytest.raises(ValueError, match="one cost an image"):
        policy_loss(log_density, torch.tensor(2.0))


def test_each_loss_reaches_its_own_network_and_the_classifier_s_is_its_plain_loss() -> None:
    """The released code scales the classifier's gradient by a log density, which may turn it round."""
    torch.manual_seed(0)
    policy, classifier = BetaMaskPolicy(3), nn.Sequential(nn.Flatten(), nn.Linear(360, 2))
    x, y = images(), torch.arange(6) % 2
    torch.manual_seed(1)
    loss, for_policy = noise_mask_losses(policy, classifier, x, y, costs)
    for_policy.backward(retain_graph=True)
    assert all(p.grad is None for p in classifier.parameters())
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in policy.parameters())
    policy.zero_grad()
    loss.backward()
    assert all(p.grad is None or not p.grad.any() for p in policy.parameters())
    found = [p.grad.clone() for p in classifier.parameters()]
    classifier.zero_grad()
    policy.running.zero_()
    torch.manual_seed(1)
    F.cross_entropy(classifier(x * policy.draw(x).mask.detach()), y).backward()
    for one, other in zip(found, classifier.parameters(), strict=True):
        torch.testing.assert_close(one, other.grad)


def test_the_log_density_is_the_sum_over_cells() -> None:
    torch.manual_seed(0)
    policy = BetaMaskPolicy(3, (2, 3)).eval()
    drawn, distribution = policy.draw(images()), policy.distribution(images())
    expected = distribution.log_prob(drawn.cells).sum((1, 2))
    torch.testing.assert_close(drawn.log_density, expected)


@pytest.mark.parametrize("blur", [0.0, 1.0, 3.0])
def test_masks_lie_between_0_and_1_and_have_the_size_of_the_image(blur: float) -> None:
    torch.manual_seed(0)
    policy = BetaMaskPolicy(3, (2, 3), blur=blur)
    drawn = policy.draw(images())
    assert drawn.mask.shape == (6, 1, 12, 10) and drawn.cells.shape == (6, 2, 3)
    assert drawn.mask.min() > 0 and drawn.mask.max() < 1
    assert drawn.cells.min() - 1e-6 <= drawn.mask.min() and drawn.mask.max() <= drawn.cells.max() + 1e-6


def test_evaluation_has_no_policy_and_leaves_state() -> None:
    torch.manual_seed(0)
    policy = BetaMaskPolicy(3).eval()
    state, generator = {k: v.clone() for k, v in policy.state_dict().items()}, torch.get_rng_state()
    assert policy(images()) is not None and torch.equal(policy(images()), images())
    assert torch.equal(generator, torch.get_rng_state())
    assert all(torch.equal(state[name], value) for name, value in policy.state_dict().items())
    assert not torch.equal(policy.train()(images()), images())


def test_the_running_mean_follows_what_the_network_gives() -> None:
    policy = BetaMaskPolicy(3, (1, 1), net=Fixed(2.0, 3.0), mix=0.9, decay=0.5)
    for expected in (0.5, 0.75):
        policy.distribution(torch.zeros(4, 3, 1, 1))
        np.testing.assert_allclose(policy.running.flatten(), np.log([2, 3]) * expected, rtol=1e-5)
    policy.eval()
    alpha = policy.distribution(torch.zeros(1, 3, 1, 1)).concentration1
    assert alpha.item() == pytest.approx(np.exp(np.log(2) * (0.9 + 0.1 * 0.75)), rel=1e-5)


def test_it_learns_to_show_what_carries_the_label() -> None:
    """A cost that falls with the light on the left half: the policy opens the left half."""
    torch.manual_seed(0)
    policy = BetaMaskPolicy(1, (1, 2), blur=0.0)
    x = torch.rand(64, 1, 2, 8)
    before = policy.distribution(x).mean[:, 0, 0].mean().item()
    optimiser = torch.optim.Adam(policy.parameters(), lr=0.05)
    for _ in range(80):
        drawn = policy.draw(x)
        optimiser.zero_grad()
        policy_loss(drawn.log_density, 1 - drawn.cells[:, 0, 0]).backward()
        optimiser.step()
    after = policy.eval().distribution(x).mean[:, 0, 0].mean().item()
    assert before < 0.7 and after > 0.9


@pytest.mark.parametrize("change", [{"grid": (0, 2)}, {"mix": 0.0}, {"decay": 1.0}, {"blur": -1.0}])
def test_options_that_cannot_be(change: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="cannot be"):
        BetaMaskPolicy(3, **change)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="network gives"):
        BetaMaskPolicy(3, (2, 2), net=Fixed(1, 1)).draw(images())
