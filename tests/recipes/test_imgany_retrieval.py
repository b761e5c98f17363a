"""`imgany-retrieval`: laws of every recipe, words of training patients alone, and nothing trained but the head."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import roc_auc_score  # type: ignore[import-untyped]

import chiasm
from chiasm.cohort import synthetic_cohort
from chiasm.encoders import columns_among
from chiasm.encoders.stored import StoredTokensEncoder
from chiasm.errors import FindingWarning
from chiasm.fitting.base import trainable
from chiasm.fitting.neural import Prepared, prepare
from chiasm.fusion.retrieval_bottleneck import retrieved
from chiasm.recipes.alignment import imgany_retrieval
from chiasm.recipes.alignment.imgany_retrieval import (
    ImgAnyRetrieval,
    RetrievalDesign,
    centres,
    of_one_width,
    places_of,
    unit_vector,
    warn_of_spaces,
)
from chiasm.recipes.registry import make_recipe
from chiasm.testing import check_recipe
from chiasm.tokens import Tokens
from small_recipes import small


@pytest.mark.nightly
def test_it_passes_the_public_check() -> None:
    check_recipe(small("imgany-retrieval", words=24, k=3), kinds=("survival",), n=56)


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


def nearness(data: Prepared, words: np.ndarray, held: bool) -> float:
    """Mean similarity of the patients who are held out, or of the others, to the nearest word of each modality."""
    rows, best = np.flatnonzero(data.held_out == held), []
    for name, own in data.tokens.items():
        first, width = places_of(data.encoders)[name]
        found = unit_vector(own.take(rows), width, name in columns_among(data.encoders))
        best.append((found @ torch.from_numpy(words[:, first : first + width]).T).max(1).values)
    return float(torch.cat(best).mean())


def test_patients_of_the_training_are_not_much_nearer_to_the_words_than_new_ones(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In 16 numbers each; their centres are nearer to those who made them, but to nobody's own vector."""
    data = prepare(trainable(synthetic_cohort("complementary", 300), 0, None, "cpu"))
    data.held_out[:] = np.arange(300) % 2 == 0
    words = small("imgany-retrieval", words=256).vocabulary(data, 0)
    assert nearness(data, words, False) < 1.3 * nearness(data, words, True)
    monkeypatch.setattr(imgany_retrieval, "PER_WORD", 1)
    monkeypatch.setattr(imgany_retrieval, "LEAST_IN_A_WORD", 1)
    own = small("imgany-retrieval", words=600).vocabulary(data, 0)
    assert nearness(data, own, False) > 1.4 * nearness(data, own, True), "as if words were patients"


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
    with pytest.warns(FindingWarning, match="share no space: m1, m2"):
        warn_of_spaces(data)
    warn_of_spaces(data.reading(data.cohort.modalities[0]))
    frozen = replace(data, encoders={name: Frozen(4 + number) for number, name in enumerate(data.encoders)})
    with pytest.warns(FindingWarning, match="share no space: m1, m2"):
        warn_of_spaces(frozen)
    warn_of_spaces(replace(data, encoders=dict.fromkeys(data.encoders, Frozen(4))))


class Frozen:
    """What a frozen encoder says of itself."""

    fitted_on_cohort = False
    slots = 1

    def __init__(self, width: int) -> None:
        self.width = width


def test_options_out_of_range_are_refused() -> None:
    for wrong in ({"words": 0}, {"k": 0}):
        with pytest.raises(ValueError, match="lies between"):
            ImgAnyRetrieval(**wrong)


def test_columns_of_a_table_are_coordinates_and_are_not_averaged() -> None:
    cohort = synthetic_cohort("redundant", 240, seed=0)
    new, recipe = np.arange(240) % 3 == 0, make_recipe("imgany-retrieval:modality=m1")
    assert cohort.outcome is not None
    found = recipe.fit(cohort.subset(~new), seed=0).predict(cohort.subset(new)).loc[cohort.ids[new]]
    assert roc_auc_score(cohort.outcome.value[new], found["p_1"]) > 0.8  # one half, where a mean mixes the columns


