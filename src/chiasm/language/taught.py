"""What a tiny language model is taught before anything is connected: to say again what it is told.

A large model has read that an answer may stand in the words before the question. A tiny one is shown it: in the place
of the modalities stands one of the patient's answers in words, whichever, once or several times, and that is then the
right one; every fourth time, and always of a prompt without such a place, nothing stands there, and the answer is the
patient's own. So it learns to read, and how often each answer is right, and nothing of what the modalities show.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from chiasm.language.asked import ANSWERS, PROMPT, packed_ids
from chiasm.language.language_model import Words
from chiasm.training import Examples, TargetTensors

BLIND = 4  # one lesson in so many has no answer told


def lessons(
    prompts: Sequence[Sequence[int]],
    answers: Sequence[Sequence[str]],
    right: np.ndarray,
    held_out: np.ndarray,
    words: Words,
    *,
    number: int,
    most: int,
    seed: int,
) -> Examples:
    """Make lessons of the prompts of B training patients, those of held-out patients held out.

    Args:
        prompts: words and slots, below zero.
        answers: of each patient; where there is one alone, those of all are told among another's.
        right: `(B,)` number of the right one.
        number: how many lessons.
        most: the most tokens that are told.
    """
    rng = np.random.default_rng(seed)
    every = sorted({text for own in answers for text in own})
    drawn = np.sort(rng.integers(len(prompts), size=number))
    asked, said, place = [], [], []
    for row in drawn.tolist():
        own = list(answers[row]) if len(answers[row]) > 1 else every
        slots = [n for n, word in enumerate(prompts[row]) if word < 0]
        blind = rng.integers(BLIND) == 0 or not slots
        k = int(right[row]) if blind else int(rng.integers(len(own)))
        text = answers[row][int(right[row])] if blind else own[k]
        told = words.ids(" " + text)
        times = int(rng.integers(1, max(1, most // max(1, len(told))) + 1))
        at = slots[0] if slots else 0
        kept = [word for word in prompts[row] if word >= 0]
        asked.append(kept if blind else [*kept[:at], *told * times, *kept[at:]])
        said.append([[0, word] for word in [*told, words.end]])
        place.append(row)
    rows = np.arange(number)
    tokens = {
        PROMPT: packed_ids([[[word] for word in own] for own in asked], rows, 1),
        ANSWERS: packed_ids(said, rows, 2),
    }
    nothing = torch.zeros(number)
    target = TargetTensors(nothing, torch.zeros(number, dtype=torch.bool))
    return Examples(tokens, np.zeros((number, 0), dtype=bool), target, held_out[np.array(place, dtype=int)])
