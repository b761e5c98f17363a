"""P1: the check returns every problem in one pass, each with row, modality, file and a fix."""

from __future__ import annotations

import numpy as np
import pandas as pd

from chiasm.cohort import check_cohort


def test_ten_defects_ten_findings(cohort_folder):
    assert check_cohort(cohort_folder.manifest) == []
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

    problems = check_cohort(cohort_folder.manifest)
    assert len(problems) == 10, [str(problem) for problem in problems]
    for row, modality, path, word in expected:
        found = [p for p in problems if (p.row, p.modality, p.path) == (row, modality, path) and word in p.what]
        assert len(found) == 1, (row, modality, path, word)
    assert all(problem.fix and problem.severity == "error" for problem in problems)
