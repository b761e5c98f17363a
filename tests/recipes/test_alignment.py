"""`clip-pairs` and `symile`: laws of every recipe, two phases, what aligns, and answers without labels."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

import chiasm
from chiasm.artifact import ArtifactError
from chiasm.cohort import Cohort, Unsupported, cohort_from_frames, synthetic_cohort
from chiasm.fitting.base import trainable
from chiasm.fitting.neural import fit_network, new_network, prepare
from chiasm.fitting.residual import Added, ResidualPredictor
from chiasm.fitting.space import CONNECTED, PAIRED, space_of
from chiasm.fitting.zero_shot import classify, prompted
from chiasm.recipes.registry import make_recipe
from chiasm.testing import check_recipe
from small_recipes import at_night, mixed, small

NAMES = ("clip-pairs", "symile")


def paired(n: int = 160, seed: int = 0, missing: float = 0.0) -> Cohort:
    """Two tables of eight columns that are noisy maps of the same four numbers, and a third of noise."""
    rng = np.random.default_rng(seed)
    shared = rng.normal(size=(n, 4))
    ids = pd.Index([f"p{k:03d}" for k in range(n)], dtype=object)
    frames = {
        name: pd.DataFrame(
            shared @ rng.normal(size=(4, 8)) * (name != "noise") + 0.1 * rng.normal(size=(n, 8)), index=ids
        ).rename(columns=lambda k, name=name: f"{name}_{k}")
        for name in ("image", "labs", "noise")
    }
    frames["noise"] += rng.normal(size=(n, 8))
    for name in ("image", "labs"):
        frames[name] = frames[name][rng.random(n) >= missing]
    label = np.where(shared[:, 0] > 0, "yes", "no")
    return cohort_from_frames(pd.DataFrame({"label": label}, index=ids), frames, chiasm.Classification("label"))


@pytest.fixture(scope="module", params=["symile", *at_night("clip-pairs")])
def model(request: pytest.FixtureRequest) -> Any:
    recipe = make_recipe(f"{request.param}:epochs=60,latent_width=16,share=0.9,dropout=0.0")
    cohort = paired()
    return recipe.fit(cohort.with_modalities(["image", "labs"]).subset(np.arange(120)), seed=0)


@pytest.mark.nightly  # by day `fuse-language` meets it for the family
@pytest.mark.parametrize(("name", "kind"), [("clip-pairs", "survival"), ("symile", "classification")])
def test_it_passes_the_public_check(name: str, kind: str) -> None:
    check_recipe(small(name), kinds=(kind,), n=56)


def test_the_first_phase_reads_no_target_and_the_second_leaves_the_space_as_it_is() -> None:
    cohort = synthetic_cohort("complementary", 60, missing=0.2)
    states = []
    for outcome in (cohort, cohort.with_target(cohort.target, cohort.outcome.take(np.arange(60)[::-1]))):
        training = trainable(outcome, 0, None, "cpu")
        recipe = small("symile", epochs=4)
        data = prepare(training)
        data.held_out[:] = np.arange(60) % 5 == 0  # the same whatever the outcome
        network = new_network(training, data, recipe.design(), 0.2)
        align, target = recipe.phases(data)
        recipe.run(training, data, network, (align,), seed=1)
        states.append({key: own.clone() for key, own in network.state_dict().items()})
        recipe.run(training, data, network, (target,), seed=1)
        moved = {key for key, own in network.state_dict().items() if not torch.equal(own, states[-1][key])}
        assert moved and all(key.startswith(("head.", "fusion.maps.")) for key in moved)
    assert all(torch.equal(own, states[1][key]) for key, own in states[0].items())
    assert align.options.epochs + target.options.epochs == recipe.epochs and align.options.modality_dropout == 0.0


@pytest.mark.parametrize(("epochs", "share"), [(2, 0.9), (2, 0.1), (3, 0.99)])
def test_each_phase_has_an_epoch_or_more(epochs: int, share: float) -> None:
    training = trainable(paired(40).with_modalities(["image", "labs"]), 0, None, "cpu")
    recipe, data = small("clip-pairs", epochs=epochs, share=share), prepare(training)
    network = new_network(training, data, recipe.design(), 0.0)
    before = {name: own.clone() for name, own in network.named_parameters()}
    phases = recipe.phases(data)
    assert min(phase.options.epochs for phase in phases) >= 1
    assert sum(phase.options.epochs for phase in phases) == epochs
    recipe.run(training, data, network, phases, seed=0)
    moved = {name for name, own in network.named_parameters() if not torch.equal(own, before[name])}
    assert "head.linear.weight" in moved and any(name.startswith("fusion.projectors.") for name in moved)
    with pytest.raises(ValueError, match="epochs=1 are too few"):
        small("clip-pairs", epochs=1)


def test_a_checkpoint_of_another_weight_is_refused(tmp_path: Any) -> None:
    training = trainable(paired(40).with_modalities(["image", "labs"]), 0, None, "cpu")
    data = prepare(training)

    def train(retention: float) -> None:
        recipe = small("mirror", retention=retention)
        network = new_network(training, data, recipe.design(), 0.0)
        phase = recipe.phases(data)[0]
        fit_network(network, data, (phase,), seed=0, checkpoint=tmp_path / "state.safetensors", device="cpu")

    train(0.1)
    train(0.1)
    with pytest.raises(ArtifactError):
        train(0.2)


def chained(names: tuple[str, ...], pairs: tuple[tuple[int, ...], ...], n: int = 80) -> Cohort:
    """Tables of four columns in common with noise; the patients of each part have the modalities that it names."""
    rng = np.random.default_rng(0)
    shared, ids = rng.normal(size=(n, 4)), np.array([f"p{k:03d}" for k in range(n)], dtype=object)
    part, frames = np.arange(n) % len(pairs), {}
    for m, name in enumerate(names):
        has = np.isin(part, [k for k, own in enumerate(pairs) if m in own])
        values = (shared + 0.1 * rng.normal(size=(n, 4)))[has]
        frames[name] = pd.DataFrame(values, ids[has], [f"{name}{k}" for k in range(4)])
    label = np.where(shared[:, 0] > 0, "yes", "no")
    return cohort_from_frames(pd.DataFrame({"label": label}, index=ids), frames, chiasm.Classification("label"))


@pytest.mark.parametrize("name", NAMES)
def test_modalities_that_no_pairs_connect_are_not_compared(name: str) -> None:
    cohort = chained(("a", "b", "c", "d", "e"), ((0, 1), (1, 2), (3, 4)))
    found = small(name).fit(cohort, seed=0)
    for query, among in (("a", "b"), ("d", "e")):
        assert len(found.retrieve(cohort, query=query, among=among, k=1))
    with pytest.raises(Unsupported, match="no pairs of training patients connect 'd' with 'a'"):
        found.retrieve(cohort, query="d", among="a", k=1)
    space = found.predictor.space
    assert space.comparable("a") == ["b", "c"] and space.comparable("e") == ["d"]  # a and c by way of b
    alone = small(name).fit(chained(("a", "b", "c"), ((0, 1), (2,))), seed=0)
    assert alone.predictor.space.comparable("c") == []
    with pytest.raises(Unsupported, match="connect another modality with 'c'"):
        classify(alone.predictor.space, cohort, cohort, "c", {"x": "1", "y": "2"})


@pytest.mark.parametrize("name", ["clip-pairs", "mirror"])
def test_the_target_teaches_a_modality_that_one_patient_alone_has_with_another(name: str) -> None:
    pairs = (*((0, 1),) * 20, *((2,),) * 19, (0, 2))  # two patients of eighty have the first and the last
    recipe = small(name, **({"retention": 0.0} if name == "mirror" else {}))
    data = prepare(trainable(chained(("a", "b", "c"), pairs), 0, None, "cpu"))
    for held_out, taught in (([], [False, False, False]), ([39], [False, False, True])):
        data.held_out[:] = np.isin(np.arange(80), held_out)
        target = recipe.phases(data)[1]
        assert [target.trainable(f"fusion.projectors.{m}.x") for m in range(3)] == taught
    data.held_out[:] = ~np.isin(np.arange(80), [39, *np.flatnonzero(~data.present[:, :2].any(1))])
    assert [phase.name for phase in recipe.phases(data)] == ["target"]  # one pair is nothing to align
    assert recipe.idle(data)


def test_a_space_that_the_target_has_moved_is_none() -> None:
    cohort = paired(40).with_modalities(["image", "labs"])
    found = small("clip-pairs", tune=True).fit(cohort, seed=0)
    assert found.predictor.notes[PAIRED] > 0 and found.predictor.space is None
    with pytest.raises(Unsupported, match="without tune=True, which trains the space on the target"):
        found.retrieve(cohort, query="image", among="labs")


def test_a_model_of_complete_patients_asks_with_all_others() -> None:
    cohort = chained(("a", "b", "c"), ((0, 1, 2), (0, 1, 2), (0, 1), (0, 2)))
    found = small("symile", complete=True).fit(cohort, seed=0)
    asked = found.retrieve(cohort, query=["a", "b"], among="c", k=1)
    assert len(asked) == 60
    with pytest.raises(Unsupported, match=r"complete patients alone.*name b in `query` too"):
        found.retrieve(cohort, query="a", among="c", k=1)
    assert len(small("symile").fit(cohort, seed=0).retrieve(cohort, query="a", among="c", k=1)) == 80
    written = cohort.with_modalities(["c"]).subset(np.array([0, 1]))
    named = replace(written, ids=np.array(["0", "1"], dtype=object))
    with pytest.raises(Unsupported, match="20 of 80 patients lack one of a, b"):
        classify(found.predictor.space, cohort, named, "c", {"x": "1", "y": "2"})


def test_where_nobody_has_two_modalities_all_is_trained_on_the_target_and_nothing_is_aligned() -> None:
    cohort = paired(60).with_modalities(["image", "labs"])
    half = np.arange(60) < 30
    alone = cohort_from_frames(
        pd.DataFrame({"label": np.where(cohort.outcome.value > 0, "yes", "no")}, index=cohort.ids),
        {"image": cohort.raw("image")[half], "labs": cohort.raw("labs")[~half]},
        chiasm.Classification("label"),
    )
    found = small("clip-pairs").fit(alone, seed=0)
    assert found.predictor.notes == {PAIRED: 0.0, CONNECTED + "image": 0.0, CONNECTED + "labs": 1.0}
    assert found.predictor.space is None
    with pytest.raises(
        Unsupported, match="not brought into one space without labels: fit clip-pairs, symile or mirror"
    ):
        found.retrieve(alone, query="image", among="labs")
    one = small("clip-pairs", modality="image")
    assert len(one.phases(prepare(trainable(alone.with_modalities(["image"]), 0, None, "cpu")))) == 1
    with pytest.raises(Unsupported, match=r"of 'healnet.*' were not brought"):
        small("healnet").fit(cohort, seed=0).classify(cohort, {"a": "x", "b": "y"})


@pytest.mark.parametrize("name", ["clip-pairs", "symile", "mirror", "fuse-language"])
def test_where_hardly_anybody_has_what_is_aligned_it_is_refused_before_any_fit(name: str) -> None:
    options = {"anchor": "c"} if name == "fuse-language" else {}
    apart = chained(("a", "b", "c"), ((0,), (1,), (2,)))
    with pytest.raises(Unsupported, match=r"^0 patients .*: late-fusion and lego-merge need no patient with both"):
        small(name, **options).supports(apart)
    small(name, modality="a", **options).supports(apart)
    for pairs, wrong in ((((0, 1), (2,)), "fuse-language"), (((0, 1), (0, 2)), "symile")):
        own = small(name, **options, **({"complete": True} if name == "symile" else {}))
        if name == wrong:
            with pytest.raises(Unsupported, match=r"^0 patients .* have ('c' and another|every) modality"):
                own.supports(chained(("a", "b", "c"), pairs))
        elif name != "symile":
            own.supports(chained(("a", "b", "c"), pairs))


def test_new_patients_find_their_own_other_modality(model: Any) -> None:
    new = paired().subset(np.arange(120, 160))
    found = model.retrieve(new, query="image", among="labs", k=5)
    assert list(found.columns) == ["patient", "rank", "found", "score"] and len(found) == 40 * 5
    assert list(found["patient"].unique()) == list(new.ids[new.order])
    hit = found[found["patient"] == found["found"]]
    assert len(hit) / 40 > 0.9  # by chance an eighth
    ranked = found.groupby("patient")["score"].apply(lambda own: own.is_monotonic_decreasing)
    assert ranked.all() and sorted(found["rank"].unique()) == [1, 2, 3, 4, 5]
    back = model.retrieve(new.subset([0, 1]), query="labs", among="image", k=99, collection=new)
    assert len(back) == 2 * 40


def test_what_cannot_be_asked_is_refused_in_a_sentence(model: Any) -> None:
    new = paired().subset(np.arange(120, 160))
    for query, among, said in (
        ("noise", "labs", "no modality 'noise': it has image, labs"),
        ("labs", "labs", "not 'labs'"),
        ((), "labs", "not 'labs'"),
    ):
        with pytest.raises(ValueError, match=said):
            model.retrieve(new, query=query, among=among)
    with pytest.raises(ValueError, match="k is 0"):
        model.retrieve(new, query="image", among="labs", k=0)
    with pytest.raises(Unsupported, match="nobody has 'image': there is nothing to ask with"):
        model.retrieve(new.with_modalities(["labs"]), query="image", among="labs")
    with pytest.raises(Unsupported, match="none of the model's modalities is text: align one"):
        model.classify(new, {"a": "x", "b": "y"})
    with pytest.raises(ValueError, match="cannot be read as 'labs'"):
        model.classify(new, {"a": "x", "b": "y"}, by="labs")


def test_a_stored_model_finds_the_same(model: Any, tmp_path: Any) -> None:
    new = paired().subset(np.arange(120, 160))
    model.save(tmp_path / "model")
    loaded = chiasm.load_model(tmp_path / "model")
    ways = [own.retrieve(new, query="image", among="labs", k=3) for own in (model, loaded)]
    pd.testing.assert_frame_equal(*ways)


def test_words_that_no_patient_has_name_the_classes() -> None:
    """Proteins stand for texts where they are named: cells that a frozen encoder reads, new ones too."""
    rng, n = np.random.default_rng(0), 90
    ids = [f"p{k:02d}" for k in range(n)]
    rich = rng.random(n) < 0.5
    words = ["".join(rng.choice(list("KR" if own else "DE"), 30)) for own in rich]
    table = pd.DataFrame(rng.normal(size=(n, 6)) + 2.0 * rich[:, None], index=ids).rename(columns="c{}".format)
    cohort = cohort_from_frames(
        pd.DataFrame({"label": rng.permutation(np.arange(n) % 2).astype(str)}, index=ids),  # noise
        {"protein": pd.Series(words, index=ids), "table": table}, chiasm.Classification("label"),
        kinds={"protein": "protein"},
    )  # fmt: skip
    encoded = chiasm.encode(cohort).cohort
    found = make_recipe("clip-pairs:epochs=30,share=0.9").fit(encoded.subset(np.arange(60)), seed=0)
    new = encoded.subset(np.arange(60, 90))
    with pytest.raises(Unsupported, match="none of the model's modalities is text: name one of protein in `by`"):
        found.classify(new, {"base": "KR", "acid": "DE"})
    said = found.classify(new, {"base": "K" * 15 + "R" * 15, "acid": ["DE" * 15, "E" * 30]}, by="protein")
    assert list(said.columns) == ["pattern", "p_base", "p_acid"] and set(said["pattern"]) == {"table"}
    np.testing.assert_allclose(said[["p_base", "p_acid"]].sum(1), 1.0)
    right = (said.loc[list(new.ids), "p_base"].to_numpy() > 0.5) == rich[60:]
    assert right.mean() > 0.85
    alone = new.with_modalities(["protein"])
    with pytest.raises(Unsupported, match="30 of 30 patients have none of table"):
        found.classify(alone, {"base": "KR", "acid": "DE"}, by="protein")
    for wrong in ({"base": "KR"}, {"base": "KR", "acid": []}, {"base": "KR", "acid": " "}):
        with pytest.raises(ValueError, match="two classes or more"):
            found.classify(new, wrong, by="protein")


def test_of_cells_only_text_is_what_prompts_are_written_in_unless_another_is_named() -> None:
    class Names:
        """Names of a space's modalities."""

        names = ("drug", "letter", "note", "table")

    kinds = {"drug": "molecule", "letter": "protein", "note": "text", "table": "table"}
    space: Any = Names()
    assert prompted(space, kinds, "") == "note" and prompted(space, kinds, "drug") == "drug"
    with pytest.raises(ValueError, match="cannot be read as 'table': of the model's modalities drug, letter, note can"):
        prompted(space, kinds, "table")
    with pytest.raises(Unsupported, match="2 of the model's modalities are text: name one of letter, note in `by`"):
        prompted(space, {**kinds, "letter": "text"}, "")


def test_a_residual_start_keeps_the_space_and_options_out_of_range_are_refused() -> None:
    cohort = mixed("classification")
    names, start = ("m1", "m2", "m3"), small("late-fusion").fit(cohort, seed=0)
    for options, has in (({}, True), ({"tune": True}, False)):
        network = small("symile", **options).fit(cohort, seed=0).predictor
        whole = ResidualPredictor(start.predictor, start.response, Added(network, names, np.zeros(2)), 0.5)
        space = space_of(whole)
        assert (space is not None) == has and (space is None or space.names == list(names))
    for wrong in ({"share": 0.0}, {"share": 1.0}, {"temperature": 0.0}, {"temperature": float("nan")}):
        with pytest.raises(ValueError, match="is not known"):
            small("clip-pairs", **wrong)
