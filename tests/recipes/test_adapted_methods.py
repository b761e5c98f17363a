"""What is special in each recipe that changes a frozen encoder: what it trains, where, and what it leaves."""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import nn

import chiasm
from adapted_cohorts import network_of, scans, trunk_of
from chiasm.adapters import NormTuning, ScaleShift, attach, orthogonality
from chiasm.adapters.hidden_tokens import HiddenStates, layer_tokens
from chiasm.adapters.sites import blocks, feed_forwards, norms, projections
from chiasm.encoders.adaptable import Trunk, runs
from chiasm.fitting.base import trainable
from chiasm.fitting.neural import prepare
from chiasm.fusion.pooled import PooledMean
from chiasm.recipes.adaptation.adapted import Adaptation, AdaptedFusion, AdaptedRecipe, adapted_fusion
from chiasm.recipes.adaptation.trunks import adapted_modalities, with_others
from chiasm.recipes.registry import make_recipe
from chiasm.testing.adaptation import check_adaptation
from chiasm.tokens import Tokens
from small_recipes import at_night

QUICK = "epochs=2,latent_width=4"


def fusion_of(cohort: chiasm.Cohort) -> int:
    """What all recipes train beside their change of the network."""
    return int(make_recipe("probe:epochs=0,latent_width=4").fit(cohort, seed=0).trained_parameters)


@dataclass(frozen=True)
class Live(AdaptedRecipe):
    """Nothing is changed, and the network runs."""

    id: ClassVar[str] = "probe"


def test_what_no_token_depends_on_is_no_site_and_is_not_trained(cohort: chiasm.Cohort) -> None:
    trunk, tokens = trunk_of(cohort)
    assert trunk.unread == {"pooler.dense"}
    before = trunk(tokens).values
    with torch.no_grad():
        for parameter in trunk.network.pooler.parameters():
            parameter.add_(1.0)
    assert torch.equal(before, trunk(tokens).values)
    assert not any(parameter.requires_grad for parameter in trunk.parameters())


def test_a_probe_is_a_live_network_that_nothing_changes_and_runs_none(
    cohort: chiasm.Cohort, monkeypatch: pytest.MonkeyPatch
) -> None:
    live = Live(epochs=2, latent_width=4).fit(cohort, seed=0)
    monkeypatch.setattr(Trunk, "forward", None)
    model = make_recipe(f"probe:{QUICK}").fit(cohort, seed=0)
    assert not model.reads_inputs and live.reads_inputs
    assert model.trained_parameters == live.trained_parameters
    for key, own in network_of(model).state.items():
        np.testing.assert_allclose(own, network_of(live).state[key], atol=1e-5)


def test_full_tuning_trains_everything_that_is_read(cohort: chiasm.Cohort) -> None:
    trunk, _ = trunk_of(cohort)
    model = make_recipe(f"full-tuning:{QUICK}").fit(cohort, seed=0)
    pooler = sum(p.numel() for p in trunk.network.pooler.parameters())
    assert model.trained_parameters == fusion_of(cohort) + sum(p.numel() for p in trunk.parameters()) - pooler
    for name, parameter in trunk.network.named_parameters():
        own = torch.from_numpy(network_of(model).state[f"fusion.trained.0.network.{name}"])
        assert torch.equal(own, parameter) == name.startswith("pooler"), name


def test_full_tuning_by_layers_and_by_classes(cohort: chiasm.Cohort) -> None:
    plain = network_of(make_recipe(f"full-tuning:{QUICK}").fit(cohort, seed=0)).state
    trunk, _ = trunk_of(cohort)
    below = "fusion.trained.0.network.embeddings.word_embeddings.weight"
    start = trunk.network.embeddings.word_embeddings.weight.detach().numpy()
    slow = network_of(make_recipe(f"full-tuning:{QUICK},layer_decay=0.01").fit(cohort, seed=0)).state
    assert 0 < np.abs(slow[below] - start).max() < 0.01 * np.abs(plain[below] - start).max()
    balanced = network_of(make_recipe(f"full-tuning:{QUICK},balanced=true").fit(cohort, seed=0)).state
    assert not np.array_equal(balanced["head.linear.bias"], plain["head.linear.bias"])
    with pytest.raises(ValueError, match="layer_decay lies above 0"):
        make_recipe("full-tuning:layer_decay=0")


def test_ssf_has_two_numbers_a_channel_of_every_layer_that_is_read(cohort: chiasm.Cohort) -> None:
    model = make_recipe(f"ssf:{QUICK}").fit(cohort, seed=0)
    channels = 16 + 2 * (4 * 16 + 16 + 32 + 16 + 16)  # a norm; maps, norm, feed-forward network, norm of two layers
    assert model.trained_parameters == fusion_of(cohort) + 2 * channels
    drawn = make_recipe("ssf:start=paper").prepared(trainable(cohort, 0, None, "cpu"))[1]
    assert drawn.adaptations["note"].adapter.start == "paper"


