"""Each encoder: the public check, and what its tokens hold."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pytest
import torch

import chiasm
from chiasm.artifact import storable
from chiasm.cohort import Classification, cohort_from_frames, open_cohort
from chiasm.cohort.bags import Bags
from chiasm.encoders import BagEncoder, OmicsEncoder, TableEncoder, encoder_of, features_of, fit_encoders, pack
from chiasm.encoders.table.scaling import PooledTokens
from chiasm.testing import check_encoder
from chiasm.tokens import Tokens


def table(n: int = 24) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "age": rng.normal(60, 10, n),
            "grade": rng.integers(1, 4, n).astype(float),
            "smoker": rng.integers(0, 2, n).astype(float),
            "sex": rng.choice(["male", "female"], n),
            "stage": rng.choice(["I", "II", "III"], n),
            "empty": np.full(n, np.nan),
            "same": np.ones(n),
        }
    )
    frame.loc[::5, "age"], frame.loc[1::6, "stage"] = np.nan, np.nan
    return frame


def omics(n: int = 24, width: int = 20) -> pd.DataFrame:
    values = np.random.default_rng(1).normal(size=(n, width)).astype(np.float32)
    return pd.DataFrame(values, columns=[f"G{k}" for k in range(width)])


def bags(n: int = 12) -> Bags:
    rng = np.random.default_rng(2)
    return Bags([rng.normal(size=(1 + k % 5, 4)).astype(np.float32) for k in range(n)])


GROUPS = {"cell cycle": ["G1", "G2", "G3", "unknown"], "immune": ["G3", "G4", "G5", "G6"], "tiny": ["G7", "G8"]}


@pytest.mark.parametrize(
    ("encoder", "raw"),
    [
        (TableEncoder(), table()),
        (TableEncoder(), pd.DataFrame(np.random.default_rng(3).normal(size=(20, 70))).rename(columns="c{}".format)),
        (OmicsEncoder(), omics()),
        (OmicsEncoder(), omics(width=2)),
        (OmicsEncoder(), omics(8, 100)),
        (OmicsEncoder.with_groups(GROUPS), omics()),
        (OmicsEncoder.with_groups({"tiny": ["G1", "G2"]}), omics()),
        (BagEncoder(), bags()),
    ],
    ids=["table", "wide table", "omics", "two columns", "more columns than patients", "groups", "no group used", "bag"],
)
def test_the_public_check(encoder: Any, raw: Any) -> None:
    check_encoder(encoder, raw)


def test_a_table_gives_a_token_a_column() -> None:
    frame = table()
    fitted = TableEncoder().fit(frame)
    assert fitted.columns == tuple(sorted(set(frame.columns) - {"empty"})), "nothing to learn from an empty one"
    assert (fitted.slots, fitted.width) == (6, 4)  # stage: three categories and a flag
    values = fitted.encode(frame).values.numpy()
    stage = fitted.columns.index("stage")
    assert values[0, stage].tolist() == [float(frame.stage[0] == s) for s in ("I", "II", "III")] + [0]
    assert values[1, stage].tolist() == [0, 0, 0, 1], "missing: no category, and the flag"
    age = fitted.columns.index("age")
    assert values[0, age, 1] == 1 and values[1, age, 1] == 0
    assert values[0, age, 0] == pytest.approx(0, abs=0.1), "the training median"


def test_names_that_two_patients_share_are_not_kept() -> None:
    """A column of names, or of numbers of records: most of its levels are of fewer than five patients."""
    names = [f"Surname{k // 2}" for k in range(60)] + ["unknown"] * 40
    fitted = TableEncoder().fit(pd.DataFrame({"name": names}))
    assert fitted.categories == {"name": ("unknown",)}
    few = pd.DataFrame({"stage": ["I", "II", "III"] * 2, "y": [0.0] * 6})
    assert TableEncoder().fit(few).categories == {"stage": ("I", "II", "III")}, "a level of few is none of many"
    wards = [f"w{k % 12}" for k in range(240)] + ["small"] * 2
    (kept,) = (TableEncoder().fit(pd.DataFrame({"ward": wards})).categories or {}).values()
    assert len(kept) == 13, "one small ward among large ones is no name"


def test_of_a_declared_column_the_levels_that_two_patients_share_are_kept() -> None:
    """Sites, subtypes and codes of a small cohort look like names; `categories` says that they are none."""
    sites = pd.DataFrame({"site": [f"site{k % 15}" for k in range(60)] + ["of one patient"]})
    told = TableEncoder(declared=("site",)).fit(sites)
    assert told.categories == {"site": tuple(sorted({f"site{k}" for k in range(15)}))} and told.left_out == 1
    unsaid = TableEncoder().fit(sites)
    assert unsaid.categories == {"site": ()} and unsaid.left_out == 16
    assert told.fit(sites).categories == told.categories, "it is declared for a second fit too"


def test_what_is_declared_reaches_the_encoder_of_frames_and_of_a_manifest(tmp_path: Path) -> None:
    ids = [f"p{k:02d}" for k in range(60)]
    clin = pd.DataFrame({"site": [f"site{k % 15}" for k in range(60)]}, index=ids)
    patients = pd.DataFrame({"y": ["a", "b"] * 30}, index=ids)
    clin.assign(y=patients["y"]).rename_axis("id").to_csv(tmp_path / "patients.csv")
    (tmp_path / "cohort.toml").write_text(
        '[patients]\ntable = "patients.csv"\nid = "id"\n[target]\nkind = "classification"\ncolumn = "y"\n'
        '[modalities.clin]\nkind = "table"\ncolumns = ["site"]\ncategories = ["site"]\n'
    )
    target = Classification("y")
    frames = cohort_from_frames(patients, {"clin": clin}, target, categories={"clin": ["site"]})
    for cohort, levels in (
        (frames, 15),
        (open_cohort(tmp_path / "cohort.toml"), 15),
        (cohort_from_frames(patients, {"clin": clin}, target), 0),
    ):
        encoder = fit_encoders(cohort.subset(np.arange(50)))["clin"]
        assert isinstance(encoder, TableEncoder) and encoder.categories is not None
        assert len(encoder.categories["site"]) == levels


def test_a_cohort_whose_words_are_declared_is_another_one() -> None:
    """What is fitted on one is not taken from memory, or from a stopped trial, for the other."""
    clin = pd.DataFrame({"site": ["a", "b", "c"] * 8, "ward": ["x", "y"] * 12})
    patients = pd.DataFrame({"y": ["a", "b"] * 12})
    made = [
        cohort_from_frames(patients, {"clin": clin}, Classification("y"), categories=own).fingerprint
        for own in (None, {"clin": []}, {"clin": ["site"]}, {"clin": ["ward", "site"]}, {"clin": ["site", "ward"]})
    ]
    assert made[0] == made[1] and made[3] == made[4] and len(set(made)) == 3


def test_a_category_never_seen_is_no_category() -> None:
    frame = table()
    fitted = TableEncoder().fit(frame)
    new = frame.head(2).assign(sex="other", stage=["IV", None])
    values = fitted.encode(new).values.numpy()
    assert (values[:, fitted.columns.index("sex")] == 0).all()
    assert values[:, fitted.columns.index("stage")].tolist() == [[0, 0, 0, 0], [0, 0, 0, 1]]


def test_a_column_without_a_gap_in_training_has_no_flag() -> None:
    fitted = TableEncoder().fit(table())
    assert fitted.flagged == ("age", "stage")
    values = fitted.encode(table().head(1).assign(grade=np.nan)).values.numpy()
    assert np.isfinite(values).all()


def test_a_table_names_the_column_that_is_missing_or_of_another_kind() -> None:
    fitted = TableEncoder().fit(table())
    with pytest.raises(ValueError, match="'grade'"):
        fitted.encode(table().drop(columns="grade"))
    with pytest.raises(ValueError, match="column 'age' held numbers at fit and holds text now"):
        fitted.encode(table().assign(age="old"))
    with pytest.raises(ValueError, match="not fitted"):
        TableEncoder().encode(table())


def test_the_features_of_a_table_are_its_tokens_side_by_side() -> None:
    fitted = TableEncoder().fit(table())
    tokens = fitted.encode(table()).values.numpy().astype(float)
    features = fitted.features(table())
    np.testing.assert_allclose(np.sort(np.abs(features).sum(1)), np.sort(np.abs(tokens).sum((1, 2))), rtol=1e-5)
    assert features.shape == (24, sum(fitted._widths.values()))


def test_omics_without_groups_are_components_cut_into_tokens() -> None:
    fitted = OmicsEncoder().fit(omics())
    assert (fitted.slots, fitted.width) == (3, 8)  # 20 columns
    tokens = fitted.encode(omics()).values.numpy().reshape(24, -1)
    expected = fitted.projections[0](fitted.scaler(omics()))
    np.testing.assert_allclose(tokens[:, :20], expected, atol=1e-6)
    assert (tokens[:, 20:] == 0).all()


def test_a_gene_set_is_a_token_of_its_own_columns() -> None:
    frame = omics()
    fitted = OmicsEncoder.with_groups(GROUPS).fit(frame)
    assert fitted.slots == 3, "two sets of three known columns or more, and the columns of no set"
    names = np.array(fitted.scaler.columns)
    members = [set(names[part]) for part in fitted.members]
    assert members[:2] == [{"G1", "G2", "G3"}, {"G3", "G4", "G5", "G6"}]
    assert members[2] == set(frame.columns) - members[0] - members[1]
    before = fitted.encode(frame).values
    after = fitted.encode(frame.assign(G5=-frame.G5)).values
    changed = (before != after).any(0).any(1)
    assert changed.tolist() == [False, True, False]


def test_groups_come_from_the_gmt_file_of_a_manifest(cohort_folder: Any) -> None:
    (cohort_folder.path / "sets.gmt").write_text("one\tlink\tG0\tG1\tG2\ntwo\tlink\tG3\tG4\tG5\tGX\n")
    cohort_folder.edit('table = "rna.parquet"', 'table = "rna.parquet"\ngroups = "sets.gmt"')
    cohort = chiasm.open_cohort(cohort_folder.manifest)
    encoders = fit_encoders(cohort)
    assert encoders["rna"].slots == 2
    packed = pack(cohort, encoders)
    assert packed["rna"].slots == 2 and packed["slide"].slots == 0
    for name, tokens in packed.items():
        present = cohort.present[:, cohort.modalities.index(name)]
        np.testing.assert_array_equal(tokens.lengths > 0, present)


def test_packed_bags_are_the_files(cohort_folder: Any) -> None:
    cohort = chiasm.open_cohort(cohort_folder.manifest)
    packed = pack(cohort, fit_encoders(cohort))["slide"]
    for row, bag in zip(cohort.rows_of("slide"), cohort.raw("slide"), strict=True):
        batch = packed.take(np.array([row]))
        np.testing.assert_array_equal(batch.values[0][batch.mask[0]].numpy(), bag)


def test_a_bag_keeps_its_tokens_and_refuses_another_width() -> None:
    fitted = BagEncoder().fit(bags())
    tokens = fitted.encode(bags())
    assert tokens.mask.sum(1).tolist() == [1 + k % 5 for k in range(12)]
    assert (tokens.values[~tokens.mask] == 0).all()
    np.testing.assert_allclose(fitted.features(bags())[0], np.r_[bags()[0].mean(0), bags()[0].max(0)])
    for odd in (np.zeros((3, 5), np.float32), np.zeros((0, 4), np.float32)):
        with pytest.raises(ValueError, match=r"bags are \(tokens, 4\)"):
            fitted.encode([odd])


def test_pooled_tokens_are_a_mean_over_real_tokens() -> None:
    pooled = PooledTokens(BagEncoder()).fit(bags())
    np.testing.assert_allclose(pooled.features(bags()), np.stack([bag.mean(0) for bag in bags()]), rtol=1e-5)
    patients = pd.DataFrame(index=omics().index)
    cohort = cohort_from_frames(patients, {"rna": omics()}, kinds={"rna": "omics"})
    assert features_of(cohort, "rna").fit(omics()).features(omics()).shape == (24, 20)


def test_files_are_refused_until_they_are_encoded() -> None:
    cohort = cohort_from_frames(pd.DataFrame(index=["a"]), {"ct": {"a": "a.nii"}}, kinds={"ct": "volume"})
    with pytest.raises(chiasm.Unsupported, match=r"'ct' of kind 'volume' is not encoded yet: chiasm\.encode"):
        encoder_of(cohort, "ct")


@storable("broken-encoder")
@dataclass(frozen=True)
class Broken:
    """A numeric table with one law broken; `how` says which."""

    how: str = ""
    mean: float = 0.0
    columns: tuple[str, ...] = ()

    slots: ClassVar[int] = 1
    fitted_on_cohort: ClassVar[bool] = True

    @property
    def width(self) -> Any:
        return "wide" if self.how == "width" else len(self.columns)

    def fit(self, raw: Any, patients: Any = ()) -> Any:
        names = tuple(raw.columns) if self.how == "column order" else tuple(sorted(raw.columns))
        if self.how == "seeds":
            torch.manual_seed(0)
        noise = np.random.default_rng().normal() if self.how == "unseeded" else 0.0
        return Broken(self.how, float(np.nanmean(raw.to_numpy())) + noise, names)

    def encode(self, raw: Any) -> Tokens:
        values = raw[[c for c in self.columns if c in raw]] if self.how == "no error" else self._chosen(raw)
        numbers = values.to_numpy(float) - (values.to_numpy(float).mean() if self.how == "batch" else self.mean)
        if self.how == "writes":
            raw.iloc[0, 0] = 5.0
        if self.how != "not finite":
            numbers = np.nan_to_num(numbers)
        tokens = torch.from_numpy(numbers.astype(np.float32))[:, None]
        return Tokens(tokens, torch.ones(len(raw), 1, dtype=torch.bool))

    def _chosen(self, raw: Any) -> Any:
        lost = [column for column in self.columns if column not in raw]
        if lost:
            raise ValueError("a column is missing" if self.how == "unnamed" else f"column '{lost[0]}' is missing")
        return raw[list(self.columns)]


@dataclass(frozen=True)
class Recording:
    """As a reader's values: a dataclass of an array, which compares by identity."""

    values: Any
    leads: tuple[str, ...] = ("I", "II")


