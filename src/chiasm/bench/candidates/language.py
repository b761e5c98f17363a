"""A candidate that is a causal language model of transformers, from a folder with safetensors or a GGUF file.

Three ways of scoring, of which the name says which it was:

- `letter`: log p(letter | prompt) of the letter of each option, after a prompt that ends in "Answer:", summed where a
  tokenizer has no token of a blank with a letter;
- `text`: the mean log p of a token of each option's text after the same prompt, `sum_t log p(t | before) / T`: a longer
  option is not punished for its length;
- `generate`: the words it writes by itself, greedily, which are then read as any other answer.

`letter` and `text` cannot name what is no option; `generate` can. Source of both scores: the language model evaluation
harness, doi:10.5281/zenodo.5371628, whose `acc_norm` divides by characters, where here it is tokens.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from chiasm.bench.item import LETTERS, Asked
from chiasm.bench.reply import CUT, Reply
from chiasm.bench.shots import Shot
from chiasm.encoders.text.causal import causal_model, reach_of
from chiasm.encoders.text.likelihoods import log_likelihoods, shared
from chiasm.specs import read_options, require_known

LETTER, TEXT, GENERATE = "letter", "text", "generate"
TOLD = {
    LETTER: "Scored by the likelihood of each option's letter",
    TEXT: "Scored by the likelihood of each option's text, the mean over its tokens",
    GENERATE: "Asked to write its answer, greedily",
}
OPTIONS: dict[str, Any] = {"model": "", "score": LETTER, "chat": "auto", "tokens": 24, "device": "cpu"}
TASK = "Answer with the letter of the right option."
FREE_TASK = "Answer in a few words."
CUE = "Answer:"
SCORING = 2
"""Version of the scores: answers of another are not gone on with."""


@dataclass
class LanguageModel:
    """A causal language model with its tokenizer.

    Args:
        chat: put the question as a user's turn of the model's own template.
        tokens: most tokens that are written for an answer.
    """

    network: Any
    words: Any
    name: str
    identity: str
    score: str = LETTER
    chat: bool = False
    tokens: int = 24
    shots: tuple[Shot, ...] = ()
    sees_attachments: bool = False
    cut: int = field(default=0, init=False)

    @property
    def told(self) -> str:
        """How it was asked."""
        chat = "in the model's chat template" if self.chat else "as plain text"
        shots = f", after {len(self.shots)} worked examples" if self.shots else ", without worked examples"
        return f"{TOLD[self.score]}; the question {chat}{shots}. It reads text alone."

    def answer(self, items: Sequence[Asked]) -> Iterator[Reply]:
        """Answer one item after another; of items that are put in the same words the first alone is computed."""
        import torch

        heard: dict[tuple[str, tuple[str, ...]], Reply] = {}
        with torch.inference_mode():
            for item in items:
                words = self.prompt(item), item.options
                if words not in heard:
                    heard[words] = self.reply(item)
                yield replace(heard[words], key=item.key)

    def reply(self, item: Asked) -> Reply:
        """Answer an item, and note where its begin was cut."""
        before = self.cut
        try:
            if self.score == GENERATE or not item.options:
                said = Reply(item.key, self.written(item))
            else:
                said = Reply(item.key, scores=self.scores(item))
        except NoRoom:
            said = Reply(item.key, failure="silent", note="an option is longer than the model can read")
        return replace(said, note=CUT) if self.cut > before else said

    def scores(self, item: Asked) -> tuple[float, ...]:
        """Log-likelihood of each option, by its letter, or by its text per token."""
        prompt = self.prompt(item)
        names = list(LETTERS[: len(item.options)]) if self.score == LETTER else list(item.options)
        gap = "" if self.chat else " "
        wholes = [self.tokens_of(prompt + gap + name) for name in names]
        start = shared([self.tokens_of(prompt), *wholes])  # the first token in which they part
        beyond = max(0, max(map(len, wholes)) - self.reach)
        if beyond >= start:
            raise NoRoom
        self.cut += beyond > 0
        wholes, start = [own[beyond:] for own in wholes], start - beyond
        each = log_likelihoods(self.network, wholes, start)
        return tuple(float(own.mean()) * (len(own) if self.score == LETTER else 1) for own in each)

    def tokens_of(self, text: str) -> list[int]:
        """Tokens of a text from its begin, with the mark of one where the tokenizer sets it."""
        return [int(own) for own in self.words(text, add_special_tokens=not self.chat)["input_ids"]]

    @property
    def reach(self) -> int:
        """The most tokens that the model can read; without a limit where its configuration names none."""
        return reach_of(self.network)

    def written(self, item: Asked) -> str:
        """What the model writes after the prompt, up to a line's end."""
        begun = self.encoded(self.prompt(item))
        made = self.network.generate(
            begun,
            attention_mask=begun.new_ones(begun.shape),
            max_new_tokens=self.tokens,
            do_sample=False,
            num_beams=1,
            temperature=None,
            top_p=None,
            top_k=None,
            pad_token_id=self.words.eos_token_id,
        )
        said = str(self.words.decode(made[0, begun.shape[1] :], skip_special_tokens=True)).strip()
        return said.splitlines()[0] if said else ""

    def encoded(self, prompt: str) -> Any:
        """Tokens of a prompt (1, T); of one longer than the model's reach the end is kept, and it is counted."""
        import torch

        own = self.tokens_of(prompt)
        room = self.reach - self.tokens  # 1 or more, as open_language_model holds it to
        if len(own) > room:
            self.cut += 1
            own = own[-room:]
        return torch.tensor([own], device=self.network.device)

    def prompt(self, item: Asked) -> str:
        """The text that is put to the model."""
        worked = "\n\n".join(
            shown(shot.question, shot.options, shot.context) + f" {LETTERS[shot.answer]}" for shot in self.shots
        )
        task = TASK if item.options else FREE_TASK
        asked = shown(item.question, item.options, item.context)
        if not self.chat:
            return "\n\n".join(part for part in (task, worked, asked) if part)
        asked = asked.removesuffix(f"\n{CUE}")
        turn = [{"role": "user", "content": "\n\n".join(part for part in (worked, asked, task) if part)}]
        return str(self.words.apply_chat_template(turn, tokenize=False, add_generation_prompt=True))


