"""Makes every page of the gallery, each from a made-up cohort that the package draws: nobody's data is in it.

A maker writes one page into an empty folder and returns where; those of the service start one and yield its address.
"""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import chiasm
from chiasm.cohort import synthetic_cohort

FUSIONS = ["late-fusion", "early-fusion"]
PROTOCOL = chiasm.Protocol(folds=5, repeats=1)


def trial(cohort: Any, folder: Path, outcome: str = "", recipes: list[str] = FUSIONS, **options: Any) -> Path:
    """The page of a trial; it must end in the `outcome` that its entry in the gallery promises."""
    found = chiasm.evaluate(cohort, recipes, PROTOCOL, out=folder / "run", jobs=1, **options)
    if outcome and found.verdict.outcome != outcome:
        raise ValueError(f"the verdict is '{found.verdict.outcome}' and the gallery says '{outcome}'")
    return folder / "run" / "report.html"


def pays(folder: Path) -> Path:
    return trial(synthetic_cohort("complementary", n=1200, seed=0), folder, "pays")


def does_not_pay(folder: Path) -> Path:
    return trial(synthetic_cohort("redundant", n=2000, seed=0), folder, "does not pay")


def more_patients(folder: Path) -> Path:
    return trial(synthetic_cohort("redundant", n=2000, seed=0, missing=0.4), folder, "predicts more patients")


def cannot_tell(folder: Path) -> Path:
    return trial(synthetic_cohort("complementary", n=80, seed=0, missing=0.3), folder, "cannot tell")


def survival(folder: Path) -> Path:
    return trial(synthetic_cohort("complementary", n=800, target="survival", seed=0, missing=0.2), folder)


def drawn(seed: int, n: int = 400) -> Any:
    """Patients of one hospital or one year: the same rule, other draws."""
    return synthetic_cohort("complementary", n=n, seed=seed, missing=0.2)


def fitted() -> Any:
    return chiasm.fit(drawn(0), "late-fusion", seed=0)


def validation(folder: Path) -> Path:
    return Path(chiasm.validate(fitted(), drawn(1)).report(folder / "validation.html"))


def monitoring(folder: Path) -> Path:
    """Six months; from the fourth on twice as many lack a modality."""
    months = [
        replace(
            synthetic_cohort("complementary", n=200, seed=month, missing=0.2 if month < 4 else 0.4),
            name=f"month {month}",
        )
        for month in range(1, 7)
    ]
    return Path(chiasm.monitor(fitted(), months).report(folder / "monitor.html"))


def stress(folder: Path) -> Path:
    return Path(chiasm.stress(drawn(0), "late-fusion", protocol=PROTOCOL, jobs=1).report(folder / "stress.html"))


def embedding(folder: Path) -> Path:
    cohort = synthetic_cohort("complementary", n=400, seed=0).with_modalities(["m1"])
    values = np.random.default_rng(0).normal(size=(len(cohort), 8))
    np.save(folder / "chance.npy", values)
    found = chiasm.embed(cohort, files={"of_chance": folder / "chance.npy"}, protocol=PROTOCOL, jobs=1)
    return Path(found.report(folder / "embed.html"))


def generation(folder: Path) -> Path:
    chiasm.generate(synthetic_cohort("complementary", n=500, seed=0), folder / "nobody", patients=500, seed=0)
    return folder / "nobody" / "generated.html"


def enhanced(folder: Path) -> Path:
    from chiasm.segmentation.phantoms import phantom

    images, _ = phantom(0, (40, 40))
    chiasm.enhance(images["clear"], scale=2, page=folder / "fine.html", steps=400)
    return folder / "fine.html"


