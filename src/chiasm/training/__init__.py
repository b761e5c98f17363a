"""Training of networks: the loop with early stopping and checkpoints, batches, and objectives."""

from chiasm.training.loop import History, Network, TrainOptions, predict_embedding, predict_link, train
from chiasm.training.objective import Objective

__all__ = ["History", "Network", "Objective", "TrainOptions", "predict_embedding", "predict_link", "train"]
