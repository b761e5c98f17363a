"""Writes an archive of small models of every recipe: model folders, the cohorts they read, and what they predict.

    PYTHONPATH=src:tests python tests/archive/make_archive.py tests/archive/0.1.0

It is run once a release, by the code of that release, and its result is never changed afterwards. The folder holds
`cohorts/` and `networks/` (of tiny frozen encoders), `models/<case>/`, `predictions/<case>.csv`, `cases.json` (case to
recipe and manifest) and `parts/`: a storable part of each kind that stands in none of the models.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from pathlib import Path

from archive_cohorts import write_cohorts
from archive_parts import archived_parts

import chiasm
from chiasm import artifact
from tiny_models import tiny_models

NETWORK = "latents=4,latent_width=8,heads=2,epochs=2"
MERGED = f"{NETWORK},tune_epochs=1"
FUSED = f"{NETWORK},fuse_epochs=2"
TUNED = "epochs=2,latent_width=4"
EVERY = ("classification", "multilabel", "regression", "survival")
TWO = ("classification", "survival")
ONE = ("classification",)

# (recipe, sources, targets)
CASES: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("single:clinical", "mixed", EVERY),
    ("single:omics", "mixed", EVERY),
    ("single:cells", "mixed", EVERY),
    ("early-fusion", "mixed", EVERY),
    ("late-fusion", "mixed", EVERY),
    ("stacked-fusion", "mixed", EVERY),
    ("late-fusion", "sources", ONE),
    ("kron-rls", "mixed", ("classification", "regression")),
    (f"healnet:{NETWORK}", "mixed", TWO),
    (f"healnet:{NETWORK},tied=true,depth=3", "mixed", ONE),
    (f"healnet:{NETWORK}", "sources", ONE),
    (f"lego-merge:{NETWORK}", "mixed", TWO),
    (f"lego-merge:{NETWORK},domain=complex,method=geometric,soup=2,head_method=ot", "mixed", ONE),
    (f"lego-merge:{NETWORK},method=logits", "mixed", ONE),
    (f"lego-fuse:{FUSED}", "mixed", TWO),
    (f"lego-fuse:{FUSED},mode=weave,domain=complex", "mixed", ONE),
    (f"flora:{NETWORK},base_epochs=2,rounds=2,ranks=4/2", "mixed", TWO),
    (f"wise-ft:{MERGED}", "mixed", ONE),
    (f"slerp-merge:{MERGED}", "mixed", ONE),
    (f"breadcrumbs:{MERGED},views=patients,granularity=row", "mixed", ONE),
    (f"portllm:{MERGED},limit=1.0", "mixed", ONE),
    (f"probe:{TUNED}", "notes", EVERY),
    (f"lora:rank=2,{TUNED}", "notes", EVERY),
    (f"lora:modality=note,rank=2,{TUNED}", "notes", ONE),
    (f"full-tuning:{TUNED}", "notes", ONE),
    (f"ia3:{TUNED}", "notes", ONE),
    (f"norm-tuning:{TUNED}", "notes", ONE),
    (f"prefix:tokens=3,{TUNED}", "notes", ONE),
    (f"ssf:{TUNED}", "notes", ONE),
    (f"dvpt:attend=false,{TUNED}", "notes", ONE),
    (f"dvpt:{TUNED}", "scans", ONE),
    (f"petl-ast:reduction=4,{TUNED}", "notes", ONE),
    (f"petl-ast:position=houlsby,layout=sequential,{TUNED}", "notes", ONE),
    (f"pego:rank=2,{TUNED}", "notes", ONE),
    (f"lt-sft:share=0.1,rounds=2,l1=0.1,{TUNED}", "notes", ONE),
    (f"sara:share=0.2,nuclear=0.01,{TUNED}", "notes", ONE),
    (f"memcontrol:trials=3,trial_epochs=1,rank=2,{TUNED}", "notes", ONE),
    (f"unipt:narrow=4,{TUNED}", "notes", TWO),
    (f"prompt-learning:words=no=cough;yes=fever,template={{text}} a {{mask}} .,prompts=3,{TUNED}", "notes", ONE),
    (f"mftcoder:rank=2,warmup=0,window=2,{TUNED}", "notes", ("multilabel",)),
    ("got-d:site=north,share=0.9,recipe=healnet;epochs=1;latents=2;latent_width=4;heads=1", "mixed", ONE),
    (f"noise-mask:rank=2,mask_epochs=2,grid=2,{TUNED}", "scans", ONE),
)


def main(folder: Path) -> None:
    """Fill an empty folder."""
    if folder.exists() and any(folder.iterdir()):
        sys.exit(f"'{folder}' is not empty: an archive that exists is never changed")
    (folder / "cohorts").mkdir(parents=True)
    os.chdir(folder)  # models name their encoders as the manifests do, from here
    write_cohorts(Path("cohorts"))
    with tempfile.TemporaryDirectory() as place:
        os.environ["CHIASM_STORE"] = str(Path(place) / "tokens")
        made = tiny_models(Path(place) / "networks")
        for name in ("bert", "vit"):
            shutil.copytree(made / name, Path("networks") / name)
        cases = _models()
    artifact.save("parts", archived_parts())

    Path("cases.json").write_text(json.dumps(cases, indent=1) + "\n", encoding="utf-8")


def _models() -> dict[str, dict[str, str]]:
    """Fit, save and predict; returns case to its recipe and its manifest."""
    cases: dict[str, dict[str, str]] = {}
    Path("predictions").mkdir()
    for recipe, sources, targets in CASES:
        for target in targets:
            manifest = f"cohorts/{sources}-{target}.toml"
            name = f"{len(cases):02d}-{recipe.partition(':')[0]}-{target}"
            model = chiasm.fit(chiasm.open_cohort(manifest), recipe, seed=0)
            model.save(Path("models") / name)
            model.predict(chiasm.open_cohort(manifest)).to_csv(Path("predictions") / f"{name}.csv")
            cases[name] = {"recipe": recipe, "manifest": manifest}
            print(name, flush=True)
    return cases


if __name__ == "__main__":
    main(Path(sys.argv[1]).absolute())
