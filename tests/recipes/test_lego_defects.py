"""The defects of the released MM-Lego code (konst-int-i/mm-lego c44919b), as tests that ours has none of them.

1   The way to the frequency domain and back between iterations is a rescaling, no more: ours loses nothing on it.
2   The imaginary part never meets the data, so the frequency domain does nothing for a mean of latents.
3   One token a patient makes attention independent of the query.
4   A Fourier transform along a bag makes the order of its tokens matter and loses the odd part.
5   The harmonic mean of x with x is 2 a (1 - a) x.
6   The arithmetic mean of phases turns 179 and -179 degrees into 0.
7   SLERP is NaN for equal and zero tensors and misses its end when norms differ.
8   The flags of weight sharing are inverted.
9   `forward` overwrites the learned latent; weaving changes the caller's list and uses the first layer only.
10  The encoder's width is guessed from its last layer and errors of shape are swallowed.
11  AUROC is computed from labels, and a fold is picked by its test score.
"""

from __future__ import annotations

import dataclasses
import math
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor

import chiasm
from chiasm.citation import Citation
from chiasm.cohort import Outcome, synthetic_cohort
from chiasm.encoders import fit_encoders, pack
from chiasm.fusion.attention import CrossAttention
from chiasm.fusion.healnet import HealNet
from chiasm.fusion.lego import LegoFuse, Mode
from chiasm.fusion.lego_block import DOMAINS, Domain, LegoBlock, pool
from chiasm.heads.head import Head
from chiasm.merging import merge_latents, merge_states, spherical_mean
from chiasm.metrics.scores import score
from chiasm.tokens import Tokens
from lighter_trials import ridges_by_day
from small_recipes import at_night

every_domain = pytest.mark.parametrize("domain", DOMAINS)
every_mode = pytest.mark.parametrize("mode", ["stack", "weave"])
SIZES = {"latents": 6, "latent_width": 8, "heads": 2, "head_width": 4, "dropout": 0.0}


def block(width: int = 5, slots: int = 4, *, seed: int = 0, domain: Domain = "signal", **options: int) -> LegoBlock:
    torch.manual_seed(seed)
    return LegoBlock(width, slots, domain=domain, **{**SIZES, **options}).double().eval()


def tokens(count: int = 4, width: int = 5, patients: int = 3, seed: int = 0) -> Tokens:
    generator = torch.Generator().manual_seed(seed)
    values = torch.randn(patients, count, width, dtype=torch.float64, generator=generator)
    return Tokens(values, torch.ones(patients, count, dtype=torch.bool))


def everyone(own: Tokens) -> Tensor:
    return torch.ones(len(own.values), dtype=torch.bool)


@pytest.fixture(autouse=True)
def _own_generator():
    with torch.random.fork_rng(devices=[]):
        yield


@every_domain
@pytest.mark.parametrize("latents", [1, 5, 6])
def test_1_there_and_back_is_the_identity(domain: Domain, latents: int) -> None:
    own = block(domain=domain, latents=latents)
    start = torch.randn(3, latents, 8, dtype=torch.float64)
    back = own.from_domain(own.to_domain(start))
    torch.testing.assert_close(back.real if back.is_complex() else back, start)
    norm = own.to_domain(start).abs().square().sum(1)
    if domain != "rfft":  # a half spectrum holds each frequency but two once
        torch.testing.assert_close(norm, start.square().sum(1))


@every_domain
@pytest.mark.parametrize("latents", [5, 6])
def test_1_what_the_last_iteration_gives_survives_the_way_back(domain: Domain, latents: int) -> None:
    own = block(domain=domain, latents=latents)
    given = own(tokens(), everyone(tokens()))
    torch.testing.assert_close(own.to_domain(own.from_domain(given)), given)


def test_2_in_the_real_domain_the_frequencies_do_nothing_for_a_mean() -> None:
    first, second = (block(domain="rfft", seed=seed) for seed in (0, 1))
    given = [own(tokens(seed=k), everyone(tokens())) for k, own in enumerate((first, second))]
    weights = torch.ones(3, 2, dtype=torch.float64)
    torch.testing.assert_close(
        first.from_domain(merge_latents(given, weights)),
        merge_latents([first.from_domain(latents) for latents in given], weights),
    )


def test_2_the_imaginary_part_meets_the_data_in_the_complex_domain_only() -> None:
    def change_of_shape(domain: Domain) -> float:
        """How far the imaginary part of one patient is from a multiple of another's, column by column."""
        imaginary = block(domain=domain)(tokens(), everyone(tokens())).imag  # (B, L, D)
        unit = imaginary / imaginary.norm(dim=1, keepdim=True)
        return float((unit[0] - unit[1]).abs().max().detach())

    assert change_of_shape("rfft") < 1e-9
    assert change_of_shape("complex") > 1e-3


