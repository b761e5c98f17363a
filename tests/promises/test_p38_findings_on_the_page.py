"""P38: what the check and the trial found stands on the page, beside the verdict: every finding, leaks first.

A leak that nobody accepted takes the plain verdict away, whatever the numbers are; one that is accepted gives it back,
with the reason printed in the verdict itself.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import chiasm
from chiasm.cohort import Classification, Cohort, cohort_from_frames
from chiasm.errors import FindingWarning
from chiasm.report import write_report
from html_page import Page

PROTOCOL = chiasm.Protocol(folds=2, repeats=1, inner_folds=2, draws=100)
RECIPES = ["single:m1", "single:m2", "late-fusion"]
REASON = "the score was written down before the outcome was known <b>"
pytestmark = [
    pytest.mark.filterwarnings("ignore::chiasm.errors.FindingWarning"),
    pytest.mark.usefixtures("ridges"),
]


def leaking(n: int = 120) -> Cohort:
    """One column of m2 is the outcome; one of m1 is the same for everybody, which is no leak."""
    rng = np.random.default_rng(0)
    ids = [f"p{i:03d}" for i in range(n)]
    y = rng.integers(0, 2, n)
    patients = pd.DataFrame({"y": y}, index=ids)
    m1 = pd.DataFrame(rng.normal(size=(n, 3)), index=ids, columns=["a", "b", "c"]).assign(d=1.0)
    m2 = pd.DataFrame(rng.normal(size=(n, 2)), index=ids, columns=["e", "f"]).assign(g=y + rng.normal(size=n) * 0.01)
    return cohort_from_frames(patients, {"m1": m1, "m2": m2}, Classification("y"), name="leaking")


def page_of(cohort: Cohort, folder: Path) -> tuple[chiasm.Trial, Page]:
    trial = chiasm.evaluate(cohort, RECIPES, PROTOCOL, jobs=1)
    return trial, Page(write_report(trial, folder / "report.html"))


def test_every_finding_stands_beside_the_verdict_leaks_first(tmp_path: Path) -> None:
    with pytest.warns(FindingWarning):
        trial, page = page_of(leaking(), tmp_path)
    findings = trial.document["findings"]
    assert {"leaking-column", "too-good"} <= {row["finding"] for row in findings}
    assert any(not row["leak"] for row in findings), "a finding that is no leak is there to be listed too"
    beside = page.text[page.text.index("1. The verdict:") : page.text.index("2. The cohort")]
    places = {row["what"]: beside.index(f"{row['what']}; {row['fix']}") for row in findings}
    leaks = [places[row["what"]] for row in findings if row["leak"]]
    assert max(leaks) < min(places[row["what"]] for row in findings if not row["leak"])
    assert "1. The verdict: cannot tell" in page.text and trial.verdict is not None and trial.verdict.why == "leak"
    for row in findings:
        assert (row["what"] in trial.verdict.sentence) == row["leak"]


def test_an_accepted_leak_gives_the_verdict_back_with_its_reason(tmp_path: Path) -> None:
    accepted = dict.fromkeys(("leaking-column", "too-good"), REASON)
    trial, page = page_of(replace(leaking(), accepted=accepted), tmp_path)
    verdict = trial.verdict
    assert verdict is not None and verdict.why != "leak" and verdict.findings == ()
    for row in trial.document["findings"]:
        if row["leak"]:
            assert row["accepted"] == REASON and f"Found, and accepted: {row['what']}. The reason given:" in page.text
    assert page.text.count(f"Accepted, because: {REASON}") == sum(row["leak"] for row in trial.document["findings"])
    assert "<b>" not in page.source.split('id="findings"')[1].split("</div>")[0].replace("<b>accepted</b>", "").replace(
        "<b>finding</b>", ""
    )


def test_nothing_found_is_said(tmp_path: Path) -> None:
    clean = chiasm.cohort.synthetic_cohort("complementary", 120)
    trial, page = page_of(clean, tmp_path)
    assert trial.document["findings"] == [] and "The check found nothing" in page.text
