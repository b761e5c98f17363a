"""Parts that several recipes fit in the same way on the same patients are fitted once per process.

`single:rna`, `late-fusion` and `stacked-fusion` need the same unimodal models, `lego-merge` and `lego-fuse` the same
blocks. The scope is the training set; parts of the last few are kept. A key holds everything else the result depends
on, and values must not be changed by who gets them. The time a part took is charged to everyone who uses it, so that
the seconds a trial reports are those of the recipe alone.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import TypeVar, cast

T = TypeVar("T")
_SCOPES = 5
_kept: OrderedDict[str, dict[Hashable, tuple[object, float]]] = OrderedDict()
_charged = 0.0


def remember(scope: str, key: Hashable, make: Callable[[], T]) -> T:
    """What `make` gave for this key and training set in this process, or gives now.

    Args:
        scope: the fingerprint of the training cohort.
        key: what is made, with every option and seed it depends on.
    """
    global _charged
    if key in _kept.get(scope, {}):
        _kept.move_to_end(scope)
        stored, seconds = _kept[scope][key]
        _charged += seconds
        return cast(T, stored)
    before, start = _charged, time.perf_counter()
    value = make()
    _kept.setdefault(scope, {})[key] = (value, time.perf_counter() - start + _charged - before)
    _kept.move_to_end(scope)
    while len(_kept) > _SCOPES:
        _kept.popitem(last=False)
    return value


def charged_seconds() -> float:
    """Seconds charged so far in this process for parts that were not fitted again."""
    return _charged


def forget() -> None:
    """Drop everything kept, e.g. before a measurement."""
    _kept.clear()


def work_clock() -> float:
    """Seconds of work: the clock on the wall, and what was charged for parts fitted before."""
    return time.perf_counter() + _charged
