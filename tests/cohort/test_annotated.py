"""H5AD and H5MU files as tables of a manifest, and a cohort from a MuData object."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from chiasm.cohort import Classification, CohortError, Survival, check_values, open_cohort
from chiasm.cohort.annotated import cohort_from_mudata
from chiasm.cohort.tables import Table

anndata = pytest.importorskip("anndata")
mudata = pytest.importorskip("mudata")
h5py = pytest.importorskip("h5py")

PLANTED = "Jane_Roe_1957"
N = 24
IDS = [f"{k:03d}" for k in range(N)]
RNA = np.random.default_rng(0).normal(size=(N, 4)).astype(np.float32)


def rna(rows: int = N, name: str | None = None, form: Any = np.asarray) -> Any:
    obs = pd.DataFrame(
        {
            "age": np.arange(rows) + 40.0,
            "stage": pd.Categorical([("I", "II", "III")[k % 3] for k in range(rows)]),
            "died": [bool(k % 2) for k in range(rows)],
            "days": np.arange(rows) + 1,
        },
        index=pd.Index(IDS[:rows], name=name),
    )
    obs.loc[obs.index[3], ["age", "stage"]] = [np.nan, None]
    return anndata.AnnData(form(RNA[:rows]), obs=obs, var=pd.DataFrame(index=[f"G{k}" for k in range(4)]))


def mu(**mods: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = mudata.MuData(mods)
        made.obs = made.obs[[]].assign(
            days=np.arange(len(made.obs)) + 1.0,
            died=pd.Categorical(np.arange(len(made.obs)) % 2),
            clinic=pd.Categorical([("A", "B", "C")[k % 3] for k in range(len(made.obs))]),
            grade=pd.Categorical([("high", "low")[k % 2] for k in range(len(made.obs))]),
        )
    return made


def write_mu(path: Path, made: Any) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made.write(path)
    return path


@pytest.mark.parametrize("form", [np.asarray, sparse.csr_matrix, sparse.csc_matrix])
def test_an_annotated_matrix_is_a_table(tmp_path: Path, form: Callable[[Any], Any]) -> None:
    rna(form=form).write_h5ad(tmp_path / "x.h5ad")
    table = Table(tmp_path / "x.h5ad", "x.h5ad")
    table.inspect()
    assert table.columns == ["obs_names", "age", "stage", "died", "days", "G0", "G1", "G2", "G3"]
    assert table.key("case_id") == "obs_names" and table.key("age") == "age"
    assert table.columns_of("omics", "obs_names") == ["G0", "G1", "G2", "G3"]
    assert table.columns_of("table", "obs_names") == ["age", "stage", "died", "days"]
    assert table.texts("obs_names").tolist() == IDS, "007 stays 007"
    assert table.texts("stage").tolist()[:5] == ["I", "II", "III", "", "II"]
    np.testing.assert_array_equal(table.frame(["G3", "G0"]).to_numpy(), RNA[:, [3, 0]])
    assert table.frame(["age"])["age"].isna().tolist() == [k == 3 for k in range(N)]
    assert len(table) == N and table.has_values(["age"]).sum() == N - 1


def test_the_index_keeps_its_name(tmp_path: Path) -> None:
    rna(name="case_id").write_h5ad(tmp_path / "x.h5ad")
    table = Table(tmp_path / "x.h5ad", "x.h5ad")
    assert table.columns[0] == "case_id" == table.key("case_id") == table.key("other")


def test_a_modality_of_mudata_is_a_table_and_without_one_its_observations(tmp_path: Path) -> None:
    write_mu(tmp_path / "x.h5mu", mu(rna=rna(), protein=rna(9)[:, :2].copy()))
    table = Table(tmp_path / "x.h5mu:protein", "x.h5mu:protein")
    table.inspect()
    assert len(table) == 9 and table.columns_of("omics", "obs_names") == ["G0", "G1"]
    whole = Table(tmp_path / "x.h5mu", "x.h5mu")
    whole.inspect()
    assert len(whole) == N and {"obs_names", "days", "died", "clinic"} <= set(whole.columns)
    assert whole.columns_of("omics", "obs_names") == []
    with pytest.raises(CohortError, match="no modality 'dna'; known are protein, rna"):
        Table(tmp_path / "x.h5mu:dna", "x.h5mu:dna").inspect()


MANIFEST = """\
[patients]
table = "x.h5ad"
id = "obs_names"
[target]
kind = "survival"
time = "days"
event = "died"
[modalities.clinical]
kind = "table"
columns = ["age", "stage"]
[modalities.rna]
kind = "omics"
columns = ["G0", "G1", "G2", "G3"]
[modalities.protein]
kind = "omics"
table = "x.h5mu:protein"
columns = ["G0", "G1"]
"""


def test_a_manifest_names_them_as_it_names_any_table(tmp_path: Path) -> None:
    rna().write_h5ad(tmp_path / "x.h5ad")
    write_mu(tmp_path / "x.h5mu", mu(protein=rna(15)))
    (tmp_path / "cohort.toml").write_text(MANIFEST)
    cohort = open_cohort(tmp_path)
    assert cohort.ids.tolist() == IDS
    assert {name: len(cohort.rows_of(name)) for name in cohort.modalities} == {
        "clinical": N - 1,
        "protein": 15,
        "rna": N,
    }
    np.testing.assert_array_equal(cohort.raw("rna").to_numpy(), RNA)
    np.testing.assert_array_equal(cohort.raw("protein").to_numpy(), RNA[:15, :2])
    assert cohort.outcome is not None and cohort.outcome.event is not None and cohort.outcome.event.sum() == N // 2
    assert not [problem for problem in check_values(cohort) if problem.severity == "error"]


def changed(act: Callable[[Any], None]) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        rna(form=sparse.csr_matrix).write_h5ad(path)
        with h5py.File(path, "r+") as file:
            act(file)

    return make


def linked(name: str) -> Callable[[Any], None]:
    def act(file: Any) -> None:
        del file[name]
        file[name] = h5py.ExternalLink(f"{PLANTED}.h5", "/x")

    return act


def named_outside(file: Any) -> None:
    with h5py.File(Path(file.filename).with_name(f"{PLANTED}.h5"), "w") as other:
        column = other.create_dataset("x", data=IDS)
        column.attrs.update({"encoding-type": "string-array", "encoding-version": "0.2.0"})
    file["away"] = h5py.ExternalLink(f"{PLANTED}.h5", "/")
    file["obs"].attrs["_index"] = "/away/x"


def many_texts(file: Any) -> None:
    kept = dict(file["obs/_index"].attrs)
    del file["obs/_index"]
    column = file.create_dataset("obs/_index", shape=(2**28,), dtype=h5py.string_dtype(), chunks=(1024,))
    column.attrs.update(kept)


def one_text_many_times(file: Any) -> None:
    del file["obs/stage/categories"]
    column = file.create_dataset("obs/stage/categories", data=["x" * 1_000_000] * 300)
    column.attrs.update({"encoding-type": "string-array", "encoding-version": "0.2.0"})


def link_itself(path: Path) -> None:
    path.symlink_to(path.parent.parent / "secret.h5ad")
    rna().write_h5ad(path.parent.parent / "secret.h5ad")


BROKEN = {
    "garbage": (lambda path: path.write_bytes(bytes(range(256)) * 9), "not HDF5"),
    "a pickle": (lambda path: path.write_bytes(b"\x80\x04K\x01."), "not HDF5"),
    "empty": (lambda path: path.write_bytes(b""), "empty"),
    "a link to another folder": (link_itself, "link to a file outside"),
    "no obs": (changed(lambda file: file.__delitem__("obs")), "no 'obs'"),
    "obs of another file": (changed(linked("obs")), "links to another"),
    "a column of another file": (changed(linked("obs/age")), "links to another"),
    "categories of another file": (changed(linked("obs/stage/categories")), "links to another"),
    "X of another file": (changed(linked("X")), "links to another"),
    "an index of another file": (changed(named_outside), "damaged"),
    "codes out of range": (changed(lambda file: file["obs/stage/codes"].__setitem__(0, 99)), "damaged"),
    "a bomb of X": (changed(lambda file: file["X"].attrs.__setitem__("shape", [2**40, 2**20])), "over the limit"),
    "a bomb of names": (changed(many_texts), "more than 1,000,000 texts"),
    "a bomb of text": (changed(one_text_many_times), "more text than"),
    "an unknown column": (changed(lambda file: file["obs/age"].attrs.__setitem__("encoding-type", "raw")), "a column"),
    "X of other rows": (changed(lambda file: file["X"].attrs.__setitem__("shape", [3, 4])), "damaged|other rows"),
}


@pytest.mark.parametrize("broken", BROKEN)
def test_broken_files_are_refused(tmp_path: Path, broken: str) -> None:
    make, what = BROKEN[broken]
    folder = tmp_path / PLANTED
    folder.mkdir()
    make(folder / "x.h5ad")
    with pytest.raises(CohortError, match=what) as caught:
        table = Table(folder / "x.h5ad", "x.h5ad")
        table.inspect()
        table.frame()
    assert PLANTED not in str(caught.value) and [problem.path for problem in caught.value.problems] == ["x.h5ad"]


def test_names_that_stand_twice_are_refused(tmp_path: Path) -> None:
    twice = rna()
    twice.var_names = ["G0", "G1", "G1", "age"]
    twice.write_h5ad(tmp_path / "x.h5ad")
    with pytest.raises(CohortError, match="1 feature by a name that stands twice"):
        Table(tmp_path / "x.h5ad", "x.h5ad").inspect()
    twice.var_names = ["G0", "G1", "G2", "age"]
    twice.write_h5ad(tmp_path / "y.h5ad")
    with pytest.raises(CohortError, match="'age' is a column of obs and a feature of var; rename the column of obs"):
        Table(tmp_path / "y.h5ad", "y.h5ad").inspect()


@pytest.mark.parametrize("form", [np.asarray, sparse.csr_matrix])
def test_a_cohort_from_mudata(form: Any) -> None:
    shuffled = rna(form=form)[::-1].copy()
    made = mu(rna=shuffled, protein=rna(9)[:, :2].copy())
    cohort = cohort_from_mudata(made, Survival("days", "died"), site="clinic", kinds={"protein": "table"}, name="b")
    assert cohort.name == "b" and cohort.ids.tolist() == IDS and cohort.kinds == {"protein": "table", "rna": "omics"}
    assert cohort.rows_of("protein").tolist() == list(range(9))
    np.testing.assert_array_equal(cohort.raw("rna").to_numpy(), RNA)
    assert cohort.site is not None and set(cohort.site) == {"A", "B", "C"}
    assert cohort.outcome is not None and cohort.outcome.known.all()
    graded = cohort_from_mudata(made, Classification("grade"), group="clinic")
    assert graded.target is not None and graded.target.classes == ("high", "low")  # type: ignore[union-attr]
    assert cohort_from_mudata(made).target is None


def test_a_mudata_brings_gene_sets_folds_accepted_findings_and_tables_of_its_observations(tmp_path: Path) -> None:
    made = mu(rna=rna())
    made.obs["split"] = [str(k % 2) for k in range(N)]
    (tmp_path / "sets.gmt").write_text("one\t-\tG0\tG3\ntwo\t-\tG1\tZZ9\n")
    target = Survival("days", "died")
    cohort = cohort_from_mudata(
        made, target, folds="split", groups={"rna": tmp_path / "sets.gmt"}, accept={"too-good": "known"},
        tables={"place": ["clinic"]},
    )  # fmt: skip
    assert cohort.feature_groups == {"rna": {"one": ["G0", "G3"], "two": ["G1"]}} and cohort.accepted == {
        "too-good": "known"
    }
    assert cohort.kinds == {"place": "table", "rna": "omics"} and set(cohort.raw("place")["clinic"]) == set("ABC")
    assert cohort.fold is not None and cohort.fold.tolist() == ["0", "1"] * (N // 2)
    given = cohort_from_mudata(made, target, groups={"rna": {"a": ["G2", "ZZ9"], "none": ["ZZ9"]}})
    assert given.feature_groups == {"rna": {"a": ["G2"]}}, "a set without a column is no set"
    with pytest.raises(CohortError, match=r"no group has a column of the modality: the groups have them .* 'g0'"):
        cohort_from_mudata(made, target, groups={"rna": {"a": ["g0", "g1", "g2", "g3"]}})
    with pytest.raises(CohortError, match=r"no such column 'clinik' in mdata.obs; did you mean 'clinic'"):
        cohort_from_mudata(made, target, tables={"place": ["clinik"]})
    with pytest.raises(CohortError, match="modality 'rna': is a modality of the MuData, and named in tables too"):
        cohort_from_mudata(made, target, tables={"rna": ["clinic"]})
    for wrong, said in (
        ({"place": "clinic"}, "is no list of columns"), ({"place": []}, "is a list of no column"),
        (["clinic"], "tables is no dictionary"),
    ):  # fmt: skip
        with pytest.raises(CohortError, match=said):
            cohort_from_mudata(made, target, tables=wrong)  # type: ignore[arg-type]


def test_what_mudata_lacks_is_named() -> None:
    with pytest.raises(CohortError, match="did you mean 'days'"):
        cohort_from_mudata(mu(rna=rna()), Survival("day", "died"))
    with pytest.raises(CohortError, match="no such modality"):
        cohort_from_mudata(mu(rna=rna()), kinds={"dna": "omics"})
    bare, twice = rna(), rna()
    bare.X = None
    twice.var_names = ["G0", "G1", "G1", "G2"]
    with pytest.raises(CohortError) as caught:
        cohort_from_mudata(mu(bare=bare, twice=twice))
    assert sorted((p.modality, p.what) for p in caught.value.problems) == [
        ("bare", "the modality has no X"),
        ("twice", "1 feature by a name that stands twice"),
    ]


def test_a_manifest_without_an_identifier_says_what_names_the_index(tmp_path: Path) -> None:
    rna().write_h5ad(tmp_path / "rna.h5ad")
    text = '[patients]\ntable = "rna.h5ad"\n{}[modalities.rna]\nkind = "omics"\ntable = "rna.h5ad"\n'
    (tmp_path / "cohort.toml").write_text(text.format(""))
    with pytest.raises(CohortError, match=r"'id' is missing in \[patients\]; add it: .*\"index\" for that of an H5AD"):
        open_cohort(tmp_path)
    (tmp_path / "cohort.toml").write_text(text.format('id = "index"\n'))
    assert open_cohort(tmp_path).ids.tolist() == IDS


def test_the_kind_says_which_columns_are_meant(tmp_path: Path) -> None:
    rna().write_h5ad(tmp_path / "x.h5ad")
    write_mu(tmp_path / "x.h5mu", mu(protein=rna(15)))
    rna().obs[["days", "died"]].rename_axis("case_id").to_csv(tmp_path / "patients.csv")
    (tmp_path / "cohort.toml").write_text(
        '[patients]\ntable = "patients.csv"\nid = "case_id"\n'
        '[modalities.clinical]\nkind = "table"\ntable = "x.h5ad"\n'
        '[modalities.rna]\nkind = "omics"\ntable = "x.h5ad"\n'
        '[modalities.protein]\nkind = "omics"\ntable = "x.h5mu:protein"\n'
    )
    cohort = open_cohort(tmp_path)
    assert list(cohort.raw("clinical").columns) == ["age", "stage", "died", "days"]
    np.testing.assert_array_equal(cohort.raw("rna").to_numpy(), RNA)
    np.testing.assert_array_equal(cohort.raw("protein").to_numpy(), RNA[:15])
