"""Causal objective: each letter of a sequence is told from those before it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True)
class Asked:
    """What a network reads, and what it is to tell of it.

    Args:
        read: `(B, T)` int64.
        mask: `(B, T)` bool, True where something real is read; real places come first.
        answer: `(B, T)` int64, the letter that is to be told at each place.
        asked: `(B, T)` bool, the places at which a letter is asked for.
    """

    read: Tensor
    mask: Tensor
    answer: Tensor
    asked: Tensor


def begun(ids: Tensor, mask: Tensor, begin: int) -> tuple[Tensor, Tensor]:
    """Set the number that stands for the beginning before sequences `(B, T)`: sequences and mask `(B, T + 1)`."""
    first = torch.full_like(ids[:, :1], begin)
    return torch.cat([first, ids], 1), torch.cat([mask.new_ones(len(mask), 1), mask], 1)


def next_letters(ids: Tensor, mask: Tensor, letters: range) -> Asked:
    """Ask at each place for the letter behind it: `(B, T - 1)` of sequences `(B, T)`.

    What is read at place t ends with place t, so that a network that looks back alone tells letter t + 1 from those up
    to t. Marks, separators and letters that are none of the alphabet are read, and not asked for.

    Args:
        ids: `(B, T)` int64, real places first, the beginning at place 0.
        mask: `(B, T)` bool, True at real places.
        letters: the numbers of the letters of the alphabet.
    """
    read, answer, there = ids[:, :-1], ids[:, 1:], mask[:, 1:]
    return Asked(
        torch.where(there, read, 0), there, answer, there & (answer >= letters.start) & (answer < letters.stop)
    )


def letter_losses(logits: Tensor, answer: Tensor, asked: Tensor, letters: range) -> Tensor:
    """Negative log likelihood of each letter that is asked for, in nats: `(N,)`, row by row.

        -log softmax(logits_t)[answer_t]

    Args:
        logits: `(B, T, A)`, one for each letter of the alphabet.
        answer: `(B, T)` int64, the numbers of letters where one is asked for.
        asked: `(B, T)` bool.
        letters: the numbers of the A letters.

    Raises:
        ValueError: what is asked for is no letter of the alphabet.
    """
    wanted = answer[asked] - letters.start
    if bool(((wanted < 0) | (wanted >= len(letters))).any()):
        raise ValueError(f"a letter that is asked for is not one of the {len(letters)} of the alphabet")
    return functional.cross_entropy(logits[asked], wanted, reduction="none")
