"""Competing risks: a log hazard for each cause, and the cumulative incidences by the causes' baseline hazards."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from chiasm.heads.kind import Array, Baseline, Calibrated, HeadKind
from chiasm.heads.survival import HazardHead, cox_loss
from chiasm.linear.cause_specific import cause_hazards, incidence_at
from chiasm.linear.fine_gray import subdistribution_incidence
from chiasm.targets import CompetingRisks, Outcome, Target
from chiasm.targets.incidence import incidence_column


class CauseHead(HeadKind):
    """Log hazard of each cause, relative to the training mean.

    The loss is Cox's partial likelihood of each cause, per event of any: the profile of the likelihood of the first
    event and its cause over the baseline hazards, and so that of discrete times in the limit of fine bins. DeepHit (Lee
    et al., AAAI 2018) has an output for each bin and cause and adds a term that ranks patients; here the hazards of a
    cause are proportional, so that a network has the link of a linear model, and nothing is traded for ranks.
    """

    is_relative: ClassVar[bool] = True
    has_names: ClassVar[bool] = True

    def loss(self, output: Tensor, value: Tensor, event: Tensor) -> Tensor:
        """`event` holds the place of each patient's cause from 1, zero without an event."""
        events = [event == k + 1 for k in range(output.shape[1])]
        each = [cox_loss(output[:, [k]], value, own) * own.sum() for k, own in enumerate(events)]
        return torch.stack(each).sum() / torch.stack(events).sum().clamp_min(1)

    def losses(self, output: Tensor, value: Tensor, event: Tensor) -> Tensor:
        """Term of each patient with an event in the partial likelihood of its cause; NaN for the censored."""
        found, of_time = output.new_full((len(output),), torch.nan), HazardHead()
        for k in range(output.shape[1]):
            own = event == k + 1
            found = torch.where(own, of_time.losses(output[:, [k]], value, own), found)
        return found

    def frame(self, link: Array, response: Calibrated) -> pd.DataFrame:
        names, times = response.classes, response.times
        incidences = subdistribution_incidence if response.subdistribution else incidence_at
        incidence = incidences(link, (response.event_times, response.hazard), np.array(times))  # (n, K, T)
        columns = dict(zip(CompetingRisks.answers(names), link.T, strict=True))
        for t, time in enumerate(times):
            columns |= {incidence_column(name, time): incidence[:, k, t] for k, name in enumerate(names)}
        return pd.DataFrame(columns)

    def level(self, link: Array, outcome: Outcome) -> Array:
        """Log hazards have no level: zeros."""
        return np.zeros(link.shape[1])

    def baseline(self, target: Target, link: Array, outcome: Outcome) -> Baseline:
        """Breslow's cumulative baseline hazard of each cause, and the target's horizons or those of the main one."""
        return Baseline(target.with_horizons(outcome).times, *cause_hazards(link, outcome))
