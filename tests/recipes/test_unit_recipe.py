"""`unit`: a tumour within its organ at every pixel, equal parameters without the tree, stored and refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import chiasm
from chiasm.cohort import Unsupported
from chiasm.recipes.segmentation.unit import QueriedDesign, UniT
from chiasm.segmentation.queried import Queried
from mask_cohorts import opened

TREE = (-1, 4, 4, -1, 0)  # of liver, benign, malignant and spleen, and of a tumour that is no label


def made(axes: int = 2, *, hierarchy: bool = True) -> Queried:
    torch.manual_seed(0)
    return QueriedDesign(4, 1, 8, 2, TREE, hierarchy).network({"a": 1, "b": 1}, axes, 4).eval()


@pytest.mark.parametrize("shape", [(9, 12), (3, 8, 7)])
def test_a_tumour_is_nowhere_more_probable_than_its_organ(shape: tuple[int, ...]) -> None:
    network = made(len(shape))
    images = {"a": torch.randn(2, 1, *shape), "b": torch.full((2, 1, *shape), float("nan"))}
    present = torch.tensor([[True, False]] * 2)
    codes, within = network.probabilities(images, present)
    assert codes.shape == (2, 5, *shape) and within.shape == (2, 5, *shape)
    assert (within[:, 4] <= within[:, 0]).all() and (within[:, 1:3] <= within[:, 4:]).all()
    torch.testing.assert_close(codes.exp().sum(1), torch.ones(2, *shape))
    torch.testing.assert_close(network({"a": images["a"][1:], "b": images["b"][1:]}, present[1:]), codes[1:])


def test_with_and_without_the_tree_there_are_as_many_parameters_and_queries_read_only_what_holds_them() -> None:
    with_tree, without = made(), made(hierarchy=False)
    assert [own.shape for own in with_tree.parameters()] == [own.shape for own in without.parameters()]
    features, lowest = torch.randn(1, 4, 6, 6), torch.randn(1, 8, 3, 3)
    for network, moved in ((with_tree, {0, 1, 2, 4}), (without, {0})):
        before = network.queries(features, lowest)
        with torch.no_grad():
            network.queries.queries[0] += 1  # of the liver
        after = network.queries(features, lowest)
        assert {k for k in range(5) if not torch.allclose(before[:, k], after[:, k])} == moved
    codes, within = without.probabilities({"a": torch.randn(1, 1, 6, 6)}, torch.tensor([[True, False]]))
    assert codes.shape == (1, 5, 6, 6) and within.shape == (1, 4, 6, 6)


def test_a_model_is_stored_and_draws_of_any_contrast(tmp_path: Path) -> None:
    cohort = opened(tmp_path, 24, absent=0.2)
    model = chiasm.fit(cohort, "unit:tree=square<disc,width=4,depth=1,latent_width=8,heads=2,crops=1,epochs=1", seed=0)
    said = model.predict(cohort)
    assert set(said["pattern"]) == {"one", "two", "one+two"}
    model.save(tmp_path / "model")
    few = cohort.subset(np.arange(len(cohort)) % 6 == 0)
    pd.testing.assert_frame_equal(chiasm.load_model(tmp_path / "model").predict(few), said.loc[few.ids])
    matched = chiasm.fit(cohort, "unit:queries=4,width=4,depth=1,latent_width=8,heads=2,crops=1,epochs=1", seed=0)
    said = matched.predict(few)
    matched.save(tmp_path / "matched")
    pd.testing.assert_frame_equal(chiasm.load_model(tmp_path / "matched").predict(few), said)
    with pytest.raises(Unsupported, match="more than the labels"):
        UniT(queries=2).supports(cohort)
    with pytest.raises(Unsupported, match="did you mean 'square'"):
        UniT(tree="sqare<disc").supports(cohort)
    both = {"queries": 4, "tree": "a<b"}
    for wrong in ({"width": 0}, {"depth": 9}, {"heads": 3}, {"latent_width": 0}, {"queries": -1}, both):
        with pytest.raises(ValueError, match=r"lies between|no multiple|latent|leave out tree"):
            UniT(**wrong)
    with pytest.raises(ValueError, match="fewer labels"):
        QueriedDesign(4, 1, 8, 2, (-1,)).network({"a": 1}, 2, 2)
