"""Letters to tokens: alphabets, one-hot places, and networks of sequences as encoders."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import chiasm
from chiasm.encoders.adaptable import unread_modules
from chiasm.encoders.catalogue import make_encoder
from chiasm.encoders.sequence.alphabets import MASK, UNKNOWN, alphabet, smiles_tokens
from chiasm.encoders.sequence.network import SequenceConfig, untrained
from chiasm.encoders.sequence.onehot import OneHot
from chiasm.encoders.sequence.sequence_encoder import SequenceEncoder
from chiasm.encoders.sequence.stored_network import store_network
from chiasm.readers.reading import ReadError
from chiasm.recipes.registry import make_recipe
from chiasm.testing import check_adaptation, check_encoder
from examples import examples

DNA = ["ACGT", "N", "GATTACA" * 11, "A", "acgu", "TTTTTTTTGC"]
PROTEINS = ["MKTAYIAKQR", "M", "MXBZJUO", "ACDEFGHIKLMNPQRSTVWY" * 4, "GG", "WWW"]
SMILES = ["CC(=O)Oc1ccccc1C(=O)O", "C", "[nH]1cccc1Sc2ccccc2", "C[C@@H](Cl)Br", "[Na+].[Cl-]", "C%12CCCC%12"]
COMPLEMENT = str.maketrans("ACGTNRYSWKMBDHV", "TGCANYRSWMKVHDB")


@pytest.mark.parametrize(
    ("kind", "options", "raw"),
    [
        ("dna", "rc=ps", DNA),
        pytest.param("dna", "cell=gru,rc=ph,directions=1,level=token,most=16", DNA, marks=pytest.mark.nightly),
        pytest.param("protein", "cell=mlstm,windows=0", PROTEINS, marks=pytest.mark.nightly),
        ("molecule", "cell=xlstm,dim=32", SMILES),
        (
            "text",
            "cell=mamba,alphabet=letters:HELC-,level=token,unknown=true",
            ["HHEL", "L", "éH", "C-C", "E" * 70, "x"],
        ),
    ],
)
def test_the_laws_of_an_encoder_hold_for_networks(kind: str, options: str, raw: list[str]) -> None:
    check_encoder(make_encoder(f"sequence:{options}" + ("" if "dim" in options else ",dim=16"), kind), raw)


def test_the_laws_of_an_encoder_hold_for_places() -> None:
    check_encoder(OneHot(length=4, places="1-2+4"), ["MKTA", "XBZU", "JOOO", "MMMM", "ACDE", "WWWW"])
    check_encoder(OneHot("dna", length=3), ["ACG", "NNN", "TTT", "RYS", "acu", "CCC"])


@settings(deadline=None, max_examples=examples(12))
@given(st.text("ACGTNRYSWKMBDHV", min_size=1, max_size=70), st.sampled_from(["ps", "ph"]))
def test_both_strands_have_the_same_tokens(text: str, rc: str) -> None:
    encoder = SequenceEncoder(rc=rc, dim=16, windows=3)
    own, other = (encoder.encode([one]).values[0] for one in (text, text.translate(COMPLEMENT)[::-1]))
    torch.testing.assert_close(own[0], other[0], rtol=0, atol=1e-5)
    torch.testing.assert_close(own[1:], other[1:].flip(0), rtol=0, atol=1e-5)


def test_one_strand_alone_has_others() -> None:
    encoder = SequenceEncoder(dim=16)
    own, other = (encoder.encode([one]).values[0, 0] for one in ("GATTACA", "TGTAATC"))
    assert not torch.allclose(own, other, atol=1e-3)


def test_letters_have_numbers_and_complements() -> None:
    dna, rna = alphabet("dna"), alphabet("rna")
    assert dna.text(dna.ids("acguNRY")) == "ACGTNRY" and rna.text(rna.ids("ACGT")) == "ACGU"
    for own, fourth in ((dna, "T"), (rna, "U")):
        whole = "ACGTNRYSWKMBDHV".replace("T", fourth)
        turned = "ACGTNRYSWKMBDHV".translate(COMPLEMENT).replace("T", fourth)
        assert own.text(own.complements[own.ids(whole)]) == turned
        assert np.array_equal(own.complements[own.complements], np.arange(own.size)), "twice is once"
        assert own.complements[MASK] == MASK
    assert alphabet("letters:HELC").ids("CLEH").tolist() == [11, 10, 9, 8]


def test_smiles_are_cut_as_chemists_read_them() -> None:
    assert smiles_tokens("CSc1ccc(Cl)cc1") == [*"CSc1ccc(", "Cl", *")cc1"], "no scandium outside brackets"
    assert smiles_tokens("[Sc+3]") == ["[", "Sc", "+", "3", "]"]
    assert smiles_tokens("C[C@@H](Br)[nH]%12") == [
        "C",
        "[",
        "C",
        "@@",
        "H",
        "]",
        "(",
        "Br",
        ")",
        *"[nH]",
        "%",
        "1",
        "2",
    ]
    for text in SMILES:
        assert "".join(smiles_tokens(text)) == text
        assert alphabet("smiles").text(alphabet("smiles").ids(text)) == text


def test_what_is_outside_an_alphabet_is_refused_or_counted() -> None:
    with pytest.raises(ReadError, match="position 3 is not in the alphabet 'protein'"):
        alphabet("protein").ids("MK9A")
    with pytest.raises(ReadError, match="position 4"):
        alphabet("smiles").ids("CClX")
    with pytest.raises(ReadError, match="no letter"):
        alphabet("dna").ids("")
    assert alphabet("protein").ids("MKéA", unknown=True)[2] == UNKNOWN
    strict, lenient = SequenceEncoder("protein", dim=16), SequenceEncoder("protein", dim=16, unknown=True)
    with pytest.raises(ReadError, match="unknown=true"):
        strict.require("MK9A")
    lenient.require("MK9A")
    assert lenient.notes("MK99")[0].startswith("2 letters") and not lenient.notes("MK") and not strict.notes("MK")


def test_places_are_counted_by_hand() -> None:
    values = OneHot("dna", length=5, places="1+3-4").encode(["AANRT"]).values[0]
    assert values.tolist() == [[1, 0, 0, 0], [0.25] * 4, [0.5, 0, 0.5, 0]]
    assert OneHot(length=265, places="39-41+54").width == 22 and OneHot(length=265).slots == 265
    assert OneHot("molecule", length=2).encode(["ClC"]).values.sum() == 2
    for options, said in (
        ({}, "length=81"),
        ({"length": 4, "places": "0"}, "1 to 4"),
        ({"length": 4, "places": "2-9"}, "1 to 4"),
        ({"length": 4, "places": "2+1-3"}, "each once"),
        ({"length": 4, "places": "1-99999999999"}, "1 to 4"),
        ({"length": 4, "places": "one"}, "39-41"),
        ({"kind": "text", "length": 4}, "no alphabet"),
    ):
        with pytest.raises(ValueError, match=said):
            OneHot(**options)  # type: ignore[arg-type]
    with pytest.raises(ReadError, match="other than the 4 letters"):
        OneHot(length=4).encode(["MKT"])


def test_a_folder_says_what_the_network_is(tmp_path: Path) -> None:
    config = SequenceConfig(cell="gru", alphabet="protein", width=16, depth=1)
    store_network(tmp_path / "net", untrained(config, 3), "causal")
    place = f"sequence:weights={tmp_path / 'net'}"
    encoder = make_encoder(place, "protein")
    same = SequenceEncoder("protein", cell="gru", dim=16, depth=1, directions=1, seed=3)
    assert torch.equal(encoder.encode(PROTEINS).values, same.encode(PROTEINS).values)
    assert not torch.equal(
        encoder.encode(["MK"]).values, make_encoder("sequence:dim=16", "protein").encode(["MK"]).values
    )
    before = encoder.identity
    (tmp_path / "net").rename(tmp_path / "moved")
    moved = make_encoder(f"sequence:weights={tmp_path / 'moved'}", "protein")
    assert moved.identity == before, "the place of the folder is no part of what it is"
    assert str(tmp_path) not in moved.identity and moved.identity != same.identity
    with pytest.raises(ValueError, match="another than"):
        _ = make_encoder(f"sequence:weights={tmp_path / 'moved'},cell=mamba", "protein").width
    with pytest.raises(ValueError, match="network reads 'protein', and the modality is of kind 'dna'"):
        _ = make_encoder(f"sequence:weights={tmp_path / 'moved'}", "dna").width
    assert make_encoder(f"sequence:weights={tmp_path / 'moved'},alphabet=protein", "dna").width == 16
    with pytest.raises(ValueError, match="no alphabet of their own"):
        make_encoder("sequence", "text")
    with pytest.raises(ValueError, match="leave out seed"):
        make_encoder(f"{place},seed=3", "protein")


@pytest.mark.parametrize("cell", ["mamba", "mamba2", "xlstm"])
def test_an_adapter_finds_all_of_a_network_but_the_head_that_predicts_letters(cell: str) -> None:
    encoder = SequenceEncoder(cell=cell, dim=16, rc="ps", heads=2)
    assert unread_modules(encoder.trunk(), encoder.inputs(["ACGT" * 20])) == {"head"}


@pytest.mark.nightly
@pytest.mark.parametrize("recipe", ["lora:where=all,rank=2", "full-tuning:learning_rate=0.01"])
def test_a_network_of_sequences_is_adapted(recipe: str) -> None:
    rng = np.random.default_rng(0)
    ids = [f"p{number}" for number in range(48)]
    texts = {own: "".join(rng.choice(list("ACGT"), rng.integers(5, 80))) for own in ids[:-6]}
    cohort = chiasm.cohort_from_frames(
        pd.DataFrame({"y": rng.choice(["a", "b"], 48)}, index=ids),
        {"dna": pd.DataFrame({"s": texts}), "age": pd.DataFrame({"age": rng.normal(size=48)}, index=ids)},
        target=chiasm.Classification("y"),
        kinds={"dna": "dna"},
    )
    spec = "sequence:dim=16,rc=ps,heads=2"
    encoded = chiasm.encode(cohort, {"dna": spec}, jobs=1, inputs=True).cohort
    head = check_adaptation(make_recipe("probe:epochs=1,latent_width=4"), encoded).trained_parameters
    model = check_adaptation(make_recipe(f"{recipe},epochs=2,latent_width=4"), encoded)
    assert model.trained_parameters > head + 100, "the network itself is trained"


def test_batches_of_mixed_lengths_change_nothing() -> None:
    rng = np.random.default_rng(0)
    raw = ["".join(rng.choice(list("ACGT"), n)) for n in rng.integers(1, 200, 8)]
    encoder = SequenceEncoder(dim=16, rc="ps")
    together = encoder.encode(raw).values
    for row, text in enumerate(raw):
        torch.testing.assert_close(together[row], encoder.encode([text]).values[0], rtol=0, atol=1e-6)
