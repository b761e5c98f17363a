"""The space of a choice keeps no word that fewer than five training patients' options have."""

from __future__ import annotations

import numpy as np

from chiasm.fitting.option_space import SEVERAL, OptionSpace
from chiasm.targets import Options, Outcome

N = 60
FEW = range(4)  # patients whose options name somebody, in every option of theirs


def space(texts: list[tuple[str, ...]], people: np.ndarray | None = None) -> OptionSpace:
    held = np.empty(len(texts), dtype=object)
    held[:] = texts
    units = None if people is None else np.unique(people, return_inverse=True)[1]
    options = Options(held, max(map(len, texts)), units=units)
    value = np.arange(len(texts)) % 2.0
    return OptionSpace.fit(options, Outcome(value, None, np.ones(len(texts), bool), options=options))


def test_words_of_few_patients_are_not_kept_however_many_of_their_options_have_them() -> None:
    own = [("mueller " if k in FEW else "") + f"finding{k}" for k in range(N)]
    texts = [(f"{name} fracture", f"{name} cyst", f"{name} of the left lung") for name in own]
    made = space(texts)
    kept = set(made.words)
    assert {"fracture", "cyst", "of the", "left lung"} <= kept and not made.named
    assert not any("mueller" in word or "finding" in word for word in kept), kept
    assert len(made.idf) == len(made.words) == made.axes.shape[0] and made.width > 1
    assert "five training patients or more" in made.of_training() and SEVERAL == 5


def test_a_person_with_several_rows_counts_once() -> None:
    people = np.array(["mueller" if k < 20 else f"p{k}" for k in range(N)])
    texts = [("mueller fracture", "mueller cyst") if k < 20 else (f"fracture {k}", f"cyst {k}") for k in range(N)]
    assert "mueller" in space(texts).words and "mueller" not in space(texts, people).words
    few = [("mueller", "no") if k < 20 else ("yes", "no") for k in range(N)]
    assert space(few).named == ("mueller", "no", "yes") and "mueller" not in space(few, people).named


def test_options_that_share_no_word_have_their_length_alone() -> None:
    made = space([(f"a{k}", f"bb{k}") for k in range(N)])
    assert made.words == () and made.width == 1 and not made.of_training()
    assert np.isfinite(made.prior).all()
