"""Recipes that draw by other networks than `unet`: alone as in a batch, stored, and with any contrast absent."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import chiasm
from chiasm.recipes.segmentation.ssma_dense import SsmaDense
from chiasm.recipes.segmentation.stu_net import StuNetRecipe
from mask_cohorts import opened

SMALL = "crops=1,flips=all,epochs=1"
NAMES = [f"ssma-dense:width=4,depth=1,eta=2,{SMALL}", f"stu-net:width=2,{SMALL}"]


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> chiasm.Cohort:
    return opened(tmp_path_factory.mktemp("shapes"), 16, absent=0.25)


@pytest.mark.parametrize("name", NAMES)
def test_a_model_says_the_same_of_one_and_of_all_and_after_it_was_stored(
    name: str, cohort: chiasm.Cohort, tmp_path: Path
) -> None:
    model = chiasm.fit(cohort, name, seed=0)
    said = model.predict(cohort)
    assert set(said["pattern"]) == {"one", "two", "one+two"}
    alone = model.predict(cohort.subset(np.arange(len(cohort)) == 3))
    pd.testing.assert_frame_equal(alone, said.iloc[[3]])
    model.save(tmp_path / "model")
    pd.testing.assert_frame_equal(chiasm.load_model(tmp_path / "model").predict(cohort), said)


def test_sizes_out_of_range_are_refused() -> None:
    for wrong in ({"width": 0}, {"depth": 9}, {"eta": 0}):
        with pytest.raises(ValueError, match="lies between"):
            SsmaDense(**wrong)
    for wrong in ({"size": "xl"}, {"width": 500}):
        with pytest.raises(ValueError, match=r"lies between|known"):
            StuNetRecipe(**wrong)
