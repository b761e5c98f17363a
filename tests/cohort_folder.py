"""A cohort on disk for tests: bladder cancer with a table, omics and bags."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

MANIFEST = """\
name = "bladder"
[patients]
table = "clinical.csv"
id = "case_id"
site = "site"
[target]
kind = "survival"
time = "months"
unit = "months"
event = "died"
[modalities.clinical]
kind = "table"
columns = ["age", "sex"]
[modalities.rna]
kind = "omics"
table = "rna.parquet"
[modalities.slide]
kind = "bag"
path = "slides/{id}.npy"
[folds]
table = "folds.csv"
"""


@dataclass
class CohortFolder:
    """A cohort on disk that a test may spoil: a folder, its manifest and its tables as frames."""

    path: Path

    @property
    def manifest(self) -> Path:
        return self.path / "cohort.toml"

    def edit(self, old: str, new: str) -> None:
        text = self.manifest.read_text()
        if old not in text:
            raise ValueError(f"the manifest does not hold {old!r}")
        self.manifest.write_text(text.replace(old, new, 1))

    def clinical(self) -> pd.DataFrame:
        return pd.read_csv(self.path / "clinical.csv", dtype=str, keep_default_na=False)

    def write_clinical(self, frame: pd.DataFrame) -> None:
        frame.to_csv(self.path / "clinical.csv", index=False)

    def set_cell(self, row: int, column: str, value: str) -> None:
        """Write one cell of clinical.csv; `row` counts as a spreadsheet does."""
        frame = self.clinical()
        frame.loc[row - 2, column] = value
        self.write_clinical(frame)
