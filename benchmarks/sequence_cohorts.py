"""Cohorts of sequences from their public files, as folders with a manifest.

    python benchmarks/sequence_cohorts.py promoters-bacillus OUT [--data ../shared/data]
    python benchmarks/sequence_cohorts.py gb1-sampled OUT

promoters-ecoli, promoters-bacillus: 81 bases, promoters against fragments of genes (Umarov and Solovyev, PLoS ONE
2017). As released, the fragments all stand on the strand opposite to the gene's, so that which strand a sequence is
given on tells its class. Here every sequence stands in the cohort on both strands, and both are in one group, which no
fold splits: what is left to tell is what both strands say.

gb1-one_vs_rest, -two_vs_rest, -three_vs_rest, -low_vs_high, -sampled: fitness of 8,733 variants of protein G at four
sites (Wu et al., eLife 2016), the five splits of FLIP (Dallago et al., NeurIPS 2021), one test set each; its validation
rows are training rows.

carcinogens: 280 molecules as SMILES, carcinogenic or not (Lagunin et al. 2009, from TDC).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd

DATA = Path(__file__).parents[1] / ".." / "shared" / "data"
TURNED = str.maketrans("ACGTNacgtn", "TGCANtgcan")
SPLITS = ("one_vs_rest", "two_vs_rest", "three_vs_rest", "low_vs_high", "sampled")
SPECIES = {"ecoli": "Ecoli", "bacillus": "Bacillus"}
NAMES = (*(f"promoters-{own}" for own in SPECIES), *(f"gb1-{own}" for own in SPLITS), "carcinogens")
MANIFEST = """name = "{name}"
[patients]
table = "patients.csv"
id = "id"
{more}
[target]
kind = "{target}"
column = "{outcome}"
[modalities.sequence]
kind = "{kind}"
column = "sequence"
{folds}"""


def fasta(file: Path) -> list[str]:
    """The sequences of a FASTA file, in order."""
    found: list[str] = []
    for line in file.read_text(encoding="utf-8").splitlines():
        if line.startswith(">"):
            found.append("")
        elif line.strip():
            found[-1] += line.strip().upper()
    return found


def promoters(data: Path, species: str) -> pd.DataFrame:
    """Promoters and fragments of genes on both strands; both of one sequence are a group."""
    folder, rows = data / "wings" / "promoters-bacteria", []
    for label, end in (("promoter", "prom"), ("gene", "non_prom")):
        for number, own in enumerate(fasta(folder / f"{SPECIES[species]}_{end}.fa")):
            group = f"{label}{number:04d}"
            rows += [
                {"id": f"{group}+", "pair": group, "is": label, "sequence": own},
                {"id": f"{group}-", "pair": group, "is": label, "sequence": own.translate(TURNED)[::-1]},
            ]
    return pd.DataFrame(rows)


def write(name: str, out: Path, data: Path = DATA) -> Path:
    """Write a cohort's table and manifest, and return the manifest."""
    kind, _, which = name.partition("-")
    folds, more = "", ""
    if kind == "promoters":
        frame, more = promoters(data, which), 'group = "pair"'
        facts = {"target": "classification", "outcome": "is", "kind": "dna"}
    elif kind == "gb1":
        whole = pd.read_csv(data / "wings" / "flip-gb1" / "gb1.csv.gz")
        frame = pd.DataFrame(
            {"id": [f"v{number:04d}" for number in range(len(whole))], "fitness": whole["target"]}
            | {"sequence": whole["sequence"].str.rstrip("*"), "fold": whole[which].map({"train": "train", "test": "1"})}
        ).dropna()
        facts = {"target": "regression", "outcome": "fitness", "kind": "protein"}
        folds = '[folds]\ntable = "folds.csv"\n'
    else:
        whole = pd.read_csv(data / "wings" / "carcinogens-lagunin" / "carcinogens_lagunin.tab", sep="\t")
        frame = pd.DataFrame({"id": whole["Drug_ID"], "carcinogen": whole["Y"], "sequence": whole["Drug"]})
        facts = {"target": "classification", "outcome": "carcinogen", "kind": "molecule"}
    out.mkdir(parents=True, exist_ok=True)
    if folds:
        frame[["id", "fold"]].to_csv(out / "folds.csv", index=False)
    frame.drop(columns="fold", errors="ignore").to_csv(out / "patients.csv", index=False)
    text = MANIFEST.format(name=name, more=more, folds=folds, **facts)
    (out / "cohort.toml").write_text(text, encoding="utf-8")
    return out / "cohort.toml"


def main() -> None:
    """Write the cohort that is named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=NAMES)
    parser.add_argument("out", type=Path)
    parser.add_argument("--data", type=Path, default=DATA)
    options = parser.parse_args()
    print(write(options.name, options.out, options.data))


if __name__ == "__main__":
    main()
