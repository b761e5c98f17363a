"""Self-supervised methods on rasters: who has a gradient, what moves and when, and what may not be read."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from chiasm.encoders.raster.config import RasterConfig
from chiasm.encoders.raster.network import untrained
from chiasm.encoders.raster.patch_transformer import patches
from chiasm.pretraining.rasters import byol, dino, moco, swav
from chiasm.pretraining.rasters.bm_mae import MaskedContrasts
from chiasm.pretraining.rasters.learner import Learner
from chiasm.pretraining.rasters.methods import METHODS
from chiasm.pretraining.rasters.options import RasterOptions
from chiasm.pretraining.rasters.spark import SparseReconstruction, assembled
from chiasm.pretraining.rasters.teacher import StepNorm, momentum_at

GENERATOR = torch.Generator().manual_seed(0)
WAYS = [(name, network) for name, how in METHODS.items() for network in how.networks if not how.beside]


def config_of(network: str, axes: int = 2, channels: int = 1) -> RasterConfig:
    return RasterConfig(network, axes=axes, channels=channels, size=16, patch=4, width=16, depth=2, heads=2)


def learner_of(name: str, network: str, axes: int = 2, channels: int = 1) -> Learner:
    torch.manual_seed(0)
    how = METHODS[name]
    return how.build(
        untrained(config_of(network, axes, channels)), RasterOptions(name), torch.Generator().manual_seed(0)
    )


def views_of(learner: Learner, items: int = 6) -> tuple[Tensor, ...]:
    shape = learner.network.config.shape
    return tuple(torch.randn(items, *shape, generator=GENERATOR) for _ in range(learner.views))


def loss_of(learner: Learner, views: tuple[Tensor, ...]) -> Tensor:
    return learner(views, {}, torch.Generator().manual_seed(1))


def state(module: nn.Module) -> dict[str, Tensor]:
    return {name: own.clone() for name, own in module.state_dict().items()}


@pytest.mark.nightly
@pytest.mark.parametrize(("name", "network"), WAYS)
def test_signals_and_volumes_are_learned_from_by_the_same_rules(name: str, network: str) -> None:
    for axes in (1, 3):
        obeys(name, network, axes)


@pytest.mark.parametrize(("name", "network"), WAYS)
def test_a_step_trains_the_network_and_no_teacher_and_reading_changes_nothing(name: str, network: str) -> None:
    obeys(name, network, 2)


def obeys(name: str, network: str, axes: int) -> None:
    learner = learner_of(name, network, axes)
    views = views_of(learner)
    _ = loss_of(learner, views)  # a queue is filled after a step
    learner.stepped(0.0)
    loss = loss_of(learner, views)
    loss.backward()
    assert loss.ndim == 0 and bool(torch.isfinite(loss))
    assert any(own.grad is not None and bool(own.grad.any()) for own in learner.network.parameters())
    for part in ("teacher", "key_network", "teacher_head", "teacher_project", "key_project"):
        for own in getattr(learner, part).parameters() if hasattr(learner, part) else ():
            assert own.grad is None and not own.requires_grad
    learner.stepped(0.5)
    learner.eval()
    before = state(learner)
    with torch.inference_mode():  # as held-out items are read
        first, again = loss_of(learner, views), loss_of(learner, views)
        learner.stepped(1.0)  # the teacher stands still at the end, and nothing was read in between
    assert torch.equal(first, again)
    after = state(learner)
    moved = [key for key in before if not torch.allclose(before[key], after[key], atol=1e-6)]
    assert not moved and before.keys() == after.keys()


@pytest.mark.parametrize("name", ["moco", "byol", "dino"])
def test_a_teacher_begins_as_the_network_and_follows_it_slowly(name: str) -> None:
    learner = learner_of(name, "vit")
    teacher: nn.Module = learner.key_network if name == "moco" else learner.teacher
    pairs = list(zip(learner.network.parameters(), teacher.parameters(), strict=True))
    assert all(torch.equal(own, taught) for own, taught in pairs)
    before = [own.clone() for own in teacher.parameters()]
    with torch.no_grad():
        for own in learner.network.parameters():
            own.add_(1.0)
        learner.stepped(0.5)
    wanted = momentum_at(0.5, 0.99)
    assert wanted == pytest.approx(0.995) and momentum_at(0, 0.99) == 0.99 and momentum_at(1, 0.99) == 1.0
    for own, taught, first in zip(learner.network.parameters(), teacher.parameters(), before, strict=True):
        torch.testing.assert_close(taught, wanted * first + (1 - wanted) * own)


def test_a_queue_is_as_long_as_it_is_filled_and_never_holds_the_step_itself() -> None:
    queue = moco.Queue(5, 2)
    assert len(queue.read()) == 0
    keys = [torch.randn(3, 2, generator=GENERATOR) for _ in range(3)]
    unit = [nn.functional.normalize(own, dim=1) for own in keys]
    queue.add(keys[0])
    assert torch.equal(queue.read(), unit[0])
    queue.add(keys[1])
    assert torch.equal(queue.read(), torch.cat([unit[1][2:], unit[0][1:], unit[1][:2]]))  # the oldest is gone
    queue.add(torch.cat([*keys, *keys]))  # more than its length: the last
    assert torch.equal(queue.read().sort(0).values, torch.cat([*unit, *unit])[-5:].sort(0).values)
    learner = learner_of("moco", "vit")
    views = views_of(learner)
    assert loss_of(learner, views).item() == 0.0  # nobody came before
    assert len(learner.queue.read()) == 0
    learner.stepped(0.0)
    assert len(learner.queue.read()) == 6
    kept = learner.queue.read()
    _ = loss_of(learner, views)
    assert torch.equal(learner.queue.read(), kept)


def test_prototypes_have_unit_length_and_the_centre_is_the_mean_of_the_last_outputs() -> None:
    learner = learner_of("swav", "conv")
    with torch.no_grad():
        learner.prototypes.mul_(3.0)
    learner.stepped(0.0)
    torch.testing.assert_close(learner.prototypes.norm(dim=1), torch.ones(swav.PROTOTYPES))
    taught = learner_of("dino", "conv")
    views = views_of(taught)
    with torch.no_grad():
        outputs = [taught.teacher_head(taught.teacher.summary(view)) for view in views[:2]]
    _ = loss_of(taught, views)
    assert not bool(taught.centre.any())
    taught.stepped(0.0)
    torch.testing.assert_close(taught.centre, 0.1 * torch.cat(outputs).mean(0), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("network", ["vit", "conv"])
def test_a_block_is_a_box_of_half_the_length_and_nothing_beside_it_is_read(network: str) -> None:
    for axes in (1, 2, 3):
        made = untrained(config_of(network, axes)).eval()
        x = torch.randn(4, *made.config.shape, generator=GENERATOR, requires_grad=True)
        dino.summary_of_block(made, x, torch.Generator().manual_seed(2)).square().sum().backward()
        for own in (x.grad != 0)[:, 0]:
            assert bool(own.any())
            for axis in range(axes):
                places = own.movedim(axis, 0).reshape(16, -1).any(1).nonzero()
                low, high = int(places.min()), int(places.max())
                if network == "vit":
                    assert low % 4 == 0 and high - low == 7
                else:  # a rectifier may read nothing at an edge
                    assert high - low // 4 * 4 <= 7


def test_hidden_pixels_reach_no_map_and_only_hidden_patches_are_in_the_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    for axes in (1, 2, 3):
        learner = learner_of("spark", "conv", axes)
        assert isinstance(learner, SparseReconstruction)
        config = learner.network.config
        assert learner.seen == round(0.4 * config.places) and learner.seen < config.places
        x = torch.randn(3, *config.shape, generator=GENERATOR)
        active = torch.rand(3, config.places, generator=GENERATOR).argsort(1) < learner.seen
        hidden = ~active.reshape(3, *config.grid)
        for axis in range(1, axes + 1):
            hidden = hidden.repeat_interleave(4, axis)
        other = torch.where(hidden[:, None], torch.full_like(x, float("nan")), x)
        for one, two in zip(learner.maps(x, active), learner.maps(other, active), strict=True):
            assert torch.equal(one, two)
        # The loss: of a gradient with respect to what is told there is nothing at places that were seen.
        told = torch.zeros(3, *config.shape, requires_grad=True)
        with monkeypatch.context() as patch:
            patch.setattr(learner, "told", lambda maps, seen, told=told: told)
            (given,) = torch.autograd.grad(loss_of(learner, (x,)), told)
        silent = (patches(given, config) == 0).all(2)
        assert bool((silent.sum(1) == learner.seen).all())


def test_cells_lie_where_their_places_are() -> None:
    for axes in (1, 2, 3):
        config = config_of("conv", axes, channels=2)
        x = torch.randn(2, *config.shape, generator=GENERATOR)
        finest = RasterConfig("vit", axes=axes, channels=2, size=16, patch=2, width=8, heads=1)
        cells = patches(x, finest).transpose(1, 2).reshape(2, -1, *[8] * axes)
        assert torch.equal(assembled(cells, config), x)


def test_a_step_of_one_item_is_finite() -> None:
    norm = StepNorm(3)
    alone = norm(torch.ones(1, 3))
    assert torch.equal(alone, copy.deepcopy(norm).eval()(torch.ones(1, 3))) and int(norm.num_batches_tracked) == 0
    for name, network in WAYS:
        learner = learner_of(name, network)
        assert bool(torch.isfinite(loss_of(learner, views_of(learner, 1)))), name


def test_heads_that_stand_for_a_method_are_the_papers() -> None:
    learner = learner_of("byol", "conv")
    assert isinstance(learner, byol.OwnLatent)
    views = views_of(learner)
    learner.eval()
    with torch.no_grad():
        said = [learner.predict(learner.project(learner.network.summary(view))) for view in views]
        aims = [learner.teacher_project(learner.teacher.summary(view)) for view in views]
    cos = [nn.functional.cosine_similarity(said[a], aims[1 - a], dim=1).mean() for a in (0, 1)]
    torch.testing.assert_close(loss_of(learner, views).detach(), 2 - cos[0] - cos[1])


def test_seen_patches_are_shared_among_the_contrasts_there_and_absent_ones_are_neither_read_nor_told() -> None:
    learner = learner_of("bm-mae", "channels", channels=3)
    assert isinstance(learner, MaskedContrasts)
    present = torch.tensor([[True, True, True], [True, False, True], [False, True, False]]).repeat(400, 1)
    seen = learner.drawn(present, torch.Generator().manual_seed(0)).unflatten(1, (3, 16)).sum(2)
    assert bool((seen.sum(1) == (0.25 * 16 * present.sum(1)).long()).all())  # exactly a quarter of what is there
    assert not bool(seen[~present].any())
    first = seen[::3, 0].double()  # of twelve patches; all shares equally likely: mean a third, deviation sqrt(1 / 18)
    assert float(first.mean()) == pytest.approx(4, abs=0.5) and 2.4 < float(first.std()) < 3.2
    x = torch.randn(6, 3, 16, 16, generator=GENERATOR)
    x[:3, 1] = 0.0
    hidden = learner.drawn(learner.network.present(x), torch.Generator().manual_seed(1))
    there = learner.network.present(x).repeat_interleave(16, 1)
    for patch in range(0, 48, 5):  # whatever is hidden does not move what is told
        other, (channel, place) = x.clone(), divmod(patch, 16)
        row, column = divmod(place, 4)
        other[:, channel, 4 * row : 4 * row + 4, 4 * column : 4 * column + 4] += 9.0
        rows = ~hidden[:, patch] & there[:, patch]
        assert torch.equal(learner.told(x, hidden, there)[rows], learner.told(other, hidden, there)[rows])


def test_in_mixed_precision_the_loss_is_the_same_but_for_what_sixteen_bits_cost() -> None:
    for name, network in dict(WAYS).items():  # one of each method's networks
        learner = learner_of(name, network).eval()
        views = views_of(learner)
        with torch.no_grad():
            full = loss_of(learner, views)
            with torch.autocast("cpu", torch.bfloat16):
                mixed = loss_of(learner, views)
        assert float(mixed) == pytest.approx(float(full), rel=0.02), name
        assert mixed.dtype == torch.float32, name


def test_every_method_stands_in_the_documentation() -> None:
    page = (Path(__file__).parents[2] / "docs" / "pretraining.md").read_text(encoding="utf-8")
    rows = {line.split("`")[1]: line for line in page.splitlines() if line.startswith("| `")}
    for name, how in METHODS.items():
        if not how.beside:
            assert how.source.rpartition("arXiv:")[2] in rows[name], name
            assert all(f"`{network}`" in rows[name].rpartition("|")[0].rpartition("|")[2] for network in how.networks)
