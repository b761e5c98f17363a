"""SegBook's claims come out of results in its schema as they were planted, with what cannot be told said so."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from chiasm.bench.segbook import DATASETS, TARGETS, segbook_claims


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Structures that gain 0.02, lesions that gain nothing, and middle data sets that gain least."""
    folder = tmp_path_factory.mktemp("segbook")
    rng = np.random.default_rng(0)

    def dice(gain: float) -> dict[str, float | None]:
        scratch = 0.8 + rng.normal(0, 0.05, 3)
        own = dict(zip(("base", "large", "huge"), scratch.tolist(), strict=True))
        tuned = {f"{name}_ft": value + gain + rng.normal(0, 0.004) for name, value in own.items()}
        return {"nnunet": 0.8, **own, **tuned}

    names = {"Abdomen": [f"Organ {k}--x" for k in range(20)], "Disease": [f"Liver tumor {k}--x" for k in range(20)]}
    content = {group: {name: dice(0.02 if group == "Abdomen" else 0.0) for name in own} for group, own in names.items()}
    content["Abdomen"]["Empty--x"] = {"nnunet": 0.5, "base": None, "base_ft": None}
    (folder / TARGETS).write_text(json.dumps(content))
    rows = []
    for number in range(30):
        cases, gain = 10 + 10 * number, 0.01 if 10 <= number < 20 else 0.05
        scores = {f"Dice {name}": value for name, value in dice(gain).items()}
        rows.append(
            {"Dataset": f"Task{number}", "Modality": ("CT", "T1 MRI")[number % 2], "Train cases": cases, **scores}
        )
    pd.DataFrame(rows).to_csv(folder / DATASETS, index=False)
    return folder


def test_planted_claims_hold_and_others_do_not(results: Path) -> None:
    found = segbook_claims(results, draws=500)
    claims = found.claims.set_index("group")
    assert claims.loc["structures", "holds"] == "yes" and claims.loc["structures", "gain"] == pytest.approx(
        0.02, abs=0.005
    )
    assert claims.loc["lesions", "holds"] == "cannot tell" and claims.loc["lesions", "n"] == 20
    assert claims.loc["data sets of MRI", "holds"] == "yes"
    middle = claims.loc["few and many less middle"]
    assert middle["holds"] == "yes" and middle["gain"] == pytest.approx(0.04, abs=0.005)
    assert set(found.files) == {TARGETS, DATASETS}
    assert "Empty" not in set(found.gains["name"])
    assert claims["low"].le(claims["gain"]).all() and claims["high"].ge(claims["gain"]).all()


def test_either_file_is_enough_and_too_few_is_said(results: Path, tmp_path: Path) -> None:
    few = pd.read_csv(results / DATASETS).head(4)
    few.to_csv(tmp_path / DATASETS, index=False)
    claims = segbook_claims(tmp_path, draws=100).claims
    assert set(claims["holds"]) == {"too few"} and claims["gain"].isna().all()


def test_files_of_another_schema_are_refused(results: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="lacks segbook_results"):
        segbook_claims(tmp_path)
    (tmp_path / TARGETS).write_text('{"Abdomen": {"Liver": {"nnunet": 0.9}}}')
    with pytest.raises(ValueError, match="no Dice of a network both"):
        segbook_claims(tmp_path)
    (tmp_path / TARGETS).unlink()
    pd.read_csv(results / DATASETS).drop(columns="Modality").to_csv(tmp_path / DATASETS, index=False)
    with pytest.raises(ValueError, match="lacks Dataset, Modality or Train cases"):
        segbook_claims(tmp_path)
