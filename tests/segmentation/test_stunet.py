"""STU-Net: published sizes, contrasts that are absent, and weights of one cohort in the network of another."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

import chiasm
from chiasm.cohort import Unsupported
from chiasm.recipes.segmentation.stu_net import StuNetRecipe
from chiasm.segmentation.stunet import GROWTH, SIZES, StuNet
from chiasm.segmentation.transferred import Weights, put_into, weights_of
from mask_cohorts import LABELS, opened


@pytest.mark.parametrize(
    ("size", "published"), [("s", 14_596_941), ("b", 58_262_669), ("l", 440_302_605), ("h", 1_457_326_221)]
)
def test_sizes_are_the_published_ones_with_their_heads(size: str, published: int) -> None:
    """14.60, 58.26, 440.30 and 1,457.33 million, for the 104 labels of the published pretraining.

    They count a head at each of the five scales of the way up, for losses at several resolutions; ours has the one at
    full size, which is what predicts. The four others have `(width + 1) x 105` weights each: of size s 50,820, so that
    ours has 14,546,121. There is no other difference.
    """
    width, blocks = SIZES[size]
    with torch.device("meta"):
        network = StuNet({"ct": 1}, 3, 104, width, blocks)
    heads = sum((width * growth + 1) * 105 for growth in GROWTH[1:5])
    assert sum(own.numel() for own in network.parameters()) + heads == published


@pytest.mark.parametrize("shape", [(33, 20), (1, 16, 10)])
def test_an_absent_contrast_is_not_read_and_one_alone_is_its_own_network(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    both, alone = StuNet({"a": 1, "b": 2}, len(shape), 3, 2, 2), StuNet({"b": 2}, len(shape), 3, 2, 2)
    put_into(alone, Weights(both.state_dict(), ("a", "b"), ("x", "y", "z")), ("x", "y", "z"))
    b = torch.randn(2, 2, *shape)
    said = both({"a": torch.full((2, 1, *shape), torch.nan), "b": b}, torch.tensor([[False, True]] * 2))
    assert said.shape == (2, 4, *shape)
    torch.testing.assert_close(said, alone({"b": b}, torch.ones(2, 1, dtype=torch.bool)), rtol=0, atol=0)
    mixed = both({"a": torch.randn(2, 1, *shape), "b": b}, torch.tensor([[False, True], [True, True]]))
    torch.testing.assert_close(mixed[0], said[0])
    assert not torch.allclose(mixed[1], said[1])


def test_only_what_does_not_fit_begins_anew() -> None:
    torch.manual_seed(0)
    before = StuNet({"ct": 1, "pet": 1}, 2, 2, 2, 1)
    given = Weights(before.state_dict(), ("ct", "pet"), ("organ", "tumour"))
    after = StuNet({"ct": 1, "mr": 1, "rgb": 3}, 2, 2, 2, 1)
    fresh = {name: own.clone() for name, own in after.state_dict().items()}
    assert put_into(after, given, ("tumour", "vessel")) == ["contrast rgb", "label vessel"]
    old, new = given.state, after.state_dict()
    first = "entrance.convs.{}.weight"
    assert torch.equal(new[first.format(0)], old[first.format(0)])
    torch.testing.assert_close(new[first.format(1)], (old[first.format(0)] + old[first.format(1)]) / 2)
    assert torch.equal(new[first.format(2)], fresh[first.format(2)])
    assert torch.equal(new["head.weight"][:2], old["head.weight"][[0, 2]])
    assert torch.equal(new["head.weight"][2], fresh["head.weight"][2])
    body = [name for name in new if not name.startswith(("head", "entrance.convs", "entrance.shortcuts"))]
    assert all(torch.equal(new[name], old[name]) for name in body)
    unnamed = StuNet({"mr": 1}, 2, 4, 2, 1)
    assert put_into(unnamed, Weights(given.state), ("a", "b", "c", "d")) == ["head"]
    for other in (StuNet({"ct": 1}, 2, 2, 4, 1), StuNet({"ct": 1}, 3, 2, 2, 1), StuNet({"ct": 1}, 2, 2, 2, 2)):
        with pytest.raises(Unsupported, match="of the same size"):
            put_into(other, given, LABELS)
    broken = {**given.state, "up.0.weight": torch.full_like(given.state["up.0.weight"], torch.nan)}
    with pytest.raises(Unsupported, match="no finite numbers"):
        put_into(unnamed, Weights(broken), LABELS)


def test_a_training_begins_with_a_stored_model_or_a_file_of_its_state(tmp_path: Path) -> None:
    made = opened(tmp_path / "a", 12)
    chiasm.fit(made, "stu-net:width=2,crops=1,epochs=1,batch=16", seed=0).save(tmp_path / "model")
    given = weights_of(str(tmp_path / "model"))
    assert given.contrasts == ("one", "two") and given.labels == LABELS
    save_file(dict(given.state), tmp_path / "state.safetensors")
    for place in ("model", "state.safetensors"):
        recipe = StuNetRecipe(width=2, crops=1, epochs=1, batch=16, learning_rate=1e-9, weights=str(tmp_path / place))
        tuned = recipe.fit(made, seed=1).predictor.state
        for name, own in given.state.items():
            torch.testing.assert_close(torch.from_numpy(tuned[name]), own, atol=1e-6, rtol=1e-5)
    chiasm.fit(made, "unet:width=2,depth=1,crops=1,epochs=1", seed=0).save(tmp_path / "other")
    for place, said in (("other", "another network"), ("a", "no model"), ("none", "no safetensors file")):
        with pytest.raises(Unsupported, match=said):
            StuNetRecipe(width=2, epochs=1, weights=str(tmp_path / place)).fit(made, seed=0)
