"""P1: the check returns every problem in one pass, each with row, modality, file and a fix."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from chiasm.cohort import check_values
from young_process import run_young


def test_ten_defects_ten_findings(cohort_folder):
    assert check_values(cohort_folder.manifest) == []
    expected = set()

    def defect(row, modality, path, word):
        expected.add((row, modality, path, word))

    cohort_folder.edit('name = "bladder"', 'name = "bladder"\nauthor = "x"')
    defect(None, None, "cohort.toml", "unknown key 'author'")
    cohort_folder.edit('[modalities.rna]\nkind = "omics"', '[modalities.rna]\nknd = "x"\nkind = "omics"')
    defect(None, "rna", "cohort.toml", "unknown key 'knd'")
    cohort_folder.edit("[folds]", '[modalities.cnv]\nkind = "omics"\ntable = "cnv.parquet"\n[folds]')
    defect(None, "cnv", "cnv.parquet", "no such file")
    cohort_folder.edit('columns = ["age", "sex"]', 'columns = ["age", "sex", "stage"]')
    defect(None, "clinical", "clinical.csv", "no such column 'stage'")
    cohort_folder.set_cell(41, "case_id", "005")
    defect(41, None, "clinical.csv", "stands in an earlier row")
    cohort_folder.set_cell(3, "months", "-2")
    defect(3, None, "clinical.csv", "above zero")
    cohort_folder.set_cell(4, "died", "2")
    defect(4, None, "clinical.csv", "neither 0 nor 1")
    rna = pd.read_parquet(cohort_folder.path / "rna.parquet")
    rna.loc[6, "G2"] = np.inf
    rna.to_parquet(cohort_folder.path / "rna.parquet", index=False)
    defect(8, "rna", "rna.parquet", "not finite in 'G2'")
    np.save(cohort_folder.path / "slides" / "009.npy", np.zeros((3, 7), dtype=np.float32))
    defect(10, "slide", "slides/{id}.npy", "5 wide")
    folds = pd.read_csv(cohort_folder.path / "folds.csv", dtype=str).iloc[:39]  # the patient whose id was overwritten
    folds.loc[len(folds)] = ["001", "3"]
    folds.to_csv(cohort_folder.path / "folds.csv", index=False)
    defect(41, None, "folds.csv", "in two folds")

    problems = check_values(cohort_folder.manifest)
    assert len(problems) == 10, [str(problem) for problem in problems]
    for row, modality, path, word in expected:
        found = [p for p in problems if (p.row, p.modality, p.path) == (row, modality, path) and word in p.what]
        assert len(found) == 1, (row, modality, path, word)
    assert all(problem.fix and problem.severity == "error" for problem in problems)


FILES = """
import sys
import chiasm
from chiasm.encoders import catalogue, choice

make = choice.make_encoder

def without_weights(spec, kind):
    (entry,) = [own for own in catalogue.entries() if own.name == spec.partition(":")[0]]
    assert entry.weights == catalogue.NOTHING, "an encoder with weights is made by the check"
    return make(spec, kind)

catalogue.make_encoder = choice.make_encoder = without_weights
for problem in chiasm.check_cohort(sys.argv[1]):
    print(problem.severity, problem.row, problem.modality, problem.path, problem.what, "|", problem.fix)
loaded = {"transformers", "monai", "timm", "torchvision", "chiasm.encoders.text.hub", "chiasm.encoders.text.sentences"}
print("loaded:", *sorted(loaded & set(sys.modules)))
"""


@pytest.mark.slow
def test_defects_of_files_are_found_in_the_same_pass_and_before_any_weight(cohort_folder):
    """Broken sources of three kinds beside a wrong cell of a table; nothing that computes is imported."""
    folder, said = cohort_folder.path, {}
    for name in ("notes", "waves"):
        (folder / name).mkdir()
    for k in range(1, 13):
        (folder / "notes" / f"{k:03d}.txt").write_text("no fever")
        rows = "".join(f"{t / 100},{(t * k) % 31}.{k}\n" for t in range(60))
        (folder / "waves" / f"{k:03d}.csv").write_text(f"time,II (mV)\n{rows}")
    spoilt = {
        ("notes", 2): (b"%PDF-1.7\0", "notes/{id}.txt", "the file is PDF"),
        ("notes", 3): (b"pain. " * 1_700_000, "notes/{id}.txt", "over the limit"),
        ("notes", 4): (b"", "notes/{id}.txt", "the file is empty"),
        ("waves", 5): (b"II\n1\n", "waves/{id}.csv", "no column holds the time"),
        ("slides", 6): (b"\x80\x04\x95", "slides/{id}.npy", "a pickle"),
        ("slides", 7): (b"junk", "slides/{id}.npy", "cannot be read"),
    }
    for (name, k), (content, path, words) in spoilt.items():
        (folder / name / f"{k:03d}{path[-4:]}").write_bytes(content)
        if words:
            said[(k + 1, path)] = words
    cohort_folder.edit(
        "[folds]",
        '[modalities.note]\nkind = "text"\npath = "notes/{id}.txt"\n'
        '[modalities.wave]\nkind = "ecg"\npath = "waves/{id}.csv"\n[folds]',
    )
    cohort_folder.set_cell(4, "died", "2")
    said[(4, "clinical.csv")] = "neither 0 nor 1"
    done = run_young(FILES, str(cohort_folder.manifest))
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[-1].strip() == "loaded:"
    assert len(lines) == len(said) + 1, done.stdout
    for (row, path), words in said.items():
        (line,) = [line for line in lines if f" {row} " in line and path in line]
        assert words in line and line.rpartition("| ")[2], line
        assert line.startswith("error" if path == "clinical.csv" else "warning")
    assert done.stderr == ""
