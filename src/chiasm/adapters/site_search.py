"""MemControl search: multi-objective search for the sites to adapt, which returns the Pareto front."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from chiasm.readers.registry import missing

Evaluate = Callable[[tuple[str, ...], float], Sequence[float]]


@dataclass(frozen=True)
class Choice:
    """Sites to adapt, a learning rate, and the resulting costs: one number per goal, lower is better."""

    sites: tuple[str, ...]
    rate: float
    costs: tuple[float, ...]


def search_sites(
    sites: Sequence[str],
    evaluate: Evaluate,
    *,
    goals: int,
    trials: int,
    rates: tuple[float, float] = (1e-3, 1e-3),
    seed: int = 0,
) -> list[Choice]:
    """Search the sites to adapt and a learning rate; return the Pareto-optimal choices tried, sorted by cost.

    The outer search is over one bit per site and a learning rate, log-uniform in `rates`; `evaluate` does the inner
    training. If the rate is fixed and there are no more choices than trials, each is tried once and the front is exact;
    otherwise optuna's NSGA-II draws choices, and a repeated choice is not evaluated again.

    Args:
        sites: names of the candidate sites.
        evaluate: maps the chosen sites, in the given order, and a rate to the costs. Attach with
            `where=lambda name, module: name in chosen`; the choice may be empty. It must not read test data.
        goals: number of costs (in the paper two: memorisation and quality).
        trials: maximum number of choices to try.
        rates: range of the learning rate; equal values fix it.
        seed: seed of the sampler.

    Raises:
        ValueError: there is no site or one twice, a range or number is invalid, or costs are NaN or of another number.

    Source: Dutt et al., MemControl, WACV 2025, arXiv 2405.19458.
    Deviation: sites of any kind instead of attention blocks; the caller selects a point of the front.
    """
    low, high = rates
    if not sites or len(set(sites)) != len(sites):
        raise ValueError("name each site once, and one at least")
    if goals < 1 or trials < 1 or not 0 < low <= high < math.inf:
        raise ValueError(f"goals {goals} and trials {trials} must be 1 or more, rates {rates} above zero and in order")
    seen: dict[tuple[tuple[bool, ...], float], Choice] = {}

    def ask(bits: tuple[bool, ...], rate: float) -> tuple[float, ...]:
        if (bits, rate) not in seen:
            chosen = tuple(itertools.compress(sites, bits))
            costs = tuple(float(cost) for cost in evaluate(chosen, rate))
            if len(costs) != goals or any(math.isnan(cost) for cost in costs):
                raise ValueError(f"the evaluation gave {len(costs)} costs of {goals}, or NaN: a failure costs infinity")
            seen[bits, rate] = Choice(chosen, rate, costs)
        return seen[bits, rate].costs

    if low == high and 2 ** len(sites) <= trials:
        for bits in itertools.product((False, True), repeat=len(sites)):
            ask(bits, low)
    else:
        _nsga(sites, ask, goals, trials, rates, seed)
    return pareto_front(list(seen.values()))


def pareto_front(choices: Sequence[Choice]) -> list[Choice]:
    """Return the choices not dominated by another (no worse in every cost, better in one), sorted by cost."""

    def dominates(one: Choice, other: Choice) -> bool:
        return one.costs != other.costs and all(a <= b for a, b in zip(one.costs, other.costs, strict=True))

    front = [choice for choice in choices if not any(dominates(other, choice) for other in choices)]
    return sorted(front, key=lambda choice: (choice.costs, len(choice.sites), choice.sites))


def searcher() -> Any:
    """Import optuna; if it is missing, raise `Unsupported` with the installation command."""
    try:
        import optuna
    except ImportError:
        raise missing("optuna", "adapters", "searches over sites") from None
    return optuna


def _nsga(
    sites: Sequence[str],
    ask: Callable[[tuple[bool, ...], float], tuple[float, ...]],
    goals: int,
    trials: int,
    rates: tuple[float, float],
    seed: int,
) -> None:
    optuna = searcher()
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)

    def objective(trial: Any) -> tuple[float, ...]:
        bits = tuple(trial.suggest_categorical(f"site {i}", [False, True]) for i in range(len(sites)))
        rate = trial.suggest_float("rate", *rates, log=True) if rates[0] < rates[1] else rates[0]
        return ask(bits, rate)

    try:
        sampler = optuna.samplers.NSGAIISampler(population_size=max(4, min(32, trials // 4)), seed=seed)
        study = optuna.create_study(directions=["minimize"] * goals, sampler=sampler)
        study.optimize(objective, n_trials=trials)
    finally:
        optuna.logging.set_verbosity(verbosity)