@storable("encoder-of-recordings")
@dataclass(frozen=True)
class OfRecordings:
    """The mean of each lead; `writes` centres the recording where it lies."""

    writes: bool = False

    slots: ClassVar[int] = 1
    width: ClassVar[int] = 2
    fitted_on_cohort: ClassVar[bool] = False

    def fit(self, raw: Any, patients: Any = ()) -> Any:
        return self

    def encode(self, raw: Any) -> Tokens:
        means = np.stack([one.values.mean(1) for one in raw])
        if self.writes:
            raw[0].values[0] *= 2
        return Tokens(torch.from_numpy(means)[:, None], torch.ones(len(raw), 1, dtype=torch.bool))


def test_an_encoder_that_writes_into_a_readers_values_is_found() -> None:
    rng = np.random.default_rng(0)
    values = [Recording(rng.normal(size=(2, 9)).astype(np.float32)) for _ in range(6)]
    check_encoder(OfRecordings(), values)
    with pytest.raises(AssertionError, match="raw values as they were"):
        check_encoder(OfRecordings(writes=True), values)


def test_an_encoder_of_a_third_party_passes() -> None:
    check_encoder(Broken(), pd.DataFrame(np.random.default_rng(0).normal(size=(12, 3)), columns=["b", "a", "c"]))


