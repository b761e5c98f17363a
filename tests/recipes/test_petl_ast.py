"""`petl-ast`: where its paths lie, how they start, which layouts and norms it has, and what it refuses."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

import chiasm
from adapted_cohorts import scans, trunk_of
from chiasm.adapters.sites import attentions, blocks, feed_forwards
from chiasm.encoders.choice import choose
from chiasm.fitting.base import trainable
from chiasm.recipes.registry import make_recipe
from chiasm.testing.adaptation import check_adaptation

QUICK = "epochs=2,latent_width=4"


@pytest.mark.parametrize("name", ["vit", "dinov2", "clip"])
def test_paths_lie_beside_whole_feed_forward_networks_and_attentions(places: Any, name: str) -> None:
    network = choose("image", f"hf:{places[0]}/{name}").encoder.trunk().network
    for first, last in feed_forwards(network):
        assert network.get_submodule(first).out_features == network.get_submodule(last).in_features != 16
    assert [first.rpartition(".")[2] for first, _ in attentions(network)] != []
    assert {last.rpartition(".")[2] for _, last in attentions(network)} <= {"o_proj", "out_proj"}


def test_paths_beside_an_attention_of_torch_and_none_where_it_convolves(places: Any) -> None:
    network = choose("image", "chada:size=32,dim=16,depth=2,heads=2").encoder.trunk().network
    assert attentions(network) == tuple((f"{block}.self_attn",) * 2 for block in blocks(network))
    assert feed_forwards(network) == tuple((f"{block}.linear1", f"{block}.linear2") for block in blocks(network))
    with pytest.raises(
        chiasm.Unsupported,
        match=r"modality 'scan' cannot be adapted so: .*no layer of a transformer that says its width",
    ):
        make_recipe("petl-ast").fit(scans(*places, network="hf:{models}/resnet"), seed=0)


@pytest.mark.parametrize(
    ("block", "layout"),
    [
        ("mlp", "parallel"),
        ("conv", "parallel"),
        ("mlp", "sequential"),
        ("conv", "sequential"),
        ("conformer", "parallel"),
    ],
)
def test_petl_ast_starts_as_the_network_and_all_of_it_learns(images: chiasm.Cohort, block: str, layout: str) -> None:
    recipe = make_recipe(f"petl-ast:block={block},layout={layout},position=houlsby,reduction=4,epochs=2,latent_width=4")
    training = trainable(images, 0, None, "cpu")
    data, design, trunks = recipe.prepared(training)
    _, tokens = trunk_of(images)
    before = trunks["scan"](tokens).values
    fresh = replace(recipe, epochs=0).network(training, data, design, trunks)
    torch.testing.assert_close(fresh.fusion.__dict__["trunks"]["scan"](tokens).values, before, rtol=1e-5, atol=1e-5)
    start = fresh.fusion.attached["scan"].state()
    data, design, trunks = recipe.prepared(training)
    trained = recipe.network(training, data, design, trunks).fusion.attached["scan"].state()
    assert all(not torch.equal(start[key], own) for key, own in trained.items())
    assert any("norm" in key for key in trained) and any(key.endswith("up.weight") for key in trained)


def test_petl_ast_beside_and_with_x_twice(images: chiasm.Cohort) -> None:
    trunk, tokens = trunk_of(images)
    before = trunk(tokens).values
    recipe = make_recipe("petl-ast:residual=true,epochs=0,latent_width=4")
    training = trainable(images, 0, None, "cpu")
    fresh = recipe.network(training, *recipe.prepared(training))
    assert not torch.allclose(fresh.fusion.__dict__["trunks"]["scan"](tokens).values, before, atol=1e-2)


def test_petl_ast_without_the_residual_stands_for_the_layer(images: chiasm.Cohort) -> None:
    """A fresh path answers zero: what is left of a block is its own skip connection, and norms outside the blocks."""
    trunk, tokens = trunk_of(images)
    before = trunk(tokens).values
    recipe = make_recipe("petl-ast:layout=replacing,position=houlsby,epochs=2,latent_width=4")
    training = trainable(images, 0, None, "cpu")
    fresh = replace(recipe, epochs=0).network(training, *recipe.prepared(training))
    assert not torch.allclose(fresh.fusion.__dict__["trunks"]["scan"](tokens).values, before, atol=1e-2)
    start = fresh.fusion.attached["scan"].state()
    trained = recipe.network(training, *recipe.prepared(training)).fusion.attached["scan"].state()
    assert all(not torch.equal(start[key], own) for key, own in trained.items() if key.endswith("up.weight"))


@pytest.mark.parametrize("position", ["pfeiffer", "houlsby"])
def test_petl_ast_trains_the_norms_before_what_it_adapts_and_those_at_the_end(position: str) -> None:
    network = choose("image", "chada:size=32,dim=16,depth=2,heads=2").encoder.trunk().network
    recipe = make_recipe(f"petl-ast:which_norms=adapted,position={position}")
    numbers = ("1", "2") if position == "houlsby" else ("2",)
    expected = {"norm", *(f"layers.{k}.norm{number}" for k in (0, 1) for number in numbers)}
    assert set(recipe.trained_norms(network)) == expected  # type: ignore[attr-defined]
    assert len(make_recipe("petl-ast").trained_norms(network)) == 5  # type: ignore[attr-defined]
    network.layers[1].norm2 = torch.nn.Identity()
    with pytest.raises(ValueError, match=r"two norms a block, and 'layers\.1' has 1"):
        recipe.trained_norms(network)  # type: ignore[attr-defined]


def test_a_convolution_along_padded_tokens_is_refused(cohort: chiasm.Cohort, images: chiasm.Cohort) -> None:
    with pytest.raises(chiasm.Unsupported, match="modality 'note' cannot be adapted so: its inputs are padded"):
        make_recipe("petl-ast:block=conv").fit(cohort, seed=0)
    check_adaptation(make_recipe(f"petl-ast:block=conv,kernel=3,{QUICK}"), images)
