"""Prompts of a cohort: what is refused before anything is computed, what is kept of training, counts and tokens."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import chiasm
from chiasm.encoders.catalogue import make_encoder
from chiasm.encoders.sequence.prompt_encoder import Prompts, PromptTokens
from chiasm.encoders.sequence.prompt_pieces import PromptPieces
from chiasm.readers.reading import ReadError

AA, SMILES, START = "<@TOKENIZER-TYPE=AA>", "<@TOKENIZER-TYPE=SMILES>", "<SEQUENCE_NATURAL_START>"
SCALARS, EMBEDDINGS = "<@TOKENIZER-TYPE=SCALARS_LITERALS>", "<@TOKENIZER-TYPE=EXTERNAL_EMBEDDINGS_FROM_DICT>"
SECRET = "QQSECRETQQ"
WRONG = {
    f"{AA}<TASK>{START}{SECRET}": "does not close",
    f"{AA}<TASK>{SECRET}1": "does not know",
    f"{AA}<TASK><{SECRET}": "angle bracket",
    f"{AA}<TASK>{'A' * 20}{SECRET}": "more than the 16 that are read",
    f"{AA}<TASK><@TOKENIZER-TYPE=SCALARS_FROM_DICT>{SECRET}": "numbers by a key",
    f"<@TOKENIZER-TYPE=AA@MAX-LEN=2@TRUNC-MODE=RAND>{SECRET}": "a place that is drawn",
    f"<@TOKENIZER-TYPE={SECRET}>A": "there is not",
    f"{AA}{EMBEDDINGS}{SECRET}": "encoder:key",
    f"{AA}": "no token",
}


@pytest.mark.parametrize("wrong", WRONG, ids=WRONG.values())
def test_a_prompt_that_cannot_be_read_is_refused_without_its_text(wrong: str) -> None:
    with pytest.raises(ReadError, match=WRONG[wrong]) as refused:
        Prompts(longest=16).require(wrong)
    assert SECRET not in str(refused.value)


def test_a_refused_prompt_is_a_patient_without_one_and_is_told_before_a_fit() -> None:
    frame = pd.DataFrame({"prompt": [f"{AA}<TASK>MKT<EOS>", f"{AA}{START}MKT"]}, index=["a", "b"])
    cohort = chiasm.cohort_from_frames(frame[[]], {"prompt": frame}, kinds={"prompt": "text"})
    encoded = chiasm.encode(cohort, {"prompt": "prompts"})
    assert encoded.cohort.present[:, 0].tolist() == [True, False]
    assert any("does not close" in problem.what for problem in encoded.problems)


def test_what_one_prompt_alone_holds_is_not_kept() -> None:
    gene, own = "<@TOKENIZER-TYPE=GENE>", "[of one patient alone]"
    pieces = PromptPieces().fit([f"{gene}<TASK>[TP53]{own}<OWN><EOS>", f"{gene}<TASK>[TP53][EGFR]", f"{AA}<TASK>A"])
    assert pieces.pieces["GENE"] == ("[TP53]",)
    assert pieces.special == pieces.tasks == ("<TASK>",)
    with pytest.raises(chiasm.Unsupported, match=r"1 prompt with a task.* .the tasks are <TASK>"):
        pieces.read([f"{gene}<TASK>[TP53]", f"{gene}<OWN>[TP53]"])


def test_what_says_which_kind_of_thing_stands_there_is_no_task() -> None:
    prompts = [f"{AA}<MOLECULAR_ENTITY_TCR_ALPHA_VDJ><{task}>MK<EOS>" for task in ("X", "Y", "X", "Y")]
    pieces = PromptPieces().fit(prompts)
    assert pieces.tasks == ("<X>", "<Y>") and pieces.tasks_of(prompts) == [1, 2, 1, 2]


def test_unknown_letters_and_cut_tokens_are_noted() -> None:
    prompt = f"{AA}<TASK>A1<@TOKENIZER-TYPE=AA@MAX-LEN=2>MKTV"
    noted = Prompts(unknown=True).notes(prompt)
    assert "2 tokens of a prompt cut off" in noted[0] and "1 letter read as unknown" in noted[1]


def test_tokens_have_ids_numbers_and_places() -> None:
    prompt = f"{AA}<TASK>MK{SCALARS}0.5,-2{EMBEDDINGS}minilm:note:2{AA}<EOS>"
    encoder = PromptTokens().fit([prompt, prompt])
    values = encoder.encode([prompt]).values[0]
    assert encoder.pieces is not None
    names = encoder.pieces.vocabulary.decode(values[:, 0].long().tolist())
    assert names == ["<TASK>", "M", "K", "<SCALAR>", "<SCALAR>", "<EMBEDDINGS>", "<EMBEDDINGS>", "<EOS>"]
    assert values[:, 1].tolist() == [0, 0, 0, 0.5, -2, 0, 0, 0]
    assert values[:, 2].tolist() == [0, 0, 0, 1, 1, 0, 0, 0]
    assert values[:, 3].tolist() == [0, 0, 0, 0, 0, 1, 1, 0]
    assert values[:, 4].tolist() == [0, 0, 0, 0, 0, 0, 1, 0]


def test_counts_tell_two_tasks_of_one_molecule_apart_and_take_what_is_new_as_unknown() -> None:
    prompts = [f"{SMILES}<{task}>{letters}{AA}<EOS>" for task in ("X", "Y") for letters in ("CCO", "CNO", "CCN")]
    encoder = make_encoder("prompts", "text").fit(prompts)
    features = encoder.features([*prompts, f"{SMILES}<NEW>CCO{AA}<EOS>"])
    assert features.shape == (7, encoder.width) and np.isfinite(features).all()
    assert np.linalg.matrix_rank(features[:6] - features[:6].mean(0)) == 5
    np.testing.assert_allclose(encoder.encode(prompts[:2]).values[:, 0], features[:2], atol=1e-6)