def test_3_a_wide_table_has_a_token_a_column_and_its_latents_get_different_updates() -> None:
    cohort = synthetic_cohort("redundant", 40)
    encoders = fit_encoders(cohort)
    own = pack(cohort, encoders)["m1"].take(np.arange(5))
    assert own.values.shape[1] == encoders["m1"].slots == 16
    torch.manual_seed(0)
    alone = LegoBlock(encoders["m1"].width, 16, **SIZES)
    context = alone.entrance(own)
    attention = alone.layers[0].attention
    latents = torch.randn(5, 6, 8)
    spread = attention(latents, context, own.mask).std(1).mean().detach()
    one_token = attention(latents, context[:, :1], own.mask[:, :1]).std(1).mean().detach()
    assert float(one_token) < 1e-6 and float(spread) > 1e-3


def test_3_a_single_column_is_the_case_in_which_attention_cannot_depend_on_the_query() -> None:
    torch.manual_seed(0)
    attention = CrossAttention(8, 8, heads=2, head_width=4)
    update = attention(torch.randn(2, 6, 8), torch.randn(2, 1, 8), torch.ones(2, 1, dtype=torch.bool))
    torch.testing.assert_close(update, update[:, :1].expand_as(update))


@every_domain
def test_4_the_order_of_a_bag_does_not_matter(domain: Domain) -> None:
    own, bag = block(slots=0, domain=domain), tokens(count=7)
    order = torch.randperm(7)
    shuffled = Tokens(bag.values[:, order], bag.mask)
    torch.testing.assert_close(own(shuffled, everyone(bag)), own(bag, everyone(bag)))


@every_domain
def test_4_padding_of_a_bag_does_not_matter(domain: Domain) -> None:
    own, bag = block(slots=0, domain=domain), tokens(count=4)
    longer = Tokens(
        torch.cat([bag.values, torch.full((3, 2, 5), math.nan, dtype=torch.float64)], 1),
        torch.tensor([[True] * 4 + [False] * 2] * 3),
    )
    torch.testing.assert_close(own(longer, everyone(bag)), own(bag, everyone(bag)))


@every_domain
def test_4_a_sequence_and_its_circular_reversal_do_not_collide(domain: Domain) -> None:
    own, sequence = block(slots=4, domain=domain), tokens(count=4)
    reversed_ = Tokens(sequence.values[:, [0, 3, 2, 1]], sequence.mask)
    difference = own(reversed_, everyone(sequence)) - own(sequence, everyone(sequence))
    assert float(difference.detach().abs().amax((1, 2)).min()) > 1e-3


@every_domain
@pytest.mark.parametrize("share", [0.5, 0.8])
def test_5_the_harmonic_mean_of_a_block_with_itself_is_the_block(domain: Domain, share: float) -> None:
    given = block(domain=domain)(tokens(), everyone(tokens()))
    weights = torch.tensor([[1 - share, share]] * 3, dtype=torch.float64)
    torch.testing.assert_close(merge_latents([given, given], weights, "harmonic"), given)


@pytest.mark.parametrize("method", ["harmonic", "geometric"])
def test_6_phases_have_no_branch_cut(method: str) -> None:
    def merged(turn: float) -> complex:
        angles = [math.radians(turn + 1), math.radians(turn - 1)]
        latents = [
            torch.polar(torch.ones(1, 1, 1), torch.full((1, 1, 1), angle)).to(torch.complex128) for angle in angles
        ]
        return complex(merge_latents(latents, torch.ones(1, 2, dtype=torch.float64), method).item())

    for turn in range(0, 360, 30):
        assert merged(turn) == pytest.approx(
            complex(math.cos(math.radians(turn)), math.sin(math.radians(turn))), abs=1e-6
        )


def test_7_fresh_heads_merge_and_ends_are_met() -> None:
    torch.manual_seed(0)
    first, second = (Head(8, 2, "classification").state_dict() for _ in range(2))
    merged = merge_states([first, second], [1.0, 1.0])
    assert all(bool(torch.isfinite(value).all()) for value in merged.values())
    assert torch.equal(merged["norm.weight"], torch.ones(8)) and torch.equal(merged["norm.bias"], torch.zeros(8))
    larger = {key: 3 * value for key, value in second.items()}
    for weights, end in (([1.0, 0.0], first), ([0.0, 1.0], larger)):
        found = merge_states([first, larger], weights, spherical_mean)
        for key in found:
            torch.testing.assert_close(found[key], end[key])


