"""What the tests cost in CPU seconds: the dearest files at the end of a run, and budgets that `make nightly` holds.

CPU time of this process and of the processes that a test started and waited for; a busy machine changes it little,
where it would double the time on the wall. What is imported and collected counts apart from the tests.
"""

from __future__ import annotations

import resource
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from young_process import SPENT

SHOWN = 10
DEAR = {"slerp-merge", "wise-ft"}  # they score eleven mixtures of two networks in each fit


def cpu_seconds() -> float:
    """CPU seconds of this process, of its children that have ended, and of those forked by `young_process`."""
    spent = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in spent) + SPENT["seconds"]


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("cpu time")
    add = group.addoption
    add("--cpu-budget", type=float, metavar="SECONDS", help="fail where tests that are not nightly take more in all")
    add("--recipe-budget", type=float, metavar="SECONDS", help="fail where a recipe that is no path takes more in them")
    add("--cpu-tests", type=int, default=0, metavar="N", help="show the N dearest tests too")


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Costs(config), "cpu costs")


class Costs:
    """The CPU seconds of each test, gathered from all processes of a run."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.tests: Counter[str] = Counter()  # node id: seconds
        self.nightly: Counter[str] = Counter()  # of them, those of `make nightly` alone
        self.recipes: Counter[str] = Counter()  # name of a recipe: seconds of the tests that are not nightly
        self.whole = 0.0  # of the processes, imports and collection too

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        before = cpu_seconds()
        try:
            return (yield)
        finally:
            spent = cpu_seconds() - before
            self.tests[item.nodeid] += spent
            if item.get_closest_marker("nightly"):
                self.nightly[item.nodeid] += spent
            else:
                self.recipes.update(dict.fromkeys(recipes_of(item), spent))

    @pytest.hookimpl(wrapper=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Iterator[None]:
        output = getattr(self.config, "workeroutput", None)
        forked = output is not None and self.config.getoption(
            "forks", 0
        )  # the first process waits for it, and counts it
        self.whole += SPENT["seconds"] if forked else cpu_seconds()
        if output is not None:
            output["cpu"] = (dict(self.tests), dict(self.nightly), dict(self.recipes), self.whole)
        answer = yield
        if output is None and session.exitstatus == 0 and self.over():
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
        return answer

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        self.gather(*getattr(node, "workeroutput", {}).get("cpu", ({}, {}, {}, 0.0)))

    def gather(
        self, tests: dict[str, float], nightly: dict[str, float], recipes: dict[str, float], whole: float
    ) -> None:
        """Add what another process counted."""
        self.tests.update(tests)
        self.nightly.update(nightly)
        self.recipes.update(recipes)
        self.whole += whole

    def over(self) -> list[str]:
        """A line for each budget that was asked for and is not kept."""
        budget, each = (self.config.getoption(name) for name in ("cpu_budget", "recipe_budget"))
        lines, daily = [], self.whole - self.nightly.total()
        if budget is not None and daily > budget:
            lines.append(f"The tests of `make test` took {daily:.1f} s of CPU, over the budget of {budget:g} s.")
        for name, seconds in self.recipes.most_common() if each is not None else []:
            if seconds > each:
                lines.append(f"{name} took {seconds:.1f} s of CPU in `make test`, over {each:g} s for a recipe.")
        return lines

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        files: Counter[str] = Counter()
        for name, seconds in self.tests.items():
            files[name.split("::")[0]] += seconds
        besides = self.whole - self.tests.total()
        lines = [f"CPU: {self.whole:.0f} s, of them {besides:.0f} s to import and collect. The dearest files:"]
        dearest = [*files.most_common(SHOWN), *self.tests.most_common(self.config.getoption("cpu_tests"))]
        lines += [f"{seconds:8.1f} s  {name}" for name, seconds in dearest]
        for line in [*lines, *self.over()]:
            terminalreporter.write_line(line)


def recipes_of(item: pytest.Item) -> set[str]:
    """The recipes that are parameters of a test, without the paths, which meet the promises for the others."""
    values = item.callspec.params.values() if hasattr(item, "callspec") else ()
    recipes = [own for own in values if hasattr(own, "supports") and hasattr(own, "family")]
    if not recipes:
        return set()
    from small_recipes import PATHS, short_name

    return {own.name for own in recipes if short_name(own) not in PATHS | DEAR}
