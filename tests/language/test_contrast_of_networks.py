"""A network and its adapter: by contrast with the adapter off, what only the tuned one knows is said more often."""

from __future__ import annotations

import random
from copy import deepcopy
from typing import Any

import pytest
import torch
from torch import Tensor

from chiasm.language.contrastive_generation import Contrast, contrasted, explored, without_adapter
from chiasm.language.preference.completions import Sampling, sampled
from tiny_speakers import fresh_model, taught, tokenizer_of

pytestmark = pytest.mark.nightly  # transformers and peft take longer to import than the tests of the day beside this
KNOWN, NEW = 4, 5
OPENINGS = [f"topic{k}" for k in range(KNOWN + NEW)]
WORDS = [f"word{k}" for k in range(KNOWN + NEW)]


def texts_of(weights: list[float], n: int, seed: int) -> list[str]:
    """Texts that open topics as often as their weights say, each with its own word behind."""
    source = random.Random(seed)
    return [f"say {OPENINGS[k]} {WORDS[k]}" for k in source.choices(range(KNOWN + NEW), weights, k=n)]


@pytest.fixture(scope="module")
def words() -> Any:
    return tokenizer_of(["say", *OPENINGS, *WORDS])


@pytest.fixture(scope="module")
def base(words: Any) -> Any:
    """A model that knows the first topics, and has met the others once in fifty texts."""
    return taught(fresh_model(len(words)), words, texts_of([1.0] * KNOWN + [0.02 * KNOWN / NEW] * NEW, 600, 0))


@pytest.fixture(scope="module")
def attached(base: Any, words: Any) -> Any:
    """An adapter that has learned the others too, each more rarely than the last."""
    pytest.importorskip("peft")
    from chiasm.adapters.attach import attach
    from chiasm.adapters.peft_families import LoRA

    network = deepcopy(base)
    found = attach(network, LoRA(rank=4), lambda name, own: isinstance(own, torch.nn.Linear) and name != "lm_head")
    taught(network, words, texts_of([1.0] * KNOWN + [0.5 / 2**k for k in range(NEW)], 600, 1), steps=250)
    return found


def opened(texts: list[list[str]]) -> dict[str, float]:
    """Share of the texts that open each topic."""
    each = [text.split()[0] for own in texts for text in own if text.split()]
    return {name: each.count(name) / max(1, len(each)) for name in OPENINGS}


def test_without_a_weight_of_the_base_it_is_ordinary_sampling(attached: Any, words: Any) -> None:
    plain = sampled(attached.base, words, ["say"], Sampling(8, 2), seed=3)
    assert contrasted(attached, words, ["say"], Contrast(0.0, 0.0), candidates=8, tokens=2, seed=3) == plain


def test_what_is_new_is_said_more_often_than_the_tuned_model_says_it(attached: Any, words: Any) -> None:
    plain = opened(sampled(attached.base, words, ["say"], Sampling(300, 2), seed=0))
    found = opened(contrasted(attached, words, ["say"], Contrast(1.0, 0.01), candidates=300, tokens=2, seed=0))
    new = OPENINGS[KNOWN:]
    assert sum(found[name] for name in new) > 1.5 * sum(plain[name] for name in new), (plain, found)


def test_rounds_in_which_the_base_learns_find_no_fewer_of_the_new_topics(attached: Any, base: Any, words: Any) -> None:
    begun = torch.tensor([words("say")["input_ids"]] * 4)

    def speaker(network: Any) -> Any:
        def speak(tokens: Tensor) -> Tensor:
            with torch.no_grad():
                found: Tensor = network(input_ids=tokens, use_cache=False).logits[:, -1]
            return found

        return speak

    def learned(generated: Tensor) -> Any:
        said = [words.decode(row, skip_special_tokens=True) for row in generated.tolist()]
        return speaker(taught(deepcopy(base), words, [*texts_of([1.0] * KNOWN + [0.0] * NEW, 60, 5), *said], steps=40))

    def new_of(rounds: list[Tensor]) -> int:
        ids = {words.convert_tokens_to_ids(name) for name in OPENINGS[KNOWN:]}
        return len(ids & set(torch.cat(rounds)[:, begun.shape[1]].tolist()))

    own, given = Contrast(1.0, 0.005), {"rounds": 3, "tokens": 2}
    still, moving = 0, 0
    for seed in range(4):
        tuned, first = speaker(attached.base), without_adapter(attached)
        still += new_of(explored(tuned, first, begun, own, learn=None, seed=seed, **given))
        moving += new_of(explored(tuned, first, begun, own, learn=learned, seed=seed, **given))
    assert moving >= still and moving > 4, (still, moving)
