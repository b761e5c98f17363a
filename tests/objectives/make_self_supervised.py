"""Writes fixtures/self_supervised.json by lightly, in an environment of its own.

    pip install torch==2.13.0 torchmetrics aenum tqdm pytorch_lightning
    pip install --no-deps torchvision==0.28.0 lightly==1.6.0 lightly_utils timm
    python tests/objectives/make_self_supervised.py

Each case has the seed and the shapes of its inputs, standard normal numbers in the order in which they are named, and
what lightly makes of them in double precision.
"""

from __future__ import annotations

import json
import sys
import types
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

for absent in ("torchvision._meta_registrations", "torchvision._autograd_registrations"):
    sys.modules[absent] = types.ModuleType(absent)  # they ask for kernels that this torch has not

from lightly.loss import (  # type: ignore[import-not-found]  # noqa: E402
    DINOLoss,
    NegativeCosineSimilarity,
    NTXentLoss,
    SwaVLoss,
)

BATCH, WIDTH, QUEUE = 6, 5, 9


def drawn(seed: int, shapes: list[list[int]], unit: bool) -> list[torch.Tensor]:
    """Return the inputs of a case; scores of prototypes are cosines, at most 1."""
    rng = np.random.default_rng(seed)
    found = [torch.from_numpy(rng.standard_normal(shape)) for shape in shapes]
    return [torch.tanh(own) for own in found] if unit else found


def case(seed: int, shapes: list[list[int]], found: dict[str, Any], **options: Any) -> dict[str, Any]:
    return {"seed": seed, "shapes": shapes, **options, **found}


def nt_xent(seed: int, temperature: float) -> dict[str, Any]:
    shapes = [[BATCH, WIDTH]] * 2
    loss = NTXentLoss(temperature=temperature)(*drawn(seed, shapes, False))
    return case(seed, shapes, {"loss": float(loss)}, temperature=temperature)


def moco(seed: int, temperature: float) -> dict[str, Any]:
    shapes = [[BATCH, WIDTH], [BATCH, WIDTH], [QUEUE, WIDTH]]
    query, key, queue = drawn(seed, shapes, False)
    made = NTXentLoss(temperature=temperature, memory_bank_size=(QUEUE, WIDTH))
    made.memory_bank.bank = torch.nn.functional.normalize(queue, dim=1)
    return case(seed, shapes, {"loss": made(query.requires_grad_(), key).item()}, temperature=temperature)


def cosine(seed: int) -> dict[str, Any]:
    shapes = [[BATCH, WIDTH]] * 2
    return case(seed, shapes, {"negative_cosine": float(NegativeCosineSimilarity()(*drawn(seed, shapes, False)))})


def dino(seed: int, views: int) -> dict[str, Any]:
    shapes = [[BATCH, WIDTH]] * (2 + views)
    parts = drawn(seed, shapes, False)
    made = DINOLoss(output_dim=WIDTH, teacher_temp=0.07, warmup_teacher_temp=0.07).double()
    losses = [float(made(parts[:2], parts[2:], epoch=0)) for _ in range(2)]  # the second with the centre of the first
    return case(seed, shapes, {"losses": losses, "centre": made.center.flatten().tolist()})


def swav(seed: int, low: int, queue: bool) -> dict[str, Any]:
    shapes = [[BATCH, WIDTH]] * (2 + low) + [[QUEUE, WIDTH]] * (2 * queue)
    parts = drawn(seed, shapes, True)
    loss = SwaVLoss()(parts[:2], parts[2 : 2 + low], parts[2 + low :] if queue else None)
    return case(seed, shapes, {"loss": float(loss)}, low=low, queue=queue)


if __name__ == "__main__":
    made = {
        "versions": {name: version(name) for name in ("lightly", "torch", "numpy")},
        "nt_xent": [nt_xent(1, 0.5), nt_xent(2, 0.1)],
        "moco": [moco(3, 0.2), moco(4, 0.07)],
        "negative_cosine": [cosine(5)],
        "dino": [dino(6, 2), dino(7, 5)],
        "swav": [swav(8, 0, False), swav(9, 3, False), swav(10, 2, True)],
    }
    target = Path(__file__).parent / "fixtures" / "self_supervised.json"
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps(made, indent=1) + "\n")
