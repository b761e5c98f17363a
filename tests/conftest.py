"""Fixtures that several folders of tests share."""

# ruff: noqa: E402 (before anything of ours is imported, a process is forked)

from __future__ import annotations

import gc
import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

gc.disable()  # until all is imported and collected: what is imported stays, and would be looked through again and again
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pandas as pd
import pytest
from hypothesis import settings

import young_process

for _ in range(young_process.forks_asked(sys.argv)):
    young_process.begin()  # before anything of ours is imported

from chiasm import screen
from chiasm.cli import main
from cohort_folder import MANIFEST, CohortFolder
from command_line import Run, Said
from examples import ALL, examples, leave_constants

pytest_plugins = ["pytester", "cpu_costs", "forks", "not_run", "random_order"]


def pytest_collection_finish() -> None:
    """Leave the modules and the collected tests out of the collections of garbage to come: a twentieth of the time."""
    gc.collect()
    gc.freeze()
    gc.enable()
    gc.set_threshold(50_000, 20, 50)  # arrays and graphs are freed without it: what it looks for are rare circles


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """The longest first, so that none of them begins when the other process has nothing left to do.

    Last are those who have this process listen to whatever is done in it, and so slow what follows.
    """
    if config.getoption("random_order") is None:
        items.sort(
            key=lambda item: (item.get_closest_marker("slow") is None, "heard" in getattr(item, "fixturenames", ()))
        )


settings.register_profile("ours", max_examples=examples(100))  # where a law names no number of its own
settings.load_profile("ours")
leave_constants()

STORES = count()


@pytest.fixture(autouse=True)
def own_store(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A token store for this test alone: no test reads or fills the store of whoever runs it."""
    # A number of our own: pytest's would look through the folders of all tests before, for each test.
    place = tmp_path_factory.getbasetemp() / "stores" / str(next(STORES)) / "tokens"
    monkeypatch.setenv("CHIASM_STORE", str(place))
    return place


SEE_PICTURES = {"report", "test_p28_no_identifier_anywhere", "test_tokens_explained"}  # a folder of tests, and files


@pytest.fixture(autouse=True, scope="module")
def without_pictures(request: pytest.FixtureRequest) -> Iterator[None]:
    """Pages have empty pictures, but where tests look at them (`report/`): to draw is most of what a page costs."""
    if SEE_PICTURES & {request.path.parent.name, request.path.stem}:
        yield
        return
    from blank_figures import undrawn

    with undrawn(axes=bool(os.environ.get(ALL))):
        yield


@pytest.fixture
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trials have a hundred bootstrap draws, which the command line has no option for."""
    from chiasm.api import trials

    whole = trials.run_trial

    def small(cohort: Any, recipes: Any, protocol: Any, **named: Any) -> Any:
        return whole(cohort, recipes, replace(protocol, draws=100), **named)

    monkeypatch.setattr(trials, "run_trial", small)


@pytest.fixture
def cohort_folder(tmp_path: Path, written_folder: CohortFolder) -> CohortFolder:
    """40 patients `001` .. `040` without a problem: a table, omics of 30 patients, bags of 20, four given folds."""
    return CohortFolder(shutil.copytree(written_folder.path, tmp_path / "bladder"))


@pytest.fixture(scope="session")
def written_folder(tmp_path_factory: pytest.TempPathFactory) -> CohortFolder:
    """The folder of which each test spoils a copy."""
    rng = np.random.default_rng(0)
    n = 40
    ids = [f"{i:03d}" for i in range(1, n + 1)]
    folder = CohortFolder(tmp_path_factory.mktemp("written") / "bladder")
    (folder.path / "slides").mkdir(parents=True)
    folder.manifest.write_text(MANIFEST)
    clinical = {
        "case_id": ids,
        "site": rng.choice(["A", "B", "C"], n),
        "months": rng.exponential(20, n).round(2) + 0.1,
        "died": np.arange(n) % 2,
        "age": rng.integers(40, 80, n),
        "sex": rng.choice(["male", "female"], n),
    }
    folder.write_clinical(pd.DataFrame(clinical))
    rna = pd.DataFrame(rng.normal(size=(30, 6)).astype(np.float32), columns=[f"G{k}" for k in range(6)])
    rna.insert(0, "case_id", ids[:30])
    rna.to_parquet(folder.path / "rna.parquet", index=False)
    for i in range(20):
        np.save(folder.path / "slides" / f"{ids[i]}.npy", rng.normal(size=(3 + i % 4, 5)).astype(np.float32))
    pd.DataFrame({"case_id": ids, "fold": np.arange(n) // 2 % 4}).to_csv(folder.path / "folds.csv", index=False)
    return folder


@pytest.fixture
def shared_data() -> Path:
    """The folder of real cohorts beside the repository; the test is skipped where it is absent."""
    folder = Path(__file__).parents[1].parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the folder of real cohorts is not beside the repository")
    return folder


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, brief: None) -> Run:
    """Run the command line in this process; trials are brief."""
    monkeypatch.delenv(screen.TRACEBACK, raising=False)

    def call(*words: object) -> Said:
        capsys.readouterr()
        with pytest.raises(SystemExit) as stopped:
            main([str(word) for word in words])
        said = capsys.readouterr()
        return Said(int(stopped.value.code or 0), said.out, said.err)

    return call


@pytest.fixture
def two_tables(cohort_folder: CohortFolder) -> CohortFolder:
    """The cohort without bags: quicker."""
    cohort_folder.edit('[modalities.slide]\nkind = "bag"\npath = "slides/{id}.npy"\n', "")
    return cohort_folder
