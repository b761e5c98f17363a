"""What adapting an encoder costs and brings, from nothing (a linear probe) over every adapter to everything.

    python benchmarks/adapt.py [--data ../shared/data] [--out runs/adapt] [--epochs 3] [--jobs 2] [task ...]

Text (the questions of pubmedqa) runs through MiniLM, whose weights a package ships. No network for ECG, images or
volumes does, so a small one is trained here from nothing and stands for a pretrained one: it learns to tell how its
input was transformed (Gidaris et al., ICLR 2018; Sarkar and Etemad, IEEE TAC 2020), from the inputs of training
patients, without a label. Each recipe is then fitted on the given training patients and tested once on the others;
ptbxl-ecg, which has eight folds, is tested on the last two. Intervals and differences to the probe: the trial's
bootstrap of patients (groups). Seconds a step and peak memory above what the process held before: a fit on 64 patients
in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

import chiasm
from chiasm.cohort import Unsupported
from chiasm.encoders import make_encoder
from chiasm.encoders.adaptable import Trunk
from chiasm.evaluation.estimates import percentile_interval
from chiasm.evaluation.intervals import trial_differences
from chiasm.recipes.registry import RECIPES, make_recipe
from chiasm.tokens import Tokens

RECIPES_SHOWN = (
    "probe", "full-tuning", "norm-tuning", "ssf", "ia3", "lora", "lora:where=all", "pego", "petl-ast",
    "petl-ast:block=conv", "dvpt", "prefix", "lt-sft", "sara", "memcontrol", "unipt",
)  # fmt: skip
TASKS = ("pubmedqa", "ptbxl-ecg", "chest-xray", "adrenal-ct")
PRETRAINING_EPOCHS = 8
MEASURED = 64


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tasks", nargs="*", default=list(TASKS))
    parser.add_argument("--data", type=Path, default=Path(__file__).parents[1] / ".." / "shared" / "data")
    parser.add_argument("--out", type=Path, default=Path("runs/adapt"))
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--recipes", nargs="*", default=list(RECIPES_SHOWN))
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.measure:
        (task,) = options.tasks
        print(json.dumps(measured(ready(task, options), options.measure)))
        return
    for task in options.tasks:
        start = time.perf_counter()
        print(f"\n{task}\n{table(task, options).to_string(index=False)}", flush=True)
        print(f"{(time.perf_counter() - start) / 60:.1f} min", flush=True)


def table(task: str, options: argparse.Namespace) -> pd.DataFrame:
    """A row a recipe that the cohort's encoders allow."""
    cohort = ready(task, options)
    known = [name for name in options.recipes if name.partition(":")[0] in RECIPES]
    plain = {with_epochs(name, options.epochs): name for name in known if possible(name, cohort)}
    names = list(plain)
    frozen = [f"single:{name}" for name in cohort.modalities] + ["stacked-fusion"] * (len(cohort.modalities) > 1)
    trial = chiasm.evaluate(cohort, [*frozen, *names], out=options.out / task / "trial", resume=True, jobs=options.jobs)
    rows = []
    for row in trial.document["recipes"]:
        shown = {"recipe": plain.get(row["name"], row["name"]), "metric": row["metric"]}
        shown |= {"score": f"{row['mean']:.3f} ({row['low']:.3f} to {row['high']:.3f})"}
        if row["name"] in names:
            shown |= {"less probe": less(trial, row["name"], options)}
        shown["trained"] = f"{row['trained_parameters']:,}"
        if row["name"] in names:
            shown |= cost(task, plain[row["name"]], options)
        rows.append(shown)
    return pd.DataFrame(rows).fillna("")


def with_epochs(name: str, epochs: int) -> str:
    """The name of the recipe with as many epochs as the benchmark gives."""
    return str(make_recipe(f"{name}{',' if ':' in name else ':'}epochs={epochs}").name)


def possible(name: str, cohort: chiasm.Cohort) -> bool:
    """Whether the recipe runs on this cohort; why not is printed."""
    try:
        make_recipe(name).supports(cohort)
    except Unsupported as error:
        print(f"  without {name}: {error}", flush=True)
        return False
    return True


