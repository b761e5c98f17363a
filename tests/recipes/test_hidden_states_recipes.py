"""`hmm-glm`, `poisson-glm` and `history-ridge` obey the laws of a recipe, on recordings and the counts that follow."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import chiasm
from chiasm.cohort import Unsupported
from chiasm.recipes.dynamics.hidden_states import HiddenStates, PoissonGlm
from chiasm.recipes.dynamics.history_ridge import HistoryRidge
from chiasm.testing import check_recipe
from chiasm.testing.cohorts import Parts

BRIEF = {"rounds": 3, "epochs": 4, "restarts": 1, "kernels": 1, "states": 2}
NEURONS, AHEAD = 2, 2


def recordings(n: int, seed: int) -> tuple[dict[str, np.ndarray], list[np.ndarray]]:
    """Recordings of 9 to 17 bins, of a loud state or a silent one, and two bins that follow."""
    rng = np.random.default_rng(seed)
    bags, follow = {}, []
    for k in range(n):
        loud = rng.integers(2)
        counts = rng.poisson(1.5 if loud else 0.3, size=(int(rng.integers(9, 18)) + AHEAD, NEURONS))
        bags[f"p{k:03d}"], own = counts[:-AHEAD], counts[-AHEAD:]
        follow.append(own.ravel())
    return bags, follow


def parts(kind: str, n: int, seed: int) -> Parts:
    bags, follow = recordings(n, seed)
    patients = pd.DataFrame({"next": follow, "site": "a"}, index=list(bags))
    return Parts(patients, {"spikes": bags}, {"spikes": "bag"}, chiasm.Responses("next"))


def cohort(n: int = 48, seed: int = 0, **options: object) -> chiasm.Cohort:
    bags, follow = recordings(n, seed)
    return chiasm.cohort_from_frames(
        pd.DataFrame({"next": follow}, index=list(bags)),
        {"spikes": bags, **options},
        target=chiasm.Responses("next"),
    )  # fmt: skip


@pytest.mark.parametrize("recipe", [HiddenStates(**BRIEF), HistoryRidge(kernels=1)], ids=["hmm-glm", "history-ridge"])
def test_laws_hold(recipe: object) -> None:
    check_recipe(recipe, kinds=("response",), n=44, parts=parts)


@pytest.mark.nightly
@pytest.mark.parametrize(
    "recipe",
    [PoissonGlm(), PoissonGlm(link="exp", connectivity="free"), HiddenStates(**BRIEF, connectivity="gaussian")],
    ids=["poisson-glm", "poisson-glm-free", "hmm-glm-gaussian"],
)
def test_laws_hold_of_every_variant(recipe: object) -> None:
    check_recipe(recipe, kinds=("response",), n=44, parts=parts)


def test_states_foresee_more_than_the_rate_and_bits_say_so(tmp_path: Path) -> None:
    made = cohort(80)
    told = chiasm.evaluate(
        made, ["hmm-glm:states=2,rounds=4,epochs=8,restarts=1,kernels=1,connectivity=gaussian"],
        chiasm.Protocol(folds=2, repeats=1, draws=100), jobs=1,
    )  # fmt: skip
    rows = {row["name"].partition(":")[0]: row["metrics"]["bits_per_spike"] for row in told.document["recipes"]}
    assert rows["null"]["mean"] == pytest.approx(0, abs=1e-12)
    assert rows["hmm-glm"]["low"] > 0.1


def test_who_lacks_the_recording_gets_the_mean_and_another_modality_is_not_read() -> None:
    bags, follow = recordings(40, 1)
    extra = pd.DataFrame({"x": np.random.default_rng(2).normal(size=40)}, index=list(bags))
    patients = pd.DataFrame({"next": follow}, index=list(bags))
    made = chiasm.cohort_from_frames(
        patients, {"spikes": dict(list(bags.items())[:30]), "extra": extra}, target=chiasm.Responses("next")
    )
    with pytest.raises(Unsupported, match="has 2 modalities: name the one of the recordings"):
        HistoryRidge().supports(made)
    model = chiasm.fit(made, "history-ridge:modality=spikes,kernels=1", seed=0)
    said = model.predict(made)
    assert list(model.modalities) == ["spikes"]
    lacking = said.iloc[30:].drop(columns="pattern").to_numpy(float)
    np.testing.assert_allclose(lacking, np.tile(np.stack(follow).mean(0), (10, 1)))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda bags, follow: (bags, [own[:3] for own in follow]), "3 channels and a recording 2 neurons"),
        (lambda bags, follow: (bags, [own + 0.5 for own in follow]), "the response holds fractions"),
        (lambda bags, follow: (bags, [own - 9 for own in follow]), "the response holds negative numbers"),
        (
            lambda bags, follow: ({k: v - 1.0 for k, v in bags.items()}, follow),
            r"the recording of row \d+ holds negative numbers",
        ),
        (lambda bags, follow: ({k: v[:1] for k, v in bags.items()}, follow), "the longest recording has 1 bin"),
    ],
)
def test_what_cannot_be_is_one_sentence(change: object, words: str) -> None:
    bags, follow = change(*recordings(20, 0))  # type: ignore[operator]
    made = chiasm.cohort_from_frames(
        pd.DataFrame({"next": follow}, index=list(bags)), {"spikes": bags}, target=chiasm.Responses("next")
    )
    with pytest.raises(Unsupported, match=words):
        HiddenStates(**BRIEF).supports(made)


def test_options_that_cannot_be_are_refused() -> None:
    for wrong, words in (
        ({"states": 1}, "poisson-glm"),
        ({"stay": 1.0}, "between 0 and 1"),
        ({"connectivity": "onehot"}, "one-hot"),
        ({"kernels": 0}, "one kernel"),
        ({"slowest": float("inf")}, "has an end"),
        ({"rounds": 0}, "one or more"),
    ):
        with pytest.raises(ValueError, match=words):
            HiddenStates(**wrong)  # type: ignore[arg-type]
