"""External validation of one model on one cohort: what `chiasm.validate` returns, and leaves behind in a folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from chiasm.evaluation.estimates import Estimate
from chiasm.evaluation.external import External, known_estimate
from chiasm.evaluation.fits import write_tables
from chiasm.evaluation.summary import write_document
from chiasm.evaluation.trial import TrialError
from chiasm.shown import html_page, html_table, interval_cells, text_table, visible

SCHEMA = 1
MARK = "validation.json"
FILES = (MARK, "predictions.parquet", "outcomes.parquet", "report.html")
PageWriter = Callable[["Validation", Path], Path]


@dataclass(frozen=True)
class Validation:
    """Result of `validate`.

    Args:
        document: content of `validation.json`; numbers that are not estimable are None, and nobody is identified.
        external: the predictions, outcomes and scores.
        reporter: writes the page; supplied by the public API.
    """

    document: Mapping[str, Any]
    external: External
    reporter: PageWriter | None = None

    def __repr__(self) -> str:
        found = self.document
        score = known_estimate(found["metrics"][found["metric"]])
        return visible(f"{self.title}: {found['metric']} {score}, {self.external.patients:,} patients")

    def __str__(self) -> str:
        """What `print` shows: every metric with its interval, and how many patients were scored."""
        rows = [
            (row["label"], Estimate(row["mean"], row["low"], row["high"])) for row in self.table().to_dict("records")
        ]
        table = text_table(("metric", "value (95 % interval, given the fitted model)"), rows)
        notes = "".join(f"\n{visible(note)}" for note in self.document["notes"])
        return f"{visible(self.title)}\n\n{table}\n\n{self.external.patients:,} patients scored{notes}"

    def _repr_html_(self) -> str:
        """What a notebook shows: every metric with its interval."""
        rows = [
            (row["label"], *interval_cells(row["mean"], row["low"], row["high"]))
            for row in self.table().to_dict("records")
        ]
        said = f"{self.external.patients:,} patients scored"
        return html_page(self.title, said, html_table(("metric", "value", "95 % interval"), rows))

    @property
    def title(self) -> str:
        """What was validated on what."""
        return f"External validation of '{self.document['model']['recipe']}' on '{self.document['cohort']['name']}'"

    @property
    def predictions(self) -> pd.DataFrame:
        """What the model predicts for the patients who are scored, indexed by patient."""
        leading = ["recipe", "repeat", "fold"]
        found: pd.DataFrame = self.external.trial.predictions.drop(columns=leading).set_index("patient")
        return found

    @property
    def outcomes(self) -> pd.DataFrame:
        """Outcomes of the patients who are scored, indexed by patient, with the pattern of their modalities."""
        return self.external.trial.outcomes

    def table(self) -> pd.DataFrame:
        """Table of the scores: metric, label, mean, low, high (NaN if not estimable, or without an interval)."""
        return self.external.table().drop(columns="recipe")

    def patterns(self) -> pd.DataFrame:
        """Table of the primary metric for each pattern of modalities, with n, events and interval."""
        rows = pd.DataFrame(self.document["patterns"])
        return rows.astype({"mean": float, "low": float, "high": float}) if len(rows) else rows

    def subgroups(self) -> pd.DataFrame:
        """Table of each level of the declared subgroups, with the columns of `Trial.subgroups`.

        Raises:
            ValueError: the cohort declares no subgroups.
        """
        return self.external.trial.subgroups()

    def decisions(self) -> pd.DataFrame:
        """Table of the decision curves, with the columns of `Trial.decisions`."""
        return self.external.trial.decisions()

    def d_calibration(self) -> pd.DataFrame:
        """Table of D-calibration, with the columns of `Trial.d_calibration`."""
        return self.external.trial.d_calibration()

    def report(self, path: Path | str) -> Path:
        """Write the page, one HTML file that needs nothing else."""
        if self.reporter is None:
            raise TrialError("this validation was made without a way to write a page: use chiasm.validate")
        return self.reporter(self, Path(path))


def store_validation(found: Validation, out: Path) -> None:
    """Write the tables, for their owner alone, then the page and `validation.json`, which marks the folder as whole.

    An older validation is removed first, its mark before all else, so that a run that is stopped leaves no file of
    another one behind.
    """
    for name in FILES:
        (out / name).unlink(missing_ok=True)
    write_tables(out, found.predictions.reset_index(), found.outcomes)
    found.report(out / "report.html")
    write_document(out / MARK, found.document)


def require_free(out: Path, *, replace: bool) -> None:
    """Refuse a folder that holds something else, or a validation that is not to be replaced.

    Raises:
        TrialError: naming what to do.
    """
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    held = {file.name for file in out.iterdir()} if out.is_dir() else {""}
    begun = {name for name in held for own in FILES if name.startswith(f".{own}.") and name.endswith(".tmp")}
    if not held - begun <= set(FILES):
        raise TrialError(f"'{out.name}' exists and is not the folder of a validation: choose another --out")
    if not replace and MARK not in held:
        raise TrialError(f"'{out.name}' holds a validation that was not finished: add --force to write it anew")
    if not replace:
        raise TrialError(f"'{out.name}' holds a validation already: choose another --out, or add --force to replace it")
