"""Training of networks: phases with early stopping and checkpoints, batches, objectives and hooks."""

from chiasm.training.checkpoint import History
from chiasm.training.examples import Batch, Examples, TargetTensors
from chiasm.training.loop import train
from chiasm.training.network import Network, predict_embedding, predict_link
from chiasm.training.objective import Computed, Objective
from chiasm.training.options import TrainOptions
from chiasm.training.phase import Hook, Phase, Step

__all__ = [
    "Batch",
    "Computed",
    "Examples",
    "History",
    "Hook",
    "Network",
    "Objective",
    "Phase",
    "Step",
    "TargetTensors",
    "TrainOptions",
    "predict_embedding",
    "predict_link",
    "train",
]
