"""`cmta`: the laws of a recipe, and an alignment that counts."""

from __future__ import annotations

import pytest

from chiasm.recipes.fusion.cmta import CmtaRecipe
from chiasm.testing import check_recipe
from small_recipes import gap, mixed, small


@pytest.mark.nightly
def test_it_passes_the_public_check() -> None:
    check_recipe(small("cmta"), kinds=("survival",), n=56)


def test_the_alignment_changes_the_model() -> None:
    whole = mixed("regression")
    one, other = (small("cmta", alignment=own).fit(whole, seed=0).predict(whole) for own in (0.0, 10.0))
    assert gap(one, other) > 1e-6


def test_invalid_options_are_refused() -> None:
    for options in ({"alignment": -1.0}, {"alignment": float("nan")}, {"heads": 3}, {"depth": 0}):
        with pytest.raises(ValueError, match=r"alignment is|no multiple|lies between"):
            CmtaRecipe(**options)  # type: ignore[arg-type]
