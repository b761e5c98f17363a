"""What is done of checked patients besides predicting them, by its name, so that it can be asked for elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from chiasm.serving.alike import alike
from chiasm.serving.answers import Answer
from chiasm.serving.explaining import explained
from chiasm.serving.loaded import Loaded
from chiasm.serving.patients import Patient

PREDICT, EXPLAIN, SIMILAR = "predict", "explain", "similar"
Work = Callable[[Loaded, Sequence[Patient], Mapping[str, Path], Path], list[Answer]]
WORKS: dict[str, Work] = {EXPLAIN: explained, SIMILAR: alike}
"""Each is called with the model, the patients, their files and a private folder, alone in the thread of the models."""
