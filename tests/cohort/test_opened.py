"""Where a cohort is asked for its manifest will do, and whatever is neither is refused in one sentence."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import chiasm
from chiasm.api.retrieval import similar

FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "check": chiasm.check_cohort,
    "encode": chiasm.encode,
    "evaluate": lambda given: chiasm.evaluate(given, ["single:clinical"]),
    "external": lambda given: chiasm.evaluate(chiasm.synthetic_cohort("unique", 40), ["late-fusion"], external=given),
    "several": lambda given: chiasm.evaluate_cohorts([given, given]),
    "fit": lambda given: chiasm.fit(given, "single:clinical"),
    "similar": lambda given: similar(given, ["1"], by="clinical"),
}
FRAME = pd.DataFrame({"age": [61.0, 52.0], "died": ["yes", "no"]}, index=["Smith", "Jones"])


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wards")
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"case": range(40), "age": rng.normal(60, 9, 40).round(2), "ill": np.tile([0, 1], 20)})
    table.to_csv(folder / "patients.csv", index=False)
    (folder / "cohort.toml").write_text(
        '[patients]\ntable = "patients.csv"\nid = "case"\n[target]\nkind = "classification"\ncolumn = "ill"\n'
        '[modalities.clinical]\nkind = "table"\ncolumns = ["age"]\n'
    )
    return folder


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize(("given", "hint"), [(FRAME, "chiasm.cohort_from_frames"), (7, "chiasm.open_cohort")])
def test_what_is_no_cohort_is_refused_with_the_way_to_one(name: str, given: Any, hint: str) -> None:
    with pytest.raises(chiasm.CohortError, match="no cohort") as refused:
        FUNCTIONS[name](given)
    assert hint in str(refused.value) and "Smith" not in str(refused.value)


def test_objects_of_single_cell_packages_are_named() -> None:
    anndata, mudata = pytest.importorskip("anndata"), pytest.importorskip("mudata")
    annotated = anndata.AnnData(np.ones((2, 2), dtype="float32"))
    with pytest.raises(chiasm.CohortError, match=r"AnnData.*cohort_from_frames"):
        chiasm.check_cohort(annotated)
    with mudata.set_options(pull_on_update=False):
        several = mudata.MuData({"rna": annotated})
    with pytest.raises(chiasm.CohortError, match=r"MuData.*cohort_from_mudata"):
        chiasm.check_cohort(several)


def test_a_manifest_is_opened_wherever_a_cohort_is_asked_for(manifest: Path) -> None:
    cohort = chiasm.open_cohort(manifest)
    model = chiasm.fit(str(manifest / "cohort.toml"), "single:clinical", seed=0)
    predicted = model.predict(cohort)
    pd.testing.assert_frame_equal(chiasm.fit(cohort, "single:clinical", seed=0).predict(cohort), predicted)
    assert chiasm.encode(manifest).cohort.fingerprint == cohort.fingerprint
    assert len(similar(manifest, ["1"], by="clinical", k=3)) == 3
    others = chiasm.fit(cohort.subset(range(30)), "single:clinical", seed=0)
    assert chiasm.validate(others, manifest, draws=100).document["patients"] == 40


@pytest.mark.parametrize("function", [chiasm.seal, chiasm.open_cohort], ids=["seal", "open_cohort"])
def test_a_cohort_in_memory_is_no_manifest(function: Callable[[Any], Any]) -> None:
    with pytest.raises(chiasm.CohortError, match="no path of a manifest; write its tables to files"):
        function(chiasm.synthetic_cohort("unique", 40))
