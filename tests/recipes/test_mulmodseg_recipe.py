"""`mulmodseg`: contrasts come in turn, each is drawn as if alone, words are frozen, and they tell contrasts apart."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import chiasm
from chiasm.cohort import Unsupported
from chiasm.recipes.segmentation.mulmodseg import ConditionedDesign, MulModSeg
from chiasm.segmentation.conditioned import AlternatingMaps, Conditioned
from chiasm.segmentation.label_words import words_of
from mask_cohorts import made_cohort, opened
from unpaired_cohorts import unpaired


def test_windows_go_round_the_contrasts_in_an_exact_ratio() -> None:
    torch.manual_seed(0)
    for crops in (1, 2, 3):
        present = torch.rand(7, 3) < 0.4
        present[:3] = torch.eye(3, dtype=torch.bool)
        turns = AlternatingMaps("none", crops).turns(present)
        shown = torch.stack([own for _, own in turns])
        rows = [row for row, _ in turns]
        assert rows == sorted(rows) and (shown.sum(1) == 1).all()
        assert len(turns) == 3 * -(-7 * crops // 3) and shown.sum(0).tolist() == [len(turns) // 3] * 3
        assert all(bool((own & present[row]).any()) for row, own in turns)
    everybody = AlternatingMaps("none", 2).turns(torch.ones(8, 4, dtype=torch.bool))
    assert sorted({row for row, _ in everybody}) == [*range(8)]  # nobody of a batch is passed over
    few = torch.tensor([[True, False]] * 7 + [[False, True]])
    turns = AlternatingMaps("none", 2).turns(few)
    assert [row for row, own in turns if bool(own[1])] == [7] * 8  # the only one who has it stands for half
    assert AlternatingMaps("none", 1).turns(few[:2])[0][0] == 0  # who has the other contrast is not in this batch


def test_one_contrast_is_drawn_as_if_alone_and_several_are_averaged() -> None:
    torch.manual_seed(0)
    words = torch.from_numpy(words_of(["ct", "mr"], ["liver", "left_kidney"], "hashed"))
    both = Conditioned({"ct": 1, "mr": 1}, 2, 4, 1, words)
    alone = Conditioned({"ct": 1}, 2, 4, 1, words[:1])
    alone.load_state_dict(both.state_dict())
    ct, mr = torch.randn(2, 1, 9, 8), torch.randn(2, 1, 9, 8)
    nothing = torch.full_like(mr, float("nan"))
    one = both({"ct": ct, "mr": nothing}, torch.tensor([[True, False]] * 2))
    torch.testing.assert_close(one, alone({"ct": ct}, torch.ones(2, 1, dtype=torch.bool)), rtol=0, atol=0)
    torch.testing.assert_close(one.exp().sum(1), torch.ones(2, 9, 8))
    other = both({"ct": ct, "mr": mr}, torch.tensor([[False, True]] * 2))
    mixed = both({"ct": ct, "mr": mr}, torch.tensor([[True, True], [True, False]]))
    torch.testing.assert_close(mixed[0].exp(), (one[0].exp() + other[0].exp()) / 2)
    torch.testing.assert_close(mixed[1], one[1])
    assert "words" not in both.state_dict() and not both.words.requires_grad
    assert Conditioned({"ct": 1, "mr": 1}, 2, 4, 1, words, learnt=True).words.requires_grad
    mixed.sum().backward()
    assert all(torch.isfinite(own.grad).all() for own in both.parameters() if own.grad is not None)
    with pytest.raises(ValueError, match="no contrast is present"):
        both({"ct": ct, "mr": mr}, torch.tensor([[True, False], [False, False]]))
    with pytest.raises(ValueError, match="one number of channels"):
        Conditioned({"ct": 1, "mr": 3}, 2, 4, 1, words)


def test_words_name_label_and_contrast_or_the_label_alone() -> None:
    told = words_of(["ct", "mr"], ["liver", "left_kidney"], "hashed")
    assert told.shape == (2, 2, 512) and len({own.tobytes() for own in told.reshape(4, -1)}) == 4
    np.testing.assert_allclose((told**2).mean(2), 1, rtol=1e-5)
    untold = words_of(["ct", "mr"], ["liver", "left_kidney"], "none")
    np.testing.assert_array_equal(untold[0], untold[1])
    with pytest.raises(ValueError, match="finite numbers"):
        ConditionedDesign(4, 1, np.full((1, 1, 2), np.nan))
    with pytest.raises(ValueError, match="other contrasts or labels"):
        ConditionedDesign(4, 1, told).network({"ct": 1}, 2, 2)


def test_a_model_is_stored_and_draws_of_any_contrast(tmp_path: Path) -> None:
    cohort = opened(tmp_path, 24, absent=0.2)
    model = chiasm.fit(cohort, "mulmodseg:width=4,depth=1,crops=1,epochs=1", seed=0)
    said = model.predict(cohort)
    assert set(said["pattern"]) == {"one", "two", "one+two"}
    model.save(tmp_path / "model")
    few = cohort.subset(np.arange(len(cohort)) % 6 == 0)
    pd.testing.assert_frame_equal(chiasm.load_model(tmp_path / "model").predict(few), said.loc[few.ids])
    place = made_cohort(tmp_path / "b", 4)
    place.write_text(place.read_text().replace('encoder = "grid"', 'encoder = "grid:channels=3"', 1))
    with pytest.raises(Unsupported, match="'one' has 3, 'two' has 1"):
        MulModSeg().supports(chiasm.encode(chiasm.open_cohort(place)).cohort)
    for wrong in ({"width": 0}, {"depth": 9}, {"words": ""}):
        with pytest.raises(ValueError, match=r"lies between|words is"):
            MulModSeg(**wrong)


@pytest.mark.nightly
def test_told_the_contrast_one_network_draws_what_it_cannot_untold(tmp_path: Path) -> None:
    train, new = unpaired(tmp_path / "a", 40), unpaired(tmp_path / "b", 30, seed=1)
    for seed in range(3):
        found = {}
        for words in ("hashed", "none"):
            name = f"mulmodseg:words={words},width=8,depth=2,epochs=25,batch=4"
            chiasm.fit(train, name, seed=seed).save(tmp_path / f"{words}{seed}")
            table = chiasm.validate(tmp_path / f"{words}{seed}", new).table()
            found[words] = table.set_index("metric").loc["dice"]
        assert found["hashed"]["low"] > found["none"]["high"], found
