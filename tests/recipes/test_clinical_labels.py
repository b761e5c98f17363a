"""`clinical-labels`: laws of a recipe, its bins and its loss, and what cannot be put into bins."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from torch.nn import functional

import chiasm
from chiasm.cohort import Cohort, Unsupported, cohort_from_frames
from chiasm.fitting.base import trainable
from chiasm.fitting.neural import prepare
from chiasm.objectives.contrastive import contrast, same_class
from chiasm.recipes.vision_language.clinical_labels import taught
from chiasm.testing import check_recipe
from small_recipes import at_night, mixed, small


@pytest.mark.parametrize("kind", at_night("survival", "classification", "multilabel", "regression"))
def test_it_passes_the_public_check(kind: str) -> None:
    check_recipe(small("clinical-labels", depth=0), kinds=(kind,), n=56)


def clinic(n: int = 60) -> Cohort:
    """Acuity, which the picture shows, with gaps; a word; and a picture of numbers."""
    rng = np.random.default_rng(0)
    ids, acuity = [f"p{k:02d}" for k in range(n)], np.arange(n) / n
    picture = pd.DataFrame(acuity[:, None] * rng.normal(size=(1, 6)) * 4 + rng.normal(size=(n, 6)) * 0.2, ids)
    values = pd.DataFrame(
        {"acuity": np.where(np.arange(n) % 6 == 0, np.nan, acuity), "eye": ["left", "right"] * (n // 2)}, ids
    )
    frames = {"clinic": values, "picture": picture.rename(columns=str)}
    patients = pd.DataFrame({"y": rng.integers(0, 2, n)}, ids)
    return cohort_from_frames(patients, frames, chiasm.Classification("y"), kinds={"picture": "omics"})


def test_bins_are_quantiles_of_those_trained_on_and_gaps_are_in_none() -> None:
    cohort, recipe = clinic(), small("clinical-labels", bins=2)
    data = prepare(trainable(cohort, 0, None, "cpu"))
    values, edges = recipe.values(data)[:, 0], recipe.edges(data)
    assert np.isnan(values).tolist() == [k % 6 == 0 for k in range(60)]
    assert edges.shape == (1, 1) and edges.item() == pytest.approx(np.nanmedian(values[~data.held_out]))
    assert recipe.connected(data)["picture"] == 0 and recipe.connected(data)["clinic"] != 0
    assert recipe.met(data).tolist() == [False, True] and len(recipe.phases(data)) == 2


def test_patients_of_one_bin_are_positive_within_a_modality_and_between_two() -> None:
    generator = torch.Generator().manual_seed(0)
    vectors = functional.normalize(torch.randn(6, 3, 4, generator=generator), dim=2)
    present = torch.tensor([[1, 1, 1], [1, 1, 1], [1, 1, 0], [1, 0, 1], [1, 1, 1], [1, 1, 1]]).bool()
    codes, scale = torch.tensor([[0, 1], [0, -1], [1, 1], [1, 0], [0, 0], [-1, 1]]), torch.tensor(3.0)
    terms = []
    for c in range(2):
        same, known = same_class(codes[:, c]), codes[:, c] >= 0
        for m in (1, 2):
            here = known & present[:, m]
            terms.append(contrast(vectors[:, m], vectors[:, m], scale, here=here, targets=same, without_self=True))
        both = known & present[:, 1] & present[:, 2]
        terms.append(contrast(vectors[:, 1], vectors[:, 2], scale, here=both, targets=same))
    torch.testing.assert_close(taught(vectors, present, codes, [1, 2], scale), torch.stack(terms).mean())
    assert taught(vectors, present, torch.full((6, 1), -1), [1, 2], scale).item() == 0.0


def test_what_cannot_be_put_into_bins_is_refused() -> None:
    cohort = clinic()
    for options, said in (
        ({"clinical": "history"}, "lacks 'history': name one of clinic as `clinical`"),
        ({"columns": "eye"}, "'clinic' does not have column 'eye' as a number"),
    ):
        with pytest.raises(Unsupported, match=said):
            small("clinical-labels", **options).supports(cohort)
    small("clinical-labels", columns="acuity").supports(cohort)
    with pytest.raises(ValueError, match="bins=1 is not known"):
        small("clinical-labels", bins=1)
    small("clinical-labels", modality="m2").supports(mixed("classification"))
