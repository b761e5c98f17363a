"""Genes and what is written of them in one space: found on families that training never had, and not by chance."""

from __future__ import annotations

import random

import numpy as np
import pandas as pd
import pytest

import chiasm
from chiasm.cohort import Cohort
from chiasm.metrics.enzymes import enzyme_scores, enzyme_terms

TEXTS = {
    "1.1.1.1": "alcohol and its acceptor",
    "1.1.1.27": "lactate and its acceptor",
    "2.7.1.1": "phosphate onto hexose",
    "3.4.21.4": "peptide bonds behind lysine",
}
FAMILIES, COPIES, LENGTH = 12, 2, 96


def genes(seed: int = 0) -> pd.DataFrame:
    """Families of genes, each of one enzyme: its motif stands in six of twelve places, all else is drawn."""
    draw = random.Random(seed)
    motifs, rows = {ec: "".join(draw.choices("ACGT", k=8)) for ec in TEXTS}, []
    for ec in TEXTS:
        for family in range(FAMILIES):
            ancestor = draw.choices("ACGT", k=LENGTH)
            for place in draw.sample(range(0, LENGTH, 8), 6):
                ancestor[place : place + 8] = motifs[ec]
            for _ in range(COPIES):
                copy = "".join(draw.choice("ACGT") if draw.random() < 0.05 else letter for letter in ancestor)
                strain = "".join(draw.choices("abcdefghij", k=4))
                rows.append((f"g{len(rows):03d}", copy, f"{TEXTS[ec]} {strain}", ec, ec, family))
    return pd.DataFrame(rows, columns=["gene", "dna", "text", "written", "ec", "family"]).set_index("gene")


def cohort_of(table: pd.DataFrame) -> Cohort:
    cohort = chiasm.cohort_from_frames(
        table[["ec"]], {"dna": table[["dna"]], "text": table[["text"]]}, target=chiasm.Classification("ec"),
        kinds={"dna": "dna", "text": "text"},
    )  # fmt: skip
    letters = "a bcdefghijklmnopqrstuvwxyz"
    spec = f"sequence:cell=gru,dim=16,depth=1,windows=0,alphabet=letters:{letters}"
    return chiasm.encode(cohort, {"dna": "kmers:windows=0", "text": spec}).cohort


def found_in_new_families(table: pd.DataFrame) -> tuple[float, float, float]:
    """Shares of genes and texts whose nearest one of the other kind says what theirs does, and the F1 of EC numbers."""
    new = table["family"] >= FAMILIES - 3
    model = chiasm.fit(
        cohort_of(table[~new]), "clip-pairs:epochs=40,share=0.9,latent_width=16,dropout=0.0,patience=40", seed=0
    )
    asked = cohort_of(table[new])
    shares = []
    for query, among in (("dna", "text"), ("text", "dna")):
        own = model.retrieve(asked, query=query, among=among, k=1)
        asks, finds = (table["written"][own[side]].to_numpy() for side in ("patient", "found"))
        shares.append(float((asks == finds).mean()))
    said = model.classify(asked.with_modalities(["dna"]), TEXTS).filter(like="p_").idxmax(axis=1).str[2:]
    terms = enzyme_terms(table["ec"][said.index].tolist(), said.tolist())
    return shares[0], shares[1], float(enzyme_scores(terms)["f1"].iloc[0])


def test_new_families_are_found_by_what_is_written_of_their_enzyme() -> None:
    there, back, f1 = found_in_new_families(genes())
    assert (there + back) / 2 > 0.65  # by chance a quarter
    assert f1 > 0.65


@pytest.mark.nightly
def test_where_texts_are_shuffled_only_chance_finds_them() -> None:
    table = genes()
    order = np.random.default_rng(0).permutation(len(table))
    shuffled = table.assign(**{name: table[name].to_numpy()[order] for name in ("text", "written")})
    there, back, _ = found_in_new_families(shuffled)
    assert (there + back) / 2 < 0.5