def test_modalities_without_a_space_in_common_find_words_of_their_own() -> None:
    data = prepare(trainable(synthetic_cohort("complementary", 120), 0, None, "cpu"))
    places, columns = places_of(data.encoders), columns_among(data.encoders)
    assert places == {"m1": (0, 16), "m2": (16, 16)} and columns == ("m1", "m2")
    words = small("imgany-retrieval", words=40).vocabulary(data, 0)
    first, second = words[:, :16].any(1), words[:, 16:].any(1)
    assert (first ^ second).all() and first.any() and second.any()
    fusion = RetrievalDesign(words, 8, columns, places).fusion(data.shapes)
    tokens = {name: own.take(np.arange(12)) for name, own in data.tokens.items()}
    here = torch.ones(12, 2, dtype=torch.bool)
    both, alone = (fusion(tokens, present).embedding for present in (here, here & torch.tensor([True, False])))
    torch.testing.assert_close(both[:, :16], alone[:, :16] / 2)  # nobody agrees with anybody: equal weights
    assert not alone[:, 16:].any() and both[:, 16:].any()
    same = dict.fromkeys(data.encoders, Frozen(4))
    assert places_of(same) == {"m1": (0, 4), "m2": (0, 4)} and columns_among(same) == ()  # type: ignore[arg-type]


def test_a_modality_that_is_the_same_for_everybody_says_nothing() -> None:
    words = torch.eye(4)[:2]  # none lies in the place of the second modality
    fusion = RetrievalDesign(words.numpy(), 2, (), {"a": (0, 2), "b": (2, 2)}).fusion({"a": (2, 0), "b": (2, 0)})
    tokens = {name: Tokens(torch.rand(3, 1, 2), torch.ones(3, 1, dtype=torch.bool)) for name in ("a", "b")}
    for present in ([True, True], [False, True]):
        assert fusion(tokens, torch.tensor([present] * 3)).embedding.isfinite().all()


def test_stored_tokens_of_one_width_are_read_as_they_are_and_a_copy_changes_nothing() -> None:
    rng, names = np.random.default_rng(0), [f"p{k}" for k in range(60)]
    label = np.arange(60) % 2
    chains = ["".join(rng.choice(list("ACDEFG" if own else "HIKLMN"), 30)) for own in label]
    patients = pd.DataFrame({"c": label.astype(str)}, names)
    values = {name: pd.DataFrame({name: chains}, names) for name in ("a", "b")}
    cohort = chiasm.cohort_from_frames(
        patients, values, target=chiasm.Classification("c"), kinds=dict.fromkeys(values, "protein")
    )
    encoded = chiasm.encode(cohort).cohort
    assert set(of_one_width(encoded)) == {"a", "b"} and not of_one_width(encoded.with_modalities(["a"]))
    with warnings.catch_warnings():
        warnings.simplefilter("error", FindingWarning)
        model = make_recipe("imgany-retrieval").fit(encoded, seed=0)
    assert len(set(model.predictor.design.places.values())) == 1
    both, alone = model.predict(encoded), model.predict(encoded.with_modalities(["a"]))
    np.testing.assert_allclose(both["p_1"], alone["p_1"], atol=1e-5)
    assert roc_auc_score(label, both.loc[names, "p_1"]) > 0.95


def test_patches_of_a_frozen_network_are_no_columns() -> None:
    assert columns_among({"image": StoredTokensEncoder(64, 16), "text": StoredTokensEncoder(64, 1)}) == ()


def test_a_modality_of_no_space_in_common_has_a_mean_weight() -> None:
    words = torch.eye(6)
    vectors = torch.zeros(1, 3, 6)
    vectors[0, 0, 0] = vectors[0, 1, 0] = vectors[0, 2, 4] = 1.0
    vectors[0, 1, 1] = 0.3
    vectors = torch.nn.functional.normalize(vectors, dim=2)
    comparable = torch.tensor([[True, True, False], [True, True, False], [False, False, True]])
    here = torch.ones(1, 3, dtype=torch.bool)
    fused = retrieved(vectors, here, words, k=2, comparable=comparable)
    alone = retrieved(vectors, torch.tensor([[False, False, True]]), words, k=2, comparable=comparable)
    torch.testing.assert_close(fused[0, 4] * 3, alone[0, 4], atol=1e-3, rtol=0)
    assert retrieved(vectors, here, words, k=2)[0, 4] < 0.1 * fused[0, 4]  # compared with all it is weighed away
