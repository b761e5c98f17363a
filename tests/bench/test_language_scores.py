"""Scores of a language model: of the tokens in which options part, of prompts that are cut, of any configuration."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from chiasm.bench.candidates.language import LanguageModel
from chiasm.bench.item import Asked
from chiasm.bench.marks import read
from chiasm.bench.reply import CUT, cut_told

ITEM = Asked("k", "Which?", ("p", "q", "rs"))


class Signs:
    """A tokenizer with a token a sign; blanks are tokens of their own, as where a text is prefixed by one."""

    def __call__(self, text: str, add_special_tokens: bool = True) -> dict[str, list[int]]:
        return {"input_ids": [0] * add_special_tokens + [min(ord(sign), 127) for sign in f" {text}"]}


class Likes:
    """A network that expects the sign that follows the last one in the alphabet, but after a blank a B."""

    def __init__(self, **config: Any) -> None:
        self.config, self.device, self.read = SimpleNamespace(**config), "cpu", list[int]()

    def __call__(self, tokens: torch.Tensor, **given: Any) -> Any:
        return self.forward(tokens, **given)

    def forward(self, tokens: torch.Tensor, use_cache: bool) -> Any:
        self.read.append(tokens.shape[1])
        logits = torch.zeros(1, tokens.shape[1], 128)
        for k, sign in enumerate(tokens[0].tolist()):
            logits[0, k, ord("B") if sign == ord(" ") else min(sign + 1, 127)] = 5.0
        return SimpleNamespace(logits=logits)


def model(score: str = "letter", **config: Any) -> LanguageModel:
    return LanguageModel(Likes(**config), Signs(), "n", "i", score=score, tokens=4)


def test_letters_are_told_apart_where_a_blank_is_a_token_of_its_own() -> None:
    own = model(max_position_embeddings=512)
    (reply,) = own.answer([ITEM])
    assert read(reply, ITEM.options).position == 1 and len(own.network.read) == 1
    (by_text,) = model("text", max_position_embeddings=512).answer([ITEM])
    assert by_text.scores is not None and by_text.scores[2] > by_text.scores[0]  # an s is expected after an r


def test_items_in_the_same_words_are_computed_once() -> None:
    own = model(max_position_embeddings=512)
    first, second, other = own.answer([ITEM, replace(ITEM, key="l"), replace(ITEM, question="Who?", key="m")])
    assert first.scores == second.scores and [first.key, second.key, other.key] == ["k", "l", "m"]
    assert len(own.network.read) == 2


@pytest.mark.parametrize("name", ["max_position_embeddings", "max_seq_len", "none"])
def test_a_prompt_beyond_the_reach_is_cut_and_told_whatever_the_configuration_calls_it(name: str) -> None:
    own = model(**{name: 100})
    (reply,) = own.answer([Asked("k", "Which?", ITEM.options, "word " * 60)])
    told = cut_told({"candidate": [reply]})
    assert reply.scores is not None and (reply.note == CUT) == bool(told) == (name != "none")
    assert name == "none" or own.network.read == [99]


def test_an_option_that_leaves_no_room_is_no_answer() -> None:
    (reply,) = model("text", max_position_embeddings=20).answer([Asked("k", "Which?", ("a", "b" * 40))])
    assert reply.failure and "b" * 3 not in reply.note
