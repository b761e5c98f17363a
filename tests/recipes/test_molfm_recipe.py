"""`molfm`: the laws of a recipe, what the first phase learns of pairs and triples, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest
import torch

from chiasm.cohort import Cohort, Unsupported
from chiasm.cohort.knowledge import Knowledge
from chiasm.encoders import pack
from chiasm.encoders.knowledge import KNOWLEDGE
from chiasm.errors import FindingWarning
from chiasm.fitting.base import trainable
from chiasm.fitting.card import card_of
from chiasm.fitting.neural import Prepared
from chiasm.fitting.sides import reads_knowledge
from chiasm.fusion.molfm import Molfm
from chiasm.objectives.knowledge import distance, is_known, keys
from chiasm.recipes.alignment.molfm import MolfmRecipe, neighbours_of
from chiasm.report.sides import knowledge_sentences
from chiasm.testing import check_recipe
from chiasm.training import Phase, checkpoint
from chiasm.training.batches import presence, take
from chiasm.training.unlabelled import Unlabelled
from molecule_cohorts import told_parts
from small_recipes import at_night, mixed, small

pytest.importorskip("rdkit.Chem")


def cohort(n: int = 60) -> Cohort:
    return told_parts("classification", n, 0).cohort()


@pytest.mark.parametrize("kind", at_night("classification", "survival", "regression"))
def test_it_passes_the_public_check(kind: str) -> None:
    check_recipe(small("molfm", layers=2), kinds=(kind,), n=60, parts=told_parts)


class Untargeted(MolfmRecipe):
    """The first phase alone, after which the second would move what it has learned."""

    def phases(self, data: Prepared) -> tuple[Phase, ...]:
        return super().phases(data)[:1]


@cache
def trained(n: int, epochs: int) -> tuple[Any, Cohort]:
    """A model of two thirds of n patients, and the others who have structure and text."""
    recipe = Untargeted(
        latent_width=32, heads=2, layers=3, epochs=epochs, patience=epochs, share=0.9, batch=16, learning_rate=3e-3,
        dropout=0.0,
    )  # fmt: skip
    whole = cohort(n)
    new = np.arange(n) % 3 == 0
    return recipe.fit(whole.subset(~new), seed=0), whole.subset(new & whole.present.all(1))


@pytest.mark.parametrize(
    ("n", "epochs", "matched", "found"),
    [(150, 12, 0.0, 0.4), pytest.param(300, 30, 0.8, 0.9, marks=pytest.mark.nightly)],
)
def test_pairs_that_were_not_trained_on_are_matched_and_found_above_chance(
    n: int, epochs: int, matched: float, found: float
) -> None:
    """Half of the pairs would be matched by chance, and a sixth found; the former by day in the fusion's test."""
    model, new = trained(n, epochs)
    predictor = model.predictor
    fusion = cast(Molfm, predictor.network().fusion)
    tokens = pack(new, predictor.encoders)
    assert new.knowledge is not None
    group, rows = torch.from_numpy(new.knowledge.named), torch.arange(len(new))
    others = torch.stack([torch.nonzero(group != group[k])[k % 7, 0] for k in rows])
    with torch.no_grad():
        here = torch.from_numpy(presence(tokens, sorted(tokens)))
        extras = fusion(take(tokens, rows.numpy(), "cpu"), here).extras
        right = torch.cat([fusion.matched(extras, rows, rows) > 0, fusion.matched(extras, rows, others) < 0])
        likeness = extras["vectors"][:, 0] @ extras["vectors"][:, 1].T
    assert float(right.float().mean()) > matched
    assert float((group[likeness.argmax(1)] == group).float().mean()) > found


def test_true_triples_are_nearer_than_those_that_are_not() -> None:
    model, new = trained(150, 12)
    fusion = cast(Molfm, model.predictor.network().fusion)
    known = new.knowledge
    assert known is not None
    true, sizes = torch.from_numpy(known.triples), (len(known.entities), len(known.relations))
    heads, tails = torch.meshgrid(torch.arange(sizes[0]), torch.arange(sizes[0]), indexing="ij")
    every = torch.cat(
        [torch.stack([heads, torch.full_like(heads, r), tails], -1).reshape(-1, 3) for r in range(sizes[1])]
    )
    false = every[~is_known(every, keys(true, *sizes).sort().values, *sizes)]
    with torch.no_grad():
        near, far = (distance(fusion.facts.entities, fusion.facts.relations, own) for own in (true, false))
    assert float(near.mean()) < float(far.mean()) - 0.1


