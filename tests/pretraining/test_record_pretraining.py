"""Pretraining on records of events: it tells what there is to tell, sees nobody held out, and goes on as it was."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from made_records import CODES, FOLLOWS, records, write_records

import chiasm
from chiasm import artifact
from chiasm.cohort.encoder_places import beside
from chiasm.encoders.catalogue import make_encoder
from chiasm.encoders.seen import item_of
from chiasm.pretraining.corpus import Corpus, corpus_of
from chiasm.pretraining.records.folder import as_stored_records
from chiasm.pretraining.records.options import RecordConfig, RecordOptions, record_config
from chiasm.pretraining.records.stage import RecordPretraining, pretrained_on_records
from chiasm.readers.reading import Events, ReadError
from chiasm.testing import check_encoder
from command_line import Run
from examples import examples

TINY = RecordConfig(width=16, depth=1)
RECORDS = records(60)


def corpus(own: list[Events], held_out: float = 0.2) -> Corpus:
    return corpus_of([item_of(record) for record in own], [str(k) for k in range(len(own))], held_out, 0)


def trained(own: list[Events], config: RecordConfig = TINY, **more: Any) -> RecordPretraining:
    asked = {"epochs": 1, "batch": 16, "learning_rate": 1e-2, "held_out": 0.2, **more}
    return pretrained_on_records(corpus(own, asked["held_out"]), own, config, RecordOptions(**asked))


def same(one: RecordPretraining, other: RecordPretraining) -> bool:
    a, b = one.network.state_dict(), other.network.state_dict()
    return all(torch.equal(a[name], b[name]) for name in a)


def later(record: Events, place: int) -> Events:
    """The record with other codes and times from a place on."""
    codes, hours = record.codes.copy(), record.hours.copy()
    codes[place:], hours[place:] = CODES[0], hours[place] + 100 * np.arange(1, len(hours) - place + 1)
    return Events(hours, codes, record.values)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An encoder that was pretrained on `RECORDS`."""
    found, place = trained(RECORDS), tmp_path_factory.mktemp("pretrained") / "encoder"
    artifact.save(place, as_stored_records(found, corpus(RECORDS), TINY, RecordOptions(), marks=False))
    return place


@pytest.mark.parametrize("on_grid", [pytest.param(False, marks=pytest.mark.nightly), True])
def test_a_network_comes_near_to_what_a_chain_of_codes_and_its_times_allow(on_grid: bool) -> None:
    """Times on a grid have no spread, and their likelihood no bound, which must not outweigh what comes next."""
    found = trained(records(examples(300), on_grid=on_grid), epochs=8, batch=8)
    chances = np.full(4, (1 - FOLLOWS) / 4) + np.array([FOLLOWS, 0, 0, 0])
    floor = math.exp(-(chances * np.log(chances)).sum())
    assert found.baselines["uniform"] == 4 and found.baselines["unigram"] == pytest.approx(4.0, abs=0.1)
    assert floor * 0.85 < found.perplexity < 0.6 * found.baselines["unigram"]
    assert found.wait < found.constant_wait - 0.5, "a code tells when the next event comes"
    first, last = found.curve[0], found.curve[found.history.best_epoch - 1]
    assert last["held_out"] + last["held_out_wait"] < first["held_out"] + first["held_out_wait"]
    assert math.log(found.perplexity) == pytest.approx(last["held_out"], rel=1e-5)
    assert found.wait == pytest.approx(last["held_out_wait"], rel=1e-4)


def test_held_out_records_change_no_weight() -> None:
    apart = corpus(RECORDS).held_out
    found = [trained(RECORDS)]
    for side in (True, False):
        chosen = np.flatnonzero(apart == side)[:3].tolist()
        found.append(trained([later(own, 3) if k in chosen else own for k, own in enumerate(RECORDS)]))
    assert same(found[0], found[1]) and found[0].perplexity != found[1].perplexity
    assert not same(found[0], found[2])


