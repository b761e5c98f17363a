"""Stored tokens: scale and principal components by training rows alone, in blocks; from the store or from memory."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.decomposition import PCA

from chiasm import artifact
from chiasm.cohort import Classification, Cohort, cohort_from_frames
from chiasm.compute.memo import forget
from chiasm.encoders import fit_encoders, pack, registry, stored
from chiasm.encoders.stored import StoredTokensEncoder
from chiasm.encoders.streaming import StreamedTokens
from chiasm.recipes.baselines.single import Single
from chiasm.recipes.fusion.healnet import HealNetRecipe
from chiasm.recipes.fusion.lego_fuse import LegoFuseRecipe
from chiasm.store import TokenStore
from chiasm.store.token_store import StoredTokens
from chiasm.testing import check_encoder
from chiasm.tokens import PackedTokens
from small_recipes import at_night

PATIENTS, WIDTH = 40, 6


def content(slots: int, seed: int = 0, patients: int = PATIENTS) -> list[np.ndarray]:
    """Correlated tokens far from zero, each position on a scale of its own."""
    rng = np.random.default_rng(seed)
    mixing = rng.normal(size=(WIDTH, WIDTH))
    bags = []
    for _ in range(patients):
        length = slots or int(rng.integers(1, 9))
        bag = rng.normal(size=(length, WIDTH)) @ mixing + 5.0
        bags.append((bag * (1 + np.arange(length))[:, None] if slots else bag).astype(np.float32))
    return bags


def kept(folder: Path, bags: list[np.ndarray], slots: int) -> StoredTokens:
    store, keys = TokenStore(folder), [hashlib.md5(str(k).encode()).hexdigest() for k in range(len(bags))]
    for start in range(0, len(bags), 15):
        store.put("test/1()", keys[start : start + 15], bags[start : start + 15], slots=slots)
    return store.open("test/1()", keys)


@pytest.fixture(params=[0, 3], ids=["bags", "slots"])
def slots(request: pytest.FixtureRequest) -> int:
    return int(request.param)


def test_it_keeps_the_laws_of_an_encoder(tmp_path: Path, slots: int) -> None:
    check_encoder(StoredTokensEncoder(), kept(tmp_path, content(slots), slots))


def test_scale_and_components_are_those_of_the_textbook(tmp_path: Path, slots: int) -> None:
    bags = content(slots)
    fitted = StoredTokensEncoder().fit(kept(tmp_path, bags, slots))
    if slots:
        cube = np.stack(bags).astype(np.float64)  # (n, T, D)
        mean, scale = cube.mean(0), np.sqrt(((cube - cube.mean(0)) ** 2).mean((0, 2)))
        flat = ((cube - mean) / scale[:, None]).reshape(-1, WIDTH)
    else:
        flat = np.concatenate(bags).astype(np.float64)
        mean = flat.mean(0, keepdims=True)
        scale = np.sqrt(((flat - mean) ** 2).mean(keepdims=True)).reshape(1)
        flat = (flat - mean) / scale
    assert np.allclose(fitted.mean, mean, atol=1e-5) and np.allclose(fitted.scale, scale, atol=1e-5)
    reference = PCA(WIDTH).fit(flat)
    largest = np.sqrt((flat @ reference.components_[0]).var())
    signs = np.sign(reference.components_[np.arange(WIDTH), np.abs(reference.components_).argmax(1)])
    assert np.allclose(fitted.components, reference.components_.T * signs / largest, atol=1e-5)
    tokens = fitted.encode(kept(tmp_path, bags, slots))
    assert np.allclose(tokens.values[tokens.mask].numpy(), flat @ fitted.components, atol=1e-4)
    assert abs(float(tokens.values[tokens.mask][:, 0].std()) - 1) < 0.01


def test_wide_tokens_keep_64_numbers(tmp_path: Path) -> None:
    bags = [bag.astype(np.float32) for bag in np.random.default_rng(0).normal(size=(30, 5, 80))]
    fitted = StoredTokensEncoder().fit(kept(tmp_path, bags, 5))
    assert fitted.width == 64 and fitted.encode(kept(tmp_path, bags, 5)).values.shape == (30, 5, 64)


def test_rows_outside_training_change_nothing(tmp_path: Path, slots: int) -> None:
    bags, train = content(slots), np.arange(0, PATIENTS, 2)
    spoiled = [np.full_like(bag, 1e9) if k % 2 else bag for k, bag in enumerate(bags)]
    states = []
    for name, given in (("plain", bags), ("spoiled", spoiled)):
        fitted = StoredTokensEncoder().fit(kept(tmp_path / name, given, slots).take(train))
        artifact.save(tmp_path / f"{name}-encoder", fitted)
        files = sorted((tmp_path / f"{name}-encoder").iterdir())
        states.append([file.read_bytes() for file in files if file.suffix == ".safetensors"])
    assert states[0] == states[1] and states[0]


@pytest.mark.parametrize("width", [16, 70])
def test_one_that_is_loaded_encodes_to_the_last_bit_what_the_fitted_one_does(tmp_path: Path, width: int) -> None:
    """Sums run in another order where the components lie in memory column by column."""
    rng = np.random.default_rng(0)
    raw = kept(tmp_path, [rng.normal(size=(4, width)).astype(np.float32) for _ in range(30)], 4)
    fitted = StoredTokensEncoder().fit(raw)
    artifact.save(tmp_path / "encoder", fitted)
    loaded = artifact.load(tmp_path / "encoder")
    assert all(getattr(fitted, name).flags.c_contiguous for name in ("mean", "scale", "components"))
    assert fitted.encode(raw).values.numpy().tobytes() == loaded.encode(raw).values.numpy().tobytes()


def test_blocks_of_any_size_fit_the_same(tmp_path: Path, slots: int, monkeypatch: pytest.MonkeyPatch) -> None:
    raw = kept(tmp_path, content(slots), slots)
    whole = StoredTokensEncoder().fit(raw)
    monkeypatch.setattr(stored, "BLOCK", 7)
    parts = StoredTokensEncoder().fit(raw)
    for name in ("mean", "scale", "components"):
        assert np.allclose(getattr(whole, name), getattr(parts, name), atol=1e-9)


def test_features_are_positions_side_by_side_or_mean_and_maximum(
    tmp_path: Path, slots: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    bags = content(slots, patients=300)  # more than a block of rows
    raw = kept(tmp_path, bags, slots)
    fitted = StoredTokensEncoder().fit(raw)
    found = fitted.features(raw)
    tokens = fitted.encode(raw)
    if slots:
        expected = (np.stack(bags) - fitted.mean) / fitted.scale[:, None]
        assert np.allclose(found, expected.reshape(300, -1), atol=1e-5)
        monkeypatch.setattr(stored, "FLAT", 10)
        assert np.allclose(fitted.features(raw), tokens.values.reshape(300, -1).numpy(), atol=1e-6)
        return
    own = [tokens.values[k][tokens.mask[k]].numpy() for k in range(300)]
    assert np.allclose(found, [np.concatenate([t.mean(0), t.max(0)]) for t in own], atol=1e-5)
    assert fitted.features(raw.take([])).shape == (0, 2 * WIDTH)


def test_a_constant_position_is_zero_and_other_tokens_are_refused(tmp_path: Path) -> None:
    bags = content(3)
    for bag in bags:
        bag[1] = 7.0
    raw = kept(tmp_path / "one", bags, 3)
    fitted = StoredTokensEncoder().fit(raw)
    values = fitted.encode(raw).values
    assert not values[:, 1].any() and values[:, 0].any()
    narrow = kept(tmp_path / "two", [bag[:, :4].copy() for bag in bags], 3)
    with pytest.raises(ValueError, match="6 wide at 3 positions at fit"):
        fitted.encode(narrow)
    with pytest.raises(ValueError, match="not fitted"):
        StoredTokensEncoder().encode(raw)


def cohort_of(folder: Path, slots: int, patients: int = 120) -> Cohort:
    """A table, and stored tokens that every fourth patient lacks."""
    rng = np.random.default_rng(1)
    label = rng.integers(0, 2, patients)
    ids = pd.Index([f"p{k:03d}" for k in range(patients)])
    bags = [bag + np.float32(label[k]) for k, bag in enumerate(content(slots, patients=patients))]
    raw, have = kept(folder, bags, slots), np.arange(patients) % 4 != 0
    cohort = cohort_from_frames(
        pd.DataFrame({"label": label}, index=ids),
        {
            "age": pd.DataFrame({"age": rng.normal(size=patients)}, index=ids),
            "scan": pd.DataFrame({"s": ids}, index=ids),
        },
        Classification("label", ("0", "1")),
        kinds={"scan": "text"},
    )
    return cohort.with_values("scan", "tokens", raw.take(np.flatnonzero(have)), have, None)


def test_streamed_tokens_are_those_in_memory(tmp_path: Path, slots: int, monkeypatch: pytest.MonkeyPatch) -> None:
    cohort = cohort_of(tmp_path, slots)
    encoders = fit_encoders(cohort)
    here = pack(cohort, encoders)["scan"]
    monkeypatch.setattr(registry, "STREAMED_BYTES", 0)
    there = pack(cohort, encoders)["scan"]
    assert isinstance(here, PackedTokens) and isinstance(there, StreamedTokens)
    assert np.array_equal(here.lengths, there.lengths) and len(here) == len(there) == 120
    assert (here.width, here.slots) == (there.width, there.slots)
    rng = np.random.default_rng(0)
    some = rng.permutation(120)[:80]
    absent, present = np.arange(0, 120, 4), np.flatnonzero(here.lengths)
    draws = [rng.permutation(80)[:9] for _ in range(20)]
    everybody = [(here, there, rows) for rows in [*draws, absent, present, np.array([0]), np.array([5])]]
    fewer = [(here.subset(some), there.subset(some), rows) for rows in [*draws, np.array([], int)]]
    for one, other, rows in everybody + fewer:
        a, b = one.take(rows), other.take(rows)
        assert a.values.shape == b.values.shape and np.array_equal(a.mask, b.mask)
        assert np.allclose(a.values[a.mask], b.values[b.mask], atol=1e-6)


@pytest.mark.parametrize(
    "recipe",
    [HealNetRecipe(epochs=2), *at_night(LegoFuseRecipe(epochs=2, fuse_epochs=1)), Single("scan")],
)
def test_training_from_the_store_is_training_in_memory(
    tmp_path: Path, slots: int, recipe: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    cohort = cohort_of(tmp_path, slots)
    if isinstance(recipe, Single):
        cohort = cohort.subset(cohort.present[:, 1])
    expected = recipe.fit(cohort, seed=0).predict(cohort)
    forget()
    monkeypatch.setattr(registry, "STREAMED_BYTES", 0)
    found = recipe.fit(cohort, seed=0).predict(cohort)
    pd.testing.assert_frame_equal(found, expected, atol=1e-6, rtol=0)