class NoRoom(Exception):
    """An option leaves no room for a token of the question."""


def shown(question: str, options: Sequence[str], context: str = "") -> str:
    """An item as text: what it is about, the question, the options by letter, and the cue for the answer."""
    lettered = [f"{letter}. {option}" for letter, option in zip(LETTERS, options, strict=False)]
    parts = [context, f"Question: {question}", *lettered, CUE]
    return "\n".join(part for part in parts if part)


def open_language_model(text: str, *, shots: Sequence[Shot] = (), timeout: float = 0.0) -> LanguageModel:
    """Open `folder` or `file.gguf`, with `score=letter|text|generate`, `chat=true|false`, `tokens=24`, `device=cpu`.

    Without `chat` a model's template is used where it has one.

    Raises:
        Unsupported: it is no causal language model, its weights are pickled, or a package lacks.
        ValueError: an option that there is not.
    """
    given = read_options(text, OPTIONS, "a language model", leads="model")
    options = {**OPTIONS, **given}
    place, _, more = str(options["model"]).partition(",")
    if more and Path(place).exists():
        require_known(more.partition("=")[0], OPTIONS, "a language model")
    if options["score"] not in TOLD:
        raise ValueError(f"score={options['score']} is no way of scoring: choose one of {', '.join(TOLD)}")
    if options["chat"] not in ("auto", "true", "false"):
        raise ValueError(f"chat={options['chat']} must be true or false")
    path = Path(options["model"])
    network, words, weights = causal_model(path)
    has_template = bool(words.chat_template)
    if options["chat"] == "true" and not has_template:
        raise ValueError("the model has no chat template: leave chat=true out")
    chat = has_template if options["chat"] == "auto" else options["chat"] == "true"
    stated = repr((weights, options["score"], chat, options["tokens"], tuple(shots), SCORING))
    identity = hashlib.sha256(stated.encode()).hexdigest()
    network = network.to(options["device"])
    name = f"{path.stem if path.suffix == '.gguf' else path.name} ({options['score']})"
    own = LanguageModel(network, words, name, identity, options["score"], chat, int(options["tokens"]), tuple(shots))
    if not 1 <= own.tokens < own.reach:
        raise ValueError(f"tokens={own.tokens} leaves no room for a question: the model can read {own.reach:,} in all")
    return own
