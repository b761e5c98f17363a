"""An open image on its own: whose hand drew, what is kept of steps, and when it is forgotten."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from chiasm.serving.faults import Refused
from chiasm.serving.outline import outlines
from chiasm.serving.outline.outlines import Outline, fill
from chiasm.serving.outline.sessions import IDLE_SECONDS, Sessions
from chiasm.serving.outline.working import Workshop
from chiasm.targets.label_maps import map_of


def test_a_mask_that_was_given_is_nobody_s_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = map_of(np.ones((2, 3, 4), int))
    drawn = Outline((2, 3, 4), 1)
    drawn.replace(whole)
    assert not drawn.by_hand
    own: Any = SimpleNamespace(outline=Outline((2, 3, 4), 1), lock=None, state="idle")
    shop: Any = Workshop(SimpleNamespace())  # type: ignore[arg-type]
    monkeypatch.setattr(shop, "_change", lambda of, does: does(of.outline))
    shop.take(own, whole)
    assert own.outline.by_hand
    monkeypatch.setattr("chiasm.serving.outline.working.MOST_RUNS", 2)
    with pytest.raises(Refused, match="over 2 runs"):
        shop.take(own, map_of(np.indices((2, 3, 4)).sum(0) % 2))


def test_runs_are_written_as_they_are_and_large_steps_are_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 3, (4, 30, 40)).astype(np.int32)
    codes[1] = 2
    flat = np.zeros(codes.size, np.uint8)
    fill(flat, map_of(codes))
    np.testing.assert_array_equal(flat.reshape(codes.shape), codes)
    monkeypatch.setattr(outlines, "MOST_RUNS", 50)
    outline = Outline((4, 30, 40), 2)
    outline.replace(map_of(codes))
    assert not outline.undo() and outline.codes.sum() == codes.sum()


def test_an_image_is_forgotten_though_nobody_asks() -> None:
    now = [0.0]
    sessions = Sessions(lambda: now[0])
    own: Any = SimpleNamespace(bytes=1, used=0.0, owner="a")
    name = sessions.add(own)
    assert sessions._sweeper is not None and sessions._sweeper.daemon
    sessions._sweeper.cancel()
    now[0] = IDLE_SECONDS - 1
    sessions.sweep()
    assert sessions.of(name, "a") is own and sessions._sweeper is not None
    now[0] = 3 * IDLE_SECONDS
    sessions.sweep()
    assert sessions._sweeper is None
    with pytest.raises(Refused, match="no such open image"):
        sessions.of(name, "a")
