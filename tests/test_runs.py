"""What a run of the tests counts and says: CPU seconds and their budgets, a random order, what could not run."""

from __future__ import annotations

import re

import pytest

from cpu_costs import cpu_seconds
from not_run import command_for
from small_recipes import PATHS

BURN = """\
import time
import pytest
def burn():
    start = time.process_time()
    while time.process_time() - start < 0.5:
        pass
def test_daily(): {daily}
@pytest.mark.nightly
def test_at_night(): {nightly}
"""


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """The runs inside load no plugins of other packages, which take seconds."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")


@pytest.mark.parametrize(
    ("daily", "nightly", "budget", "kept"),
    [("burn()", "pass", 0.3, False), ("pass", "burn()", 0.48, True)],
)
def test_a_budget_of_cpu_seconds_is_held_without_what_is_nightly(
    pytester: pytest.Pytester, daily: str, nightly: str, budget: float, kept: bool
) -> None:
    pytester.makepyfile(BURN.format(daily=daily, nightly=nightly))
    allowed = cpu_seconds() + budget  # this process has spent some already
    done = pytester.runpytest("-p", "cpu_costs", "-W", "ignore", "--cpu-budget", str(allowed))
    done.assert_outcomes(passed=2)
    assert done.ret == (pytest.ExitCode.OK if kept else pytest.ExitCode.TESTS_FAILED)
    assert ("over the budget of" in done.stdout.str()) != kept
    assert re.search(r"0\.[5-9] s  test_a_budget\w*\.py", done.stdout.str())


def test_a_recipe_that_costs_more_than_its_share_is_named(pytester: pytest.Pytester) -> None:
    assert "slow-one" not in PATHS
    recipe = "type('Own', (), {'name': 'slow-one', 'family': 'x', 'supports': None})()"
    text = BURN.format(daily="pass", nightly="pass")
    pytester.makepyfile(f"{text}@pytest.mark.parametrize('recipe', [{recipe}])\ndef test_it(recipe): burn()\n")
    done = pytester.runpytest("-p", "cpu_costs", "-W", "ignore", "--recipe-budget", "0.3")
    assert done.ret == pytest.ExitCode.TESTS_FAILED
    done.stdout.fnmatch_lines(["slow-one took 0.? s of CPU in `make test`, over 0.3 s for a recipe."])


def test_a_seed_gives_an_order_and_another_seed_another(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(**{name: "\n".join(f"def test_{k}(): pass" for k in range(6)) for name in ("test_a", "test_b")})
    orders = []
    for words in ((), ("--random-order", "1"), ("--random-order", "1"), ("--random-order", "2")):
        done = pytester.runpytest("-p", "random_order", "-v", *words)
        done.assert_outcomes(passed=12)
        assert ("in the order of --random-order 1" in done.stdout.str()) == (words == ("--random-order", "1"))
        orders.append(re.findall(r"(test_[ab]\.py::test_\d) PASSED", done.stdout.str()))
    plain, first, again, second = orders
    assert sorted(first) == sorted(plain) and first == again
    assert first != plain != second and first != second
    assert len({name[:6] for name in first[:6]}) == 1, "a file's tests stay together"


def test_what_was_not_run_is_counted_by_reason_with_the_command(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        "import pytest\n"
        "@pytest.mark.parametrize('k', range(3))\n"
        "def test_one(k): pytest.importorskip('no_such_package')\n"
        "def test_two(): pytest.skip('the moon is new')\n"
    )
    done = pytester.runpytest("-p", "not_run")
    done.stdout.fnmatch_lines(["3 x could not import 'no_such_package': * -> make test *", "1 x the moon is new"])


def test_the_reasons_of_this_house_have_commands() -> None:
    for reason in (
        "the folder of real cohorts is not beside the repository",
        "the package with the weights is not installed",
        "root writes anywhere",
    ):
        assert command_for(reason), reason
