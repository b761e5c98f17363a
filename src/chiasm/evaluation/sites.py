"""Internal-external validation: how a recipe does at each site, from models that never saw the site.

With `by="site"` every site lies on one side of each fold, so that its out-of-fold predictions come from the other sites
alone. The metric is computed within the site in each repeat and averaged over repeats; its interval and its standard
error are those of a bootstrap of the site's patients (groups are drawn as a whole). Over sites AUROC and C are combined
on the logit scale, with the standard error divided by c (1 - c), and R2 as it is.

Source: Steyerberg and Harrell 2016, doi:10.1016/j.jclinepi.2015.04.005; Debray et al. 2019,
doi:10.1177/0962280218785504.
"""

from __future__ import annotations

import zlib
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from chiasm.cohort.units import alone_where_empty
from chiasm.evaluation.estimates import estimate_of, mean_over_folds, mean_over_labels
from chiasm.evaluation.intervals import bootstrap_weights, fold_values, one_label
from chiasm.evaluation.meta import random_effects
from chiasm.evaluation.stored_rows import require_recipe
from chiasm.metrics.scores import PRIMARY

if TYPE_CHECKING:
    from chiasm.evaluation.trial import Trial

LEAST = 5
"""Fewest patients of a site that is shown with numbers."""
ON_LOGITS = ("auroc", "harrell_c")
COLUMNS = ("recipe", "site", "number", "n", "events", "metric", "mean", "low", "high", "se")


def site_table(trial: Trial, recipe: str) -> pd.DataFrame:
    """Table of a recipe's primary metric at each site: `COLUMNS`, the largest site first.

    `number` counts the sites from 1 in this order; NaN where a site's patients or events are too few for a metric.

    Raises:
        ValueError: the folds were not drawn by site, or there is no such recipe.
    """
    if "site" not in trial.outcomes:
        raise ValueError("sites are told apart only where folds keep them together: evaluate with by='site'")
    require_recipe(trial, recipe)
    site = trial.outcomes["site"].to_numpy(str)
    tested = np.zeros(len(site), dtype=bool)
    for fold in trial.folds.values():
        tested[fold.patients] = True
    names = sorted({name for name in site[tested].tolist() if name})
    sizes = {name: int((tested & (site == name)).sum()) for name in names}
    rows = []
    for number, name in enumerate(sorted(names, key=lambda name: (-sizes[name], name)), start=1):
        here = tested & (site == name)
        mean, low, high, spread = at_site(trial, recipe, here, zlib.crc32(name.encode()))
        events = int(trial.outcomes.loc[here, "event"].sum()) if "event" in trial.outcomes else None
        rows.append((recipe, name, number, sizes[name], events, PRIMARY[trial.kind], mean, low, high, spread))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def at_site(trial: Trial, recipe: str, here: np.ndarray, salt: int) -> tuple[float, float, float, float]:
    """Mean, interval and standard error of the primary metric among the patients `here` (N,); NaN if not estimable."""
    protocol, rows = trial.document["protocol"], np.flatnonzero(here)
    groups = alone_where_empty(trial.outcomes["group"].to_numpy(str)[rows]) if "group" in trial.outcomes else None
    draws = np.zeros((protocol["draws"], len(here)), dtype=np.uint16)
    rng = np.random.default_rng([protocol["seed"], salt])
    draws[:, rows] = bootstrap_weights(len(rows), protocol["draws"], rng, groups)
    folds, frames = [], []
    for key, fold in trial.folds.items():
        own = np.flatnonzero(here[fold.patients])
        if len(own):
            folds.append(fold.take(own))
            frames.append(trial.frames[recipe][key].iloc[own])
    metric = PRIMARY[trial.kind]

    if trial.target.has_labels:
        several = []
        for k in range(len(trial.classes)):
            one, said, label = one_label(folds, frames, trial.classes, k)
            several.append(fold_values(trial.kind, one, said, label, draws, [metric])[metric])
        share, drawn = mean_over_labels(several)
        mean = float(mean_over_folds(share[:, None])[0])
    else:
        point, each = fold_values(trial.kind, folds, frames, trial.classes, draws, [metric])[metric]
        mean, drawn = float(mean_over_folds(point)[0]), mean_over_folds(each)
    found = estimate_of(mean, drawn)
    spread = float(np.nanstd(drawn, ddof=1)) if found.bounded else np.nan
    return found.mean, found.low, found.high, spread


SMALLEST_SPREAD = 1e-9  # below it a standard error is a rounding: the site's patients cannot be ranked, or all are
TOO_SMALL = "too small to be estimated"
ONE_GROUP = "of one group, or of too few, without an interval"
NO_SPREAD = "not estimable, because every draw of its patients has the same value, as of a constant prediction"


def site_summary(trial: Trial, recipe: str) -> dict[str, Any]:
    """Describe a recipe over the sites for `trial.json`: each site by its number, and the random-effects summary.

    A site of fewer than five patients has no numbers, and no site is named: a hospital may give a patient away. Who is
    left out of the summary is counted by why.
    """
    table, metric = site_table(trial, recipe), PRIMARY[trial.kind]
    mean, spread = (table[name].to_numpy(np.float64) for name in ("mean", "se"))
    logit = metric in ON_LOGITS
    small = np.isnan(mean) | (table["n"].to_numpy() < LEAST)
    whole = ~small & np.isnan(spread)
    still = ~small & ~whole & ((spread <= SMALLEST_SPREAD) | (logit & ((mean <= 0) | (mean >= 1))))
    used = ~(small | whole | still)
    why = {TOO_SMALL: small, ONE_GROUP: whole, NO_SPREAD: still}
    y, se = mean[used], spread[used]
    if logit:
        y, se = np.log(y / (1 - y)), se / (y * (1 - y))
    found = asdict(random_effects(y, se**2))
    for name in ("mean", "low", "high", "new_low", "new_high") if logit else ():
        found[name] = float(1 / (1 + np.exp(-found[name])))
    sites = [
        {"site": int(row["number"]), "n": int(row["n"]), "events": row["events"]}
        | {key: row[key] if own else None for key in ("mean", "low", "high")}
        if row["n"] >= LEAST
        else {"site": int(row["number"]), "n": None, "events": None, "mean": None, "low": None, "high": None}
        for own, row in zip(used | whole, table.to_dict("records"), strict=True)
    ]
    return {
        "recipe": recipe,
        "metric": metric,
        "scale": "logit" if logit else "identity",
        "sites": sites,
        "left_out": int((~used).sum()),
        "why_left_out": {reason: int(own.sum()) for reason, own in why.items() if own.any()},
        "summary": found,
    }
