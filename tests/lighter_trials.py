"""A trial whose models of one modality are ridges: four fifths of what a trial costs is the search among the others."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from types import SimpleNamespace
from typing import Any

import pytest

from chiasm.compute.memo import forget
from chiasm.fitting import unimodal
from examples import ALL


@contextmanager
def only_ridges() -> Iterator[None]:
    """Neither an elastic net nor a kernel nor trees are tried beside the ridge of a modality, and nothing is kept."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(unimodal, "choose_sparse", never_better)
        patch.setattr(unimodal, "bent_rivals", nobody)
        forget()
        yield
    forget()


def never_better(*_: Any, **__: Any) -> Any:
    """A sparse model that loses against any ridge."""
    return SimpleNamespace(loss=float("inf"))


def nobody(*_: Any) -> list[Any]:
    """No kernel and no trees."""
    return []


def ridges_in(*files: str) -> Any:
    """A fixture of a `conftest.py` by which models of one modality are ridges by day in the files of these names."""

    @pytest.fixture(scope="module", autouse=True)
    def ridges(request: pytest.FixtureRequest) -> Iterator[None]:
        with ridges_by_day() if request.path.stem in files else nullcontext():
            yield

    return ridges


def ridges_by_day() -> AbstractContextManager[None]:
    """`only_ridges`, but in `make nightly`: for tests of what is made of predictions, whosever they are."""
    return nullcontext() if os.environ.get(ALL) else only_ridges()
