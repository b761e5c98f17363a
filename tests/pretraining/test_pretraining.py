"""Pretraining of sequences: it tells what there is to tell, sees nobody held out or tested, and goes on as it was."""

from __future__ import annotations

import json
import math
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from made_sequences import ENTROPY_RATE, chain, families, write_cohort

import chiasm
from chiasm import artifact
from chiasm.compute.memo import forget
from chiasm.encoders.catalogue import make_encoder
from chiasm.encoders.sequence.network import SequenceConfig, padded, untrained
from chiasm.pretraining.baselines import order_losses
from chiasm.pretraining.corpus import corpus_of
from chiasm.pretraining.options import PretrainOptions, network_config
from chiasm.pretraining.stage import Pretraining, pretrained_on
from chiasm.pretraining.tasks import METHODS, Draw, letters_of, logits_of
from chiasm.report.pretraining_page import draw_pretraining
from chiasm.testing import check_encoder
from command_line import Run

TINY = "gru:width=16,depth=1"
TEXTS = chain(80, 24)
ALONE = [str(number) for number in range(len(TEXTS))]


def trained(texts: list[str], method: str = "causal", groups: list[str] | None = None, **more: Any) -> Pretraining:
    options = PretrainOptions(method, **{"epochs": 2, "batch": 8, "learning_rate": 1e-2, **more})
    corpus = corpus_of(texts, groups or [str(k) for k in range(len(texts))], options.held_out, 0)
    return pretrained_on(corpus, network_config(TINY, "dna", method), options, groups=groups or ())


def same(one: Pretraining, other: Pretraining) -> bool:
    a, b = one.network.state_dict(), other.network.state_dict()
    return all(torch.equal(a[name], b[name]) for name in a)


def test_a_network_comes_near_to_the_entropy_of_a_chain_and_no_lower() -> None:
    found = trained(chain(160, 32), epochs=6)
    floor, judged = math.exp(ENTROPY_RATE), found.judged
    assert judged.uniform == 4 and judged.unigram == pytest.approx(4.0, abs=0.1)
    assert judged.orders["order-1"] == pytest.approx(floor, abs=0.15)
    assert floor * 0.95 < judged.perplexity < floor * 1.15
    assert found.curve[0]["held_out"] > found.curve[-1]["held_out"]
    assert all(row["rank"] > 1 and 0 < row["spread"] < 1 for row in found.curve)


def test_the_perplexity_of_an_item_falls_with_those_before_it_of_its_group() -> None:
    own = families(90, 4, 8)
    found = trained(list(own), "icl", list(own.values()), epochs=4, pack=4, held_out=0.3)
    first, *others = found.judged.by_item
    assert len(others) == 3 and max(others) < first and others[-1] < 0.85 * first


@pytest.mark.parametrize("method", [name for name, own in METHODS.items() if own.looks_back and not own.packs])
def test_what_is_read_later_tells_no_letter_that_is_asked_for_before(method: str) -> None:
    network = untrained(SequenceConfig(width=8, depth=1), 0).eval()
    letters = letters_of(network)
    ids, mask = padded([network.tokenize(text) for text in TEXTS[:4]])
    asked = METHODS[method].ask(ids, mask, Draw(letters, torch.tensor([8]), 0.5, torch.Generator().manual_seed(0)))
    real = asked.mask[:, :-1] & asked.mask[:, 1:]
    assert torch.equal(asked.answer[:, :-1][real], asked.read[:, 1:][real]), "an answer is what is read next"
    turned = asked.read.clone()
    turned[:, 10:] = 9
    before, after = (
        logits_of(network, type(asked)(read, asked.mask, asked.answer, asked.asked), True, letters)
        for read in (asked.read, turned)
    )
    assert torch.equal(before[:, :10], after[:, :10]) and not torch.equal(before, after)


def test_counts_fall_back_on_a_shorter_history() -> None:
    (found,) = order_losses([np.array([0, 1, 0, 1, 0])], [np.array([0, 1, -1, 1])], 2, 1)
    unigram = np.array([4, 3]) / 7  # (c + 1) / (n + A)
    after = (2 + 2 * unigram[1]) / (2 + 2)  # 0 was followed by 1 twice
    assert found[:2].tolist() == pytest.approx([-math.log(unigram[0]), -math.log(after)])
    assert math.isnan(found[2]) and found[3] == pytest.approx(-math.log(unigram[1]))


