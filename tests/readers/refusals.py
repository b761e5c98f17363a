"""What every reader of files is held to: a refusal that names nobody, whatever bytes it is given."""

from __future__ import annotations

import logging
import tracemalloc
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st

from chiasm.cohort import Unsupported
from chiasm.readers import LIMITS, Limits, ReadError

PERSON = "Quartermain"  # planted in file names and headers
MEGABYTE = 1 << 20


class _Lines(logging.Handler):
    def __init__(self) -> None:
        super().__init__(0)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


def refused(reader: Any, item: Any, words: str, limits: Limits = LIMITS, megabytes: float | None = None) -> ReadError:
    """Read the item and hold the refusal to its words, to silence, to privacy and to a bound of memory."""
    root, log = logging.getLogger(), _Lines()
    level = root.level
    root.addHandler(log)
    root.setLevel(0)
    try:
        with warnings.catch_warnings(record=True) as warned, bounded(megabytes):
            warnings.simplefilter("always")
            with pytest.raises(ReadError, match=words) as caught:
                reader.read(item, limits)
    finally:
        root.removeHandler(log)
        root.setLevel(level)
    said = [str(caught.value), *map(str, warned), *log.lines]
    assert not any(PERSON in line for line in said), said
    assert isinstance(item, str) or not any(str(item) in line for line in said), said
    assert not warned and not log.lines, said
    assert caught.value.what and caught.value.fix
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None or caught.value.__suppress_context__
    return caught.value


@contextmanager
def bounded(megabytes: float | None) -> Iterator[None]:
    """What runs inside holds less memory than that at any moment; None for no bound."""
    if megabytes is None:
        yield
        return
    tracemalloc.start()
    try:
        yield
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < megabytes * MEGABYTE, f"{peak / MEGABYTE:.0f} MB"


def survives(reader: Any, item: Any) -> None:
    """A value, or a refusal: nothing else comes out of `read` or `inspect`."""
    for act in (reader.inspect, reader.read):
        try:
            act(item)
        except (ReadError, Unsupported) as fault:
            assert PERSON not in str(fault)


@st.composite
def damage(draw: st.DrawFn, whole: bytes) -> bytes:
    """The bytes cut off somewhere, or with a few of them changed; near the start as often as anywhere."""
    if draw(st.booleans()):
        return whole[: draw(st.integers(0, len(whole) - 1))]
    spoilt = bytearray(whole)
    for _ in range(draw(st.integers(1, 4))):
        reach = draw(st.sampled_from([min(400, len(whole)), len(whole)]))
        spoilt[draw(st.integers(0, reach - 1))] = draw(st.integers(0, 255))
    return bytes(spoilt)


def written(path: Path, content: bytes | Callable[[], bytes]) -> Path:
    """Write a file; a bomb is made where it is written, not where tests are collected."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content() if callable(content) else content)
    return path
