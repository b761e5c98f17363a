"""What a model says of one patient, in words: the prediction, how sure it is, and what each modality brings to it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from chiasm.cohort import Cohort, Unsupported
from chiasm.fitting.model import FittedModel
from chiasm.language.asking.answer import Place
from chiasm.models.explain.reference import reference_of
from chiasm.models.explain.shares import modality_shares
from chiasm.protocols import Model

PREDICTION, SHARES, CALIBRATION = "prediction", "shares", "calibration"
SHOWN = 12
"""Outputs that are told; a model of more says how many others there are."""


@dataclass
class Patient:
    """One patient and what a model predicts.

    Args:
        model: the model.
        cohort: of one patient, encoded.
        predicted: the model's prediction, one row.
        sure: the columns that a calibration on held-out patients adds to it, one row; None without one.
        coverage: the share of outcomes that these hold.
        notes: how the patient is unlike those of the training.
        places: where what was said so far stands.
    """

    model: Model
    cohort: Cohort
    predicted: pd.DataFrame
    sure: pd.DataFrame | None = None
    coverage: float = 0.95
    notes: Sequence[str] = ()
    places: list[Place] = field(default_factory=list)

    @property
    def outputs(self) -> list[str]:
        """Columns of the prediction that hold a number."""
        return [name for name in self.predicted.columns if name != "pattern" and self._is_number(name)]

    def _is_number(self, name: str) -> bool:
        return pd.api.types.is_numeric_dtype(self.predicted[name])

    def value(self, name: str) -> float:
        """Note and return one output."""
        found = float(self.predicted[name].iloc[0])
        self.places.append(Place(PREDICTION, name, found))
        return found

    def prediction(self) -> str:
        """The prediction in words."""
        names, texts = self.outputs, [name for name in self.predicted.columns if name not in ("pattern", *self.outputs)]
        own = {name: str(self.predicted[name].iloc[0]) for name in texts}
        self.places += [Place(PREDICTION, name, value) for name, value in own.items()]
        told = [f"{name} {value}" for name, value in own.items()]
        told += [f"{words_of(name)} {said(self.value(name))}" for name in names[:SHOWN]]
        more = f"; and {len(names) - SHOWN:,} others" if len(names) > SHOWN else ""
        return f"The model predicts: {'; '.join(told)}{more}."

    def pattern(self) -> str:
        """Which modalities of the patient the model used."""
        used = str(self.predicted["pattern"].iloc[0])
        self.places.append(Place(PREDICTION, "pattern", used))
        return f"Of this patient the model used: {used.replace('+', ', ') or 'nothing'}."

    def sureness(self) -> str:
        """The set or interval that holds a stated share of outcomes, where one was calibrated."""
        if self.sure is None:
            return (
                "A prediction alone has no interval: one is taken from held-out patients with known outcomes "
                "(--calibrate)."
            )
        row = self.sure.iloc[0]
        told = []
        for name in self.sure.columns:
            own = row[name]
            if isinstance(own, str) and not own:
                continue
            self.places.append(Place(CALIBRATION, name, own if isinstance(own, str) else float(own)))
            told.append(f"{name.replace('_', ' ')} {own if isinstance(own, str) else said(float(own))}")
        return f"Calibrated to hold {self.coverage:g} of outcomes: {'; '.join(told)}."

    def contributions(self) -> str:
        """What each modality brings to the prediction beside what is predicted of nobody in particular."""
        if not isinstance(self.model, FittedModel) or (reference := reference_of(self.model)) is None:
            raise Unsupported(
                "the model does not keep what its training patients had on average, so that one patient's prediction "
                "cannot be split: chiasm explain splits those of a cohort"
            )
        base, beside = reference
        names = [name for name in self.cohort.modalities if name in self.model.modalities]
        shares = modality_shares(self.model, self.cohort, names, whole=self.predicted, base=base)
        parts = []
        for output in self.outputs[-1:] if len(self.outputs) == 2 else self.outputs[:SHOWN]:
            own = shares[shares["output"] == output].sort_values("share", key=np.abs, ascending=False)
            self.places += [
                Place(SHARES, f"{output}.{name}", float(share))
                for name, share in zip(own["modality"], own["share"], strict=True)
            ]
            told = ", ".join(f"{row.modality} {row.share:+.3f}" for row in own.itertuples())
            parts.append(f"to {words_of(output)} {said(self.value(output))} the modalities bring {told}")
        text = "; ".join(parts)
        return f"{text[:1].upper()}{text[1:]}, beside {beside}."


def words_of(output: str) -> str:
    """An output of a model in words."""
    name, _, of = output.partition("_")
    if name == "p":
        return f"probability of '{of}'"
    return f"{name} to {of}" if of else name


def said(value: float) -> str:
    """A number as it is said."""
    if math.isnan(value):
        return "not known"
    return f"{value:.3f}" if abs(value) < 1000 else f"{value:,.0f}"