@every_domain
def test_8_every_iteration_of_a_block_has_weights_of_its_own(domain: Domain) -> None:
    own = block(depth=3, domain=domain)
    addresses = [{parameter.data_ptr() for parameter in layer.parameters()} for layer in own.layers]
    assert len(own.layers) == 3 and all(addresses[a].isdisjoint(addresses[b]) for a, b in ((0, 1), (0, 2), (1, 2)))


def test_8_tied_means_tied() -> None:
    shapes = {"a": (5, 4), "b": (3, 0)}
    nets = {tied: HealNet(shapes, depth=4, tied=tied, **SIZES).double().eval() for tied in (False, True)}
    assert [len(nets[tied].layers) for tied in (False, True)] == [4, 2]
    for name, parameter in nets[False].named_parameters():
        source = name.replace("layers.2.", "layers.1.").replace("layers.3.", "layers.1.")
        parameter.data.copy_(dict(nets[True].named_parameters())[source])
    own = {"a": tokens(), "b": tokens(6, 3)}
    present = torch.ones(3, 2, dtype=torch.bool)
    torch.testing.assert_close(nets[True](own, present).embedding, nets[False](own, present).embedding)
    for parameter in nets[False].layers[3].parameters():
        parameter.data.mul_(1.5)
    assert not torch.allclose(nets[True](own, present).embedding, nets[False](own, present).embedding)


def fused(
    mode: Mode, domain: Domain, depths: tuple[int, ...]
) -> tuple[dict[str, LegoBlock], LegoFuse, dict[str, Tokens]]:
    names = [f"m{k}" for k in range(len(depths))]
    blocks = {
        name: block(3 + k, 4 if k % 2 else 0, seed=k, domain=domain, depth=depth)
        for k, (name, depth) in enumerate(zip(names, depths, strict=True))
    }
    own = {name: tokens(4, 3 + k, seed=k) for k, name in enumerate(names)}
    return blocks, LegoFuse(blocks, mode).double().eval(), own


@every_mode
@every_domain
@pytest.mark.parametrize("depths", [(1, 3), (1, 2, 3, 1, 2), *at_night((2,), (2, 2), (2, 2, 2))])
def test_9_forward_changes_nothing_and_every_layer_of_every_block_is_used(
    mode: Mode, domain: Domain, depths: tuple[int, ...]
) -> None:
    blocks, fusion, own = fused(mode, domain, depths)
    order = list(blocks)
    alone = {name: blocks[name](own[name], everyone(own[name])).detach() for name in blocks}
    before = {key: value.clone() for key, value in fusion.state_dict().items()}
    inputs = {name: part.values.clone() for name, part in own.items()}
    present = torch.ones(3, len(depths), dtype=torch.bool)
    embedding = fusion.train()(own, present).embedding
    embedding.square().sum().backward()
    assert list(blocks) == order and embedding.shape == (3, 8)
    assert all(torch.equal(value, before[key]) for key, value in fusion.state_dict().items())
    assert set(fusion.state_dict()) == set(before)
    assert all(torch.equal(own[name].values, inputs[name]) for name in own)
    for name in blocks:  # the block runs alone afterwards, as before
        assert torch.equal(blocks[name](own[name], everyone(own[name])), alone[name])
    unused = {f"blocks.{k}.latent" for k in range(len(blocks))}  # the shared latent starts instead of the blocks' own
    for key, parameter in fusion.named_parameters():
        used = parameter.grad is not None and bool((parameter.grad != 0).any())
        assert used != (key in unused), key


@every_mode
@every_domain
def test_9_fusing_one_block_is_that_block(mode: Mode, domain: Domain) -> None:
    blocks, fusion, own = fused(mode, domain, (3,))
    alone = blocks["m0"].from_domain(blocks["m0"](own["m0"], everyone(own["m0"])))
    torch.testing.assert_close(fusion(own, torch.ones(3, 1, dtype=torch.bool)).embedding, pool(alone))


@pytest.mark.parametrize("domain", ["signal", "complex"])
def test_9_weaving_takes_turns_where_stacking_does_not(domain: Domain) -> None:
    _, stack, own = fused("stack", domain, (2, 2))
    _, weave, _ = fused("weave", domain, (2, 2))
    present = torch.ones(3, 2, dtype=torch.bool)
    assert not torch.allclose(stack(own, present).embedding, weave(own, present).embedding)
    for only in (0, 1):  # with one modality there are no turns to take
        present = torch.zeros(3, 2, dtype=torch.bool)
        present[:, only] = True
        torch.testing.assert_close(stack(own, present).embedding, weave(own, present).embedding)


