"""Cache, per process, of parts that several recipes fit identically on the same patients.

`single:rna`, `late-fusion` and `stacked-fusion` need the same unimodal models, `lego-merge` and `lego-fuse` the same
blocks. The scope is the training set, and the last few scopes are kept. A key holds everything else that the result
depends on; callers must not modify cached values. The time a part took is charged to every recipe that uses it, so that
a trial reports the seconds that the recipe alone would take.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import TypeVar, cast
from weakref import ref

T = TypeVar("T")
Owner = TypeVar("Owner")
_SCOPES = 5
_kept: OrderedDict[str, dict[Hashable, tuple[object, float]]] = OrderedDict()
_charged = 0.0


def remember(scope: str, key: Hashable, make: Callable[[], T], keep: Callable[[T], bool] | None = None) -> T:
    """Return the cached value for this key and training set, or compute it by `make` and cache it.

    Args:
        scope: fingerprint of the training cohort.
        key: name of the part, with every option and seed that it depends on.
        keep: whether a value is kept, if not every one is: not those that hold much memory.
    """
    global _charged
    if key in _kept.get(scope, {}):
        _kept.move_to_end(scope)
        stored, seconds = _kept[scope][key]
        _charged += seconds
        return cast(T, stored)
    before, start = _charged, time.perf_counter()
    value = make()
    if keep is not None and not keep(value):
        return value
    _kept.setdefault(scope, {})[key] = (value, time.perf_counter() - start + _charged - before)
    _kept.move_to_end(scope)
    while len(_kept) > _SCOPES:
        _kept.popitem(last=False)
    return value


def charged_seconds() -> float:
    """Return the seconds charged so far in this process for parts taken from the cache."""
    return _charged


def forget() -> None:
    """Clear the cache, for example before a measurement."""
    _kept.clear()


def work_clock() -> float:
    """Return a clock of work in seconds: wall time plus the time charged for cached parts."""
    return time.perf_counter() + _charged


def of_the_last(kept: list[tuple[ref[Owner], T]], owner: Owner, make: Callable[[], T]) -> T:
    """Return what `make` makes of an owner; that of the owner that was asked last is kept, as long as it lives.

    Args:
        kept: holds one pair at most, and is changed in place.
    """
    for of, made in kept:
        if of() is owner:
            return made
    made = make()
    kept[:] = [(ref(owner, lambda _: kept.clear()), made)]
    return made
