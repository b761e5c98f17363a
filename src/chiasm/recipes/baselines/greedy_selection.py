"""Selection of an ensemble's members with replacement, each time the one that gains most (Caruana et al. 2004)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import numpy as np

from chiasm.linear.likelihood import FoldLikelihood

ROUNDS = 25
"""Members that are counted at most, one after another."""


def greedy_weights(
    links: Mapping[str, np.ndarray], likelihood: FoldLikelihood, bags: int = 0, seed: int = 0
) -> dict[str, float]:
    """Return the weight of each member that counts, summing to one, sorted by name.

    The first is the best alone; then the one is counted, perhaps again, with which the mean link is best. Of all the
    means on the way the best is taken. With bags this is done in random halves of the members, and weights are
    averaged, which keeps a member that fits the held-out patients by chance from taking all.

    Args:
        links: member to its calibrated out-of-fold links `(n, K)`.
        likelihood: the negative log likelihood of such links.
        bags: number of random halves; 0: all members at once.
        seed: of the halves.

    Source: Caruana, Niculescu-Mizil, Crew and Ksikes, Ensemble selection from libraries of models, ICML 2004, sections
        2.1 and 2.3. Deviation: the likelihood of links instead of any metric of probabilities; the ensemble begins with
        one member instead of the best few.
    """
    names = sorted(links)
    rng, half = np.random.default_rng(seed), max(2, len(names) // 2)
    drawn = [sorted(rng.choice(names, half, replace=False).tolist()) for _ in range(bags)] if bags else [names]
    total = dict.fromkeys(names, 0.0)
    for some in drawn:
        counts = _counts({name: links[name] for name in some}, likelihood)
        for name, count in counts.items():
            total[name] += count / counts.total() / len(drawn)
    return {name: weight for name, weight in total.items() if weight}


def _counts(links: Mapping[str, np.ndarray], likelihood: FoldLikelihood) -> Counter[str]:
    """Return how often each member is counted in the best of the means on the way."""
    counts: Counter[str] = Counter()
    total = np.zeros_like(next(iter(links.values())), dtype=float)
    best, kept = np.inf, Counter[str]()
    for number in range(1, ROUNDS + 1):
        losses = {name: likelihood((total + own) / number) for name, own in links.items()}
        name = min(losses, key=lambda own: (losses[own], own))
        counts[name], total = counts[name] + 1, total + links[name]
        if losses[name] < best:
            best, kept = losses[name], counts.copy()
    return kept
