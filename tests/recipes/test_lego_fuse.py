"""`lego-fuse` starts from what the merge had and never ends below it on the patients that it is chosen by."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from chiasm.cohort import Cohort, Unsupported, synthetic_cohort
from chiasm.encoders import pack
from chiasm.fitting.base import Training, trainable
from chiasm.fitting.neural import state_of
from chiasm.fusion.lego_block import DOMAINS, Domain, LegoBlock
from chiasm.heads.response import calibrated_nll
from chiasm.metrics.classification import auroc
from chiasm.recipes.fusion.lego_blocks import Blocks, in_order, merged_head, restored_block, train_blocks
from chiasm.recipes.fusion.lego_fuse import LegoFuseRecipe, best_of, held_out_nll
from chiasm.tokens import Tokens
from chiasm.training import predict_link
from chiasm.training.batches import presence
from small_recipes import small

HURTS: dict[str, Any] = {"epochs": 12, "fuse_epochs": 3, "fuse_learning_rate": 1.0}
"""Fine-tuning at a rate at which nothing is learned."""


@pytest.fixture(scope="module")
def cohort() -> Cohort:
    return synthetic_cohort("complementary", 60, seed=3)


def blocks_of(recipe: LegoFuseRecipe, cohort: Cohort) -> tuple[Training, Blocks]:
    training = trainable(cohort, 0, None, "cpu")
    return training, train_blocks(training, recipe)


@pytest.mark.parametrize(
    ("target", "mode"),
    [
        ("classification", "weave"),
        *(pytest.param(kind, "stack", marks=pytest.mark.nightly) for kind in ("survival", "regression")),
    ],
)
def test_fine_tuning_that_hurts_ends_no_worse_than_the_merge(target: str, mode: str) -> None:
    cohort = synthetic_cohort("redundant", 60, target=target, seed=3)
    recipe = small("lego-fuse", mode=mode, **HURTS)
    training, trained = blocks_of(recipe, cohort)
    data = trained.data
    held_out = data.subset(np.flatnonzero(data.held_out))

    def nll(link: np.ndarray) -> float:
        return calibrated_nll(target, link, held_out.outcome)

    model = recipe.fit(cohort, seed=0)
    merge = small("lego-merge", epochs=HURTS["epochs"]).fit(cohort, seed=0)
    ours, theirs = (nll(own.predictor.link(held_out.cohort)) for own in (model, merge))
    assert ours <= theirs + 1e-5
    start = held_out_nll(recipe.network(training, trained, mode), data, target)
    assert ours <= start + 1e-5
    notes = model.predictor.notes
    assert notes["nll_merge"] == pytest.approx(theirs, rel=1e-4) and notes["nll_start"] == pytest.approx(start)
    assert ours == pytest.approx(min(notes.values()), rel=1e-5) and notes["nll_fused"] > ours


def test_fine_tuning_that_helps_is_kept() -> None:
    cohort = synthetic_cohort("xor", 300, seed=0)
    model = small("lego-fuse", epochs=2, fuse_epochs=12, latents=8, latent_width=16, dropout=0.0).fit(cohort, seed=0)
    notes = model.predictor.notes
    assert notes["nll_fused"] == min(notes.values()) < notes["nll_merge"]
    assert model.predictor.design.mode == "stack"
    new = synthetic_cohort("xor", 1000, seed=1)
    said = model.predict(new.with_target(None, None)).loc[list(new.ids), "p_1"].to_numpy()
    assert float(auroc(np.stack([1 - said, said], 1), new.outcome.value)[0]) >= 0.9


@pytest.mark.parametrize("method", ["slerp", "linear"])
def test_the_head_starts_as_the_merged_one_and_the_blocks_as_they_were_trained(cohort: Cohort, method: str) -> None:
    recipe = small("lego-fuse", head_method=method)
    training, trained = blocks_of(recipe, cohort)
    network = recipe.network(training, trained, "stack")
    expected = merged_head(list(trained.heads.values()), recipe.latent_width, "classification", method)
    for key, own in network.head.state_dict().items():
        assert torch.equal(own, expected.state_dict()[key]), key
    for block, state in zip(network.fusion.blocks, trained.blocks.values(), strict=True):
        assert all(np.array_equal(own, state[key]) for key, own in state_of(block).items())


@pytest.mark.parametrize(("domain", "head_method"), [("rfft", "slerp"), ("complex", "ot")])
def test_the_kept_merge_is_that_of_lego_merge(cohort: Cohort, domain: str, head_method: str) -> None:
    options = {"domain": domain, "head_method": head_method}
    recipe = small("lego-fuse", **options)
    training, trained = blocks_of(recipe, cohort)
    merge = small("lego-merge", **options).fit(cohort, seed=0)
    network = recipe.network(training, trained, "merge").eval()
    tokens = pack(cohort, trained.data.encoders)
    link = predict_link(network, tokens, presence(tokens, cohort.modalities))
    np.testing.assert_allclose(link, merge.predictor.link(cohort), rtol=1e-4, atol=1e-5)


def test_ot_brings_the_widths_of_the_blocks_into_one_order(cohort: Cohort) -> None:
    """Blocks whose widths were shuffled fuse to the same network, which they do not by the plain mean of heads."""
    given = {}
    for method in ("ot", "linear"):
        recipe = small("lego-fuse", head_method=method)
        training, trained = blocks_of(recipe, cohort)
        order = np.random.default_rng(1).permutation(recipe.latent_width)
        block = restored_block(recipe.sizes, trained.data.shapes["m2"], trained.blocks["m2"])
        block.reorder(torch.from_numpy(order))
        shuffled = replace(
            trained,
            blocks={**trained.blocks, "m2": state_of(block)},
            heads={**trained.heads, "m2": in_order(trained.heads["m2"], order)},
        )
        data = trained.data
        given[method] = [
            predict_link(recipe.network(training, own, "stack").eval(), data.tokens, data.present)
            for own in (trained, shuffled)
        ]
    np.testing.assert_allclose(*given["ot"], rtol=1e-4, atol=1e-5)
    assert np.abs(given["linear"][0] - given["linear"][1]).max() > 1e-3


def test_ot_without_its_package_is_refused_before_a_fit(cohort: Cohort, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chiasm.recipes.fusion.lego_blocks.find_spec", lambda name: None)
    with pytest.raises(Unsupported, match=r"pip install \"chiasm\[transport\]\""):
        small("lego-fuse", head_method="ot").supports(cohort)


@pytest.mark.parametrize("domain", DOMAINS)
def test_a_reordered_block_gives_reordered_latents(domain: Domain) -> None:
    """Of a block whose every number is its own, as after training: a fresh norm is the same in every width."""
    torch.manual_seed(0)
    block = LegoBlock(3, 4, latents=5, latent_width=8, heads=2, dropout=0.0, domain=domain).double().eval()
    with torch.no_grad():
        for own in block.parameters():
            own.add_(0.3 * torch.randn_like(own))
    tokens = Tokens(torch.randn(6, 4, 3, dtype=torch.float64), torch.ones(6, 4, dtype=torch.bool))
    here, order = torch.ones(6, dtype=torch.bool), torch.randperm(8)
    before = block(tokens, here)
    block.reorder(order)
    torch.testing.assert_close(block(tokens, here), before[..., order])


def test_a_loss_that_is_no_number_is_the_largest_and_ties_go_to_the_first() -> None:
    assert best_of({"fused": float("nan"), "start": 2.0, "merge": 2.0}) == "start"
    assert best_of({"fused": 1.0, "start": 2.0, "merge": 1.0}) == "fused"
