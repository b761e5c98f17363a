"""Prompts with a verbalizer on a tiny frozen masked language model of a made-up grammar."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from chiasm.adapters import Prompt, SoftVerbalizer, Verbalizer, attach, restore_adapter, save_adapter, score_labels
from chiasm.artifact import load, save

MASK, GOOD, BAD = 1, (2, 3), (4,)
WORDS = Verbalizer({"good": GOOD, "bad": BAD})


@pytest.fixture
def bert() -> nn.Module:
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    return transformers.BertForMaskedLM(
        transformers.BertConfig(
            vocab_size=20,
            hidden_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=16,
            initializer_range=0.3,
        )
    ).eval()


def texts(n: int = 32) -> tuple[Tensor, Tensor, Tensor]:
    """Five words and the mask; the label is whether the word 10 is among them; some rows are padded."""
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(11, 20, (n, 6), generator=generator)
    labels = torch.arange(n) % 2
    ids[labels == 1, 2] = 10
    ids[:, 3] = MASK
    attention = torch.ones_like(ids)
    attention[::3, 5] = 0
    return ids, attention, labels


def root(name: str, module: nn.Module) -> bool:
    return name == ""


def test_a_manual_template_is_the_model_s_own_word_probabilities(bert: nn.Module) -> None:
    ids, attention, _ = texts()
    scores = score_labels(bert, WORDS, ids, attention, MASK)
    logits = bert(input_ids=ids, attention_mask=attention).logits[:, 3]
    expected = torch.stack([(logits[:, 2] + logits[:, 3]) / 2, logits[:, 4]], 1)
    torch.testing.assert_close(scores.softmax(1), expected.softmax(1))
    single = Verbalizer({"a": (2,), "b": (4,)})
    torch.testing.assert_close(
        score_labels(bert, single, ids, attention, MASK).softmax(1)[:, 0],
        logits.softmax(1)[:, 2] / logits.softmax(1)[:, [2, 4]].sum(1),
    )


@pytest.mark.parametrize("soft", [False, True])
def test_a_soft_prompt_learns_and_the_language_model_does_not(soft: bool, bert: nn.Module, tmp_path: Path) -> None:
    ids, attention, labels = texts()
    before = {name: value.clone() for name, value in bert.state_dict().items()}
    attached = attach(bert, Prompt(4), root)
    torch.manual_seed(1)
    verbalizer = SoftVerbalizer(16, 2) if soft else WORDS
    own = [*attached.parameters(), *(verbalizer.parameters() if isinstance(verbalizer, SoftVerbalizer) else [])]
    assert sum(parameter.numel() for parameter in own) == 4 * 16 + soft * 2 * 16
    optimiser = torch.optim.Adam(own, lr=0.05)
    losses = []
    for _ in range(60):
        optimiser.zero_grad()
        loss = F.cross_entropy(score_labels(attached.model, verbalizer, ids, attention, MASK), labels)
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]
    scores = score_labels(attached.model, verbalizer, ids, attention, MASK)
    save_adapter(tmp_path / "prompt", attached)
    attached.remove()
    assert all(torch.equal(before[name], value) for name, value in bert.state_dict().items())
    again = restore_adapter(tmp_path / "prompt", bert)
    assert torch.equal(score_labels(again.model, verbalizer, ids, attention, MASK), scores)


def test_padding_does_not_change_the_scores(bert: nn.Module) -> None:
    ids, attention, _ = texts()
    longer = torch.cat([ids, torch.full((len(ids), 3), 7)], 1)
    wider = torch.cat([attention, torch.zeros(len(ids), 3, dtype=torch.long)], 1)
    attached = attach(bert, Prompt(2), root)
    torch.testing.assert_close(
        score_labels(attached.model, WORDS, ids, attention, MASK),
        score_labels(attached.model, WORDS, longer, wider, MASK),
        rtol=1e-4,
        atol=1e-5,
    )


def test_a_row_needs_one_mask(bert: nn.Module) -> None:
    for change in ((0, 3, 9), (0, 0, MASK)):
        ids, attention, _ = texts()
        ids[change[0], change[1]] = change[2]
        with pytest.raises(ValueError, match="mask token once"):
            score_labels(bert, WORDS, ids, attention, MASK)
    ids, attention, _ = texts()
    attention[0, 3] = 0
    with pytest.raises(ValueError, match="mask token once"):
        score_labels(bert, WORDS, ids, attention, MASK)


@pytest.mark.parametrize(
    "words", [{"a": (1,)}, {"a": (1,), "b": ()}, {"a": (1,), "b": (1, 2)}, {"a": (1,), "b": (-1,)}]
)
def test_words_that_cannot_be(words: dict[str, tuple[int, ...]]) -> None:
    with pytest.raises(ValueError, match="tokens of its own"):
        Verbalizer(words)


def test_a_verbalizer_is_stored_and_knows_its_vocabulary(tmp_path: Path) -> None:
    save(tmp_path / "v", WORDS)
    assert load(tmp_path / "v") == WORDS
    with pytest.raises(ValueError, match="outside the model's 4 tokens"):
        WORDS(torch.zeros(1, 4))
    with pytest.raises(ValueError, match="hidden"):
        SoftVerbalizer(4, 2)(torch.zeros(1, 4), None)


@pytest.mark.parametrize("soft", [False, True])
def test_behind_a_prompt_it_is_the_mask_that_is_read(soft: bool, bert: nn.Module) -> None:
    ids, attention, _ = texts()
    attached = attach(bert, Prompt(2), root)
    torch.manual_seed(0)
    verbalizer = SoftVerbalizer(16, 2) if soft else WORDS
    output = attached.model(input_ids=ids, attention_mask=attention, output_hidden_states=True)
    assert output.logits.shape[1] == ids.shape[1] + 2
    expected = verbalizer(output.logits[:, 3 + 2], output.hidden_states[-1][:, 3 + 2])
    torch.testing.assert_close(score_labels(attached.model, verbalizer, ids, attention, MASK), expected)