def test_counts_are_of_the_strands_and_directions_that_a_network_is_asked_for() -> None:
    rng = np.random.default_rng(0)
    texts = ["".join(rng.choice(list("ACG"), 24, p=[0.8, 0.1, 0.1])) for _ in range(80)]
    corpus, options = corpus_of(texts, ALONE, 0.1, 0), PretrainOptions(epochs=1, batch=8)
    found = pretrained_on(corpus, network_config(f"{TINY},rc=ps", "dna", "causal"), options).judged
    assert found.uniform == 4, "T is asked for, of the other strand"
    chances = np.array([0.4, 0.4, 0.1, 0.1])
    assert math.log(found.unigram) == pytest.approx(-(chances * np.log(chances)).sum(), abs=0.1)


def test_what_is_judged_is_the_best_epoch_whatever_the_batch() -> None:
    texts = chain(600, 24)
    corpus = corpus_of(texts, [str(k) for k in range(600)], 0.5, 0)
    assert corpus.held_out.sum() > 256
    config = SequenceConfig(width=8, depth=1, bidirectional=True, rc="ps")
    found = pretrained_on(corpus, config, PretrainOptions(epochs=2, batch=100, held_out=0.5))
    best = found.curve[found.history.best_epoch - 1]["held_out"]
    assert math.log(found.judged.perplexity) == pytest.approx(best, rel=1e-6)


def test_of_a_large_alphabet_only_the_counts_that_can_be_kept_are_baselines() -> None:
    letters = "".join(chr(0x4E00 + k) for k in range(400))
    rng = np.random.default_rng(0)
    corpus = corpus_of(["".join(rng.choice(list(letters), 60)) for _ in range(40)], ALONE[:40], 0.1, 0)
    config = SequenceConfig(alphabet=f"letters:{letters}", width=4, depth=1, heads=1)
    assert pretrained_on(corpus, config, PretrainOptions(epochs=1)).judged.orders.keys() == {"order-1"}