def test_a_training_that_was_stopped_and_resumed_is_the_one_that_was_not(tmp_path: Path) -> None:
    whole, sides, options = trained(RECORDS, epochs=2), corpus(RECORDS), RecordOptions(2, 3, 16, 1e-2, 0.2)

    def stop(finished: int, everything: int) -> None:
        if finished == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pretrained_on_records(sides, RECORDS, TINY, options, checkpoint=tmp_path / "c", progress=stop)
    told: list[int] = []
    again = pretrained_on_records(
        sides, RECORDS, TINY, options, checkpoint=tmp_path / "c", progress=lambda finished, _: told.append(finished)
    )
    assert told == [2] and same(whole, again) and whole.curve == again.curve
    with pytest.raises(chiasm.ArtifactError, match="another seed, other options or other patients"):
        others = [later(own, 3) for own in RECORDS]
        pretrained_on_records(sides, others, TINY, options, checkpoint=tmp_path / "c")


@pytest.mark.parametrize("options", ["windows=2", pytest.param("level=event,most=9", marks=pytest.mark.nightly)])
def test_the_states_of_a_folder_keep_the_laws_of_an_encoder(folder: Path, options: str) -> None:
    encoder = make_encoder(f"record:weights={folder},{options}", "events")
    check_encoder(encoder, RECORDS[:8])
    assert encoder.identity == make_encoder(f"record:{options},weights={folder}/.", "events").identity


def test_what_comes_later_changes_no_state_before_and_an_event_keeps_its_time(folder: Path) -> None:
    encoder = make_encoder(f"record:weights={folder},level=event", "events")
    own, other = encoder.encode([RECORDS[0], later(RECORDS[0], 5)]), encoder.encode([later(RECORDS[0], 5)])
    assert torch.equal(own.values[0, :5], own.values[1, :5]) and not torch.equal(own.values[0, 5:8], own.values[1, 5:8])
    assert torch.equal(own.values[1, : other.values.shape[1]], other.values[0])
    assert own.times is not None
    assert own.times[0, : len(RECORDS[0].hours)].tolist() == pytest.approx(RECORDS[0].hours.tolist())
    pooled = make_encoder(f"record:weights={folder},windows=0", "events").encode([RECORDS[0]]).values[0]
    real = own.values[0][own.mask[0]]
    torch.testing.assert_close(pooled, torch.stack([real.mean(0), real[-1]]), rtol=0, atol=1e-6)
    last = make_encoder(f"record:weights={folder},level=event,most=3", "events").encode([RECORDS[0]]).values[0]
    assert torch.equal(last, real[-3:])


def test_the_command_leaves_a_folder_that_tells_no_patient_and_that_check_finds_again(tmp_path: Path, run: Run) -> None:
    path, out = write_records(tmp_path / "cohort", RECORDS), tmp_path / "enc"
    words = ["pretrain", str(path), "--method", "next-event", "--network", "gru:width=8,depth=1", "--resume"]
    said = run(*words, "--out", str(out), "--epochs", "1", "--page", str(tmp_path / "page.html"))
    assert f'encoder = "record:weights={out}"' in said.out and "60 patients held out" in said.out
    assert said.err.index("no checkpoint to resume") < said.err.index("the last epoch was the best")
    stored = (out / "model.json").read_text(encoding="utf-8")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "p001" not in stored + page and "different records of 60 patients" in page and "many letters" not in page
    assert not list(tmp_path.glob("*.checkpoint")) and json.loads(stored)
    for own, finds in ((RECORDS, True), (records(60, seed=9), False)):
        other = write_records(tmp_path / f"other-{finds}", own, f"record:weights={out}")
        found = [own for own in chiasm.check_cohort(other) if own.finding == "pretrained-on-cohort"]
        assert [own.leak for own in found] == [True] * finds
        assert all("about 60 of the 60" in own.what and "ehr-mamba" in own.fix for own in found)


