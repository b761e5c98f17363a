"""Differential privacy: what is refused, what is looked at, and a mark that says what was promised."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from made_patients import patients

import chiasm
from chiasm.api.generating import generate
from chiasm.cohort import Unsupported
from chiasm.cohort.generated import Generated
from chiasm.generation.margins import Margins
from chiasm.generation.private_training import promised
from chiasm.generation.rows import OUTCOME

N = 120


def cohort(*names: str) -> chiasm.Cohort:
    made = patients(5, N, width=24)
    index = pd.Index([f"p{k}" for k in range(N)], dtype=object)
    blocks = {name: made.blocks[name].set_axis(index, axis=0)[made.present[name]] for name in names}
    target = chiasm.Survival("months", "died", unit="months")
    return chiasm.cohort_from_frames(made.blocks[OUTCOME].set_axis(index, axis=0), blocks, target, name="made")


@pytest.mark.parametrize(
    ("asked", "error", "what"),
    [
        ({"patients": 5, "dp": 3.0}, Unsupported, r"'gaussian-copula' cannot be fitted .*: mixed-diffusion can"),
        ({"fill": "rna", "dp": 3.0}, Unsupported, "beside the real values of the same patients"),
        ({"fill": "rna", "generator": "mixed-diffusion:epsilon=3"}, Unsupported, "beside the real values"),
        ({"patients": 5, "dp": 0.0, "generator": "mixed-diffusion"}, ValueError, "--dp 0: the epsilon is a"),
        ({"patients": 5, "dp": float("nan"), "generator": "mixed-diffusion"}, ValueError, "--dp nan"),
        ({"patients": 5, "dp": 3.0, "generator": "mixed-diffusion"}, Unsupported, "'rna' has 2. columns.*without"),
    ],
)  # fmt: skip
def test_what_cannot_be_promised_is_refused(
    asked: dict[str, Any], error: type[Exception], what: str, tmp_path: Path
) -> None:
    with pytest.raises(error, match=what):
        generate(cohort("clinical", "rna"), tmp_path / "out", **asked)
    assert not list(tmp_path.iterdir())


def test_of_a_column_nothing_is_looked_at_but_its_range_and_levels() -> None:
    """Two columns of the same ends and levels, however often each value is there, give the same margins."""
    rng = np.random.default_rng(0)
    frames = []
    for share in (0.1, 0.9):
        age = np.concatenate([[18.2, 91.7], 20 + 70 * (rng.random(98) < share) * rng.random(98)])
        stage = np.where(np.arange(100) < 100 * share, "I", "II").astype(object)
        frames.append(pd.DataFrame({"age": age, "stage": pd.Series(stage, dtype=object)}))
    one, other = (Margins.of_range(frame) for frame in frames)
    np.testing.assert_array_equal(one.knots, other.knots)
    np.testing.assert_array_equal(one.cuts["stage"], [0, 0.5, 1])
    assert one.knots[0, 0] == 18 and one.knots[-1, 0] == 92 and one.levels == other.levels
    middle = one.values(np.array([[0.0, -1.0]]))
    assert middle["age"][0] == pytest.approx(55.0) and middle["stage"][0] == "I"


def test_the_promise_is_said_with_what_it_leaves_out() -> None:
    assert promised(Generated("gaussian-copula", 0, "0" * 64, True)) == ()
    said = " ".join(promised(Generated("mixed-diffusion", 0, "", True, {}, "", 2.0, 1e-4)))
    assert "epsilon 2 and delta 0.0001" in said and "a factor of at most 7.39" in said and "not covered" in said
    for known in ("its decimals", "which modalities somebody lacks", "which columns have missing cells", "Sets add up"):
        assert known in said


@pytest.mark.nightly
def test_a_private_set_has_its_promise_in_the_mark_and_is_another_each_time(tmp_path: Path) -> None:
    pytest.importorskip("opacus")
    own, generator = cohort("clinical"), "mixed-diffusion:updates=40,steps=20"
    for name in ("one", "other"):
        generate(own, tmp_path / name, patients=96, generator=generator, dp=4.0, utility=False)
    opened = [chiasm.open_cohort(tmp_path / name) for name in ("one", "other")]
    mark = opened[0].generated
    assert mark is not None and mark.epsilon == 4.0 and mark.fitted_on == "" and "epsilon=4.0" in mark.generator
    assert mark.delta == pytest.approx(1 / (10 * 0.8 * N))
    assert not opened[0].raw("clinical").equals(opened[1].raw("clinical"))
    told = json.loads((tmp_path / "one" / "generated.json").read_text())
    assert told["epsilon"] == 4.0 and "epsilon 4 and delta" in told["sentences"][0]
    assert "differential privacy of epsilon 4 and delta" in (tmp_path / "one" / "generated.html").read_text()


@pytest.mark.nightly
def test_the_less_is_promised_the_more_is_learnt() -> None:
    """With hardly any noise columns come back as they were; with much, levels stay near even shares."""
    pytest.importorskip("opacus")
    from chiasm.generation.mixed_diffusion import MixedDiffusion

    rows = patients(0, 600).only(["clinical"])
    rare = {}
    for epsilon in (0.2, 300.0):
        made = MixedDiffusion(steps=30, width=48).private(epsilon).fit(rows).sample(600, 0)
        rare[epsilon] = abs(made.blocks["clinical"]["marker"].mean() - rows.blocks["clinical"]["marker"].mean())
    assert rare[300.0] < 0.1 < rare[0.2]
