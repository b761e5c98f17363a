"""The space of texts: scores are F1 to all training texts, and a link moves them to those of the patient's own text."""

from __future__ import annotations

import numpy as np
import pytest

from chiasm.fitting.text_space import TextSpace
from chiasm.targets.texts import Texts, best, typical

WORDS = ("left", "right", "lung", "mass", "small", "large", "no", "finding", "effusion")


def texts_of(patients: int, seed: int = 0, scorer: str = "token_f1") -> Texts:
    rng = np.random.default_rng(seed)
    own = np.empty(patients, dtype=object)
    own[:] = [(" ".join(rng.choice(WORDS, rng.integers(1, 5))),) for _ in range(patients)]
    return Texts(own, scorer)


def test_of_few_texts_the_score_at_a_patients_point_is_the_f1_of_each_with_his_text() -> None:
    own = texts_of(30)
    space = TextSpace.fit(own)
    assert space.width <= 32
    base, loading = space.scores(own)
    mine = [several[0] for several in own.references]
    expected = own.likeness(mine, space.said)
    found = base + space.points(own) @ loading.T
    assert found == pytest.approx(expected, abs=1e-8)
    assert base == pytest.approx(expected.mean(axis=0), abs=1e-9)


def test_the_mean_of_links_scores_as_the_mean_of_patients_does() -> None:
    own = texts_of(30)
    space = TextSpace.fit(own)
    base, loading = space.scores(own)
    points, rows = space.points(own), np.array([3, 7, 7, 20])
    mine = [own.references[k][0] for k in rows]
    assert base + points[rows].mean(axis=0) @ loading.T == pytest.approx(
        own.likeness(mine, space.said).mean(axis=0), abs=1e-8
    )
    assert np.abs(points.mean(axis=0)).max() < 1e-9 and points.std(axis=0).max() == pytest.approx(1)


@pytest.mark.parametrize("scorer", ["token_f1", "exact_match"])
def test_a_link_of_zero_says_the_typical_text(scorer: str) -> None:
    for seed in range(5):
        own = texts_of(60, seed, scorer)
        space = TextSpace.fit(own)
        assert space.said[best(space.scores(own)[0])] == typical(own)


def test_the_order_of_patients_changes_no_bit() -> None:
    own = texts_of(80)
    one, other = TextSpace.fit(own), TextSpace.fit(own.take(np.random.default_rng(1).permutation(80)))
    assert one.said == other.said and one.unit == other.unit
    for name in ("root", "mean", "axes"):
        assert getattr(one, name) == pytest.approx(getattr(other, name), abs=1e-8)


def test_several_references_are_their_mean_and_an_unknown_text_is_unknown() -> None:
    own = texts_of(20)
    own.references[0] = ("left lung", "right lung")
    own.references[1] = ()
    space = TextSpace.fit(own)
    both = np.empty(2, dtype=object)
    both[:] = [("left lung",), ("right lung",)]
    points = space.points(own)
    assert points[0] == pytest.approx(space.points(Texts(both)).mean(axis=0))
    assert np.isnan(points[1]).all()
    assert "left lung" in space.said and "right lung" in space.said


def test_one_text_alone_has_no_axis() -> None:
    own = np.empty(12, dtype=object)
    own[:] = [("The lung",)] * 11 + [("lung.",)]
    assert TextSpace.fit(Texts(own)).width == 0
