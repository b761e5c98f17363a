"""Work in an open image: one change at a time, and one model that draws, apart from the thread of predictions."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chiasm.serving.faults import Refused, refused
from chiasm.serving.outline.drawing import drawn, takes_clicks
from chiasm.serving.outline.outlines import MOST_RUNS, Outline
from chiasm.serving.outline.pictures import PLANES, place_of, seen
from chiasm.serving.outline.regions import clicked, regions_of
from chiasm.serving.outline.seen_clicks import SeenClick
from chiasm.serving.outline.sessions import DRAWING, IDLE, Open
from chiasm.serving.service import Service
from chiasm.targets.label_maps import LabelMap, map_of

MOST_WAITING = 8


class Workshop:
    """What is done in open images.

    Args:
        service: whose models draw, whose scratch folder is used, and that is told of failures.
    """

    def __init__(self, service: Service) -> None:
        self._service = service
        self._one = threading.Lock()  # held by the model that draws
        self._places = threading.BoundedSemaphore(MOST_WAITING)

    def mask(self, own: Open, plane: str, number: int) -> LabelMap:
        """The mask of a slice as it is seen."""
        with own.lock:
            return own.outline.slice(plane, number)

    def clicks_in(self, own: Open, plane: str, number: int) -> list[dict[str, Any]]:
        """The clicks that lie in a slice."""
        return [
            {"row": one.row, "column": one.column, "inside": one.inside, "label": one.label}
            for one in own.outline.clicks
            if (one.plane, one.slice) == (plane, number)
        ]

    def draw(self, own: Open, plane: str, number: int, codes: NDArray[np.int32]) -> None:
        """Draw a slice anew.

        Raises:
            Refused: 409, the model draws in the image.
        """
        self._change(own, lambda outline: outline.draw(plane, number, codes))

    def click(self, own: Open, asked: SeenClick) -> None:
        """Draw the region about a click, or take it away.

        Raises:
            Refused: 404 without such a slice, 409 while the model draws, 422 for a click outside of the image.
        """
        picture = own.pictures[own.first]
        _ = place_of(picture.shape, asked.plane, asked.slice, asked.row, asked.column)
        many = picture.shape[PLANES.index(asked.plane)]
        reach = asked.reach if asked.reach is not None else (picture.window[1] - picture.window[0]) / 10

        def does(outline: Outline) -> None:
            clicks = (*outline.clicks, replace(asked, reach=reach))
            regions = regions_of(
                lambda at: picture.values(asked.plane, at), many, asked.slice, asked.row, asked.column, reach
            )
            if not asked.through:
                _, region = next(regions)
                before = seen(outline.codes, asked.plane, asked.slice)
                outline.draw(asked.plane, asked.slice, clicked(before, region, asked.label, asked.inside), clicks)
                return
            whole = outline.codes.copy()
            for at, region in regions:
                place = seen(whole, asked.plane, at)
                place[:] = clicked(place, region, asked.label, asked.inside)
            outline.replace(map_of(whole), clicks)

        self._change(own, does)

    def take(self, own: Open, whole: LabelMap) -> None:
        """Take over a whole map that somebody has drawn.

        Raises:
            Refused: 409, the model draws in the image; 422, it is made of too many pieces.
        """
        if len(whole.start) > MOST_RUNS:
            what = f"the mask is made of over {MOST_RUNS:,} runs of pixels: it is no outline of anything"
            raise refused(422, "too-many-runs", what)
        self._change(own, lambda outline: outline.replace(whole, by_hand=True))

    def undo(self, own: Open) -> None:
        """Take the last change back, where there is one."""
        self._change(own, lambda outline: outline.undo())

    def redo(self, own: Open) -> None:
        """Do again what was taken back last, where there is something."""
        self._change(own, lambda outline: outline.redo())

    def let_draw(self, own: Open, click: SeenClick | None = None) -> None:
        """Let the model draw, once those before it are done; `own.state` says when.

        Args:
            click: is asked of it, with those of the same label before; None: it draws by itself.

        Raises:
            Refused: 409, it draws already; 422, it takes no clicks, or this one lies outside; 503, many wait.
        """
        if click is not None:
            if not takes_clicks(own.loaded):
                raise refused(422, "takes-no-clicks", "this model takes no clicks: ask by brightness", "by")
            _ = place_of(own.pictures[own.first].shape, click.plane, click.slice, click.row, click.column)
        with own.lock:
            _require_idle(own)
            if not self._places.acquire(blocking=False):
                raise refused(503, "busy", f"{MOST_WAITING} images wait for a model to draw: try later", retry_after=10)
            own.state, own.fault = DRAWING, None
        threading.Thread(
            target=self._draws, args=(own, click), name="outline", daemon=True
        ).start()  # ends with the service

    def _draws(self, own: Open, click: SeenClick | None) -> None:
        fault, clicks = None, None if click is None else (*own.outline.clicks, click)
        try:
            asked = [one for one in clicks or () if one.by_model and click is not None and one.label == click.label]
            with self._one:
                found = drawn(own, self._service.scratch, asked)
            with own.lock:
                own.outline.replace(found, clicks)
        except Refused as error:
            fault = error
        except Exception as error:  # its words may quote the image: they are neither told nor logged
            self._service.failed(error)
            fault = refused(500, "failed", "the model could not draw: the log of the service says where")
        finally:
            with own.lock:
                own.state, own.fault = IDLE, fault
            self._places.release()

    def _change(self, own: Open, does: Callable[[Outline], Any]) -> None:
        with own.lock:
            _require_idle(own)
            does(own.outline)


def _require_idle(own: Open) -> None:
    if own.state == DRAWING:
        raise refused(409, "drawing", "the model is drawing in this image: wait for it")
