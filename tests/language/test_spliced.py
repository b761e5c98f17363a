"""Soft tokens stand in their slot, in order, with positions and mask; what is absent or padded is not there at all."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from chiasm.fusion.connector import CONNECTORS, Connector, Tower
from chiasm.language.connected import Connected
from chiasm.language.language_model import LanguageModel
from chiasm.language.spliced import joined, slot, splice
from chiasm.language.tiny import TinyLanguage, TinyWords
from chiasm.tokens import Tokens

WORDS = TinyWords(("which", "shape", "ring", "cross"))


def language(seed: int = 0) -> LanguageModel:
    torch.manual_seed(seed)
    return TinyLanguage(WORDS, width=16, depth=2, heads=2, reach=64).open().eval()


def soft(lengths: list[int], most: int, seed: int = 1) -> Tokens:
    made = torch.randn(len(lengths), most, 16, generator=torch.Generator().manual_seed(seed))
    return Tokens(made, torch.arange(most) < torch.tensor(lengths)[:, None])


def test_what_is_spliced_is_what_stands_there_by_hand() -> None:
    table = torch.randn(10, 16)
    ids = torch.tensor([[3, slot(0), 4, slot(1), 5], [6, slot(1), 7, slot(0), 0]])
    mask = torch.tensor([[True] * 5, [True] * 4 + [False]])
    a, b = soft([2, 0], 3), soft([1, 2], 2, seed=2)
    found = splice(table[ids.clamp_min(0)], ids, mask, [a, b], 16)
    first = [table[3], a.values[0, 0], a.values[0, 1], table[4], b.values[0, 0], table[5]]
    second = [table[6], b.values[1, 0], b.values[1, 1], table[7]]  # he lacks the first modality: its slot is left out
    torch.testing.assert_close(found.embedded[0], torch.stack(first))
    torch.testing.assert_close(found.embedded[1, :4], torch.stack(second))
    assert found.mask.tolist() == [[True] * 6, [True] * 4 + [False] * 2]
    assert found.source.tolist() == [[0, 1, 1, 2, 3, 4], [0, 1, 1, 2, -1, -1]]


def test_a_slot_without_a_connector_is_refused() -> None:
    ids = torch.tensor([[3, slot(2)]])
    with pytest.raises(ValueError, match="slot for modality number 3, and the model has connectors for 1"):
        splice(torch.zeros(1, 2, 16), ids, torch.ones(1, 2, dtype=torch.bool), [soft([1], 1)], 16)


def test_answers_stand_behind_their_prompt() -> None:
    ids, mask = torch.tensor([[1, 2, 3], [4, 9, 9]]), torch.tensor([[True] * 3, [True, False, False]])
    found, real = joined(ids, mask, torch.tensor([0, 1, 1]), [[7], [5, 6], [8, 8, 8]])
    assert [own[here].tolist() for own, here in zip(found, real, strict=True)] == [
        [1, 2, 3, 7],
        [4, 5, 6],
        [4, 8, 8, 8],
    ]


def test_padding_is_never_seen_and_positions_are_those_of_a_prompt_alone() -> None:
    model = language()
    alone = torch.randn(1, 5, 16)
    whole = torch.cat([alone, torch.full((1, 3, 16), 1e9)], 1)
    mask = torch.tensor([[True] * 5 + [False] * 3])
    with torch.inference_mode():
        expected = model(alone, mask[:, :5])
        torch.testing.assert_close(model(whole, mask)[:, :5], expected, atol=1e-5, rtol=1e-5)
        before = torch.cat([torch.zeros(1, 2, 16), alone], 1)  # padded before: the positions are the same
        left = model(before, torch.tensor([[False] * 2 + [True] * 5]))[:, 2:]
    torch.testing.assert_close(left, expected, atol=1e-5, rtol=1e-5)


def fused(ids: list[list[int]], tokens: dict[str, Tokens], present: Tensor, seed: int = 0) -> Tensor:
    torch.manual_seed(3)
    model = Connected(language(seed), {"a": (4, 0), "b": (3, 2)}, 2, connector="mlp", soft=4).eval()
    longest = max(map(len, ids))
    mask = torch.tensor([[True] * len(own) + [False] * (longest - len(own)) for own in ids])
    padded = torch.tensor([own + [0] * (longest - len(own)) for own in ids])
    answers = torch.tensor([[[0, 5], [0, 0], [1, 6], [1, 7], [1, 0]]] * len(ids))
    beside = {
        " prompt": Tokens(padded[..., None].float(), mask),
        " answers": Tokens(answers.float(), torch.ones(answers.shape[:2], dtype=torch.bool)),
    }
    with torch.inference_mode():
        found: Tensor = model({**tokens, **beside}, present).embedding
    return found


def test_what_stands_behind_an_absent_modality_changes_nothing_and_nothing_stands_for_it() -> None:
    prompt, without = [2, slot(0), slot(1), 9, 4], [2, slot(1), 9, 4]
    a, b = torch.randn(3, 2, 4), torch.randn(3, 2, 3)
    real = torch.ones(3, 2, dtype=torch.bool)
    present = torch.tensor([[True, True], [False, True], [False, False]])
    found = fused([prompt] * 3, {"a": Tokens(a, real), "b": Tokens(b, real)}, present)
    for nothing in (float("nan"), 1e9):
        other = torch.where(present[:, 0, None, None], a, nothing)
        again = fused([prompt] * 3, {"a": Tokens(other, real), "b": Tokens(b, real)}, present)
        assert again.equal(found)
    left_out = fused([without] * 3, {"a": Tokens(a, real), "b": Tokens(b, real)}, present)
    torch.testing.assert_close(left_out[1:], found[1:], atol=1e-5, rtol=1e-5)
    alone = fused([prompt], {"a": Tokens(a[:1], real[:1]), "b": Tokens(b[:1], real[:1])}, present[:1])
    torch.testing.assert_close(alone, found[:1], atol=1e-5, rtol=1e-5)  # whoever else is in the batch


@pytest.mark.parametrize("kind", CONNECTORS)
def test_a_connector_never_reads_what_is_masked_and_has_the_size_of_words(kind: str) -> None:
    torch.manual_seed(0)
    model = Connector(5, 0, 16, kind, queries=3, size=0.2)
    values, mask = torch.randn(2, 4, 5), torch.tensor([[True] * 4, [True, True, False, False]])
    found = model(Tokens(values, mask))
    broken = model(Tokens(torch.where(mask[..., None], values, float("nan")), mask))
    assert broken.values[found.mask].equal(found.values[found.mask])
    assert found.mask.sum(1).tolist() == ([3, 3] if kind == "resampler" else [4, 2])
    torch.testing.assert_close(found.values[found.mask].square().mean().sqrt(), torch.tensor(0.2), atol=1e-3, rtol=0)


def test_a_tower_is_the_identity_until_it_is_trained() -> None:
    own = Tokens(torch.randn(2, 3, 6), torch.ones(2, 3, dtype=torch.bool))
    assert Tower(6, 3)(own).values.equal(own.values)


def test_tiny_words_spell_what_they_do_not_know() -> None:
    assert WORDS.text(WORDS.ids("which shape? a Ring!")) == "which shape ? a Ring !"
    assert len(WORDS.ids("ring")) == 1 and len(WORDS.ids("Ring")) == 4
    assert TinyWords.fit(["one two"] * 4 + ["two"]).known == ("two",)  # what fewer than five have may be a name
