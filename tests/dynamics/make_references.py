"""Writes fixtures/references.json by dynamax and statsmodels, in an environment of its own.

    pip install dynamax==1.0.3 statsmodels==0.15.0 && python tests/dynamics/make_references.py

`chains`: smoothed states, expected steps and most likely paths of three chains of two to four states, with Poisson
counts of up to three neurons, 5 to 40 bins. `regressions`: intercepts and coefficients of each of three neurons on the
past of all by one exponential kernel, a generalised linear model of the Poisson family, with the logarithm as its link
and with the inverse of the softplus.
"""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax
import numpy as np
import statsmodels.api as sm  # type: ignore[import-not-found]
from dynamax.hidden_markov_model import (  # type: ignore[import-not-found]
    hmm_posterior_mode,
    hmm_two_filter_smoother,
)
from scipy.stats import poisson  # type: ignore[import-untyped]

KEPT = np.exp(-1 / 3.0)  # of a kernel of three bins


class InverseSoftplus(sm.families.links.Link):  # type: ignore[misc]
    """`log(exp(r) - 1)` of a rate r."""

    def __call__(self, p: Any) -> Any:
        return np.log(np.expm1(p))

    def inverse(self, z: Any) -> Any:
        return np.logaddexp(0, z)

    def deriv(self, p: Any) -> Any:
        return 1 / -np.expm1(-p)

    def deriv2(self, p: Any) -> Any:
        return -np.exp(-p) / np.expm1(-p) ** 2

    def inverse_deriv(self, z: Any) -> Any:
        return 1 / (1 + np.exp(-z))


def chains() -> list[dict[str, Any]]:
    rng = np.random.default_rng(0)
    cases = []
    for states, neurons, bins in ((2, 1, 5), (3, 2, 12), (4, 3, 40)):
        start = np.round(rng.dirichlet(np.ones(states)), 4)
        start[-1] = 1 - start[:-1].sum()
        moves = np.round(rng.dirichlet(np.ones(states), size=states) * 0.3 + 0.7 * np.eye(states), 4)
        moves[:, -1] = 1 - moves[:, :-1].sum(axis=1)
        rates = np.round(rng.uniform(0.1, 3, size=(states, neurons)), 3)
        counts = rng.poisson(rates[rng.integers(states, size=bins)])
        logs = poisson.logpmf(counts[:, None, :], rates).sum(-1)
        found = hmm_two_filter_smoother(start, moves, logs)
        cases.append(
            {
                "start": start.tolist(), "moves": moves.tolist(), "rates": rates.tolist(), "counts": counts.tolist(),
                "evidence": float(found.marginal_loglik), "states": np.asarray(found.smoothed_probs).tolist(),
                "pairs": np.asarray(found.trans_probs).tolist(),
                "path": np.asarray(hmm_posterior_mode(start, moves, logs)).tolist(),
            }
        )  # fmt: skip
    return cases


def regressions() -> dict[str, Any]:
    rng = np.random.default_rng(1)
    counts, past = np.zeros((400, 3)), np.zeros((400, 3))
    for t in range(400):
        if t:
            past[t] = KEPT * past[t - 1] + (1 - KEPT) * counts[t - 1]
        driven = np.array([-0.5, 0.0, -1.0]) + np.array([[-0.5, 0.8, 0], [0, -0.4, -0.7], [0.9, 0, -0.3]]) @ past[t]
        counts[t] = rng.poisson(np.logaddexp(0, driven))
    found = {}
    for name, link in (("exp", sm.families.links.Log()), ("softplus", InverseSoftplus())):
        family = sm.families.Poisson(link=link, check_link=False)
        fits = [
            sm.GLM(counts[:, k], sm.add_constant(past), family=family).fit(tol=1e-12, maxiter=500) for k in range(3)
        ]
        found[name] = [{"coefficients": own.params.tolist(), "log_likelihood": float(own.llf)} for own in fits]
    return {"counts": counts.astype(int).tolist(), "tau": 3.0, "links": found}


def main() -> None:
    jax.config.update("jax_enable_x64", True)
    versions = {name: version(name) for name in ("dynamax", "jax", "statsmodels", "numpy", "scipy")}
    made = {"versions": versions, "chains": chains(), "regressions": regressions()}
    target = Path(__file__).parent / "fixtures" / "references.json"
    target.write_text(json.dumps(made) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
