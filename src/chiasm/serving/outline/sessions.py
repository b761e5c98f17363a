"""Images that are open in a service: kept in memory alone, only for a while, and only so many."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from chiasm.serving.faults import Refused, refused
from chiasm.serving.loaded import Loaded
from chiasm.serving.outline.kept import Kept, size_of
from chiasm.serving.outline.outlines import Outline
from chiasm.serving.outline.pictures import Picture

MOST = 8
MOST_BYTES = 2 << 30
"""Of all images that are open, as they were sent and as they are shown."""
IDLE_SECONDS = 1_800.0
SWEEP_SECONDS = 60.0
IDLE, DRAWING = "idle", "drawing"


@dataclass(eq=False, repr=False)
class Open:
    """An image that is open: whose, of which model, as it was sent and as it is shown, and the map that is drawn.

    Args:
        files: modality to its files.
        pictures: modality to its image.
        used: when it was asked last.
        state: whether the model draws in it just now; `fault` is why it could not, the last time.
    """

    owner: str
    loaded: Loaded
    files: Mapping[str, Kept]
    pictures: Mapping[str, Picture]
    outline: Outline
    used: float
    state: str = IDLE
    fault: Refused | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def first(self) -> str:
        """The modality on whose image the map lies."""
        return min(self.pictures)

    @property
    def bytes(self) -> int:
        own = sum(picture.nbytes for picture in self.pictures.values()) + self.outline.codes.nbytes
        return own + sum(map(size_of, self.files.values()))


class Sessions:
    """The open images.

    Args:
        clock: seconds, for tests.
        most_bytes: of all of them.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic, most_bytes: int = MOST_BYTES) -> None:
        self._clock, self._open, self._guard, self._most = clock, dict[str, Open](), threading.Lock(), most_bytes
        self._sweeper: threading.Timer | None = None

    def require_room(self, size: int = 0) -> None:
        """Refuse before anything is read.

        Raises:
            Refused: 503, as many are open as there may be, or as much.
        """
        with self._guard:
            self._expire()
            self._require_room(size)

    def add(self, own: Open) -> str:
        """Keep an image; returns its name.

        Raises:
            Refused: as for `require_room`.
        """
        with self._guard:
            self._expire()
            self._require_room(own.bytes)
            own.used = self._clock()
            name = secrets.token_hex(16)
            self._open[name] = own
            self._sweep_later()
        return name

    def of(self, name: str, owner: str) -> Open:
        """An open image of a caller.

        Raises:
            Refused: 404, there is none.
        """
        with self._guard:
            self._expire()
            own = self._open.get(name)
            if own is None or own.owner != owner:
                raise refused(404, "not-open", "there is no such open image, or it was closed: open it again")
            own.used = self._clock()
            return own

    def close(self, name: str, owner: str) -> None:
        """Forget an image.

        Raises:
            Refused: 404, there is none.
        """
        _ = self.of(name, owner)
        with self._guard:
            self._open.pop(name, None)

    def clear(self) -> None:
        """Forget all."""
        with self._guard:
            self._open.clear()
            if self._sweeper is not None:
                self._sweeper.cancel()
                self._sweeper = None

    def sweep(self) -> None:
        """Forget what was not asked for half an hour, also where nobody asks; once a minute while an image is open."""
        with self._guard:
            self._sweeper = None
            self._expire()
            self._sweep_later()

    def _sweep_later(self) -> None:
        if self._open and self._sweeper is None:
            self._sweeper = threading.Timer(SWEEP_SECONDS, self.sweep)
            self._sweeper.daemon = True
            self._sweeper.start()

    def _require_room(self, size: int) -> None:
        if len(self._open) >= MOST:
            raise refused(503, "too-many-open", f"{MOST} images are open: close one, or try later", retry_after=60)
        if sum(own.bytes for own in self._open.values()) + size > self._most:
            what = f"the images that are open would take over {self._most >> 20:,} MB: close one, or try later"
            raise refused(503, "too-much-open", what, retry_after=60)

    def _expire(self) -> None:
        now = self._clock()
        self._open = {name: own for name, own in self._open.items() if now - own.used < IDLE_SECONDS}
