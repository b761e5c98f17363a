"""`retina-vlm` reads no table: of who has a table alone the prior of the training set is said, and no constant."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import chiasm
from chiasm.language.question_sets.planted import SHAPES
from chiasm.recipes.language.retina_vlm import RetinaVlm
from planted_shapes import shapes_cohort
from small_recipes import at_night

BRIEF: dict[str, Any] = {"epochs": 1, "lessons": 1, "soft": 2, "connector": "resampler", "batch": 64}
SHARES = (0.5, 0.3, 0.2)


def taught(target: str, n: int = 40) -> chiasm.Cohort:
    """Pictures with a table that teaches; every fourth patient has the table alone. Half are squares, a fifth rings."""
    shown = shapes_cohort(n)
    rng = np.random.default_rng(0)
    seen = [SHAPES[k] for k in np.repeat(range(3), [round(share * n) for share in SHARES])]
    table = pd.DataFrame({"thick": rng.integers(0, 2, n), "wide": rng.normal(size=n)}, index=shown.ids)
    images = {
        key: own for k, (key, own) in enumerate(zip(shown.ids.tolist(), shown.raw("image"), strict=True)) if k % 4
    }
    answers = pd.DataFrame({"shape": seen}, index=shown.ids)
    kinds: dict[str, Any] = {
        "classification": chiasm.Classification("shape"),
        "text": chiasm.FreeText("shape"),
        "choice": chiasm.Choice("shape", ("a", "b", "c"), "text"),
    }
    for name, own in zip("abc", SHAPES, strict=True):
        answers[name] = own
    return chiasm.cohort_from_frames(answers, {"image": images, "clinical": table}, kinds[target])


@pytest.mark.parametrize("target", ["text", *at_night("classification", "choice")])
def test_of_a_table_alone_the_prior_is_said(target: str, tmp_path: Path) -> None:
    cohort = taught(target)
    model = RetinaVlm(**BRIEF).fit(cohort, seed=0)
    assert model.has_prior and "clinical" not in model.modalities
    said = model.predict(cohort)
    alone = said[said["pattern"] == ""]
    assert len(alone) == 10 and set(said["pattern"]) == {"", "image"}
    values = alone.drop(columns="pattern")
    assert (values.nunique() == 1).all()
    if target == "text":
        assert set(values["text"]) == {"square"}
    else:
        found = values.filter(like="p_").iloc[0]
        order = [f"p_{name}" for name in SHAPES] if target == "classification" else ["p_1", "p_2", "p_3"]
        np.testing.assert_allclose(found[order].astype(float), SHARES, atol=0.05 if target == "choice" else 0.01)
    nothing = model.predict(cohort.with_modalities(["clinical"]).subset([0]))
    pd.testing.assert_frame_equal(nothing.drop(columns="pattern"), values.iloc[[0]].set_index(nothing.index))
    model.save(tmp_path / "model")
    pd.testing.assert_frame_equal(chiasm.load_model(tmp_path / "model").predict(cohort), said)
