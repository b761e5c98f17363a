"""The only place that reads or writes a model or a checkpoint."""

from chiasm.artifact.files import (
    DESCRIPTION,
    WEIGHTS,
    holds_model,
    identity,
    load,
    load_checkpoint,
    outline,
    save,
    save_checkpoint,
    write_text,
)
from chiasm.artifact.register import ArtifactError, storable
from chiasm.artifact.trees import ArrayOutline, Outline, content_of, outline_of, parts_within
from chiasm.artifact.whole import whole_file

__all__ = [
    "DESCRIPTION",
    "WEIGHTS",
    "ArrayOutline",
    "ArtifactError",
    "Outline",
    "content_of",
    "holds_model",
    "identity",
    "load",
    "load_checkpoint",
    "outline",
    "outline_of",
    "parts_within",
    "save",
    "save_checkpoint",
    "storable",
    "whole_file",
    "write_text",
]
