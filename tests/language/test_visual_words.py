"""Words and codes share one vocabulary in disjoint ranges; one model names digits and draws digits by their names."""

from __future__ import annotations

from copy import deepcopy
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from chiasm.language.early_fusion import NOTHING, padded, pairs_in_both_orders, splice
from chiasm.language.visual_words import QuantiserDesign, SharedVocabulary

SHARED = SharedVocabulary(words=13, codes=7, places=4)


def test_words_codes_and_marks_are_disjoint_and_none_is_left_over() -> None:
    codes = range(SHARED.words, SHARED.words + SHARED.codes)
    every = [*range(SHARED.words), *codes, SHARED.begin, SHARED.end]
    assert every == list(range(SHARED.size))


def test_codes_come_back_and_what_is_no_image_is_refused() -> None:
    codes = torch.randint(0, 7, (5, 4), generator=torch.Generator().manual_seed(0))
    ids = SHARED.of_images(codes)
    assert torch.equal(SHARED.codes_of(ids), codes) and int(ids[:, 1:-1].min()) >= 13
    for broken in (ids.roll(1, 1), ids[:, :-1], ids.clamp_max(12)):
        with pytest.raises(ValueError, match="its begin, 4 codes and its end"):
            SHARED.codes_of(broken)
    for given, why in ((codes + 7, "another VQVAE"), (codes[:, :3], "4 codes")):
        with pytest.raises(ValueError, match=why):
            SHARED.of_images(given)


def test_a_pair_stands_there_in_both_orders() -> None:
    images = SHARED.of_images(torch.tensor([[0, 1, 2, 3], [3, 2, 1, 0]]))
    rows = pairs_in_both_orders([[5], [6, 7]], images, 1, 2)
    assert rows[0] == [1, 5, 20, 13, 14, 15, 16, 21, 2] and rows[3] == [1, 20, 16, 15, 14, 13, 21, 6, 7, 2]
    assert padded(rows)[0, -1] == NOTHING and padded(rows)[1, -1] == 2


class Words(torch.nn.Module):
    """What splicing asks of a causal model: embeddings that grow, and how much it reads."""

    def __init__(self) -> None:
        super().__init__()
        self.table = torch.nn.Embedding(SHARED.words, 4)
        self.config, self.device = SimpleNamespace(max_position_embeddings=64), "cpu"

    def get_input_embeddings(self) -> torch.nn.Embedding:
        return self.table

    get_output_embeddings = get_input_embeddings

    def resize_token_embeddings(self, size: int, mean_resizing: bool) -> None:
        old, self.table = self.table.weight.detach(), torch.nn.Embedding(size, 4)
        with torch.no_grad():
            self.table.weight[: len(old)] = old


def test_new_rows_are_drawn_by_the_seed_alone() -> None:
    network = Words()
    made = []
    for seed in (0, 0, 1):
        before = torch.get_rng_state()
        made.append(splice(deepcopy(network), SHARED, seed=seed).table.weight)
        assert torch.equal(torch.get_rng_state(), before)
        torch.rand(1)
    assert torch.equal(made[0], made[1]) and torch.equal(made[0][:13], made[2][:13])
    assert not torch.equal(made[0][13:], made[2][13:])


@pytest.mark.parametrize(
    ("sizes", "why"),
    [({"size": 10}, "halved 2 times"), ({"size": 8, "codes": 1}, "codes=1"), ({"size": 0}, "1 or more")],
)
def test_sizes_that_make_no_quantiser_are_refused(sizes: dict[str, int], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        QuantiserDesign(1, **sizes)


@pytest.fixture(scope="module")
def digits() -> Any:
    from sklearn.datasets import load_digits

    found = load_digits()
    return torch.tensor(found.images, dtype=torch.float32)[:, None] / 8 - 1, found.target


@pytest.fixture(scope="module")
def quantiser(digits: Any) -> Any:
    pytest.importorskip("monai")
    from chiasm.language.visual_words import taught_quantiser

    return taught_quantiser(QuantiserDesign(1, 8, halvings=1, codes=32), digits[0][:1200], steps=300)


@pytest.mark.nightly
def test_codes_are_those_of_the_vqvae_and_its_drawing_is_theirs(digits: Any, quantiser: Any) -> None:
    images = digits[0][1200:]
    with torch.no_grad():
        drawn, _ = quantiser.network(images)
        codes = quantiser.encode(images)
        torch.testing.assert_close(quantiser.decode(codes), drawn)
        shared = SharedVocabulary(50, 32, 16)
        torch.testing.assert_close(quantiser.decode(shared.codes_of(shared.of_images(codes))), drawn)
    assert float((drawn - images).square().mean()) < 0.3 * float(images.var()) and len(codes.unique()) > 12


@pytest.mark.nightly
def test_both_directions_are_better_than_what_ignores_the_other(digits: Any, quantiser: Any) -> None:
    """Digits that were not trained on, against the frequency of each word, and of each code at its place."""
    pytest.importorskip("transformers")
    from chiasm.language.early_fusion import drawn_images, log_likelihood, teach_pairs
    from tiny_speakers import fresh_model, tokenizer_of

    names = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
    words = tokenizer_of(names)
    texts = [words(names[k], add_special_tokens=False)["input_ids"] for k in digits[1]]
    shared = SharedVocabulary(len(words), 32, 16)
    with torch.no_grad():
        codes = quantiser.encode(digits[0])
    images = shared.of_images(codes)
    network = fresh_model(len(words), width=32, reach=32)
    before = network.get_input_embeddings().weight[: shared.words].detach().clone()
    network = splice(network, shared)
    assert torch.equal(network.get_input_embeddings().weight[: shared.words], before)
    losses = teach_pairs(network, pairs_in_both_orders(texts[:1200], images[:1200], 1, 2), steps=500)
    assert losses[-1] < losses[0]
    asked = slice(1200, None)
    own_images, own_texts = images[asked].tolist(), texts[asked]
    text = log_likelihood(network, [[1, *own] for own in own_images], own_texts)
    counts = torch.bincount(torch.tensor(texts[:1200]).flatten(), minlength=shared.size).float() + 1
    unigram = (counts / counts.sum()).log()[torch.tensor(own_texts).flatten()]
    image = log_likelihood(network, [[1, *own] for own in own_texts], own_images)
    places = torch.nn.functional.one_hot(codes[:1200], 32).sum(0) + 1.0
    each = (places / places.sum(1, keepdim=True)).log()
    beside = each.gather(1, codes[asked].T).sum(0)
    assert float(text.mean()) > float(unigram.mean()) + 0.5, (text.mean(), unigram.mean())
    assert float(image.mean()) > float(beside.mean()) + 2, (image.mean(), beside.mean())
    drawn = drawn_images(network, shared, [1, *texts[0]], 3)
    assert drawn.shape == (3, 16) and torch.equal(drawn, drawn_images(network, shared, [1, *texts[0]], 3))
    assert int(drawn.min()) >= 0 and int(drawn.max()) < 32
