"""`make test-changed` chooses the tests of what changed, and all where it cannot know."""

from __future__ import annotations

import pytest

from changed import ALWAYS, chosen


@pytest.mark.parametrize(
    ("name", "test"),
    [
        ("src/chiasm/linear/proximal.py", "tests/heads/test_proximal.py"),
        ("src/chiasm/recipes/baselines/presence.py", "tests/recipes/test_check_recipe.py"),
        ("src/chiasm/encoders/signal/rocket.py", "tests/encoders/test_rocket.py"),
        ("src/chiasm/readers/image/tiff.py", "tests/readers/test_every_reader.py"),
        ("tests/readers/test_bag.py", "tests/readers/test_bag.py"),
        ("tests/lighter_trials.py", "tests/cli/test_contrasts.py"),
    ],
)
def test_what_imports_a_changed_file_is_chosen(name: str, test: str) -> None:
    assert {test, *ALWAYS} <= set(chosen({name}))


def test_a_change_of_one_test_leaves_the_others_out() -> None:
    assert set(chosen({"tests/heads/test_logistic.py"})) == {"tests/heads/test_logistic.py", *ALWAYS}


@pytest.mark.parametrize(
    "name", ["tests/conftest.py", "src/chiasm/report/page.html.j2", "src/chiasm/heads/ridge_cox.py"]
)
def test_all_are_chosen_where_it_cannot_be_known(name: str) -> None:
    assert chosen({name}) == ["tests"]
