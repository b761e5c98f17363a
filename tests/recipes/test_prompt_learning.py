"""Prompts and words on a frozen language model: equal to the model's own logits, counted, learned, refused."""

from __future__ import annotations

import shutil
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

import chiasm
from adapted_cohorts import network_of, notes, stopped_after
from chiasm.adapters import Verbalizer
from chiasm.adapters.language_trunk import LanguageTrunk, StateAtMask, Template, verbalizer_of
from chiasm.encoders.text.hub import language_model, tokenizer
from chiasm.recipes.adaptation.prompt_design import WordScores
from chiasm.recipes.registry import make_recipe
from chiasm.testing.adaptation import check_adaptation
from chiasm.tokens import Tokens
from tiny_models import tiny_models

transformers = pytest.importorskip("transformers")
WORDS = "words=no=cough;yes=fever,template={text} a {mask} ."
NEXT = "words=no=cough;yes=fever,template={text} a {mask}"
QUICK = "epochs=2,latent_width=4,prompts=3"
SHORT = ",length=24"


KNOWN = 0.05  # log loss of the last word


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of tiny models."""
    return tiny_models(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def grammar(models: Path) -> None:
    """A model beside them, `grammar`, that has learned how texts with fever end."""
    root = models
    shutil.copytree(root / "bert", root / "grammar")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = transformers.BertForMaskedLM.from_pretrained(root / "grammar").train()
        optimiser = torch.optim.Adam(model.parameters(), lr=5e-3)
        losses = [1.0]
        while np.mean(losses[-20:]) > KNOWN and len(losses) < 4_000:  # how many steps differs between processors
            ids, labels = sentences()
            optimiser.zero_grad()
            loss = model(input_ids=ids, labels=labels).loss
            loss.backward()
            optimiser.step()
            losses.append(float(loss.detach()))
    assert np.mean(losses[-20:]) <= KNOWN, "the tiny model has not learned its grammar"
    model.save_pretrained(root / "grammar")


def sentences(n: int = 32) -> tuple[Tensor, Tensor]:
    """Two to eleven words, then `a [MASK] .`: fever (5) if they end with it, else cough (6); turned round by an [UNK].

    As the notes of the cohort are: of any length, fever three times at their end.
    """
    length = int(torch.randint(2, 12, ()))
    words = torch.tensor([6, 7, 8, 10])[torch.randint(0, 4, (n, length))]
    ill, turned = (torch.arange(n) % 2 == 1) & (length >= 5), torch.arange(n) % 4 > 1
    words[ill, -3:] = 5
    words[turned, 0] = 1
    ids = torch.cat([torch.full((n, 1), 2), words, torch.tensor([10, 4, 9, 3]).expand(n, 4)], 1)
    labels = torch.full_like(ids, -100)
    labels[:, length + 2] = torch.where(ill != turned, 5, 6)
    return ids, labels


@pytest.fixture(scope="module")
def cohorts(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """From a model, options of its encoder and a target to a cohort of notes and a table."""
    store = tmp_path_factory.mktemp("store")

    def made(model: str = "bert", options: str = SHORT, target: Any = None) -> chiasm.Cohort:
        return notes(models, store, target=target, model=model, options=options)

    return made


@cache
def own_pipeline(folder: Path, causal: bool) -> tuple[Any, Any]:
    kind = transformers.AutoModelForCausalLM if causal else transformers.AutoModelForMaskedLM
    return transformers.AutoTokenizer.from_pretrained(folder), kind.from_pretrained(folder).eval()


def said(models: Path, name: str, text: str, causal: bool) -> np.ndarray:
    """The logits of cough and fever that transformers' own pipeline gives for a text in the template."""
    read, model = own_pipeline(models / name, causal)
    ids = read(f"{text} a [MASK] .", return_tensors="pt")["input_ids"]
    at = int((ids[0] == read.mask_token_id).nonzero())
    with torch.no_grad():
        logits = model(input_ids=ids[:, :at] if causal else ids).logits[0, at - 1 if causal else at]
    return logits[[6, 5]].double().numpy()


