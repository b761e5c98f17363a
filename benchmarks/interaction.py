"""What `chiasm interaction` says of known distributions: coverage of its intervals, bias, and cohorts of known answer.

    python benchmarks/interaction.py [--tables 100] > benchmarks/results/interaction.txt

Each table p(x1, x2, y), of two states of each source and the outcome, or three of each source, is drawn from a
Dirichlet distribution, a third of them so that both sources are independent and add up, or that the second is a copy of
the first with errors, as boundaries where a part is zero. Patients are drawn from it, 200 or 800, and the parts are
estimated with 200 draws as the command does. Covered is a part whose interval holds that of the table; its bias is the
mean of the estimate less the truth, beside that without correction, in bits.

Below it the cohorts of known answer: 2,000 and 80 patients, five folds, one repeat.
"""

from __future__ import annotations

import argparse
import sys

import numpy as np

import chiasm
from chiasm.evaluation.interaction.estimated import TOLD, Labelled, decomposed, parts_of
from chiasm.evaluation.intervals import bootstrap_weights

DRAWS = 200


def table(number: int) -> np.ndarray:
    """One distribution: any, a sum of independent sources, or a copy with errors."""
    rng = np.random.default_rng([3, number])
    a = 2 + number % 2
    if number % 3 == 0:
        return np.asarray(rng.dirichlet(np.ones(a * a * 2)).reshape(a, a, 2))
    strength = rng.uniform(0.3, 2.5)
    at = np.linspace(-1, 1, a)
    if number % 3 == 1:
        pairs, signal = np.full((a, a), 1 / a**2), strength * (at[:, None] + at[None])
    else:
        wrong = rng.uniform(0.05, 0.4)
        pairs = (np.eye(a) * (1 - wrong) + wrong / a) / a
        signal = np.repeat(strength * 2 * at[:, None], a, axis=1)
    ill = 1 / (1 + np.exp(-signal))
    return np.stack([pairs * (1 - ill), pairs * ill], axis=2)


def coverage(n: int, tables: int) -> None:
    """Print how often the intervals hold the truth, and the bias."""
    held, apart, plain = [], [], []
    for number in range(tables):
        truth, rng = table(number), np.random.default_rng([4, n, number])
        cell = rng.choice(truth.size, n, p=truth.ravel())
        own = Labelled(np.arange(n), *np.unravel_index(cell, truth.shape), np.ones(n))
        found = decomposed([own], truth.shape, bootstrap_weights(n, DRAWS, rng), number)
        expected = parts_of(truth[None])[0]
        parts = [found.parts[name] for name in TOLD]
        held.append([p.low - 1e-9 <= e <= p.high + 1e-9 for p, e in zip(parts, expected, strict=True)])
        apart.append([p.value - e for p, e in zip(parts, expected, strict=True)])
        uncorrected = parts_of(np.bincount(cell, minlength=truth.size).reshape(1, *truth.shape) / n)[0]
        plain.append(uncorrected - expected)
        print(f"{n}: {number + 1} of {tables}", file=sys.stderr)
    print(f"{tables} tables, {n} patients each\n")
    print(f"{'part':<14}{'covered':>9}{'bias':>9}{'plain':>9}")
    for k, name in enumerate(TOLD):
        row = [
            np.mean([own[k] for own in held]),
            np.mean([own[k] for own in apart]),
            np.mean([own[k] for own in plain]),
        ]
        print(f"{name:<14}{row[0]:>9.0%}{row[1]:>9.3f}{row[2]:>9.3f}")
    print()


def known_answers(n: int) -> None:
    """Print what is said of each cohort of known answer."""
    print(f"{n} patients: bits that either tells, the first alone, the second alone, only both, of both together\n")
    for name in ("redundant", "complementary", "xor", "noise-modality"):
        found = chiasm.interaction(
            chiasm.synthetic_cohort(name, n), protocol=chiasm.Protocol(repeats=1, draws=DRAWS), jobs=1
        )
        for row in found.table.to_dict("records"):
            parts = "".join(f"{row[part]:>7.3f}" for part in TOLD[:5])
            print(f"{name:<16}{row['states_by']:<13}{parts}  {row['says']}")
        for finding in found.findings:
            print(f"{'':<16}{finding}")
    print()


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables", type=int, default=100)
    tables = parser.parse_args().tables
    for n in (200, 800):
        coverage(n, tables)
    for n in (2000, 80):
        known_answers(n)


if __name__ == "__main__":
    main()
