"""Principal components of single cells: the public check, and what the tokens hold."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from chiasm.encoders.catalogue import make_encoder
from chiasm.encoders.molecule.cells import POOLED, CellComponents, _normalised, _spaced
from chiasm.readers import Cells
from chiasm.testing import check_encoder

GENES = tuple(f"G{k:03d}" for k in range(60))


def patient(seed: int, cells: int = 30, genes: tuple[str, ...] = GENES, kind: float | None = None) -> Cells:
    """Two kinds of cell, each with ten genes of its own; `kind` is the fraction of the first."""
    rng = np.random.default_rng(seed)
    rate = {gene: np.array([1.0, 1.0]) for gene in GENES}
    for k in range(10):
        rate[GENES[k]], rate[GENES[10 + k]] = np.array([12.0, 0.5]), np.array([0.5, 12.0])
    first = rng.random(cells) < (0.5 if kind is None else kind)
    rates = np.stack([np.where(first, *rate[gene]) for gene in genes], axis=1)
    return Cells(rng.poisson(rates * rng.uniform(0.5, 4, (cells, 1))).astype(np.float32), genes)


def cohort(n: int = 8) -> list[Cells]:
    return [patient(seed, 5 + 6 * seed) for seed in range(n)]


@pytest.mark.parametrize(
    "encoder",
    [CellComponents(), CellComponents(components=3, cells=7, genes=25), CellComponents(components=500)],
    ids=["as it comes", "small", "more components than there can be"],
)
def test_the_public_check(encoder: CellComponents) -> None:
    raw = cohort()
    before = [own.values.copy() for own in raw]
    check_encoder(encoder, raw)
    for own, values in zip(raw, before, strict=True):
        np.testing.assert_array_equal(own.values, values)


def test_the_first_component_tells_the_kinds_of_cell_apart() -> None:
    fitted = CellComponents(components=5).fit(cohort())
    only = [fitted.encode([patient(99, 40, kind=kind)]).values[0, :, 0].numpy() for kind in (0.0, 1.0)]
    assert max(only[0].min(), only[1].min()) > min(only[0].max(), only[1].max()), "they do not overlap"
    assert {GENES[k] for k in range(20)} <= {fitted.panel[k] for k in CellComponents(genes=20).fit(cohort()).chosen}


def test_a_deeper_sequenced_cell_is_the_same_cell() -> None:
    raw = cohort()
    fitted = CellComponents().fit(raw)
    deeper = [Cells(own.values * 10, own.genes) for own in raw]
    np.testing.assert_allclose(fitted.encode(deeper).values, fitted.encode(raw).values, atol=1e-5)
    empty = fitted.encode([Cells(np.zeros((3, 60), np.float32), GENES)])
    assert np.isfinite(empty.values.numpy()).all() and empty.mask.all()


def test_the_order_of_genes_and_genes_of_no_other_patient_change_nothing() -> None:
    raw = cohort()
    fitted = CellComponents().fit(raw)
    turned = [Cells(own.values[:, ::-1], own.genes[::-1]) for own in raw]
    wider = [Cells(np.c_[own.values, own.values.sum(1)], (*own.genes, "of this study")) for own in raw]
    for other in (turned, wider):
        np.testing.assert_allclose(fitted.encode(other).values, fitted.encode(raw).values, atol=1e-6)
    again = CellComponents().fit(turned)
    np.testing.assert_allclose(again.encode(raw).values, fitted.encode(raw).values, atol=1e-6)
    assert CellComponents().fit([*raw[:-1], wider[-1]]).panel == GENES


def test_genes_that_are_missing() -> None:
    raw = cohort()
    fitted = CellComponents().fit(raw)
    few = Cells(raw[-1].values[:, 5:], GENES[5:])
    at_mean = np.tile(fitted.projection.mean, (len(few.values), 1))
    at_mean[:, 5:] = _normalised(sparse.csc_matrix(few.values)).toarray()
    np.testing.assert_allclose(fitted.encode([few]).values[0], fitted.projection(at_mean), atol=1e-5)
    with pytest.raises(ValueError, match="40 of the 60 genes of the encoder are missing, the first is 'G020'"):
        fitted.encode([Cells(raw[-1].values[:, :20], GENES[:20])])
    with pytest.raises(ValueError, match="no gene in common"):
        CellComponents().fit([raw[0], Cells(raw[1].values, tuple(f"X{k}" for k in range(60)))])
    with pytest.raises(ValueError, match="two cells"):
        CellComponents().fit([Cells(raw[0].values[:1], GENES)])
    with pytest.raises(ValueError, match="not fitted"):
        CellComponents().encode(raw)
    with pytest.raises(ValueError, match="one or more"):
        CellComponents(cells=0)


def test_a_patient_gives_so_many_tokens_and_no_more() -> None:
    raw = cohort()
    fitted = CellComponents(cells=20).fit(raw)
    tokens = fitted.encode(raw)
    assert tokens.mask.sum(1).tolist() == [min(20, len(own.values)) for own in raw]
    assert (tokens.values[~tokens.mask] == 0).all() and fitted.width == 50
    assert _spaced(1000, 5).tolist() == [0, 250, 500, 749, 999] and len(_spaced(501, 500)) == 500
    assert POOLED // len(raw) > 20


def test_normalised_counts_are_what_the_formula_says() -> None:
    found = _normalised(sparse.csc_matrix([[1.0, 3.0], [0.0, 0.0]])).toarray()
    np.testing.assert_allclose(found, [[np.log1p(2500), np.log1p(7500)], [0, 0]])


def test_options_come_from_a_manifest() -> None:
    made = make_encoder("cells:components=8,cells=100", "singlecell")
    assert (made.components, made.cells, made.genes, made.width) == (8, 100, 2000, 8)