def test_without_knowledge_pairs_or_a_modality_there_is_less_of_it() -> None:
    whole = cohort()
    bare = replace(whole, knowledge=None)
    recipe = small("molfm", layers=1)
    model = recipe.fit(bare, seed=0)
    assert KNOWLEDGE not in model.predictor.encoders and set(model.predict(whole)["pattern"]) == {
        "drug",
        "note",
        "drug+note",
    }
    known = recipe.fit(whole, seed=0)
    with pytest.warns(FindingWarning, match=r"^the cohort has no knowledge \(\[knowledge\] in a manifest\)"):
        without = known.predict(bare)
    assert bool(np.isfinite(without.select_dtypes("number")).all(None))
    assert not without.equals(known.predict(whole)), "knowledge is read"
    assert whole.knowledge is not None
    strange = replace(whole.knowledge, entities=tuple(f"no {name}" for name in whole.knowledge.entities))
    with pytest.warns(FindingWarning, match="^the model knows none of the entities in 'compound'"):
        pd.testing.assert_frame_equal(known.predict(replace(whole, knowledge=strange)), without)
    card = card_of(known)
    assert "which of 9 entities a patient has" in card and "| drug | molecule | - | bonds |" in card
    assert "entities" not in card_of(model)
    apart = whole.subset(whole.present.sum(1) == 1)
    assert bool(np.isfinite(recipe.fit(apart, seed=0).predict(apart).select_dtypes("number")).all(None))


def test_a_form_of_one_modality_reads_the_knowledge_too_and_says_so() -> None:
    """Else an informative column would be a gain of combining. Who lacks the modality has the prior all the same."""
    whole = cohort()
    for name in whole.modalities:
        model = small("molfm", layers=1, modality=name).fit(whole, seed=0)
        found = model.predict(whole)
        with pytest.warns(FindingWarning, match="the cohort has no knowledge"):
            bare = model.predict(replace(whole, knowledge=None))
        numbers, has = found.select_dtypes("number").columns, found["pattern"] == name
        assert set(found["pattern"]) == {name, ""} and len(found.loc[~has, numbers].drop_duplicates()) == 1
        assert not np.allclose(found.loc[has, numbers], bare.loc[has, numbers])
    assert reads_knowledge(small("molfm", modality="drug"), whole)
    assert not reads_knowledge(small("molfm"), replace(whole, knowledge=None)) and not reads_knowledge(
        small("gin"), whole
    )
    rows = [{"name": name, "side": "single", "family": "", "reads_knowledge": name == "b"} for name in "abc"]
    assert "'b'" in knowledge_sentences(rows)[0] and knowledge_sentences(rows[:1]) == []


class Stopped(BaseException):
    """The power went off."""


@pytest.mark.nightly
def test_stopped_within_the_first_phase_and_resumed_equals_uninterrupted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, whole = small("molfm", layers=1, epochs=6), cohort()
    expected, save, seen = recipe.fit(whole, seed=0), checkpoint.save_checkpoint, list[Any]()

    def stops(path: Path, state: Any) -> None:
        save(path, state)
        seen.append(state)
        if len(seen) == 2:
            raise Stopped

    with monkeypatch.context() as patch, pytest.raises(Stopped):
        patch.setattr(checkpoint, "save_checkpoint", stops)
        recipe.fit(whole, seed=0, checkpoint=tmp_path)
    assert not seen[-1]["finished"], "it was stopped within the first phase"
    torch.manual_seed(5)  # whatever the next process draws before it resumes
    resumed = recipe.fit(whole, seed=0, checkpoint=tmp_path)
    assert resumed.predict(whole).equals(expected.predict(whole))


def test_a_training_does_not_go_on_with_other_triples() -> None:
    whole = cohort()
    assert whole.knowledge is not None
    other = replace(whole.knowledge, relations=("is", "likes"))

    def options(known: Knowledge) -> str:
        recipe = small("molfm", layers=1)
        own = replace(whole, knowledge=known)
        data = recipe.prepared(trainable(own, 0, None, "cpu"))
        return cast(Unlabelled, recipe.phases(data)[0].objective).options

    assert options(whole.knowledge) == options(whole.knowledge.take(np.arange(60)[::-1])) != options(other)


def test_what_it_cannot_do_is_refused_before_it_is_tried() -> None:
    with pytest.raises(Unsupported, match=r'encoder = "bonds"'):
        small("molfm").supports(mixed("classification"))
    whole = cohort()
    assert whole.knowledge is not None
    with pytest.raises(Unsupported, match="have structure and text, and 10 are needed"):
        small("molfm").supports(whole.subset(whole.present.sum(1) == 1))
    nobody = replace(whole, knowledge=replace(whole.knowledge, named=np.full(len(whole), -1)))
    with pytest.raises(Unsupported, match="names no patient's 'compound'"):
        small("molfm").supports(nobody)
    with pytest.raises(Unsupported, match="name one of note as `text`"):
        small("molfm", text="drug").supports(whole)
    for options in ({"share": 1.0}, {"epochs": 1}, {"margin": 0.0}, {"heads": 5}, {"layers": 0}):
        with pytest.raises(ValueError, match=r"lies between|epochs are 2|no multiple"):
            MolfmRecipe(**options)  # type: ignore[arg-type]


def test_neighbours_are_those_that_a_triple_joins() -> None:
    known = cohort().knowledge
    assert known is not None
    near = neighbours_of(known, 3)
    place = known.entities.index("property")
    assert {known.entities[k] for k in near[place] if k >= 0} == {"apolar", "polar"}
    joined = {frozenset(row) for row in known.triples[:, [0, 2]].tolist()}
    assert all(frozenset((k, int(own))) in joined for k, row in enumerate(near) for own in row if own >= 0)