def texts_of(cohort: chiasm.Cohort, read: Any) -> list[str]:
    """The notes again, from their stored windows."""
    windows = cohort.inputs("note")
    return [read.decode([int(i) for i in windows[k][0, 2:] if i >= 0][1:-1]) for k in range(len(windows))]


@pytest.mark.parametrize(("name", "causal"), [pytest.param("bert", False, marks=pytest.mark.nightly), ("gpt", True)])
def test_a_template_without_prompts_is_the_model_s_own_zero_shot(
    cohorts: Any, models: Path, name: str, causal: bool
) -> None:
    cohort = cohorts(name).with_modalities(["note"])
    cohort = cohort.subset(cohort.rows_of("note"))
    model = make_recipe(f"prompt-learning:prompts=0,{NEXT if causal else WORDS}").fit(cohort, seed=0)
    assert model.trained_parameters == 0
    texts = texts_of(cohort, tokenizer(models / name, "any"))
    expected = np.stack([said(models, name, text, causal) for text in texts])
    found = model.predictor.link(cohort)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    probability = np.exp(expected) / np.exp(expected).sum(1, keepdims=True)
    np.testing.assert_allclose(torch.from_numpy(found).softmax(1).numpy(), probability, atol=1e-6)


@pytest.mark.nightly
def test_a_model_that_knows_the_grammar_needs_no_training(cohorts: Any, grammar: None) -> None:
    cohort = cohorts("grammar").with_modalities(["note"])
    cohort = cohort.subset(cohort.rows_of("note"))
    model = make_recipe(f"prompt-learning:prompts=0,{WORDS}").fit(cohort, seed=0)
    right = (model.predictor.link(cohort).argmax(1) == cohort.outcome.value).mean()
    assert right > 0.9


@pytest.mark.nightly
@pytest.mark.parametrize("verbalizer", ["manual", "soft"])
def test_prompts_lead_the_frozen_model_to_what_it_knows_and_was_not_asked(
    cohorts: Any, grammar: None, verbalizer: str
) -> None:
    """The words are turned round, so that prompts have to do what an [UNK] does; a soft verbalizer learns its own."""
    cohort = cohorts("grammar").with_modalities(["note"])
    cohort = cohort.subset(cohort.rows_of("note"))
    turned = "words=no=fever;yes=cough,template={text} a {mask} ."
    options = f"patience=40,learning_rate=0.1,verbalizer={verbalizer},{turned}"
    right = []
    for prompts, epochs in ((0, 0), (2, 40)):
        model = make_recipe(f"prompt-learning:{options},prompts={prompts},epochs={epochs}").fit(cohort, seed=0)
        right.append((model.predictor.link(cohort).argmax(1) == cohort.outcome.value).mean())
    assert right[0] < 0.3 and right[1] > 0.9


@pytest.mark.parametrize(("verbalizer", "count"), [("manual", 3 * 16), ("soft", 3 * 16 + 2 * 16)])
def test_only_prompts_and_a_soft_verbalizer_are_trained(cohorts: Any, verbalizer: str, count: int) -> None:
    cohort = cohorts().with_modalities(["note"])
    cohort = cohort.subset(cohort.rows_of("note"))
    model = make_recipe(f"prompt-learning:{QUICK},{WORDS},verbalizer={verbalizer}").fit(cohort, seed=0)
    assert model.trained_parameters == count == sum(own.size for own in network_of(model).state.values())


@pytest.mark.parametrize(("name", "options"), [
    ("bert", f"{WORDS},verbalizer=soft"), *(pytest.param(*own, marks=pytest.mark.nightly) for own in (
        ("bert", WORDS), ("gpt", NEXT)
    )),
])  # fmt: skip
def test_the_laws_of_adapted_recipes(cohorts: Any, name: str, options: str) -> None:
    check_adaptation(make_recipe(f"prompt-learning:{QUICK},{options}"), cohorts(name, ",length=12"))