@pytest.mark.parametrize("width", [1, 2, 33])
@pytest.mark.parametrize("slots", [0, 1, 4])
def test_10_a_block_takes_tokens_of_the_width_it_is_told(width: int, slots: int) -> None:
    given = block(width, slots)(tokens(slots or 3, width), everyone(tokens()))
    assert given.shape == (3, 6, 8) and bool(torch.isfinite(given).all())


@every_mode
def test_10_a_wrong_shape_is_an_error_and_no_skipped_modality(mode: Mode) -> None:
    _, fusion, own = fused(mode, "signal", (2, 2))
    present = torch.ones(3, 2, dtype=torch.bool)
    healnet = HealNet({"m0": (3, 0), "m1": (4, 4)}, **SIZES).double()
    for network in (fusion, healnet):
        with pytest.raises(RuntimeError):
            network({**own, "m0": tokens(4, 7)}, present)
        with pytest.raises(ValueError, match="4 tokens at fit and 5 now"):
            network({**own, "m1": tokens(5, 4)}, present)
        with pytest.raises(KeyError, match="m1"):
            network({"m0": own["m0"]}, present)


def test_11_auroc_is_of_probabilities() -> None:
    outcome = Outcome(np.repeat([0.0, 1.0], 20), None, np.ones(40, bool))
    high = np.concatenate([np.linspace(0.05, 0.2, 20), np.linspace(0.21, 0.4, 20)])  # ranked well, all below one half
    frame = pd.DataFrame({"p_no": 1 - high, "p_yes": high})
    found = score("classification", frame, outcome, ("no", "yes"), metrics=["auroc", "balanced_accuracy"])
    assert found["auroc"][0] == 1.0 and found["balanced_accuracy"][0] == 0.5


@dataclasses.dataclass(frozen=True)
class Told:
    """A recipe that is told the labels and is right when trained on many patients, or on few, as it likes."""

    name: str
    family: str
    from_many: bool
    truth: dict[str, int] = dataclasses.field(repr=False)
    sizes: tuple[int, int] = (40, 30)

    id: ClassVar[str] = "told"
    paper: ClassVar[Citation] = Citation("none", "none", 2000)
    trained_parameters: ClassVar[int] = 0

    def modalities(self, cohort: chiasm.Cohort) -> tuple[str, ...]:
        return cohort.modalities[:1] if self.family == "single" else cohort.modalities

    def alone(self, cohort: chiasm.Cohort) -> tuple[str, ...]:
        return ()

    def supports(self, cohort: chiasm.Cohort) -> None:
        """Any cohort."""

    def fit(self, cohort: chiasm.Cohort, *, seed: int, checkpoint: object = None, device: str = "cpu") -> ToldModel:
        assert cohort.target is not None
        right = (len(cohort) > sum(self.sizes) / 2) == self.from_many
        return ToldModel(self.truth, right, tuple(cohort.ids))


@dataclasses.dataclass(frozen=True)
class ToldModel:
    truth: dict[str, int]
    right: bool
    trained_on: tuple[str, ...]
    trained_parameters: ClassVar[int] = 0

    def predict(self, cohort: chiasm.Cohort) -> pd.DataFrame:
        assert cohort.target is None and cohort.outcome is None, "a test label was shown"
        asked, trained = set(cohort.ids), set(self.trained_on)
        assert not asked & trained or asked <= trained, "a tested patient was trained on"
        label = np.array([self.truth[name] for name in cohort.ids], float)
        high = 0.5 + 0.4 * (label - 0.5) * (1 if self.right else -1)
        frame = pd.DataFrame({"pattern": cohort.pattern(), "p_0": 1 - high, "p_1": high}, index=cohort.ids)
        return frame.iloc[cohort.order]


def test_11_recipes_are_picked_on_inner_folds_never_by_test_score() -> None:
    cohort = synthetic_cohort("redundant", 60)
    truth = dict(zip(cohort.ids, cohort.outcome.value.astype(int), strict=True))
    recipes = [
        Told(f"{family}-{'test' if from_many else 'inner'}", family, from_many, truth)
        for family in ("single", "fusion")
        for from_many in (True, False)
    ]
    with ridges_by_day():
        trial = chiasm.evaluate(cohort, recipes, chiasm.Protocol(folds=3, repeats=1, draws=100), jobs=1)
    table = trial.table().set_index("recipe")["mean"]
    assert table["fusion-test"] == 1.0 and table["fusion-inner"] == 0.0  # what a choice by test score would take
    assert (trial.verdict.best_single, trial.verdict.best_fused) == ("single-inner", "fusion-inner")
    assert trial.verdict.fused_counts == {"fusion-inner": 3}
