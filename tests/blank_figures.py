"""Pages whose pictures nobody looks at: figures of their drawing functions have no axes, which are a tenth of a trial.

What is drawn is computed as ever, and handed to figures that keep none of it; whoever draws into a file has a real one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest

from chiasm.report import drawing

UNDRAWN = "data:image/svg+xml;base64,"
WHOLE = drawing._drawn_once


class Blank:
    """A figure, and any part of it: it takes whatever is asked, and holds its width and the number of its labels."""

    def __init__(self, figsize: tuple[float, float], **_: Any) -> None:
        self.inches = figsize[0]
        self.labels = 1

    def __getattr__(self, name: str) -> Blank:
        if name.startswith("__"):
            raise AttributeError(name)
        return self

    def __call__(self, *_: Any, **__: Any) -> Blank:
        return self

    def __getitem__(self, _: Any) -> Blank:
        return self

    def __iter__(self) -> Iterator[Blank]:
        return iter(())

    def get_figwidth(self) -> float:
        return self.inches

    def set(self, *, yticklabels: Sequence[str] | None = None, **_: Any) -> None:
        self.labels = self.labels if yticklabels is None else len(yticklabels)

    def get_yticklabels(self) -> list[Blank]:
        return [self] * self.labels

    def subplots(self, rows: int, columns: int, **_: Any) -> list[Blank]:
        assert 1 in (rows, columns)
        return [self] * (rows * columns)


@contextmanager
def undrawn(*, axes: bool = False) -> Iterator[None]:
    """Have pages with empty pictures; with `axes` these are drawn, as far as they would be before they are stored."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(drawing.Picture, "source", UNDRAWN)
        if not axes:
            # who asks the module for it, as the figures of files do, has a real one; pages have it from before
            patch.setattr(
                drawing, "sheet", lambda height, width: WHOLE()(figsize=(width, height), layout="constrained")
            )
            patch.setattr(drawing, "_drawn_once", lambda: Blank)
        yield
