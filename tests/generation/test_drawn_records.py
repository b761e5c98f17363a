"""Drawn event records: the grammar of the real ones, in words and back, and cohorts that open again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from recorded_patients import recorded

import chiasm
from chiasm.api.generating import generate
from chiasm.cohort import Unsupported
from chiasm.generation import record_network, with_records
from chiasm.generation.record_network import RecordNetwork, fit_records
from chiasm.generation.record_words import RecordWords
from chiasm.generation.records import Records, most_told, records_of
from chiasm.generation.rows import inputs_of


def real() -> Records:
    return records_of(recorded())["visits"]


def test_records_in_words_and_back_keep_codes_times_and_values_within_their_parts() -> None:
    own = real()
    words = RecordWords.fit(own)
    assert words.codes == ("drug", "lab") and words.values.columns == ("lab",)
    again = words.records(words.worded(own), np.random.default_rng(0))
    kept = own.take(np.delete(np.arange(len(own)), np.flatnonzero(own.lengths > words.longest)))
    back = again.take(np.delete(np.arange(len(own)), np.flatnonzero(own.lengths > words.longest)))
    odd = kept.codes == "Musterfrau"
    assert odd.sum() > 0 and back.codes.tolist() == kept.codes[~odd].tolist()
    assert np.abs(back.hours - kept.hours[~odd])[kept.owners[~odd] == 0].max() < 4
    assert np.nanmedian(np.abs(back.values - kept.values[~odd])) < 0.5
    assert (np.isnan(back.values) == np.isnan(kept.values[~odd])).all()


@torch.no_grad()
def test_the_loss_is_the_probability_of_the_record_event_by_event() -> None:
    torch.manual_seed(0)
    network = RecordNetwork((4, 3, 3), 2, 8)
    words = torch.tensor([[[2, 0, 1], [3, 2, 0], [1, 0, 0], [0, 0, 0]]])
    given, told = torch.randn(1, 2), 0.0
    state = network.start(given)[None]
    for code, gap, value in words[0, :3].tolist():
        told -= float(network.code(state[0]).log_softmax(-1)[0, code])
        if code > 1:
            embedded = [
                embed(torch.tensor([own])) for embed, own in zip(network.words, (code, gap, value), strict=True)
            ]
            told -= float(network.gap(state[0] + embedded[0]).log_softmax(-1)[0, gap])
            told -= float(network.value(state[0] + embedded[0] + embedded[1]).log_softmax(-1)[0, value])
            _, state = network.cell(sum(embedded)[:, None], state)
    assert float(network.loss(words, given)) == pytest.approx(told / 3, rel=1e-5)
    drawn = network.draw(given.expand(50, -1), 6, torch.Generator().manual_seed(0))
    assert (drawn[:, 0, 0] > 1).all() and (drawn[drawn[..., 0] <= 1] == 0).all()


@pytest.mark.nightly
def test_drawn_records_follow_the_grammar_and_the_patient() -> None:
    cohort = recorded()
    own, rows = real(), inputs_of(cohort, ["clinical"])
    fitted = fit_records(own, rows, updates=150)
    has = np.arange(len(own)) % 8 > 0
    made, again = fitted.sample(rows, has, 1), fitted.sample(rows, has, 1)
    pd.testing.assert_frame_equal(made.frame(), again.frame())
    assert ((made.lengths > 0) == has).all()
    frame = made.frame()
    lab, followed = frame["code"] == "lab", frame["code"].shift(-1) == "drug"
    assert (
        followed[lab & (frame["numeric_value"] > 6)].mean()
        > 0.7
        > 0.25
        > followed[lab & (frame["numeric_value"] < 4)].mean()
    )
    assert frame["hours"].diff()[(frame["code"] == "drug")].median() < 4
    assert np.corrcoef(made.lengths[has], rows.blocks["clinical"]["age"][has])[0, 1] > 0.3


def test_a_cohort_with_records_is_drawn_opens_and_names_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(with_records, "fit_records", lambda *own: fit_records(*own, updates=20))
    found = generate(recorded(), tmp_path / "made", patients=50, utility=False, accept_privacy="an exercise")
    assert "1 code of 'visits' that fewer than five patients have" in " ".join(found.sentences)
    assert "lab, mean" in found.rows.blocks["visits"] and "visits" in found.likeness["blocks"]
    opened = chiasm.open_cohort(tmp_path / "made")
    assert opened.kinds == {"clinical": "table", "visits": "events"} and len(opened) == 50 and opened.present.all()
    again = records_of(opened)["visits"]
    pd.testing.assert_frame_equal(again.frame(), found.records["visits"].frame())
    assert set(again.codes) == {"lab", "drug"}
    assert not any(b"Musterfrau" in own.read_bytes() for own in (tmp_path / "made").iterdir())
    own = found.records["visits"]
    assert own.lengths.min() > 0
    with pytest.raises(Unsupported, match="records as those of modality 'visits' are not learnt under diff"):
        generate(recorded(), patients=60, generator="mixed-diffusion", dp=3.0)
    with pytest.raises(Unsupported, match="event records of whole patients are generated: leave it out"):
        generate(recorded(), fill="clinical")


def test_what_is_told_of_records_is_counted() -> None:
    own = Records(np.array([0, 3, 3, 4]), np.array([0.0, 2.0, 5.0, 1.0]), np.array(["a", "b", "a", "b"]),
                  np.array([1.0, np.nan, 2.0, np.nan]))  # fmt: skip
    told = own.told(("a", "b"))
    assert told.columns.tolist() == ["events", "hours", "a, number", "a, mean", "b, number"]
    np.testing.assert_array_equal(told.iloc[0], [3, 5, 2, 1.5, 1])
    assert told.iloc[1].isna().all() and told["a, number"].tolist()[2] == 0
    assert most_told(own) == ()
    pd.testing.assert_frame_equal(own.take(np.array([2, 0])).told(("a", "b")), told.iloc[[2, 0]].reset_index(drop=True))


@pytest.mark.nightly
def test_utility_of_records_is_told_on_real_patients() -> None:
    found = generate(recorded(240), patients=190, accept_privacy="an exercise").utility
    assert found is not None and found.recipe == "late-fusion" and found.synthetic is not None, found
    assert record_network.UPDATES > 100 and found.synthetic[0] > 0.5
