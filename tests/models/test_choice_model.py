"""A fitted choice model elsewhere: patients who lack what is read, other cohorts, and what it is not made for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

import chiasm
from chiasm.cohort import Cohort
from chiasm.fitting.forms import Form
from chiasm.fitting.possible import ImpossiblePrediction, require_possible
from chiasm.heads.choice import ChoiceHead
from chiasm.recipes import registry
from chiasm.recipes.hospitals.federation import network_of
from chiasm.targets import Options
from lighter_trials import only_ridges


@pytest.fixture(autouse=True, scope="module")
def ridges() -> Iterator[None]:
    with only_ridges():
        yield


def made(seed: int = 0, n: int = 120) -> Cohort:
    return chiasm.synthetic_cohort("unique", n=n, target="choice", missing=0.3, seed=seed)


def turned(cohort: Cohort) -> Cohort:
    """The same patients, each with his options the other way round."""
    assert cohort.options is not None
    texts = np.empty(len(cohort), dtype=object)
    texts[:] = [own[::-1] for own in cohort.options.texts]
    return replace(cohort, options=Options(texts, cohort.options.most))


def test_who_lacks_the_modality_of_a_form_has_probabilities_of_his_own_options_alone() -> None:
    cohort = made()
    model = Form(registry.named("single:m1"), "m1").fit(cohort, seed=0)
    asked = cohort.with_target(None, None)
    found = model.predict(asked).loc[list(cohort.ids)]
    assert list(found.columns) == ["pattern", "choice", "p_1", "p_2", "p_3"] and cohort.options is not None
    p = found.filter(like="p_").to_numpy()
    assert ((p > 0) == cohort.options.inside).all() and (found["choice"] == p.argmax(1) + 1).all()
    other = model.predict(turned(asked)).loc[list(cohort.ids)].filter(like="p_").to_numpy()
    for one, its, size in zip(p, other, cohort.options.sizes, strict=True):
        np.testing.assert_allclose(one[:size], its[:size][::-1], rtol=1e-9)


def test_a_model_is_scored_on_patients_who_have_fewer_options_or_more() -> None:
    cohort, elsewhere = made(), made(1)
    assert elsewhere.options is not None
    model = chiasm.fit(cohort, "single:m1", seed=0)
    for own in (elsewhere, elsewhere.subset(elsewhere.options.sizes == 2)):
        own = own.subset(own.rows_of("m1"))
        found = chiasm.validate(model, own, draws=100)
        p = model.predict(own.with_target(None, None)).loc[list(own.ids)]
        assert own.outcome is not None
        scored = found.table().set_index("metric")["mean"]
        np.testing.assert_allclose(scored["accuracy"], (p["choice"] - 1 == own.outcome.value).mean())


def test_sets_hold_numbers_of_options_that_a_patient_has_whatever_their_number_at_the_calibration() -> None:
    cohort, held, new = made(), made(1, 160), made(2)
    held = held.subset(held.rows_of("m1"))  # who lacks it is left out, with a warning
    assert held.options is not None and new.options is not None
    model = chiasm.fit(cohort, "single:m1", seed=0)
    two = held.subset(held.options.sizes == 2)
    for calibration in (held, two):
        sure = chiasm.conformal(model, calibration, coverage=0.9, within=("everyone",))
        told = sure.predict(new.with_target(None, None)).loc[list(new.ids)]
        for row, size in zip(told.itertuples(), new.options.sizes, strict=True):
            own = [int(number) for number in row.set.split(", ")]
            assert row.choice in own and own == sorted(own) and 1 <= own[0] <= own[-1] <= size
        lone = told["set"].str.len() == 1
        assert 0 < lone.sum() < len(told), "some are sure and some are not"


def test_a_logit_that_is_not_a_number_is_an_error_and_no_absent_option() -> None:
    link = np.array([[0.0, 1.0, -np.inf], [np.nan, np.nan, -np.inf]])
    frame = ChoiceHead().frame(link, None)  # type: ignore[arg-type]
    require_possible(frame[:1], np.array([2]))
    with pytest.raises(ImpossiblePrediction, match="row 3"):
        require_possible(frame, np.array([2, 3]))


def test_what_is_not_made_for_options_says_so() -> None:
    cohort, elsewhere = made(), made(1)
    model = chiasm.fit(cohort, "single:m1", seed=0)
    with pytest.raises(chiasm.Unsupported, match="share no space of their options"):
        network_of(model)  # what chiasm federate asks of its base
    with pytest.raises(chiasm.Unsupported, match="share no space of their options"):
        chiasm.fit(cohort, "flora", seed=0)
    with pytest.raises(chiasm.Unsupported, match="fit one on the patients of all"):
        chiasm.merge([model, model])
    with pytest.raises(chiasm.Unsupported, match="options of each patient's own"):
        chiasm.update(model, elsewhere)
    with pytest.raises(chiasm.Unsupported, match="options of each patient's own"):
        chiasm.extend(model, elsewhere, "m2")
    with pytest.raises(chiasm.Unsupported, match="options of each patient's own"):
        chiasm.monitor(model, elsewhere)
    assert set(chiasm.monitor(model, elsewhere.with_target(None, None)).table()["test"]) == {"who has what", "m1"}
