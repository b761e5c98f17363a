"""Embeddings on the folds of a trial: nested parts, intervals over patients and draws, and what vectors show."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats  # type: ignore[import-untyped]
from sklearn.decomposition import PCA  # type: ignore[import-untyped]

import chiasm
from chiasm.api import embedding_sources
from chiasm.api.confusing import confusing_pairs
from chiasm.api.embedding import Embedded
from chiasm.cohort import Cohort
from chiasm.evaluation.embeddings.judged import judged, learned_from
from chiasm.evaluation.embeddings.likeness import likeness, stages
from chiasm.evaluation.embeddings.outliers import find_outliers
from chiasm.evaluation.embeddings.pairs import bounds_by_share, mine_confusing_pairs
from chiasm.evaluation.embeddings.protocol import Asked, Curve, Task, _picked, _redrawn, learn
from chiasm.evaluation.embeddings.shares import nested_parts, require_shares
from chiasm.evaluation.embeddings.spread import participation_ratio, principal_components, spread_of
from chiasm.evaluation.folded import folded
from chiasm.fitting.embedded.vectors import RandomFeatures, RawColumns, Vectors
from chiasm.report.embedding_page import render_embedded

N = 120


def made(n: int = N, seed: int = 0) -> tuple[pd.DataFrame, pd.DataFrame, np.ndarray]:
    """A table, a modality of noise with a weak signal, and vectors that hold the signal in the first of eight."""
    rng = np.random.default_rng(seed)
    ids = [f"case-{k:03d}" for k in range(n)]
    vectors = rng.normal(size=(n, 8))
    table = pd.DataFrame({"y": (vectors[:, 0] + 0.3 * rng.normal(size=n) > 0).astype(int)}, index=ids)
    raw = pd.DataFrame(rng.normal(size=(n, 5)), index=ids, columns=[f"c{k}" for k in range(5)])
    return table, raw, vectors


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Embedded:
    table, raw, vectors = made()
    cohort = chiasm.cohort_from_frames(table, {"clinical": raw}, target=chiasm.Classification("y"))
    file = tmp_path_factory.mktemp("vectors") / "good.npz"
    np.savez(file, ids=np.array([*table.index, "nobody"]), embeddings=np.vstack([vectors, np.zeros(8)]))
    return chiasm.embed(
        cohort, files=[file], shares=(1, 25, 100), draws=2, protocol=chiasm.Protocol(folds=2, repeats=1, draws=100),
        jobs=1,
    )  # fmt: skip


def test_an_embedding_of_the_signal_pays_and_too_few_are_said(found: Embedded) -> None:
    table = found.table.set_index(["embedding", "method", "share"])
    assert table.loc[("good", "probe", 100.0), "metric"] > 0.9 > 0.65 > table.loc[("raw", "probe", 100.0), "metric"]
    assert table.loc[("good", "knn", 100.0), "difference"] > 0.2 and table.loc[("good", "knn", 100.0), "outcome"]
    assert table.loc[("good", "probe", 100.0), "against"] == "raw"
    few = table.xs(1.0, level="share")
    assert few["metric"].isna().all() and few["why"].str.contains("fewer than the 10").all()
    assert any("At 1 % of the training patients there are too few to say" in own for own in found.sentences)
    assert any(own.startswith("By probe, learned from all training patients (60): 'good'") for own in found.sentences)
    assert "'good' has 1 row of nobody in the cohort" in found.notes
    told = table.loc[("good", "probe", 25.0)]
    assert told["low"] < told["metric"] < told["high"] and 14 <= told["patients"] <= 16


def test_the_page_tells_every_figure_and_no_patient(found: Embedded) -> None:
    page = render_embedded(
        found.table, found.spread, found.likeness, found.layers, found.metric, found.chance, cohort=found.cohort,
        patients=found.patients, folds=found.folds, draws=found.draws, sentences=found.sentences, notes=found.notes,
        leaks=("a leak",),
    )  # fmt: skip
    assert "case-00" not in page and "too few to say" in page and "A leak was found: a leak" in page
    best = found.table.set_index(["embedding", "method", "share"]).loc[("good", "probe", 100.0)]
    assert f"{best['metric']:.3f}" in page and "Directions used" in page


def test_what_was_asked_is_compared_and_no_more() -> None:
    table, raw, _ = made()
    cohort = chiasm.cohort_from_frames(table, {"clinical": raw}, target=chiasm.Classification("y"))
    with pytest.raises(chiasm.Unsupported, match="no frozen encoder reads"):
        chiasm.embed(cohort)
    with pytest.raises(ValueError, match="percentages"):
        chiasm.embed(cohort, shares=(0, 10))
    with pytest.raises(chiasm.Unsupported, match="needs a target"):
        chiasm.embed(cohort.with_target(None, None))


def of_kind(kind: str, n: int = 120) -> tuple[Cohort, np.ndarray, np.ndarray]:
    """A cohort of this kind of target, vectors that hold its signal, and vectors of noise."""
    cohort = chiasm.synthetic_cohort("redundant", n, target=kind)
    signal = cohort.raw("m1").to_numpy(float)[:, :8]
    return cohort, signal, np.random.default_rng(1).normal(size=signal.shape)


@pytest.mark.parametrize("kind", [pytest.param("competing", marks=pytest.mark.nightly), "multilabel", "response"])
def test_an_embedding_of_the_signal_pays_by_either_way_of_any_kind(kind: str, tmp_path: Path) -> None:
    cohort, signal, noise = of_kind(kind)
    for name, own in (("good", signal), ("noise", noise)):
        np.savez(tmp_path / f"{name}.npz", ids=cohort.ids, embeddings=own)
    found = chiasm.embed(
        cohort, files=[tmp_path / "good.npz", tmp_path / "noise.npz"], baselines=False, shares=(100,),
        protocol=chiasm.Protocol(folds=2, repeats=1, draws=100), jobs=1,
    )  # fmt: skip
    table = found.table.set_index(["embedding", "method"])
    for method in ("knn", "probe"):
        good, other = table.loc[("good", method)], table.loc[("noise", method)]
        assert good["metric"] > other["metric"] + 0.05 and good["low"] < good["metric"] < good["high"]
    assert table["metric"].notna().all() and len(found.sentences) == 2


def test_a_choice_is_refused_before_anything_is_read() -> None:
    cohort, *_ = of_kind("choice", 20)
    with pytest.raises(chiasm.Unsupported, match="options of each patient's own: give the vectors as a modality"):
        chiasm.embed(cohort, files="gone.npz")


def test_parts_are_nested_stratified_and_whole_in_groups() -> None:
    table, raw, _ = made()
    table["person"] = [f"g{k // 2}" for k in range(N)]
    table["y"] = (np.arange(N) % 4 == 0).astype(int)
    cohort = chiasm.cohort_from_frames(table, {"m": raw}, target=chiasm.Classification("y"), group="person")
    assert cohort.outcome is not None and cohort.group is not None
    parts = nested_parts(cohort, (10.0, 25.0, 50.0, 100.0), seed=1)
    sizes = {share: len(rows) for share, (rows, why) in parts.items() if not why}
    assert sizes[100.0] == N and sizes[50.0] == pytest.approx(60, abs=2) and sizes[25.0] == pytest.approx(30, abs=2)
    for small, large in ((10.0, 25.0), (25.0, 50.0), (50.0, 100.0)):
        assert set(parts[small][0]) < set(parts[large][0])
    rows = parts[25.0][0]
    assert cohort.outcome.value[rows].mean() == pytest.approx(0.25, abs=0.05)
    assert all((cohort.group[rows] == own).sum() == 2 for own in set(cohort.group[rows]))
    other = nested_parts(cohort, (25.0, 100.0), seed=2)[25.0][0]
    assert set(other) != set(rows)


def test_the_bootstrap_of_draws_has_the_spread_of_their_mean() -> None:
    rng = np.random.default_rng(0)
    folds, often, draws = 2, 4, 20_000
    values = rng.normal(size=(folds * often, 1))
    picked = _picked(folds, often, np.zeros((draws, 1), np.uint16), 0)
    found = _redrawn(np.repeat(values, draws, axis=1), picked)  # (J, R): the patients are not drawn here
    of_fold = values.reshape(folds, often)
    np.testing.assert_allclose(found.mean(1), of_fold.mean(1), atol=0.03)
    np.testing.assert_allclose(found.var(1), of_fold.var(1, ddof=1) / often, rtol=0.05)


def test_nothing_that_is_fitted_sees_a_tested_patient() -> None:
    table, raw, vectors = made()
    table["fold"] = ["train"] * 80 + ["test"] * 40
    told = []
    for times in (1.0, 1e6):  # of the tested patients but for the first ten
        raw.iloc[90:] *= times
        vectors[90:] *= times
        cohort = chiasm.cohort_from_frames(table, {"m": raw}, target=chiasm.Classification("y"), folds="fold")
        known = folded(cohort, chiasm.Protocol(draws=100), 0)
        columns = RawColumns("raw", known.cohort, "m")
        seen = (Vectors("v", vectors.astype(np.float32)), columns, RandomFeatures("random", columns, 8, 0))
        asked = Asked(known.cohort, seen, ("knn", "probe"), (25.0, 100.0), 0)
        told.append(learn(asked, Task(known.splits[0], 0, True))[2])
    assert len(told[0]) == 12
    for key, answer in told[0].items():
        assert answer.setting == told[1][key].setting
        np.testing.assert_array_equal(answer.frame.iloc[:10], told[1][key].frame.iloc[:10])


def test_shares_and_words() -> None:
    assert require_shares([100, 1]) == (1.0, 100.0)
    for wrong in ([], [0], [101], [5, 5]):
        with pytest.raises(ValueError, match="percentages"):
            require_shares(wrong)
    assert learned_from(1.0, 27.0) == "learned from 1 % of the training patients (27)"


def test_components_are_those_of_scikit_learn() -> None:
    x = np.random.default_rng(1).normal(size=(40, 6)) @ np.random.default_rng(2).normal(size=(6, 6))
    own, reference = principal_components(x, 4), PCA(4).fit(x)
    np.testing.assert_allclose(own.variance, reference.explained_variance_)
    np.testing.assert_allclose(own.share, reference.explained_variance_ratio_)
    np.testing.assert_allclose(np.abs(own.directions), np.abs(reference.components_), atol=1e-9)
    np.testing.assert_allclose(np.abs(own.scores), np.abs(reference.transform(x)), atol=1e-9)


def test_directions_used() -> None:
    rng = np.random.default_rng(3)
    line = np.outer(rng.normal(size=200), rng.normal(size=5))
    assert participation_ratio(line) == pytest.approx(1.0)
    square = np.concatenate([np.eye(4), -np.eye(4)])
    assert participation_ratio(square) == pytest.approx(4.0)
    rotation = np.linalg.qr(rng.normal(size=(4, 4)))[0]
    assert participation_ratio(3 * square @ rotation + 7) == pytest.approx(4.0)
    assert np.isnan(participation_ratio(np.ones((3, 2))))
    own = spread_of(np.column_stack([line, np.zeros(200)]))
    assert (own.width, own.constant, own.half) == (6, 1, 1) and own.zeros == pytest.approx(1 / 6)


def test_planted_outliers_are_found_and_false_alarms_are_as_many_as_is_said() -> None:
    rng = np.random.default_rng(4)
    alarms, flagged, n = 0.01, 0, 400
    for _ in range(10):
        flagged += len(find_outliers(rng.normal(size=(n, 30)), alarms).rows)
    low, high = stats.binom.ppf([0.001, 0.999], 10 * n, alarms)
    assert low / 3 <= flagged <= 2 * high  # components are of the patients themselves, and the rest is nearly normal
    x = rng.normal(size=(n, 30))
    planted = np.array([3, 77, 200])
    x[planted] += 8 * np.linalg.qr(rng.normal(size=(30, 3)))[0].T * 2
    own = find_outliers(x)
    assert set(planted) <= set(own.rows.tolist()) and set(own.rows[:3].tolist()) == set(planted)
    assert own.expected == pytest.approx(0.4)
    with pytest.raises(ValueError, match="20 at least"):
        find_outliers(x[:10])


def test_an_embedding_is_like_itself_turned_and_scaled() -> None:
    rng = np.random.default_rng(5)
    x = rng.normal(size=(60, 5))
    turned = 3 * x @ np.linalg.qr(rng.normal(size=(5, 5)))[0]
    found = likeness({"x": x, "same": x, "turned": turned, "other": rng.normal(size=(60, 5))})
    found = found.set_index(["first", "second"])
    assert found.loc[("x", "same"), "rsa"] == pytest.approx(1.0)
    assert found.loc[("x", "turned"), "cka"] == pytest.approx(1.0)
    assert found.loc[("x", "other"), "cka_debiased"] < 0.3
    layers = stages({"1": x[:, :2], "2": x[:, :4], "3": x})
    assert layers["cka_last"].iloc[-1] == pytest.approx(1.0) and layers["cka_last"].is_monotonic_increasing
    with pytest.raises(ValueError, match="same patients"):
        likeness({"x": x, "y": x[:10]})


def test_confusing_pairs_are_those_of_all_pairs_whatever_the_block() -> None:
    rng = np.random.default_rng(6)
    a, b = rng.normal(size=(50, 3)), rng.normal(size=(50, 3))
    unit = [own / np.linalg.norm(own, axis=1, keepdims=True) for own in (a, b)]
    near, far = (own @ own.T for own in unit)
    i, j = np.triu_indices(50, 1)
    kept = (near[i, j] >= 0.8) & (far[i, j] <= 0.2)
    order = np.argsort(-(near - far)[i, j][kept], kind="stable")
    for block in (7, 512):
        found = mine_confusing_pairs(a, b, alike=0.8, unlike=0.2, block=block)
        np.testing.assert_array_equal(found["first"], i[kept][order][:100])
        np.testing.assert_array_equal(found["second"], j[kept][order][:100])
        np.testing.assert_allclose(found["similarity_a"], near[i, j][kept][order][:100])
    labels = np.arange(50) % 2
    apart = mine_confusing_pairs(a, b, alike=0.8, unlike=0.2, apart=labels.tolist())
    assert (labels[apart["first"]] != labels[apart["second"]]).all() and 0 < len(apart) < len(found)
    assert len(mine_confusing_pairs(a, b, alike=0.8, unlike=0.2, most=3)) == 3
    for wrong in ({"alike": 2.0}, {"most": 0}, {"apart": [1]}):
        with pytest.raises(ValueError):
            mine_confusing_pairs(a, b, **wrong)  # type: ignore[arg-type]


def test_the_bounds_accept_every_pair_of_mediconfusion(shared_data: Path) -> None:
    file = shared_data / "wings" / "mediconfusion-text" / "dataset.json"
    given = list(json.loads(file.read_text(encoding="utf-8")).values())
    near, far = (np.array([own[name] for own in given]) for name in ("BiomedCLIP_sim", "DINO_sim"))
    a, b = (np.zeros((2 * len(given), 2 * len(given))) for _ in range(2))  # each pair in a plane of its own
    for vectors, cosine in ((a, near), (b, far)):
        first = 2 * np.arange(len(given))
        vectors[first, first] = 1.0
        vectors[first + 1, first], vectors[first + 1, first + 1] = cosine, np.sqrt(1 - cosine**2)
    found = mine_confusing_pairs(a, b, most=1_000, block=64)
    assert len(found) == len(given) == 176
    order = np.argsort(-(near - far), kind="stable")
    np.testing.assert_array_equal(found["first"], 2 * order)
    np.testing.assert_allclose(found["similarity_b"], far[order])


def one_curve(method: str, value: float, name: str = "v") -> Curve:
    drawn = value + np.random.default_rng(0).normal(scale=0.01, size=(2, 100))
    return Curve((name, method, 100.0), 80.0, 1.0, [(value + np.array([[0.0], [0.01]]), drawn)], "")


def test_an_adapted_network_is_compared_with_the_probe_of_the_frozen_one() -> None:
    table, raw, _ = made()
    cohort = chiasm.cohort_from_frames(table, {"m": raw}, target=chiasm.Classification("y"))
    known = folded(cohort, chiasm.Protocol(folds=2, repeats=1, draws=100), 0)
    found = [one_curve("probe", 0.8), one_curve("lora", 0.9), one_curve("probe", 0.7, "raw")]
    told = judged(known, found, {"v": 8}, [("v", "raw")], 0.01)
    rows = told.table.set_index(["embedding", "method"])
    assert rows.loc[("v", "lora"), "against"] == "v by probe" and rows.loc[("v", "probe"), "against"] == "raw"
    assert rows.loc[("v", "lora"), "difference"] == pytest.approx(0.1)
    assert told.sentences[1].startswith("Learned from all training patients (80): 'v by lora' against 'v by probe'")


@pytest.mark.nightly
def test_layers_and_an_adapted_network_of_an_encoder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from PIL import Image

    from tiny_models import tiny_models

    models, rng = tiny_models(tmp_path / "models"), np.random.default_rng(0)
    table = pd.DataFrame({"y": np.arange(40) % 2}, index=[f"{k:02d}" for k in range(40)])
    scans = {}
    for case, sick in table["y"].items():
        scans[case] = tmp_path / f"{case}.png"
        Image.fromarray((rng.integers(0, 120, (32, 32)) + 60 * sick).astype(np.uint8)).save(scans[case])
    cohort = chiasm.cohort_from_frames(
        table, {"scan": scans}, target=chiasm.Classification("y"), kinds={"scan": "image"}
    )
    found = chiasm.embed(
        cohort, encoders=f"hf:{models / 'vit'}", layers=True, adapt="lora:epochs=1", shares=(100,), jobs=1,
        protocol=chiasm.Protocol(folds=2, repeats=1, draws=100),
    )  # fmt: skip
    assert found.layers["stage"].tolist() == ["block 1", "block 2"] and (found.layers["metric"] > 0.8).all()
    assert found.layers["cka_last"].iloc[-1] == pytest.approx(1.0)
    own = found.table[found.table["embedding"] == f"hf:{models / 'vit'}"]
    assert own["method"].tolist() == ["knn", "probe", "lora:epochs=1"] and own["metric"].notna().all()


def test_shares_of_all_pairs_are_bounds_of_their_cosines() -> None:
    rng = np.random.default_rng(5)
    a, b = rng.normal(size=(60, 3)), rng.normal(size=(60, 9)) + 2.0
    unit = [own / np.linalg.norm(own, axis=1, keepdims=True) for own in (a, b)]
    cosines = [(own @ own.T)[np.triu_indices(60, 1)] for own in unit]
    low, high = bounds_by_share(a, b, 0.9, 0.25)
    assert low == pytest.approx(np.quantile(cosines[0], 0.9)) and high == pytest.approx(np.quantile(cosines[1], 0.25))
    found = mine_confusing_pairs(a, b, alike=low, unlike=high, most=10_000)
    assert len(found) == int(((cosines[0] >= low) & (cosines[1] <= high)).sum()) > 10
    drawn = bounds_by_share(rng.normal(size=(700, 2)), rng.normal(size=(700, 2)), 0.5, 0.5)  # more pairs than are drawn
    assert drawn == pytest.approx((0.0, 0.0), abs=0.02)
    with pytest.raises(ValueError, match=r"write 0\.999"):
        bounds_by_share(a, b, 99.9, 0.5)


def test_components_that_are_known_are_not_computed_again_and_say_the_same() -> None:
    x = np.random.default_rng(6).normal(size=(50, 7)) * np.arange(1, 8)
    found = principal_components(x)
    assert spread_of(x, found) == spread_of(x)
    np.testing.assert_array_equal(find_outliers(x, found=found).score, find_outliers(x).score)


def images_of_two_kinds(folder: Path, n: int = 24) -> Cohort:
    """Grey images, of which cases 3 and 11 are one picture but for a bright corner, and belong to different classes."""
    from PIL import Image

    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 200, (n, 16, 16)).astype(np.uint8)
    pixels[11] = pixels[3]
    pixels[11, :4, :4] = 255 - pixels[3, :4, :4] // 2
    table = pd.DataFrame({"y": np.arange(n) % 2}, index=[f"ü{k:02d}" for k in range(n)])
    table.loc["ü11", "y"] = 1 - table.loc["ü03", "y"]
    files = {}
    for case, own in zip(table.index, pixels, strict=True):
        files[case] = folder / f"{case}.png"
        Image.fromarray(own).save(files[case])
    return chiasm.cohort_from_frames(table, {"scan": files}, target=chiasm.Classification("y"), kinds={"scan": "image"})


def test_a_planted_pair_of_images_is_found_by_two_encoders_and_by_an_encoder_and_a_file(tmp_path: Path) -> None:
    cohort = images_of_two_kinds(tmp_path)
    rng = np.random.default_rng(1)
    np.savez(tmp_path / "eye.npz", ids=cohort.ids, embeddings=rng.normal(size=(len(cohort), 12)))
    found = confusing_pairs(
        cohort, encoders="patches:size=16,patch=16", files={"eye": tmp_path / "eye.npz"}, pool="flat", alike=0.95,
        unlike=0.75, apart=True, jobs=1, both_ways=True,
    )  # fmt: skip
    own = found.table[found.table["confused_by"] == "patches:size=16,patch=16"]
    assert own[["first", "second"]].to_numpy().tolist() == [["ü03", "ü11"]]
    assert own["first_class"].tolist() != own["second_class"].tolist() and found.patients == 24
    assert "ü03" not in repr(found) and found.bounds["eye"] == (0.95, 0.75)
    corner, whole = "patches:size=16,patch=4", "patches:size=1,patch=1"
    of_two = confusing_pairs(cohort, encoders=[whole, corner], pool="flat", by_share=True, unlike=0.9, jobs=1, most=5)
    assert of_two.encoders == (whole, corner) and len(of_two.table) == 5 and of_two.table["similarity_a"].min() > 0.99
    assert found.save(tmp_path / "pairs.csv").read_text(encoding="utf-8").count("\n") == len(found.table) + 1


def test_what_cannot_be_mined_is_refused(tmp_path: Path) -> None:
    cohort = images_of_two_kinds(tmp_path)
    with pytest.raises(chiasm.Unsupported, match="1 embedding given, and one encoder is held against one other"):
        confusing_pairs(cohort, encoders="patches", jobs=1)
    with pytest.raises(chiasm.Unsupported, match="both embeddings are called 'patches'"):
        confusing_pairs(cohort, encoders=["patches"] * 2, jobs=1)
    with pytest.raises(chiasm.Unsupported, match="a target with classes"):
        confusing_pairs(
            cohort.with_target(None, None), encoders=["patches", "patches:size=28,patch=28"], apart=True, jobs=1
        )


@pytest.mark.parametrize(
    ("adapt", "said"),
    [
        ("late-fusion", "recipe 'late-fusion' adapts no network of an encoder"),
        ("lora", "the encoder 'patches' has no network that can be adapted"),
        ("laura", "laura"),
    ],
)
def test_what_cannot_adapt_is_refused_before_all_is_encoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, adapt: str, said: str
) -> None:
    cohort = images_of_two_kinds(tmp_path)
    monkeypatch.setattr(embedding_sources, "encode", lambda *_, **__: pytest.fail("something was encoded"))
    with pytest.raises(ValueError, match=said):
        chiasm.embed(cohort, encoders="patches", adapt=adapt, jobs=1)
