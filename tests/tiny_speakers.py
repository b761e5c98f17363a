"""A tiny causal model with a tokenizer of whole words that has learned a language of made texts, in seconds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest


def tokenizer_of(vocabulary: Sequence[str]) -> Any:
    """A tokenizer of whole words, with `<s>` before a text."""
    transformers = pytest.importorskip("transformers")
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    words = ["[UNK]", "<s>", "</s>", *vocabulary]
    own = Tokenizer(models.WordLevel({word: k for k, word in enumerate(words)}, unk_token="[UNK]"))
    own.pre_tokenizer = pre_tokenizers.Whitespace()
    own.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=own, unk_token="[UNK]", bos_token="<s>", eos_token="</s>"
    )


def fresh_model(size: int, *, width: int = 16, layers: int = 2, reach: int = 64, seed: int = 0) -> Any:
    """A Llama with random weights and a vocabulary of that size."""
    import torch

    transformers = pytest.importorskip("transformers")
    config = transformers.LlamaConfig(
        vocab_size=size, hidden_size=width, intermediate_size=2 * width, num_hidden_layers=layers,
        num_attention_heads=2, num_key_value_heads=2, max_position_embeddings=reach, bos_token_id=1, eos_token_id=2,
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return transformers.LlamaForCausalLM(config).train(False)


def taught(network: Any, words: Any, texts: Sequence[str], *, steps: int = 150, rate: float = 1e-2) -> Any:
    """Train all weights on texts, each with its end, by batches of 32."""
    import torch

    rows = [words(text)["input_ids"] + [2] for text in texts]
    longest = max(map(len, rows))
    ids = torch.tensor([own + [-100] * (longest - len(own)) for own in rows])
    optimiser = torch.optim.AdamW(network.parameters(), lr=rate)
    source = torch.Generator().manual_seed(0)
    for _ in range(steps):
        own = ids[torch.randint(0, len(ids), (32,), generator=source)]
        loss = network(input_ids=own.clamp_min(0), attention_mask=(own >= 0).long(), labels=own, use_cache=False).loss
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return network
