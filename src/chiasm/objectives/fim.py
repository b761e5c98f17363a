"""Fill in the middle: a part of a sequence is moved to its end, so that it is told from both of its sides."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Marks:
    """Numbers of the three marks; no letter has one of them.

    Args:
        before: stands before the beginning of the sequence.
        after: stands before its end, and so behind the beginning.
        middle: stands before the middle, the part that is to be filled in.
    """

    before: int
    after: int
    middle: int


def fim_transform(ids: Tensor, start: int, end: int, marks: Marks) -> Tensor:
    """Move letters `start` to `end - 1` of a sequence to its end: `(n + 3,)` int64.

        x_1 .. x_n  ->  before, x_1 .. x_start, after, x_{end+1} .. x_n, middle, x_{start+1} .. x_end

    It is a bijection between (sequence, start, end) with `0 <= start <= end <= n` and the sequences that hold each mark
    once and in this order, the first at the beginning: `fim_inverse` takes it back.

    Args:
        ids: `(n,)` int64, none of them a mark.
        start, end: where the middle begins and ends.

    Raises:
        ValueError: the middle does not lie in the sequence, or the sequence holds a mark.

    Source: Bavarian et al., arXiv:2207.14255, section 3, order prefix, suffix, middle. Deviation: no mark of the end,
    since nothing is generated; the length of the middle is not told.
    """
    if not 0 <= start <= end <= len(ids):
        raise ValueError(f"a middle from {start} to {end} does not lie in a sequence of {len(ids)} letters")
    own = torch.tensor([marks.before, marks.after, marks.middle], dtype=ids.dtype, device=ids.device)
    if bool(torch.isin(ids, own).any()):
        raise ValueError("the sequence holds a mark: a sequence is transformed once")
    return torch.cat([own[:1], ids[:start], own[1:2], ids[end:], own[2:], ids[start:end]])


def fim_inverse(moved: Tensor, marks: Marks) -> tuple[Tensor, int, int]:
    """Take back `fim_transform`: the sequence `(n,)`, and where its middle begins and ends.

    Raises:
        ValueError: the marks do not stand once each and in their order, the first at the beginning.
    """
    numbers = moved.tolist()
    own = [marks.before, marks.after, marks.middle]
    if [number for number in numbers if number in own] != own or numbers[:1] != own[:1]:
        raise ValueError("the marks stand otherwise than a middle that was moved leaves them")
    after, middle = numbers.index(marks.after), numbers.index(marks.middle)
    before, filled = moved[1:after], moved[middle + 1 :]
    return torch.cat([before, filled, moved[after + 1 : middle]]), len(before), len(before) + len(filled)


def draw_middle(length: int, generator: torch.Generator | None) -> tuple[int, int]:
    """Draw where the middle of a sequence begins and ends: two different places among its n + 1, each pair alike.

    The middle has one letter or more, and its expected share is `(n + 2) / (3 n)`, a third of a long sequence.

    Raises:
        ValueError: the sequence has no letter.
    """
    if length < 1:
        raise ValueError("a sequence without a letter has no middle")
    one, two = torch.randperm(length + 1, generator=generator)[:2].tolist()
    return min(one, two), max(one, two)
