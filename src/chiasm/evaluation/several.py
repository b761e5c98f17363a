"""Trials of several cohorts side by side: one table of recipes, and one of verdicts."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from chiasm.evaluation.summary import plain
from chiasm.evaluation.trial import Trial
from chiasm.metrics.scores import PRIMARY
from chiasm.shown import html_page, html_table, visible

COLUMNS = ("recipe", "metric", "cohorts", "mean", "rank")
"""Columns of the table of recipes before those of the cohorts, which may not have these names."""


@dataclass(frozen=True)
class Trials:
    """Result of `evaluate_cohorts`: a trial for each cohort, by its name."""

    trials: Mapping[str, Trial]

    def __repr__(self) -> str:
        rows = self.verdicts().to_dict("records")
        said = "\n".join(f"{row['cohort']}: {row['outcome']}" for row in rows)
        return visible(f"Trials of {len(rows):,} cohorts\n{said}")

    def _repr_html_(self) -> str:
        """What a notebook shows: the verdict on each cohort."""
        frame = self.verdicts()
        rows = [[_shown(cell) for cell in row] for row in frame.to_numpy().tolist()]
        return html_page(f"Trials of {len(frame):,} cohorts", html_table(list(frame.columns), rows))

    def __getitem__(self, cohort: str) -> Trial:
        return self.trials[cohort]

    def table(self) -> pd.DataFrame:
        """Table of the recipes: the mean of the primary metric on each cohort, NaN where a recipe was not tried.

        `metric` is the primary metric; recipes of cohorts with different ones stand in rows of their own. `cohorts`
        counts where it was estimated. `mean` is over the cohorts with this metric, and `rank` the mean place among the
        recipes that every one of these cohorts has (1 is the best); both are NaN for a recipe that one of them lacks.
        """
        found: dict[tuple[str, str], dict[str, float]] = {}
        for cohort, trial in self.trials.items():
            for row in trial.document["recipes"]:
                value = math.nan if row["mean"] is None else float(row["mean"])
                found.setdefault((PRIMARY[trial.kind], row["name"]), {})[cohort] = value
        blocks = []
        for metric in dict.fromkeys(metric for metric, _ in found):
            own = {recipe: values for (of, recipe), values in found.items() if of == metric}
            here = [cohort for cohort, trial in self.trials.items() if PRIMARY[trial.kind] == metric]
            frame = pd.DataFrame.from_dict(own, orient="index").reindex(columns=here).astype(np.float64)
            whole = frame.dropna()
            told = pd.DataFrame({"recipe": frame.index, "metric": metric, "cohorts": frame.notna().sum(1).to_numpy()})
            told["mean"] = whole.mean(1).reindex(frame.index).to_numpy()
            told["rank"] = whole.rank(ascending=False).mean(1).reindex(frame.index).to_numpy()
            told = pd.concat([told, frame.reset_index(drop=True)], axis=1)
            blocks.append(told.sort_values("mean", ascending=False, kind="stable", na_position="last"))
        return pd.concat(blocks, ignore_index=True)

    def verdicts(self) -> pd.DataFrame:
        """Table of the verdicts: cohort, patients, metric, outcome, difference, low, high, best_single, best_fused."""
        rows = []
        for cohort, trial in self.trials.items():
            verdict = trial.verdict
            row = {
                "cohort": cohort,
                "patients": int(trial.document["cohort"]["patients"]),
                "metric": PRIMARY[trial.kind],
            }
            if verdict is None:
                nothing = {
                    "difference": math.nan,
                    "low": math.nan,
                    "high": math.nan,
                    "best_single": "",
                    "best_fused": "",
                }
                rows.append({**row, "outcome": "no verdict", **nothing})
                continue
            own = {name: getattr(verdict, name) for name in ("difference", "low", "high", "best_single", "best_fused")}
            rows.append({**row, "outcome": verdict.outcome, **own})
        return pd.DataFrame(rows)

    def document(self) -> dict[str, list[dict[str, Any]]]:
        """Both tables for JSON, as `recipes` and `verdicts`: a row each, what is not estimable is None."""
        tables = {"recipes": self.table(), "verdicts": self.verdicts()}
        return {name: [plain(row) for row in own.to_dict("records")] for name, own in tables.items()}


def _shown(cell: object) -> str:
    if isinstance(cell, float):
        return "-" if math.isnan(cell) else f"{cell:.3f}"
    return f"{cell:,}" if isinstance(cell, int) else str(cell)
