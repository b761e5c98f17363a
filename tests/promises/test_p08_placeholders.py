"""P8: what stands in memory behind an absent modality, NaN, 0 or 1e9, cannot change the output; its gradient is 0."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from chiasm.compute.memo import forget
from chiasm.fusion.healnet import HealNet
from chiasm.fusion.lego import LegoFuse
from chiasm.fusion.lego_block import LegoBlock
from chiasm.testing import check_fusion
from chiasm.testing.laws import folder_bytes
from chiasm.tokens import PackedTokens, Tokens
from chiasm.training.batches import take
from small_recipes import READING, TWO, every_variant, mixed, on_paths, parts, short_name

# All in one fit, in turn over the numbers behind the absent: a mean, a maximum or a repair of one shows another.
MIXED = (float("nan"), 1e9, -float("inf"))
SHAPES = {"a": (4, 3), "b": (5, 0), "c": (2, 5)}
FILLERS = [float("nan"), 0.0, 1e9, -float("inf")]


def healnet(shapes: Any) -> HealNet:
    return HealNet(shapes, latents=4, latent_width=8, dropout=0.0)


def lego(mode: str, domain: str) -> Any:
    def make(shapes: Any) -> LegoFuse:
        blocks = {n: LegoBlock(*s, latents=4, latent_width=8, dropout=0.0, domain=domain) for n, s in shapes.items()}
        return LegoFuse(blocks, mode)

    return make


WAYS = [(mode, domain) for mode in ("stack", "weave") for domain in ("signal", "rfft", "complex")]
NETWORKS = [recipe for recipe in every_variant() if hasattr(recipe, "latents")]
FUSIONS = {"healnet": healnet, **{f"{mode}-{domain}": lego(mode, domain) for mode, domain in WAYS}}


@pytest.mark.parametrize("make", FUSIONS.values(), ids=FUSIONS)
def test_every_fusion(make: Any) -> None:
    check_fusion(make, SHAPES)


def test_a_fusion_that_reads_zeros_for_what_is_absent_is_seen() -> None:
    class Reads(torch.nn.Module):
        def __init__(self, how: str) -> None:
            super().__init__()
            self.how, self.inner = how, healnet(SHAPES)

        def forward(self, tokens: Any, present: Any) -> Any:
            if self.how == "ignores presence":
                present = torch.ones_like(present)
            if self.how == "ignores masks":
                tokens = {n: Tokens(t.values, torch.ones_like(t.mask)) for n, t in tokens.items()}
            if self.how == "multiplies by the mask":
                tokens = {n: Tokens(t.values * t.mask[..., None], t.mask) for n, t in tokens.items()}
                present = torch.ones_like(present)
            return self.inner(tokens, present)

    for how in ("ignores presence", "ignores masks", "multiplies by the mask"):
        with pytest.raises(AssertionError, match=r"behind an absent or masked token|every embedding is finite"):
            check_fusion(lambda shapes, how=how: Reads(how), SHAPES)


@pytest.mark.parametrize("filler", FILLERS)
def test_where_present_replaces_and_stops_the_gradient(filler: float) -> None:
    mask = torch.tensor([[True, False], [True, True]])
    values = torch.ones(2, 2, 3)
    values[0, 1] = values[1] = filler
    values.requires_grad_()
    kept = Tokens(values, mask).where_present(torch.tensor([True, False]))
    assert torch.equal(kept.mask, torch.tensor([[True, False], [False, False]]))
    assert kept.values[0, 1].eq(0).all() and kept.values[1].eq(0).all()
    kept.values.sum().backward()
    assert torch.equal(values.grad[0, 0], torch.ones(3))
    assert values.grad[0, 1].eq(0).all() and values.grad[1].eq(0).all()


def test_packed_tokens_pad_with_a_placeholder_that_is_masked() -> None:
    bags = [np.full((2, 3), 1.0, np.float32), np.full((4, 3), 2.0, np.float32)]
    packed = PackedTokens.scatter(bags, np.array([0, 2]), 3, 3)
    batch = packed.take(np.array([0, 1, 2]))
    assert batch.mask.sum(1).tolist() == [2, 0, 4]
    assert batch.values[batch.mask].unique().tolist() == [1.0, 2.0]


@pytest.mark.parametrize("recipe", on_paths(NETWORKS, READING), ids=short_name)
def test_a_prediction_does_not_see_the_placeholder_of_packed_tokens(
    recipe: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    cohort = mixed("classification")
    plain = PackedTokens.take
    frames, states = [], []
    for fillers in ((0.0,), MIXED):

        def filled(self: PackedTokens, rows: np.ndarray, fillers: tuple[float, ...] = fillers) -> Tokens:
            batch = plain(self, rows)
            turns = torch.tensor(fillers)[torch.arange(batch.values.numel()) % len(fillers)]
            return Tokens(torch.where(batch.mask[..., None], batch.values, turns.view_as(batch.values)), batch.mask)

        monkeypatch.setattr(PackedTokens, "take", filled)
        forget()
        model = recipe.fit(cohort, seed=0)
        frames.append(model.predict(cohort))
        states.append(folder_bytes(model.save))
    monkeypatch.undo()
    assert take({"m3": PackedTokens.scatter([], np.zeros(0, int), 1, 2)}, np.array([0]))["m3"].values.isfinite().all()
    pd.testing.assert_frame_equal(*frames, check_exact=True)
    assert states[0] == states[1], "training did not see it either"


@pytest.mark.parametrize("recipe", on_paths(every_variant(), TWO), ids=short_name)
def test_rows_of_the_source_that_no_patient_owns_are_never_read(recipe: Any) -> None:
    """An absent modality has no row; a row of 0 and 1e9 that a patient was taken away from must not be read either."""
    made = parts("regression")
    frames = []
    for filled in (False, True):
        values = dict(made.values)
        if filled:
            omics = made.values["m2"].copy()
            omics.iloc[:5, ::2], omics.iloc[:5, 1::2] = 0.0, 1e9
            values["m2"] = omics
        cohort = replace(made, values=values).cohort()
        gone = {**cohort.source_rows, "m2": np.where(cohort.source_rows["m2"] < 5, -1, cohort.source_rows["m2"])}
        own = replace(cohort, source_rows=gone)
        own = own.subset(own.present.any(1))
        forget()
        frames.append(recipe.fit(own, seed=0).predict(own))
    pd.testing.assert_frame_equal(*frames, check_exact=True)