def test_the_penalty_of_pego_lowers_the_overlap(cohort: chiasm.Cohort) -> None:
    training, overlap = trainable(cohort, 0, None, "cpu"), []
    for weight in (0.0, 1.0):
        recipe = make_recipe(f"pego:rank=2,epochs=3,latent_width=4,learning_rate=0.02,weight={weight}")
        network = recipe.network(training, *recipe.prepared(training))
        overlap.append(float(orthogonality(network.fusion.attached["note"]).detach()))
    assert 0 < overlap[1] < 0.8 * overlap[0]


def test_unipt_trains_on_stored_states_and_its_network_never_runs_then(
    cohort: chiasm.Cohort, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = make_recipe(f"unipt:narrow=4,{QUICK}")
    first = recipe.fit(cohort, seed=0)
    monkeypatch.setattr(Trunk, "forward", None)
    again = recipe.fit(cohort, seed=0)
    assert all(np.array_equal(own, network_of(again).state[key]) for key, own in network_of(first).state.items())


class Running(nn.Module):
    """A fusion of hidden states behind a network that runs in every step."""

    def __init__(self, fusion: nn.Module, trunk: Trunk) -> None:
        super().__init__()
        self.fusion, self.__dict__["trunk"] = fusion, trunk

    def forward(self, tokens: dict[str, Tokens], present: torch.Tensor) -> Any:
        made, here = tokens["note"], present[:, 1]
        own = layer_tokens(self.trunk, Tokens(made.values[here], made.mask[here]), blocks(self.trunk.network))
        values = own[0].values.new_zeros((len(here), own[0].values.shape[1], 32))
        mask = own[0].mask.new_zeros(values.shape[:2])
        values[here], mask[here] = torch.cat([layer.values for layer in own], 2), own[0].mask
        return self.fusion({**tokens, "note": Tokens(values, mask)}, present)


def test_unipt_on_stored_states_is_unipt_on_live_ones(cohort: chiasm.Cohort) -> None:
    recipe = make_recipe(f"unipt:narrow=4,{QUICK}")
    stored = network_of(recipe.fit(cohort, seed=0))
    training, own = trainable(cohort, 0, None, "cpu"), adapted_modalities(cohort)
    data, trunk = prepare(training, with_others(cohort, own)), own["note"].trunk()
    live = recipe.fitted(training, data, lambda: Running(stored.design.fusion(stored.shapes, recipe.dropout), trunk))
    found = dict(live.fusion.fusion.state_dict())
    assert all(torch.isfinite(tensor).all() for tensor in found.values())
    for key, tensor in found.items():
        np.testing.assert_allclose(stored.state[f"fusion.{key}"], tensor.numpy(), atol=1e-5)


def test_the_last_layer_s_tokens_are_the_encoder_s_own(cohort: chiasm.Cohort, images: chiasm.Cohort) -> None:
    for given in (cohort, images):
        trunk, tokens = trunk_of(given)
        layers = layer_tokens(trunk, tokens, blocks(trunk.network))
        assert torch.equal(layers[-1].values, trunk(tokens).values)
        assert not torch.allclose(layers[0].values, layers[-1].values, atol=1e-3)
        assert torch.equal(layers[0].mask, layers[-1].mask)


def test_hidden_states_are_kept_as_runs_of_neighbours_where_there_are_many(places: Any) -> None:
    every = scans(*places, network="hf:{models}/vit,level=token")
    trunk, tokens = trunk_of(every)
    names, own = blocks(trunk.network), adapted_modalities(every)["scan"]
    kept = HiddenStates(own.spec, own.kind, own.identity, 32, 16, names, 5).read(every, "scan")
    assert len(kept) == len(every.inputs("scan")) and set(kept.lengths) == {5} and kept.width == 32
    whole = torch.cat([layer.values for layer in layer_tokens(trunk, tokens, names)], 2)
    assert whole.shape[1] == 17
    fewer = runs(Tokens(whole, torch.ones(whole.shape[:2], dtype=torch.bool)), 5)
    np.testing.assert_allclose(np.stack([kept[row] for row in range(4)]), fewer.values.numpy(), atol=1e-5)
    check_adaptation(make_recipe(f"unipt:narrow=4,most=5,{QUICK}"), every)


def test_states_of_different_shapes_are_refused(places: Any) -> None:
    with pytest.raises(chiasm.Unsupported, match="hidden states"):
        make_recipe("unipt").fit(scans(*places, network="hf:{models}/resnet"), seed=0)


@pytest.mark.parametrize(
    "name", ["lora:rank=2,where=all", *at_night("lora:rank=2", "pego:rank=2,groups=3", "dvpt:attend=false")]
)
def test_a_network_with_torch_s_attention_keeps_the_laws(places: Any, name: str) -> None:
    channels = scans(*places, network="chada:size=32,dim=16,depth=2,heads=2")
    model = check_adaptation(make_recipe(f"{name},{QUICK}"), channels)
    sites = network_of(model).design.adaptations["scan"].sites
    if name.startswith(("lora", "pego")):
        joint = tuple(site for site in sites if site.endswith("self_attn"))
        assert len(joint) == 2 and (len(sites) == 2) == ("where=all" not in name)


@pytest.mark.parametrize(
    "name", ["full-tuning:epochs=2", *at_night("ssf:epochs=2", "sara:stages=1,epochs=2", "lt-sft:epochs=1")]
)
def test_a_network_that_convolves_and_has_running_statistics_keeps_the_laws(places: Any, name: str) -> None:
    check_adaptation(make_recipe(f"{name},latent_width=4"), scans(*places, network="hf:{models}/resnet"))


def test_ia3_is_refused_where_keys_and_values_have_no_map_of_their_own(places: Any) -> None:
    with pytest.raises(chiasm.Unsupported, match="no map to keys and values"):
        make_recipe("ia3").fit(scans(*places, network="chada:size=32,dim=16,depth=2,heads=2"), seed=0)


def test_dvpt_asks_the_tokens_of_images_and_refuses_padded_ones(images: Any, cohort: chiasm.Cohort) -> None:
    model = check_adaptation(make_recipe(f"dvpt:prompts=3,width=4,{QUICK}"), images)
    keys = [key for key in network_of(model).state if key.startswith("fusion.trained")]
    assert any(key.endswith("queries") for key in keys) and any(key.endswith("gate") for key in keys)
    with pytest.raises(chiasm.Unsupported, match=r"its inputs are padded.*attend=false"):
        make_recipe("dvpt").fit(cohort, seed=0)


def test_dvpt_is_the_network_at_first_and_its_queries_learn(images: chiasm.Cohort) -> None:
    training, (trunk, tokens) = trainable(images, 0, None, "cpu"), trunk_of(images)
    recipe = make_recipe("dvpt:prompts=3,width=4,epochs=0,latent_width=4")
    fresh = recipe.network(training, *recipe.prepared(training)).fusion
    torch.testing.assert_close(fresh.__dict__["trunks"]["scan"](tokens).values, trunk(tokens).values)
    recipe = replace(recipe, epochs=3)
    trained = recipe.network(training, *recipe.prepared(training)).fusion.attached["scan"].state()
    start = fresh.attached["scan"].state()
    assert all(not torch.equal(own, trained[name]) for name, own in start.items())


def test_ia3_scales_keys_values_and_what_the_last_map_reads(cohort: chiasm.Cohort) -> None:
    model = make_recipe(f"ia3:{QUICK}").fit(cohort, seed=0)
    assert model.trained_parameters == fusion_of(cohort) + 2 * (16 + 16 + 32)
    adaptation = network_of(model).design.adaptations["note"]
    assert {site.split("layer.")[1][2:] for site in adaptation.sites} == {
        "attention.self.key",
        "attention.self.value",
        "output.dense",
    }
    assert adaptation.adapter.inputs == ("encoder.layer.0.output.dense", "encoder.layer.1.output.dense")


def test_tuned_norms_are_those_of_peft(cohort: chiasm.Cohort) -> None:
    model = make_recipe(f"norm-tuning:{QUICK}").fit(cohort, seed=0)
    assert model.trained_parameters == fusion_of(cohort) + 2 * 5 * 16
    (trunk, tokens), (other, _) = trunk_of(cohort), trunk_of(cohort)
    sites = norms(trunk.network)
    ours = attach(trunk.network, ScaleShift(), lambda name, _: name in sites)
    theirs = attach(other.network, NormTuning(), lambda name, _: name in sites)
    with torch.no_grad():
        for name in sites:
            base = dict(ours.model.get_submodule(name)._parameters)
            ours.parts[name].scale.normal_()
            ours.parts[name].shift.normal_()
            own = dict(theirs.named_parameters())
            own[f"{name}.ln_tuning_layers.default.weight"].copy_(ours.parts[name].changed("weight", base["weight"]))
            own[f"{name}.ln_tuning_layers.default.bias"].copy_(ours.parts[name].changed("bias", base["bias"]))
    torch.testing.assert_close(trunk(tokens).values, other(tokens).values)


def test_prefixes_are_for_text_models_with_a_cache(cohort: chiasm.Cohort, images: chiasm.Cohort) -> None:
    model = make_recipe(f"prefix:tokens=3,{QUICK}").fit(cohort, seed=0)
    assert model.trained_parameters == fusion_of(cohort) + 3 * 2 * 2 * 16  # keys and values of two layers
    with pytest.raises(chiasm.Unsupported, match="no keys and values from before"):
        make_recipe("prefix").fit(images, seed=0)


def test_a_network_that_cannot_be_adapted_so_is_refused_before_any_fit(images: Any) -> None:
    with pytest.raises(chiasm.Unsupported, match=r"'scan' cannot be adapted so: .* prefixes need a text model"):
        make_recipe("prefix").supports(images)


@pytest.mark.parametrize("network", ["hf:{models}/resnet", *at_night("hf:{models}/dinov2")])
def test_what_is_accepted_can_be_attached_and_the_rest_is_refused_before_any_fit(places: Any, network: str) -> None:
    cohort = scans(*places, network=network)
    training, refused = trainable(cohort, 0, None, "cpu"), set()
    for name in ("lora", "ssf", "pego", "ia3", "norm-tuning", "petl-ast", "dvpt", "dvpt:attend=false", "unipt", "sara"):
        recipe: Any = make_recipe(name)
        try:
            recipe.supports(cohort)
        except chiasm.Unsupported as error:
            assert "modality 'scan' cannot be adapted so: " in str(error)
            refused.add(name)
        else:
            data, design, trunks = recipe.prepared(training)
            adapted_fusion(design, trunks, data.shapes)
    assert refused == ({"ia3", "petl-ast", "dvpt", "dvpt:attend=false", "unipt"} if "resnet" in network else set())


def test_maps_that_give_queries_keys_and_values_at_once_are_no_feed_forward_network() -> None:
    from transformers import (
        DebertaV2Config,
        DebertaV2Model,
        GPTNeoXConfig,
        GPTNeoXModel,
        ModernBertConfig,
        ModernBertModel,
    )

    small = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    neox = GPTNeoXModel(GPTNeoXConfig(vocab_size=50, **small))
    assert feed_forwards(neox)[1] == ("layers.1.mlp.dense_h_to_4h", "layers.1.mlp.dense_4h_to_h")
    modern = ModernBertModel(ModernBertConfig(vocab_size=50, pad_token_id=0, **small))
    assert feed_forwards(modern)[1] == ("layers.1.mlp.Wi", "layers.1.mlp.Wo")
    deberta = DebertaV2Model(DebertaV2Config(vocab_size=50, **small))
    assert {name.rpartition(".")[2] for name in projections(deberta)} == {"query_proj", "key_proj", "value_proj"}


def test_scale_and_shift_leave_no_map_out_without_a_word() -> None:
    from transformers import GPT2Config, GPT2Model

    trunk = SimpleNamespace(network=GPT2Model(GPT2Config(vocab_size=50, n_embd=16, n_layer=1, n_head=2)))
    with pytest.raises(ValueError, match="its Conv1D is a map that scale and shift do not know"):
        make_recipe("ssf").adaptation(trunk)


def test_a_batch_of_one_image_is_no_spread_for_a_batch_norm() -> None:
    """Trained whole, a network whose norms see one number a channel would stop the fit."""

    class Normed(Trunk):
        def run(self, inputs: torch.Tensor) -> tuple[torch.Tensor, None]:
            return self.network(inputs)[:, None], None

    trunk = Normed(nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4)))
    fusion = AdaptedFusion({"m": trunk}, {"m": Adaptation(full=True)}, PooledMean({"m": (4, 0)}, 4), {"m": (4, 0)})
    fusion.train()
    for present in ([True, False, False], [True, True, False]):
        mask = torch.tensor(present)[:, None]
        fused = fusion({"m": Tokens(torch.randn(3, 1, 3), mask)}, mask)
        assert torch.isfinite(fused.embedding).all() and trunk.training
    assert int(trunk.network[1].num_batches_tracked) == 1


@pytest.mark.parametrize("name", ["DistilBert", "Esm"])
def test_prefixes_are_refused_by_models_that_take_no_cache(name: str) -> None:
    import transformers

    config = getattr(transformers, f"{name}Config")(
        vocab_size=30, hidden_size=8, dim=8, num_hidden_layers=1, n_layers=1, num_attention_heads=2, n_heads=2,
        intermediate_size=16, hidden_dim=16, pad_token_id=0,
    )  # fmt: skip
    network = getattr(transformers, f"{name}Model")(config)
    with pytest.raises(ValueError, match="takes no keys and values from before"):
        make_recipe("prefix").adaptation(SimpleNamespace(network=network))
