"""A causal language model on this machine as a speaker: a folder of transformers or a GGUF file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from chiasm.encoders.text.causal import reach_of
from chiasm.encoders.text.likelihoods import log_likelihoods, next_tokens, shared
from chiasm.language.speaking.speaker import Manner, NotSaid, Said, Weighed, upto

NO_ROOM = "an option is longer than the model can read"


@dataclass
class LocalSpeaker:
    """A causal language model with its tokenizer.

    Args:
        network, words: as `causal_model` opens them.
        name, identity: for people, and the hash of the weights.
        turn: put a prompt as a user's turn of the model's own template.
    """

    network: Any
    words: Any
    name: str
    identity: str
    turn: bool = False

    def framed(self, prompt: str) -> str:
        """A prompt as the model reads it: as it is, or as a user's turn."""
        if not self.turn:
            return prompt
        turns = [{"role": "user", "content": prompt}]
        return str(self.words.apply_chat_template(turns, tokenize=False, add_generation_prompt=True))

    def tokens_of(self, text: str) -> list[int]:
        """Tokens of a text from its begin, with the mark of one where the tokenizer sets it."""
        return [int(own) for own in self.words(text, add_special_tokens=not self.turn)["input_ids"]]

    @property
    def reach(self) -> int:
        """The most tokens that the model can read; without a limit where its configuration names none."""
        return reach_of(self.network)

    def weigh(self, prompts: Sequence[str], names: Sequence[str]) -> list[Weighed]:
        """Log-likelihood of each name behind each prompt, but for what all names share; prompts are read together.

        Raises:
            NotSaid: a name leaves no room for a prompt.
        """
        gap = "" if self.turn else " "
        framed = [self.framed(prompt) for prompt in prompts]
        wholes = [[self.tokens_of(own + gap + name) for name in names] for own in framed]
        stems = [each[0][:-1] for each in wholes]
        alike = all(own[:-1] == stem for each, stem in zip(wholes, stems, strict=True) for own in each)
        if not alike or min(map(len, stems)) < 1 or max(map(len, stems)) >= self.reach:
            return [self.weighed(own, names) for own in framed]
        with torch.inference_mode():
            found = next_tokens(self.network, stems)
        return [
            Weighed(tuple(float(row[own[-1]]) for own in each), len(stem))
            for row, each, stem in zip(found, wholes, stems, strict=True)
        ]

    def weighed(self, framed: str, names: Sequence[str], *, mean: bool = False) -> Weighed:
        """Log-likelihood of each name behind a prompt as the model reads it, summed over its tokens, or their mean.

        Raises:
            NotSaid: a name leaves no room for a token of the prompt.
        """
        gap = "" if self.turn else " "
        begun = self.tokens_of(framed)
        wholes = [self.tokens_of(framed + gap + name) for name in names]
        start = shared([begun, *wholes])  # the first token in which they part
        beyond = max(0, max(map(len, wholes)) - self.reach)
        if beyond >= start:
            raise NotSaid("silent", NO_ROOM)
        wholes, start = [own[beyond:] for own in wholes], start - beyond
        with torch.inference_mode():
            each = log_likelihoods(self.network, wholes, start)
        return Weighed(tuple(float(own.mean() if mean else own.sum()) for own in each), len(begun), beyond > 0)

    def say(self, prompt: str, manner: Manner) -> Said:
        """What the model writes after a prompt; of one longer than its reach the end is kept.

        Raises:
            NotSaid: the model can read fewer tokens than it is to write.
        """
        own = self.tokens_of(self.framed(prompt))
        room = self.reach - manner.tokens
        if room < 1:
            raise NotSaid("silent", f"{manner.tokens} tokens of answer leave no room for a question")
        begun = torch.tensor([own[-room:]], device=self.network.device)
        with torch.inference_mode(), torch.random.fork_rng(devices=[]):
            torch.manual_seed(manner.seed)
            made = self.network.generate(
                begun,
                attention_mask=begun.new_ones(begun.shape),
                max_new_tokens=manner.tokens,
                num_beams=1,
                pad_token_id=self.words.eos_token_id,
                **drawing(manner),
                **self.stopping(manner),
            )
        new = made[0, begun.shape[1] :]
        said = str(self.words.decode(new, skip_special_tokens=True))
        ended = len(new) < manner.tokens or upto(said, manner.stops) != said.strip()
        return Said(upto(said, manner.stops), begun.shape[1], len(new), len(own) > room, ended)

    def stopping(self, manner: Manner) -> dict[str, Any]:
        """Options of `generate` that end it at a stop; a blank one may also stand before the answer."""
        stops = [own for own in manner.stops if own.strip()]
        return {"stop_strings": stops, "tokenizer": self.words} if stops else {}


def drawing(manner: Manner) -> dict[str, Any]:
    """Options of `generate`: the likeliest token each time, or drawn at a temperature from all of them."""
    if manner.temperature == 0:
        return {"do_sample": False, "temperature": None, "top_p": None, "top_k": None}
    return {"do_sample": True, "temperature": manner.temperature, "top_p": 1.0, "top_k": 0}
