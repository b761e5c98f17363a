"""What an M-step learns: the networks of all states under one of three priors, by the gradient."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from chiasm.dynamics.states.emission import SOFTPLUS, STEEPEST, Emission

Floats = NDArray[np.float64]
INHIBITS, NONE, EXCITES = 0, 1, 2
TEMPERATURE = 0.5  # of the Gumbel-softmax
SPREAD = 1 / 3  # prior standard deviation of a state's weight about the weight that all states share
WIDE = 1.0  # that of the shared weight about zero
RATE = 1e-2  # of AdamW
LOWEST = -20.0  # log probability below which no choice begins


@dataclass(frozen=True)
class Bins:
    """All M bins that were recorded: `counts` `(M, N)`, what the past was, `past` `(M, N, C)`, and weights `(M, K)`."""

    counts: Tensor
    past: Tensor
    weight: Tensor

    @classmethod
    def of(cls, counts: Floats, past: Floats, weight: Floats) -> Bins:
        return cls(*(torch.from_numpy(np.ascontiguousarray(own)) for own in (counts, past, weight)))


@dataclass
class Networks:
    """Parameters of all states; which of them are learned, and under which prior, a function of this file says.

    `bias` `(K, N)`; `weight` `(K, N, N)`, with signs, of which one-hot networks read the diagonal; `mix` `(C,)`,
    logits; `shared` `(N, N)`, the weight about which those of all states lie, and `spread` its standard deviation;
    `strength` `(K, N, N)` before the softplus; `adjacency` `(K, N, N, 3)` and `prior` `(N, N, 3)`, logits of
    inhibition, none and excitation, of which `prior` is shared by all states; `signs` `(K, N, N)` where they are held.
    """

    bias: Tensor
    weight: Tensor
    mix: Tensor
    link: str
    shared: Tensor
    spread: float = SPREAD
    strength: Tensor | None = None
    adjacency: Tensor | None = None
    prior: Tensor | None = None
    signs: Tensor | None = field(default=None)

    def effective(self, picked: Tensor | None = None) -> Tensor:
        """`(K, N, N)` weights; of one-hot networks `softplus(s) (a_exc - a_inh)`, and on the diagonal as they are.

        Args:
            picked: `(K, N, N, 3)` one-hot or softened choice a; None: its probabilities, or the signs if they are held.
        """
        if self.strength is None or self.adjacency is None:
            return self.weight
        if picked is None:
            picked = torch.softmax(self.adjacency, -1)
        signs = picked[..., EXCITES] - picked[..., INHIBITS] if self.signs is None else self.signs
        own = torch.eye(self.weight.shape[-1], dtype=torch.bool)
        return torch.where(own, self.weight, functional.softplus(self.strength) * signs)

    def emission(self) -> Emission:
        """The rates that these networks give, as arrays."""
        with torch.no_grad():
            bias, weight, mix = self.bias, self.effective(), torch.softmax(self.mix, -1)
            return Emission(bias.numpy().copy(), weight.numpy().copy(), mix.numpy().copy(), self.link)


def fresh(states: int, counts: Floats, kernels: int, link: str, rng: np.random.Generator) -> Networks:
    """Return networks without a connection, each neuron at its mean rate, states apart by a little noise."""
    neurons = counts.shape[1]
    rate = (counts.sum(axis=0) + 0.5) / (len(counts) + 1)
    bias = rate + np.log(-np.expm1(-rate)) if link == SOFTPLUS else np.log(rate)  # e^rate may be too large
    noise = 0.1 * rng.normal(size=(states, neurons)) if states > 1 else np.zeros((1, neurons))
    return Networks(
        torch.from_numpy(bias + noise),
        torch.zeros(states, neurons, neurons, dtype=torch.float64),
        torch.zeros(kernels, dtype=torch.float64),
        link,
        torch.zeros(neurons, neurons, dtype=torch.float64),
    )


def expected_loss(networks: Networks, bins: Bins, weight: Tensor) -> Tensor:
    """`-Q`: minus the expected log likelihood, `sum_mk g_mk sum_i r - y log r`, of weights `(K, N, N)`."""
    read = bins.past @ torch.softmax(networks.mix, -1)  # (M, N)
    driven = torch.einsum("mj,kij->mki", read, weight) + networks.bias
    own = bins.counts[:, None, :]
    if networks.link == SOFTPLUS:
        rates = functional.softplus(driven)
        each = rates - own * torch.log(rates.clamp_min(1e-12))
    else:
        driven = driven.clamp_max(STEEPEST)
        each = torch.exp(driven) - own * driven
    return (bins.weight * each.sum(-1)).sum()


def gaussian_penalty(networks: Networks, free: bool) -> Tensor:
    """`sum (w_k - w)^2 / 2 sigma^2 + sum w^2 / 2`, w shared by the states; zero where the weights are free."""
    if free:
        return torch.zeros((), dtype=torch.float64)
    apart = ((networks.weight - networks.shared) ** 2).sum() / (2 * networks.spread**2)
    return apart + (networks.shared**2).sum() / (2 * WIDE**2)


def spread_penalty(networks: Networks) -> float:
    """`n (log sigma^2 + (1 / 9) / 2 sigma^2)`: what `improve_gaussian` minimises in the spread beside the weights' own.

    Without it, a start whose states came to lie close together would be held to be likelier for its small spread.
    """
    number = networks.weight.numel()
    return number * (math.log(networks.spread**2) + SPREAD**2 / (2 * networks.spread**2))


def divergence(adjacency: Tensor, prior: Tensor) -> Tensor:
    """`sum_kij KL(q_kij || p_ij) = sum q log q - q log p`, of logits `(K, N, N, 3)` and `(N, N, 3)`, without i = j.

    Minus the entropy of q is added: of two choices that explain the counts equally well, the less certain one, which is
    nearer to the prior, costs less. Released code of the paper has the entropy with the other sign, which rewards
    certainty whatever the counts say.
    """
    log_q, log_p = torch.log_softmax(adjacency, -1), torch.log_softmax(prior, -1)
    each = (log_q.exp() * (log_q - log_p)).sum(-1)
    return each.masked_fill(torch.eye(each.shape[-1], dtype=torch.bool), 0.0).sum()


def improve_gaussian(networks: Networks, bins: Bins, *, free: bool, steps: int) -> float:
    """Improve bias, weights and mix by L-BFGS, then the spread; return the loss, `-Q` and the penalty.

    The spread is re-estimated as `sigma^2 = (n / 9 + sum (w_k - w)^2) / 2n`, n the number of weights: at the maximum
    without the first term it would fall to zero, and all states would share one network.
    """
    learned = [networks.bias, networks.weight, networks.mix] + ([] if free else [networks.shared])
    value = _minimise(
        learned, lambda: expected_loss(networks, bins, networks.weight) + gaussian_penalty(networks, free), steps
    )
    if not free and len(networks.bias) > 1:
        apart = float(((networks.weight - networks.shared) ** 2).sum())
        number = networks.weight.numel()
        networks.spread = math.sqrt((number * SPREAD**2 + apart) / (2 * number))
    return value


def one_hot_from(networks: Networks, bins: Bins) -> Networks:
    """Return one-hot networks that begin at Gaussian ones: their strengths, and how probable each sign is by them.

    With w a weight, v its variance by the expected information of the bins, `1 / v = sum_m g_mk f'^2 / r x_jm^2`, and
    weights of a standard deviation of one where there is a connection, excitation has the odds
    `sqrt(v / (v + 1)) exp(z^2 / (2 (v + 1))) 2 Phi(u)` against none, `z = w / sqrt v`, `u = z / sqrt(1 + v)`, and
    inhibition the same with -u.

    Source: Wakefield, Genetic Epidemiology 2009, https://doi.org/10.1002/gepi.20359, equation 2; here half a normal
    distribution for each sign.
    """
    weight = networks.weight.detach()
    variance = 1 / (_information(networks, bins) + 1e-6)
    z = weight / variance.sqrt()
    shown = 0.5 * torch.log(variance / (variance + 1)) + z**2 / (2 * (variance + 1)) + math.log(2)
    tail = torch.special.log_ndtr(torch.stack([-z, z], -1) / torch.sqrt(1 + variance)[..., None])
    logits = torch.stack([shown + tail[..., 0], torch.zeros_like(shown), shown + tail[..., 1]], -1)
    adjacency = torch.log_softmax(logits, -1).clamp_min(LOWEST)
    size = weight.abs().clamp_min(1e-2)
    return Networks(
        networks.bias.detach().clone(), weight.clone(), networks.mix.detach().clone(), networks.link,
        networks.shared.detach().clone(), networks.spread, torch.log(torch.expm1(size)), adjacency,
        torch.zeros((*weight.shape[1:], 3), dtype=torch.float64),
    )  # fmt: skip


def _information(networks: Networks, bins: Bins) -> Tensor:
    """`(K, N, N)` expected information of each weight, `sum_m g_mk f'(driven)^2 / r x_jm^2`."""
    with torch.no_grad():
        read = bins.past @ torch.softmax(networks.mix, -1)
        driven = torch.einsum("mj,kij->mki", read, networks.weight) + networks.bias
        if networks.link == SOFTPLUS:
            each = torch.sigmoid(driven) ** 2 / functional.softplus(driven).clamp_min(1e-12)
        else:
            each = torch.exp(driven.clamp_max(STEEPEST))
        return torch.einsum("mki,mj->kij", bins.weight[..., None] * each, read**2)


class OneHotStep:
    """M-steps of one-hot networks by AdamW on Gumbel-softmax draws; its moments are kept between E-steps."""

    def __init__(self, networks: Networks, rng: torch.Generator) -> None:
        assert networks.strength is not None and networks.adjacency is not None and networks.prior is not None
        self.networks, self.rng = networks, rng
        self.adjacency, self.prior = networks.adjacency, networks.prior
        learned = [networks.bias, networks.weight, networks.mix, networks.strength, self.adjacency, self.prior]
        self.learned = [own.requires_grad_() for own in learned]
        self.optimiser = torch.optim.AdamW(self.learned, lr=RATE, weight_decay=0.0)

    def __call__(self, bins: Bins, epochs: int) -> None:
        """Take `epochs` steps on `(-Q + KL) / M`, of one draw of the adjacency each."""
        for _ in range(epochs):
            self.optimiser.zero_grad()
            picked = gumbel_softmax(self.adjacency, self.rng)
            weight = self.networks.effective(picked)
            held = (
                divergence(self.adjacency, self.prior) + (self.networks.weight.diagonal(dim1=1, dim2=2) ** 2).sum() / 2
            )
            loss = (expected_loss(self.networks, bins, weight) + held) / len(bins.counts)
            loss.backward()  # type: ignore[no-untyped-call]
            self.optimiser.step()


def gumbel_softmax(logits: Tensor, rng: torch.Generator) -> Tensor:
    """Draw `softmax((logits + g) / 0.5)` with g from the Gumbel distribution, `-log -log u`."""
    uniform = torch.rand(logits.shape, generator=rng, dtype=logits.dtype).clamp(1e-12, 1 - 1e-12)
    return torch.softmax((torch.log_softmax(logits, -1) - torch.log(-torch.log(uniform))) / TEMPERATURE, -1)


def hardened(networks: Networks) -> Networks:
    """Return networks whose signs are the most probable ones, and held from now on."""
    assert networks.adjacency is not None and networks.strength is not None
    picked = networks.adjacency.detach().argmax(-1)
    signs = (picked == EXCITES).double() - (picked == INHIBITS).double()
    bias, weight, mix, strength, adjacency = (
        own.detach().clone()
        for own in (networks.bias, networks.weight, networks.mix, networks.strength, networks.adjacency)
    )
    return Networks(
        bias, weight, mix, networks.link, networks.shared, networks.spread, strength, adjacency, networks.prior, signs
    )


def hardened_penalty(networks: Networks) -> Tensor:
    """`sum w^2 / 2` of networks whose signs are held."""
    return (networks.effective() ** 2).sum() / (2 * WIDE**2)


def improve_hardened(networks: Networks, bins: Bins, *, steps: int) -> float:
    """Improve bias, strengths and the diagonal by L-BFGS with the signs held; strengths are held to zero as weights."""
    assert networks.strength is not None
    strength = networks.strength

    def loss() -> Tensor:
        return expected_loss(networks, bins, networks.effective()) + hardened_penalty(networks)

    return _minimise([networks.bias, networks.weight, networks.mix, strength], loss, steps)


def _minimise(learned: list[Tensor], loss: Any, steps: int) -> float:
    """Minimise a loss by L-BFGS with a line search, and leave the parameters without a gradient."""
    for own in learned:
        own.requires_grad_()
    optimiser = torch.optim.LBFGS(
        learned, max_iter=steps, history_size=20, line_search_fn="strong_wolfe", tolerance_grad=1e-7,
        tolerance_change=1e-12,
    )  # fmt: skip

    def closure() -> Tensor:
        optimiser.zero_grad()
        value: Tensor = loss()
        value.backward()  # type: ignore[no-untyped-call]
        return value

    optimiser.step(closure)  # type: ignore[no-untyped-call]
    with torch.no_grad():
        value = float(loss())
    for own in learned:
        own.requires_grad_(False)
        own.grad = None
    return value
