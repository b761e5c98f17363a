"""Which columns are told and in what way: coefficients that are the link, sets, names, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from model_of_sums import Sums
from scipy.stats import spearmanr

import chiasm
from chiasm.cohort import Cohort, CohortError, Unsupported, synthetic_cohort
from chiasm.fitting.expected import encoders_within
from chiasm.models.explain import column_explanation, pieces
from chiasm.models.explain.column_checks import CHECKS, judged
from chiasm.models.explain.column_loss import answers_of
from chiasm.models.explain.half_fits import agreement_of_fits, half_fits, halves_of
from chiasm.models.explain.linear_columns import linear_columns
from chiasm.models.explain.pieces import columns_read
from chiasm.models.explain.screening import screened
from chiasm.models.explain.shuffling import predicts
from chiasm.models.explain.soundness import OUTCOMES
from chiasm.protocols import Model
from chiasm.targets import KINDS
from cohort_folder import CohortFolder
from command_line import Run
from small_recipes import at_night


@pytest.fixture(scope="module")
def planted() -> Cohort:
    """Twenty genes, of which three make the outcome."""
    rng = np.random.default_rng(0)
    ids = [f"p{number:03d}" for number in range(100)]
    genes = pd.DataFrame(rng.normal(size=(100, 20)), index=ids, columns=[f"G{k}" for k in range(20)])
    value = 2 * genes["G3"] - 1.5 * genes["G7"] + genes["G11"] + rng.normal(0, 0.5, 100)
    frames = {"genes": genes, "clinical": pd.DataFrame({"age": rng.normal(60, 9, 100)}, index=ids)}
    patients = pd.DataFrame({"y": value})
    return chiasm.cohort_from_frames(patients, frames, chiasm.Regression("y"), kinds={"genes": "omics"})


@pytest.mark.parametrize("recipe", ["late-fusion", *at_night("early-fusion", "multi-ridge")])
def test_coefficients_of_a_linear_model_are_its_link(recipe: str, cohort: Cohort) -> None:
    model: Any = chiasm.fit(cohort, recipe)
    both = cohort.subset(cohort.pattern() == "m1+m2")
    table = linear_columns(model, both)
    assert table is not None
    odds = model.predict(both).loc[list(both.ids), ["p_0", "p_1"]].to_numpy()
    link = np.log(odds / odds[:, ::-1])  # log odds of either class
    encoders = dict(encoders_within(model.predictor, set(model.modalities)))
    for place in range(link.shape[1]):
        own, summed = table[table["output"] == place], np.zeros(len(both))
        for name, rows in own.groupby("modality"):
            z = encoders[str(name)].features(both.raw(str(name)))
            summed += z @ rows["coefficient"].to_numpy()
            np.testing.assert_allclose(rows["effect"], rows["coefficient"] * z.std(axis=0))
        np.testing.assert_allclose(summed - summed.mean(), link[:, place] - link[:, place].mean(), atol=1e-8)


def test_planted_genes_come_first(planted: Cohort) -> None:
    found = chiasm.explain_columns(chiasm.fit(planted, "early-fusion"), planted, permutations=2, checks=False)
    top = found.top(3)
    assert set(top.query("way == 'permutation' and modality == 'genes'")["name"]) == {"G3", "G7", "G11"}
    signs = top.query("way == 'coefficient' and modality == 'genes'").set_index("name")["effect"]
    assert (signs > 0).to_dict() == {"G3": True, "G7": False, "G11": True}
    loss = found.table.query("way == 'permutation'").set_index("name")["loss"]
    assert loss[["G3", "G7", "G11"]].min() > 0.05 > loss.drop(["G3", "G7", "G11"]).max()
    assert found.answers == ("prediction",)
    assert any("too high" in sentence for sentence in found.said)  # these are the patients of the fit


def test_a_wide_modality_is_told_by_what_goes_with_the_prediction_where_there_are_no_coefficients(
    cohort: Cohort,
) -> None:
    model = Sums(lambda frame: frame["m1_3"] ** 3 + 2 * frame["m1_12"])
    whole = predicts(model)(cohort)
    columns = [f"m1_{k}" for k in range(16)]
    assert {"m1_3", "m1_12"} <= set(screened(cohort, "m1", columns, whole, ["value"], 4))
    told = chiasm.explain_columns(model, cohort, most=4, permutations=2)
    assert set(told.top(2).query("modality == 'm1'")["name"]) == {"m1_3", "m1_12"}
    assert any("'m1' has 16 columns: shuffled are the 4" in sentence for sentence in told.said)
    assert any("No model of nothing" in sentence for sentence in told.said)


def test_sets_and_names_that_there_are_not(late: Model, cohort: Cohort, tmp_path: Path) -> None:
    (tmp_path / "some.gmt").write_text("first\t-\tm1_0\tm1_1\nsecond\t-\tm2_0\tunknown\nnobody\t-\tother\n")
    found = chiasm.explain_columns(late, cohort, sets=tmp_path / "some.gmt", only=["m1:m1_2"], checks=False)
    sets = found.table.query("what == 'set'").drop_duplicates("name").set_index("name")
    assert dict(sets["columns"]) == {"first": 2, "second": 1}
    assert dict(sets["modality"]) == {"first": "m1", "second": "m2"}
    assert set(found.table.query("what == 'column'")["name"]) == {"m1_2"}
    (tmp_path / "none.gmt").write_text("nobody\t-\tother\n")
    with pytest.raises(CohortError, match=r"none of the [0-9,]+ members? of its groups is a column"):
        chiasm.explain_columns(late, cohort, sets=tmp_path / "none.gmt")
    with pytest.raises(Unsupported, match="no column 'm1_99': did you mean 'm1_9'"):
        chiasm.explain_columns(late, cohort, only=["m1_99"])
    with pytest.raises(Unsupported, match="no column 'm2:m1_0'"):
        chiasm.explain_columns(late, cohort, only=["m2:m1_0"])
    with pytest.raises(ValueError, match="give 2 or more"):
        chiasm.explain_columns(late, cohort, permutations=1)


def test_coefficients_alone_are_told_beside_a_model_of_nothing_that_has_none(
    cohort: Cohort, monkeypatch: pytest.MonkeyPatch
) -> None:
    nothing = Sums(lambda frame: 0.0)  # as trees are, which a recipe that chooses may choose for shuffled outcomes
    monkeypatch.setattr(column_explanation, "model_of_nothing", lambda *_: (nothing, OUTCOMES))
    told = chiasm.explain_columns(chiasm.fit(cohort, "single:m1"), cohort, most=4)
    assert set(told.table["way"]) == {"coefficient"} and told.table["nothing"].isna().all()
    assert told.checks.set_index("check")["note"].to_dict() == {"fits": "", "nothing": "not estimable"}


def test_a_model_without_columns_is_told_so(late: Model, cohort: Cohort) -> None:
    bags = {str(name): np.ones((2, 3), np.float32) for name in cohort.ids[:20]}
    other = chiasm.cohort_from_frames(pd.DataFrame(index=list(bags)), {"slide": bags}, kinds={"slide": "bag"})
    with pytest.raises(Unsupported, match=r"reads no column of the cohort .* slide \(bag\)"):
        columns_read(late, other)


def test_coefficients_of_several_classes_are_told_against_their_mean() -> None:
    rng = np.random.default_rng(0)
    ids = [f"p{number:03d}" for number in range(60)]
    table = pd.DataFrame(rng.normal(size=(60, 3)), index=ids, columns=["a", "b", "c"])
    patients = pd.DataFrame({"y": pd.cut(table["a"] + rng.normal(0, 0.5, 60), 3, labels=["x", "y", "z"]).astype(str)})
    frames = {"t": table, "u": pd.DataFrame({"d": rng.normal(size=60)}, index=ids)}
    cohort = chiasm.cohort_from_frames(patients, frames, chiasm.Classification("y"))
    model: Any = chiasm.fit(cohort, "early-fusion")
    known = linear_columns(model, cohort)
    assert known is not None
    logs = np.log(model.predict(cohort).loc[list(cohort.ids), ["p_x", "p_y", "p_z"]].to_numpy())
    logs -= logs.mean(axis=1, keepdims=True)
    read = dict(encoders_within(model.predictor, {"t", "u"}))
    z = np.hstack([read[name].features(cohort.raw(name)) for name in ("t", "u")])
    for place in range(3):
        summed = z @ known[known["output"] == place]["coefficient"].to_numpy()
        np.testing.assert_allclose(summed - summed.mean(), logs[:, place] - logs[:, place].mean(), atol=1e-8)


@pytest.mark.parametrize("kind", at_night(*KINDS))
def test_every_kind_of_target_has_sizes_losses_and_coefficients_of_its_answers(kind: str) -> None:
    cohort = synthetic_cohort("complementary", 120, missing=0.2, seed=1, target=kind)
    found = chiasm.explain_columns(chiasm.fit(cohort, "early-fusion"), cohort, permutations=2, checks=False)
    shuffled, told = found.table.query("way == 'permutation'"), found.table.query("way == 'coefficient'")
    assert shuffled[["size", "low", "high", "loss"]].notna().all().all()
    assert set(told["output"]) == set(found.answers) and told["effect"].notna().all()
    assert any(own.startswith("A coefficient is the change of ") for own in found.said)


@pytest.fixture(scope="module")
def worded() -> Cohort:
    """Words, a column that one pattern lacks, one whose name is that of an argument, and four of a class in `other`."""
    rng = np.random.default_rng(0)
    ids = [f"p{number:03d}" for number in range(60)]
    table = pd.DataFrame(rng.normal(size=(60, 5)), index=ids, columns=["a", "b", "c", "d", "self"])
    table["sex"] = np.where(rng.random(60) < 0.5, "F", "M")
    table.loc[ids[:20], "a"] = np.nan
    y = np.where(np.arange(60) < 20, np.arange(60) % 5 == 0, table["c"] > 0.5).astype(int).astype(str)
    other = pd.DataFrame({"e": rng.normal(size=20)}, index=ids[:20])
    frames = {"m1": table, "other": other}
    return chiasm.cohort_from_frames(pd.DataFrame({"y": y}, index=ids), frames, chiasm.Classification("y"))


def test_words_and_a_column_that_one_pattern_lacks_are_among_those_of_a_wide_table(worded: Cohort) -> None:
    model = Sums(lambda frame: frame["a"].fillna(0) + 0.1 * (frame["sex"] == "M") + 0.01 * frame["self"])
    told = chiasm.explain_columns(model, worded, most=1, permutations=2)
    assert set(told.table.query("modality == 'm1'")["name"]) == {"a", "sex"}
    assert any("and the 1 column of words" in sentence for sentence in told.said)
    named = chiasm.explain_columns(model, worded, only=["self"], permutations=2).table
    assert named["size"].iloc[0] == pytest.approx(0.01 * 1.1, rel=0.4)


def test_only_is_only(worded: Cohort, monkeypatch: pytest.MonkeyPatch) -> None:
    model = chiasm.fit(worded, "late-fusion")
    monkeypatch.setattr(Cohort, "groups_of", lambda *_: {"pathway": ("a", "b")})
    found = chiasm.explain_columns(model, worded, only=["sex"], permutations=2, checks=False)
    assert not (found.table["what"] == "set").any()
    assert set(found.table["name"]) == {"sex", "sex is 'F'", "sex is 'M'"}
    monkeypatch.setattr(pieces, "MOST_PIECES", 1)
    with pytest.raises(Unsupported, match="2 columns are named"):
        chiasm.explain_columns(model, worded, only=["sex", "a"])
    first = chiasm.explain_columns(model, worded, only=["e"], permutations=2, checks=False)
    assert first.table.query("way == 'permutation'")["loss"].isna().all()
    assert any("No loss of the metric is told of 'other'" in own and "each class" in own for own in first.said)


def test_why_there_is_no_loss_and_what_cannot_be_told(late: Model, cohort: Cohort) -> None:
    assert cohort.outcome is not None
    some = cohort.subset(np.flatnonzero(cohort.pattern() == "m1+m2"))
    asked: dict[str, Any] = {"only": ["m1_0"], "permutations": 2, "checks": False}
    assert any("whether it was fitted on some" in own for own in chiasm.explain_columns(late, some, **asked).said)
    one = some.subset(np.flatnonzero(some.outcome.value == 1))  # type: ignore[union-attr]
    told = chiasm.explain_columns(late, one, **asked)
    assert told.table["loss"].isna().all()
    assert any("No loss of the metric is told: it takes 5 patients of each class" in own for own in told.said)
    unknown = cohort.with_target(None, None)
    assert any("has no target" in own for own in chiasm.explain_columns(late, unknown, **asked).said)


def test_a_pipeline_says_what_it_answers_and_a_model_that_does_not_answers_the_cohort(cohort: Cohort) -> None:
    linear = pytest.importorskip("sklearn.linear_model")
    pipeline = pytest.importorskip("sklearn.pipeline")
    impute = pytest.importorskip("sklearn.impute")
    steps = pipeline.make_pipeline(impute.SimpleImputer(), linear.LogisticRegression())
    model = chiasm.from_sklearn(steps, modalities=["m1"]).fit(cohort, seed=0)
    told = chiasm.explain_columns(model, cohort, permutations=2)
    assert told.answers == ("p_0", "p_1") and told.table["loss"].notna().all()
    ids = [f"p{number}" for number in range(20)]
    patients = pd.DataFrame({"t": np.arange(1.0, 21), "e": 1}, index=ids)
    survival = chiasm.cohort_from_frames(patients, {"m1": pd.DataFrame({"x": np.arange(20.0)}, index=ids)},
                                         chiasm.Survival("t", "e", unit="months"))  # fmt: skip
    whole = pd.DataFrame({"pattern": "m1", "risk": 0.0, "survival_12": 0.5}, index=ids)
    assert answers_of(Sums(lambda frame: frame["x"]), whole, survival) == ["risk"]


def test_the_command_writes_columns_and_says_what_speaks_against_them(two_tables: CohortFolder, run: Run) -> None:
    folder = two_tables.path
    assert run("fit", folder, "--recipe", "late-fusion", "--out", folder / "model").code == 0
    asked = ("explain", folder / "model", folder, "--columns", folder / "columns.csv", "--permutations", "2")
    said = run(*asked)
    assert said.code == 0, said.err
    assert "age" in said.out and "two halves of the patients" in said.out and "shuffled outcomes" in said.out
    written = pd.read_csv(folder / "columns.csv")
    assert {"clinical", "rna"} == set(written["modality"])
    assert not {f"{k:03d}" for k in range(1, 41)} & set(said.out.split())  # nobody is named
    told = run(*asked, "--force", "--json", "--no-checks", "--only", "age")
    assert told.code == 0, told.err
    document = json.loads(told.out)
    assert set(document) == {"columns", "checks", "said"} and {row["name"] for row in document["columns"]} == {"age"}
    for option in (("--most", "3"), ("--permutations", "3"), ("--no-checks",)):
        lost = run("explain", folder / "model", folder, "--out", folder / "s.csv", *option)
        assert lost.code == 2 and "to --columns" in lost.err
    twice = run("explain", folder / "model", folder, "--out", folder / "s.csv", "--columns", folder / "s.csv")
    assert twice.code == 2 and "would overwrite the other" in twice.err and not (folder / "s.csv").exists()
    assert "name --out" in run("explain", folder / "model", folder).err
    astray = run("explain", folder / "model", folder, "--out", folder / "s.csv", "--only", "age")
    assert astray.code == 2 and "--only belong to --columns" in astray.err


def test_coefficients_of_noise_are_not_those_of_another_half(planted: Cohort) -> None:
    """Of planted genes two halves agree on the first; of noise alone their orders differ, and it is said."""
    model = chiasm.fit(planted, "early-fusion")
    known = np.ones(len(planted), dtype=bool)
    rows = halves_of(planted, known, seed=0)
    assert sorted(np.concatenate(rows)) == list(range(100)) and len(rows[0]) == len(rows[1]) == 50
    fits, why = half_fits(model, planted, seed=0)
    assert fits is not None and not why
    read = columns_read(model, planted)
    (genes,) = [row for row in agreement_of_fits(fits, planted, ["prediction"], read, (), 0) if row[1] == "genes"]
    own = [linear_columns(one, planted) for one in fits]
    sizes = [table.set_index("name")["effect"].abs() for table in own if table is not None]
    names = [f"G{k}" for k in range(20)]
    assert genes[:5] == ("fits", "genes", "column", "coefficient", 20)
    assert genes[5] == pytest.approx(spearmanr(sizes[0][names], sizes[1][names]).statistic)
    assert {sizes[0].idxmax(), sizes[1].idxmax()} == {"G3"}
    frame = pd.DataFrame([(*genes[:5], 0.1, -0.2, 0.4, "")], columns=list(CHECKS))
    (said,) = judged(frame)
    assert "differs between models of two halves of the patients" in said and "do not lean on it" in said
    assert half_fits(Sums(lambda frame: 0.0), planted, seed=0) == (None, "the model does not say its recipe")
