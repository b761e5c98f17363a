"""Prompts of MAMMAL: parse and render, and ids equal to those of fuse-med-ml's modular tokenizer."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chiasm.encoders.sequence.prompt_vocabulary import (
    BRACKETED,
    LETTER,
    SMILES,
    SPECIAL,
    PromptVocabulary,
    Tokenizer,
    amino_acids,
    bracketed,
    nucleotides,
    smiles_of,
)
from chiasm.encoders.sequence.prompts import FROM_DICT, LITERALS, Slot, Span, parse_prompt, render_prompt, scalars_of
from chiasm.readers.reading import ReadError

RELEASED = json.loads((Path(__file__).parent / "fixtures" / "prompts.json").read_text())
PIECES = {"AA": LETTER, "SMILES": SMILES, "GENE": BRACKETED, "CELL_ATTRIBUTES": BRACKETED}
GIVEN = {"weights": [1.5, 2.5]}
PROTEIN = "<SEQUENCE_NATURAL_START>MKTV<SEQUENCE_NATURAL_END>"


def vocabulary_of_the_fixture() -> PromptVocabulary:
    tokenizers = (Tokenizer(name, PIECES[name], tuple(known)) for name, known in RELEASED["known"].items())
    return PromptVocabulary(tuple(tokenizers), tuple(RELEASED["special"]))


@pytest.mark.parametrize("row", RELEASED["prompts"], ids=range(len(RELEASED["prompts"])))
def test_ids_numbers_and_slots_equal_those_of_the_released_tokenizer(row: dict[str, Any]) -> None:
    own = vocabulary_of_the_fixture().encode(row["prompt"], numbers=GIVEN, longest=row["longest"])
    assert own.ids.tolist() == row["ids"]
    assert own.is_scalar.tolist() == row["is_scalar"]
    np.testing.assert_array_equal(own.scalars, np.array(row["scalars"], np.float32))
    slots = [[place, slot.encoder, slot.length] for place, slot in own.slots]
    assert slots == [found for found in row["slots"] if found[0] + found[2] <= len(row["ids"])]
    assert "".join(f"{kind}:{before}=>{after}|" for kind, before, after in own.cut) == row["cut"]


@pytest.mark.parametrize("row", RELEASED["prompts"][::2], ids=range(len(RELEASED["prompts"][::2])))
def test_published_prompts_are_written_as_they_were_read(row: dict[str, Any]) -> None:
    assert render_prompt(parse_prompt(row["prompt"])) == row["prompt"]


KINDS = st.sampled_from(["AA", "SMILES", "GENE", "MINE"])
TEXTS = st.text(st.sampled_from("ACDEFGabc[]()=#>1.,: "), max_size=20)
LONGEST = st.none() | st.integers(1, 999_999_999)
READ = st.builds(Span, KINDS, TEXTS, LONGEST, st.none()) | st.builds(
    Span, KINDS, TEXTS, st.integers(1, 999), st.sampled_from(["RIGHT", "RAND"])
)
SPANS = st.lists(READ | st.builds(Span, st.sampled_from([LITERALS, FROM_DICT]), TEXTS), min_size=1, max_size=6)


@settings(suppress_health_check=[HealthCheck.too_slow])  # of a machine that does other work too
@given(SPANS)
def test_any_spans_survive_being_written_and_read(spans: list[Span]) -> None:
    prompt = render_prompt(spans)
    assert parse_prompt(prompt) == tuple(spans)
    assert render_prompt(parse_prompt(prompt)) == prompt


@given(st.text(st.sampled_from("<>@=-_ACEHIKLMNOPRSTUXYZ0123 "), max_size=80))
def test_any_text_is_read_or_refused_in_a_sentence(text: str) -> None:
    try:
        spans = parse_prompt("<@TOKENIZER-TYPE=AA>" + text)
    except ReadError as problem:
        assert "; " in str(problem) and str(problem).count("\n") == 0
    else:
        assert parse_prompt(render_prompt(spans)) == spans


REFUSED = {
    "": "names no tokenizer",
    "MKTV": "names no tokenizer",
    "MK<@TOKENIZER-TYPE=AA>TV": "text stands before the first tag",
    "<@TOKENIZER-TYPE=>MKTV": "names no tokenizer",
    "<@TOKENIZER-TYPE=AA>MK<@TOKENIZER-TYPE=AA": "does not close",
    "<@TOKENIZER-TYPE=AA><SEQUENCE_NATURAL_START>MKTV": "does not close",
    f"<@TOKENIZER-TYPE=AA>{PROTEIN}<SEQUENCE_NATURAL_END>": "does not close",
    "<@TOKENIZER-TYPE=AA><SEQUENCE_NATURAL_START>" + PROTEIN + "<SEQUENCE_NATURAL_END>": "stands within another one",
    "<@TOKENIZER-TYPE=AA@MAX-LEN=0>MKTV": "no whole number",
    "<@TOKENIZER-TYPE=AA@MAX-LEN=-3>MKTV": "no whole number",
    "<@TOKENIZER-TYPE=AA@MAX-LEN=3@MAX-LEN=4>MKTV": "doubled",
    "<@TOKENIZER-TYPE=AA@LENGTH=3>MKTV": "unknown",
    "<@TOKENIZER-TYPE=AA@TRUNC-MODE=RIGHT>MKTV": "has no MAX-LEN",
    "<@TOKENIZER-TYPE=AA@MAX-LEN=3@TRUNC-MODE=LEFT>MKTV": "not RIGHT or RAND",
    "<@TOKENIZER-TYPE=SCALARS_LITERALS@MAX-LEN=3>1,2": "whose length is known",
    "<@TOKENIZER-TYPE=SCALARS_LITERALS>1,two": "what is no number",
    "<@TOKENIZER-TYPE=SCALARS_LITERALS>1,inf": "not finite",
    "<@TOKENIZER-TYPE=SCALARS_LITERALS>1,1e39": "not finite as float32",
    "<@TOKENIZER-TYPE=EXTERNAL_EMBEDDINGS_FROM_DICT>ESM:key:999999999": "more than 65,536 places",
    "<@TOKENIZER-TYPE=SCALARS_FROM_DICT>age": "does not have",
    "<@TOKENIZER-TYPE=EXTERNAL_EMBEDDINGS_FROM_DICT>ESM": "encoder:key",
    "<@TOKENIZER-TYPE=EXTERNAL_EMBEDDINGS_FROM_DICT>ESM:key:0": "encoder:key",
    "<@TOKENIZER-TYPE=PEPTIDE>MKTV": "tokenizer that the vocabulary does not have",
    "<@TOKENIZER-TYPE=AA>MK1TV2": "does not know 2 pieces",
    "<@TOKENIZER-TYPE=AA><UNHEARD_OF>MKTV": "opens no special token",
    "<@TOKENIZER-TYPE=GENE><[TP53]<EOS>": "opens no special token",  # as the released prompt of cells has it
    "<@TOKENIZER-TYPE=AA@MAX-LEN=2@TRUNC-MODE=RAND>MKTV": "no seed",
}


@pytest.mark.parametrize("prompt", REFUSED, ids=range(len(REFUSED)))
def test_bad_prompts_are_refused_in_a_sentence_that_holds_none_of_their_text(prompt: str) -> None:
    with pytest.raises(ReadError, match=re.escape(REFUSED[prompt])) as caught:
        vocabulary_of_the_fixture().encode(prompt)
    assert "MKTV" not in str(caught.value) and "UNHEARD" not in str(caught.value)


def test_what_cannot_be_meant_is_refused() -> None:
    own, prompt = vocabulary_of_the_fixture(), "<@TOKENIZER-TYPE=SCALARS_FROM_DICT>weights"
    for numbers in ({"weights": [None]}, {"weights": ["two"]}, {"weights": 3.0}):
        with pytest.raises(ReadError, match="what is no number"):
            own.encode(prompt, numbers=numbers)  # type: ignore[arg-type]
    for wrong in ({"unknown": "kept"}, {"longest": -1}, {"longest": 0}):
        with pytest.raises(ValueError, match="longest 1 or more"):
            own.encode(prompt, numbers=GIVEN, **wrong)  # type: ignore[arg-type]
    with pytest.raises(IndexError):
        own.decode([-1])


def test_unknown_pieces_are_counted_where_they_are_kept() -> None:
    own = vocabulary_of_the_fixture().encode("<@TOKENIZER-TYPE=AA>MK1TV2<@TOKENIZER-TYPE=GENE>[TP53]x", unknown="keep")
    assert own.unknown == {"AA": 2, "GENE": 1}
    assert [token for token in vocabulary_of_the_fixture().decode(own.ids.tolist()) if token == "<UNK>"] == [
        "<UNK>"
    ] * 3


def test_a_stretch_that_is_drawn_has_its_length_and_lies_anywhere() -> None:
    vocabulary, prompt = vocabulary_of_the_fixture(), "<@TOKENIZER-TYPE=AA@MAX-LEN=4@TRUNC-MODE=RAND>ACDEFGH"
    generator = np.random.default_rng(0)
    drawn = {"".join(vocabulary.decode(vocabulary.encode(prompt, generator=generator).ids.tolist())) for _ in range(60)}
    assert drawn == {"ACDE", "CDEF", "DEFG", "EFGH"}


def test_one_letter_has_an_id_for_each_tokenizer() -> None:
    molecules = smiles_of(["CCl", "c1ccccc1"])
    vocabulary = PromptVocabulary((amino_acids(), nucleotides(), molecules, bracketed("GENE", ["C"])))
    texts = {"AA": "C", "DNA": "C", "SMILES": "CCl", "GENE": "[C]"}
    read = vocabulary.encode(render_prompt([Span(kind, text) for kind, text in texts.items()]))
    assert len(set(read.ids.tolist())) == 5
    assert vocabulary.decode(read.ids.tolist()) == ["C", "C", "C", "Cl", "[C]"]
    assert len(vocabulary.tokens) == len(vocabulary)


def test_numbers_and_slots_of_a_prompt() -> None:
    prompt = (
        "<@TOKENIZER-TYPE=SCALARS_FROM_DICT>labs<@TOKENIZER-TYPE=EXTERNAL_EMBEDDINGS_FROM_DICT>ESM:chain:2"
        "<@TOKENIZER-TYPE=SCALARS_LITERALS>-1e-3<@TOKENIZER-TYPE=AA><EOS>"
    )
    own = PromptVocabulary((amino_acids(),)).encode(prompt, numbers={"labs": (2.0, 3.0)})
    assert own.scalars.tolist() == pytest.approx([2.0, 3.0, 0.0, 0.0, -1e-3, 0.0])
    assert own.slots == ((2, Slot("ESM", "chain", 2)),)


@pytest.mark.parametrize(
    ("tokenizers", "special", "what"),
    [
        ((amino_acids(), amino_acids()), SPECIAL, "twice"),
        ((amino_acids(),), (*SPECIAL, "<EOS>"), "twice"),
        ((amino_acids(),), (*SPECIAL, "TASK"), "angle brackets"),
        ((amino_acids(),), SPECIAL[1:], "<PAD> is missing"),
    ],
)
def test_vocabularies_that_contradict_themselves_are_refused(tokenizers: Any, special: Any, what: str) -> None:
    with pytest.raises(ValueError, match=what):
        PromptVocabulary(tokenizers, special)


@pytest.mark.parametrize("options", [{"longest": 0}, {"longest": -1}, {"longest": 1, "cut": "LEFT"}, {"cut": "RIGHT"}])
def test_a_span_made_by_hand_keeps_what_a_prompt_could_say(options: dict[str, Any]) -> None:
    with pytest.raises(ReadError, match=r"fewer than one token|RIGHT or RAND"):
        Span("AA", "MKTV", **options)


def test_what_only_looks_like_numbers_is_refused() -> None:
    for text in ("1_000", "\u0661\u0662", "1e", "0x10"):
        with pytest.raises(ReadError, match="no number"):
            scalars_of(Span(LITERALS, text), {})
    assert scalars_of(Span(LITERALS, " -.5,+3e2 ,7."), {}) == [-0.5, 300.0, 7.0]
    with pytest.raises(ReadError, match="no number"):
        scalars_of(Span(FROM_DICT, "key"), {"key": "123"})  # not 1, 2 and 3


def test_a_tokenizer_that_no_tag_reaches_is_refused() -> None:
    for name in (LITERALS, "A B", "A@B", ""):
        with pytest.raises(ValueError, match="another name"):
            PromptVocabulary((amino_acids(name),))
