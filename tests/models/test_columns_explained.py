"""What columns are worth: known answers, absent stays absent, coefficients that are the link, and what is refused."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm  # type: ignore[import-untyped]

import chiasm
from chiasm.cohort import Cohort, CohortError, Unsupported, synthetic_cohort
from chiasm.fitting.expected import encoders_within
from chiasm.models.explain import pieces, shuffling, soundness
from chiasm.models.explain.column_checks import CHECKS, judged, likeness
from chiasm.models.explain.column_loss import answers_of
from chiasm.models.explain.columns import Scoring, screened, worth_of
from chiasm.models.explain.linear_columns import linear_columns
from chiasm.models.explain.pieces import Piece, column_pieces, columns_read
from chiasm.models.explain.shuffling import Shuffles, predicts, repeated, shuffles_of
from chiasm.models.explain.soundness import OUTCOMES, WEIGHTS, model_of_nothing, rank_agreement
from chiasm.protocols import Model
from chiasm.targets import KINDS
from cohort_folder import CohortFolder
from command_line import Run
from examples import ALL
from lighter_trials import ridges_by_day
from small_recipes import at_night


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
        for name in np.unique(pattern):  # either half has as many of a pattern, or one more
            assert abs(int(half[pattern == name].sum()) - int((~half)[pattern == name].sum())) <= 1
    assert not found.few and len(found.rows) == len(cohort.rows_of("m1"))


def test_the_size_of_a_column_is_its_mean_change_and_one_that_is_not_read_has_none(cohort: Cohort) -> None:
    model = Sums(lambda frame: 3 * frame["m1_0"] - frame["m1_1"])
    found = worth_of(predicts(model), cohort, of_m1("m1_0", "m1_9"), ["value"], permutations=3, seed=0)
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
    both = column_pieces({"m1": ["m1_0", "m1_3"]})
    together = worth_of(predicts(late), cohort, both, ["p_1"], **asked)
    monkeypatch.setattr(shuffling, "VALUES_AT_ONCE", 1)
    for first, second in zip(together, worth_of(predicts(late), cohort, both, ["p_1"], **asked), strict=True):
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
    model, both = Knows(lambda frame: frame["m1_0"]), column_pieces({"m1": ["m1_0", "m1_5"]})
    read, unread = worth_of(predicts(model), own, both, ["p_1"], permutations=4, seed=0, scoring=scoring)
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


def test_records_of_a_person_are_drawn_together_and_give_each_other_nothing(cohort: Cohort) -> None:
    group = np.array([f"person {row // 4}" for row in range(len(cohort))])
    frame = cohort.raw("m1").copy()
    _, own = np.unique(group[cohort.rows_of("m1")], return_inverse=True)
    frame["m1_0"] = np.random.default_rng(0).normal(size=len(cohort))[own]  # the same in all records of a person
    alone = cohort.with_values("m1", "table", frame, np.ones(len(frame), bool), None)
    alone = alone.subset(alone.rows_of("m1"))
    together = replace(alone, group=group[cohort.rows_of("m1")])
    found = shuffles_of(together, "m1", 3, 0)
    person = together.group[found.rows]  # type: ignore[index]
    for donors, half in zip(found.donors, found.half, strict=True):
        assert (person[donors] != person).all() and len(set(donors)) == len(donors)
        assert not set(zip(alone.pattern()[found.rows][half], person[half], strict=True)) & set(
            zip(alone.pattern()[found.rows][~half], person[~half], strict=True)
        )
    model = Sums(lambda frame: frame["m1_0"])
    one, several = (
        worth_of(predicts(model), given, of_m1("m1_0")[:1], ["value"], permutations=5, seed=0)[0].size[0]
        for given in (alone, together)
    )
    assert several[2] - several[1] > 1.4 * (one[2] - one[1])  # a fourth as many persons as records
    same = replace(cohort, group=np.full(len(cohort), "one person"))
    told = chiasm.explain_columns(model, same, permutations=2, checks=False)
    assert told.table["size"].isna().all() and any("too few groups" in sentence for sentence in told.said)


def test_a_model_that_predicts_in_the_order_of_its_file_is_told_as_any_other(cohort: Cohort) -> None:
    model = Sums(lambda frame: 2 * frame["m1_0"])
    mixed = replace(cohort, file_rows=np.random.default_rng(0).permutation(len(cohort)) + 2)
    assert list(model.predict(mixed).index) != list(mixed.ids)
    sorted_, found = (
        worth_of(predicts(model), own, of_m1("m1_0", "m1_5")[:2], ["value"], permutations=2, seed=0)
        for own in (cohort, mixed)
    )
    np.testing.assert_array_equal(found[0].size, sorted_[0].size)
    assert not found[1].size.any()


@pytest.mark.parametrize("lognormal", [False, *at_night(True)])
def test_an_interval_of_95_percent_holds_the_size_about_as_often(lognormal: bool) -> None:
    often = 300 if os.environ.get(ALL) else 50
    ids = [f"p{number:03d}" for number in range(100)]
    empty = pd.DataFrame({"x": np.zeros(100)}, index=ids)
    base = chiasm.cohort_from_frames(pd.DataFrame(index=ids), {"m1": empty})
    rng, held = np.random.default_rng(0), 0
    truth = 2 * np.exp(0.5) * (2 * norm.cdf(np.sqrt(0.5)) - 1) if lognormal else 2 / np.sqrt(np.pi)

    def predict(own: Cohort) -> pd.DataFrame:
        return own.raw("m1")[["x"]].set_axis(["value"], axis=1)

    for seed in range(often):
        drawn = rng.normal(size=100)
        frame = pd.DataFrame({"x": np.exp(drawn) if lognormal else drawn}, index=ids)
        own = base.with_values("m1", "table", frame, np.ones(100, bool), None)
        (worth,) = worth_of(predict, own, of_m1("x")[:1], ["value"], permutations=5, seed=seed)
        held += int(worth.size[0, 1] <= truth <= worth.size[0, 2])
    assert held / often >= (0.88 if lognormal else 0.93)  # drawn as receivers alone: 0.69 and 0.85


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


def test_a_recipe_that_cannot_be_fitted_again_costs_no_run(
    late: Model, cohort: Cohort, monkeypatch: pytest.MonkeyPatch
) -> None:
    homemade: Any = replace(late, recipe="of my own")  # type: ignore[type-var]
    found = chiasm.explain_columns(homemade, cohort, only=["m1_0"], permutations=2)
    assert any("'of my own' is in no catalogue" in sentence for sentence in found.said)
    assert found.table["size"].notna().all() and found.table["nothing"].isna().all()

    def broken(*_: Any, **__: Any) -> Any:
        raise RuntimeError("patient p007")

    monkeypatch.setattr(soundness.registry, "named", lambda _: SimpleNamespace(supports=lambda _: None, fit=broken))
    steps: list[str] = []
    told = chiasm.explain_columns(
        late, cohort, only=["m1_0"], permutations=2, progress=lambda what, *_: steps.append(what)
    )
    assert any("cannot be fitted again" in own and "RuntimeError" in own and "p007" not in own for own in told.said)
    assert steps.index("fits of a model of nothing") < steps.index("permutations")


def test_a_model_of_nothing_that_finds_nothing_is_a_pass_and_one_column_is_an_order() -> None:
    sizes = np.array([3.0, 2, 1, 0.5, 0.2, 0.1])
    table = pd.DataFrame({"modality": "m", "what": "column", "way": "permutation", "output": "value", "size": sizes})
    table["name"] = list("abcdef")

    def told(size: Any, nothing: Any) -> tuple[str, list[str]]:
        rows = list(likeness(table.assign(size=size, nothing=nothing), ["value"], 0))
        frame = pd.DataFrame(rows, columns=list(CHECKS))
        return frame["note"][0], list(judged(frame))

    assert told(sizes, 0.0) == ("passed: it finds nothing", [])
    assert told(sizes, [0.1, 0.2, 0.5, 1, 2, 3]) == ("", [])
    assert "a model that has learned nothing (" in told(sizes, sizes)[1][0]
    note, said = told(0.0, sizes)
    assert note == "all are zero" and len(said) == 1 and "no order to check" in said[0]
    assert "that of a model that has learned nothing is not est" in told([np.nan, *sizes[1:]], sizes)[1][0]
    alone = np.array([[3.0, 0, 0, 0, 0, 0]])
    assert rank_agreement(alone, alone)[0] == pytest.approx(1)
    assert np.isfinite(rank_agreement(alone, alone)).all()


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


def test_large_cohorts_are_drawn_from(cohort: Cohort, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shuffling, "MOST_PATIENTS", 40)
    found: Shuffles = shuffles_of(cohort, "m1", 2, 0)
    assert found.drawn_from == len(cohort.rows_of("m1")) and len(found.rows) + found.few == 40