def test_a_folder_is_found_beside_the_manifest_unless_one_lies_where_the_command_runs(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_records(tmp_path / "cohort", RECORDS[:20], "record:weights=enc,windows=0")
    (tmp_path / "cohort" / "enc").symlink_to(folder)
    monkeypatch.chdir(tmp_path)
    named = chiasm.open_cohort(Path("cohort/cohort.toml")).encoders["stays"]
    assert named == f"record:weights={Path('cohort') / 'enc'},windows=0"
    assert make_encoder(named, "events").width == 16
    (tmp_path / "enc").mkdir()
    assert chiasm.open_cohort(path).encoders["stays"] == "record:weights=enc,windows=0"
    for spec in ("record:weights=nowhere", f"record:weights={folder}", "frames:encoder=timm:net,weights=none"):
        assert beside(spec, path.parent) == spec


@pytest.mark.nightly
def test_a_trial_reads_the_folder_and_groups_are_held_out_whole(folder: Path, tmp_path: Path) -> None:
    path = write_records(tmp_path / "cohort", records(60, 1), f"record:weights={folder}")
    trial = chiasm.evaluate(path, ["single:stays", "lego-fuse:modality=stays,epochs=2"], jobs=1)
    assert len(trial.table()) >= 2
    grouped = write_records(tmp_path / "grouped", RECORDS, group=[f"g{k // 2}" for k in range(60)])
    found = chiasm.pretrain(grouped, tmp_path / "enc", method="next-event", epochs=1, held_out=0.2, steps=3)
    assert found.facts["held_out_patients"] == 12 and found.facts["options"]["epochs"] == 3


def test_what_cannot_be_is_refused_in_a_sentence(folder: Path, tmp_path: Path) -> None:
    path = write_records(tmp_path / "cohort", RECORDS)
    out = tmp_path / "out"
    for more, words in (
        ({"method": "masked", "modality": "stays"}, "pretrained on by method next-event alone, not by 'masked'"),
        ({}, "records of kind events by method next-event"),
        ({"method": "next-event", "share": 0.2}, "share is for sequences of letters"),
        ({"method": "next-event", "batch": 10**9}, "GB are free: lower batch to"),
        ({"method": "next-event", "network": "gru:alphabet=dna"}, "alphabet"),
        ({"method": "next-event", "network": "gru:share=1.5"}, "share between 0 and 1"),
        ({"method": "next-event", "held_out": 0.7}, "the share held out is 0.7"),
        ({"method": "next-event", "steps": 0}, "0 steps: one at least is needed"),
        ({"method": "next-event", "longest": 1}, "longest is 2 events or more"),
    ):
        with pytest.raises((chiasm.Unsupported, ValueError), match=words):
            chiasm.pretrain(path, out, **more)  # type: ignore[arg-type]
    alone = [Events(own.hours[:1] + k, own.codes[:1], own.values[:1]) for k, own in enumerate(RECORDS)]
    with pytest.raises(chiasm.Unsupported, match="no record in training has two events"):
        trained(alone)
    strange = [Events(own.hours, np.array([f"{k}-{n}" for n in range(len(own.hours))]), own.values)
               for k, own in enumerate(RECORDS)]  # fmt: skip
    with pytest.raises(chiasm.Unsupported, match="no code is shared by enough patients"):
        trained(strange)
    with pytest.raises(ReadError, match="no event has a code that the encoder's network knows"):
        make_encoder(f"record:weights={folder}", "events").encode(strange[:1])
    with pytest.raises(artifact.ArtifactError, match="holds no sequence network"):
        make_encoder(f"sequence:weights={folder}", "dna").encode(["ACGT"])
    for spec, words in (("record", "needs weights=FOLDER"), ("record:weights=nowhere", "names no folder")):
        with pytest.raises((ValueError, chiasm.Unsupported), match=words):
            _ = make_encoder(spec, "events").width
    assert record_config("mamba2:width=32,codes=9").codes == 9
