"""Encoding a cohort: each content once, by the encoder chosen, kept, resumed, and read by a model as at its fit."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pytest
import torch

import chiasm
from chiasm.cohort import Classification, Cohort, CohortError, Unsupported, cohort_from_frames
from chiasm.compute.pool import as_it_pays, side_by_side
from chiasm.encoders import choice
from chiasm.encoders.catalogue import make_encoder
from chiasm.encoders.frozen import identity_of
from chiasm.encoding import encode
from chiasm.encoding.encode import encode_cohort
from chiasm.store import TokenStore
from chiasm.tokens import PackedTokens, Tokens

TEXTS = ["ab", "abc", "b", "bca", "cab dab", "ddd"]


@dataclass(frozen=True)
class Letters:
    """A bag of the letters of a text, each a token of `size` numbers; `fault` is how it goes wrong."""

    size: int = 4
    slots: int = 0
    timed: bool = False
    fault: str = ""

    id: ClassVar[str] = "letters"
    version: ClassVar[str] = "1"
    fitted_on_cohort: ClassVar[bool] = False
    batch: ClassVar[int] = 4
    weights: ClassVar[str] = "of this week"
    seen: ClassVar[list[str]] = []
    killed_at: ClassVar[int] = -1

    @property
    def width(self) -> int:
        return self.size

    @property
    def identity(self) -> str:
        return identity_of(self, self.weights)

    def fit(self, raw: Any, patients: Sequence[str] = ()) -> Letters:
        return self

    def encode(self, raw: Sequence[str]) -> Tokens:
        parts = []
        for text in raw:
            if len(self.seen) == self.killed_at:
                os.kill(os.getpid(), signal.SIGKILL)
            self.seen.append(text)
            noise = [
                np.frombuffer(hashlib.sha256(f"{letter}".encode()).digest()[: self.size], np.uint8) for letter in text
            ]
            parts.append(np.stack(noise).astype(np.float32)[: self.slots or None])
        if self.fault == "infinite":
            parts = [part + np.float32(np.inf if "d" in text else 0) for part, text in zip(parts, raw, strict=True)]
        rows = np.arange(len(parts))
        tokens = PackedTokens.scatter(parts, rows, len(parts), self.size).take(rows)
        if self.slots:  # a text that is too short leaves a position empty
            values = torch.zeros(len(raw), self.slots, self.size)
            mask = torch.zeros(len(raw), self.slots, dtype=torch.bool)
            values[:, : tokens.values.shape[1]], mask[:, : tokens.mask.shape[1]] = tokens.values, tokens.mask
            tokens = Tokens(values, mask)
        hours = torch.arange(tokens.mask.shape[1]).expand(tokens.mask.shape).float() / 2
        return Tokens(tokens.values, tokens.mask, hours if self.timed else None)


@pytest.fixture(autouse=True)
def letters(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """`letters:size=3` is an encoder of texts, and the user's store is left alone."""

    def made(spec: str, kind: str) -> Any:
        name, _, text = spec.partition(":")
        if name != "letters":
            return make_encoder(spec, kind)
        given = dict(part.split("=") for part in text.split(",") if part)
        return Letters(**{key: value if key == "fault" else int(value) for key, value in given.items()})

    monkeypatch.setattr(choice, "make_encoder", made)
    monkeypatch.setattr(choice, "DEFAULTS", {**choice.DEFAULTS, "text": "letters"})
    monkeypatch.setenv("CHIASM_STORE", str(tmp_path / "default"))
    monkeypatch.setattr(Letters, "seen", [])


@pytest.fixture
def store(tmp_path: Path) -> TokenStore:
    return TokenStore(tmp_path / "store")


def notes(texts: Sequence[str], target: bool = False) -> Cohort:
    ids = pd.Index([f"p{k:03d}" for k in range(len(texts))])
    patients = pd.DataFrame({"label": [int("a" in text) for text in texts]}, index=ids)
    frame = pd.DataFrame({"text": list(texts)}, index=ids)
    age = pd.DataFrame({"age": np.arange(len(ids)) % 7 + 40.0}, index=ids)
    return cohort_from_frames(
        patients, {"note": frame, "table": age}, Classification("label", ("0", "1")) if target else None,
        kinds={"note": "text"},
    )  # fmt: skip


def many(number: int = 40) -> list[str]:
    rng = np.random.default_rng(0)
    return ["".join(rng.choice(list("abcdefgh" if k % 2 else "bcdefgh"), 6)) + str(k) for k in range(number)]


def bits(cohort: Cohort) -> list[bytes]:
    return [tokens.tobytes() for tokens in cohort.raw("note")]


def test_content_that_patients_share_is_encoded_once(store: TokenStore) -> None:
    found = encode_cohort(notes(TEXTS * 3), store=store)
    assert sorted(Letters.seen) == sorted(TEXTS)
    assert found.counts["note"] == encode.Count(sources=18, distinct=6, encoded=6, stored=0, refused=0)
    assert bits(found.cohort)[:6] == bits(found.cohort)[6:12] and len(set(bits(found.cohort))) == 6
    assert found.cohort.raw("note").lengths.tolist() == [len(text) for text in TEXTS * 3]


def test_a_second_run_and_another_cohort_encode_only_what_is_new(store: TokenStore) -> None:
    first = encode_cohort(notes(TEXTS), store=store)
    Letters.seen.clear()
    again = encode_cohort(notes(TEXTS), store=TokenStore(store.folder))
    assert not Letters.seen and again.counts["note"].stored == 6 and bits(again.cohort) == bits(first.cohort)
    assert again.cohort.fingerprint == first.cohort.fingerprint
    other = encode_cohort(notes(["new", "ab", "b"]), store=store)
    assert Letters.seen == ["new"] and other.counts["note"].stored == 2
    encode_cohort(notes(TEXTS), {"note": "letters:size=3"}, store=store)
    assert len(Letters.seen) == 7  # another option, other tokens


