"""Training under differential privacy by opacus: gradients of patients are clipped, and noise is added to their sum."""

from __future__ import annotations

import secrets
import warnings
from collections.abc import Callable
from copy import deepcopy
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from chiasm.cohort import Unsupported
from chiasm.cohort.generated import Generated

BATCH = 256
UPDATES = 400
RATE, KEPT = 2e-3, 0.98
CLIPPED = 1.0
PATIENTS_A_DELTA = 10
Network = TypeVar("Network", bound=nn.Module)


def delta_of(n: int) -> float:
    """The chance that the promise fails, a tenth of what would tell one of n patients whole: `1 / (10 n)`."""
    return 1 / (PATIENTS_A_DELTA * n)


def trained_privately(
    network: Network,
    loss: Callable[[Network, Tensor, torch.Generator], Tensor],
    n: int,
    epsilon: float,
    updates: int,
    seed: int,
) -> Network:
    """Train a network so that it would be much the same without any one patient: (epsilon, `1 / (10 n)`)-privacy.

    DP-SGD (Abadi et al., CCS 2016): every patient is in a batch by the same chance, apart from the others; his gradient
    is clipped to length 1, and Gaussian noise is added to the sum, as much as the accountant of Renyi divergences asks
    for. Nothing looks at patients when to stop. Batches and noise come from a generator that the system's randomness
    seeds, because who knew the seed could take the noise away: the same call trains another network each time.

    Args:
        loss: of the network, the rows of a batch, and what its times and noise come from: `(B,)`, one of each patient.
        n: patients.
        seed: of these times, which protect nobody.

    Raises:
        Unsupported: opacus is not installed.
    """
    try:
        from opacus import GradSampleModule  # type: ignore[import-untyped]
        from opacus.accountants.utils import get_noise_multiplier  # type: ignore[import-untyped]
        from opacus.optimizers import DPOptimizer  # type: ignore[import-untyped]
        from opacus.utils.uniform_sampler import UniformWithReplacementSampler  # type: ignore[import-untyped]
    except ModuleNotFoundError:
        raise Unsupported('training under differential privacy needs opacus: pip install "chiasm[dp]"') from None
    rate = min(0.5, BATCH / n)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Optimal order", UserWarning)  # the bound holds, and is less tight
        noise = get_noise_multiplier(
            target_epsilon=epsilon, target_delta=delta_of(n), sample_rate=rate, steps=updates, accountant="rdp"
        )
    secret = torch.Generator().manual_seed(secrets.randbits(63))
    mean = deepcopy(network)
    wrapped = GradSampleModule(network, loss_reduction="sum")
    optimizer = DPOptimizer(
        torch.optim.Adam(network.parameters(), lr=RATE), noise_multiplier=noise, max_grad_norm=CLIPPED,
        expected_batch_size=max(1, round(rate * n)), generator=secret,
    )  # fmt: skip
    times = torch.Generator().manual_seed(seed)
    for update, rows in enumerate(
        UniformWithReplacementSampler(num_samples=n, sample_rate=rate, generator=secret, steps=updates), start=1
    ):
        optimizer.zero_grad()
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Full backward hook", UserWarning)  # no input has a gradient, by design
            loss(network, torch.tensor(rows, dtype=torch.long), times).sum().backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        with torch.no_grad():
            for kept, new in zip(mean.parameters(), network.parameters(), strict=True):
                kept.lerp_(new, max(1 - KEPT, 9 / (update + 9)))
    wrapped.remove_hooks()
    return mean.eval()


def promised(mark: Generated) -> tuple[str, ...]:
    """Say what differential privacy promises of a set, and what it leaves out; nothing where there is none."""
    if not mark.epsilon:
        return ()
    return (
        f"The generator was fitted under differential privacy of epsilon {mark.epsilon:g} and delta {mark.delta:.2g}: "
        "whether any one patient was among those it was fitted to changes the chance of any set by a factor of at most "
        f"{np.exp(min(mark.epsilon, 700.0)):.3g}, but for that delta.",
        "Taken as known to all, and not covered: the names of columns, the levels of words that five patients or more "
        "have and those of the outcome, the lowest and highest value of a number, rounded outward, and its decimals, "
        "which modalities somebody lacks, which columns have missing cells, and how many patients there are.",
        "Sets add up: k of them that were drawn from the same patients, the refused ones too, are together of k times "
        "this epsilon and delta.",
        "The reports in generated.json and generated.html compare with real patients without noise, and so does a "
        "refusal: they are not covered either, and are to be kept back where the promise is to hold.",
    )
