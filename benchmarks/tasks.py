"""Weight merges of one encoder fine-tuned for different tasks, against the number of tasks.

    python benchmarks/tasks.py [--data ../shared/data] [--out runs/tasks] [--epochs 10] [--splits 4]

The five labels of ptbxl-ecg are five tasks of one network for ECGs, which `adapt.py` trains here without labels. Two of
the eight given folds are tested in each of four splits. On the other patients the network is tuned whole for each label
(`full-tuning`): five encoders from one start, each with the readout and head of its task. For every set of K labels the
encoders are merged, and each task of the set is read from the merged encoder by what it had learned.

Shown is AUROC, mean over the tasks of a set, sets and splits. `tuned`: each task by its own encoder, K of them.
`pretrained`: the network as it was before, each task by a readout that was trained on it (`probe`). `untuned`: the same
network, read by what the tuned encoders were read by. Intervals: a bootstrap of people, the same draw for every row,
conditional on the fitted models.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

import chiasm
from adapt import ecg
from chiasm.cohort import Cohort, Multilabel
from chiasm.encoders import pack
from chiasm.evaluation.estimates import percentile_interval
from chiasm.evaluation.intervals import bootstrap_weights
from chiasm.fitting.base import trainable
from chiasm.merging import METHODS, make_method, merge_models
from chiasm.metrics.scores import score
from chiasm.recipes.adaptation.trunks import adapted_modalities
from chiasm.recipes.registry import make_recipe
from chiasm.tokens import Packed
from chiasm.training import Network, predict_link
from chiasm.training.batches import presence

LABELS = ("CD", "HYP", "MI", "NORM", "STTC")
METHODS_SHOWN = ("linear", "slerp", "task-arithmetic", "ties", "dare-ties", "breadcrumbs")
SUMS = ("task-arithmetic", "ties", "dare-ties", "breadcrumbs")  # of what was learned, at a fixed scale as in the papers
SCALE = 0.4
ENCODER = "fusion.trained."
DRAWS = 1_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(__file__).parents[1] / ".." / "shared" / "data")
    parser.add_argument("--out", type=Path, default=Path("runs/tasks"))
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--splits", type=int, default=4)
    options = parser.parse_args()
    torch.set_num_threads(1)
    start = time.perf_counter()
    cohort = chiasm.open_cohort(options.data / "ptbxl-ecg" / "cohort.toml").with_modalities(["ecg"])
    scores = [split_scores(cohort, split, options) for split in range(options.splits)]
    print(summary(scores).to_string())
    print(f"{(time.perf_counter() - start) / 60:.1f} min")


def summary(scores: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Rows by K: the mean over sets and splits, with its interval."""
    draws = np.nanmean([own.to_numpy() for own in scores], axis=0)  # (rows, 1 + DRAWS)
    shown = pd.Series(
        [f"{row[0]:.3f} ({low:.3f} to {high:.3f})" for row in draws for low, high in [percentile_interval(row[1:])]],
        index=scores[0].index,
    )
    return shown.unstack("tasks").reindex(scores[0].index.get_level_values("row").unique())


def split_scores(cohort: Cohort, split: int, options: argparse.Namespace) -> pd.DataFrame:
    """`(rows x K, 1 + DRAWS)` of one split: the score, and that of every draw."""
    file = options.out / f"split-{split}-epochs-{options.epochs}.parquet"
    if not file.exists():
        tested = [str(2 * split + 1), str(2 * split + 2)]
        cohort = replace(cohort, fold=np.where(np.isin(cohort.fold, tested), "test", "train"))
        out = options.out / f"split-{split}"
        encoders = ecg(cohort, out)
        encoded = chiasm.encode(cohort, encoders, store=out / "store", inputs=True).cohort
        found = pd.concat(rows(encoded, options.epochs), names=["row", "tasks"])
        found.to_parquet(file)
        print(f"split {split}: {json.dumps({k: round(v, 3) for k, v in found[0].groupby('row').mean().items()})}")
    return pd.read_parquet(file)


