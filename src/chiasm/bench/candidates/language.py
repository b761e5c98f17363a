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
from chiasm.encoders.text.causal import causal_model
from chiasm.language.examples import Shot, as_worked
from chiasm.language.questions import worded
from chiasm.language.speaking.local import LocalSpeaker
from chiasm.language.speaking.speaker import Manner, NotSaid
from chiasm.specs import read_options, require_known

LETTER, TEXT, GENERATE = "letter", "text", "generate"
TOLD = {
    LETTER: "Scored by the likelihood of each option's letter",
    TEXT: "Scored by the likelihood of each option's text, the mean over its tokens",
    GENERATE: "Asked to write its answer, greedily",
}
OPTIONS: dict[str, Any] = {"model": "", "score": LETTER, "chat": "auto", "tokens": 24, "device": "cpu"}
SCORING = 2
"""Version of the scores: answers of another are not gone on with."""


@dataclass
class LanguageModel:
    """A causal language model with its tokenizer.

    Args:
        chat: put the question as a user's turn of the model's own template.
        tokens: most tokens that are written for an answer.
        weights: hash of the weights alone.
    """

    network: Any
    words: Any
    name: str
    identity: str
    score: str = LETTER
    chat: bool = False
    tokens: int = 24
    shots: tuple[Shot, ...] = ()
    weights: str = ""
    sees_attachments: bool = False
    cut: int = field(default=0, init=False)

    @property
    def told(self) -> str:
        """How it was asked."""
        chat = "in the model's chat template" if self.chat else "as plain text"
        shots = f", after {len(self.shots)} worked examples" if self.shots else ", without worked examples"
        return f"{TOLD[self.score]}; the question {chat}{shots}. It reads text alone."

    @property
    def speaker(self) -> LocalSpeaker:
        """The model without a way of asking."""
        return LocalSpeaker(self.network, self.words, self.name.partition(" ")[0], self.weights, self.chat)

    def answer(self, items: Sequence[Asked]) -> Iterator[Reply]:
        """Answer one item after another; of items that are put in the same words the first alone is computed."""
        heard: dict[tuple[str, tuple[str, ...]], Reply] = {}
        for item in items:
            words = self.worded(item), item.options
            if words not in heard:
                heard[words] = self.reply(item)
            yield replace(heard[words], key=item.key)

    def reply(self, item: Asked) -> Reply:
        """Answer an item, and note where its begin was cut."""
        try:
            if self.score == GENERATE or not item.options:
                said = self.speaker.say(self.worded(item), Manner(self.tokens))
                reply, cut = Reply(item.key, said.text), said.cut
            else:
                names = list(LETTERS[: len(item.options)]) if self.score == LETTER else list(item.options)
                found = self.speaker.weighed(self.prompt(item), names, mean=self.score == TEXT)
                reply, cut = Reply(item.key, scores=found.scores), found.cut
        except NotSaid as error:
            return Reply(item.key, failure=error.kind, note=error.note)
        self.cut += cut
        return replace(reply, note=CUT) if cut else reply

    def prompt(self, item: Asked) -> str:
        """The text that is put to the model, within its template."""
        return self.speaker.framed(self.worded(item))

    def worded(self, item: Asked) -> str:
        """The question behind its worked examples."""
        return worded(item, [as_worked(shot) for shot in self.shots], turn=self.chat)


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
    own = LanguageModel(
        network, words, name, identity, options["score"], chat, int(options["tokens"]), tuple(shots), weights
    )
    if not 1 <= own.tokens < own.speaker.reach:
        reach = own.speaker.reach
        raise ValueError(f"tokens={own.tokens} leaves no room for a question: the model can read {reach:,} in all")
    return own
