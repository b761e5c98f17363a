"""Where a pretraining that is interrupted goes on: the checkpoint beside its folder."""

from __future__ import annotations

from pathlib import Path

from chiasm import artifact

ANEW = "there is no checkpoint to resume beside the folder: the pretraining begins with its first epoch"


def checkpoint_of(out: Path) -> Path:
    """Return the file beside a pretraining's folder from which it goes on if it is interrupted."""
    return out.with_name(f"{out.name}.checkpoint")


def checkpoint_for(out: Path, resume: bool) -> tuple[Path, bool]:
    """Return the checkpoint of a pretraining that may write `out`, and whether there is none though one was asked for.

    Raises:
        ArtifactError: `out` holds something else.
        FileExistsError: there is a checkpoint, and `resume` is not asked for.
    """
    artifact.require_place(out)
    checkpoint = checkpoint_of(out)
    if checkpoint.exists() and not resume:
        raise FileExistsError(17, "an interrupted pretraining left it: resume it, or delete it", str(checkpoint))
    return checkpoint, resume and not checkpoint.exists()
