"""The encoder of events: its laws, its time attention, and numbers that can be told by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from chiasm.encoders.record.event_summaries import KnownEvents, shared_codes, summaries
from chiasm.encoders.record.events import EventEncoder
from chiasm.encoders.record.time_attention import TimeAttention
from chiasm.readers import Events
from chiasm.readers.record.events import EventReader
from chiasm.testing import check_encoder
from examples import examples

REFERENCES = torch.linspace(0, 48, 7, dtype=torch.float64)


def record(*events: tuple[float, str, float]) -> Events:
    return EventReader().read(pd.DataFrame(events, columns=["hours", "code", "numeric_value"]))


def shifted(records: list[Events], hours: float) -> list[Events]:
    return [Events(own.hours + hours, own.codes, own.values) for own in records]


def cohort(patients: int = 40, seed: int = 0) -> list[Events]:
    """Glucose and a drug at irregular times; glucose rises where the drug is given."""
    random = np.random.default_rng(seed)
    made = []
    for _ in range(patients):
        drug = bool(random.integers(2))
        hours = np.sort(random.uniform(0, 48, random.integers(2, 9)))
        rows = [(h, "glucose", 100 + 20 * random.normal() + drug * h) for h in hours]
        rows += [(random.uniform(0, 48), "drug", np.nan)] if drug else []
        rows += [(0.0, "age", float(random.integers(20, 90)))]
        made.append(record(*rows))
    return made


TRAINED = EventEncoder(references=6).fit(cohort())


def test_the_laws_of_an_encoder() -> None:
    check_encoder(EventEncoder(), cohort())


def test_width_slots_and_times() -> None:
    tokens = TRAINED.encode(cohort(3, seed=1))
    assert TRAINED.vocabulary == ("age", "drug", "glucose")
    assert tokens.values.shape == (3, 6, 6) and (TRAINED.slots, TRAINED.width) == (6, 6)
    assert tokens.mask.all() and tokens.times is not None and TRAINED.grid is not None
    np.testing.assert_allclose(tokens.times, np.tile(TRAINED.grid, (3, 1)), rtol=1e-6)
    assert EventEncoder(codes=2).fit(cohort()).vocabulary == ("age", "glucose")


def test_a_value_is_found_where_it_was_seen_and_the_evidence_fades() -> None:
    grid = TRAINED.grid
    assert grid is not None and TRAINED.median is not None and TRAINED.scale is not None
    values = TRAINED.encode([record((grid[0], "glucose", 80), (grid[5], "glucose", 200), (grid[5], "glucose", 200))])
    glucose, evidence = values.values[0, :, 2].numpy(), values.values[0, :, 5].numpy()
    ends = np.arcsinh((np.array([80, 200]) - TRAINED.median[2]) / TRAINED.scale[2]) / 2
    np.testing.assert_allclose(glucose[[0, 5]], ends, atol=0.05)
    assert (np.diff(glucose) > 0).all()
    np.testing.assert_allclose(evidence[[0, 5]], np.log([2, 3]), atol=0.02)
    assert evidence.min() == evidence[[2, 3]].min()


def test_a_patient_without_any_known_code_has_tokens_without_evidence() -> None:
    tokens = TRAINED.encode([record((3, "never seen", 5))])
    assert tokens.mask.all() and not tokens.values.any()
    assert np.isfinite(TRAINED.features([record((3, "never seen", 5))])).all()


@settings(max_examples=examples(25), deadline=None)
@given(hours=st.floats(-1e3, 1e3), value=st.floats(-1e9, 1e9, width=32), seed=st.integers(0, 50))
def test_codes_unknown_in_training_change_nothing(hours: float, value: float, seed: int) -> None:
    own = cohort(1, seed)[0]
    more = record(*zip(own.hours, own.codes, own.values, strict=True), (hours, "never seen", value))
    assert torch.equal(TRAINED.encode([own]).values, TRAINED.encode([more]).values)
    np.testing.assert_array_equal(TRAINED.features([own]), TRAINED.features([more]))


@settings(max_examples=6, deadline=None)
@given(hours=st.floats(-1e5, 1e5))
def test_a_shift_of_all_hours_changes_nothing(hours: float) -> None:
    raw, moved = cohort(12), shifted(cohort(12), hours)
    one, other = EventEncoder().fit(raw), EventEncoder().fit(moved)
    torch.testing.assert_close(one.encode(raw).values, other.encode(moved).values, atol=1e-6, rtol=0)
    np.testing.assert_allclose(one.features(raw), other.features(moved), atol=1e-6)


@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 99), size=st.integers(1, 6))
def test_a_patient_does_not_depend_on_the_batch(seed: int, size: int) -> None:
    raw = [*cohort(size, seed), record((3, "never seen", 5))]
    for row in range(len(raw)):
        alone = TRAINED.encode(raw[row : row + 1]).values[0]
        torch.testing.assert_close(TRAINED.encode(raw).values[row], alone, atol=1e-6, rtol=0)
        np.testing.assert_allclose(TRAINED.features(raw)[row], TRAINED.features(raw[row : row + 1])[0], atol=1e-9)


def test_chunks_hold_whole_patients(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = [*cohort(9, 3), record((0, "never seen", 1)), *cohort(4, 4)]
    whole = TRAINED.encode(raw).values
    for most in (1, 7, 20):
        monkeypatch.setattr("chiasm.encoders.record.events.AT_ONCE", most)
        torch.testing.assert_close(TRAINED.encode(raw).values, whole, atol=1e-6, rtol=0)


def test_values_beyond_all_bounds_give_finite_tokens() -> None:
    strange = [record((-1e5, "glucose", 1e38), (1e6, "glucose", -1e38), (7, "drug", 1e9), (7, "age", np.nan))]
    assert torch.isfinite(TRAINED.encode(strange).values).all() and TRAINED.encode(strange).values.abs().max() < 5
    assert np.isfinite(TRAINED.features(strange)).all()


def test_the_birth_tells_the_age_at_the_first_other_event() -> None:
    raw = [record((-years * 8766, "MEDS_BIRTH", np.nan), (0, "HR", 60), (9, "HR", 70)) for years in (20, 30, 70)]
    known = KnownEvents.of(raw, ("HR", "MEDS_BIRTH"))
    table = summaries(known, 3, ("HR", "MEDS_BIRTH"))
    assert table["MEDS_BIRTH last"].tolist() == [20, 30, 70] and known.hours.min() == 0
    fitted = EventEncoder().fit(raw)
    assert fitted.grid is not None and (fitted.grid[0], fitted.grid[-1]) == (0, 9)


def test_summaries_are_those_told_by_hand() -> None:
    raw = [record((1, "K", 4), (3, "K", 5), (5, "K", 3), (2, "drug", np.nan)), record((0, "K", 4))]
    table = summaries(KnownEvents.of(raw, ("K", "drug")), 2, ("K", "drug"))
    first = table.iloc[0]
    assert [first[f"K {name}"] for name in ("last", "mean", "min", "max", "present", "varies")] == [3, 4, 3, 5, 1, 1]
    assert first["K slope"] == pytest.approx(np.polyfit([1, 3, 5], [4, 5, 3], 1)[0])
    assert [first[f"K {name}"] for name in ("first", "sum", "late", "since")] == [4, 12, 3, 0]
    assert (
        first["K sd"] == pytest.approx(np.std([4, 5, 3])) and first["drug since"] == 3 and np.isnan(first["drug late"])
    )
    assert table.loc[1, ["K first", "K sum", "K late", "K since", "K sd"]].tolist() == [4, 4, 4, 0, 0]
    assert first["K count"] == np.log1p(3) and first["events"] == np.log1p(4) and first["drug present"] == 1
    assert np.isnan(first["drug last"]) and table.loc[1, "drug count"] == 0
    assert table.loc[1, ["K slope", "K varies", "events"]].tolist() == [0, 0, np.log1p(1)]


def test_features_leave_out_what_says_nothing() -> None:
    names = TRAINED.scaler.columns if TRAINED.scaler else ()
    assert "age last" in names and "age mean" not in names  # measured once: the same column
    assert "age present" not in names and "drug last" not in names  # everybody has one; it has no value
    whole = TRAINED.unscaled(cohort(5))
    assert whole.shape == (5, len(names)) and np.isnan(whole).any()  # in their own units, for trees
    assert np.nanmax(whole[:, names.index("glucose last")]) > 50
    assert "glucose slope" in names and TRAINED.features(cohort(5)).shape == (5, len(names))


def test_the_vocabulary_is_what_enough_patients_share() -> None:
    raw = [record((0, "all", 1), (0, f"own {k}", 1), (0, "half" if k % 2 else "all", 1)) for k in range(10)]
    assert shared_codes(raw, 0.0, 99) == ("all", "half")
    assert shared_codes(raw, 0.6, 99) == ("all",) and shared_codes(raw, 0.0, 1) == ("all",)
    with pytest.raises(ValueError, match="no code is shared"):
        EventEncoder().fit([record((0, f"own {k}", 1)) for k in range(9)])
    assert EventEncoder(common=1.0).fit(raw[1::2] + raw[:2]).read == ("all",)


@pytest.mark.parametrize("options", [{"references": 0}, {"codes": 0}, {"share": 2.0}, {"window": 0.0}])
def test_options_that_cannot_be(options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="events encoder needs"):
        EventEncoder(**options)  # type: ignore[arg-type]


@settings(max_examples=examples(25), deadline=None)
@given(spoilt=st.sampled_from([np.nan, 1e9, -np.inf]), seed=st.integers(0, 99))
def test_what_was_not_observed_cannot_reach_the_output(spoilt: float, seed: int) -> None:
    random = np.random.default_rng(seed)
    hours, values = torch.from_numpy(random.uniform(0, 48, 20)), torch.from_numpy(random.normal(size=20))
    observed, group = torch.from_numpy(random.random(20) < 0.6), torch.from_numpy(random.integers(0, 4, 20))
    attention = TimeAttention(96.0, 8.0, learnable=True)
    clean = attention(hours, values, observed, group, 5, REFERENCES)
    bad_hours = torch.where(observed, hours, spoilt).requires_grad_()
    bad_values = torch.where(observed, values, spoilt).requires_grad_()
    found = attention(bad_hours, bad_values, observed, group, 5, REFERENCES)
    assert all(torch.equal(a, b) for a, b in zip(clean, found, strict=True))
    (found[0].sum() + found[1].sum()).backward()
    for leaf in (bad_hours, bad_values):
        assert leaf.grad is not None and not leaf.grad[~observed].any() and torch.isfinite(leaf.grad).all()
    assert all(torch.isfinite(own.grad).all() for own in attention.parameters())
    assert not found[0][4].any() and not found[1][4].any()  # a group that nobody has


def test_untrained_attention_is_an_exponential_window() -> None:
    random = np.random.default_rng(0)
    hours, values = random.uniform(0, 48, 9), random.normal(size=9)
    everything, group = torch.ones(9, dtype=torch.bool), torch.zeros(9, dtype=torch.int64)
    found, evidence = TimeAttention(96.0, 8.0)(
        torch.from_numpy(hours), torch.from_numpy(values), everything, group, 1, REFERENCES
    )
    weights = np.exp(-np.abs(hours[:, None] - REFERENCES.numpy()) / 8)
    np.testing.assert_allclose(found[0], (weights * values[:, None]).sum(0) / weights.sum(0), atol=0.05)
    np.testing.assert_allclose(evidence[0], np.log1p(weights.sum(0)), atol=0.1)
    attention = TimeAttention(96.0, 8.0)
    far = attention.embed(torch.linspace(0, 96, 500)) @ attention.embed(torch.zeros(1)).T
    assert (far.diff(dim=0) < 0).all()


def test_attention_learns_and_reads_a_signal_between_irregular_points() -> None:
    random = np.random.default_rng(1)
    hours = torch.from_numpy(np.sort(random.uniform(0, 48, 200)))
    wave, everything = torch.sin(hours / 8), torch.ones(200, dtype=torch.bool)
    one = torch.zeros(200, dtype=torch.int64)
    attention = TimeAttention(96.0, 4.0, learnable=True)
    optimiser = torch.optim.Adam(attention.parameters(), lr=0.02)
    losses = []
    for _ in range(25):
        found, _ = attention(hours, wave, everything, one, 1, REFERENCES)
        loss = ((found[0] - torch.sin(REFERENCES / 8)) ** 2).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[0] < 0.06 and losses[-1] < 0.7 * losses[0]


@pytest.mark.parametrize("name", ["pbc-visits/visits", "eicu-day-one/events"])
def test_real_records(shared_data: Path, name: str) -> None:
    frame = pd.read_parquet(shared_data / f"{name}.parquet")
    raw = [EventReader().read(own) for _, own in frame.groupby(frame.columns[0])]
    fitted = EventEncoder().fit(raw)
    tokens = fitted.encode(raw)
    assert fitted.width <= 256 and torch.isfinite(tokens.values).all() and tokens.values.abs().max() < 5
    scaled = fitted.features(raw)
    assert np.isfinite(scaled).all() and scaled.std(0).min() > 0
