"""`fuse-language`: laws of every recipe, its loss by hand, and parts never seen together find their language."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from torch.nn import functional

import chiasm
from chiasm.cohort import Unsupported, cohort_from_frames
from chiasm.objectives.contrastive import contrast
from chiasm.recipes.alignment.fuse_language import anchored
from chiasm.testing import check_recipe
from small_recipes import mixed, small


def test_it_passes_the_public_check() -> None:
    check_recipe(small("fuse-language", anchor="m1"), kinds=("multilabel",), n=56)


def test_all_and_a_part_are_read_against_the_anchor() -> None:
    generator = torch.Generator().manual_seed(0)
    present = torch.tensor([[1, 1, 1], [1, 1, 0], [0, 1, 1], [1, 0, 0], [1, 0, 1], [1, 1, 1]]).bool()
    vectors = functional.normalize(torch.randn(6, 3, 4, generator=generator), dim=2) * present[..., None]
    scale, part = torch.tensor(3.0), torch.rand(6, 3, generator=torch.Generator().manual_seed(1)) < 0.5
    rows, wanted = [0, 1, 4, 5], 0.0
    for way in ("all", "part"):
        sums = []
        for row in rows:
            own = [m for m in (1, 2) if present[row, m]]
            some = [m for m in own if part[row, m]] if way == "part" else own
            sums.append(functional.normalize(vectors[row, some or own].sum(0), dim=0))
        wanted += contrast(torch.stack(sums), vectors[rows, 0], scale) / 2
    torch.testing.assert_close(anchored(vectors, present, 0, scale, torch.Generator().manual_seed(1)), wanted)
    nobody = anchored(vectors, torch.zeros_like(present), 0, scale, torch.Generator())
    assert nobody.item() == 0.0


@pytest.mark.nightly
def test_two_sensors_that_nobody_had_together_find_their_language_better_than_one() -> None:
    rng, n = np.random.default_rng(0), 240
    shared, ids = rng.normal(size=(n, 4)), np.array([f"p{number:03d}" for number in range(n)])
    kept = {"words": np.arange(n) >= 0, "one": np.arange(n) % 2 == 0, "two": np.arange(n) % 2 == 1}
    new = np.arange(n) >= 180
    frames = {}
    for name, noise in (("words", 0.1), ("one", 1.2), ("two", 1.2)):
        values = shared @ rng.normal(size=(4, 8)) + noise * rng.normal(size=(n, 8))
        frame = pd.DataFrame(values, ids, [f"{name}{column}" for column in range(8)])
        frames[name] = frame[kept[name] | new]
    patients = pd.DataFrame({"label": rng.permutation(np.arange(n) % 2).astype(str)}, index=ids)
    cohort = cohort_from_frames(patients, frames, chiasm.Classification("label"))
    recipe = small("fuse-language", anchor="words", epochs=40, latent_width=16, share=0.9, dropout=0.0)
    model = recipe.fit(cohort.subset(~new), seed=0)
    ranks = {}
    for query in ("one", "two", ("one", "two")):
        found = model.retrieve(cohort.subset(new), query=query, among="words", k=60)
        ranks[query] = float(found.loc[found["patient"] == found["found"], "rank"].mean())
    assert ranks["one", "two"] < min(ranks["one"], ranks["two"]) < 20, ranks  # by chance 30.5


def test_a_cohort_without_language_is_refused_in_a_sentence() -> None:
    cohort = mixed("classification")
    for anchor in ("", "report"):
        with pytest.raises(Unsupported, match=r"lacks .*: name one of m1, m2, m3 as `anchor`, or use clip-pairs"):
            small("fuse-language", anchor=anchor).supports(cohort)
    small("fuse-language", modality="m2").supports(cohort)