def pretraining(folder: Path) -> Path:
    rng = np.random.default_rng(0)
    rows = ["case,sick,dna"]
    for number in range(160):
        letters = [int(rng.integers(4))]
        while len(letters) < 60:  # each letter is followed by the next of the alphabet four times of five
            letters.append((letters[-1] + 1) % 4 if rng.random() < 0.8 else int(rng.integers(4)))
        rows.append(f"{number:03d},{number % 2},{''.join('ACGT'[k] for k in letters)}")
    (folder / "patients.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    (folder / "cohort.toml").write_text(
        'name = "receptors"\n[patients]\ntable = "patients.csv"\nid = "case"\n'
        '[target]\nkind = "classification"\ncolumn = "sick"\n[modalities.dna]\nkind = "dna"\ncolumn = "dna"\n',
        encoding="utf-8",
    )
    found = chiasm.pretrain(
        folder / "cohort.toml", folder / "encoder", method="causal", network="gru:width=24,depth=1", epochs=8, batch=16
    )
    return Path(found.report(folder / "pretrain.html"))


def raster_pretraining(folder: Path) -> Path:
    from chiasm.segmentation.phantoms import phantom_cohort

    found = chiasm.pretrain(
        phantom_cohort(folder / "phantoms", 60, (32, 32), seed=1), folder / "encoder", modality="clear", method="mae",
        network="vit:width=32,depth=2", epochs=8, batch=16,
    )  # fmt: skip
    return Path(found.report(folder / "films.html"))


def states(folder: Path) -> Path:
    rng = np.random.default_rng(0)
    rates = np.array([[2.0, 0.2, 0.5], [0.2, 2.0, 0.5]])  # spikes a bin of three neurons in two states
    trials, following = {}, []
    for number in range(60):
        bins = int(rng.integers(40, 80))
        hidden = (np.cumsum(rng.random(bins + 1) < 0.05) + rng.integers(2)) % 2
        counts = rng.poisson(rates[hidden])
        trials[f"trial-{number:02d}"] = counts[:-1]
        following.append(counts[-1])
    cohort = chiasm.cohort_from_frames(
        pd.DataFrame({"next": following}, index=list(trials)), {"spikes": trials},
        target=chiasm.Responses("next", unit="spikes"), name="recordings",
    )  # fmt: skip
    model = chiasm.fit(cohort, "hmm-glm:states=2,kernels=2,restarts=1", seed=0)
    return Path(chiasm.states(model, cohort).report(folder / "states.html"))


def twins(folder: Path) -> Path:
    found = chiasm.control({
        "twin": "compartment", "patients": {"train": 6, "test": 12}, "training": {"steps": 24, "epochs": 12},
        "test": {"steps": 24},
    })  # fmt: skip
    return Path(found.report(folder / "twin.html"))


def always_the_first(item: dict[str, Any]) -> str:
    """A model that reads no question."""
    return str(item["options"][0])


def bench(folder: Path) -> Path:
    """Four hundred questions of the form of MedQA whose words mean nothing, and a model that always answers A."""
    rng, lines = np.random.default_rng(0), []
    for k, place in enumerate(rng.integers(0, 4, 400).tolist()):
        options = {letter: f"remedy {letter.lower()}{k}" for letter in "ABCD"}
        lines.append(json.dumps({
            "question": f"A patient with finding {k * 7} and sign {k * 3}. What is to be done first?",
            "answer": options["ABCD"[place]], "options": options, "meta_info": f"step{1 + k % 2}",
            "answer_idx": "ABCD"[place],
        }))  # fmt: skip
    (folder / "questions").mkdir()
    (folder / "questions" / "medqa_us_4_options_test.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    found = chiasm.bench("medqa", data=folder / "questions", model=always_the_first)
    return Path(found.report(folder / "bench.html"))


@contextlib.contextmanager
def served(folder: Path, **options: Any) -> Iterator[str]:
    """A service of one model on a free port of this machine."""
    import uvicorn

    from chiasm.api.serving import serving_app

    with socket.socket() as own:
        own.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(serving_app([str(folder)], **options), log_level="error", ws="none"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [own]}, daemon=True)
        thread.start()
        until = time.monotonic() + 60
        while not server.started and thread.is_alive() and time.monotonic() < until:
            time.sleep(0.02)
        yield f"http://127.0.0.1:{own.getsockname()[1]}"
        server.should_exit = True
        thread.join(20)
