"""A candidate that is a way of prompting around whoever speaks: `medprompt:lm:model.gguf,calls=5000`.

Behind the name of the way (`zero-shot`, `few-shot`, `chain-of-thought`, `self-consistency`, `shuffled`, `openmedlm`,
`medprompt`) stands who speaks: `lm:` with its options, `chat:` with an address on this machine, `python:` with a
function of a text. Options of the way stand behind: `examples`, `chain`, `shuffles`, `samples`, `temperature`, and what
it may cost: `calls`, `budget`; `memory` names a file that keeps what was said.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from chiasm.bench.candidates.callables import open_callable
from chiasm.bench.candidates.language import GENERATE, LETTER, open_language_model
from chiasm.bench.candidates.language import OPTIONS as OF_MODEL
from chiasm.bench.item import Asked
from chiasm.bench.reply import CUT, Reply
from chiasm.errors import count
from chiasm.language.examples import Shot
from chiasm.language.prompting.asking import Prompted
from chiasm.language.prompting.neighbours import Pool
from chiasm.language.prompting.prompting import WAYS
from chiasm.language.questions import Question
from chiasm.language.speaking.chat import open_chat
from chiasm.language.speaking.metered import Metered
from chiasm.language.speaking.said_before import SaidBefore
from chiasm.language.speaking.speaker import FunctionSpeaker, NotSaid, Speaker, Weighing, speaker_of
from chiasm.specs import read_options

COSTS: dict[str, Any] = {"calls": -1, "budget": -1, "memory": "", "seed": 0}


@dataclass
class PromptedCandidate:
    """Whoever speaks, asked in a way of prompting."""

    prompted: Prompted
    name: str
    sees_attachments: bool = False

    @property
    def identity(self) -> str:
        """Hash of who is asked and how; not of what it may cost."""
        return self.prompted.identity

    @property
    def told(self) -> str:
        """How it was asked, and what that took."""
        own = self.prompted
        how = "by the likelihood of each option's letter" if own.by_weight else "in words"
        out = f"; {count(own.pool.left_out, 'example')} left out as questions of the test" if own.pool.left_out else ""
        return f"Asked {own.prompting.told}; answered {how}{out}. {spent(own)}"

    def apart_from(self, items: Iterable[Question]) -> PromptedCandidate:
        """The candidate without examples that are one of these items, or nearly so."""
        return replace(self, prompted=replace(self.prompted, pool=self.prompted.pool.apart_from(items)))

    def answer(self, items: Sequence[Asked]) -> Iterator[Reply]:
        """Answer one item after another.

        Raises:
            BudgetSpent: the next call would be beyond the budget.
        """
        for item in items:
            yield self.reply(item)

    def reply(self, item: Asked) -> Reply:
        """Answer an item; one at which a call failed has no answer."""
        try:
            found = self.prompted.ask(item)
        except NotSaid as error:
            return Reply(item.key, failure=error.kind, note=error.note)
        return Reply(item.key, found.text, found.scores, note=CUT if found.cut else "")


def spent(own: Prompted) -> str:
    """What was used, in words."""
    seen = own.speaker.counted
    parts = [f"It took {count(seen['calls'], 'call')} and {seen['tokens']:,} tokens"]
    if seen["tokens guessed"]:
        parts.append(f"the tokens of {count(seen['tokens guessed'], 'call')} guessed at four bytes each")
    if seen["said before"]:
        parts.append(f"{count(seen['said before'], 'answer')} known from before")
    if own.counted["stopped"]:
        parts.append(f"{count(own.counted['stopped'], 'answer')} stopped at the most tokens that may be written")
    if own.prompting.chain and own.prompting.examples:
        kept, passed = own.counted["reasons kept"], own.counted["reasons passed over"]
        parts.append(f"reasons of {kept:,} examples were right, those of {passed:,} were not and were passed over")
    return "; ".join(parts) + "."


def open_prompted(
    way: str, text: str, *, shots: Sequence[Shot] = (), examples: int | None = None, timeout: float = 60.0
) -> PromptedCandidate:
    """Open whoever is named behind the way of prompting, with the options of both.

    Raises:
        ValueError: nobody of this kind can speak, an option that there is not, or examples lack.
    """
    preset = WAYS[way]
    own = {field.name: field.default for field in fields(preset)} | COSTS
    kind, rest = kind_of_speaker(text, f"'{way}:' needs who speaks behind it")
    opener, theirs = SPEAKERS[kind]
    given = read_options(rest, {"speaker": "", **theirs, **own}, f"'{way}:{kind}:'", leads="speaker")
    options = {name: value for name, value in given.items() if name in theirs}
    speaker, weighs = opener(given["speaker"], options, timeout)
    named = {field.name: given[field.name] for field in fields(preset) if field.name in given}
    if preset.examples and examples is not None:
        preset = replace(preset, examples=examples)
    prompting = replace(preset, **named)
    if prompting.examples and not shots:
        raise ValueError(f"'{way}:' shows worked examples: name a file of them with --shots, or write examples=0")
    if shots and not prompting.examples:
        raise ValueError(f"'{way}:' shows no worked examples: leave --shots out, or write examples=5")
    calls, tokens = given.get("calls", -1), given.get("budget", -1)
    metered = Metered(
        speaker,
        None if calls < 0 else calls,
        None if tokens < 0 else tokens,
        SaidBefore(Path(given["memory"])) if given.get("memory") else None,
    )
    pool = Pool(tuple(shots) if prompting.examples else ())
    return PromptedCandidate(Prompted(metered, prompting, pool, weighs), f"{speaker.name} ({way})")


def open_speaker(given: str | Speaker | Callable[[str], str], *, timeout: float = 60.0) -> tuple[Speaker, bool]:
    """Open whoever speaks; whether letters are weighed.

    Raises:
        ValueError: nobody of this kind can speak.
    """
    if not isinstance(given, str):
        own = speaker_of(given)
        return own, isinstance(own, Weighing)
    kind, rest = kind_of_speaker(given, f"'{given}' names nobody who speaks")
    opener, theirs = SPEAKERS[kind]
    options = read_options(rest, {"speaker": "", **theirs}, f"'{kind}:'", leads="speaker")
    opened: tuple[Speaker, bool] = opener(options.pop("speaker"), options, timeout)
    return opened


def kind_of_speaker(text: str, wrong: str) -> tuple[str, str]:
    """Part the kind of a speaker from where it is; `wrong` begins the error where there is no such kind."""
    kind, _, rest = text.partition(":")
    if kind not in SPEAKERS:
        raise ValueError(f"{wrong}: write {', '.join(f'{each}:...' for each in SPEAKERS)}")
    return kind, rest


def local(place: str, options: dict[str, Any], timeout: float) -> tuple[Speaker, bool]:
    """Open a causal language model on this machine; whether its letters are weighed."""
    given = "".join(f",{name}={value}" for name, value in options.items())
    model = open_language_model(f"{place}{given}")
    if model.score not in (LETTER, GENERATE):
        raise ValueError(f"score={model.score} has no meaning here: choose {LETTER} or {GENERATE}")
    return model.speaker, model.score == LETTER


def function(place: str, options: dict[str, Any], timeout: float) -> tuple[Speaker, bool]:
    """Import a function of a text."""
    own = open_callable(place)
    speaks: Any = own.function
    return FunctionSpeaker(speaks, own.name, own.identity), False


def server(place: str, options: dict[str, Any], timeout: float) -> tuple[Speaker, bool]:
    """Open a server on this machine."""
    return open_chat(place, str(options.get("model", "")), timeout), False


SPEAKERS: dict[str, tuple[Any, dict[str, Any]]] = {
    "lm": (local, {name: default for name, default in OF_MODEL.items() if name not in ("model", "tokens")}),
    "chat": (server, {"model": ""}),
    "python": (function, {}),
}
"""Who may stand behind a way of prompting: what opens it, and its options."""
