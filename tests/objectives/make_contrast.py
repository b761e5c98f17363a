"""Writes fixtures/contrast.json: losses of other libraries on drawn vectors, in an environment that has both of them.

    pip install open-clip-torch pytorch-metric-learning
    python tests/objectives/make_contrast.py

Of open_clip the file of its losses is run alone, since the package asks for torchvision as it is imported.
"""

from __future__ import annotations

import importlib.util
import json
from importlib.metadata import distribution, version
from pathlib import Path

import torch

PACKAGES = ("open_clip_torch", "pytorch-metric-learning", "torch")


def main() -> None:
    """Draw unit vectors and codes, and write what the libraries compute of them."""
    from pytorch_metric_learning.losses import SupConLoss

    place = str(distribution("open_clip_torch").locate_file("open_clip/loss.py"))
    spec = importlib.util.spec_from_file_location("open_clip_loss", place)
    assert spec is not None and spec.loader is not None
    losses = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(losses)
    generator = torch.Generator().manual_seed(7)
    one, other = (
        torch.nn.functional.normalize(torch.randn(9, 6, generator=generator, dtype=torch.float64), dim=1)
        for _ in range(2)
    )
    codes = torch.tensor([0, 1, 2, 0, 1, 2, 0, 0, 1])
    scale, bias = torch.tensor(5.0, dtype=torch.float64), torch.tensor(-2.0, dtype=torch.float64)
    found = {
        "versions": {name: version(name) for name in PACKAGES},
        "one": one.tolist(), "other": other.tolist(), "codes": codes.tolist(), "scale": 5.0, "bias": -2.0,
        "open_clip ClipLoss": float(losses.ClipLoss()(one, other, scale)),
        "open_clip SigLipLoss": float(losses.SigLipLoss()(one, other, scale, bias)),
        "pytorch-metric-learning SupConLoss": float(SupConLoss(temperature=0.2)(one, codes)),
    }  # fmt: skip
    (Path(__file__).parent / "fixtures" / "contrast.json").write_text(json.dumps(found) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
