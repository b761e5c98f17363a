"""The only place that reads or writes a model or a checkpoint."""

from chiasm.artifact.description import CARD, DESCRIPTION, FILES, SIGNATURE, WEIGHTS
from chiasm.artifact.files import holds_model, load_checkpoint, require_place, save, save_checkpoint, sign, write_text
from chiasm.artifact.keys import Given, is_locked, new_keys, private_key
from chiasm.artifact.loading import LookedInto, identity, load, looked_into, outline
from chiasm.artifact.register import ArtifactError, storable
from chiasm.artifact.trees import ArrayOutline, Outline, content_of, outline_of, parts_within
from chiasm.artifact.whole import whole_file, whole_folder

__all__ = [
    "CARD",
    "DESCRIPTION",
    "FILES",
    "SIGNATURE",
    "WEIGHTS",
    "ArrayOutline",
    "ArtifactError",
    "Given",
    "LookedInto",
    "Outline",
    "content_of",
    "holds_model",
    "identity",
    "is_locked",
    "load",
    "load_checkpoint",
    "looked_into",
    "new_keys",
    "outline",
    "outline_of",
    "parts_within",
    "private_key",
    "require_place",
    "save",
    "save_checkpoint",
    "sign",
    "storable",
    "whole_file",
    "whole_folder",
    "write_text",
]
