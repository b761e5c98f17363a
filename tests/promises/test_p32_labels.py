"""P32 for several labels: the page's numbers are recomputed from the predictions that were saved."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as sk

from chiasm.cohort import Outcome, synthetic_cohort
from chiasm.evaluation import Protocol, load_trial
from chiasm.report import write_report
from fake_trials import run
from page_numbers import RECIPES, Folder, Scores, check, numbers


def auroc_of(label: str) -> Callable[..., Scores]:
    def score(table: pd.DataFrame, train: pd.DataFrame) -> Scores:
        known = table[table[f"value_{label}"].notna()]
        y, p = known[f"value_{label}"].to_numpy(int), known[f"p_{label}"].to_numpy()
        return {"auroc": sk.roc_auc_score(y, p) if len(set(y)) == 2 else np.nan}

    return score


@pytest.mark.nightly
def test_several_labels(tmp_path: Path) -> None:
    """Each label by itself, their mean, and the difference of the verdict; some cells are missing."""
    cohort = synthetic_cohort("complementary", 210, target="multilabel", missing=0.25)
    target, outcome = cohort.target, cohort.outcome
    assert outcome is not None
    value = np.where(np.arange(210)[:, None] % 9 == [3, 5], np.nan, outcome.value)
    cohort = cohort.with_target(target, Outcome(value, None, outcome.known))
    run(cohort, RECIPES, Protocol(folds=3, repeats=1, draws=100), out=tmp_path / "run")
    write_report(load_trial(tmp_path / "run"), tmp_path / "run" / "report.html")
    folder = Folder(tmp_path / "run")
    labels = ["label", "rarer"]
    macro: dict[str, np.ndarray] = {}
    for one in RECIPES:
        values = [folder.over_folds(one.name, auroc_of(label))["auroc"] for label in labels]
        macro[one.name] = np.mean(values, axis=0)
        row = next(row for row in folder.page.tables["recipe-table"] if row[0].startswith(one.name))
        check(row[1], macro[one.name], one.name)
    for row, label, k in zip(folder.page.tables["label-table"][1:], labels, (0, 1), strict=True):
        assert row[0] == label and numbers(row[1]) == [(~np.isnan(value[:, k])).sum()]
        assert numbers(row[2]) == [(value[:, k] == 1).sum()]
        for cell, side in zip(row[3:], ("fused", "single"), strict=True):
            check(cell, folder.over_folds(folder.name_of(side), auroc_of(label))["auroc"], f"{label}: {side}")
    assert "Labels" in folder.page.facts() and "of 187 known" not in folder.page.facts()["Labels"]
    single = folder.document["verdict"]["single_counts"]
    if len(single) == 1:
        gap = macro[RECIPES[-1].name][0] - macro[folder.name_of("single")][0]
        assert folder.document["verdict"]["difference"] == pytest.approx(gap)
