"""Made sequences with known answers: from a chain of letters, and families that share a letter."""

from __future__ import annotations

from pathlib import Path

import numpy as np

LETTERS = np.array(list("ACGT"))
CHAIN = 0.05 + 0.8 * np.roll(np.eye(4), 1, axis=1)
"""Each letter is followed by the next of the alphabet with .85, by each other with .05."""
ENTROPY_RATE = float(-(CHAIN[0] * np.log(CHAIN[0])).sum())
"""Of the chain in nats a letter, less than which no network needs."""


def chain(number: int, length: int, seed: int = 0) -> list[str]:
    """Sequences whose letters follow one another by `CHAIN`."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(number):
        letters = [int(rng.integers(4))]
        while len(letters) < length:
            letters.append(int(rng.choice(4, p=CHAIN[letters[-1]])))
        found.append("".join(LETTERS[letters]))
    return found


def families(number: int, members: int, length: int) -> dict[str, str]:
    """Sequences, each once, to their family: three letters of four are one letter of the family's, the others any."""
    rng = np.random.default_rng(0)
    found = {}
    for family in range(number):
        for _ in range(members):
            other = rng.random(length) < 0.25
            found["".join(np.where(other, rng.choice(LETTERS, length), LETTERS[family % 4]))] = f"f{family}"
    return found


def write_cohort(folder: Path, texts: list[str], encoder: str = "", **columns: list[str]) -> Path:
    """Write a cohort of one modality of DNA, with further columns of its table; `fold` prescribes the folds."""
    folder.mkdir(parents=True, exist_ok=True)
    head = ["id", "sick", "dna", *columns]
    own = [f"p{k:03d}" for k in range(len(texts))], [str(k % 2) for k in range(len(texts))], texts, *columns.values()
    lines = [",".join(row) for row in (head, *zip(*own, strict=True))]
    (folder / "patients.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    named = f'encoder = "{encoder}"\n' if encoder else ""
    if "fold" in columns:
        rows = [",".join(row) for row in (("id", "fold"), *zip(own[0], columns["fold"], strict=True))]
        (folder / "folds.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    folds = '[folds]\ntable = "folds.csv"\n' if "fold" in columns else ""
    (folder / "cohort.toml").write_text(
        f'name = "made"\n[patients]\ntable = "patients.csv"\nid = "id"\n[target]\nkind = "classification"\n'
        f'column = "sick"\n[modalities.dna]\nkind = "dna"\ncolumn = "dna"\n{named}{folds}',
        encoding="utf-8",
    )
    return folder / "cohort.toml"
