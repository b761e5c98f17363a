"""Who answers the items of a suite: the kinds of candidate, and how one is named on the command line."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from chiasm.artifact import holds_model
from chiasm.bench.reply import Candidate
from chiasm.errors import nearest
from chiasm.language.examples import Shot
from chiasm.language.prompting.prompting import WAYS
from chiasm.specs import loaded

PLACES = {
    "python": "chiasm.bench.candidates.callables:open_callable",
    "command": "chiasm.bench.candidates.commands:open_command",
    "model": "chiasm.bench.candidates.fitted:open_fitted",
    "lm": "chiasm.bench.candidates.language:open_language_model",
}
"""Prefix to what opens a candidate from the text behind it, with the examples it may learn from."""
PLAIN = {"chat": "zero-shot"}
"""Who speaks, named without a way of prompting, and the way that this is."""
PROMPTED = "chiasm.bench.candidates.prompted:open_prompted"
"""What opens a way of prompting, each of which is a prefix too."""


def open_candidate(
    text: str, *, shots: Sequence[Shot] = (), examples: int | None = None, timeout: float = 60.0
) -> Candidate:
    """Open whoever is to answer.

    Args:
        text: `python:module:function`; `command:words of a command line`; `model:folder` that `chiasm fit` wrote;
            `lm:folder or file.gguf` with options, as `lm:smol.gguf,score=text`; a way of prompting before who speaks,
            as `medprompt:lm:smol.gguf,calls=5000`; `chat:http://127.0.0.1:8000/v1,model=name` for a server on this
            machine. Without a prefix a folder or a file is taken for what it holds, and `module:function` for a
            callable.
        shots: worked examples, which a language model alone can use; a way of prompting draws from all of them.
        examples: how many of them a way of prompting shows, where it shows any; None: as many as it always does.
        timeout: seconds that a command has for an item.

    Raises:
        ValueError: nobody of this name can answer, or examples are given to one that cannot use them.
    """
    prefix, _, rest = text.partition(":")
    if prefix in PLAIN:
        prefix, rest = PLAIN[prefix], text
    if prefix in WAYS:
        prompted: Candidate = loaded(PROMPTED)(prefix, rest, shots=tuple(shots), examples=examples, timeout=timeout)
        return prompted
    if prefix not in PLACES:
        prefix, rest = kind_of_candidate(text), text
    if shots and prefix != "lm":
        raise ValueError(
            "worked examples are for a language model (lm:...) or a way of prompting (few-shot:...): leave --shots out "
            "for this candidate"
        )
    if not rest.strip():
        raise ValueError(f"'{prefix}:' names nobody: put what answers behind the colon")
    opened: Candidate = loaded(PLACES[prefix])(rest, shots=tuple(shots), timeout=timeout)
    return opened


def is_prompted(text: str) -> bool:
    """Whether a candidate is a way of prompting, which chooses among all worked examples that there are."""
    return text.partition(":")[0] in {*WAYS, *PLAIN}


def kind_of_candidate(text: str) -> str:
    """Tell the prefix of a candidate that is named without one.

    Raises:
        ValueError: it is neither a folder nor a file nor `module:function`.
    """
    path = Path(text.partition(",")[0])
    if holds_model(path):
        return "model"
    if (path / "config.json").is_file() or path.suffix == ".gguf":
        return "lm"
    module, colon, function = text.partition(":")
    if colon and function.isidentifier() and all(part.isidentifier() for part in module.split(".")):
        like = nearest(module, PLACES)
        if not like or "." in module:
            return "python"
    raise ValueError(
        f"'{text}' is no candidate: name a model folder, a language model's folder or .gguf file (lm:...), "
        "a callable (python:module:function), or a command (command:...)"
    )