def test_an_argument_counts_before_the_manifest_and_the_manifest_before_the_default(store: TokenStore) -> None:
    plain = notes(TEXTS)
    named = replace(plain, encoders={"note": "letters:size=3"})
    widths = [
        encode_cohort(cohort, chosen, store=store).cohort.raw("note").width
        for cohort, chosen in ((plain, None), (named, None), (named, {"note": "letters:size=2"}))
    ]
    assert widths == [4, 3, 2]
    encoding = encode_cohort(named, store=store).cohort.encodings["note"]
    assert encoding.encoder == "letters:size=3" and "size=3" in encoding.identity and encoding.kind == "text"


def test_an_interrupted_run_keeps_what_it_wrote(store: TokenStore, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = many()
    monkeypatch.setattr(encode, "HELD_BYTES", 1)

    def dies() -> None:
        Letters.killed_at = 21
        encode_cohort(notes(texts), store=store)

    process = multiprocessing.get_context("fork").Process(target=dies)
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    again = encode_cohort(notes(texts), store=TokenStore(store.folder))
    kept = again.counts["note"].stored
    assert kept in range(8, 21) and len(Letters.seen) == 40 - kept
    assert bits(again.cohort) == bits(encode_cohort(notes(texts), store=TokenStore(store.folder / "other")).cohort)


@pytest.mark.parametrize("execute", [side_by_side, as_it_pays])
def test_two_processes_give_what_one_gives(store: TokenStore, execute: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chiasm.compute.pool.QUICK_SECONDS", 0.0)
    alone = encode_cohort(notes(many(70)), store=store)
    other = TokenStore(store.folder.with_name("other"))
    Letters.seen.clear()
    apart = encode_cohort(notes(many(70)), store=other, jobs=2, execute=execute)
    assert bits(apart.cohort) == bits(alone.cohort) and apart.counts == alone.counts
    assert len(Letters.seen) <= 8  # the rest was done elsewhere


def test_times_are_kept(store: TokenStore) -> None:
    tokens = encode_cohort(notes(TEXTS), {"note": "letters:timed=1"}, store=store).cohort.raw("note")
    assert [tokens.times(k).tolist() for k in range(6)] == [[j / 2 for j in range(len(text))] for text in TEXTS]
    assert encode_cohort(notes(TEXTS), store=store).cohort.raw("note").times(0) is None


def test_values_that_are_not_finite_count_as_absent(store: TokenStore) -> None:
    found = encode_cohort(notes(TEXTS * 2), {"note": "letters:fault=infinite"}, store=store)
    assert found.counts["note"] == encode.Count(sources=12, distinct=6, encoded=4, stored=0, refused=4)
    (problem,) = found.problems
    assert "not finite in 4 sources (rows 6, 7, 12, 13)" in problem.what and problem.modality == "note"
    assert found.cohort.present[:, 0].tolist() == ["d" not in text for text in TEXTS * 2]
    assert bits(found.cohort) == bits(encode_cohort(notes([t for t in TEXTS if "d" not in t] * 2), store=store).cohort)
    with pytest.raises(CohortError, match="not finite"):
        encode_cohort(notes(["d", "dd"]), {"note": "letters:fault=infinite"}, store=store)


def test_a_position_left_empty_is_the_encoders_error(store: TokenStore) -> None:
    full = encode_cohort(notes(["abc", "abcd"]), {"note": "letters:slots=3"}, store=store).cohort.raw("note")
    assert full.slots == 3 and full.lengths.tolist() == [3, 3]
    with pytest.raises(ValueError, match="'letters' leaves a position empty"):
        encode_cohort(notes(["abc", "ab"]), {"note": "letters:slots=3"}, store=store)


def test_a_model_predicts_from_sources_as_from_tokens(tmp_path: Path) -> None:
    raw = notes(many(60), target=True)
    encoded = chiasm.encode(raw, jobs=1)
    model = chiasm.fit(raw, "late-fusion", seed=0)
    expected = chiasm.fit(encoded.cohort, "late-fusion", seed=0).predict(encoded.cohort)
    pd.testing.assert_frame_equal(model.predict(raw), expected)
    pd.testing.assert_frame_equal(model.predict(encoded.cohort), expected)
    model.save(tmp_path / "model")
    Letters.seen.clear()
    pd.testing.assert_frame_equal(chiasm.load_model(tmp_path / "model").predict(raw), expected)
    assert not Letters.seen
    new = notes(["abx", "cdx"])
    assert chiasm.load_model(tmp_path / "model").predict(new).equals(model.predict(new))
    assert Letters.seen == ["abx", "cdx"]


def test_a_model_refuses_tokens_of_other_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = notes(many(60), target=True)
    model = chiasm.fit(raw, "late-fusion", seed=0)
    other = encode_cohort(raw, {"note": "letters:size=3"}, store=TokenStore(Path(os.environ["CHIASM_STORE"]))).cohort
    with pytest.raises(Unsupported, match="'note' was encoded by 'letters' at fit"):
        model.predict(other)
    monkeypatch.setattr(Letters, "weights", "of next week")
    with pytest.raises(Unsupported, match=r"'note' was encoded by 'letters' at fit.*weights differ now"):
        model.predict(raw)


def test_an_encoder_for_a_table_is_refused_and_not_ignored() -> None:
    cohort = chiasm.synthetic_cohort("redundant", n=40)
    with pytest.raises(chiasm.Unsupported, match="'m1' is of kind 'table', which takes no encoder"):
        chiasm.encode(cohort, {"m1": "minilm"}, jobs=1)
