"""What a state says of the counts: each neuron's rate from a bias and the past of all, by a network of its own."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln  # type: ignore[import-untyped]

from chiasm.artifact import storable

Floats = NDArray[np.float64]
SOFTPLUS, EXPONENTIAL = "softplus", "exp"
LINKS = (SOFTPLUS, EXPONENTIAL)
STEEPEST = 30.0  # of an exponential link: e^30 spikes a bin are none that any neuron fires
LEAST = 1e-12  # spikes a bin: the logarithm of a smaller rate is that of this one


@storable("hidden-state-emission")
@dataclass(frozen=True)
class Emission:
    """Rates `f(b_ki + sum_j w_kij sum_c m_c x_jc)` spikes a bin of neuron i in state k, x_jc the past of neuron j.

    Args:
        bias: `(K, N)` b.
        weight: `(K, N, N)` w, onto i from j; above zero it excites.
        mix: `(C,)` m, how much each kernel counts; sums to one.
        link: f, "softplus" or "exp".
    """

    bias: np.ndarray
    weight: np.ndarray
    mix: np.ndarray
    link: str = SOFTPLUS

    def rates(self, past: Floats) -> Floats:
        """`(M, K, N)` spikes a bin, of what the past was, `(M, N, C)`."""
        driven = np.einsum("mj,kij->mki", past @ self.mix, self.weight) + self.bias
        if self.link == EXPONENTIAL:
            return np.asarray(np.exp(np.minimum(driven, STEEPEST)))
        return np.asarray(np.logaddexp(0.0, driven))

    def log_likelihood(self, counts: Floats, past: Floats) -> Floats:
        """`(M, K)` log Poisson likelihood of counts `(M, N)` in each state: `sum_i y log r - r - log y!`."""
        rates = self.rates(past)
        own = counts[:, None, :]
        return np.asarray((own * np.log(np.maximum(rates, LEAST)) - rates).sum(-1) - gammaln(own + 1).sum(-1))