def test_other_modalities_join_and_say_nothing_before_they_are_trained(cohorts: Any) -> None:
    cohort = cohorts()
    recipe = make_recipe(f"prompt-learning:prompts=0,epochs=0,{WORDS}")
    link = recipe.fit(cohort, seed=0).predictor.link(cohort)
    alone = cohort.with_modalities(["note"])
    rows = cohort.rows_of("note")
    own = recipe.fit(alone.subset(rows), seed=0).predictor.link(alone.subset(rows))
    np.testing.assert_array_equal(link[rows], own)
    assert not np.delete(link, rows, 0).any()
    trained = make_recipe(f"prompt-learning:prompts=0,epochs=3,{WORDS}").fit(cohort, seed=0)
    assert trained.trained_parameters > 0 and np.delete(trained.predictor.link(cohort), rows, 0).any()


def test_a_training_stopped_and_gone_on_with_is_training_left_alone(cohorts: Any, tmp_path: Path) -> None:
    cohort, recipe = cohorts(), make_recipe(f"prompt-learning:{QUICK},{WORDS},verbalizer=soft")
    whole = recipe.fit(cohort, seed=0)
    with stopped_after(1):
        recipe.fit(cohort, seed=0, checkpoint=tmp_path)
    again = recipe.fit(cohort, seed=0, checkpoint=tmp_path)
    assert all(np.array_equal(own, network_of(again).state[key]) for key, own in network_of(whole).state.items())


class Places(torch.nn.Module):
    """A language model whose logits and states are the positions and the ids that it reads."""

    def forward(self, input_ids: Tensor, attention_mask: Tensor, **more: Any) -> Any:
        steps = torch.arange(input_ids.shape[1]).expand_as(input_ids)
        states = torch.stack([steps, input_ids], 2).float()
        return transformers.modeling_outputs.MaskedLMOutput(logits=states, hidden_states=(states,))


@pytest.mark.parametrize(
    ("text", "causal", "place", "piece"),
    [
        ("{text} a {mask} .", False, -3, 4),
        ("no {text} {mask}", False, -2, 4),
        ("a {mask} and {text} .", False, 2, 4),
        ("{text} no {mask}", True, -1, 7),
        ("a {text} {mask}", True, -1, 6),
    ],
)
def test_a_template_is_read_at_its_mask(models: Path, text: str, causal: bool, place: int, piece: int) -> None:
    template = Template.of(text, tokenizer(models / "bert", "any"), causal)
    assert template.place == place
    trunk = LanguageTrunk(Places(), template, StateAtMask())
    windows = torch.tensor([[1.0, 3, 2, 5, 6, 3, -1, -1], [1, 5, 2, 5, 5, 5, 6, 3]])
    found = trunk(Tokens(windows[None], torch.ones(1, 2) > 0)).values[0]
    lengths = len(template) + torch.tensor([2, 4])
    expected = (lengths + place if place < 0 else torch.full((2,), place)).tolist()
    assert found[:, 0].tolist() == expected and found[:, 1].tolist() == [piece, piece]


def test_scores_of_several_texts_are_averaged_over_those_present() -> None:
    scores = WordScores({"a": (2, 0), "b": (2, 0)}, ["a", "b"], 2, False, 4, 0.0)
    one, two = torch.tensor([[[1.0, 2.0]]] * 4), torch.tensor([[[5.0, 0.0], [7.0, 2.0]]] * 4)
    given = {"a": Tokens(one, torch.ones(4, 1) > 0), "b": Tokens(two, torch.ones(4, 2) > 0)}
    present = torch.tensor([[True, True], [True, False], [False, True], [False, False]])
    assert scores(given, present).embedding.tolist() == [[3.5, 1.5], [1.0, 2.0], [6.0, 1.0], [0.0, 0.0]]


