"""Encoder of films: an image encoder on frames at an even rate, a token a frame, with its time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from chiasm.artifact import storable
from chiasm.encoders.image.within import ImageEncoderWithin, pooled
from chiasm.readers.image.video import Film
from chiasm.readers.reading import Image, ReadError
from chiasm.tokens import Tokens

HOUR = 3600.0
RGB = ("red", "green", "blue")
MOST_AT_ONCE, PIXELS_AT_ONCE = 16, 1 << 22  # frames that the image encoder reads together


@storable("encoder-frames")
@dataclass(frozen=True)
class Frames(ImageEncoderWithin):
    """Film encoder with one token a frame, the mean of its image encoder's tokens; `hz` frames a second.

    `times` are those of the frames. A film of more than `most` frames at this rate is refused rather than thinned, so
    that a token is the same stretch of time in every patient.

    Args:
        encoder: the image encoder, as in a manifest: `frames:hz=5,encoder=hf:folder`; it comes last, followed by its
            own options. The default keeps each frame as a colour thumbnail of 16 x 16.
        hz: frames a second.
        most: maximum number of frames of a film.
    """

    encoder: str = "patches:size=16,patch=16,channels=3"
    hz: float = 1.0
    most: int = 4096

    id: ClassVar[str] = "frames"
    version: ClassVar[str] = "1"
    batch: ClassVar[int] = 1
    slots: ClassVar[int] = 0

    def __post_init__(self) -> None:
        if not 0.001 <= self.hz <= 1000 or self.most < 1:
            raise ValueError("option 'hz' of encoder 'frames' lies between .001 and 1,000, 'most' is 1 or more")
        self._inner  # noqa: B018  an encoder that does not exist is refused here

    def encode(self, raw: Sequence[Film]) -> Tokens:
        """Encode films to tokens `(n, most frames, width)`, with times in hours from the first frame."""
        found = [self._film(film) for film in raw]
        most = max((len(part) for part, _ in found), default=0)
        values = torch.zeros(len(found), most, self.width)
        mask = torch.zeros(len(found), most, dtype=torch.bool)
        times = torch.zeros(len(found), most)
        for row, (part, seconds) in enumerate(found):
            values[row, : len(part)] = torch.from_numpy(part)
            mask[row, : len(part)] = True
            times[row, : len(part)] = torch.from_numpy(seconds / HOUR)
        return Tokens(values, mask, times)

    def require(self, value: Film) -> None:
        """Raise `ReadError` of a film whose header says that it is too long; see `Refuses`."""
        if value.seconds * self.hz > self.most + 1:  # a header is right to a frame or so
            raise self._too_long()

    def _too_long(self) -> ReadError:
        return ReadError(f"the film has more than {self.most:,} frames at this rate", "choose a lower hz")

    def _film(self, film: Film) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        parts: list[NDArray[np.float32]] = []
        seconds: list[float] = []
        waiting: list[Image] = []
        at_once = max(1, min(MOST_AT_ONCE, PIXELS_AT_ONCE // (film.size[0] * film.size[1])))
        for frame, when in film.frames(self.hz):
            if len(seconds) == self.most:
                raise self._too_long()
            waiting.append(Image(np.ascontiguousarray(frame.transpose(2, 0, 1), np.float32), RGB))
            seconds.append(when)
            if len(waiting) == at_once:
                parts.append(pooled(self._inner.encode(waiting)))
                waiting = []
        if waiting:
            parts.append(pooled(self._inner.encode(waiting)))
        return np.concatenate(parts).astype(np.float32), np.array(seconds, np.float32)
