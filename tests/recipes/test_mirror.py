"""`mirror`: retention keeps what is of one modality, no gradient through the stopped branch, collapse is seen."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch.nn import functional

import chiasm
from chiasm.cohort import Cohort, cohort_from_frames
from chiasm.fitting.base import trainable
from chiasm.fitting.neural import Prepared, new_network, prepare
from chiasm.fusion.mirror import Mirror
from chiasm.objectives.prototypes import standard_divergence, symmetric_divergence
from chiasm.objectives.retention import hidden_tokens, masked_reconstruction, spread
from chiasm.recipes.alignment.mirror import MirrorRecipe
from chiasm.retrieval import foscttm
from chiasm.testing import check_fusion, check_recipe
from small_recipes import small

SHAPES = {"a": (4, 3), "b": (5, 0), "c": (2, 5)}


@pytest.mark.nightly
def test_it_passes_the_public_checks() -> None:
    check_recipe(small("mirror"), kinds=("regression",), n=56)
    check_fusion(lambda shapes: Mirror(shapes, 8), SHAPES)


def factors(n: int = 160) -> tuple[Cohort, list[np.ndarray]]:
    """Two tables of twelve columns, of two factors in common and two of their own each; the target is noise."""
    rng = np.random.default_rng(0)
    shared, ids = rng.normal(size=(n, 2)), [f"p{number:03d}" for number in range(n)]
    private, frames = [rng.normal(size=(n, 2)) for _ in range(2)], {}
    for name, own in zip(("a", "b"), private, strict=True):
        values = shared @ rng.normal(size=(2, 12)) + own @ rng.normal(size=(2, 12)) + 0.1 * rng.normal(size=(n, 12))
        frames[name] = pd.DataFrame(values, ids, [f"{name}{column}" for column in range(12)])
    patients = pd.DataFrame({"label": rng.permutation(np.where(np.arange(n) % 2, "u", "v"))}, index=ids)
    return cohort_from_frames(patients, frames, chiasm.Classification("label")), private


def probed(data: Prepared, training: Any, private: list[np.ndarray], **options: Any) -> tuple[float, float, float]:
    """R2 of the private factors by a linear probe, FOSCTTM, and the spread of the latents, after 250 full batches."""
    recipe = MirrorRecipe(latent_width=6, style=0.0, cluster=0.0, **options)
    fusion = new_network(training, data, recipe.design(), 0.0).fusion
    rows = {held: np.flatnonzero(data.held_out == held) for held in (False, True)}
    batches = {held: {name: own.take(some) for name, own in data.tokens.items()} for held, some in rows.items()}
    optimiser = torch.optim.AdamW(fusion.parameters(), lr=1e-2)
    generator, present = torch.Generator().manual_seed(0), torch.ones(len(rows[False]), 2, dtype=torch.bool)
    for _ in range(250):
        loss = torch.stack(list(recipe.loss(fusion, fusion(batches[False], present), present, generator).values()))
        optimiser.zero_grad()
        loss.sum().backward()
        optimiser.step()
    with torch.no_grad():
        known, new = (fusion(batches[held], torch.ones(len(rows[held]), 2).bool()) for held in (False, True))
    r2 = []
    for m, own in enumerate(private):
        x, z = (np.c_[part.extras["vectors"][:, m].double(), np.ones(len(part.embedding))] for part in (known, new))
        weights = np.linalg.lstsq(x, own[rows[False]], rcond=None)[0]
        r2.append(1 - ((own[rows[True]] - z @ weights) ** 2).sum() / (own[rows[True]] ** 2).sum())
    one, other = (new.extras["vectors"][:, m].numpy() for m in (0, 1))
    return float(np.mean(r2)), foscttm(one, other), spread(known.latents["a"], known.extras["mask:0"])


@pytest.mark.nightly
def test_a_private_factor_survives_with_retention_and_fades_without() -> None:
    cohort, private = factors()
    training = trainable(cohort, 0, None, "cpu")
    data = prepare(training)
    ways = {"off": {"retention": 0.0}, "on": {"retention": 1.0}, "through": {"retention": 1.0, "detach": False}}
    found = {name: probed(data, training, private, **own) for name, own in ways.items()}
    assert found["on"][0] > found["off"][0] + 0.05, found
    assert found["on"][1] < 0.05 and found["off"][1] < 0.05, "patients still find their own other modality"
    assert found["through"][2] < 0.7 * found["on"][2], "targets that are not stopped shrink to be easy"


def test_no_gradient_runs_through_the_latents_that_are_predicted() -> None:
    latents = torch.randn(5, 4, 3, requires_grad=True)
    mask = torch.arange(4) < torch.tensor([4, 3, 2, 1, 0])[:, None]
    visible, hidden = hidden_tokens(mask, 0.75, torch.Generator().manual_seed(0))
    for detach in (True, False):
        latents.grad = None
        masked_reconstruction(torch.zeros(5, 4, 3, requires_grad=True), latents, hidden, detach=detach).backward()
        assert (latents.grad is None) == detach
    torch.manual_seed(0)
    fusion = Mirror({"a": (2, 4)}, 3)
    predicted = fusion.predicted(0, latents, visible)
    latents.grad = None
    masked_reconstruction(predicted, latents, hidden).backward()
    assert bool((latents.grad[hidden & ~visible] == 0).all()), "what is hidden reaches the prediction in no way"
    assert bool((latents.grad[visible & (mask.sum(1, keepdim=True) > 0)] != 0).any())


def test_three_quarters_are_hidden_and_an_only_token_is_its_own_target() -> None:
    mask = torch.arange(8) < torch.tensor([8, 5, 2, 1, 0])[:, None]
    for seed in range(5):
        visible, hidden = hidden_tokens(mask, 0.75, torch.Generator().manual_seed(seed))
        assert visible.sum(1).tolist() == [2, 2, 1, 1, 0] and hidden.sum(1).tolist() == [6, 3, 1, 1, 0]
        assert bool(((visible & hidden).sum(1) == torch.tensor([0, 0, 0, 1, 0])).all())
        assert not bool(((visible | hidden) & ~mask).any())
    nobody = masked_reconstruction(torch.ones(2, 3, 4), torch.zeros(2, 3, 4), torch.zeros(2, 3, dtype=torch.bool))
    assert nobody.item() == 0.0
    latents = torch.randn(6, 8, 4)
    two = torch.zeros(6, 8, dtype=torch.bool)
    two[0, :2] = two[1, 0] = True
    found = masked_reconstruction(torch.zeros(6, 8, 4), latents, two)
    torch.testing.assert_close(found, (latents[0, :2].square().mean() + latents[1, 0].square().mean()) / 2)


def test_a_collapse_is_seen_in_the_spread() -> None:
    mask = torch.ones(50, 3, dtype=torch.bool)
    assert spread(torch.ones(50, 3, 4), mask) == 0.0
    assert spread(torch.randn(50, 3, 4, generator=torch.Generator().manual_seed(0)), mask) > 0.4


def test_styles_agree_where_their_shares_do() -> None:
    logits = torch.randn(4, 6, dtype=torch.float64)
    other = torch.randn(4, 6, dtype=torch.float64)
    assert symmetric_divergence(logits, logits + 3.0).item() == pytest.approx(0.0, abs=1e-12)
    p, q = (functional.log_softmax(own, 1) for own in (logits, other))
    both = functional.kl_div(q, p, log_target=True, reduction="batchmean")
    both = (both + functional.kl_div(p, q, log_target=True, reduction="batchmean")) / 2
    torch.testing.assert_close(symmetric_divergence(logits, other), both)
    assert symmetric_divergence(logits[:0], other[:0]).item() == 0.0
    mean, log_variance = torch.randn(4, 3, dtype=torch.float64), torch.randn(4, 3, dtype=torch.float64)
    normal = torch.distributions.Normal(mean, (log_variance / 2).exp())
    standard = torch.distributions.Normal(torch.zeros_like(mean), torch.ones_like(mean))
    wanted = torch.distributions.kl_divergence(normal, standard).sum(1).mean()
    torch.testing.assert_close(standard_divergence(mean, log_variance), wanted)


def test_what_no_term_trains_is_not_there_and_not_counted() -> None:
    def parts(shapes: dict[str, tuple[int, int]], **options: float) -> set[str]:
        fusion = MirrorRecipe(latent_width=4, **options).design().fusion(shapes)
        names = {name for name, own in fusion.named_parameters() if own.requires_grad}
        return {".".join(name.split(".")[:2]) for name in names if name.startswith(("decoders", "style", "log_scale"))}

    decoders, styled = (
        {"decoders.0", "decoders.1", "decoders.2"},
        {"style.encoder", "style.decoder", "style.prototypes"},
    )
    assert parts(SHAPES) == decoders | styled | {"log_scale"}
    assert parts(SHAPES, retention=0.0) == styled | {"log_scale"}
    assert parts(SHAPES, cluster=0.0) == decoders | {"style.encoder", "log_scale"}
    assert parts(SHAPES, style=0.0, cluster=0.0) == decoders | {"log_scale"}
    alone = {"a": SHAPES["a"]}
    assert parts(alone) == {"decoders.0", "style.encoder"} and parts(alone, style=0.0) == {"decoders.0"}
    assert parts(alone, retention=0.0) == set()


def test_every_counted_parameter_moves() -> None:
    cohort, _ = factors(60)
    half = np.arange(60) < 30
    apart = cohort_from_frames(
        pd.DataFrame({"label": np.where(half, "u", "v")[::-1]}, index=cohort.ids),
        {"a": cohort.raw("a")[half], "b": cohort.raw("b")[~half]}, chiasm.Classification("label"),
    )  # fmt: skip
    for given, options in (
        (cohort, {}), (apart, {}), (apart, {"retention": 0.0}), (apart, {"style": 0.0}), (cohort, {"modality": "a"}),
        (cohort, {"modality": "a", "retention": 0.0}),
    ):  # fmt: skip
        recipe = small("mirror", epochs=4, patience=4, batch=16, **options)
        own = given.with_modalities(["a"]) if "modality" in options else given
        training = trainable(own, 0, None, "cpu")
        data = prepare(training)
        network = new_network(training, data, recipe.design(), 0.0)
        before = {name: value.clone() for name, value in network.named_parameters()}
        recipe.trained(training, data, recipe.design(), network)
        still = {name for name, value in network.named_parameters() if torch.equal(value, before[name])}
        counted = {name for name, value in network.named_parameters() if value.requires_grad}
        assert not still & counted, (options, still & counted)


def test_one_modality_is_retained_before_the_target_and_options_out_of_range_are_refused() -> None:
    cohort, _ = factors(60)
    alone = small("mirror", modality="a", epochs=4)
    data = prepare(trainable(cohort.with_modalities(["a"]), 0, None, "cpu"))
    assert [phase.name for phase in alone.phases(data)] == ["align", "target"]
    plain = small("mirror", modality="a", epochs=4, retention=0.0)
    assert [phase.name for phase in plain.phases(data)] == ["target"]
    for wrong in ({"retention": -1.0}, {"cluster": float("nan")}, {"prototypes": 0}):
        with pytest.raises(ValueError, match=r"is not known|lies between"):
            MirrorRecipe(**wrong)
