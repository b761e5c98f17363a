"""Parts of kinds that came after the first archive and are stored outside models, or inside few of them."""

from __future__ import annotations

from typing import Any

import numpy as np
from packaging.version import Version

from chiasm.dynamics.states.chain import Chain
from chiasm.dynamics.twins.controllers import Constant, Network, Pid
from chiasm.dynamics.twins.goals import Goal
from chiasm.dynamics.twins.limited import LimitedController
from chiasm.dynamics.twins.limits import Limits
from chiasm.encoders.catalogue import CATALOGUE, make_encoder
from chiasm.encoders.image.put_together import ImagePixels
from chiasm.encoders.raster.config import RasterConfig
from chiasm.encoders.raster.network import untrained
from chiasm.encoders.raster.reading import RasterReading
from chiasm.encoders.raster.stored_raster import StoredRaster
from chiasm.encoders.seen import SeenItems
from chiasm.encoders.sequence.network import SequenceConfig
from chiasm.encoders.sequence.prompt_pieces import PromptPieces
from chiasm.encoders.table.picture import VectorPicture
from chiasm.fitting.lineage import BegunFrom
from chiasm.fitting.tuning.record import Tried, Tuning
from chiasm.generation.gaussian import FactorGaussian
from chiasm.language.language_model import LanguageFile
from chiasm.language.tiny import TinyWords
from chiasm.linear.gaussian_kernel import GaussianMap
from chiasm.pretraining.records.options import RecordConfig

# an encoder with options that are not its defaults, where it has some
OPTIONS = {
    "grid": "", "mel": ":bands=8", "frames": ":most=3", "bonds": "", "onehot": ":length=6",
    "sequence": ":dim=16,depth=1",
    "raster": ":size=16,patch=8,dim=8,depth=1,heads=2",
}  # fmt: skip


def later_parts(before: Version) -> dict[str, Any]:
    """Name to part; encoders that came after the release `before`, where nothing has to be fitted first."""
    rng = np.random.default_rng(0)
    config, one = RasterConfig(size=8, patch=4, width=8, depth=1, heads=2), np.ones(1)
    raster = {name: own.numpy() for name, own in untrained(config, 0).state_dict().items()}
    weights = [rng.normal(size=shape) for shape in ((3, 4), (4,), (4, 1), (1,))]
    controller, limits = (
        Network(weights, np.zeros(3), np.ones(3), 0 * one, 2 * one, (0, 1)),
        ((0.0,), (2.0,), (1.0,), (0.1,)),
    )
    tuning = Tuning("healnet", "auroc", 2, (Tried({"epochs": 3}, (0.5, None), "complete"),), 0, None, "one")
    encoders = {
        f"encoder {entry.name}": make_encoder(entry.name + OPTIONS[entry.name], entry.reads[0])
        for entry in CATALOGUE
        if Version(entry.since) > before and entry.name in OPTIONS
    }
    return {
        **encoders,
        "constant-dose": Constant((0.0, 1.0), (0.5,)),
        "pid": Pid(0.1, 0.2, 0.3, 5.0, 0, 1, 0, 9.0),
        "limited-controller": LimitedController(controller, Limits(*limits, 3.0), Goal("target"), "made", 5.0),
        "chain": Chain(np.array([0.6, 0.4]), np.array([[0.9, 0.1], [0.2, 0.8]])),
        "image-pixels": ImagePixels(8, 4, 1, np.zeros(1), np.ones(1)),
        "raster-network": StoredRaster(config, RasterReading("image", 1, 8), 0 * one, one, raster),
        "seen-items": SeenItems("0" * 32, 8, np.arange(3)),
        "sequence-config": SequenceConfig(width=16, depth=1),
        "record-config": RecordConfig(width=16, depth=1),
        "prompt-pieces": PromptPieces(8, False, ("<a>",), {}, ("<a>",), ()),
        "vector-picture": VectorPicture(2, None),
        "begun-from": BegunFrom("another", {}),
        "tuning": tuning,
        "factor-gaussian": FactorGaussian(np.eye(2), {}, {}, {"a": 0}, 2),
        "language-file": LanguageFile("lm", "0" * 64),
        "tiny-words": TinyWords(("a", "cough", "fever")),
        "gaussian-map": GaussianMap(rng.normal(size=(3, 2)), 1.0, np.zeros(3), rng.normal(size=(3, 2))),
    }
