"""`imgany-retrieval`: laws of every recipe, words of training patients alone, and nothing trained but the head."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from chiasm.cohort import synthetic_cohort
from chiasm.errors import FindingWarning
from chiasm.fitting.base import trainable
from chiasm.fitting.neural import prepare
from chiasm.recipes.alignment.imgany_retrieval import (
    ImgAnyRetrieval,
    RetrievalDesign,
    centres,
    unit_mean,
    warn_of_spaces,
)
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
    assert 2 <= len(words) <= len(kept.present) // 4 and np.array_equal(words, recipe.vocabulary(kept, 3))
    model = recipe.fit(cohort, seed=0)
    assert model.trained_parameters == 2 * words.shape[1] + 2 * words.shape[1] + 2  # of the norm, and of the map
    assert set(model.predictor.state) == {
        "head.norm.weight",
        "head.norm.bias",
        "head.linear.weight",
        "head.linear.bias",
    }


def test_patients_of_the_training_find_words_as_new_ones_do() -> None:
    data = prepare(trainable(synthetic_cohort("complementary", 300), 0, None, "cpu"))
    data.held_out[:] = np.arange(300) % 2 == 0
    words = small("imgany-retrieval", words=256).vocabulary(data, 0)
    fusion = RetrievalDesign(words, 8).fusion(data.shapes)
    norms, nearest, width = [], [], words.shape[1]
    for held in (False, True):
        rows = np.flatnonzero(data.held_out == held)
        tokens = {name: own.take(rows) for name, own in data.tokens.items()}
        norms.append(float(fusion(tokens, torch.from_numpy(data.present[rows])).embedding.norm(dim=1).mean()))
        vectors = torch.cat([unit_mean(own, width) for own in tokens.values()])
        nearest.append(float((vectors @ torch.from_numpy(words).T).max(1).values.mean()))
    assert norms[0] == pytest.approx(norms[1], rel=0.05)
    assert nearest[0] == pytest.approx(nearest[1], rel=0.05)


def test_no_word_is_one_patients_vector() -> None:
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(60, 5))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    for own in (vectors, np.concatenate([vectors, np.eye(5)[:1] * 50.0])):  # the last is alone in its cluster
        words = centres(own, 256, 0)
        assert words.dtype == np.float32 and len(words) <= 7
        np.testing.assert_allclose(np.linalg.norm(words, axis=1), 1.0, rtol=1e-5)
        assert float((words @ own[:60].T).max()) < 1 - 1e-4 and np.array_equal(words, centres(own, 256, 0))
    assert centres(vectors[:3], 256, 0).shape == (1, 5)
    assert len(centres(np.ones((40, 3)), 256, 0)) == 1


def test_encoders_that_share_no_space_are_named() -> None:
    data = prepare(trainable(synthetic_cohort("complementary", 60), 0, None, "cpu"))
    with pytest.warns(FindingWarning, match=r"share no space \(.* are encoded as fitted on the cohort\)"):
        warn_of_spaces(data)
    warn_of_spaces(data.reading(data.cohort.modalities[0]))
    frozen = replace(data, encoders={name: Frozen(4 + number) for number, name in enumerate(data.encoders)})
    with pytest.warns(FindingWarning, match="their tokens differ in width"):
        warn_of_spaces(frozen)
    warn_of_spaces(replace(data, encoders=dict.fromkeys(data.encoders, Frozen(4))))


class Frozen:
    """What a frozen encoder says of itself."""

    fitted_on_cohort = False

    def __init__(self, width: int) -> None:
        self.width = width


def test_options_out_of_range_are_refused() -> None:
    for wrong in ({"words": 0}, {"k": 0}):
        with pytest.raises(ValueError, match="lies between"):
            ImgAnyRetrieval(**wrong)
