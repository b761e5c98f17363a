"""Manifests that cannot be understood: each with the message a user reads, word for word."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from chiasm.cohort import CohortError, open_cohort


def edit(old, new):
    return lambda folder: folder.edit(old, new)


def write(name, content):
    return lambda folder: (folder.path / name).write_bytes(content)


def link_outside(folder):
    secret = folder.path.parent / "secret.parquet"
    pd.read_parquet(folder.path / "rna.parquet").to_parquet(secret)
    (folder.path / "rna.parquet").unlink()
    (folder.path / "rna.parquet").symlink_to(secret)


def id_that_climbs(folder):
    np.save(folder.path.parent / "x.npy", np.zeros((2, 5)))
    folder.set_cell(5, "case_id", "../../x")


KINDS = (
    "table, omics, bag, image, volume, slide, dicom, ecg, signal, audio, video, singlecell, text, molecule, protein, "
    "dna, events"
)
HOME = "a cohort's files lie in the folder of its manifest: move the file there"

BROKEN = {
    "not toml": (edit("[patients]", "[patients"), "cohort.toml, row 2: is not TOML; correct the line"),
    "toml without end": (
        write("cohort.toml", b"name = " + b"[" * 100_000),
        "cohort.toml: is not TOML; correct the line",
    ),
    "empty manifest": (write("cohort.toml", b""), "cohort.toml: the file is empty; write the manifest again"),
    "binary manifest": (write("cohort.toml", b"\xff\xfe\0"), "cohort.toml: is not text; a manifest is TOML in UTF-8"),
    "no patients": (
        edit('[patients]\ntable = "clinical.csv"\nid = "case_id"\nsite = "site"\n', ""),
        "cohort.toml: section [patients] is missing; add it",
    ),
    "unknown key": (
        edit('kind = "omics"', 'knd = "x"\nkind = "omics"'),
        "cohort.toml, modality 'rna': unknown key 'knd' in [modalities.rna]; did you mean 'kind'?",
    ),
    "unknown section": (
        edit("[folds]", "[fold]"),
        "cohort.toml: unknown key 'fold'; did you mean 'folds'?",
    ),
    "wrong type": (
        edit('columns = ["age", "sex"]', 'columns = "age"'),
        "cohort.toml, modality 'clinical': key 'columns' in [modalities.clinical] has a value of the wrong type; "
        "write a list",
    ),
    "unknown kind": (
        edit('kind = "omics"', 'kind = "xyzzy"'),
        f"cohort.toml, modality 'rna': unknown kind 'xyzzy'; known are {KINDS}",
    ),
    "unknown target": (
        edit('kind = "survival"', 'kind = "survial"'),
        "cohort.toml: unknown kind 'survial' of target; did you mean 'survival'?",
    ),
    "both codings": (
        edit('event = "died"', 'event = "died"\ncensored = "died"'),
        "cohort.toml: the target needs exactly one of 'event' and 'censored'; keep one",
    ),
    "missing table": (
        edit("rna.parquet", "rnaseq.parquet"),
        "rnaseq.parquet, modality 'rna': there is no such file; correct the path, which is relative to the manifest",
    ),
    "empty table": (
        write("clinical.csv", b""),
        "clinical.csv: the file is empty; write the table again",
    ),
    "binary csv": (
        write("clinical.csv", b"case_id,\0\1\2"),
        "clinical.csv: is not text: it holds binary data; write the table as comma-separated text",
    ),
    "csv named parquet": (
        write("rna.parquet", b"case_id,G1\n001,2\n"),
        "rna.parquet, modality 'rna': is not a Parquet file; write the table again",
    ),
    "ragged csv": (
        write("folds.csv", b"case_id,fold\n001,0\n002,1,2\n"),
        "folds.csv, row 3: the row has more cells than the header; "
        "look for a comma or a quotation mark that is not closed",
    ),
    "ragged csv in its first row": (
        write("folds.csv", b"case_id,fold\n001,0,1\n002,1\n"),
        "folds.csv, row 2: the row has more cells than the header; "
        "look for a comma or a quotation mark that is not closed",
    ),
    "a csv whose rows are all longer": (
        write("folds.csv", b"case_id,fold\n001,0,\n002,1,2\n"),
        "folds.csv, row 3: the row has more cells than the header; "
        "look for a comma or a quotation mark that is not closed",
    ),
    "path climbs": (
        edit("rna.parquet", "../rna.parquet"),
        f"../rna.parquet, modality 'rna': the path leaves the folder of the cohort; {HOME}",
    ),
    "absolute path": (
        edit("rna.parquet", "/etc/rna.parquet"),
        f"/etc/rna.parquet, modality 'rna': the path leaves the folder of the cohort; {HOME}",
    ),
    "path climbs and returns": (
        edit("rna.parquet", "slides/../rna.parquet"),
        f"slides/../rna.parquet, modality 'rna': the path leaves the folder of the cohort; {HOME}",
    ),
    "drive letter": (
        edit("rna.parquet", "C:/rna.parquet"),
        f"C:/rna.parquet, modality 'rna': the path leaves the folder of the cohort; {HOME}",
    ),
    "symlink": (link_outside, f"rna.parquet, modality 'rna': the path leaves the folder of the cohort; {HOME}"),
    "id climbs": (
        id_that_climbs,
        f"slides/{{id}}.npy, row 5, modality 'slide': the path leaves the folder of the cohort; {HOME}",
    ),
    "no {id}": (
        edit("slides/{id}.npy", "slides/x.npy"),
        "cohort.toml, modality 'slide': 'path' has no {id}; "
        'write where the identifier stands, as in "slides/{id}.h5"',
    ),
    "no such column": (
        edit('"age", "sex"', '"aeg", "sex"'),
        "clinical.csv, modality 'clinical': no such column 'aeg'; did you mean 'age'?",
    ),
    "no such target": (
        edit('time = "months"', 'time = "month"'),
        "clinical.csv: no such column 'month'; did you mean 'months'?",
    ),
    "missing id": (
        lambda folder: folder.set_cell(8, "case_id", " "),
        "clinical.csv, row 8: the identifier is missing in 1 row (row 8); fill in column 'case_id'",
    ),
    "duplicated id": (
        lambda folder: folder.set_cell(9, "case_id", "003"),
        "clinical.csv, row 9: the identifier stands in an earlier row too, in 1 row (row 9); "
        "keep one row a patient; for several records of a person give each its own id and name `group`",
    ),
    "a separator that is not known": (
        write("clinical.csv", b"case_id:age\n001:2\n"),
        "clinical.csv: no such column 'case_id'; the columns cannot be told apart: name what separates them, as in "
        'separator = ";"',
    ),
    "no columns": (
        edit('columns = ["age", "sex"]', "columns = []"),
        "cohort.toml, modality 'clinical': 'columns' is empty; "
        "name a column, or leave 'columns' out to take a whole table",
    ),
    "the outcome among the inputs": (
        edit('columns = ["age", "sex"]', 'columns = ["age", "died"]'),
        "clinical.csv, modality 'clinical': column 'died' is the target's; leave it out of the modality, by `columns`",
    ),
    "the outcome in a whole table": (
        edit('kind = "table"\ncolumns = ["age", "sex"]', 'kind = "table"\ntable = "clinical.csv"'),
        "clinical.csv, modality 'clinical': column 'months' is the target's; "
        "leave it out of the modality, by `columns`\n"
        "clinical.csv, modality 'clinical': column 'died' is the target's; leave it out of the modality, by `columns`",
    ),
    "twice in the header": (
        write("clinical.csv", b"case_id,age,age\n001,2,3\n"),
        "clinical.csv: the name of column 2 stands twice in the header, in column 3 too; rename one of the two, or "
        "write a header where there is none",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_the_message_says_what_where_and_what_to_do(cohort_folder, name):
    spoil, message = BROKEN[name]
    spoil(cohort_folder)
    with pytest.raises(CohortError) as refused:
        open_cohort(cohort_folder.manifest)
    assert str(refused.value) == message
    assert all(problem.severity == "error" for problem in refused.value.problems)


def test_all_reasons_at_once(cohort_folder):
    for name in ("unknown key", "missing table", "no such column", "duplicated id"):
        BROKEN[name][0](cohort_folder)
    with pytest.raises(CohortError) as refused:
        open_cohort(cohort_folder.manifest)
    assert set(str(refused.value).splitlines()) == {
        BROKEN[name][1] for name in ("unknown key", "missing table", "no such column", "duplicated id")
    }


def test_a_manifest_that_is_not_there(tmp_path):
    with pytest.raises(CohortError, match=r"^cohort.toml: there is no such file"):
        open_cohort(tmp_path)
