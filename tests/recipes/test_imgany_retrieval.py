"""`imgany-retrieval`: laws of every recipe, words of training patients alone, and nothing trained but the head."""

from __future__ import annotations

import numpy as np
import pytest

from chiasm.cohort import synthetic_cohort
from chiasm.fitting.base import trainable
from chiasm.fitting.neural import prepare
from chiasm.recipes.alignment.imgany_retrieval import ImgAnyRetrieval
from chiasm.testing import check_recipe
from small_recipes import small


def test_it_passes_the_public_check() -> None:
    check_recipe(small("imgany-retrieval", words=24, k=3), kinds=("survival",), n=84)


def test_the_held_out_give_no_word_and_only_the_head_is_trained() -> None:
    cohort = synthetic_cohort("complementary", 60, missing=0.2)
    recipe = small("imgany-retrieval", words=40)
    data = prepare(trainable(cohort, 0, None, "cpu"))
    words = recipe.vocabulary(data, 3)
    kept = data.subset(np.flatnonzero(~data.held_out))
    assert len(words) == 40 and np.array_equal(words, recipe.vocabulary(kept, 3))
    model = recipe.fit(cohort, seed=0)
    assert model.trained_parameters == 2 * words.shape[1] + 2 * words.shape[1] + 2  # of the norm, and of the map
    assert set(model.predictor.state) == {
        "head.norm.weight",
        "head.norm.bias",
        "head.linear.weight",
        "head.linear.bias",
    }


def test_options_out_of_range_are_refused() -> None:
    for wrong in ({"words": 0}, {"k": 0}):
        with pytest.raises(ValueError, match="lies between"):
            ImgAnyRetrieval(**wrong)
