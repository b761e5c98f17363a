"""What encoders share that run an image encoder on parts: slices of a volume, tiles of a slide, frames of a film."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any, ClassVar, Self

import numpy as np

from chiasm.encoders.frozen import identity_of
from chiasm.tokens import Tokens


class ImageEncoderWithin:
    """Base of a frozen dataclass whose field `encoder` names an image encoder, with its options, as in a manifest."""

    encoder: str
    id: ClassVar[str]
    version: ClassVar[str]
    fitted_on_cohort: ClassVar[bool] = False

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Parse `count=24,encoder=hf:folder,level=token`; all after `encoder=` belongs to the image encoder."""
        from chiasm.encoders.catalogue import options

        own, inner = split_encoder(text)
        return cls(**{**options(cls, cls.id, own), **inner})

    @property
    def width(self) -> int:
        return int(self._inner.width)

    @property
    def identity(self) -> str:
        own: Any = self
        return f"{identity_of(replace(own, encoder=type(self).encoder))}[{self._inner.identity}]"

    def fit(self, raw: Any, patients: Sequence[str] = ()) -> Self:
        """Return this encoder unchanged: there is nothing to fit."""
        return self

    @property
    def _inner(self) -> Any:
        return image_encoder(self.encoder)


@lru_cache(maxsize=16)
def image_encoder(spec: str) -> Any:
    """Create the image encoder with this name and options; cached."""
    from chiasm.encoders.catalogue import make_encoder

    return make_encoder(spec, "image")


def split_encoder(text: str) -> tuple[str, dict[str, str]]:
    """Split a specification into the options before `encoder=`, and the image encoder after it with its own options."""
    own, found, inner = text.partition("encoder=")
    if found and own and not own.endswith(","):
        raise ValueError("encoder= stands last, after a comma")
    return own.rstrip(","), {"encoder": inner} if found else {}


def pooled(tokens: Tokens) -> np.ndarray:
    """Average the unmasked tokens of each image: `(n, D)`."""
    weights = tokens.mask[..., None].to(tokens.values.dtype)
    means = (tokens.values * weights).sum(1) / weights.sum(1)
    return np.asarray(means.numpy())
