"""What a cohort knows of a fitted model that it may borrow from: its name and a digest of its content."""

from __future__ import annotations

from typing import Protocol


class LentModel(Protocol):
    """Protocol of a fitted model among the sources of a cohort; `fitting.source_model` has it whole."""

    @property
    def name(self) -> str: ...

    @property
    def identity(self) -> str: ...