def test_a_head_without_its_weights_is_not_drawn_at_random(models: Path, tmp_path: Path) -> None:
    folder = tmp_path / "bert"
    shutil.copytree(models / "bert", folder)
    state = load_file(folder / "model.safetensors")
    save_file({k: v for k, v in state.items() if "transform.dense.weight" not in k}, folder / "model.safetensors")
    with pytest.raises(ValueError, match=r"the weights lack 'cls\.predictions"):
        language_model(folder, "damaged")


def test_a_word_of_several_pieces_is_their_mean_and_windows_are_averaged(cohorts: Any, models: Path) -> None:
    read = tokenizer(models / "bert", "any")
    found = verbalizer_of({"x": ["fever cough", "fever"], "y": ["and"]}, read)
    assert found == Verbalizer({"x": (5, 6), "y": (8,)})
    cohort = cohorts(options=",length=8").with_modalities(["note"])
    cohort = cohort.subset(cohort.rows_of("note"))
    recipe = make_recipe(f"prompt-learning:prompts=0,{WORDS}")
    predictor = network_of(recipe.fit(cohort, seed=0))
    windows = cohort.inputs("note")
    long = int(np.argmax(windows.lengths))
    assert windows.lengths[long] > 1
    trunk = predictor.network().fusion.__dict__["trunks"]["note"]
    values = torch.from_numpy(windows[long].copy())
    each = trunk(Tokens(values[:, None], torch.ones(len(values), 1) > 0)).values[:, 0]
    np.testing.assert_allclose(predictor.link(cohort)[long], each.mean(0).double().numpy(), rtol=1e-6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("template={text} a {mask}", "does not know a word"),  # no and yes: yes is unknown
        (f"{WORDS},prompts=34", "leave no room .*fewer prompts"),
        (f"{WORDS},prompts=20", "leave no room .*length="),
        ("words=no=fever;yes=fever/cough,template={text} {mask}", "share a piece"),
        ("words=maybe=fever", "names classes of the target"),
        ("words=no=cough;yes=fever,template={text} unheard {mask}", "does not know a word"),
    ],
)
def test_words_and_windows_that_do_not_fit_are_refused(cohorts: Any, options: str, message: str) -> None:
    with pytest.raises(chiasm.Unsupported, match=message):
        make_recipe(f"prompt-learning:{options}").supports(cohorts())


def test_what_has_no_words_is_refused(cohorts: Any, models: Path, tmp_path: Path) -> None:
    with pytest.raises(chiasm.Unsupported, match="classification target"):
        make_recipe("prompt-learning").supports(cohorts(target=chiasm.Regression("x")))
    folder = tmp_path / "models" / "bare"
    shutil.copytree(models / "bert", folder)
    transformers.BertModel.from_pretrained(models / "bert").save_pretrained(folder)
    with pytest.raises(chiasm.Unsupported, match=r"network to adapt|with its head"):
        make_recipe(f"prompt-learning:{WORDS}").supports(notes(folder.parent, tmp_path / "store", model="bare"))
    with pytest.raises(ValueError, match="stands last"):
        Template.of("{text} {mask} a", tokenizer(models / "bert", "any"), True)
    for options in ("template={text}", "prompts=-1", "verbalizer=hard"):
        with pytest.raises(ValueError, match=r"a template holds|not known"):
            make_recipe(f"prompt-learning:{options}")


@pytest.mark.nightly
def test_patients_of_whom_a_table_alone_is_known_are_told_apart(cohorts: Any) -> None:
    cohort = cohorts("bert")
    model = make_recipe(f"prompt-learning:prompts=2,epochs=2,{WORDS}").fit(cohort, seed=0)
    alone = model.predict(cohort.with_modalities(["clinical"]).subset(cohort.rows_of("clinical")))
    assert alone["p_yes"].nunique() > len(alone) / 2
