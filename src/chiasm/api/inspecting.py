"""Public function to look into a model folder without loading the model."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chiasm.artifact import Given
from chiasm.models.inspection import inspected
from chiasm.models.inspection_text import text_of


@dataclass(frozen=True)
class Inspection:
    """What is inside a model folder: `print` shows it in words, `document` has all of it as JSON can hold it."""

    document: Mapping[str, Any]

    def __str__(self) -> str:
        return text_of(self.document)

    def __repr__(self) -> str:
        return f"Inspection of '{self.document['name']}', {self.document['holds']}"

    @property
    def must_not_be_used_for(self) -> list[str]:
        """What the folder gives reason to keep it from, a sentence each."""
        return list(self.document.get("must_not_be_used_for", []))

    def as_json(self) -> str:
        """The document as JSON."""
        return json.dumps(self.document, indent=1, allow_nan=False)


def inspect_model(
    path: Path | str, trusted: Sequence[Given] | None = None, trial: Path | str | None = None
) -> Inspection:
    """Look into a model folder: what it is, what it reads, whom it learned from, what it must not be used for.

    The model is not loaded: torch is not imported, no class of the model is looked up, and of its weights no more is
    kept than the summaries of columns. Every file is opened once, and compared with its hashes and the signature.

    Args:
        path: the model folder.
        trusted: as for `load_model`; a folder that no trusted key signed is refused.
        trial: a run folder whose scores of the recipe are told; None: the folder that the model lies in, where it is
            the run folder of a trial with this recipe, target and modalities.

    Raises:
        ArtifactError: the folder is no model, is damaged, or was changed; or the trial says nothing of this model.
        ValueError: a trusted key is no public key of Ed25519.
    """
    keys = None if trusted is None else list(trusted)
    return Inspection(inspected(Path(path), keys, None if trial is None else Path(trial)))
