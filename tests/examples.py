"""How many examples hypothesis draws of a law: all in `make nightly`, a third in `make test`."""

from __future__ import annotations

import os

from hypothesis.internal.conjecture import providers

ALL = "ALL_EXAMPLES"  # the variable that `make nightly` sets


def examples(number: int, day: int | None = None) -> int:
    """This many in `make nightly`; otherwise `day`, or a third of them."""
    return number if os.environ.get(ALL) else number // 3 if day is None else day


def leave_constants() -> None:
    """By day, let hypothesis not parse every file of the package for words and numbers that it may draw.

    They are so many that hardly one of them meets the law that it could break; `make nightly` draws them.
    """
    if not os.environ.get(ALL) and hasattr(providers, "is_local_module_file"):
        providers.is_local_module_file = lambda path: False
