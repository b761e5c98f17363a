"""The page: one valid file that needs nothing else, for every kind of trial, and without a patient in it."""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from chiasm.cohort import Classification, Cohort, Survival, cohort_from_frames
from chiasm.evaluation import Protocol, Trial
from chiasm.report import calibration, write_report
from chiasm.report.calibration import NO_SPREAD, number_row
from chiasm.report.drawing import Picture
from chiasm.report.recipes import best_of
from chiasm.report.sides import aside_sentences
from chiasm.report.verdict import verdict_part
from examples import ALL
from fake_trials import FUSED, GUESS, SINGLES, Linear, run, synthetic_trial
from html_page import Page
from young_process import run_young

KINDS = ("classification", "multilabel", "regression", "survival")
DRAWN_BY_DAY = ("multilabel", "survival")  # of one label, and of several
UNDRAWN = "data:image/svg+xml;base64,"
QUICK = Protocol(folds=2, repeats=1, draws=100)
SECTIONS = ["verdict", "cohort", "recipes", "patterns", "calibration", "risk", "checks", "reporting", "repeat"]


def page_of(trial: Trial, folder: Path) -> Page:
    return Page(write_report(trial, folder / "report.html"))


def pictures(page: Page) -> list[str]:
    """The SVG of each picture."""
    return [base64.b64decode(image["src"].split(",")[1]).decode() for image in page.images]


def frames(n: int, modalities: int, seed: int = 0) -> dict[str, pd.DataFrame]:
    """Modalities `m1`, `m2`, ... of which each patient has some."""
    rng = np.random.default_rng(seed)
    ids = [f"p{i:04d}" for i in range(n)]
    present = rng.random((n, modalities)) < 0.7
    present[~present.any(1), 0] = True
    return {
        f"m{m + 1}": pd.DataFrame(rng.normal(size=(n, 4)), index=ids, columns=list("abcd"))[present[:, m]]
        for m in range(modalities)
    }


def several_classes(n: int = 180) -> Cohort:
    labels = np.random.default_rng(1).choice(["grade 1", "grade 2", "grade 3"], n)
    patients = pd.DataFrame({"grade": labels}, index=[f"p{i:04d}" for i in range(n)])
    return cohort_from_frames(patients, frames(n, 5), Classification("grade"), name="several classes")


def one_split(n: int = 150) -> Cohort:
    """Half of the patients are never tested."""
    rng = np.random.default_rng(2)
    patients = pd.DataFrame(
        {
            "days": rng.exponential(400, n).round() + 1,
            "died": rng.integers(0, 2, n),
            "fold": np.where(np.arange(n) % 2, "train", "held out"),
        },
        index=[f"p{i:04d}" for i in range(n)],
    )
    return cohort_from_frames(
        patients, frames(n, 2), Survival("days", "died", unit="days"), folds="fold", name="one split"
    )


@pytest.fixture(scope="module")
def trials() -> dict[str, Trial]:
    made = {kind: synthetic_trial(kind, protocol=QUICK, recipes=(*SINGLES, *FUSED, GUESS)) for kind in KINDS}
    made["single pattern"] = synthetic_trial("classification", missing=0.0, protocol=QUICK)
    made["singles only"] = synthetic_trial("survival", recipes=SINGLES, protocol=QUICK)
    made["repeats"] = synthetic_trial("regression", protocol=replace(QUICK, repeats=2))
    five = tuple(f"m{k}" for k in range(1, 6))
    made["several classes"] = run(
        several_classes(), [Linear("single:m1", ("m1",)), Linear("all five", five, "fusion")], QUICK
    )
    made["one split"] = run(one_split(), [*SINGLES, *FUSED], QUICK)
    return made


@pytest.fixture(scope="module")
def pages(trials: dict[str, Trial], tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Page]:
    """The page of a trial, written once; by day those of two kinds of target have their pictures."""

    def written(name: str) -> Page:
        with pytest.MonkeyPatch.context() as patch:
            if name not in DRAWN_BY_DAY and not os.environ.get(ALL):
                patch.setattr(Picture, "source", UNDRAWN)
            return page_of(trials[name], tmp_path_factory.mktemp("page"))

    return cache(written)