@pytest.mark.parametrize(
    ("how", "law"),
    [
        ("width", "width is of type int"),
        ("column order", "order of columns"),
        ("seeds", "random state"),
        ("unseeded", "same rows give the same encoder"),
        ("batch", "who else is encoded"),
        ("writes", "raw values as they were"),
        ("not finite", "finite"),
        ("no error", "missing is named|is Tokens|Tokens \\(n"),
        ("unnamed", "missing is named"),
    ],
)
def test_a_broken_law_is_named(how: str, law: str) -> None:
    frame = pd.DataFrame(np.random.default_rng(0).normal(size=(12, 3)), columns=["b", "a", "c"])
    with pytest.raises(AssertionError, match=law):
        check_encoder(Broken(how), frame)


def test_categories_of_words_and_numbers_are_the_same_in_a_file_of_numbers_alone():
    """`1` beside `unknown` is text; in a file that happens to hold no word it is 1.0."""
    mixed = pd.DataFrame({"stage": ["1", "2", "unknown", "1", "2", "unknown"]})
    fitted = TableEncoder().fit(mixed)
    expected = fitted.features(mixed.iloc[:2])
    assert expected.any(axis=1).all()
    for written in ([1.0, 2.0], [1, 2], ["1.0", "2"]):
        np.testing.assert_array_equal(fitted.features(pd.DataFrame({"stage": written})), expected)
    codes = TableEncoder().fit(pd.DataFrame({"code": ["250.00", "250.00", "007", "007", "7", "7"]}))
    assert codes.features(pd.DataFrame({"code": ["250.00", "007", "7"]})).sum(axis=0).tolist() == [1.0, 1.0, 1.0]
