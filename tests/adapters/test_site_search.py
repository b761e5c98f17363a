"""The search over sites against the enumeration of all choices."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Sequence

import pytest
import torch

from bases import BASES
from chiasm.adapters import ScaleShift, attach, pareto_front, search_sites
from chiasm.adapters.site_search import Choice

SITES = tuple("abcdef")
GAIN = dict(zip(SITES, (5.0, 3.0, 2.0, 1.0, 0.5, 0.1), strict=True))
LEAK = dict(zip(SITES, (4.0, 1.0, 2.5, 0.2, 2.0, 0.05), strict=True))


def costs(chosen: tuple[str, ...], rate: float) -> tuple[float, float]:
    return 12 - sum(GAIN[s] for s in chosen), sum(LEAK[s] for s in chosen)


def enumerated() -> list[Choice]:
    every = [tuple(itertools.compress(SITES, bits)) for bits in itertools.product((False, True), repeat=len(SITES))]
    return pareto_front([Choice(chosen, 1e-3, costs(chosen, 1e-3)) for chosen in every])


def volume(front: Sequence[Choice], corner: tuple[float, float] = (13, 11)) -> float:
    total, edge = 0.0, corner[1]
    for choice in sorted(front, key=lambda choice: choice.costs):
        if choice.costs[1] < edge:
            total += (corner[0] - choice.costs[0]) * (edge - choice.costs[1])
            edge = choice.costs[1]
    return total


def test_a_small_space_gives_the_front_of_the_enumeration() -> None:
    assert search_sites(SITES, costs, goals=2, trials=64) == enumerated()


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_search_finds_nearly_all_of_the_front_s_volume(seed: int) -> None:
    front = search_sites(SITES, costs, goals=2, trials=63, seed=seed)
    assert volume(front) >= 0.95 * volume(enumerated())
    assert front == search_sites(SITES, costs, goals=2, trials=63, seed=seed)


def test_a_choice_is_evaluated_once_and_optuna_s_log_level_is_left() -> None:
    import optuna

    level, asked = optuna.logging.get_verbosity(), []

    def evaluate(chosen: tuple[str, ...], rate: float) -> tuple[float, float]:
        asked.append(chosen)
        return costs(chosen, rate)

    search_sites(SITES, evaluate, goals=2, trials=60)
    assert len(asked) == len(set(asked)) and optuna.logging.get_verbosity() == level != logging.NOTSET


def test_rates_are_drawn_in_their_range() -> None:
    rates = []

    def evaluate(chosen: tuple[str, ...], rate: float) -> tuple[float]:
        rates.append(rate)
        return (abs(rate - 1e-2),)

    front = search_sites("ab", evaluate, goals=1, trials=20, rates=(1e-4, 1e-1))
    assert len({choice.costs for choice in front}) == 1 and 1e-4 <= min(rates) < max(rates) <= 1e-1


def test_dominated_choices_leave_the_front_and_equals_stay() -> None:
    a, b, c = Choice(("a",), 1, (1, 2)), Choice(("b",), 1, (1, 2)), Choice(("c",), 1, (1, 3))
    assert pareto_front([c, b, a]) == [a, b]


def test_it_searches_over_sites_of_a_network() -> None:
    """More parameters are taken for a better fit only, and the front ends at none."""
    base = BASES["Linear"]
    target = base.model(seed=4)(base.input()).detach()

    def evaluate(chosen: tuple[str, ...], rate: float) -> tuple[float, float]:
        model = base.model()
        if not chosen:
            return float((model(base.input()) - target).detach().square().mean()), 0.0
        attached = attach(model, ScaleShift(), lambda name, module: name in chosen)
        optimiser = torch.optim.Adam(attached.parameters(), lr=rate)
        for _ in range(30):
            optimiser.zero_grad()
            loss = (model(base.input()) - target).square().mean()
            loss.backward()
            optimiser.step()
        return loss.item(), float(attached.count())

    front = search_sites(base.sites, evaluate, goals=2, trials=4, rates=(0.05, 0.05))
    assert front[-1].sites == () and len(front) > 1
    assert all(one.costs[0] < other.costs[0] for one, other in itertools.pairwise(front))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sites": ()}, "one at least"),
        ({"sites": ("a", "a")}, "once"),
        ({"trials": 0}, "1 or more"),
        ({"goals": 0}, "1 or more"),
        ({"rates": (0.0, 1.0)}, "above zero"),
        ({"rates": (1.0, 0.1)}, "in order"),
        ({"goals": 3}, "2 costs of 3"),
        ({"evaluate": lambda chosen, rate: (float("nan"), 0)}, "NaN"),
    ],
)
def test_what_cannot_be_is_refused(change: dict[str, object], message: str) -> None:
    options = {"sites": SITES[:2], "evaluate": costs, "goals": 2, "trials": 4, **change}
    sites, evaluate = options.pop("sites"), options.pop("evaluate")
    with pytest.raises(ValueError, match=message):
        search_sites(sites, evaluate, **options)  # type: ignore[arg-type]
