"""Values that patients share are read and fitted once for all, with the predictions of fits that do not know."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import chiasm
from chiasm.compute.memo import forget
from chiasm.encoders import fit_encoders, pack, sharing, stored
from chiasm.linear import moments
from chiasm.linear.shared_rows import SharedRows
from chiasm.recipes.baselines import early
from chiasm.tokens import PackedTokens, SharedTokens
from small_recipes import at_night

pytestmark = pytest.mark.filterwarnings("ignore::chiasm.errors.FindingWarning")  # values are shared on purpose
DRUGS, PROTEINS, N = 14, 9, 300  # more pairs than components, so that the penalties tried are the same


@pytest.fixture
def pairs(tmp_path: Path) -> dict[str, chiasm.Cohort]:
    """300 pairs of 14 drugs, columns of a table, and 9 proteins, sequences; some pairs lack the drug."""
    rng = np.random.default_rng(0)
    drugs = pd.DataFrame(rng.normal(size=(DRUGS, 6)), columns=[f"d{k}" for k in range(6)])
    drug, protein = rng.integers(0, DRUGS, N), rng.integers(0, PROTEINS, N)
    sequences = ["".join(rng.choice(list("ACDEFGHIKL"), 60)) for _ in range(PROTEINS)]
    value = drugs["d0"].to_numpy()[drug] + rng.normal(size=PROTEINS)[protein] + 0.3 * rng.normal(size=N)
    ligand = np.where(rng.random(N) < 0.1, "none", [f"l{k}" for k in drug])
    table = pd.DataFrame({"pair": [f"p{k:03d}" for k in range(N)], "ligand": ligand, "y": value})
    table["kind"] = np.where(value > 0, "binds", "not")
    table["target"] = [f"t{k}" for k in protein]
    table.to_csv(tmp_path / "pairs.csv", index=False)
    drugs.assign(ligand=[f"l{k}" for k in range(DRUGS)]).to_csv(tmp_path / "ligands.csv", index=False)
    targets = pd.DataFrame({"target": [f"t{k}" for k in range(PROTEINS)], "sequence": sequences})
    targets.to_csv(tmp_path / "targets.csv", index=False)
    cohorts = {}
    for kind, column in (("regression", "y"), ("classification", "kind")):
        (tmp_path / f"{kind}.toml").write_text(
            f'name = "pairs"\n[patients]\ntable = "pairs.csv"\nid = "pair"\n[target]\nkind = "{kind}"\n'
            f'column = "{column}"\n[modalities.drug]\nkind = "table"\ntable = "ligands.csv"\non = "ligand"\n'
            f'columns = {list(drugs.columns)}\n[modalities.protein]\nkind = "protein"\ntable = "targets.csv"\n'
            'on = "target"\ncolumn = "sequence"\n'
        )
        cohorts[kind] = chiasm.encode(chiasm.open_cohort(tmp_path / f"{kind}.toml"), jobs=1).cohort
    return cohorts


def share_from_ten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sharing, "FROM_PATIENTS", 10)
    monkeypatch.setattr(stored, "SHARED_FROM", 10)
    monkeypatch.setattr(moments, "FROM_ROWS", 10)


@pytest.mark.parametrize("kind", ["regression", *at_night("classification")])
def test_predictions_equal_those_of_a_fit_that_does_not_share(
    pairs: dict[str, chiasm.Cohort], kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    cohort, column = pairs[kind], "prediction" if kind == "regression" else "p_binds"
    found = []
    for share in (False, True):
        if share:
            share_from_ten(monkeypatch)
        forget()
        recipes = ("single:protein", "early-fusion", "stacked-fusion")
        found.append([chiasm.fit(cohort, recipe, seed=0).predict(cohort)[column].to_numpy() for recipe in recipes])
    forget()
    for plain, shared in zip(*found, strict=True):
        np.testing.assert_allclose(shared, plain, atol=1e-3)  # of the solver: 1e-5 of the L1 threshold
        assert plain.std() > 0.05


def test_early_fusion_keeps_a_table_of_each_modality(
    pairs: dict[str, chiasm.Cohort], monkeypatch: pytest.MonkeyPatch
) -> None:
    share_from_ten(monkeypatch)
    cohort = pairs["regression"]
    model = chiasm.fit(cohort, "early-fusion", seed=0)
    own = early.columns(cohort, model.predictor.features, model.predictor.means)
    assert isinstance(own, SharedRows)
    assert [len(table) for table in own.tables] == [DRUGS + 1, PROTEINS + 1]  # and a row for whoever lacks it
    lacking = ~cohort.present[:, cohort.modalities.index("drug")]
    assert lacking.any() and not np.asarray(own)[lacking, :6].any()


def test_tokens_are_packed_once(pairs: dict[str, chiasm.Cohort], monkeypatch: pytest.MonkeyPatch) -> None:
    cohort = pairs["regression"]
    encoders = fit_encoders(cohort)
    plain = pack(cohort, encoders)
    monkeypatch.setattr(sharing, "FROM_PATIENTS", 10)
    shared, rows = pack(cohort, encoders), np.random.default_rng(0).permutation(N)[:40]
    for name in cohort.modalities:
        one, other = shared[name], plain[name]
        assert isinstance(one, SharedTokens) and isinstance(other, PackedTokens)
        assert len(one.packed) == {"drug": DRUGS, "protein": PROTEINS}[name] + 1
        assert (len(one), one.width, one.slots) == (len(other), other.width, other.slots)
        np.testing.assert_array_equal(one.lengths, other.lengths)
        for few in (one.take(rows), one.subset(rows).take(np.arange(40))):
            np.testing.assert_allclose(few.values.numpy(), other.take(rows).values.numpy(), atol=1e-6)
            np.testing.assert_array_equal(few.mask.numpy(), other.take(rows).mask.numpy())


def test_an_encoder_weighs_a_shared_value_by_its_patients(
    pairs: dict[str, chiasm.Cohort], monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = pairs["regression"].raw("protein")
    plain = stored.StoredTokensEncoder().fit(raw)
    monkeypatch.setattr(stored, "SHARED_FROM", 10)
    shared = stored.StoredTokensEncoder().fit(raw)
    assert len(raw.different()[0]) == PROTEINS
    for name in ("mean", "scale"):
        np.testing.assert_allclose(getattr(shared, name), getattr(plain, name), rtol=1e-6)
    np.testing.assert_allclose(shared.features(raw), plain.features(raw), atol=1e-6)
