"""A monitor that reads no loss sees that a method has made all items one, where its loss is lower than ever."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from made_rasters import waves
from torch import Tensor
from torch.nn import functional

from chiasm.encoders.raster.network import RasterNetwork
from chiasm.pretraining.corpus import corpus_of
from chiasm.pretraining.rasters import byol, dino
from chiasm.pretraining.rasters.learner import Learner
from chiasm.pretraining.rasters.methods import METHODS
from chiasm.pretraining.rasters.objective import differing
from chiasm.pretraining.rasters.options import RasterOptions, raster_config
from chiasm.pretraining.rasters.stage import RasterPretraining, packed_rasters, pretrained_on_rasters

NETWORK = "conv:width=32,depth=2,patch=4"
ITEMS = waves(320, 1, 16, 2)


def trained(method: str, network: str = NETWORK, items: int = 320, epochs: int = 15, **more: Any) -> RasterPretraining:
    options = RasterOptions(method, epochs=epochs, batch=32, held_out=0.2)
    names = [str(number) for number in range(items)]
    config = raster_config(network, 2, 1, 16, method)
    return pretrained_on_rasters(
        corpus_of(names, names, 0.2, 0), packed_rasters(ITEMS[:items]), config, options, **more
    )


class Agreeing(byol.OwnLatent):
    """Two views agree, without predictor, teacher and stopped gradient: one point for all is the best."""

    def forward(self, views: tuple[Tensor, ...], *given: Any) -> Tensor:
        one, other = (self.compared(view) for view in views)
        return 2 - 2 * functional.cosine_similarity(one, other, dim=1).mean()


def uncentred(network: RasterNetwork, options: Any, generator: torch.Generator) -> Learner:
    return dino.SelfDistillation(network, centre_momentum=1.0)


def test_vectors_that_are_one_do_not_differ() -> None:
    vectors = torch.eye(4)
    assert differing([torch.ones(3, 2), torch.ones(2, 2)]) == pytest.approx(0.0)
    assert differing([torch.cat([vectors, -vectors])]) == 1.0
    assert differing([vectors]) == pytest.approx(0.75)
    assert math.isnan(differing([])) and differing([torch.zeros(3, 2)]) == 0.0


def test_the_curve_tells_how_far_what_is_compared_differs_where_anything_is() -> None:
    small = {"network": "vit:width=8,depth=1,heads=2,patch=4", "items": 30, "epochs": 1}
    assert 0 < trained("byol", **small).curve[0]["compared"] <= 1
    assert "compared" not in trained("mae", **small).curve[0]


@pytest.mark.nightly
@pytest.mark.parametrize("method", [name for name, how in METHODS.items() if not how.beside])
def test_every_method_goes_on_where_it_was_stopped(method: str, tmp_path: Path) -> None:
    for network in METHODS[method].networks:
        spec = f"{network}:width=16,depth=2,patch=4"
        whole = trained(method, spec, 60, epochs=3)

        def stop(finished: int, everything: int) -> None:
            if finished == 2:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            trained(method, spec, 60, epochs=3, checkpoint=tmp_path / network, progress=stop)
        again = trained(method, spec, 60, epochs=3, checkpoint=tmp_path / network)
        assert again.curve == whole.curve
        one, other = whole.network.state_dict(), again.network.state_dict()
        assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.nightly
@pytest.mark.parametrize(
    ("method", "planted"), [("byol", lambda network, *given: Agreeing(network)), ("dino", uncentred)]
)
def test_a_planted_collapse_is_seen(method: str, planted: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    sound = trained(method).curve[-1]
    monkeypatch.setitem(METHODS, method, replace(METHODS[method], build=planted))
    collapsed = trained(method).curve[-1]
    assert collapsed["train"] < sound["train"] and collapsed["held_out"] < sound["held_out"]
    assert sound["compared"] > 0.3 and collapsed["compared"] < 0.1
