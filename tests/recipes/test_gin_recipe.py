"""`gin`: the laws of a recipe, on molecules beside a table, and what it refuses."""

from __future__ import annotations

import pytest

from chiasm.cohort import Unsupported
from chiasm.recipes.fusion.gin import Gin
from chiasm.testing import check_recipe
from molecule_cohorts import molecule_parts
from small_recipes import at_night, gap, mixed, small

pytest.importorskip("rdkit.Chem")


@pytest.mark.parametrize("kind", ["classification", *at_night("survival", "regression")])
def test_it_passes_the_public_check(kind: str) -> None:
    check_recipe(small("gin", layers=2), kinds=(kind,), n=48, parts=molecule_parts)


def test_one_modality_is_a_form_and_bonds_count() -> None:
    cohort = molecule_parts("regression", 60, 0).cohort()
    frames = [small("gin", modality="drug", layers=layers).fit(cohort, seed=0).predict(cohort) for layers in (1, 2)]
    assert gap(*frames) > 1e-6
    assert set(frames[0]["pattern"]) == {"drug", ""}
    table = small("gin", modality="m1").fit(cohort, seed=0)  # no graph is left, and it reads the mean
    found = table.predict(cohort)
    assert set(found["pattern"]) == {"m1", ""}
    assert found.loc[found["pattern"] == "m1", "prediction"].nunique() > 10, "each number of the table counts"


def test_a_cohort_without_a_graph_and_invalid_options_are_refused() -> None:
    with pytest.raises(Unsupported, match=r'encoder = "bonds".*late-fusion or healnet'):
        small("gin").supports(mixed("classification"))
    with pytest.raises(ValueError, match="layers lies between"):
        Gin(layers=0)
