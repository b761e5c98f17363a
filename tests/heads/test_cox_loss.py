"""The Cox loss of the networks against torchsurv, where torchsurv is right, and against the exact numpy likelihood."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torchsurv.loss.cox import neg_partial_log_likelihood

from chiasm.heads.survival import cox_loss
from chiasm.linear.ridge_cox import cox_nll


@pytest.mark.parametrize("seed", range(5))
def test_equals_torchsurv_without_ties(seed: int) -> None:
    rng = np.random.default_rng(seed)
    risk = torch.tensor(rng.normal(size=(40, 1)))
    time = torch.tensor(rng.permutation(40) + 1.0)
    event = torch.tensor(rng.random(40) < 0.5)
    ours = cox_loss(risk, time, event) * event.sum()
    theirs = neg_partial_log_likelihood(risk[:, 0], event, time, reduction="sum")
    assert ours.item() == pytest.approx(theirs.item(), rel=1e-6)


@pytest.mark.parametrize("seed", range(5))
def test_equals_efron_with_ties(seed: int) -> None:
    rng = np.random.default_rng(seed)
    risk, time, event = rng.normal(size=40) * 3, rng.integers(1, 8, 40).astype(float), rng.random(40) < 0.6
    ours = cox_loss(torch.tensor(risk[:, None]), torch.tensor(time), torch.tensor(event)) * event.sum()
    assert ours.item() == pytest.approx(cox_nll(risk, time, event), rel=1e-6)
