"""P17: nothing sealed is read before the opening: files, rows and outcomes, in check, encode, evaluate and fit."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import chiasm
from chiasm.cohort import Cohort
from chiasm.cohort.sources import ColumnSource, FileSource
from chiasm.compute.memo import forget
from chiasm.targets.cells import Cells
from chiasm.testing.laws import folder_bytes
from sealed_cohorts import quick_trials, sealed_cohort, sealed_names, spoil
from small_recipes import small

pytestmark = pytest.mark.filterwarnings("ignore::chiasm.errors.FindingWarning")
RECIPES = [small("single", modality="clinical", models="linear"), small("early-fusion"), small("healnet", epochs=3)]
PROTOCOL = chiasm.Protocol(folds=2, repeats=1, inner_folds=2, draws=100)


class Spy:
    """Counts what is read of the sealed patients: opened files, rows of sources, rows of outcomes."""

    def __init__(self) -> None:
        self.names: set[str] = set()
        self.rows: set[int] = set()
        self.seen = Counter[str]()
        self.all = Counter[str]()

    def note(self, what: str, sealed: int, everything: int) -> None:
        self.seen[what] += sealed
        self.all[what] += everything


SPY = Spy()


def _heard(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "open" and SPY.names and isinstance(arguments[0], str) and arguments[0].endswith(".npy"):
        SPY.note("files", Path(arguments[0]).stem in SPY.names, 1)


@pytest.fixture(scope="module")
def heard() -> None:
    """Hear what is opened, for as long as the process lives: what it runs afterwards takes longer by that."""
    sys.addaudithook(_heard)


@pytest.fixture
def spy(heard: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Spy]:
    SPY.seen.clear(), SPY.all.clear()
    for source in (ColumnSource, FileSource):
        for name in ("values", "digests"):
            before = getattr(source, name)

            def watched(self: Any, rows: Any, *rest: Any, before: Any = before) -> Any:
                table = getattr(self, "_table", None)
                if self.path == "patients.csv":
                    SPY.note("rows", len(SPY.rows & set((np.asarray(rows) + 2).tolist())), len(rows))
                elif table is not None:
                    keys = table.texts("case")[rows]
                    SPY.note("rows", len(SPY.names & set(keys.tolist())), len(rows))
                else:
                    own = [Path(str(self._paths[row])).stem for row in rows]
                    SPY.note("rows", len(SPY.names & set(own)), len(rows))
                return before(self, rows, *rest)

            monkeypatch.setattr(source, name, watched)
    made = Cells.__init__

    def told(self: Any, patients: pd.DataFrame, file_rows: Any, path: str | None) -> None:
        SPY.note("outcomes", len(SPY.rows & set(np.asarray(file_rows).tolist())), len(file_rows))
        made(self, patients, file_rows, path)

    monkeypatch.setattr(Cells, "__init__", told)
    yield SPY
    SPY.names = set()


def watch(spy: Spy, manifest: Path) -> None:
    spy.names = sealed_names(manifest)
    cases = pd.read_csv(manifest.parent / "patients.csv")["case"]
    spy.rows = set((np.flatnonzero(cases.isin(spy.names)) + 2).tolist())


def looked(manifest: Path, out: Path) -> tuple[Cohort, list[Any]]:
    """Check, encode and fit, among others a network that stops early and is calibrated; what is fitted, as bytes."""
    forget()
    found = chiasm.check_cohort(manifest)
    cohort = chiasm.encode(chiasm.open_cohort(manifest), store=out / "store").cohort
    models = [chiasm.fit(cohort, recipe) for recipe in RECIPES]
    return cohort, [found, cohort.fingerprint, *(folder_bytes(model.save) for model in models)]


def test_nothing_sealed_is_read_and_nothing_that_is_fitted_depends_on_it(spy: Spy, tmp_path: Path) -> None:
    manifest = sealed_cohort(tmp_path / "cohort", "survival")
    watch(spy, manifest)
    cohort, before = looked(manifest, tmp_path / "before")
    with quick_trials():
        chiasm.evaluate(cohort, RECIPES[1:2], PROTOCOL, out=tmp_path / "run", jobs=1)
    assert not spy.names & set(cohort.ids.tolist())
    assert min(spy.all[what] for what in ("files", "rows", "outcomes")) > 50, "the spy hears what is read"
    assert dict(spy.seen) == {"files": 0, "rows": 0, "outcomes": 0}
    spoil(manifest)
    assert looked(manifest, tmp_path / "after")[1] == before


def test_the_spy_hears_a_look_at_the_sealed(spy: Spy, tmp_path: Path) -> None:
    manifest = sealed_cohort(tmp_path, "survival")
    watch(spy, manifest)
    manifest.with_suffix(".seal.json").unlink()
    _ = chiasm.open_cohort(manifest).fingerprint
    assert min(spy.seen[what] for what in ("files", "rows", "outcomes")) > 5
