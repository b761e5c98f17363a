"""Ranking metrics and votes against scikit-learn; exact neighbours against brute force; the index against the exact."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_curve
from sklearn.neighbors import KNeighborsClassifier

from chiasm.cohort import Unsupported, cohort_from_frames, synthetic_cohort
from chiasm.recipes.baselines.late import LateFusion
from chiasm.recipes.baselines.single import Single
from chiasm.recipes.fusion.healnet import HealNetRecipe
from chiasm.retrieval import (
    Neighbours,
    NeighbourVote,
    embed_model,
    foscttm,
    label_transfer,
    mean_average_precision,
    recall_at,
    similar,
)
from examples import examples


def vectors(n: int, width: int = 6, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, width)).astype(np.float32)


@given(st.integers(0, 1000), st.integers(2, 30))
@settings(max_examples=examples(40), deadline=None)
def test_average_precision_equals_scikit_learn(seed: int, items: int) -> None:
    rng = np.random.default_rng(seed)
    relevant = rng.random((5, items)) < 0.4
    relevant[0, 0] = True
    total = relevant.sum(1)
    scores = -np.arange(items)
    wanted = [average_precision_score(row, scores) for row in relevant if row.any()]
    assert mean_average_precision(relevant, total) == pytest.approx(np.mean(wanted))


def test_recall_by_hand() -> None:
    relevant = np.array([[True, False, True], [False, False, True], [False, False, False]])
    total = np.array([2, 1, 0])  # nobody asks for what does not exist
    assert recall_at(relevant, total, 1) == 0.5
    assert recall_at(relevant, total, 2) == 0.25
    assert recall_at(relevant, total, 3) == 1.0
    assert recall_at(relevant, np.array([4, 1, 0]), 3) == pytest.approx((2 / 3 + 1) / 2)  # two were never ranked
    with pytest.raises(ValueError, match="outside the ranking of 3"):
        recall_at(relevant, total, 4)
    with pytest.raises(ValueError, match="no query"):
        mean_average_precision(relevant, np.zeros(3, int))


@given(st.integers(0, 1000), st.integers(1, 20))
@settings(max_examples=examples(30), deadline=None)
def test_exact_neighbours_are_those_of_all_distances(seed: int, k: int) -> None:
    rows, queries = vectors(20, seed=seed), vectors(4, seed=seed + 1)
    unit = [part / np.linalg.norm(part, axis=1, keepdims=True) for part in (queries, rows)]
    distance = 1 - unit[0].astype(float) @ unit[1].astype(float).T
    found, away = Neighbours(rows, "exact").nearest(queries, k)
    np.testing.assert_array_equal(found, np.argsort(distance, axis=1, kind="stable")[:, :k])
    np.testing.assert_allclose(away, np.sort(distance, axis=1)[:, :k], atol=1e-6)


@pytest.mark.parametrize("copies", [6, 7, 33, 130])
@pytest.mark.parametrize("width", [6, 384])
def test_equal_distances_fall_to_the_first_rows(copies: int, width: int) -> None:
    """Whatever rows stand between: a matrix product gives equal rows other last bits by where they stand."""
    others = vectors(copies, width, seed=1)
    rows = np.stack([np.tile(vectors(1, width), (copies, 1)), others], 1).reshape(2 * copies, -1)
    found, away = Neighbours(rows).nearest(rows[:1], copies)
    assert found.tolist() == [[2 * row for row in range(copies)]]
    assert len(set(away[0].tolist())) == 1 and abs(away[0, 0]) < 1e-6


def test_wrong_questions_are_refused() -> None:
    rows = vectors(5)
    with pytest.raises(ValueError, match="5 patients to choose from"):
        Neighbours(rows).nearest(rows, 6)
    with pytest.raises(ValueError, match="6 wide"):
        Neighbours(rows).nearest(vectors(2, 5), 1)
    with pytest.raises(ValueError, match="finite"):
        Neighbours(np.full((3, 2), np.nan, np.float32))
    with pytest.raises(ValueError, match="auto, exact or index"):
        Neighbours(rows, "faiss")


@pytest.mark.slow
def test_the_index_finds_what_the_exact_search_finds() -> None:
    pytest.importorskip("lancedb")
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(40, 32))
    rows = (centres[rng.integers(0, 40, 3_000)] + 0.3 * rng.normal(size=(3_000, 32))).astype(np.float32)
    exact, near = Neighbours(rows, "exact").nearest(rows[:50], 10)
    found, away = Neighbours(rows, "index").nearest(rows[:50], 10)
    hits = np.mean([len(set(a) & set(b)) / 10 for a, b in zip(exact, found, strict=True)])
    assert hits > 0.95
    np.testing.assert_allclose(away[:, 0], near[:, 0], atol=1e-5)
    assert (np.diff(away, axis=1) >= 0).all()


@pytest.mark.parametrize("classes", [2, 3])
def test_votes_equal_scikit_learn(classes: int) -> None:
    train, test = vectors(60), vectors(15, seed=1)
    codes = np.random.default_rng(2).integers(0, classes, 60)
    vote = NeighbourVote.fit(train, codes, classes, k=7)
    reference = KNeighborsClassifier(7, metric="cosine", algorithm="brute").fit(train, codes)
    np.testing.assert_allclose(vote.probabilities(test), reference.predict_proba(test), atol=1e-9)


def test_the_operating_point_is_youdens_on_training_patients_voted_on_by_the_others() -> None:
    rng = np.random.default_rng(0)
    codes = (rng.random(80) < 0.2).astype(int)
    train = (vectors(80) + codes[:, None]).astype(np.float32)
    vote = NeighbourVote.fit(train, codes, 2, k=9)
    score = np.zeros(80)
    for row in range(80):
        rest = np.delete(np.arange(80), row)
        own = KNeighborsClassifier(9, metric="cosine", algorithm="brute").fit(train[rest], codes[rest])
        score[row] = own.predict_proba(train[[row]])[0, 1]
    false_rate, true_rate, thresholds = roc_curve(codes, score)
    assert vote.threshold == pytest.approx(thresholds[np.argmax(true_rate - false_rate)])
    assert vote.threshold < 0.5  # one in five: a threshold of a half would find hardly anybody
    decided = vote.decide(train)
    assert set(decided) == {0, 1}
    who, away = vote.evidence(train[:3])
    assert who.shape == away.shape == (3, 9) and (who[:, 0] == np.arange(3)).all()


def test_twins_do_not_vote_on_themselves() -> None:
    train = np.tile(vectors(1), (12, 1))
    vote = NeighbourVote.fit(train, np.arange(12) % 2, 2, k=3)
    assert 0 <= vote.threshold <= 1
    with pytest.raises(ValueError, match="more than 12"):
        NeighbourVote.fit(train, np.arange(12) % 2, 2, k=12)


def test_similar_patients_share_what_they_are_compared_by() -> None:
    rng = np.random.default_rng(0)
    kind = np.arange(40) % 4
    block = 6 * np.eye(4)[kind] + 0.3 * rng.normal(size=(40, 4))
    ids = [f"secret-{row:02d}" for row in range(40)]
    frame = pd.DataFrame(block, index=ids, columns=list("abcd"))
    cohort = cohort_from_frames(pd.DataFrame(index=ids), {"m": frame.iloc[:39]})
    found = similar(cohort, [ids[0], ids[5]], "m", k=5)
    assert list(found.columns) == ["patient", "rank", "neighbour", "distance"]
    assert found.groupby("patient")["rank"].apply(list).tolist() == [[1, 2, 3, 4, 5]] * 2
    of = dict(zip(ids, kind, strict=True))
    assert all(of[a] == of[b] and a != b for a, b in zip(found["patient"], found["neighbour"], strict=True))
    with pytest.raises(Unsupported, match="of the patients asked for, 1 lacks what is compared") as refused:
        similar(cohort, [ids[39]], "m")
    assert "secret" not in str(refused.value)
    with pytest.raises(Unsupported, match="of the patients asked for, 1 is not in the cohort") as refused:
        similar(cohort, ["secret-99"], "m")
    assert "secret" not in str(refused.value)


def test_a_models_embedding_is_searched_and_a_mean_of_predictions_has_none() -> None:
    cohort = synthetic_cohort("complementary", 60, missing=0.2)
    for recipe in (HealNetRecipe(epochs=2, latents=4, latent_width=8, heads=2), Single("m1")):
        model = recipe.fit(cohort, seed=0)
        rows, found = embed_model(model, cohort)
        assert len(found) == len(rows) and np.isfinite(found).all()
        assert len(similar(cohort, [cohort.ids[rows[0]]], model, k=3)) == 3
    with pytest.raises(Unsupported, match="has no embedding"):
        embed_model(LateFusion().fit(cohort, seed=0), cohort)


def test_foscttm_by_hand_and_at_its_ends() -> None:
    one = np.array([[0.0], [1.0], [3.0]], np.float32)
    assert foscttm(one, one) == 0.0
    other = np.array([[0.5], [1.25], [3.0]], np.float32)
    # Each is the nearest of its own, but from 0.5, to which 0 and 1 are as near: a tie.
    assert foscttm(one, other) == pytest.approx(0.5 / 2 / 6)
    assert foscttm(one, other[[1, 0, 2]]) == pytest.approx((0.5 + 0.5 + 0 + 0.5 + 0.25 + 0) / 6)
    assert foscttm(one, np.zeros((3, 1), np.float32)) == pytest.approx((0.5 * 3 + (0 + 0.5 + 1)) / 6)
    constant = np.ones((5, 2), np.float32)
    assert foscttm(constant, constant) == 0.5
    drawn = vectors(300, seed=1), vectors(300, seed=2)
    distance = np.linalg.norm(drawn[0][:, None].astype(float) - drawn[1][None], axis=2)
    own = np.diag(distance)
    wanted = ((distance < own[:, None]).mean() + (distance < own[None]).mean()) / 2 * 300 / 299
    assert foscttm(*drawn) == pytest.approx(wanted, abs=1e-9) and abs(wanted - 0.5) < 0.05
    with pytest.raises(ValueError, match="two samples or more"):
        foscttm(one, one[:2])


def test_label_transfer_is_a_vote_of_the_other_modality() -> None:
    known, asked = vectors(60, seed=3), vectors(30, seed=4)
    codes = np.arange(60) % 3
    voter = KNeighborsClassifier(5, metric="cosine", algorithm="brute").fit(known, codes)
    assert label_transfer(known, codes, asked, voter.predict(asked)) == 1.0
    assert label_transfer(known, codes, asked, (voter.predict(asked) + 1) % 3) == 0.0
