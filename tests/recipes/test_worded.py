"""Words teach images: laws of the recipes, what they read of labels, and answers of which no label was seen."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, ClassVar
from unittest.mock import patch

import numpy as np
import pandas as pd
import pytest
import torch

import chiasm
from chiasm.cohort import Cohort, Unsupported, cohort_from_frames
from chiasm.encoders import catalogue
from chiasm.encoders.frozen import identity_of
from chiasm.fitting.base import trainable
from chiasm.fitting.neural import new_network, prepare
from chiasm.fitting.sides import reads_knowledge
from chiasm.fusion.worded import WordedModalities
from chiasm.objectives.contrastive import contrast
from chiasm.recipes.vision_language.seen import Seen
from chiasm.testing import check_recipe
from chiasm.tokens import Tokens
from chiasm.training.batches import take
from chiasm.training.examples import Examples
from small_recipes import described_parts, small

WORDS = ("round", "long", "dark", "bright", "label", "Parus", "alba0", "alba1", "what", "seen")


@dataclass(frozen=True)
class Said:
    """A frozen encoder of texts: one token, a number for each known word."""

    id: ClassVar[str] = "said"
    version: ClassVar[str] = "1"
    fitted_on_cohort: ClassVar[bool] = False
    batch: ClassVar[int] = 64
    width: ClassVar[int] = len(WORDS)
    slots: ClassVar[int] = 0

    @property
    def identity(self) -> str:
        return identity_of(self)

    def fit(self, raw: Any, patients: Sequence[str] = ()) -> Said:
        return self

    def encode(self, raw: Sequence[str]) -> Tokens:
        told = [[float(word in text.split()) for word in WORDS] for text in raw]
        return Tokens(torch.tensor(told)[:, None], torch.ones(len(told), 1, dtype=torch.bool))


ENTRY = catalogue.Entry("said", ("text",), f"{__name__}:Said", str(len(WORDS)), "MIT", catalogue.NOTHING)
SHAPES = {"disc": ("round", "dark"), "sun": ("round", "bright"), "rod": ("long", "dark"), "ray": ("long", "bright")}
PROMPTS = {name: [" ".join(own), f"what is seen {own[0]} {own[1]}"] for name, own in SHAPES.items()}


@pytest.fixture(autouse=True)
def encoder_of_words() -> Iterator[None]:
    with patch.object(catalogue, "CATALOGUE", (*catalogue.CATALOGUE, ENTRY)):
        yield


@cache
def things(n: int = 120, text: bool = False) -> Cohort:
    """Numbers of two attributes, and the label that both make; a report of half the patients names one attribute."""
    rng = np.random.default_rng(0)
    names = np.array(list(SHAPES))[np.arange(n) % 4]
    ids = [f"p{k:03d}" for k in range(n)]
    signs = np.array([[1.0 if word in SHAPES[name] else -1.0 for word in ("round", "dark")] for name in names])
    values = np.concatenate([2.0 * signs, np.zeros((n, 2))], 1) + rng.normal(size=(n, 4))
    frames = {"picture": pd.DataFrame(values, ids, list("abcd"))}
    kinds = {"picture": "table"}
    if text:
        frames["report"] = pd.DataFrame({"report": [SHAPES[name][k % 2] for k, name in enumerate(names)]}, ids)[::2]
        kinds["report"] = "text"
    patients = pd.DataFrame({"y": names}, ids)
    made = cohort_from_frames(patients, frames, chiasm.Classification("y"), kinds=kinds, prompts=PROMPTS)
    return chiasm.encode(made, {"report": "said"} if text else {}, jobs=1).cohort


def recipe(name: str, **options: Any) -> Any:
    return small(name, encoder="said", **options)


def right(told: pd.DataFrame, cohort: Cohort) -> float:
    columns = [name for name in told.columns if name.startswith("p_")]
    best = told[columns].to_numpy().argmax(1)
    target, outcome = cohort.target, cohort.outcome
    assert target is not None and outcome is not None
    own = [f"p_{target.names[code]}" for code in outcome.value[cohort.order].astype(int)]
    return float(np.mean([columns[k] == name for k, name in zip(best, own, strict=True)]))


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("flair", "multilabel"),
        *(
            pytest.param(name, kind, marks=pytest.mark.nightly)
            for name in ("unicl", "siglip", "flair", "devide", "bioclip")
            for kind in ("classification", "multilabel", "survival", "regression")
        ),
    ],
)
def test_it_passes_the_public_check(name: str, kind: str) -> None:
    check_recipe(recipe(name, words="m1", depth=0), kinds=(kind,), n=56, parts=described_parts)


@pytest.mark.parametrize("name", ["flair", *(pytest.param(own, marks=pytest.mark.nightly) for own in ("devide",))])
def test_a_combination_that_no_label_had_is_found_by_what_is_written_of_it(name: str, tmp_path: Path) -> None:
    whole = things()
    target, outcome = whole.target, whole.outcome
    assert target is not None and outcome is not None
    unseen = np.asarray(outcome.value == target.names.index("sun"))
    train = whole.subset(~unseen)
    model = recipe(name, epochs=24, share=0.95, dropout=0.0, depth=0, latent_width=16, learning_rate=1e-2).fit(
        train, seed=0
    )
    new = whole.subset(unseen)
    told = model.classify(new, PROMPTS)
    assert list(told.columns) == ["pattern", *(f"p_{own}" for own in PROMPTS)]
    assert right(told, new) > 0.6, told  # by chance a quarter, and a classifier of the seen ones never
    model.save(tmp_path / "model")
    again = chiasm.load_model(tmp_path / "model").classify(new, PROMPTS)
    pd.testing.assert_frame_equal(told, again)


def test_the_first_phase_reads_sentences_and_the_second_the_target_alone() -> None:
    for text in (False, True):
        training = trainable(things(60, text), 0, None, "cpu")
        own = recipe("flair", epochs=4, depth=0)
        data = prepare(training)
        network = new_network(training, data, own.design_for(data), 0.0)
        before = {key: value.clone() for key, value in network.state_dict().items()}
        phases = own.phases(data)
        own.run(training, data, network, phases[:1])
        moved = {key for key, value in network.state_dict().items() if not torch.equal(value, before[key])}
        assert not any(key.startswith(("head.", "fusion.maps.")) for key in moved)
        assert any(key.startswith("fusion.projectors.0.") for key in moved)
        assert any(key.startswith("fusion.told." if not text else "fusion.projectors.1.") for key in moved)
        assert (network.fusion.told is None) == text  # reports and sentences are read by one projector
        own.run(training, data, network, phases[1:])


def batch_of(cohort: Cohort, own: Any) -> Seen:
    """All patients, as the first phase sees them."""
    training = trainable(cohort, 0, None, "cpu")
    data = prepare(training)
    network = new_network(training, data, own.design_for(data), 0.0).eval()
    examples = Examples(data.tokens, data.present, data.target, data.held_out)
    batch = examples.batch(np.arange(len(data.present)), "cpu")
    assert isinstance(network.fusion, WordedModalities)
    fused = network.fusion(take(data.tokens, np.arange(len(data.present))), batch.present)
    return Seen(network.fusion, fused, batch, own.lesson(data), own.place(data.cohort), own.others(data))


def test_pairs_whose_text_or_label_repeats_are_positive() -> None:
    own = recipe("unicl", depth=0)
    seen = batch_of(things(24, True), own)
    labels = seen.labels.argmax(1)
    text = seen.same_text()
    read = seen.read()
    assert text[read][:, read].sum() > read.sum() and not text[~read].any()
    wanted = torch.maximum((labels[:, None] == labels).float(), text)
    terms = own.terms(seen, torch.Generator().manual_seed(0))
    assert set(terms) == {"text", "label"}
    vectors, scale = seen.vectors, seen.fusion.scale()
    torch.testing.assert_close(terms["text"], contrast(vectors[:, 0], vectors[:, 1], scale, here=read, targets=wanted))
    sentences = seen.sentences()[labels]  # of `unicl` a label's only sentence is its name
    same = (labels[:, None] == labels).float()
    torch.testing.assert_close(terms["label"], contrast(vectors[:, 0], sentences, scale, targets=same))
    judged = recipe("siglip", depth=0)
    found = judged.terms(batch_of(things(24, True), judged), torch.Generator().manual_seed(0))
    assert set(found) == {"text", "label"} and all(bool(torch.isfinite(term)) for term in found.values())


def test_the_terms_of_devide_are_left_out_by_their_weights() -> None:
    own = recipe("devide", depth=0, patch=0.0)
    seen = batch_of(things(24), own)
    assert set(own.terms(seen, torch.Generator())) == {"knowledge", "query"}
    assert set(recipe("devide", depth=0, query=0.0).terms(seen, torch.Generator())) == {"knowledge", "patch"}
    with pytest.raises(ValueError, match=r"patch=-1\.0 is not known"):
        recipe("devide", patch=-1.0)


def test_a_label_that_is_not_known_is_no_answer_to_a_query() -> None:
    own = recipe("devide", depth=0, patch=0.0)
    seen = batch_of(things(24), own)
    answers = seen.labels.clone()
    answers[::2, 1] = torch.nan
    target = replace(seen.batch.target, value=answers)
    some = replace(seen, batch=replace(seen.batch, target=target))
    assert torch.equal(some.labels, answers.nan_to_num())
    loud = torch.where(answers.isnan(), 50.0, 0.0)  # of what is not known anything may be said
    with patch.object(WordedModalities, "decided", lambda fusion, queries, *rest: loud):
        assert own.terms(some, torch.Generator())["query"].item() == pytest.approx(np.log(2))


def test_what_has_no_words_is_refused_before_any_fit() -> None:
    whole = things()
    target, outcome = whole.target, whole.outcome
    assert target is not None and outcome is not None
    bare = replace(whole, label_texts=None)
    for name, said in (("flair", "4 of the 4 labels of the target have no sentence"), ("bioclip", "have no lineage")):
        with pytest.raises(Unsupported, match=said):
            recipe(name).supports(bare)
    recipe("unicl").supports(bare)
    ages = cohort_from_frames(
        pd.DataFrame({"y": np.arange(20.0)}, [f"p{k:02d}" for k in range(20)]),
        {"m": pd.DataFrame({"a": np.arange(20.0) % 3}, [f"p{k:02d}" for k in range(20)])},
        chiasm.Regression("y"),
    )
    with pytest.raises(Unsupported, match="unicl learns from words, and the cohort has none: add a modality of text"):
        recipe("unicl").supports(ages)
    with pytest.raises(Unsupported, match="lacks 'note': name one of picture as `words`"):
        recipe("unicl", words="note").supports(whole)
    assert reads_knowledge(recipe("flair"), whole) and not reads_knowledge(recipe("unicl"), whole)
    assert not reads_knowledge(recipe("flair"), bare)
    with pytest.raises(ValueError, match="captions='latin' is not known"):
        recipe("bioclip", captions="latin")


@pytest.mark.nightly
def test_reports_and_pictures_find_each_other_and_sentences_are_read_as_reports() -> None:
    cohort = things(120, True)
    model = recipe("unicl", epochs=10, depth=0, share=0.9).fit(cohort, seed=0)
    found = model.retrieve(cohort, query="picture", among="report", k=3)
    assert len(found) == 360
    told = model.classify(cohort, {"round": "round", "long": "long"})
    pd.testing.assert_frame_equal(told, model.classify(cohort, {"round": "round", "long": "long"}, by="report"))


@pytest.mark.nightly
def test_whether_sentences_of_experts_pay_is_a_named_contrast() -> None:
    pair = [recipe(name, epochs=2, depth=0) for name in ("flair", "unicl")]
    protocol = chiasm.Protocol(folds=2, repeats=1, inner_folds=2, draws=100)
    trial = chiasm.evaluate(things(80), pair, protocol, jobs=1, contrasts=[(pair[0].name, pair[1].name)])
    rows = {row["name"]: row for row in trial.document["recipes"]}
    assert rows[pair[0].name]["reads_knowledge"] and not rows[pair[1].name]["reads_knowledge"]
    assert {rows[own.name]["side"] for own in pair} == {"single"} and len(trial.document["contrasts"]) == 1
