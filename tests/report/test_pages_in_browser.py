"""Every page that is written, in a real browser: readable by all, no wider than its window, nothing from elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import chiasm
from browser import SCHEMES, WIDTHS, chromium, faults_of, needs_browser
from chiasm.cohort import synthetic_cohort
from chiasm.evaluation import Protocol
from chiasm.report import write_report
from fake_trials import synthetic_trial
from lighter_trials import ridges_by_day
from made_suites import confusing_folder

pytestmark = needs_browser
QUICK = Protocol(folds=2, repeats=1, draws=100)


def cohort_of(seed: int, n: int = 120) -> Any:
    return synthetic_cohort("complementary", n=n, seed=seed, missing=0.2)


def trial_page(path: Path) -> None:
    write_report(synthetic_trial("classification", n=90, protocol=QUICK), path)


def survival_page(path: Path) -> None:
    write_report(synthetic_trial("survival", n=90, protocol=QUICK), path)


def validation_page(path: Path) -> None:
    chiasm.validate(chiasm.fit(cohort_of(0), "late-fusion"), cohort_of(1), draws=100).report(path)


def monitoring_page(path: Path) -> None:
    chiasm.monitor(chiasm.fit(cohort_of(0), "late-fusion"), [cohort_of(1), cohort_of(2)]).report(path)


def stress_page(path: Path) -> None:
    chiasm.stress(cohort_of(0), "late-fusion", faults="lost", protocol=QUICK, jobs=1).report(path)


def embedding_page(path: Path) -> None:
    cohort = synthetic_cohort("complementary", n=120, seed=0).with_modalities(["m1"])
    values = np.random.default_rng(0).normal(size=(len(cohort), 4))
    files = {name: path.with_name(f"{name}.npy") for name in ("one", "an_embedding_of_a_rather_long_name")}
    for place, own in enumerate(files.values()):
        np.save(own, values + place)
    chiasm.embed(cohort, files=files, shares=(5, 50, 100), draws=2, protocol=QUICK, jobs=1).report(path)


def bench_page(path: Path) -> None:
    data = confusing_folder(path.with_name("pairs"), 36)
    chiasm.bench("mediconfusion", data=data, model=lambda item: item["options"][0], draws=100).report(path)


PAGES = {
    "trial": trial_page,
    "survival": survival_page,
    "validation": validation_page,
    "monitoring": monitoring_page,
    "stress": stress_page,
    "embedding": embedding_page,
    "bench": bench_page,
}
BY_DAY = ("trial", 390, "dark")
CASES = [(name, width, scheme) for name in PAGES for width in WIDTHS for scheme in SCHEMES]
MARKED = [
    pytest.param(case, id="-".join(map(str, case)), marks=() if case == BY_DAY else pytest.mark.nightly)
    for case in CASES
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as own:
        yield own


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    folder = tmp_path_factory.mktemp("pages")

    def page_of(name: str) -> Path:
        with ridges_by_day():
            PAGES[name](folder / f"{name}.html")
        return folder / f"{name}.html"

    return cache(page_of)


@pytest.mark.parametrize("case", MARKED)
def test_all_can_read_it_at_this_width(
    browser: Any, written: Callable[[str], Path], case: tuple[str, int, str]
) -> None:
    name, width, scheme = case
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    try:
        page, asked, said = context.new_page(), [], []
        page.on("request", lambda own: asked.append(own.url))
        page.on("console", lambda own: said.append(own.text))
        page.goto(written(name).as_uri())
        assert faults_of(page) == []
        assert [own for own in asked if not own.startswith(("file:", "data:"))] == [] and said == []
    finally:
        context.close()
