"""Centre shift: no gap after the full shift, a smaller one for more strength, and statistics of training rows only."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chiasm import artifact
from chiasm.fusion.centre_shift import CentreShift, unit
from examples import examples


def embeddings(seed: int, modalities: int = 2, width: int = 5) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {f"m{m}": rng.normal(size=(12 + m, width)) + 2 * rng.normal(size=width) for m in range(modalities)}


@given(st.integers(0, 10_000), st.integers(2, 4))
@settings(max_examples=examples(50), deadline=None)
def test_the_full_shift_closes_the_gap(seed: int, modalities: int) -> None:
    train = embeddings(seed, modalities)
    shift = CentreShift.fit(train)
    centres = [shift.shifted(name, values).mean(0) for name, values in train.items()]
    for centre in centres[1:]:
        np.testing.assert_allclose(centre, centres[0], atol=1e-12)
    assert shift.gap() == 0.0
    for name, values in train.items():
        np.testing.assert_allclose(np.linalg.norm(shift(name, values), axis=1), 1.0, atol=1e-9)


@given(st.integers(0, 10_000), st.floats(0, 1), st.floats(0, 1))
@settings(max_examples=examples(50), deadline=None)
def test_the_gap_shrinks_with_strength(seed: int, one: float, other: float) -> None:
    train = embeddings(seed)
    low, high = (CentreShift.fit(train, strength) for strength in sorted((one, other)))
    assert high.gap() <= low.gap() + 1e-12
    seen = [
        np.linalg.norm(s.shifted("m0", train["m0"]).mean(0) - s.shifted("m1", train["m1"]).mean(0)) for s in (low, high)
    ]
    np.testing.assert_allclose(seen, [low.gap(), high.gap()], atol=1e-9)


def test_one_modality_does_not_move() -> None:
    train = {"m0": embeddings(1)["m0"]}
    shift = CentreShift.fit(train)
    np.testing.assert_allclose(shift("m0", train["m0"]), unit(train["m0"]), atol=1e-12)
    assert shift.gap() == 0.0


def test_two_modalities_move_half_of_the_gap_each() -> None:
    train = embeddings(1)
    shift = CentreShift.fit(train, 0.6)
    gap = unit(train["m0"]).mean(0) - unit(train["m1"]).mean(0)
    np.testing.assert_allclose(shift("m0", train["m0"]), unit(unit(train["m0"]) - 0.3 * gap), atol=1e-12)
    np.testing.assert_allclose(shift("m1", train["m1"]), unit(unit(train["m1"]) + 0.3 * gap), atol=1e-12)


def test_other_rows_change_nothing_and_it_is_stored(tmp_path: Path) -> None:
    train, new = embeddings(2), embeddings(3)
    shift = CentreShift.fit(train)
    before = {name: centre.copy() for name, centre in shift.centres.items()}
    alone = shift("m0", new["m0"][:1])
    new["m0"][1:] = 1e9
    np.testing.assert_array_equal(shift("m0", new["m0"])[:1], alone)
    assert all((before[name] == centre).all() for name, centre in shift.centres.items())
    artifact.save(tmp_path / "shift", shift)
    np.testing.assert_array_equal(artifact.load(tmp_path / "shift")("m1", new["m1"]), shift("m1", new["m1"]))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda e: e.clear(), "no modality was given"),
        (lambda e: e.update(m1=np.zeros((3, 4))), "m0 5, m1 4"),
        (lambda e: e.update(m1=np.zeros((0, 5))), "'m1' has no training patient"),
    ],
)
def test_what_has_no_gap_is_refused(change: object, message: str) -> None:
    train = embeddings(0)
    change(train)  # type: ignore[operator]
    with pytest.raises(ValueError, match=message):
        CentreShift.fit(train)
    with pytest.raises(ValueError, match="between 0 and 1"):
        CentreShift.fit(embeddings(0), 1.5)
