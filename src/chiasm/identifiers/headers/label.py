"""One label of a file's header."""

from __future__ import annotations

from dataclasses import dataclass

TEXT_BYTES = 1 << 20  # of a header or a text that are read
LABELS = 4_000  # of a file


@dataclass(frozen=True)
class Label:
    """What stands in a header: the name of the tag, its text, and the kind of identifier that the standard gives it.

    A `name` is the format's own, or says only where it stands: what the author of a file named may itself name
    somebody, and is part of the `text` then.
    """

    name: str
    text: str
    kind: str | None = None