def test_held_out_are_whole_groups_and_a_shared_item_judges_nothing() -> None:
    corpus = corpus_of(TEXTS, [str(k // 4) for k in range(80)], 0.2, 0)
    sides = corpus.held_out.reshape(20, 4)
    assert (sides.all(1) == sides.any(1)).all() and corpus.held_out_patients == 16 == corpus.held_out.sum()
    twice = corpus_of(TEXTS[:40] * 2, ALONE, 0.2, 0)
    assert twice.held_out_patients == 16 and twice.dropped + int(twice.held_out.sum()) <= 16 and twice.dropped > 0
    for texts, units, words in (
        (TEXTS[:19], ALONE[:19], "19 patients"),
        (TEXTS[:20], ALONE[:20], "2 of 20"),
        ([TEXTS[0]] * 40, ALONE[:40], "every item of a held-out patient"),
    ):
        with pytest.raises(chiasm.Unsupported, match=words):
            corpus_of(texts, units, 0.1, 0)


def test_held_out_sequences_change_no_weight() -> None:
    corpus = corpus_of(TEXTS, ALONE, 0.2, 0)
    found = [trained(TEXTS, epochs=1, held_out=0.2)]
    for side in (True, False):
        chosen = np.flatnonzero(corpus.held_out == side)[:3].tolist()
        texts = [text[::-1] if k in chosen else text for k, text in enumerate(TEXTS)]
        found.append(trained(texts, epochs=1, held_out=0.2))
    assert same(found[0], found[1]) and found[0].judged != found[1].judged
    assert not same(found[0], found[2])


def test_a_training_that_was_stopped_and_resumed_is_the_one_that_was_not(tmp_path: Path) -> None:
    corpus = corpus_of(TEXTS, ALONE, 0.1, 0)
    options, config = PretrainOptions("masked", epochs=3, batch=16), network_config(TINY, "dna", "masked")
    whole = pretrained_on(corpus, config, options)

    def stop(finished: int, everything: int) -> None:
        if finished == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pretrained_on(corpus, config, options, checkpoint=tmp_path / "c", progress=stop)
    told: list[int] = []
    again = pretrained_on(
        corpus, config, options, checkpoint=tmp_path / "c", progress=lambda finished, _: told.append(finished)
    )
    assert told == [3], "two epochs were done before"
    assert same(whole, again) and whole.curve == again.curve and whole.judged == again.judged
    with pytest.raises(chiasm.ArtifactError, match="another seed, other options or other patients"):
        pretrained_on(corpus_of(TEXTS[1:], ALONE[1:], 0.1, 0), config, options, checkpoint=tmp_path / "c")


def test_what_cannot_be_is_refused_in_a_sentence() -> None:
    for more, words in (
        ({"longest": 10}, "80 sequences of 80 are longer than 10 letters, the longest 24"),
        ({"batch": 10**9}, "GB are free: lower batch to"),
    ):
        with pytest.raises(chiasm.Unsupported, match=words):
            trained(TEXTS, **more)
    with pytest.raises(chiasm.Unsupported, match="1 sequence of 80 hold letters outside the alphabet"):
        trained([*TEXTS[:79], "AC!T"])
    with pytest.raises(ValueError, match="lower learning rate"):
        trained(TEXTS, learning_rate=1e9)
    with pytest.raises(ValueError, match="held-out loss of epoch 1 is"):
        trained(TEXTS, batch=80, learning_rate=1e38)
    corpus, options = corpus_of([f"!{k}" for k in range(40)], ALONE[:40], 0.1, 0), PretrainOptions(epochs=1)
    with pytest.raises(chiasm.Unsupported, match="no sequence trained on has a letter of the alphabet 'dna'"):
        pretrained_on(corpus, network_config(TINY, "dna", "causal"), options, unknown=True)
    with pytest.raises(ValueError, match="'causal' draws no share"):
        PretrainOptions("causal", share=0.3)
    with pytest.raises(ValueError, match="did you mean 'masked'"):
        PretrainOptions("maskd")
    with pytest.raises(chiasm.Unsupported, match="both sides"):
        network_config("gru:bidirectional=false", "dna", "masked")


def test_within_a_fold_the_encoder_keeps_the_laws_and_the_order_of_patients_changes_nothing() -> None:
    encoder = make_encoder("pretrained:epochs=1,hidden=8,windows=2", "dna")
    check_encoder(encoder, TEXTS[:44])
    fitted = encoder.fit(TEXTS[:40], ALONE[:40])
    forget()
    again = encoder.fit(TEXTS[:40][::-1], ALONE[:40][::-1])
    assert np.array_equal(fitted.features(TEXTS[40:]), again.features(TEXTS[40:]))
    with pytest.raises(ValueError, match="nobody says which"):
        make_encoder("pretrained:method=icl", "dna")


def test_in_a_trial_sequences_of_tested_patients_change_no_weight(tmp_path: Path) -> None:
    """Of two cohorts that differ in some tested patients' sequences, the others are predicted alike, to the bit."""
    fold = ["0" if k < 20 else "train" for k in range(60)]
    texts = [text[::-1] if k in range(10, 20) else text for k, text in enumerate(TEXTS[:60])]
    found = []
    for name, own in (("one", TEXTS[:60]), ("other", texts)):
        path = write_cohort(tmp_path / name, own, "pretrained:epochs=1,hidden=8,windows=0", fold=fold)
        trial = chiasm.evaluate(path, ["single:dna"], jobs=1)
        predicted = trial.predictions[trial.predictions["recipe"] == "single:dna"].set_index("patient")
        found.append(predicted[[name for name in predicted.columns if name.startswith("p_")]].sort_index())
    assert found[0].iloc[:10].equals(found[1].iloc[:10])
    assert not found[0].iloc[10:].equals(found[1].iloc[10:])


def test_the_command_leaves_a_folder_that_tells_no_patient(tmp_path: Path, run: Run) -> None:
    path = write_cohort(tmp_path / "cohort", TEXTS[:60])
    words = ["pretrain", str(path), "--out", str(tmp_path / "enc"), "--epochs", "1", "--network", TINY, "--batch", "8"]
    said = run(*words, "--json", "--page", str(tmp_path / "page.html"))
    told = json.loads(said.out)
    assert told["patients"] == 60 and told["held_out_patients"] == 6
    assert told["encoder"] == f"sequence:weights={tmp_path / 'enc'}"
    stored = (tmp_path / "enc" / "model.json").read_text(encoding="utf-8")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "p001" not in stored + page and not any(text in stored + page for text in TEXTS)
    assert f"{told['perplexity']:.3f}" in page
    for texts, folder, finds in ((TEXTS[:60], "enc", True), (chain(60, 24, seed=9), "enc", False)):
        other = write_cohort(tmp_path / f"other-{finds}", texts, f"sequence:weights={tmp_path / folder}")
        found = [own for own in chiasm.check_cohort(other) if own.finding == "pretrained-on-cohort"]
        assert [own.leak for own in found] == [True] * finds
        assert all("about 60 of the 60" in own.what for own in found)
    network = artifact.load(tmp_path / "enc").network()
    assert network(*padded([network.tokenize("ACGT")])).shape == (1, 4, 16)
    assert not list(tmp_path.glob("*.checkpoint"))
    again = run(*words)
    assert again.code == 2 and "exists already" in again.err


def test_steps_count_packs_and_a_place_that_holds_something_else_is_refused_first(tmp_path: Path) -> None:
    path, asked = write_cohort(tmp_path / "cohort", TEXTS[:60]), {"network": TINY, "batch": 8}
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").touch()
    told: list[int] = []
    with pytest.raises(chiasm.ArtifactError, match="'mine' exists and is not a model folder"):
        chiasm.pretrain(path, tmp_path / "mine", epochs=1, progress=lambda done, _: told.append(done), **asked)  # type: ignore[arg-type]
    assert not told
    more: dict[str, Any] = {"method": "icl", "pack_by": "target", "pack": 2, "held_out": 0.3, **asked}
    found = chiasm.pretrain(path, tmp_path / "enc", steps=20, resume=True, **more)
    assert found.facts["options"]["epochs"] == 2, "42 sequences are dealt to 80 packs of two"
    assert "no checkpoint to resume" in found.notes[0]
    with pytest.raises(ValueError, match="'causal' joins no sequences, and pack is for icl"):
        chiasm.pretrain(path, tmp_path / "other", pack=2)


def test_a_pretraining_of_one_epoch_has_one_tick() -> None:
    row = {"epoch": 1, "train": 1.3, "held_out": 1.2, "rank": 2.0, "spread": 0.5, "neighbours": 0.4}
    for axes in draw_pretraining(pd.DataFrame([row]), {"uniform": 4.0}, 1).axes:
        assert axes.get_xticks().tolist() == [1]


@pytest.mark.nightly
def test_a_command_that_was_killed_is_resumed_to_the_same_folder(tmp_path: Path) -> None:
    path = write_cohort(tmp_path / "cohort", TEXTS)
    words = [sys.executable, "-m", "chiasm", "pretrain", str(path), "--network", TINY, "--batch", "4", "--epochs", "12"]
    subprocess.run([*words, "--out", str(tmp_path / "whole")], check=True, capture_output=True)
    process = subprocess.Popen([*words, "--out", str(tmp_path / "killed")], stdout=subprocess.DEVNULL)
    started = time.monotonic()
    while not (tmp_path / "killed.checkpoint").exists():
        assert process.poll() is None and time.monotonic() - started < 300
        time.sleep(0.01)
    process.kill()
    process.wait()
    assert not (tmp_path / "killed").exists(), "it was killed before its end"
    again = [*words, "--out", str(tmp_path / "killed")]
    refused = subprocess.run(again, capture_output=True, text=True)
    assert refused.returncode == 2 and "resume it, or delete it" in refused.stderr
    subprocess.run([*again, "--resume"], check=True, capture_output=True)
    one, other = (artifact.content_of(artifact.load(tmp_path / name)) for name in ("whole", "killed"))
    assert one == other
