"""`urfound`: laws of every recipe, nothing leaks of what is hidden, and a text is told from its own patient."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

import chiasm
from adapted_cohorts import stopped_after
from chiasm.artifact import ArtifactError
from chiasm.cohort import Cohort, Unsupported, cohort_from_frames
from chiasm.fitting.base import trainable
from chiasm.fitting.card import card_of
from chiasm.fitting.language import language_of
from chiasm.fitting.neural import new_network, prepare
from chiasm.fusion.told_trunk import ToldTrunk
from chiasm.testing import check_fusion, check_recipe
from chiasm.tokens import Tokens
from chiasm.training import Examples
from chiasm.training.told_text import Transfer, knowledge_transfer, split_tokens
from small_recipes import mixed, small

SHAPES = {"note": (3, 0), "scan": (4, 0), "table": (2, 1)}


@pytest.mark.nightly
def test_the_laws_of_every_recipe_hold() -> None:
    check_recipe(small("urfound", text="m1"), kinds=("classification",), n=56)


def test_the_laws_of_every_fusion_hold() -> None:
    check_fusion(lambda own: ToldTrunk(own, text="note", latent_width=8, depth=1, heads=2, decoder_depth=0), SHAPES)


def drawn(seed: int = 0) -> tuple[ToldTrunk, dict[str, Tokens], dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """A trunk, tokens of five patients, and which are visible and hidden."""
    torch.manual_seed(seed)
    trunk = ToldTrunk(SHAPES, text="note", latent_width=8, depth=1, heads=2).eval()
    generator, tokens, visible, asked = torch.Generator().manual_seed(seed), {}, {}, {}
    for name, (width, slots) in SHAPES.items():
        mask = torch.rand(5, slots or 6, generator=generator) < 0.8
        tokens[name] = Tokens(torch.randn(5, slots or 6, width, generator=generator), mask)
        visible[name], asked[name] = split_tokens(mask, 0.5, 0 if name == "note" else 1, generator)
    return trunk, tokens, visible, asked


@torch.no_grad()
def test_what_is_hidden_and_the_text_change_nothing_that_the_trunk_reads() -> None:
    trunk, tokens, visible, asked = drawn()
    spoiled = {
        name: Tokens(torch.where(visible[name][..., None], own.values, torch.nan), own.mask)
        for name, own in tokens.items()
    }
    spoiled["note"] = Tokens(torch.full_like(tokens["note"].values, torch.nan), tokens["note"].mask)
    for one, other in zip(trunk.rebuilt(tokens, visible, asked), trunk.rebuilt(spoiled, visible, asked), strict=True):
        for name in one if isinstance(one, dict) else [...]:
            assert torch.equal(one[name], other[name]) and bool(torch.isfinite(one[name]).all())
    mean = trunk.rebuilt(tokens, visible, asked)[1]
    hidden = Tokens(torch.where(visible["note"][..., None], tokens["note"].values, torch.nan), tokens["note"].mask)
    told = [trunk.told(own, visible["note"], asked["note"], mean) for own in (tokens["note"], hidden)]
    assert torch.equal(*told) and not torch.equal(told[0], trunk.told(hidden, visible["note"], asked["note"], mean + 1))


def test_a_token_stays_visible_but_of_the_text_one_at_least_is_hidden() -> None:
    mask = torch.tensor([[1, 1, 1, 1, 1, 1, 1, 1], [1, 0, 0, 0, 0, 0, 0, 0], [0] * 8], dtype=torch.bool)
    for least, wanted in ((1, [6, 0, 0]), (0, [6, 1, 0])):
        visible, hidden = split_tokens(mask, 0.75, least, torch.Generator().manual_seed(0))
        assert hidden.sum(1).tolist() == wanted
        assert torch.equal(visible | hidden, mask) and not bool((visible & hidden).any())


def told_cohort(n: int = 120) -> Cohort:
    """Bags of six tokens, and a note of two, that are noisy maps of the same three numbers; a tenth lacks either."""
    rng = np.random.default_rng(0)
    shared, ids = rng.normal(size=(n, 3)), [f"p{k:03d}" for k in range(n)]
    maps = {name: rng.normal(size=(3, 6)) for name in ("note", "scan")}
    bags = {
        name: {
            patient: (shared[k] @ maps[name] + 0.3 * rng.normal(size=(count, 6))).astype(np.float32)
            for k, patient in enumerate(ids)
            if k % 10 != lacks
        }
        for name, count, lacks in (("note", 2, 3), ("scan", 6, 7))
    }
    label = np.where(shared[:, 0] > 0, "yes", "no")
    return cohort_from_frames(
        pd.DataFrame({"label": label}, index=ids), bags, chiasm.Classification("label"),
        kinds=dict.fromkeys(bags, "bag"),
    )  # fmt: skip


@pytest.mark.nightly
def test_a_text_is_told_better_from_its_own_patient_than_from_another() -> None:
    recipe = small(
        "urfound",
        text="note",
        base_epochs=40,
        hidden_text=0.9,
        latent_width=16,
        depth=1,
        learning_rate=0.01,
        dropout=0.0,
    )
    model = recipe.fit(told_cohort(), seed=0)
    notes = model.predictor.notes
    assert notes["text error"] < 0.7 and notes["text error shuffled"] > notes["text error"] + 0.3
    assert notes["text owed to the others"] > 0.5
    assert notes["text error difference"] > 4 * notes["text error difference standard error"] > 0
    assert "of all that is told" in card_of(model) and "patients, who also chose the epoch" in card_of(model)


def test_a_share_is_said_only_where_something_is_told() -> None:
    rng = np.random.default_rng(0)
    spread = np.array([rng.normal(size=50), rng.normal(size=50)])
    spread = 0.1 * (spread - spread.mean(1, keepdims=True))

    def transfer(paired: float, shuffled: float, times: float = 1.0) -> Transfer:
        return Transfer(paired + times * spread[0], shuffled + times * spread[1])

    assert transfer(0.5, 0.75).share == pytest.approx(0.5) and transfer(0.5, 0.4).share == 0.0
    assert transfer(0.999, 1.05).share is None and transfer(0.98, 0.99).share is None
    assert transfer(0.9, 1.0).share is not None and transfer(0.9, 1.0, times=10).share is None
    assert transfer(0.98, 0.99).difference == pytest.approx(0.01)


def test_a_partner_is_of_another_group_and_the_draw_is_seeded() -> None:
    cohort, groups, seen = told_cohort(40), np.arange(40) // 20, []
    recipe = small("urfound", text="note")
    training = trainable(cohort, 0, None, "cpu")
    data = prepare(training)
    network = new_network(training, data, replace(recipe.design(), text="note"), 0.0)
    objective = recipe.phases(data)[0].objective
    rows = np.flatnonzero(data.present.all(1))
    batch = Examples(data.tokens, data.present, data.target, data.held_out).batch(rows, "cpu")
    with pytest.MonkeyPatch.context() as patch:
        own = type(objective).text_errors

        def watched(self: Any, network: Any, batch: Any, generator: Any, partner: Any = None) -> torch.Tensor:
            seen.append(partner)
            return own(self, network, batch, generator, partner)

        patch.setattr(type(objective), "text_errors", watched)
        found = [knowledge_transfer(network, objective, batch, groups[rows], seed=s, draws=2) for s in (0, 0, 1)]
    partners = [own.numpy() for own in seen if own is not None]
    assert len(partners) == 6 and all((groups[rows] != groups[rows][own]).all() for own in partners)
    assert np.array_equal(found[0].shuffled, found[1].shuffled)
    assert not np.array_equal(found[0].shuffled, found[2].shuffled)
    assert knowledge_transfer(network, objective, batch, np.zeros(len(rows), int), seed=0) is None


def test_training_goes_on_with_the_same_options_alone(tmp_path: Path) -> None:
    cohort, recipe = told_cohort(60), small("urfound", text="note", base_epochs=3)
    whole = recipe.fit(cohort, seed=0).predictor
    with stopped_after(2):
        recipe.fit(cohort, seed=0, checkpoint=tmp_path)
    for other in ({"text": "scan"}, {"heads": 1}, {"dropout": 0.3}):
        with pytest.raises(ArtifactError, match="other options"):
            replace(recipe, **other).fit(cohort, seed=0, checkpoint=tmp_path)
    again = recipe.fit(cohort, seed=0, checkpoint=tmp_path).predictor
    assert again.notes == whole.notes and again.notes["text error patients"] > 1
    assert all(np.array_equal(own, again.state[key]) for key, own in whole.state.items())


def test_what_hides_no_token_has_no_decoder_and_no_first_phase() -> None:
    cohort = told_cohort(60)
    one = small("urfound", modality="scan", hidden=0.05).fit(cohort, seed=0).predictor.predictor  # of six, none
    assert not any(key.startswith("fusion.decoder.") for key in one.state)
    told = small("urfound", text="note", hidden=0.05).fit(cohort, seed=0).predictor
    assert not any(key.startswith("fusion.decoder.") for key in told.state)
    assert any(key.startswith("fusion.writer.") for key in told.state) and np.isfinite(told.notes["text error"])


def test_where_only_the_text_is_left_it_is_the_form_of_the_text_alone() -> None:
    cohort = told_cohort(60)
    left = cohort.without("scan", cohort.rows_of("scan")[5:])
    left = left.subset(left.present.any(1))
    fold = small("urfound", text="note").fit(left, seed=0).predictor.state
    alone = small("urfound", modality="note").fit(left, seed=0).predictor.predictor.state
    assert any(key.startswith("fusion.decoder.") for key in fold)
    assert all(np.array_equal(own, alone[key]) for key, own in fold.items())


def test_a_molecule_is_no_language() -> None:
    ids = [f"p{k}" for k in range(12)]
    cells = {name: pd.DataFrame({name: ["CCO"] * 12}, index=ids) for name in ("drug", "report")}
    patients = pd.DataFrame({"label": ["a", "b"] * 6}, index=ids)
    cohort = cohort_from_frames(
        patients, cells, chiasm.Classification("label"), kinds={"drug": "molecule", "report": "text"}
    )
    assert language_of(cohort, "", "text", "bm-mae") == "report"
    with pytest.raises(Unsupported, match="lacks a modality of language"):
        language_of(cohort.with_modalities(["drug"]), "", "text", "bm-mae")


def test_the_first_phase_reads_no_label_and_the_second_neither_decoder_nor_writer() -> None:
    cohort, states = told_cohort(60), []
    recipe = small("urfound", text="note")
    for outcome in (cohort.outcome, cohort.outcome.take(np.arange(60)[::-1])):
        training = trainable(cohort.with_target(cohort.target, outcome), 0, None, "cpu")
        data = prepare(training)
        data.held_out[:] = np.arange(60) % 5 == 0  # the same whatever the outcome
        network = new_network(training, data, replace(recipe.design(), text="note"), 0.2)
        first, target = recipe.phases(data)
        recipe.run(training, data, network, (first,), seed=1)
        states.append({key: own.clone() for key, own in network.state_dict().items()})
        recipe.run(training, data, network, (target,), seed=1)
        moved = {key for key, own in network.state_dict().items() if not torch.equal(own, states[-1][key])}
        assert "head.linear.weight" in moved
        assert not any(key.startswith(("fusion.writer.", "fusion.decoder.")) for key in moved)
    assert all(torch.equal(own, states[1][key]) for key, own in states[0].items())
    without = small("urfound", text="note", base_epochs=0).fit(cohort, seed=0).predictor
    assert not without.notes and not any(key.startswith(("fusion.writer.", "fusion.decoder.")) for key in without.state)


def test_without_language_it_is_refused_and_a_scarce_text_is_not_told() -> None:
    for text in ("", "report"):
        with pytest.raises(Unsupported, match=r"lacks .*: name one of m1, m2, m3 as `text`, or use bm-mae"):
            small("urfound", text=text).supports(mixed("classification"))
    small("urfound", modality="m3").supports(mixed("classification"))
    cohort = told_cohort(60)
    few = cohort.without("note", cohort.rows_of("note")[5:])
    model = small("urfound", text="note").fit(few, seed=0)
    assert not any(key.startswith("fusion.writer.") for key in model.predictor.state) and not model.predictor.notes
