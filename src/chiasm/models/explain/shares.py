"""What each modality brings to a patient's prediction: Shapley values, exact, with absence as the way to take it away.

    phi_m = sum over S within P without m of |S|! (|P| - |S| - 1)! / |P|!  (f(S + m) - f(S)),    m in P

P is what the patient has, `f(S)` the model's prediction of the patient with the modalities S and no other, and
`f(none)` the mean prediction of the patients who are explained, for models with a prior too. A modality that is taken
away is absent, never zero or a mean, as every model of ours predicts any subset. The shares of a patient sum to the
prediction less `f(none)` (completeness); one who lacks a modality has no share of it, and one who has none of them is
not explained. Source: Shapley 1953; Lundberg and Lee, NeurIPS 2017, for whom what is taken away is drawn from other
patients; here it need not be.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import factorial

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from chiasm.cohort import Cohort, Unsupported
from chiasm.evaluation.intervals import bootstrap_weights
from chiasm.protocols import Model

FEWEST_PATIENTS = 2
FEWEST_OF_AN_INTERVAL = 10
MOST_MODALITIES = 8  # 255 subsets, each of which is a prediction of all patients


def modality_shares(
    model: Model,
    cohort: Cohort,
    modalities: list[str],
    *,
    whole: pd.DataFrame | None = None,
    base: pd.Series | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> pd.DataFrame:
    """Split each patient's prediction among the modalities.

    Args:
        cohort: encoded patients, each with one of the modalities or more.
        modalities: those that the model reads.
        whole: the model's prediction of these patients, where it is known already.
        base: `f(none)` by output, such as `reference_of` gives, so that one patient can be explained; None: the mean
            prediction of these patients.
        progress: called with (finished, all) subsets.

    Returns:
        One row a patient, output and modality that the patient has: `patient, pattern, output, prediction, base,
        modality, share`, in the cohort's row order.

    Raises:
        Unsupported: more than eight modalities, or fewer than two patients without a base.
    """
    if len(modalities) > MOST_MODALITIES:
        raise Unsupported(
            f"{len(modalities)} modalities have {2 ** len(modalities) - 1:,} subsets, each of which is a prediction of "
            f"all patients: at most {MOST_MODALITIES} can be explained"
        )
    if base is None and len(cohort) < FEWEST_PATIENTS:
        raise Unsupported(
            "a share is how a patient's prediction differs from that of others: give two patients or more"
        )
    known = cohort.with_modalities(modalities)
    names, order = known.modalities, known.order
    whole = model.predict(known) if whole is None else whole
    outputs = [name for name in whole.columns if name != "pattern"]
    nothing = whole[outputs].to_numpy(np.float64).mean(axis=0) if base is None else base[outputs].to_numpy(np.float64)
    shares = np.zeros((len(names), len(known), len(outputs)))
    for subset, own in enumerate(_of_all_subsets(model, known, whole[outputs], progress)):
        value = np.where(np.isnan(own), nothing, own)
        for m, factor in enumerate(_factors(subset, len(names))):
            shares[m] += factor * value
    shares = shares[:, order]
    patient, modality = np.nonzero(known.present[order])
    return pd.DataFrame(
        {
            "patient": np.repeat(whole.index.to_numpy()[patient], len(outputs)),
            "pattern": np.repeat(whole["pattern"].to_numpy()[patient], len(outputs)),
            "output": np.tile(outputs, len(patient)),
            "prediction": whole[outputs].to_numpy(np.float64)[patient].ravel(),
            "base": np.tile(nothing, len(patient)),
            "modality": np.repeat(np.array(names, dtype=object)[modality], len(outputs)),
            "share": shares[modality, patient].ravel(),
        }
    )


def _of_all_subsets(
    model: Model, cohort: Cohort, whole: pd.DataFrame, progress: Callable[[int, int], None] | None
) -> Iterator[NDArray[np.float64]]:
    """Predictions `(n, outputs)` in sorted row order with each subset alone, NaN for those who have nothing of it.

    The last is that of all modalities, `whole`.
    """
    names = cohort.modalities
    for subset in range(2 ** len(names) - 1):
        inside = np.array([bool(subset >> m & 1) for m in range(len(names))])
        rows = np.flatnonzero((cohort.present & inside).any(axis=1))
        predicted = np.full((len(cohort), whole.shape[1]), np.nan)
        if len(rows):
            alone = cohort.subset(rows)
            for name in np.array(names)[~inside]:
                alone = alone.without(name, alone.rows_of(name))
            predicted[rows] = model.predict(alone).loc[list(alone.ids), list(whole)].to_numpy(np.float64)
        yield predicted
        if progress is not None:
            progress(subset + 1, 2 ** len(names) - 1)
    yield whole.loc[list(cohort.ids)].to_numpy(np.float64)


def _factors(subset: int, modalities: int) -> list[float]:
    """What each modality's share takes of the value of a subset, given by its bits: with it, or, less, without.

    A modality that a patient lacks changes no subset's value, so that the sum over all subsets is that over those of
    what the patient has.
    """
    size, most = subset.bit_count(), factorial(modalities)
    return [
        factorial(size - 1) * factorial(modalities - size) / most
        if subset >> m & 1
        else -factorial(size) * factorial(modalities - size - 1) / most
        for m in range(modalities)
    ]


def mean_shares(rows: pd.DataFrame, *, draws: int = 1000, seed: int = 0) -> pd.DataFrame:
    """How much each modality moves the predictions of those who have it, with the 95 % interval of drawing patients.

    Patients are drawn one by one, also those of one group, and `base` is held.

    Returns:
        One row an output and modality: `output, modality, patients, mean, size, low, high`: the mean share, and the
        mean of its absolute value with its interval, NaN where fewer than ten have the modality.
    """
    rng = np.random.default_rng(seed)
    found = []
    for (output, modality), own in rows.groupby(["output", "modality"], sort=False):
        share = own["share"].to_numpy()
        size = np.abs(share)
        low, high = interval_of_means(size[:, None], rng, draws)[:, 0]
        found.append((output, modality, len(own), share.mean(), size.mean(), low, high))
    outputs = list(rows["output"].unique())
    found.sort(key=lambda row: outputs.index(row[0]))  # the modalities of an output side by side
    return pd.DataFrame(found, columns=["output", "modality", "patients", "mean", "size", "low", "high"])


def interval_of_means(values: NDArray[np.float64], rng: np.random.Generator, draws: int = 1000) -> NDArray[np.float64]:
    """Return the ends `(2, P)` of the 95 % intervals of P means over n patients, `(n, P)`, who are drawn again.

    NaN where there are fewer than ten.
    """
    n = len(values)
    if n < FEWEST_OF_AN_INTERVAL:
        return np.full((2, values.shape[1]), np.nan)
    return np.quantile(bootstrap_weights(n, draws, rng) @ values / n, [0.025, 0.975], axis=0)
