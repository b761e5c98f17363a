"""Evaluation of recipes: cross-validation, metrics with intervals, paired comparison and the verdict."""

from chiasm.evaluation.protocol import Protocol
from chiasm.evaluation.run import run_trial
from chiasm.evaluation.several import Trials
from chiasm.evaluation.trial import Trial, TrialError, load_trial
from chiasm.evaluation.verdict import Verdict

__all__ = ["Protocol", "Trial", "TrialError", "Trials", "Verdict", "load_trial", "run_trial"]
