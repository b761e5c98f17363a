"""Words of a sequence: counted right, the same for both strands, blind to what is no letter."""

from __future__ import annotations

import time
from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chiasm.encoders.catalogue import make_encoder
from chiasm.encoders.sequence.kmers import KmerCounts
from chiasm.readers.reading import ReadError
from chiasm.testing import check_encoder
from examples import examples

AMINO = "ACDEFGHIKLMNPQRSTVWY"
PROTEINS = ["MKTAYIAKQR", "M", "GG", "MXBZ", "ACDEFGHIKLMNPQRSTVWY" * 3, "X", "WWWWWWW"]
COMPLEMENT = str.maketrans("ACGTN", "TGCAN")


def tokens(encoder: KmerCounts, text: str) -> np.ndarray:
    return np.asarray(encoder.encode([text]).values[0].numpy())


def test_the_laws_of_an_encoder_hold() -> None:
    check_encoder(KmerCounts(), PROTEINS)
    check_encoder(KmerCounts(kind="dna", windows=0), ["ACGT", "N", "A", "acgu", "GATTACA" * 9, "TTTTTTTT"])


@settings(deadline=None, max_examples=examples(30))
@given(st.text(AMINO + "X", min_size=1, max_size=60))
def test_proteins_are_counted_as_by_hand(text: str) -> None:
    found = tokens(KmerCounts(windows=3), text)
    n = len(text)
    parts = [text] + [text[k * n // 3 : -(-(k + 1) * n // 3)] for k in range(3)]
    for row, part in enumerate(parts):
        pairs = [a + b for a, b in pairwise(part) if "X" not in a + b]
        own = [letter for letter in part if letter != "X"]
        expected = [own.count(a) / max(1, len(own)) for a in AMINO]
        expected += [pairs.count(a + b) / max(1, len(pairs)) for a, b in product(AMINO, AMINO)]
        np.testing.assert_allclose(found[row, :-2], np.sqrt(expected), atol=1e-6)
        np.testing.assert_allclose(found[row, -2:], [np.log1p(len(part)), part.count("X") / len(part)], atol=1e-6)


@settings(deadline=None, max_examples=examples(50))
@given(st.text("ACGTN", min_size=1, max_size=80), st.integers(0, 7))
def test_both_strands_are_one(text: str, windows: int) -> None:
    """The whole sequence gives the same bytes from either strand, the windows too, in reverse order."""
    encoder = KmerCounts(kind="dna", windows=windows)
    forward, backward = tokens(encoder, text), tokens(encoder, text.translate(COMPLEMENT)[::-1])
    assert np.array_equal(forward[0], backward[0])
    assert np.array_equal(forward[1:], backward[1:][::-1])


def test_words_of_dna_and_their_number() -> None:
    """ACG and its complement CGT are one word; each length's squares add up to one."""
    encoder = KmerCounts(kind="dna", windows=0)
    assert encoder.width == 2 + 10 + 32 + 136 + 2
    found = tokens(encoder, "ACGTTGCAAC")[0]
    for start, end in ((0, 2), (2, 12), (12, 44), (44, 180)):
        assert np.isclose((found[start:end] ** 2).sum(), 1)
    assert np.array_equal(tokens(encoder, "ACG"), tokens(encoder, "CGT"))
    assert np.array_equal(tokens(encoder, "ACGU"), tokens(encoder, "acgt"))
    assert not np.array_equal(tokens(encoder, "ACG"), tokens(encoder, "GCA"))


def test_foreign_letters_end_words() -> None:
    encoder = KmerCounts(windows=0)
    one, other = tokens(encoder, "AAXCC")[0], tokens(encoder, "AAéCC")[0]
    assert np.array_equal(one, other)
    assert (one[20:420] > 0).sum() == 2, "AA and CC, but not AC"
    assert one[-1] == pytest.approx(0.2)


def test_options_show_in_the_identity_and_bad_ones_are_refused() -> None:
    names = {encoder.identity for encoder in (KmerCounts(), KmerCounts(windows=2), KmerCounts(kind="dna"))}
    assert len(names) == 3
    assert make_encoder("kmers:windows=2", "protein").slots == 3
    for wrong in ({"kind": "rna"}, {"windows": -1}, {"windows": 65}):
        with pytest.raises(ValueError, match="kmers"):
            KmerCounts(**wrong)  # type: ignore[arg-type]
    with pytest.raises(ReadError, match="no letter"):
        KmerCounts().encode([""])


def test_a_cohort_of_proteins_takes_seconds() -> None:
    rng = np.random.default_rng(0)
    raw = ["".join(rng.choice(list(AMINO), 1000)) for _ in range(442)]
    start = time.process_time()
    assert KmerCounts().encode(raw).values.shape == (442, 5, 422)
    assert time.process_time() - start < 2
