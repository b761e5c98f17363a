"""`evaluate --full-report`: all that can be asked of a trial, on its page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from chiasm import screen

if TYPE_CHECKING:
    from chiasm.api import PreparedCohort

FullReport = Annotated[
    bool,
    typer.Option(
        "--full-report",
        help="When all is done, also explain, stress and the rest, as sections of the page, with model and supplement.",
    ),
]


PARTS = {
    "model": "the model and its card", "explained": "what predictions rest on", "sure": "sets and intervals",
    "interaction": "each two modalities",
    "not_at_random": "outcomes that were not seen", "collected": "what collecting would bring",
    "stressed": "faults and attacks", "page": "the page",
}  # fmt: skip


def report_in_full(ready: Sequence[PreparedCohort], out: Path, **how: Any) -> None:
    """Ask all of each trial of a command, and say what was written, and what could not be asked and why."""
    from chiasm import api

    for own in ready:
        folder = out if len(ready) == 1 else api.folder_of(out, own.cohort.name)
        with screen.Progressing("steps") as progress:
            found = api.full_report(folder, own, progress=progress.named, **how)
        screen.hint("")
        screen.hint(f"Full report of '{own.cohort.name}': {', '.join(map(str, found.files))}")
        for sentence in found.told:
            screen.hint(f"note: {sentence}")
        for part, why in found.left_out.items():
            screen.hint(f"left out, the part on {PARTS.get(part, part)}: {why}")