@dataclass(frozen=True)
class Tuned:
    """A network trained for one task, and what is needed to predict with other weights in its place."""

    label: str
    network: Network
    state: dict[str, Tensor]
    start: dict[str, Tensor]

    @classmethod
    def of(cls, cohort: Cohort, label: str, epochs: int) -> Tuned:
        """The network tuned whole on the training patients for one label."""
        training = trainable(for_label(cohort, label), 0, None, "cpu")
        recipe = make_recipe(f"full-tuning:epochs={epochs}")
        data, design, trunks = recipe.prepared(training)
        start = {f"{ENCODER}0.{key}": value.clone() for key, value in next(iter(trunks.values())).state_dict().items()}
        network = recipe.network(training, data, design, trunks)
        state = {key: value.clone() for key, value in network.state_dict().items()}
        return cls(label, network, state, start)

    @property
    def encoder(self) -> dict[str, Tensor]:
        """The weights of the encoder alone."""
        return {name: value for name, value in self.state.items() if name.startswith(ENCODER)}

    def predicted(self, tokens: Mapping[str, Packed], encoder: Mapping[str, Tensor]) -> pd.DataFrame:
        """The task read from another encoder, as the link."""
        self.network.load_state_dict({**self.state, **encoder})
        link = predict_link(self.network, tokens, presence(tokens, sorted(tokens)))
        return pd.DataFrame(link[:, :1], columns=[f"p_{self.label}"])


def rows(cohort: Cohort, epochs: int) -> dict[str, pd.DataFrame]:
    """Each row's scores by K, on the test patients of a cohort that is encoded with its inputs."""
    train, test = (cohort.subset(np.flatnonzero(cohort.fold == name)) for name in ("train", "test"))
    drawn = bootstrap_weights(len(test), DRAWS, np.random.default_rng(0), test.group)
    people = np.concatenate([np.ones((1, len(test)), drawn.dtype), drawn])
    probe = make_recipe(f"probe:epochs={epochs}")
    tuned = {label: Tuned.of(train, label, epochs) for label in LABELS}
    base, tokens = tuned[LABELS[0]].start, pack(test, adapted_modalities(test))

    def scored(label: str, said: pd.DataFrame) -> np.ndarray:
        """`(1 + DRAWS,)`: AUROC of a task, and in every draw."""
        outcome = for_label(test, label).outcome
        found: np.ndarray = score("multilabel", said, outcome, [label], people, metrics=["auroc"])["auroc"]
        return found

    def merged_scores(chosen: Sequence[str], encoder: Mapping[str, Tensor]) -> list[np.ndarray]:
        """Of each task, read from one encoder."""
        return [scored(label, tuned[label].predicted(tokens, encoder)) for label in chosen]

    untuned = dict(zip(LABELS, merged_scores(LABELS, base), strict=True))
    alone = {
        "pretrained": {
            label: scored(label, probe.fit(for_label(train, label), seed=0).predict(test)) for label in LABELS
        },
        "tuned": {label: merged_scores([label], own.encoder)[0] for label, own in tuned.items()},
        "untuned": untuned,
    }
    sets = {k: list(combinations(LABELS, k)) for k in range(1, len(LABELS) + 1)}
    found = {
        name: {k: np.nanmean([by[label] for own in sets[k] for label in own], axis=0) for k in sets}
        for name, by in alone.items()
    }
    for name in METHODS_SHOWN:
        given = {"scale": SCALE, "normalize": False} if name in SUMS else {}
        method = make_method(name, **given)
        start = base if METHODS[name].needs_base else None
        found[name] = {}
        for k, chosen in sets.items():
            scores = []
            for labels in chosen:
                merged = merge_models([tuned[label].encoder for label in labels], None, method, start)
                scores += merged_scores(labels, merged)
            found[name][k] = np.nanmean(scores, axis=0)
    return {name: pd.DataFrame(by).T for name, by in found.items()}


def for_label(cohort: Cohort, label: str) -> Cohort:
    """The same patients, asked for one label."""
    column = list(cohort.target.columns).index(label)
    value = cohort.outcome.value[:, [column]]
    outcome = replace(cohort.outcome, value=value, known=~np.isnan(value[:, 0]))
    return replace(cohort, target=Multilabel((label,)), outcome=outcome)


if __name__ == "__main__":
    main()
