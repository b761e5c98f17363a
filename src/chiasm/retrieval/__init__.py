"""Retrieval of similar patients by a modality or a model's embedding: search, metrics, and the neighbours' vote."""

from chiasm.retrieval.embed import embed_modality, embed_model
from chiasm.retrieval.metrics import foscttm, label_transfer, mean_average_precision, recall_at
from chiasm.retrieval.neighbours import Neighbours
from chiasm.retrieval.scores import retrieval_scores
from chiasm.retrieval.similar import require_patients, similar
from chiasm.retrieval.vote import NeighbourVote

__all__ = [
    "NeighbourVote",
    "Neighbours",
    "embed_modality",
    "embed_model",
    "foscttm",
    "label_transfer",
    "mean_average_precision",
    "recall_at",
    "require_patients",
    "retrieval_scores",
    "similar",
]
