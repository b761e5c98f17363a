"""The tokens of a network's patients, explained: a table, the mean of each named token, and what speaks against it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pandas as pd
from scipy.stats import rankdata  # type: ignore[import-untyped]

from chiasm.cohort import Cohort
from chiasm.compute.isolation import seeded
from chiasm.models.explain.gradients import TokenShares, network_of, token_shares
from chiasm.models.explain.shares import FEWEST_OF_AN_INTERVAL, interval_of_means
from chiasm.models.explain.soundness import (
    FEWEST_RANKED,
    HIGH_LIKENESS,
    LOW_AGREEMENT,
    WEIGHTS,
    correlated,
    rank_agreement,
)
from chiasm.models.explain.token_names import token_names
from chiasm.protocols import Model

WIDE_GAP = 0.05
SPLITS = 5
WHOLE, FOREMOST = "all its tokens", "its foremost token"
SUMMARY = ("output", "modality", "name", "patients", "mean", "size", "low", "high")
CHECKS = ("check", "modality", "things", "correlation", "low", "high")


def tokens_explained(
    model: Model,
    cohort: Cohort,
    *,
    baseline: str,
    steps: int,
    checks: bool,
    seed: int,
    progress: Callable[[str, int, int], None] | None = None,
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame, list[str]]:
    """Explain the tokens of a network's patients: the table, its summary, its checks, and what a reader is to know.

    Args:
        cohort: encoded patients, each with something that the model reads.
    """
    predictor, _ = network_of(model)

    def told(what: str) -> Callable[[int, int], None] | None:
        return None if progress is None else lambda done, of: progress(what, done, of)

    found = token_shares(model, cohort, baseline=baseline, steps=steps, progress=told("patients"))
    names = {
        name: token_names(predictor.encoders[name], cohort.encodings.get(name))
        for name, lengths in found.lengths.items()
        if lengths.any()  # somebody has it
    }
    said = list(_of_the_gap(found, steps))
    rows = list(_halves(found, names, seed))
    if checks:
        fresh = predictor.untrained(seeded(seed, "nothing"))
        nothing = token_shares(
            model,
            cohort,
            baseline=baseline,
            steps=steps,
            network=fresh,
            progress=told("patients of a model of nothing"),
        )
        rows += _of_nothing(found, nothing, names, seed)
        said.append(f"The model of nothing has {WEIGHTS}")
    frame = pd.DataFrame(rows, columns=list(CHECKS))
    sentences = [f"{own}." for own in (*said, *_judged(frame))]
    return _table(found, cohort, names), _summary(found, names, seed), frame, sentences


def _table(found: TokenShares, cohort: Cohort, names: dict[str, tuple[str, ...]]) -> pd.DataFrame:
    """One row a patient, modality, token and output, in the cohort's row order."""
    parts = []
    place = np.argsort(cohort.order)  # of each patient in the user's file
    for name, called in names.items():
        shares, lengths = found.shares[name], found.lengths[name]
        patient = np.repeat(np.arange(len(lengths)), lengths)
        token = np.arange(len(patient)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        own = np.array(called, object)[token] if called else np.char.add("token ", (token + 1).astype(str))
        for k, output in enumerate(found.outputs):
            parts.append(
                pd.DataFrame(
                    {
                        "patient": cohort.ids[patient].astype(object),
                        "output": output,
                        "modality": name,
                        "token": token + 1,
                        "name": own.astype(object),
                        "hours": found.times.get(name, np.full(len(patient), np.nan)),
                        "share": shares[:, k],
                        "order": place[patient],
                    }
                )
            )
    table = pd.concat(parts, ignore_index=True)
    size = -table["share"].abs()
    table["rank"] = size.groupby([table["order"], table["output"]]).rank(method="first").astype(int)
    return table.sort_values(["order", "output", "modality", "token"], kind="stable", ignore_index=True).drop(
        columns="order"
    )


def _summary(found: TokenShares, names: dict[str, tuple[str, ...]], seed: int) -> pd.DataFrame:
    """Mean and mean size of each named token, or of a bag's tokens together and of its foremost one."""
    rng = np.random.default_rng(seeded(seed, "draws"))
    rows = []
    for name in names:
        each, called = _by_patient(found, name, names[name])  # (n, tokens, C)
        sizes = np.abs(each)
        ends = interval_of_means(sizes.reshape(len(each), -1), rng).reshape(2, *sizes.shape[1:])
        rows += [
            (output, name, called[t], len(each), each[:, t, k].mean(), sizes[:, t, k].mean(), *ends[:, t, k])
            for k, output in enumerate(found.outputs)
            for t in range(len(called))
        ]
    return pd.DataFrame(rows, columns=list(SUMMARY))


def _by_patient(found: TokenShares, name: str, names: Sequence[str]) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return the shares `(n, tokens, C)` of named tokens of those who have them; of a bag the sum and the foremost."""
    shares, lengths = found.shares[name], found.lengths[name]
    own = lengths[lengths > 0]
    outputs = len(found.outputs)
    if names:
        return shares.reshape(len(own), len(names), outputs), tuple(names)
    starts = np.cumsum(own) - own
    high, low = np.maximum.reduceat(shares, starts), np.minimum.reduceat(shares, starts)
    foremost = np.where(high >= -low, high, low)
    return np.stack([np.add.reduceat(shares, starts), foremost], axis=1), (WHOLE, FOREMOST)


def _of_the_gap(found: TokenShares, steps: int) -> Iterator[str]:
    gap, size = float(found.gap.mean()), float(np.abs(found.change).mean())
    part = gap / size if size > 0 else np.nan
    told = f", {part:.2%} of its mean size" if np.isfinite(part) else ""
    yield (
        f"The shares of a patient miss what the link differs from that of the baseline by {gap:.2g} in the mean{told}: "
        f"an integral by {steps} points, not exact"
    )
    if part > WIDE_GAP:
        yield "That is much: ask for more steps before a share is leaned on"


def _halves(found: TokenShares, names: dict[str, tuple[str, ...]], seed: int) -> Iterator[tuple[object, ...]]:
    rng = np.random.default_rng(seeded(seed, "halves"))
    for name, called in names.items():
        if not called:
            continue
        each, _ = _by_patient(found, name, called)
        sizes = np.abs(each).mean(axis=2)
        agreed = (np.nan,) * 3
        if len(sizes) >= FEWEST_OF_AN_INTERVAL:
            splits = [np.array_split(rng.permutation(len(sizes)), 2) for _ in range(SPLITS)]
            sides = [np.stack([sizes[split[side]].mean(axis=0) for split in splits]) for side in (0, 1)]
            agreed = rank_agreement(sides[0], sides[1], seed)
        yield "halves", name, len(called), *agreed


def _of_nothing(
    found: TokenShares, nothing: TokenShares, names: dict[str, tuple[str, ...]], seed: int
) -> Iterator[tuple[object, ...]]:
    rng = np.random.default_rng(seeded(seed, "bags"))
    for name, called in names.items():
        if called:
            ours, theirs = (
                np.abs(_by_patient(own, name, called)[0]).mean(axis=(0, 2))[None] for own in (found, nothing)
            )
            yield "nothing", name, len(called), *rank_agreement(ours, theirs, seed)
            continue
        each = []  # of a bag, whose tokens have no names, within patients
        ends = np.cumsum(found.lengths[name])
        for start, end in zip(ends - found.lengths[name], ends, strict=True):
            if end - start >= FEWEST_RANKED:
                first, second = (rankdata(np.abs(own.shares[name][start:end]).mean(axis=1)) for own in (found, nothing))
                if np.ptp(first) and np.ptp(second):
                    each.append(float(np.corrcoef(first, second)[0, 1]))
        told = np.array(each)
        estimate = (np.nan,) * 3
        if len(told) >= FEWEST_OF_AN_INTERVAL:
            low, high = interval_of_means(told[:, None], rng)[:, 0]
            estimate = float(told.mean()), float(low), float(high)
        yield "nothing", name, int(np.median(found.lengths[name][found.lengths[name] > 0])), *estimate


def _judged(checks: pd.DataFrame) -> Iterator[str]:
    for row in checks.to_dict("records"):
        found = correlated(row["correlation"], row["low"], row["high"])
        if row["check"] == "halves" and row["correlation"] < LOW_AGREEMENT:
            yield (
                f"The order of the tokens of '{row['modality']}' differs between two halves of the patients ({found}): "
                "do not lean on it"
            )
        if row["check"] == "nothing" and row["low"] > HIGH_LIKENESS:
            yield (
                f"The order of the tokens of '{row['modality']}' is much that of a network that has learned nothing "
                f"({found}): it tells how far tokens lie from the baseline, more than what was learned"
            )
