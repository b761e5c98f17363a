"""Where the parameters of a fusion stand: of which modality, and what shapes them.

A fusion names what belongs to a modality by its position among the sorted names, so that `blocks.1` of one cohort may
be `blocks.0` of another. The position is found by building the fusion once more with one modality more: a number in a
parameter's path that runs from 0 to M - 1, and then from 0 to M, counts modalities. A fusion with wider tokens shows
what their layout shapes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from chiasm.fitting.neural import Design, Shapes, build

ANY = "*"


@dataclass(frozen=True)
class Place:
    """What a parameter or buffer belongs to.

    Args:
        part: its path, with `*` for the position of the modality.
        modality: the modality that it belongs to; "" for what all share.
        by_layout: its shape depends on the width or the number of tokens.
        by_count: its shape, or its path in another way than by one position, depends on the number of modalities.
    """

    part: str
    modality: str
    by_layout: bool
    by_count: bool


def places_of(design: Design, shapes: Shapes) -> dict[str, Place]:
    """Find the place of each parameter and buffer of a fusion of this design; its path in the fusion is the key.

    Args:
        shapes: modality to (width, slots) of its tokens, one modality or more.
    """
    names = sorted(shapes)
    own = _sizes(design, shapes)
    more = _sizes(design, {**shapes, names[-1] + "~": shapes[names[-1]]})
    wider = _sizes(design, {name: (width + 1, slots + 1 if slots else 0) for name, (width, slots) in shapes.items()})
    before, after = _reach(own), _reach(more)
    found = {}
    for key, size in own.items():
        path = key.split(".")
        counted, grows = list[int](), more.get(key) != size
        for position in range(len(path)):
            masked = _masked(path, position)
            if masked in before and before[masked] != after.get(masked):
                alike = before[masked] == len(names) - 1 and after.get(masked) == len(names)
                counted, grows = ([*counted, position], grows) if alike else (counted, True)
        by_count = grows or len(counted) > 1
        one = counted[0] if counted and not by_count else None
        part = key if one is None else ".".join(_masked(path, one))
        modality = "" if one is None else names[int(path[one])]
        found[key] = Place(part, modality, wider.get(key) != size, by_count)
    return found


def _sizes(design: Design, shapes: Shapes) -> dict[str, tuple[int, ...]]:
    fusion = build(lambda: design.fusion(shapes), 0)
    return {key: tuple(value.shape) for key, value in fusion.state_dict().items()}


def _masked(path: list[str], position: int) -> tuple[str, ...]:
    return (*path[:position], ANY, *path[position + 1 :])


def _reach(keys: Iterable[str]) -> dict[tuple[str, ...], int]:
    """Return the largest number at each place of the paths that holds numbers."""
    found: dict[tuple[str, ...], int] = {}
    for key in keys:
        path = key.split(".")
        for position, step in enumerate(path):
            if step.isdigit():
                masked = _masked(path, position)
                found[masked] = max(found.get(masked, 0), int(step))
    return found
