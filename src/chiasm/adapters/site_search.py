"""MemControl: which sites to adapt, searched for several goals at once; what comes back is the Pareto front."""

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
    """Sites to adapt, a learning rate, and what they came to: one number a goal, less is better."""

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
    """The choices of sites that no other choice tried beats in every goal, by their costs.

    Outer search over one bit a site and a learning rate, log-uniform in `rates`; the inner training is `evaluate`'s.
    Where the rate is fixed and there are no more choices than trials, each is tried once and the front is the true
    one; else optuna's NSGA-II draws them, and a choice that comes again is not evaluated again.

    Args:
        evaluate: from the chosen sites, in your order, and a rate to the costs. Attach with
            `where=lambda name, module: name in chosen`; the empty choice is asked for too. It must not read test data.
        goals: how many costs it gives (memorisation and quality, in the paper).
        trials: how many choices to try at most.

    Raises:
        ValueError: no site, a site twice, a range or a number that cannot be, costs of another number or NaN.

    Source: Dutt et al., MemControl, arXiv 2405.19458.
    Deviation: sites of any kind instead of attention blocks; the point to take from the front is yours.
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
    """The choices that none of the others dominates (no worse in every cost, better in one), by their costs."""

    def dominates(one: Choice, other: Choice) -> bool:
        return one.costs != other.costs and all(a <= b for a, b in zip(one.costs, other.costs, strict=True))

    front = [choice for choice in choices if not any(dominates(other, choice) for other in choices)]
    return sorted(front, key=lambda choice: (choice.costs, len(choice.sites), choice.sites))


def searcher() -> Any:
    """The library optuna, or `Unsupported` with the command that brings it."""
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
