"""What columns are worth: known answers, absent stays absent, coefficients that are the link, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import chiasm
from chiasm.cohort import Cohort, CohortError, Unsupported, synthetic_cohort
from chiasm.fitting.expected import encoders_within
from chiasm.models.explain import shuffling
from chiasm.models.explain.columns import Scoring, screened, worth_of
from chiasm.models.explain.linear_columns import linear_columns
from chiasm.models.explain.pieces import Piece, column_pieces, columns_read
from chiasm.models.explain.shuffling import Shuffles, predicts, repeated, shuffles_of
from chiasm.models.explain.soundness import OUTCOMES, WEIGHTS, model_of_nothing, rank_agreement
from chiasm.protocols import Model
from cohort_folder import CohortFolder
from command_line import Run
from lighter_trials import ridges_by_day


@pytest.fixture(scope="module", autouse=True)
def ridges() -> Iterator[None]:
    with ridges_by_day():
        yield


@pytest.fixture(scope="module")
def cohort() -> Cohort:
    return synthetic_cohort("complementary", 90, missing=0.2, seed=1)


@pytest.fixture(scope="module")
def late(cohort: Cohort) -> Model:
    return chiasm.fit(cohort, "late-fusion")


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


class Sums:
    """A model whose output is a function of the columns of `m1`, and nothing of those who lack it."""

    trained_parameters = 0

    def __init__(self, rule: Callable[[pd.DataFrame], Any]) -> None:
        self.rule = rule
        self.seen: set[tuple[str, ...]] = set()

    def predict(self, cohort: Cohort) -> pd.DataFrame:
        texts, own = cohort.patterns()
        self.seen.add(tuple(np.unique(texts[own])))
        value = np.zeros(len(cohort))
        value[cohort.rows_of("m1")] = self.rule(cohort.raw("m1"))
        frame = pd.DataFrame({"pattern": texts[own], "value": value}, index=pd.Index(cohort.ids, name="patient"))
        return frame.iloc[cohort.order]

    def save(self, path: Path | str) -> None:
        raise NotImplementedError


def of_m1(*columns: str) -> list[Piece]:
    return [*column_pieces({"m1": columns}), Piece("m1", "set", "both", columns)]


def test_who_gives_whom_values_is_of_the_same_modalities_and_the_same_half(cohort: Cohort) -> None:
    found = shuffles_of(cohort, "m1", 3, 0)
    pattern = cohort.pattern()[found.rows]
    for donors, half in zip(found.donors, found.half, strict=True):
        assert (pattern[donors] == pattern).all() and (half[donors] == half).all()
        assert (donors != np.arange(len(donors))).all() and len(set(donors)) == len(donors)
        assert {tuple(pattern[half == side]) for side in (False, True)} and 0 < half.sum() < len(half)
    assert not found.few and len(found.rows) == len(cohort.rows_of("m1"))


def test_the_size_of_a_column_is_its_mean_change_and_one_that_is_not_read_has_none(cohort: Cohort) -> None:
    model = Sums(lambda frame: 3 * frame["m1_0"] - frame["m1_1"])
    pieces = of_m1("m1_0", "m1_9")
    found = worth_of(predicts(model), cohort, pieces, ["value"], permutations=3, seed=0)
    shuffles, values = found[0].shuffles, cohort.raw("m1")["m1_0"].to_numpy()
    expected = 3 * np.mean([np.abs(values - values[donors]).mean() for donors in shuffles.donors])
    assert found[0].size[0, 0] == pytest.approx(expected) and found[2].size[0, 0] == pytest.approx(expected)
    assert found[0].size[0, 1] < expected < found[0].size[0, 2]
    assert not found[1].size.any() and not found[1].halves.any()
    assert model.seen == {("m1", "m1+m2")}  # nobody gains or loses a modality
    first = np.abs(values - values[shuffles.donors[0]])
    assert found[0].halves[0] == pytest.approx([3 * first[shuffles.half[0] == side].mean() for side in (False, True)])


def test_copies_that_are_predicted_together_are_those_predicted_one_by_one(
    late: Model, cohort: Cohort, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, Any] = {"permutations": 2, "seed": 0}
    pieces = column_pieces({"m1": ["m1_0", "m1_3"]})
    together = worth_of(predicts(late), cohort, pieces, ["p_1"], **asked)
    monkeypatch.setattr(shuffling, "VALUES_AT_ONCE", 1)
    for first, second in zip(together, worth_of(predicts(late), cohort, pieces, ["p_1"], **asked), strict=True):
        np.testing.assert_allclose(first.size, second.size)
    twice = predicts(late)(repeated(cohort, 2))
    np.testing.assert_allclose(twice.iloc[:90].to_numpy(), twice.iloc[90:].to_numpy())


def test_the_metric_loses_what_a_column_tells_and_nothing_by_one_that_is_not_read(cohort: Cohort) -> None:
    assert cohort.outcome is not None
    member = pd.Series(cohort.outcome.value, index=cohort.ids)
    frame = cohort.raw("m1").copy()
    frame["m1_0"] = member.loc[frame.index]

    class Knows(Sums):
        def predict(self, cohort: Cohort) -> pd.DataFrame:
            frame = super().predict(cohort)
            return frame.assign(p_0=1 - frame["value"], p_1=frame["value"]).drop(columns="value")

    own = cohort.with_modalities(["m1"]).with_values("m1", "table", frame, np.ones(len(frame), bool), None)
    scoring = Scoring("classification", cohort.outcome, ("0", "1"))
    model, pieces = Knows(lambda frame: frame["m1_0"]), column_pieces({"m1": ["m1_0", "m1_5"]})
    read, unread = worth_of(predicts(model), own, pieces, ["p_1"], permutations=4, seed=0, scoring=scoring)
    assert 0.3 < read.loss[1] <= read.loss[0] <= read.loss[2] < 0.7  # from 1 to chance
    assert not unread.loss.any()


def test_a_pattern_of_few_is_left_out_and_one_of_few_alone_is_not_estimable(late: Model, cohort: Cohort) -> None:
    only = np.flatnonzero(cohort.pattern() == "m1")
    both = np.flatnonzero(cohort.pattern() == "m1+m2")
    found = shuffles_of(cohort.subset(np.r_[only[:9], both]), "m1", 2, 0)
    assert found.few == 9 and len(found.rows) == len(both)
    told = chiasm.explain_columns(late, cohort.subset(only[:9]), permutations=2, checks=False)
    row = told.table.query("way == 'permutation'").iloc[0]
    assert np.isnan(row["size"]) and np.isnan(row["loss"]) and row["note"] == "not estimable"
    assert any("'m1' is not estimable" in sentence for sentence in told.said)


@pytest.mark.parametrize("recipe", ["late-fusion", "early-fusion", "multi-ridge"])
def test_coefficients_of_a_linear_model_are_its_link(recipe: str, cohort: Cohort) -> None:
    model: Any = chiasm.fit(cohort, recipe)
    both = cohort.subset(cohort.pattern() == "m1+m2")
    table = linear_columns(model, both)
    assert table is not None
    link = model.response.calibrated(model.predictor.link(both))
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


def test_a_model_of_nothing_has_fresh_weights_or_learned_from_shuffled_outcomes(late: Model, cohort: Cohort) -> None:
    refitted, how = model_of_nothing(late, cohort, 0)
    assert how == OUTCOMES and refitted is not None
    network: Any = chiasm.fit(cohort, "healnet:epochs=1,latent_width=8,latents=2,depth=1")
    fresh, how = model_of_nothing(network, cohort, 0)
    assert how == WEIGHTS and fresh is not None
    assert not np.allclose(fresh.predict(cohort)["p_1"], network.predict(cohort)["p_1"])
    without = cohort.with_target(None, None)
    assert model_of_nothing(late, without, 0)[0] is None and "no target" in model_of_nothing(late, without, 0)[1]


def test_orders_that_agree_and_orders_that_do_not() -> None:
    order = np.arange(20.0)[None]
    assert rank_agreement(order, order)[0] == pytest.approx(1) and rank_agreement(order, -order)[0] == pytest.approx(-1)
    mean, low, high = rank_agreement(order, np.random.default_rng(0).permutation(order[0])[None])
    assert low < 0 < high and abs(mean) < 0.5
    assert np.isnan(rank_agreement(order[:, :4], order[:, :4])).all() and np.isnan(rank_agreement(order, 0 * order)[0])


def test_the_table_lists_what_a_model_of_nothing_would_say(late: Model, cohort: Cohort) -> None:
    found = chiasm.explain_columns(late, cohort, permutations=2)
    assert found.table["nothing"].notna().all()
    assert set(found.checks["check"]) == {"halves", "nothing"}
    halves = found.checks.query("check == 'halves'")
    assert (halves["low"] <= halves["correlation"]).all() and (halves["correlation"] > 0.5).all()
    again = chiasm.explain_columns(late, cohort, permutations=2, checks=False)
    pd.testing.assert_frame_equal(found.table.drop(columns="nothing"), again.table.drop(columns="nothing"))


def test_sets_and_names_that_there_are_not(late: Model, cohort: Cohort, tmp_path: Path) -> None:
    (tmp_path / "some.gmt").write_text("first\t-\tm1_0\tm1_1\nsecond\t-\tm2_0\tunknown\nnobody\t-\tother\n")
    found = chiasm.explain_columns(late, cohort, sets=tmp_path / "some.gmt", only=["m1:m1_2"], checks=False)
    sets = found.table.query("what == 'set'").drop_duplicates("name").set_index("name")
    assert dict(sets["columns"]) == {"first": 2, "second": 1}
    assert dict(sets["modality"]) == {"first": "m1", "second": "m2"}
    assert set(found.table.query("what == 'column'")["name"]) == {"m1_2"}
    (tmp_path / "none.gmt").write_text("nobody\t-\tother\n")
    with pytest.raises(CohortError, match="no line names a group"):
        chiasm.explain_columns(late, cohort, sets=tmp_path / "none.gmt")
    with pytest.raises(Unsupported, match="no column 'm1_99': did you mean 'm1_9'"):
        chiasm.explain_columns(late, cohort, only=["m1_99"])
    with pytest.raises(Unsupported, match="no column 'm2:m1_0'"):
        chiasm.explain_columns(late, cohort, only=["m2:m1_0"])
    with pytest.raises(ValueError, match="give 2 or more"):
        chiasm.explain_columns(late, cohort, permutations=1)


def test_a_model_without_columns_is_told_so(late: Model, cohort: Cohort) -> None:
    bags = {str(name): np.ones((2, 3), np.float32) for name in cohort.ids[:20]}
    other = chiasm.cohort_from_frames(pd.DataFrame(index=list(bags)), {"slide": bags}, kinds={"slide": "bag"})
    with pytest.raises(Unsupported, match=r"reads no column of the cohort .* slide \(bag\)"):
        columns_read(late, other)


def test_draws_are_of_groups_where_there_are_some(cohort: Cohort) -> None:
    group = np.array([f"person {row // 6}" for row in range(len(cohort))])
    together = replace(cohort, group=group)
    model = Sums(lambda frame: frame["m1_0"])
    alone, grouped = (
        worth_of(predicts(model), own, of_m1("m1_0")[:1], ["value"], permutations=2, seed=0)[0]
        for own in (cohort, together)
    )
    assert alone.size[0, 0] == grouped.size[0, 0] and (alone.size[0, 1:] != grouped.size[0, 1:]).all()


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
    assert "name --out" in run("explain", folder / "model", folder).err
    astray = run("explain", folder / "model", folder, "--out", folder / "s.csv", "--only", "age")
    assert astray.code == 2 and "--only belong to --columns" in astray.err


def test_large_cohorts_are_drawn_from(cohort: Cohort, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shuffling, "MOST_PATIENTS", 40)
    found: Shuffles = shuffles_of(cohort, "m1", 2, 0)
    assert found.drawn_from == len(cohort.rows_of("m1")) and len(found.rows) + found.few == 40
