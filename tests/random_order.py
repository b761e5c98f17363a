"""`--random-order SEED`: files in a random order, and the tests of each, to find a test that leans on another.

pytest puts tests that share a fixture of a module side by side afterwards, so that nothing is fitted twice.
"""

from __future__ import annotations

import random

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--random-order", type=int, metavar="SEED", help="run files and their tests in a random order")


def pytest_report_header(config: pytest.Config) -> str | None:
    seed = config.getoption("random_order")
    return None if seed is None else f"in the order of --random-order {seed}"


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    seed = config.getoption("random_order")
    if seed is None:
        return
    draw = random.Random(seed)
    draw.shuffle(items)
    places = sorted({str(item.path) for item in items})
    draw.shuffle(places)
    turn = {place: k for k, place in enumerate(places)}
    items.sort(key=lambda item: turn[str(item.path)])
