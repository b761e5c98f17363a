"""How many examples hypothesis draws of a law: all in `make nightly`, a third in `make test`."""

from __future__ import annotations

import os

ALL = "ALL_EXAMPLES"  # the variable that `make nightly` sets


def examples(number: int, day: int | None = None) -> int:
    """This many in `make nightly`; otherwise `day`, or a third of them."""
    return number if os.environ.get(ALL) else number // 3 if day is None else day
