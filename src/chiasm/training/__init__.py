"""The loop, early stopping, checkpoints, and folds side by side."""

from chiasm.training.loop import History, Network, TrainOptions, predict_embedding, predict_link, train
from chiasm.training.objective import Objective

__all__ = ["History", "Network", "Objective", "TrainOptions", "predict_embedding", "predict_link", "train"]
