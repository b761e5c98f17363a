"""What speaks against an order of columns: halves of the patients, and a model that has learned nothing."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

import chiasm
from chiasm.cohort import Cohort
from chiasm.models.explain import soundness
from chiasm.models.explain.column_checks import CHECKS, judged, likeness
from chiasm.models.explain.soundness import OUTCOMES, WEIGHTS, model_of_nothing, rank_agreement
from chiasm.protocols import Model


def test_a_model_of_nothing_has_fresh_weights_or_learned_from_shuffled_outcomes(late: Model, cohort: Cohort) -> None:
    refitted, how = model_of_nothing(late, cohort, 0)
    assert how == OUTCOMES and refitted is not None
    network: Any = chiasm.fit(cohort, "healnet:epochs=1,latent_width=8,latents=2,depth=1")
    fresh, how = model_of_nothing(network, cohort, 0)
    assert how == WEIGHTS and fresh is not None
    assert not np.allclose(fresh.predict(cohort)["p_1"], network.predict(cohort)["p_1"])
    without = cohort.with_target(None, None)
    assert model_of_nothing(late, without, 0)[0] is None and "no target" in model_of_nothing(late, without, 0)[1]


def test_orders_that_agree_and_orders_that_do_not() -> None:
    order = np.arange(20.0)[None]
    assert rank_agreement(order, order)[0] == pytest.approx(1) and rank_agreement(order, -order)[0] == pytest.approx(-1)
    mean, low, high = rank_agreement(order, np.random.default_rng(0).permutation(order[0])[None])
    assert low < 0 < high and abs(mean) < 0.5
    assert np.isnan(rank_agreement(order[:, :4], order[:, :4])).all() and np.isnan(rank_agreement(order, 0 * order)[0])


def test_the_table_lists_what_a_model_of_nothing_would_say(late: Model, cohort: Cohort) -> None:
    found = chiasm.explain_columns(late, cohort, permutations=2)
    assert found.table["nothing"].notna().all()
    assert set(found.checks["check"]) == {"halves", "fits", "nothing"}
    assert set(found.checks.query("check == 'fits'")["way"]) == {"coefficient"}
    halves = found.checks.query("check == 'halves'")
    assert (halves["low"] <= halves["correlation"]).all() and (halves["correlation"] > 0.5).all()
    again = chiasm.explain_columns(late, cohort, permutations=2, checks=False)
    pd.testing.assert_frame_equal(found.table.drop(columns="nothing"), again.table.drop(columns="nothing"))


@pytest.mark.parametrize("fault", [RuntimeError, FloatingPointError])
def test_a_recipe_that_cannot_be_fitted_again_costs_no_run(
    fault: type[Exception], late: Model, cohort: Cohort, monkeypatch: pytest.MonkeyPatch
) -> None:
    homemade: Any = replace(late, recipe="of my own")  # type: ignore[type-var]
    found = chiasm.explain_columns(homemade, cohort, only=["m1_0"], permutations=2)
    assert any("'of my own' is in no catalogue" in sentence for sentence in found.said)
    assert found.table["size"].notna().all() and found.table["nothing"].isna().all()

    def broken(*_: Any, **__: Any) -> Any:
        raise fault("patient p007")

    monkeypatch.setattr(soundness.registry, "named", lambda _: SimpleNamespace(supports=lambda _: None, fit=broken))
    steps: list[str] = []
    told = chiasm.explain_columns(
        late, cohort, only=["m1_0"], permutations=2, progress=lambda what, *_: steps.append(what)
    )
    assert any("cannot be fitted again" in own and fault.__name__ in own and "p007" not in own for own in told.said)
    assert steps.index("fits of a model of nothing") < steps.index("permutations")


def test_a_model_of_nothing_that_finds_nothing_is_a_pass_and_one_column_is_an_order() -> None:
    sizes = np.array([3.0, 2, 1, 0.5, 0.2, 0.1])
    table = pd.DataFrame({"modality": "m", "what": "column", "way": "permutation", "output": "value", "size": sizes})
    table["name"] = list("abcdef")

    def told(size: Any, nothing: Any) -> tuple[str, list[str]]:
        rows = list(likeness(table.assign(size=size, nothing=nothing), ["value"], 0))
        frame = pd.DataFrame(rows, columns=list(CHECKS))
        return frame["note"][0], list(judged(frame))

    assert told(sizes, 0.0) == ("passed: it finds nothing", [])
    assert told(sizes, [0.1, 0.2, 0.5, 1, 2, 3]) == ("", [])
    assert "a model that has learned nothing (" in told(sizes, sizes)[1][0]
    note, said = told(0.0, sizes)
    assert note == "all are zero" and len(said) == 1 and "no order to check" in said[0]
    assert "that of a model that has learned nothing is not est" in told([np.nan, *sizes[1:]], sizes)[1][0]
    alone = np.array([[3.0, 0, 0, 0, 0, 0]])
    assert rank_agreement(alone, alone)[0] == pytest.approx(1)
    assert np.isfinite(rank_agreement(alone, alone)).all()
    split = dict(zip(CHECKS, ("halves", "m", "column", "permutation", 6, 0.2, np.nan, np.nan, ""), strict=True))
    assert "(rank correlation 0.20, no interval): do not lean on it" in next(judged(pd.DataFrame([split])))
