"""How many examples hypothesis draws of a law: all in `make nightly`, a third in `make test`."""

from __future__ import annotations

import os

ALL = "ALL_EXAMPLES"  # the variable that `make nightly` sets


def examples(number: int) -> int:
    """This many in `make nightly`, a third of them otherwise."""
    return number if os.environ.get(ALL) else number // 3
