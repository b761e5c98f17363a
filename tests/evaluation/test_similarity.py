"""Similarity of representations: equal to rsatoolbox and scipy, invariant where it says so, and at chance for noise."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io  # type: ignore[import-untyped]
from scipy.spatial import procrustes  # type: ignore[import-untyped]
from scipy.stats import ortho_group  # type: ignore[import-untyped]

from chiasm.metrics.similarity import (
    cka,
    compare_dissimilarities,
    dissimilarity_ceiling,
    dissimilarity_matrix,
    pooled_dissimilarity,
    procrustes_similarity,
    square_matrix,
    two_versus_two,
    upper_triangle,
)

Matrices = tuple[np.ndarray, np.ndarray]


@pytest.fixture(scope="module")
def reference() -> dict[str, Any]:
    """What rsatoolbox found, with its version (`make_similarity.py`)."""
    text = (Path(__file__).parent / "fixtures" / "similarity.json").read_text(encoding="utf-8")
    found: dict[str, Any] = json.loads(text)
    assert found["versions"]["rsatoolbox"] == "0.3.2"
    return found


@pytest.fixture
def matrices(shared_data: Path) -> Matrices:
    """Upper triangles of eight models, and of the brains of four subjects in two sessions."""
    folder = shared_data / "wings" / "brain-rdms-92images"
    models = scipy.io.loadmat(folder / "92_modelRDMs.mat")["Models"][0]
    brains = scipy.io.loadmat(folder / "92_brainRDMs.mat")["RDMs"][0]
    model = [upper_triangle(np.asarray(own["RDM"], float)) for own in models]
    brain = [upper_triangle(np.asarray(brains[s, k]["RDM"], float)) for k in range(2) for s in range(4)]
    return np.stack(model), np.stack(brain)


@pytest.mark.parametrize("measure", ["spearman", "kendall", "pearson", "cosine"])
def test_brains_and_models_compare_as_in_rsatoolbox(
    matrices: Matrices, reference: dict[str, Any], measure: str
) -> None:
    models, brains = matrices
    found = [[compare_dissimilarities(model, brain, measure) for brain in brains] for model in models]
    np.testing.assert_allclose(found, reference["compare"][measure], rtol=1e-9)
    ceilings = [dissimilarity_ceiling(rows, measure) for rows in (brains[:4], brains[4:])]
    np.testing.assert_allclose(ceilings, reference["ceiling"][measure], rtol=1e-9)


def test_dissimilarities_are_those_of_rsatoolbox(reference: dict[str, Any]) -> None:
    for measure, expected in reference["matrices"].items():
        found = dissimilarity_matrix(reference["patterns"], measure)
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)
        np.testing.assert_array_equal(upper_triangle(square_matrix(found)), found)


def test_a_pair_or_an_item_without_a_value_is_left_out() -> None:
    rng = np.random.default_rng(0)
    patterns = rng.normal(size=(6, 4))
    patterns[2] = 3.0
    matrix = dissimilarity_matrix(patterns)
    assert np.isnan(matrix).sum() == 5
    others = np.delete(patterns, 2, axis=0)
    other = dissimilarity_matrix(others + 0.3 * rng.normal(size=others.shape))
    whole = np.full(15, np.nan)
    whole[np.isfinite(matrix)] = other
    expected = compare_dissimilarities(dissimilarity_matrix(others), other)
    assert compare_dissimilarities(matrix, whole) == pytest.approx(expected)
    assert np.isnan(compare_dissimilarities(np.ones(15), whole))
    pooled = pooled_dissimilarity([whole, np.where(np.isnan(whole), 1.0, whole)])
    assert np.isfinite(pooled).all()


def test_similarities_see_no_rotation_and_no_scale_and_debiased_noise_is_zero() -> None:
    rng = np.random.default_rng(1)
    items, turn = rng.normal(size=(60, 5)), ortho_group.rvs(5, random_state=2)
    turned = 3.0 * items @ turn + 1.0
    each: list[dict[str, Any]] = [{}, {"debiased": True}, {"kernel": "rbf"}, {"kernel": "rbf", "debiased": True}]
    for options in each:
        assert cka(items, turned, **options) == pytest.approx(1.0)
    assert cka(items, turned @ np.diag([9.0, 1, 1, 1, 1])) < 0.9
    assert procrustes_similarity(items, turned) == pytest.approx(1.0)
    other = rng.normal(size=(60, 5))
    _, _, disparity = procrustes(items, other)
    assert procrustes_similarity(items, other) == pytest.approx(np.sqrt(1 - disparity))
    wide = [rng.normal(size=(2, 20, 200)) for _ in range(40)]
    biased = np.mean([cka(*pair) for pair in wide])
    unbiased = np.mean([cka(*pair, debiased=True) for pair in wide])
    assert biased > 0.8 and abs(unbiased) < 0.02
    square = cka(items, other)
    gram = [own - own.mean(0) for own in (items, other)]
    k, m = (own @ own.T for own in gram)
    assert square == pytest.approx(np.sum(k * m) / np.sqrt(np.sum(k * k) * np.sum(m * m)))


def slow_two_versus_two(prediction: np.ndarray, value: np.ndarray) -> float:
    """The formula, pair by pair."""

    def apart(a: np.ndarray, b: np.ndarray) -> float:
        return 1 - float(a @ b) / float(np.linalg.norm(a) * np.linalg.norm(b))

    won = []
    for i in range(len(value)):
        for j in range(i):
            own = apart(prediction[i], value[i]) + apart(prediction[j], value[j])
            crossed = apart(prediction[i], value[j]) + apart(prediction[j], value[i])
            won.append(own < crossed)
    return float(np.mean(won))


def test_two_versus_two_is_its_formula_and_weights_are_draws() -> None:
    rng = np.random.default_rng(3)
    value = rng.normal(size=(12, 4))
    prediction = value + rng.normal(size=value.shape)
    assert two_versus_two(prediction, value)[0] == pytest.approx(slow_two_versus_two(prediction, value))
    assert two_versus_two(value, value)[0] == 1.0 and two_versus_two(-value, value)[0] == 0.0
    assert two_versus_two(np.ones_like(value), value)[0] == 0.5  # every tie counts one half
    counts = rng.integers(0, 3, size=12)
    drawn = np.repeat(np.arange(12), counts)
    same = drawn[:, None] == drawn[None, :]
    pairs = [(i, j) for i in range(len(drawn)) for j in range(i) if not same[i, j]]
    alone = [two_versus_two(prediction[drawn[[i, j]]], value[drawn[[i, j]]])[0] for i, j in pairs]
    assert two_versus_two(prediction, value, counts)[0] == pytest.approx(np.mean(alone))
    assert np.isnan(two_versus_two(prediction, value, np.eye(12)[0])[0])
    noise = [two_versus_two(*rng.normal(size=(2, 40, 3)))[0] for _ in range(60)]
    assert abs(np.mean(noise) - 0.5) < 4 * np.std(noise) / np.sqrt(len(noise))
    blocks = rng.normal(size=(2, 700, 3))  # more items than are held at once
    assert two_versus_two(blocks[0], blocks[0])[0] == 1.0
    assert two_versus_two(blocks[0], blocks[1])[0] == pytest.approx(two_versus_two(blocks[1], blocks[0])[0])


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda: dissimilarity_matrix(np.eye(3), "mahalanobis"), "no dissimilarity 'mahalanobis'"),
        (lambda: dissimilarity_matrix([[1.0, np.nan], [1.0, 2.0]]), "all finite"),
        (lambda: compare_dissimilarities(np.ones(3), np.ones(6)), "take the same items"),
        (lambda: compare_dissimilarities(np.ones(3), np.ones(3), "tau"), "no comparison 'tau'"),
        (lambda: dissimilarity_ceiling(np.ones((1, 3))), "two or more"),
        (lambda: upper_triangle(np.arange(9.0).reshape(3, 3)), "not symmetric"),
        (lambda: cka(np.eye(3), np.eye(4)), "the same items"),
        (lambda: cka(np.eye(3), np.eye(3), kernel="poly"), "linear or rbf"),
        (lambda: two_versus_two(np.eye(3), np.ones((3, 2))), "items x channels"),
    ],
)
def test_what_cannot_be_compared_is_said(wrong: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        wrong()
