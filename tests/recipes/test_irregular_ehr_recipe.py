"""`irregular-ehr`: the laws of a recipe, records at their own times, and patients without any."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import chiasm
from chiasm.cohort import Cohort
from chiasm.encoders.record.event_steps import EventSteps
from chiasm.recipes.fusion.irregular_ehr import IrregularEhrRecipe
from chiasm.testing import check_recipe
from small_recipes import gap, small


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    """60 patients, of whom 50 have a record of two codes at 1 to 9 times."""
    rng, folder = np.random.default_rng(0), tmp_path_factory.mktemp("records")
    ids = [f"p{k:02d}" for k in range(60)]
    rows = [
        (name, float(hour), str(rng.choice(["heart rate", "lactate"])), float(rng.normal()))
        for name in ids[:50] for hour in np.sort(rng.uniform(0, 24, rng.integers(1, 10)))
    ]  # fmt: skip
    pd.DataFrame(rows, columns=["id", "hours", "code", "numeric_value"]).to_parquet(folder / "events.parquet")
    pd.DataFrame({"id": ids, "age": rng.normal(size=60), "died": rng.choice(["no", "yes"], 60)}).to_csv(
        folder / "patients.csv", index=False
    )
    (folder / "cohort.toml").write_text(
        'name = "records"\n[patients]\ntable = "patients.csv"\nid = "id"\n[target]\nkind = "classification"\n'
        'column = "died"\n[modalities.clinical]\nkind = "table"\ncolumns = ["age"]\n'
        '[modalities.events]\nkind = "events"\ntable = "events.parquet"\n'
    )
    return chiasm.encode(chiasm.open_cohort(folder / "cohort.toml")).cohort


@pytest.mark.nightly
def test_it_passes_the_public_check() -> None:
    check_recipe(small("irregular-ehr"), kinds=("classification",), n=56)


def test_it_reads_records_at_their_own_times_and_is_stored_with_them(cohort: Cohort, tmp_path: object) -> None:
    model = small("irregular-ehr", references=4).fit(cohort, seed=0)
    assert isinstance(model.predictor.encoders["events"], EventSteps)
    frame = model.predict(cohort)
    model.save(f"{tmp_path}/model")
    assert gap(frame, chiasm.load_model(f"{tmp_path}/model").predict(cohort)) == 0.0
    for row in (0, 55):  # alone, with a record and without
        assert gap(frame.loc[[cohort.ids[row]]], model.predict(cohort.subset([row]))) < 1e-5
    assert set(frame["pattern"]) == {"clinical+events", "clinical"}


def test_each_series_is_another_model_and_one_modality_is_a_form(cohort: Cohort) -> None:
    frames = [small("irregular-ehr", series=own).fit(cohort, seed=0).predict(cohort) for own in ("gated", "imputed")]
    assert gap(*frames) > 1e-6
    alone = small("irregular-ehr", modality="events").fit(cohort, seed=0)
    assert bool(np.isfinite(alone.predict(cohort)["p_yes"]).all())


def test_invalid_options_are_refused() -> None:
    for options in ({"series": "none"}, {"references": 0}, {"steps": 0}, {"heads": 3}):
        with pytest.raises(ValueError, match=r"is not known|lies between|no multiple"):
            IrregularEhrRecipe(**options)  # type: ignore[arg-type]
