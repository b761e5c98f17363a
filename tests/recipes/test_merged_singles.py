"""Single modalities fitted apart become their late fusion: the same one, where they were fitted on one cohort."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from chiasm import api
from chiasm.cohort import Cohort, Unsupported
from chiasm.heads.response import Response
from chiasm.testing.cohorts import restricted
from small_recipes import at_night, mixed, small

KINDS = ("regression", "survival", "classification", "multilabel")


def apart(cohort: Cohort, seed: int = 0) -> list[Cohort]:
    """Two places that share no patient."""
    return [cohort.subset(np.arange(len(cohort)) % 2 == k) for k in (0, 1)]


@pytest.mark.filterwarnings("ignore::chiasm.errors.FindingWarning")
@pytest.mark.parametrize("kind", ["survival", *at_night("multilabel", "classification", "regression")])
def test_singles_of_one_cohort_are_its_late_fusion_but_for_the_calibration(kind: str) -> None:
    cohort = mixed(kind)
    singles = [small("single", modality=name).fit(cohort, seed=0) for name in cohort.modalities]
    fused = small("late-fusion").fit(cohort, seed=0)
    plain = replace(fused.predictor, slopes={}, further=0.0)  # slopes of patterns are fitted where all are
    merged = api.merge(singles).model
    assert merged.recipe == "late-fusion" and merged.modalities == fused.modalities and not merged.has_prior
    np.testing.assert_allclose(merged.predictor.link(cohort), plain.link(cohort), rtol=1e-9, atol=1e-9)
    found = api.merge([*singles[:2], singles[2]], cohort=cohort)
    assert found.calibrated_on == len(cohort)
    in_sample = Response.fit(cohort.target, plain.link(cohort), cohort.outcome, calibrate=True)  # type: ignore[arg-type]
    assert found.model.response.slope == pytest.approx(in_sample.slope, rel=1e-4)


@pytest.mark.parametrize("kind", ["survival", *at_night("classification")])
def test_singles_of_two_places_answer_alike_where_nothing_is_known(kind: str, tmp_path: Path) -> None:
    cohort = mixed(kind)
    here, there = apart(cohort)
    if kind == "survival":
        with pytest.raises(Unsupported, match=r"different horizons: name them in \[target\]"):
            api.merge([small("single", modality=n).fit(c, seed=0) for n, c in (("m1", here), ("m2", there))])
        return
    places = {"m1": here, "m2": there.subset(np.arange(len(there)) > 4)}  # whose classes are not as frequent
    models = [small("single", modality=name).fit(place, seed=0) for name, place in places.items()]
    for number, model in enumerate(models):
        model.save(tmp_path / str(number))
    merged = api.merge([tmp_path / "0", tmp_path / "1"]).model
    parts = [model.predictor for model in models]
    prior = np.mean([part.prior for part in parts], axis=0)
    assert not np.allclose(parts[0].prior, parts[1].prior)
    own = merged.predictor
    for name, part in zip(places, parts, strict=True):
        alone = restricted(cohort, (name,))
        np.testing.assert_allclose(own.link(alone), part.link(alone) - part.prior + prior, rtol=1e-9, atol=1e-9)
    both = restricted(cohort, ("m1", "m2"))
    expected = prior + np.mean([part.link(both) - part.prior for part in parts], axis=0)
    np.testing.assert_allclose(own.link(both), expected, rtol=1e-9, atol=1e-9)
    third = small("single", modality="m3").fit(cohort, seed=0)
    assert sorted(api.merge([merged, third]).model.modalities) == ["m1", "m2", "m3"]


def test_what_does_not_fit_is_said() -> None:
    cohort = mixed("classification")
    one, other = (small("single", modality=name).fit(cohort, seed=0) for name in ("m1", "m2"))
    for arguments, message in (
        ({"method": "slerp"}, "their mean is taken"), ({"weights": [1, 2]}, "its weights are equal"),
        ({"base": one}, "have no base"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=message):
            api.merge([one, other], **arguments)
    with pytest.raises(Unsupported, match="both hold a block of 'm1'"):
        api.merge([one, one])
    with pytest.raises(Unsupported, match="different targets"):
        api.merge([one, small("single", modality="m2").fit(mixed("regression"), seed=0)])