def less(trial: chiasm.Trial, name: str, options: argparse.Namespace) -> str:
    """The difference of the primary metric to the linear probe, with its interval."""
    probe = with_epochs("probe", options.epochs) if "probe" in RECIPES else ""
    if name == probe or probe not in trial.frames:
        return ""
    sides = [list(trial.frames[own].values()) for own in (name, probe)]
    points, draws = trial_differences(trial.kind, list(trial.folds.values()), *sides, trial.classes, trial.draws)
    low, high = percentile_interval(draws)
    return f"{float(np.mean(points)):+.3f} ({low:+.3f} to {high:+.3f})"


def cost(task: str, name: str, options: argparse.Namespace) -> dict[str, str]:
    """Seconds a step and peak memory, in a process of its own."""
    command = [
        sys.executable,
        __file__,
        task,
        "--measure",
        name,
        "--data",
        str(options.data),
        "--out",
        str(options.out),
    ]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found = json.loads(done.stdout.splitlines()[-1])
    return {"ms a step": f"{1000 * found['seconds']:.0f}", "peak MB": f"{found['megabytes']:.0f}"}


def measured(cohort: chiasm.Cohort, name: str) -> dict[str, float]:
    """Of a fit on a few patients: the time of a step, and the highest memory less that before."""
    few = cohort.subset(np.flatnonzero(cohort.fold == "train")[:MEASURED])

    def fitted(epochs: int) -> float:
        start = time.perf_counter()
        make_recipe(f"{with_epochs(name, epochs)},patience=9").fit(few, seed=0)
        return time.perf_counter() - start

    before = resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak counts from here
    fitted(1)
    peak = resident("VmHWM")
    steps = -(-int(0.8 * len(few)) // 16)
    short, long = (min(fitted(epochs) for _ in range(2)) for epochs in (1, 7))
    return {"seconds": (long - short) / (6 * steps), "megabytes": peak - before}


def resident(field: str) -> float:
    """Megabytes of this process."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(float(line.split()[1]) / 1024 for line in lines if line.startswith(field))


def ready(task: str, options: argparse.Namespace) -> chiasm.Cohort:
    """The cohort encoded by its network, inputs kept, one fold to test."""
    cohort = chiasm.open_cohort(options.data / task / "cohort.toml")
    if task == "pubmedqa":  # the abstracts would take MiniLM ten times as long
        cohort = cohort.with_modalities(["question"])
    if task == "ptbxl-ecg":
        cohort = replace(cohort, fold=np.where(np.isin(cohort.fold, ["7", "8"]), "test", "train"))
    encoders = {"pubmedqa": texts, "ptbxl-ecg": ecg, "chest-xray": images, "adrenal-ct": volumes}[task]
    return chiasm.encode(cohort, encoders(cohort, options.out / task), store=options.out / "store", inputs=True).cohort


def texts(cohort: chiasm.Cohort, out: Path) -> dict[str, str]:
    """MiniLM as it is shipped."""
    return {"question": "minilm:chunks=1,pieces=48"}


def ecg(cohort: chiasm.Cohort, out: Path) -> dict[str, str]:
    """A small Net1D that tells a recording from one upside down, backwards, or with its leads in another order."""
    file = out / "net1d.safetensors"

    def changed(inputs: Tensor, kind: int) -> Tensor:
        length = int(inputs[0, 0])
        leads = inputs[:, 1 : 1 + 12 * length].reshape(-1, 12, length)
        leads = [leads, -leads, leads.flip(2), leads.roll(6, 1)][kind]
        return torch.cat([inputs[:, :1], leads.flatten(1)], 1)

    if not file.exists():
        state = pretrained(cohort, "ecg", "net1d:random=true,size=small,windows=1", changed)
        written(file, state)
    return {"ecg": f"net1d:weights={file},size=small,windows=1"}


def images(cohort: chiasm.Cohort, out: Path) -> dict[str, str]:
    """A small vision transformer that tells how an image was turned."""
    folder = vision(out / "vit", 28, 255.0)
    spec = f"hf:{folder},level=token"
    turn(cohort, spec, 28, folder)
    return {"image": spec}


def volumes(cohort: chiasm.Cohort, out: Path) -> dict[str, str]:
    """The same network on eight slices of a volume."""
    folder = vision(out / "vit", 32, 1.0)
    spec = f"slices:count=8,scale=volume,encoder=hf:{folder},level=pooled"
    turn(cohort, spec, 32, folder)
    return {"image": spec}


def vision(folder: Path, side: int, high: float) -> Path:
    """A ViT of 4 layers and 64 numbers, initial weights, in the folder that transformers writes."""
    if not (folder / "config.json").exists():
        from transformers import ViTConfig, ViTModel

        torch.manual_seed(0)
        config = ViTConfig(
            hidden_size=64, num_hidden_layers=4, num_attention_heads=4, intermediate_size=128, image_size=side,
            patch_size=4, num_channels=1,
        )  # fmt: skip
        ViTModel(config, add_pooling_layer=False).save_pretrained(folder)
        prepared = {"do_normalize": True, "image_mean": [0.5], "image_std": [0.25], "size": side, "resample": 2}
        (folder / "preprocessor_config.json").write_text(json.dumps(prepared), encoding="utf-8")
    return folder


def turn(cohort: chiasm.Cohort, spec: str, side: int, folder: Path) -> None:
    """Train the network of an encoder to tell by how many right angles its images were turned."""
    if (folder / "done").exists():
        return

    def changed(inputs: Tensor, kind: int) -> Tensor:
        return torch.rot90(inputs.reshape(-1, side, side), kind, (1, 2)).flatten(1)

    state = pretrained(cohort, "image", spec, changed)
    written(folder / "model.safetensors", state)
    (folder / "done").touch()


def pretrained(
    cohort: chiasm.Cohort, modality: str, spec: str, changed: Callable[[Tensor, int], Tensor]
) -> dict[str, Tensor]:
    """The state of an encoder's network that learned in which of four ways inputs of training patients were changed."""
    from chiasm.readers import reader_for

    train = cohort.subset(np.flatnonzero(cohort.fold == "train")).with_modalities([modality])
    kind = train.kinds[modality]
    encoder, reader = make_encoder(spec, kind), reader_for(kind)
    inputs = encoder.inputs([reader.read(item) for item in train.raw(modality)])
    rows = inputs.values[inputs.mask]
    trunk: Trunk = encoder.trunk().requires_grad_(True)
    torch.manual_seed(0)
    head = nn.Sequential(nn.LayerNorm(encoder.width), nn.Linear(encoder.width, 4))
    optimiser = torch.optim.AdamW([*trunk.parameters(), *head.parameters()], lr=1e-3, weight_decay=1e-2)
    for epoch in range(PRETRAINING_EPOCHS):
        right = 0
        for batch in torch.randperm(len(rows))[:4096].split(64):
            kinds = torch.randint(4, (len(batch),))
            given = rows[batch].clone()
            for way in range(4):
                given[kinds == way] = changed(given[kinds == way], way) if bool((kinds == way).any()) else given[:0]
            found = trunk(Tokens(given[:, None], torch.ones(len(batch), 1, dtype=torch.bool)))
            logits = head((found.values * found.mask[..., None]).sum(1) / found.mask.sum(1, keepdim=True))
            loss = nn.functional.cross_entropy(logits, kinds)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            right += int((logits.argmax(1) == kinds).sum())
        print(f"  pretraining {modality}, epoch {epoch + 1}: {right / min(4096, len(rows)):.2f} right", file=sys.stderr)
    return {name: value.detach().contiguous() for name, value in trunk.network.state_dict().items()}


def written(file: Path, state: dict[str, Tensor]) -> None:
    """The weights in a file that appears whole."""
    file.parent.mkdir(parents=True, exist_ok=True)
    save_file(state, file.with_suffix(".tmp"))
    file.with_suffix(".tmp").replace(file)


if __name__ == "__main__":
    main()
