"""The mixed diffusion: columns come back, what is given stays, the same seed draws the same, missing is not taught."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from made_patients import patients

from chiasm.generation.catalogue import GENERATORS, make_generator
from chiasm.generation.generator import Expects, HasDensity
from chiasm.generation.mixed_columns import MixedColumns
from chiasm.generation.mixed_diffusion import FittedMixedDiffusion, MixedDiffusion
from chiasm.generation.mixed_network import network_of
from chiasm.generation.rows import OUTCOME, Rows

QUICK = MixedDiffusion(steps=15, width=32, updates=150)


@pytest.fixture(scope="module")
def real() -> Rows:
    return patients(0, 300, 35)


@pytest.fixture(scope="module")
def fitted(real: Rows) -> FittedMixedDiffusion:
    return QUICK.fit(real)


def test_patients_in_numbers_and_back_are_themselves(real: Rows) -> None:
    narrow = real.only([OUTCOME, "clinical"])
    columns = MixedColumns.fit(narrow)
    again = columns.rows(columns.coded(narrow), None, None)
    pd.testing.assert_frame_equal(
        again.blocks["clinical"][["stage", "marker"]], narrow.blocks["clinical"][["stage", "marker"]]
    )
    assert (again.blocks["clinical"]["age"] - narrow.blocks["clinical"]["age"]).abs().median() < 0.3
    whole = MixedColumns.fit(real)
    assert ("rna", "factor 0") in whole.numbers and len(whole.wide["rna"].loadings) == 35
    says, there = whole.indicators()
    named = [own for own, one in zip(whole.codes, says, strict=True) if one]
    assert len(named) == 2 and [own for own in named if own[1] == "rna"] and sorted(there[says]) == [0, 1]


def test_whole_patients_have_words_decimals_and_what_is_missing(real: Rows, fitted: FittedMixedDiffusion) -> None:
    made, again = fitted.sample(400, 1), fitted.sample(400, 1)
    for name, own in made.blocks.items():
        pd.testing.assert_frame_equal(own, again.blocks[name])
    table = made.blocks["clinical"]
    assert set(table["stage"]) == {"I", "II", "III"} and set(table["marker"].dropna()) == {0.0, 1.0}
    np.testing.assert_allclose(table["age"], table["age"].round(1))
    assert abs(table["marker"].isna().mean() - 0.15) < 0.12 and abs(made.present["rna"].mean() - 0.7) < 0.15
    assert made.blocks["rna"][~made.present["rna"]].isna().all(axis=None)
    assert not fitted.sample(400, 2).blocks["clinical"].equals(table)
    rank = table["stage"].map({"I": 0, "II": 1, "III": 2})
    assert table["age"].corr(rank, method="spearman") > 0.15


def test_what_is_given_stays_and_the_rest_follows_it(real: Rows, fitted: FittedMixedDiffusion) -> None:
    some = real.only(["clinical", "rna"]).take(np.arange(80))
    drawn, expected = fitted.sample(80, 3, some), fitted.expected(some)
    for made in (drawn, expected):
        pd.testing.assert_series_equal(made.blocks["clinical"]["age"], some.blocks["clinical"]["age"])
        pd.testing.assert_frame_equal(made.blocks["rna"].where(some.blocks["rna"].notna()), some.blocks["rna"])
        assert not any(one.isna().any(axis=None) for one in made.blocks.values()) and made.present["rna"].all()
    lacking = ~some.present["rna"]
    assert expected.blocks["rna"][lacking].mean(axis=1).corr(some.blocks["clinical"]["age"][lacking]) > 0.5


def test_a_missing_cell_that_no_column_tells_of_teaches_nothing(real: Rows) -> None:
    columns = MixedColumns.fit(real.only(["clinical"]))
    torch.manual_seed(0)
    network = network_of(columns, 5, 8)
    values, known = network.values(columns.coded(real.only(["clinical"])))
    hidden = known._replace(numbers=known.numbers * 0)
    at = torch.full((len(known.numbers),), 2)
    found = network.loss(values, hidden, known.nothing(), at, torch.Generator().manual_seed(0)).sum()
    found.backward()
    assert not network.layers[-1].weight.grad[0].any() and network.layers[-1].weight.grad[1:].any()


def test_it_is_found_by_name_with_options_and_keeps_the_contract(fitted: FittedMixedDiffusion, real: Rows) -> None:
    made = make_generator("mixed-diffusion:steps=15,width=32,updates=150", GENERATORS)
    assert made == QUICK and made.name == "mixed-diffusion:steps=15,width=32,updates=150"
    assert MixedDiffusion().name == "mixed-diffusion"
    with pytest.raises(ValueError, match="generator 'mixed-diffusion' has no option 'step': did you mean 'steps'"):
        make_generator("mixed-diffusion:step=3", GENERATORS)
    with pytest.raises(ValueError, match="takes at least 2 steps"):
        make_generator("mixed-diffusion:steps=0", GENERATORS)
    assert isinstance(fitted, Expects) and isinstance(fitted, HasDensity)
    shuffled = real.take(np.random.default_rng(0).permutation(len(real)))
    odd = Rows({**real.blocks, OUTCOME: shuffled.blocks[OUTCOME]}, real.present, {})
    assert fitted.log_density(real).mean() > fitted.log_density(odd).mean()


@pytest.mark.nightly
def test_levels_without_an_order_are_drawn_which_no_copula_can() -> None:
    """A word that is the middle of a number: a copula orders words one way along it, and puts it at an end."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=800)
    kind = np.where(np.abs(x) < 0.6, "a", np.where(rng.random(800) < 0.5, "b", "c")).astype(object)
    rows = Rows({"t": pd.DataFrame({"x": x, "kind": pd.Series(kind, dtype=object)})}, {"t": np.ones(800, bool)}, {})

    def inner(own: pd.DataFrame) -> float:
        return float(own["x"][own["kind"] == "a"].abs().median() / own["x"][own["kind"] != "a"].abs().median())

    made = {name: inner(make_generator(name, GENERATORS).fit(rows).sample(800, 0).blocks["t"])
            for name in ("gaussian-copula", "mixed-diffusion")}  # fmt: skip
    assert inner(rows.blocks["t"]) < 0.3 and made["mixed-diffusion"] < 0.4 < made["gaussian-copula"]
