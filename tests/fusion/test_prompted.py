"""MAMMAL's encoder-decoder: T5 of transformers, numbers and embeddings at their places, and absent spans left out."""

from __future__ import annotations

import pytest
import torch

from chiasm.fusion.prompted import PromptedT5, PromptFusion
from chiasm.fusion.spans import packed_left
from chiasm.testing import check_fusion
from chiasm.tokens import Tokens

SHAPES = {"a": (4, 3), "b": (5, 0), "c": (2, 5)}


def batch(n: int = 4) -> dict[str, Tokens]:
    generator = torch.Generator().manual_seed(0)
    found = {}
    for name, (width, slots) in SHAPES.items():
        values = torch.randn(n, slots or 6, width, generator=generator)
        found[name] = Tokens(values, torch.ones(values.shape[:2], dtype=torch.bool))
    return found


@pytest.mark.parametrize(("answers", "outputs"), [("classes", 3), ("labels", 2), ("numbers", 2)])
def test_it_passes_the_public_check(answers: str, outputs: int) -> None:
    check_fusion(
        lambda shapes: PromptFusion(shapes, outputs=outputs, answers=answers, latent_width=8, depth=1, heads=2), SHAPES
    )


def test_what_is_said_next_is_what_transformers_says_of_the_same_weights() -> None:
    from transformers import T5ForConditionalGeneration

    torch.manual_seed(0)
    model = PromptedT5(30, width=8, depth=1, heads=2).eval()
    other = T5ForConditionalGeneration(model.t5.config).eval()
    other.load_state_dict({**model.t5.state_dict(), "lm_head.weight": model.vectors})
    ids, asked = torch.randint(30, (3, 7)), torch.randint(30, (3, 4))
    mask = torch.arange(7) < torch.tensor([[7], [5], [6]])
    nothing = torch.zeros(3, 7), torch.zeros(3, 7, dtype=torch.bool)
    states = model.encode(model.embedded(ids, *nothing), mask)
    expected = other(input_ids=ids, attention_mask=mask.long(), decoder_input_ids=asked).logits
    torch.testing.assert_close(model.said(asked, states, mask), expected, atol=1e-6, rtol=1e-5)


def test_a_number_adds_its_map_at_its_place_and_nowhere_else() -> None:
    torch.manual_seed(0)
    model = PromptedT5(30, width=8, depth=1, heads=2).double()
    ids, here = torch.randint(30, (2, 5)), torch.zeros(2, 5, dtype=torch.bool)
    here[0, 2] = True
    scalars = torch.full((2, 5), torch.nan, dtype=torch.float64)
    scalars[0, 2] = 1.7
    added = torch.zeros(2, 5, 8, dtype=torch.float64)
    added[1, 3] = torch.randn(8, dtype=torch.float64)
    found = model.embedded(ids, scalars, here, added)
    expected = model.vectors[ids].clone()
    expected[0, 2] += model.scalar.weight[:, 0] * 1.7 + model.scalar.bias
    torch.testing.assert_close(found, expected + added, atol=1e-15, rtol=0)


def test_a_prompt_without_a_modality_is_the_prompt_of_a_model_that_never_had_it() -> None:
    torch.manual_seed(0)
    fusion = PromptFusion(SHAPES, outputs=2, latent_width=8, heads=2).double().eval()
    tokens = {name: Tokens(own.values.double(), own.mask) for name, own in batch().items()}
    present = torch.tensor([True, False, True]).expand(4, -1)
    hidden, mask = fusion.prompt(tokens, present)
    assert hidden.shape[1] == 2 + (3 + 3 + 1) + (3 + 5 + 1) + 1 and bool(mask.all())
    filled, kept = packed_left(
        torch.cat([torch.randn(4, 3, 8).double(), hidden], 1), torch.cat([mask[:, :3] & False, mask], 1)
    )
    torch.testing.assert_close(filled, hidden, atol=0, rtol=0)
    assert bool(kept.all())
    both, _ = fusion.prompt(tokens, torch.ones(4, 3, dtype=torch.bool))
    assert both.shape[1] == hidden.shape[1] + 3 + 1 + 1  # a bag is one token between its tags


def test_another_task_asks_the_same_weights_for_another_answer() -> None:
    torch.manual_seed(0)
    fusion = PromptFusion({"a": (4, 3)}, outputs=2, answers="labels", latent_width=16, depth=1, heads=2)
    tokens, present = {"a": batch(40)["a"]}, torch.ones(40, 1, dtype=torch.bool)
    right = tokens["a"].values[:, 0, 0] > 0
    label = torch.stack([right, ~right], 1)
    steps = torch.optim.Adam(fusion.parameters(), 0.005)
    for _ in range(90):
        steps.zero_grad()
        link = fusion(tokens, present).embedding
        torch.nn.functional.binary_cross_entropy_with_logits(link, label.float()).backward()
        steps.step()
    said = fusion(tokens, present).embedding > 0
    assert (said == label).float().mean() > 0.95
    assert (said[:, 0] != said[:, 1]).float().mean() > 0.9


@pytest.mark.parametrize("answers", ["classes", "labels", "numbers"])
def test_upon_another_model_it_starts_with_links_of_zero(answers: str) -> None:
    fusion = PromptFusion(SHAPES, outputs=2, answers=answers, latent_width=8, depth=1, heads=2).eval()
    present = torch.ones(4, 3, dtype=torch.bool)
    assert fusion(batch(), present).embedding.abs().min() > 0
    fusion.start_at_zero()
    assert torch.equal(fusion(batch(), present).embedding, torch.zeros(4, 2))