@pytest.fixture
def undrawn_by_day(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pictures of a page that nobody looks at are empty, but at night."""
    if not os.environ.get(ALL):
        monkeypatch.setattr(Picture, "source", UNDRAWN)


NAMES = (*KINDS, "single pattern", "singles only", "repeats", "several classes", "one split")


@pytest.mark.parametrize("name", NAMES)
def test_page_is_valid_and_needs_nothing_else(pages: Callable[[str], Page], name: str) -> None:
    page = pages(name)
    assert page.faults == []
    assert page.source.lstrip().startswith("<!DOCTYPE html>")
    assert len(page.ids) == len(set(page.ids))
    assert [identifier for identifier in page.ids if identifier in SECTIONS] == SECTIONS
    assert page.headings[0] == "h1" and page.headings.count("h1") == 1
    assert not re.search(r"https?://|<script |@import|url\(|<link|<iframe|<object", page.source)
    assert all(
        value.startswith("data:image/svg+xml;base64,") for _, attribute, value in page.attributes if attribute == "src"
    )
    assert all(value.startswith("#") for _, attribute, value in page.attributes if attribute == "href")
    assert len(page.images) >= 3 and all(len(image["alt"]) > 20 for image in page.images)
    for drawn in pictures(page):
        assert "<script" not in drawn and not re.search(r"(href|src)=\"(?!#)", drawn)


@pytest.mark.parametrize("name", ["survival", "multilabel"])
def test_a_table_that_may_be_wider_than_a_phone_scrolls_by_itself(pages: Callable[[str], Page], name: str) -> None:
    """Else the whole page would be wider; and where the table is wide, the page says so."""
    source = pages(name).source
    narrow = {"facts": 2, "modalities": 4}  # columns, of words that break
    for found in re.finditer(r'<table class="([^"]*)"(?: id="([^"]*)")?', source):
        kinds, called = found[1].split(), found[2]
        before = source[: found.start()].rstrip()
        if called in narrow or set(kinds) & set(narrow):
            continue
        assert before.endswith('aria-label="Table">'), found[0]
        if set(kinds) & {"wide", "patterned", "items"}:
            hint = before.rpartition("<div")[0].rstrip()
            assert hint.endswith("The table is wider than a small screen: scroll it sideways.</p>"), found[0]


def test_figures_of_each_kind(pages: Callable[[str], Page]) -> None:
    survival = pages("survival")
    assert len(survival.tables["risk-table"]) == 4
    assert any("Kaplan-Meier curves" in image["alt"] for image in survival.images)
    for kind in ("classification", "multilabel", "regression"):
        page = pages(kind)
        assert "there are no survival curves" in page.text and "risk-table" not in page.tables
        assert any("against" in image["alt"] for image in page.images)
    assert [row[0] for row in pages("multilabel").tables["label-table"]] == ["label", "label", "rarer"]
    assert [row[1] for row in pages("multilabel").tables["calibration-table"][1:3]] == ["label", "rarer"]
    assert all("label-table" not in pages(kind).tables for kind in KINDS if kind != "multilabel")
    classes = pages("several classes")
    assert [row[1] for row in classes.tables["calibration-table"][1:4]] == ["grade 1", "grade 2", "grade 3"]


@pytest.mark.usefixtures("undrawn_by_day")
def test_what_cannot_be_estimated_says_so(pages: Callable[[str], Page], tmp_path: Path) -> None:
    row = next(row for row in pages("regression").tables["recipe-table"] if row[0].startswith("guess"))
    assert row[3] == "not estimable"  # a constant ranks nobody
    few = page_of(synthetic_trial("classification", n=40, missing=0.45, protocol=QUICK), tmp_path)
    assert any("not estimable" in cell for row in few.tables["pattern-table"] for cell in row)
    assert "nan" not in few.text.lower().split()


@pytest.mark.usefixtures("undrawn_by_day")
def test_a_trial_with_too_few_events_has_a_page(tmp_path: Path) -> None:
    n = 60
    patients = pd.DataFrame({"y": (np.arange(n) < 4).astype(int)}, index=[f"p{i:04d}" for i in range(n)])
    cohort = cohort_from_frames(patients, frames(n, 2), Classification("y"), name="few")
    page = page_of(run(cohort, [*SINGLES, FUSED[0]], Protocol(folds=2, repeats=1, inner_folds=2, draws=100)), tmp_path)
    assert page.faults == [] and "not estimable" in page.text
    assert all(cell == "not estimable" for row in page.tables["recipe-table"][2:] for cell in row[1:-2])
    assert page.source.count("<img") >= 2


def test_one_pattern_is_a_sentence(pages: Callable[[str], Page]) -> None:
    page = pages("single pattern")
    assert "there is one pattern only" in page.text and "pattern-table" not in page.tables


def test_one_split_says_what_it_cannot_know(pages: Callable[[str], Page]) -> None:
    page = pages("one split")
    assert "With one split the intervals are a bootstrap of its test patients only" in page.text
    assert "Prescribed by the cohort: 1 test fold" in page.text
    assert page.facts()["Tested"] == "75; the other 75 are in training sets only"
    assert "held out" not in page.source  # names of folds are the user's own words
    assert "--folds" not in page.text and "folds=" not in page.text


def test_without_a_verdict(pages: Callable[[str], Page]) -> None:
    page = pages("singles only")
    assert "There is no verdict" in page.text and "which flatters it" in page.text
    assert len(page.tables["calibration-table"]) == 2


def test_without_a_verdict_the_forms_that_lack_are_named(trials: dict[str, Trial]) -> None:
    trial = trials["singles only"]
    forms = ["unet:modality=a", "unet:modality=b"]
    asked = {"name": "unet", "family": "segmentation", "side": "aside", "forms": forms}
    rows = [*trial.document["recipes"], asked]
    part = verdict_part(Trial({**trial.document, "recipes": rows}, trial.predictions, trial.outcomes))
    assert part.word == "no verdict" and all(f"'{form}'" in part.rest for form in forms)


def test_intervals_are_called_what_they_are(trials: dict[str, Trial], pages: Callable[[str], Page]) -> None:
    """In the table of the page and in that of the trial; the rule of the repeats stands with the number."""
    for kind in KINDS:
        page = pages(kind)
        assert page.tables["recipe-table"][0][1] == "mean 95 % interval, given the fitted models"
        assert page.tables["measure-table"][0][-1] == "mean 95 % interval, given the fitted models"
        assert set(trials[kind].table()["interval"]) == {"conditional"}
        assert (
            "The folds were drawn once. Unless a number is asked for, the cohort alone decides"
            in page.facts()["Repeats"]
        )
        assert page.facts()["Weights"].startswith("Each test fold counts the same in a mean")
    assert "The folds were drawn twice." in pages("repeats").facts()["Repeats"]
    assert pages("one split").facts()["Repeats"].startswith("None: the folds are given.")


def test_no_claim_without_ground(pages: Callable[[str], Page]) -> None:
    """Groups by cross-validated risk have no p; how often test patients were looked at is not known without a seal."""
    for name in NAMES:
        text = pages(name).text.lower()
        assert "log-rank" not in text and "p < " not in text and "p = " not in text
        assert "opened" not in text and "is not known here" in pages(name).facts()["Predictions"]


def test_survival_says_where_it_is_read(trials: dict[str, Trial], pages: Callable[[str], Page]) -> None:
    """At horizons of each fold: no fold's time stands for all, and every table names the span of the middle ones."""
    page, trial = pages("survival"), trials["survival"]
    assert trial.document["cohort"]["target"]["times"] == []
    middle = [sorted(float(c[9:]) for c in f if c.startswith("survival_"))[1] for f in trial.frames["guess"].values()]
    span = f"the middle horizon of each fold (between {min(middle):g} and {max(middle):g}"
    assert len(set(middle)) > 1 and span in page.tables["risk-table"][0][3]
    assert span in page.tables["calibration-table"][0][1] and "each fold's own" in page.facts()["Horizons"]
    assert "Uno's C counts events up to" in page.text and "The integrated Brier score spans the horizons" in page.text
    assert page.tables["horizon-table"][1][0].startswith("AUC at the first horizon")


def test_contrasts_have_their_intervals_or_words(trials: dict[str, Trial], pages: Callable[[str], Page]) -> None:
    trial = trials["classification"]
    rows = [row[0] for row in pages("classification").tables["contrast-table"]]
    assert rows == ["contrast", "in all", "coverage", "combining", "beyond presence", "fixed pair"]
    nothing = {"coverage": [0.0, 0.0, 0.0], "combining": [None, None, None]}
    stored = {**trial.document, "verdict": {**trial.document["verdict"], **nothing}}
    part = verdict_part(Trial(stored, trial.predictions, trial.outcomes))
    said = {row.name: row.said for row in part.contrasts}
    assert said["coverage"] == "equal rankings, no interval" and said["combining"] == "not estimable"
    assert part.picture is not None and "0.000 (0.000 to 0.000)" not in part.picture.text


def test_who_stood_on_which_side(trials: dict[str, Trial], pages: Callable[[str], Page]) -> None:
    """Candidates and settings of both sides are counted, and what would give a recipe its say is named."""
    trial = trials["classification"]
    names = [row["name"] for row in trial.document["recipes"]]
    assert "Single: 2 candidates with 2 settings tried on inner folds; picked: 'single:" in pages("classification").text
    rows = [
        {**row, "side": "aside", "forms": ["late-fusion:modality=m1", "single:m1"]}
        if row["name"] == "late-fusion"
        else row
        for row in trial.document["recipes"]
    ]
    text = " ".join(aside_sentences(rows))
    assert "single:m1" in names and "add 'late-fusion:modality=m1' to the recipes" in text and "'single:m1'" not in text


def test_references_are_never_the_best(trials: dict[str, Trial]) -> None:
    trial = trials["classification"]
    picked = {**trial.document["verdict"], "best_single": "presence", "single_counts": {"presence": 2, "single:m1": 1}}
    rows = [
        *trial.document["recipes"],
        {**trial.document["recipes"][0], "name": "presence", "mean": 0.99, "side": "single"},
    ]
    best = best_of(Trial({**trial.document, "verdict": picked, "recipes": rows}, trial.predictions, trial.outcomes))
    assert [one.name for one in best][1] == "single:m1"
    alone = best_of(Trial({**trial.document, "verdict": None, "recipes": rows}, trial.predictions, trial.outcomes))
    assert alone[0].name not in ("presence", "null", "best-available")


def test_verdict_stands_first_in_its_own_words(trials: dict[str, Trial], pages: Callable[[str], Page]) -> None:
    for kind in KINDS:
        verdict = trials[kind].verdict
        assert verdict is not None
        page = pages(kind)
        assert verdict.sentence in page.text
        assert f'class="verdict {verdict.outcome.replace(" ", "-")}"' in page.source
        assert page.text.index(verdict.sentence) < page.text.index("2. The cohort")


@pytest.mark.usefixtures("undrawn_by_day")
def test_names_are_text_and_never_markup(trials: dict[str, Trial], tmp_path: Path) -> None:
    trial = trials["single pattern"]
    name = '<img src=x onerror="alert(1)">&amp;'
    cohort = {**trial.document["cohort"], "name": name}
    page = page_of(Trial({**trial.document, "cohort": cohort}, trial.predictions, trial.outcomes), tmp_path)
    assert page.faults == [] and name in page.text and "<img src=x" not in page.source


def test_no_patient_is_on_the_page(tmp_path: Path) -> None:
    """Planted identifiers, groups and values, as they are or rounded, stand nowhere, the pictures included."""
    n, rng = 150, np.random.default_rng(3)
    ids = [f"MRN{7000000 + 13 * i}" for i in range(n)]
    days = rng.exponential(400, n) + 1
    days[:3] = (8765.4321, 7654.3219, 0.0123456)
    patients = pd.DataFrame(
        {"days": days, "died": rng.integers(0, 2, n), "family": [f"KIN{9100 + i // 2}" for i in range(n)]}, index=ids
    )
    tables = {
        name: frame.set_index(pd.Index(ids)[frame.index.str[1:].astype(int)]) for name, frame in frames(n, 2).items()
    }
    tables["m1"].iloc[0, 0] = 4321.98765
    target = Survival("days", "died", unit="days")
    cohort = cohort_from_frames(patients, tables, target, group="family", name="private")
    trial = run(cohort, [*SINGLES, *FUSED], replace(QUICK, folds=3))
    page = page_of(trial, tmp_path)
    drawn = [re.sub(r'"[-\d.,() a-zA-Z]*\d\.\d{6}[^"]*"', '""', picture) for picture in pictures(page)]  # no places
    everything = "\n".join([page.source, *drawn, *(image["alt"] for image in page.images)])
    for planted in ("MRN", "KIN", "8765", "8,765", "8770", "8,770", "7654", "7,654", "4321", "4322", "0.0123", *ids):
        assert planted not in everything.replace("BMJ", ""), planted
    exact = [f"{value:.6g}" for value in days]
    assert not [value for value in exact if re.search(rf"(?<![\d.]){re.escape(value)}(?![\d])", page.text)]


def test_same_trial_same_bytes_and_the_users_pictures_are_left_alone(
    trials: dict[str, Trial], pages: Callable[[str], Page], tmp_path: Path
) -> None:
    import matplotlib

    first = pages("survival").source
    with matplotlib.rc_context({"font.size": 31, "lines.linewidth": 7}):
        before = dict(matplotlib.rcParams)
        styled = write_report(trials["survival"], tmp_path / "new" / "b.html").read_text("utf-8")
        assert dict(matplotlib.rcParams) == before
    assert styled == first
    assert [path.name for path in tmp_path.rglob("*")] == ["new", "b.html"]


def test_nothing_heavy_is_imported_before_a_page_is_written_and_pyplot_never(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from fake_trials import SINGLES, Protocol, synthetic_trial;"
        "from chiasm.report import write_report;"
        "protocol = Protocol(folds=2, repeats=1, draws=100);"
        "trial = synthetic_trial('regression', n=60, recipes=SINGLES, protocol=protocol);"
        "print([name for name in ('matplotlib', 'lifelines', 'jinja2') if name in sys.modules]);"
        f"write_report(trial, Path({str(tmp_path / 'a.html')!r}));"
        "print('matplotlib' in sys.modules, 'matplotlib.pyplot' in sys.modules)"
    )
    done = run_young(code, cwd=Path(__file__).parents[1])
    assert done.stdout.split("\n")[:2] == ["[]", "True False"]


def test_a_mean_that_is_zero_but_for_rounding_is_told_as_zero() -> None:
    value = np.array([0.1, 0.2, -0.3]) / 3
    table = pd.DataFrame({"prediction": value + 0.5, "value": value - value.mean() + 4e-12})
    assert number_row(table)[:2] == ["0.5", "0"]


def test_numbers_that_are_alike_in_all_are_said_and_not_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    table = pd.DataFrame({"prediction": [[1.0], [2.0]], "value": [[3.0], [3.0]]})
    monkeypatch.setattr(calibration, "first_repeat", lambda trial, name: table)
    flags = dict.fromkeys(("has_times", "has_texts", "has_classes", "has_labels", "has_options"), False)
    links = lambda table, classes: np.stack(table["prediction"].to_numpy())  # noqa: E731
    target = SimpleNamespace(**flags, has_channels=True, links=links)
    trial: Any = SimpleNamespace(target=target, classes=())
    part = calibration.calibration_part(trial, [SimpleNamespace(name="unet", side="aside")])  # type: ignore[list-item]
    assert part.said == NO_SPREAD and part.picture is None and part.rows == []
