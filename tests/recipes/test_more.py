"""`more`: what is trained in which phase, the start at the frozen encoder, and retrieval by an adapted text."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

import chiasm
from adapted_cohorts import network_of, stopped_after
from chiasm.encoders.frozen import hash_state
from chiasm.fitting.base import trainable
from chiasm.fitting.card import card_of
from chiasm.fitting.neural import Prepared, new_head
from chiasm.fitting.space import space_of
from chiasm.recipes.adaptation.more import AdaptedVectors, More, MoreDesign
from chiasm.recipes.registry import make_recipe
from chiasm.tokens import Tokens
from chiasm.training import Network, Phase

QUICK = "more:rank=2,latent_width=4,epochs=2"
WORDS = (("fever", "cough", "no"), ("and", ".", "a"))


def triples(places: Any, n: int = 96, second: bool = False) -> chiasm.Cohort:
    """Notes of two words in turn, of which a table says the first and another the second; some lack one of the three.

    With `second` there is another note.
    """
    models, store = places
    rng = np.random.default_rng(7)
    said = rng.integers(0, 3, (n, 2))
    ids = np.array([f"t{row:03d}" for row in range(n)])
    notes = pd.DataFrame({"note": [" ".join([WORDS[0][a], WORDS[1][b]] * 3) for a, b in said]}, index=ids)
    here = np.arange(n) % 8
    values = {"note": notes[here != 1]}
    for m, name in enumerate(("ecg", "labs")):
        table = np.eye(3)[said[:, m]] + 0.1 * rng.normal(size=(n, 3))
        values[name] = pd.DataFrame(table, ids, [f"{name}{k}" for k in range(3)])[here != 2 + m]
    if second:
        values["letter"] = notes.rename(columns={"note": "letter"})
    patients = pd.DataFrame({"y": np.where(said[:, 0] > 0, "yes", "no")}, index=ids)
    texts = [name for name in values if name in ("note", "letter")]
    cohort = chiasm.cohort_from_frames(patients, values, chiasm.Classification("y"), kinds=dict.fromkeys(texts, "text"))
    return chiasm.encode(cohort, dict.fromkeys(texts, f"hf:{models}/bert"), store=store, inputs=True).cohort


@pytest.fixture(scope="module")
def triple(places: Any) -> chiasm.Cohort:
    """Notes and two tables."""
    return triples(places)


def fresh(recipe: Any, cohort: chiasm.Cohort) -> tuple[Any, Any, AdaptedVectors]:
    """The prepared cohort, what is trained, and an untrained network of the recipe."""
    training = trainable(cohort, 0, None, "cpu")
    data, found, trunks = recipe.prepared(training)
    design = MoreDesign(recipe.latent_width, recipe.temperature, found.trunks, found.adaptations)
    return training, data, design.around(trunks, data.shapes)


def test_only_the_update_and_the_projectors_align_and_then_only_what_reads_them_learns(triple: chiasm.Cohort) -> None:
    recipe = make_recipe("more:rank=2,latent_width=4,epochs=4,dropout=0.0")
    training, data, fusion = fresh(recipe, triple)
    network = Network(fusion, new_head(training, 4, 0))
    trunk, own = fusion.__dict__["trunks"]["note"], {id(parameter) for parameter in fusion.trained.parameters()}

    def frozen() -> str:
        return hash_state({name: held for name, held in trunk.named_parameters() if id(held) not in own})

    before, first = {k: v.clone() for k, v in network.state_dict().items()}, frozen()
    align, target = recipe.phases(data)
    recipe.run(training, data, network, (align,), seed=1)
    aligned = {k: v.clone() for k, v in network.state_dict().items()}
    moved = {k for k in before if not torch.equal(before[k], aligned[k])}
    assert moved and all(
        k.startswith(("fusion.trained.", "fusion.fusion.projectors.")) or k == "fusion.fusion.log_scale" for k in moved
    )
    assert any(k.startswith("fusion.trained.") for k in moved)
    recipe.run(training, data, network, (target,), seed=1)
    moved = {k for k, own in network.state_dict().items() if not torch.equal(own, aligned[k])}
    assert moved and all(k.startswith(("head.", "fusion.fusion.maps.")) for k in moved)
    assert frozen() == first


def test_at_the_start_the_tokens_are_those_of_the_frozen_encoder_to_the_last_bit(triple: chiasm.Cohort) -> None:
    _, data, fusion = fresh(make_recipe(QUICK), triple)
    tokens = {name: packed.take(np.arange(12)) for name, packed in data.tokens.items()}
    present = torch.from_numpy(data.present[:12])
    made, here = fusion.made(tokens, present), present[:, data.cohort.modalities.index("note")]
    note = Tokens(tokens["note"].values[here], tokens["note"].mask[here])
    with torch.no_grad():
        own = data.encoders["note"].trunk()(note)
    assert torch.equal(made["note"].values[here][own.mask], own.values[own.mask])
    with torch.no_grad():
        for parameter in fusion.trained.parameters():
            parameter.add_(0.5)
    assert not torch.equal(fusion.made(tokens, present)["note"].values[here][own.mask], own.values[own.mask])


@pytest.mark.nightly
def test_new_patients_find_their_own_triples_above_chance(triple: chiasm.Cohort) -> None:
    rows = np.arange(len(triple))
    new = triple.subset(rows % 4 == 0)
    recipe = make_recipe("more:rank=2,latent_width=16,epochs=30,share=0.9,dropout=0.0,learning_rate=0.01,patience=30")
    model, hits = recipe.fit(triple.subset(rows % 4 != 0), seed=0), []
    for query, among in (("ecg", "note"), ("note", "labs"), (["ecg", "labs"], "note")):
        found = model.retrieve(new, query=query, among=among, k=6)
        asked = found["patient"].isin(found["found"])
        hits.append((found["patient"] == found["found"])[asked].sum() / found["patient"][asked].nunique())
    assert np.mean(hits) > 0.45, hits  # by chance six of 21


class Frozen(More):
    """The same with the network as its encoder has it: the projectors alone align."""

    def phases(self, data: Prepared) -> tuple[Phase, ...]:
        def without(phase: Phase) -> Phase:
            learns = phase.trainable
            assert learns is not None
            return replace(phase, trainable=lambda name: learns(name) and not name.startswith("fusion.trained."))

        return tuple(map(without, super().phases(data)))


def told_orders(places: Any, n: int = 144) -> tuple[chiasm.Cohort, dict[str, int]]:
    """Notes of three words whose order alone says something: one table tells the first of them, another the last.

    Returns:
        The cohort, of whom some lack one of the three, and the number of each patient's order.
    """
    models, store = places
    rng, every = np.random.default_rng(7), list(permutations(range(3)))
    which = rng.integers(0, len(every), n)
    ids, here = np.array([f"o{row:03d}" for row in range(n)]), np.arange(n) % 8
    said = np.array(every)[which]  # (n, 3)
    notes = pd.DataFrame({"note": [" ".join(WORDS[0][word] for word in own) for own in said]}, index=ids)
    values = {"note": notes[here != 1]}
    for m, name in enumerate(("ecg", "labs")):
        table = np.eye(3)[said[:, 2 * m]] + 0.1 * rng.normal(size=(n, 3))
        values[name] = pd.DataFrame(table, ids, [f"{name}{k}" for k in range(3)])[here != 2 + m]
    patients = pd.DataFrame({"y": np.where(said[:, 0] > 0, "yes", "no")}, index=ids)
    cohort = chiasm.cohort_from_frames(patients, values, chiasm.Classification("y"), kinds={"note": "text"})
    encoded = chiasm.encode(cohort, {"note": f"hf:{models}/bert"}, store=store, inputs=True).cohort
    return encoded, dict(zip(ids.tolist(), which.tolist(), strict=True))


@pytest.mark.nightly
def test_an_update_finds_what_a_frozen_encoder_hardly_tells(places: Any) -> None:
    """The mean token of an untrained network says which words a note has, and little of their order."""
    whole, order = told_orders(places)
    new = np.arange(len(whole)) % 4 == 0
    options = {
        "rank": 4, "latent_width": 16, "epochs": 30, "patience": 30, "share": 0.9, "dropout": 0.0,
        "learning_rate": 0.01,
    }  # fmt: skip
    found: dict[str, list[float]] = {}
    for make in (More, Frozen):
        for seed in range(3):
            model = make(**options).fit(whole.subset(~new), seed=seed)  # type: ignore[arg-type]
            asked = model.retrieve(whole.subset(new), query=["ecg", "labs"], among="note", k=1)
            right = [order[own] == order[other] for own, other in zip(asked["patient"], asked["found"], strict=True)]
            found.setdefault(make.__name__, []).append(float(np.mean(right)))
    gains = np.subtract(found["More"], found["Frozen"])
    assert gains.min() > 0.0 and gains.mean() > 0.08, found  # one in six is right by chance


def test_a_stored_model_finds_the_same_and_a_stopped_training_goes_on(triple: chiasm.Cohort, tmp_path: Path) -> None:
    recipe = make_recipe(QUICK.replace("epochs=2", "epochs=4"))
    model = recipe.fit(triple, seed=0)
    model.save(tmp_path / "model")
    loaded = chiasm.load_model(tmp_path / "model")
    ways = [own.retrieve(triple, query="ecg", among="note", k=2) for own in (model, loaded)]
    pd.testing.assert_frame_equal(*ways)
    align, _ = recipe.phases(recipe.prepared(trainable(triple, 0, None, "cpu"))[0])
    assert align.options.epochs == 2
    for written in (1, 3):  # within the alignment, and after it
        place = tmp_path / f"after {written}"
        with stopped_after(written):
            recipe.fit(triple, seed=0, checkpoint=place)
        torch.manual_seed(written)  # whatever the next process draws before it resumes
        again = recipe.fit(triple, seed=0, checkpoint=place)
        state = network_of(again).state
        assert all(np.array_equal(own, state[key]) for key, own in network_of(model).state.items()), written
    assert space_of(make_recipe(QUICK + ",tune=true").fit(triple, seed=0).predictor) is None


def test_upon_a_linear_model_and_of_one_modality_it_learns_too(triple: chiasm.Cohort) -> None:
    for options in ("upon=late", "modality=note"):
        model = make_recipe(f"{QUICK},{options}").fit(triple, seed=0)
        assert np.isfinite(model.predict(triple).select_dtypes("number").to_numpy()).all()
    (alone,) = make_recipe(QUICK).alone(triple)
    assert alone.startswith("more:modality=note")


def test_where_no_pair_has_the_adapted_modality_its_update_learns_on_the_target(triple: chiasm.Cohort) -> None:
    rows, alone = np.arange(0, len(triple), 2), triple
    for name in ("ecg", "labs"):
        alone = alone.without(name, np.intersect1d(rows, alone.rows_of(name)))
    alone = alone.without("note", np.setdiff1d(alone.rows_of("note"), rows))
    alone = alone.subset(alone.present.any(1))
    recipe = make_recipe(QUICK)
    met, unmet = (recipe.phases(recipe.prepared(trainable(own, 0, None, "cpu"))[0]) for own in (triple, alone))
    assert len(met) == len(unmet) == 2
    assert not met[1].trainable("fusion.trained.0.x") and unmet[1].trainable("fusion.trained.0.x")


def test_which_network_is_adapted_has_to_be_clear(places: Any, triple: chiasm.Cohort) -> None:
    two = triples(places, 48, second=True)
    with pytest.raises(chiasm.Unsupported, match="several modalities have a network: name one of letter, note"):
        make_recipe(QUICK).supports(two)
    with pytest.raises(chiasm.Unsupported, match="'ecg' has no network to adapt"):
        make_recipe(QUICK + ",adapt=ecg").supports(two)
    with pytest.raises(chiasm.Unsupported, match="the cohort has no modality 'scan': name one of letter, note"):
        make_recipe(QUICK + ",adapt=scan").supports(two)
    with pytest.raises(chiasm.Unsupported, match="'letter' is not read by the form of 'note' alone: name one of note"):
        make_recipe(QUICK + ",adapt=letter,modality=note").supports(two)
    named = make_recipe(QUICK + ",adapt=letter")
    named.supports(two)
    assert list(named.adapted(two)) == ["letter"] and list(make_recipe(QUICK).adapted(triple)) == ["note"]
    with pytest.raises(chiasm.Unsupported, match="no modality has an encoder with a network"):
        make_recipe("more").supports(triple.with_modalities(["ecg", "labs"]))


def test_a_fold_adapts_the_modality_of_the_whole_cohort_or_none(places: Any) -> None:
    two = triples(places, 48, second=True)
    scarce = two.without("letter", two.rows_of("letter")[5:])
    recipe = make_recipe(QUICK + ",adapt=letter")
    for own, adapted in ((two, True), (scarce, False)):
        model = recipe.fit(own, seed=0)
        network = network_of(model)
        assert model.recipe == recipe.name and list(network.design.trunks) == ["letter"] * adapted
        assert ("No encoder was adapted" in card_of(model)) is not adapted
    kinds = {name: "bag" if name == "letter" else kind for name, kind in two.kinds.items()}
    image = replace(
        two, kinds=kinds, encodings={**two.encodings, "letter": replace(two.encodings["letter"], kind="image")}
    )
    few = image.without("note", image.rows_of("note")[5:])
    silent = make_recipe(QUICK)
    assert list(silent.adapted(image)) == ["note"]
    model = silent.fit(few, seed=0)
    assert not network_of(model).design.trunks and model.recipe == silent.name
