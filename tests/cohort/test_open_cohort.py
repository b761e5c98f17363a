"""What opening a cohort gives: text ids, presence, outcome, values on demand."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from chiasm.cohort import (
    Bags,
    Classification,
    CohortError,
    Multilabel,
    Regression,
    Survival,
    Unsupported,
    cohort_from_frames,
    open_cohort,
)


def test_the_whole_manifest(cohort_folder):
    cohort = open_cohort(cohort_folder.manifest)
    assert (cohort.name, len(cohort), cohort.modalities) == ("bladder", 40, ("clinical", "rna", "slide"))
    assert cohort.kinds == {"clinical": "table", "rna": "omics", "slide": "bag"}
    assert cohort.ids[6] == "007"
    assert cohort.present.sum(axis=0).tolist() == [40, 30, 20]
    assert cohort.pattern()[[0, 25, 39]].tolist() == ["clinical+rna+slide", "clinical+rna", "clinical"]
    assert cohort.target == Survival("months", "died", unit="months")
    assert cohort.outcome.known.all() and cohort.outcome.event.tolist() == [i % 2 == 1 for i in range(40)]
    assert sorted(set(cohort.fold)) == ["0", "1", "2", "3"]
    assert set(cohort.site) == {"A", "B", "C"} and cohort.group is None


def test_values_are_of_those_present_in_row_order(cohort_folder):
    cohort = open_cohort(cohort_folder.path)  # the folder stands for its cohort.toml
    clinical, rna, slide = (cohort.raw(name) for name in cohort.modalities)
    assert clinical.index.tolist() == cohort.ids.tolist() and clinical["age"].dtype == np.float64
    assert set(clinical["sex"]) == {"male", "female"}
    assert rna.shape == (30, 6) and set(rna.dtypes) == {np.dtype(np.float32)}
    assert rna.index.tolist() == cohort.ids[:30].tolist()
    assert isinstance(slide, Bags) and len(slide) == 20 and slide.width == 5
    assert slide.lengths.tolist() == [len(bag) for bag in slide]
    np.testing.assert_array_equal(slide[3], np.load(cohort_folder.path / "slides" / "004.npy"))


def test_a_table_is_read_once_and_a_caller_cannot_spoil_it(cohort_folder):
    cohort = open_cohort(cohort_folder.manifest)
    first = cohort.raw("rna")
    expected = first.to_numpy().copy()
    (cohort_folder.path / "rna.parquet").unlink()
    first.iloc[:] = 1e9
    np.testing.assert_array_equal(cohort.subset(cohort.present[:, 1]).raw("rna").to_numpy(), expected)


def test_a_table_that_changed_after_opening_is_refused(cohort_folder):
    cohort = open_cohort(cohort_folder.manifest)
    path = cohort_folder.path / "rna.parquet"
    pd.read_parquet(path).iloc[::-1].to_parquet(path, index=False)
    with pytest.raises(CohortError, match=r"rna.parquet: the file has changed since the cohort was opened"):
        cohort.raw("rna")


def test_a_row_of_nothing_is_absence(cohort_folder):
    path = cohort_folder.path / "rna.parquet"
    frame = pd.read_parquet(path)
    frame.iloc[4, 1:] = np.nan
    frame.iloc[5, 1:6] = np.nan
    frame.to_parquet(path, index=False)
    cohort_folder.set_cell(3, "age", "")
    cohort_folder.set_cell(3, "sex", "")
    cohort = open_cohort(cohort_folder.manifest)
    assert cohort.present[[4, 5, 1]].tolist() == [[True, False, True], [True, True, True], [False, True, True]]


@pytest.mark.parametrize("cells", [["True", "False"], ["TRUE", ""], ["", "false"]])
def test_truth_is_a_number_whether_or_not_some_of_it_is_missing(cohort_folder, cells):
    frame = cohort_folder.clinical()
    frame["sex"] = [cells[row % 2] for row in range(len(frame))]
    cohort_folder.write_clinical(frame)
    read = open_cohort(cohort_folder.manifest).raw("clinical")["sex"]
    assert read.dtype == float
    expected = {"true": 1.0, "false": 0.0, "": np.nan}
    np.testing.assert_array_equal(read[:2], [expected[cell.lower()] for cell in cells])


def test_wide_parquet_presence_looks_past_the_first_columns(tmp_path):
    wide = pd.DataFrame(np.full((3, 300), np.nan), columns=[f"c{k}" for k in range(300)])
    wide.iloc[0, 299] = 1.0
    wide.insert(0, "id", ["a", "b", "c"])
    wide.to_parquet(tmp_path / "wide.parquet", index=False)
    (tmp_path / "p.csv").write_text("id\na\nb\nc\n")
    (tmp_path / "cohort.toml").write_text(
        '[patients]\ntable = "p.csv"\nid = "id"\n[modalities.w]\nkind = "omics"\ntable = "wide.parquet"\n'
    )
    assert open_cohort(tmp_path).present[:, 0].tolist() == [True, False, False]


def test_predicting_needs_no_target(cohort_folder):
    text = cohort_folder.manifest.read_text()
    start, end = text.index("[target]"), text.index("[modalities.clinical]")
    cohort_folder.manifest.write_text(text[:start] + text[end:])
    cohort = open_cohort(cohort_folder.manifest)
    assert cohort.target is None and cohort.outcome is None
    cohort_folder.manifest.write_text(text)
    frame = cohort_folder.clinical()
    frame[["months", "died"]] = ""
    cohort_folder.write_clinical(frame)
    assert not open_cohort(cohort_folder.manifest).outcome.known.any()


@pytest.mark.parametrize(
    ("labels", "classes", "codes"),
    [
        ([0.0, 1.0, np.nan, 1.0], ("0", "1"), [0, 1, np.nan, 1]),
        ([10, 2, 2, 10], ("10", "2"), [0, 1, 1, 0]),
        (["b", "a", None, " b "], ("a", "b"), [1, 0, np.nan, 1]),
        ([True, False, True, True], ("False", "True"), [1, 0, 1, 1]),
    ],
)
def test_labels_are_sorted_text(labels, classes, codes):
    patients = pd.DataFrame({"y": labels}, index=list("abcd"))
    cohort = cohort_from_frames(patients, {"x": pd.DataFrame({"v": [1.0]}, index=["a"])}, Classification("y"))
    assert cohort.target.classes == classes
    np.testing.assert_array_equal(cohort.outcome.value, codes)
    np.testing.assert_array_equal(cohort.outcome.known, ~np.isnan(codes))


@pytest.mark.parametrize("codes", [[1, 0], [True, False], ["true", "FALSE"], [1.0, 0.0], ["1", "0"]])
def test_event_codings_and_their_inverse(codes):
    patients = pd.DataFrame({"t": [1.0, 2.0], "e": codes}, index=["a", "b"])
    block = {"x": pd.DataFrame({"v": [1.0]}, index=["a"])}
    assert cohort_from_frames(patients, block, Survival("t", "e")).outcome.event.tolist() == [True, False]
    assert cohort_from_frames(patients, block, Survival("t", censored="e")).outcome.event.tolist() == [False, True]


def test_files_and_cells_wait_undecoded(cohort_folder):
    (cohort_folder.path / "png").mkdir()
    (cohort_folder.path / "png" / "002.png").write_bytes(b"\x89PNG")
    with cohort_folder.manifest.open("a") as file:
        file.write('[modalities.image]\nkind = "image"\npath = "png/{id}.png"\n')
        file.write('[modalities.sex]\nkind = "text"\ncolumn = "sex"\nencoder = "minilm:chunks=2"\n')
    cohort = open_cohort(cohort_folder.manifest)
    assert cohort.present[:, cohort.modalities.index("image")].sum() == 1
    assert cohort.present[:, cohort.modalities.index("sex")].all()
    image, text = cohort.raw("image"), cohort.raw("sex")
    assert [path.name for path in image] == ["002.png"] and image.template == "png/{id}.png"
    assert image.file_rows.tolist() == [int(cohort.file_rows[cohort.ids.tolist().index("002")])]
    assert all(isinstance(cell, str) for cell in text) and len(text) == len(cohort)
    assert cohort.encoders == {"sex": "minilm:chunks=2"}


def test_a_table_joined_by_a_column(tmp_path):
    (tmp_path / "pairs.csv").write_text("pair,drug,y\np1,007,1.5\np2,7,2.5\np3,007,0.5\np4,,1\n")
    (tmp_path / "drugs.csv").write_text("drug,weight\n007,3.5\n7,4.5\n")
    (tmp_path / "cohort.toml").write_text(
        '[patients]\ntable = "pairs.csv"\nid = "pair"\n[target]\nkind = "regression"\ncolumn = "y"\n'
        '[modalities.drug]\nkind = "table"\ntable = "drugs.csv"\non = "drug"\n'
    )
    cohort = open_cohort(tmp_path)
    assert cohort.target == Regression("y")
    assert cohort.raw("drug")["weight"].to_dict() == {"p1": 3.5, "p2": 4.5, "p3": 3.5}


def test_multilabel_opens(cohort_folder):
    text = cohort_folder.manifest.read_text().replace('columns = ["age", "sex"]', 'columns = ["age"]')
    start, end = text.index("[target]"), text.index("[modalities.clinical]")
    target = '[target]\nkind = "multilabel"\ncolumns = ["died", "sex"]\n'
    cohort_folder.manifest.write_text(text[:start] + target + text[end:])
    cohort = open_cohort(cohort_folder.manifest)
    assert cohort.target == Multilabel(("died", "sex")) and cohort.outcome.value.shape == (len(cohort), 2)
    assert cohort.outcome.known.all() and np.isnan(cohort.outcome.value[:, 1]).all()  # words are no label
    assert [p.what.split(" in ")[0] for p in cohort.findings] == ["column 'sex' is neither 0 nor 1"]
    cohort_folder.manifest.write_text((text[:start] + target + text[end:]).replace('"sex"]\n[mod', '"died"]\n[mod', 1))
    with pytest.raises(CohortError, match="stands twice"):
        open_cohort(cohort_folder.manifest)


def test_feature_groups_are_columns_of_the_modality(cohort_folder):
    cohort_folder.edit('table = "rna.parquet"\n', 'table = "rna.parquet"\ngroups = "sets.gmt"\n')
    (cohort_folder.path / "sets.gmt").write_text("A\tsource\tG2\tG0\tTP53\nB\tsource\tMYC\nC\tsource\tG5\n")
    cohort = open_cohort(cohort_folder.manifest)
    assert cohort.groups_of("rna") == {"A": ["G0", "G2"], "C": ["G5"]}
    assert cohort.groups_of("clinical") is None


def test_h5_bags(tmp_path):
    h5py = pytest.importorskip("h5py")
    (tmp_path / "p.csv").write_text("id\na\nb\nc\nd\ne\n")
    (tmp_path / "cohort.toml").write_text(
        '[patients]\ntable = "p.csv"\nid = "id"\n[modalities.s]\nkind = "bag"\npath = "{id}.h5"\n'
    )
    array = np.arange(12, dtype=np.float32).reshape(4, 3)
    for name, datasets in {"a": ["only"], "b": ["features", "coords"], "c": ["x", "y"]}.items():
        with h5py.File(tmp_path / f"{name}.h5", "w") as file:
            for dataset in datasets:
                file[dataset] = array
    with h5py.File(tmp_path / "d.h5", "w") as file:
        file["features"] = h5py.ExternalLink("a.h5", "/only")
    (tmp_path / "e.h5").write_bytes(b"not hdf5")
    bags = open_cohort(tmp_path).raw("s")
    np.testing.assert_array_equal(bags[0], array)
    np.testing.assert_array_equal(bags[1], array)
    for position, message in ((2, "holds 2 datasets"), (3, "links to another file"), (4, "cannot be read")):
        with pytest.raises(CohortError, match=message) as refused:
            bags[position]
        assert refused.value.problems[0].row == position + 2


def test_h5_without_h5py_names_the_extra(tmp_path, monkeypatch):
    (tmp_path / "p.csv").write_text("id\na\n")
    (tmp_path / "a.h5").write_bytes(b"\x89HDF\r\n\x1a\n")
    (tmp_path / "cohort.toml").write_text(
        '[patients]\ntable = "p.csv"\nid = "id"\n[modalities.s]\nkind = "bag"\npath = "{id}.h5"\n'
    )
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(Unsupported, match=r'pip install "chiasm\[bags\]"'):
        open_cohort(tmp_path).raw("s")[0]


def test_a_pickle_in_a_bag_is_refused(cohort_folder):
    np.save(cohort_folder.path / "slides" / "001.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(CohortError, match="the file cannot be read"):
        open_cohort(cohort_folder.manifest).raw("slide")[0]


def test_text_in_an_omics_block_is_refused_with_its_row(cohort_folder):
    frame = pd.read_parquet(cohort_folder.path / "rna.parquet").astype({"G3": object})
    frame.loc[7, "G3"] = "n/d"
    frame.astype({"G3": str}).to_parquet(cohort_folder.path / "rna.parquet", index=False)
    with pytest.raises(CohortError) as refused:
        open_cohort(cohort_folder.manifest).raw("rna")
    assert str(refused.value) == (
        "rna.parquet, row 9, modality 'rna': column 'G3' is not numeric; "
        "an omics block holds numbers only: correct the cell, or leave the column out by `columns`"
    )


def test_the_package_opens_cohorts_without_torch(cohort_folder):
    import subprocess

    code = (
        "import sys\n"
        "from chiasm.cohort import open_cohort\n"
        f"print(len(open_cohort({str(cohort_folder.manifest)!r})), 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "40 False", done.stderr


def test_every_real_cohort_opens_in_a_second(shared_data: Path):
    manifests = sorted(shared_data.glob("*/cohort.toml"))
    assert manifests
    for manifest in manifests:
        start = time.process_time()
        cohort = open_cohort(manifest)
        assert time.process_time() - start < 2, manifest  # seconds of processor time
        assert len(cohort) > 100 and cohort.present.any()


def test_breast_subtype_test_patients_lack_protein(shared_data: Path):
    cohort = open_cohort(shared_data / "breast-subtype" / "cohort.toml")
    tested = cohort.fold != "train"
    assert tested.sum() == 70 and not cohort.present[tested, cohort.modalities.index("protein")].any()
    assert cohort.target.classes == ("Basal", "Her2", "LumA")


def test_a_meds_folder_is_a_table_of_events(tmp_path):
    pytest.importorskip("meds")
    from chiasm.readers import reader_for
    from chiasm.readers.record.meds import read_meds, to_meds, write_meds

    events = pd.DataFrame(
        {
            "id": ["7", "7", "7", "11", "11"],
            "hours": [0.0, 2.5, 30.0, 0.0, 1.0],
            "code": ["LAB//1", "250.00", "LAB//1", "LAB//1", "250.00"],
            "numeric_value": [1.0, np.nan, 3.0, 4.0, np.nan],
        }
    )
    write_meds(to_meds(events, pd.Timestamp("2020-01-01")), tmp_path / "meds")
    (tmp_path / "p.csv").write_text("id,y\n11,1\n7,0\n9,1\n")
    (tmp_path / "cohort.toml").write_text(
        '[patients]\ntable = "p.csv"\nid = "id"\n[modalities.record]\nkind = "events"\ntable = "meds"\n'
    )
    cohort = open_cohort(tmp_path)
    assert cohort.ids.tolist() == ["11", "7", "9"]
    assert cohort.present[:, 0].tolist() == [True, True, False]
    reader, items = reader_for("events"), cohort.raw("record")
    wanted = read_meds(tmp_path / "meds").groupby("id")
    for item, name in zip(items, ("11", "7"), strict=True):
        found, own = reader.read(item), wanted.get_group(name)
        np.testing.assert_array_equal(found.hours, own["hours"])
        assert found.codes.tolist() == own["code"].tolist()
        np.testing.assert_array_equal(found.values, own["numeric_value"])
    assert len(set(cohort.digests[:2, 0])) == 2
    empty = tmp_path / "empty"
    empty.mkdir()
    (tmp_path / "cohort.toml").write_text(
        '[patients]\ntable = "p.csv"\nid = "id"\n[modalities.record]\nkind = "events"\ntable = "empty"\n'
    )
    with pytest.raises(CohortError, match=r"holds no data/\*\.parquet"):
        open_cohort(tmp_path)


def test_a_table_of_text_is_parsed_once_however_many_columns_are_words(tmp_path, monkeypatch):
    parsed = []
    read = pd.read_csv

    def counted(source, **options):
        parsed.append(Path(source).name)
        return read(source, **options)

    monkeypatch.setattr("chiasm.cohort.text_table.pd.read_csv", counted)
    codes = {f"c{k}": [f"{k}50.10", f"{k}50.1"] * 4 for k in range(5)}
    rows = {"id": [f"{k:03d}" for k in range(8)], "site": ["a", "b"] * 4, "who": [f"g{k // 2}" for k in range(8)]}
    pd.DataFrame({**rows, **codes}).to_csv(tmp_path / "p.csv", index=False)
    pd.DataFrame({"id": rows["id"], "fold": [0, 1] * 4}).to_csv(tmp_path / "f.csv", index=False)
    names = ", ".join(f'"{name}"' for name in codes)
    (tmp_path / "cohort.toml").write_text(
        '[patients]\ntable = "p.csv"\nid = "id"\nsite = "site"\ngroup = "who"\n[folds]\ntable = "f.csv"\n'
        f'[modalities.codes]\nkind = "table"\ncolumns = [{names}]\ncategories = [{names}]\n'
    )
    cohort = open_cohort(tmp_path)
    # as numbers and words, and as text: identifiers, site and group together, fold beside its identifiers
    assert sorted(parsed) == ["f.csv", "f.csv", "p.csv", "p.csv"]
    assert cohort.raw("codes")["c3"].tolist()[:2] == ["350.10", "350.1"]
    assert sorted(parsed) == ["f.csv", "f.csv", "p.csv", "p.csv", "p.csv"]
    assert cohort.group.tolist() == rows["who"] and cohort.site.tolist() == rows["site"]


def test_a_table_of_a_header_alone_is_a_modality_that_nobody_has(tmp_path):
    (tmp_path / "p.csv").write_text("id\np1\np2\n")
    (tmp_path / "a.csv").write_text("id,u\n")
    (tmp_path / "cohort.toml").write_text(
        '[patients]\ntable = "p.csv"\nid = "id"\n[modalities.labs]\nkind = "table"\ntable = "a.csv"\n'
    )
    assert open_cohort(tmp_path).present.sum() == 0
