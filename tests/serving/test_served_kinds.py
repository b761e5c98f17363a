"""Of every kind of target a model is served as it predicts offline, or refused in one sentence: never a third way."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import chiasm
from chiasm.errors import Unsupported
from chiasm.targets.kinds import KINDS
from lighter_trials import only_ridges
from served_models import OPENLY, asked

DRAWN = {"boxes", "mask"}  # in images: test_outline_service.py, tests/detection
OTHERWISE = {"choice"}  # asked with options: test_served_choices.py


def kinds() -> list[Any]:
    """By day those that no other test of the service asks for."""
    by_day = ("competing", "response", "text")
    every = sorted(set(KINDS) - DRAWN - OTHERWISE)
    return [pytest.param(own, marks=() if own in by_day else pytest.mark.nightly) for own in every]


@pytest.mark.parametrize("kind", kinds())
def test_it_is_the_offline_prediction_or_refused(kind: str, tmp_path: Path) -> None:
    cohort = chiasm.synthetic_cohort("unique", n=80, target=kind, missing=0.2, seed=0)
    with only_ridges():
        chiasm.fit(cohort, "late-fusion", seed=0).save(tmp_path / "model")
    new = chiasm.synthetic_cohort("unique", n=20, target=kind, missing=0.2, seed=1).with_target(None, None)
    new = new.subset(np.flatnonzero(new.present.any(1)))
    expected = chiasm.load_model(tmp_path / "model").predict(new).loc[list(new.ids)]
    body: list[dict[str, Any]] = [{} for _ in new.ids]
    for name in new.modalities:
        for row, values in zip(new.rows_of(name).tolist(), new.raw(name).to_dict("records"), strict=True):
            body[row][name] = values
    try:
        with asked([tmp_path / "model"], policy=OPENLY) as client:
            answers = client.post("/predict", json={"patients": body}).json()["patients"]
    except Unsupported as error:
        assert kind == "text" and "\n" not in str(error) and "chiasm predict" in str(error)
        return
    assert [own["pattern"] for own in answers] == expected["pattern"].tolist()
    found = pd.DataFrame([own["prediction"] for own in answers], index=expected.index)
    told = expected.drop(columns="pattern")
    for name in told.columns if kind != "response" else ["response"]:
        own, offline = found[name].tolist(), told[name].tolist() if name in told else told.to_numpy().tolist()
        if isinstance(offline[0], str):
            assert own == offline
        else:
            np.testing.assert_allclose(np.array(own, dtype=float), np.array(offline, dtype=float), atol=1e-6, rtol=1e-6)
