"""Public function that asks questions of whoever speaks in a way of prompting."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from chiasm.bench.candidates.prompted import PromptedCandidate, open_speaker
from chiasm.errors import nearest
from chiasm.language.examples import Shot
from chiasm.language.prompting.asking import Prompted
from chiasm.language.prompting.neighbours import Embedding, Pool
from chiasm.language.prompting.prompting import WAYS, Prompting
from chiasm.language.speaking.metered import Metered
from chiasm.language.speaking.said_before import SaidBefore
from chiasm.language.speaking.speaker import Speaker


def prompted(
    speaker: str | Speaker | Callable[[str], str],
    way: str | Prompting = "medprompt",
    *,
    examples: Sequence[Shot] = (),
    embedding: Embedding | None = None,
    weighs: bool = True,
    calls: int | None = None,
    budget: int | None = None,
    memory: Path | str | None = None,
    timeout: float = 60.0,
    **options: Any,
) -> PromptedCandidate:
    """Put a way of prompting around whoever speaks: a candidate that `chiasm.bench` takes as `model`.

    Args:
        speaker: a function of a text that returns a text; or who speaks, as on the command line: `lm:folder or .gguf`,
            `chat:http://127.0.0.1:8000/v1,model=...`, `python:module:function`; or a `Speaker`.
        way: `zero-shot`, `few-shot`, `chain-of-thought`, `self-consistency`, `shuffled`, `openmedlm`, `medprompt`, or
            a `Prompting` of one's own.
        examples: worked examples to draw from; those that are items of a benchmark are left out when it runs.
        embedding: texts to vectors `(N, D)`, by which the nearest examples are found; None: by their words.
        weighs: of a model on this machine the likelihood of each option's letter is taken, where no reasons are asked
            for; False: what it writes.
        calls, budget: the most prompts, and the most tokens, that may be used; the next one is refused.
        memory: a file that keeps what was said, so that it is not asked again, also after a kill.
        timeout: seconds that a server has for an answer.
        options: fields of `Prompting` that are to be otherwise; `shown` is how many examples are.

    Raises:
        ValueError: there is no such way or speaker, no examples where the way shows some, or an option out of range.
    """
    if isinstance(way, str) and way not in WAYS:
        like = nearest(way, WAYS)
        hint = f"did you mean '{like}'?" if like else f"choose from {', '.join(WAYS)}"
        raise ValueError(f"there is no way of prompting '{way}': {hint}")
    prompting = WAYS[way] if isinstance(way, str) else way
    if "shown" in options:
        options["examples"] = options.pop("shown")
    prompting = replace(prompting, **options)
    who, by_letter = open_speaker(speaker, timeout=timeout)
    metered = Metered(who, calls, budget, SaidBefore(Path(memory)) if memory is not None else None)
    pool = Pool(tuple(examples) if prompting.examples else (), embedding)
    name = way if isinstance(way, str) else "prompted"
    return PromptedCandidate(Prompted(metered, prompting, pool, weighs and by_letter), f"{who.name} ({name})")
