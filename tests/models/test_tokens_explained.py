"""What tokens bring to a network: shares that are known, that sum to the link, and pictures of where they lie."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn

import chiasm
from chiasm.api import token_pictures
from chiasm.cohort import Cohort, Unsupported
from chiasm.cohort.bag_files import bag_places
from chiasm.encoders import BagEncoder, OmicsEncoder, TableEncoder
from chiasm.fitting.model import FittedModel
from chiasm.fitting.neural import NetworkPredictor, state_of
from chiasm.heads.response import Response
from chiasm.models.explain.gradients import token_shares
from chiasm.models.explain.token_names import token_names
from chiasm.protocols import Fused
from chiasm.report import token_maps
from chiasm.tokens import Tokens
from cohort_folder import CohortFolder
from command_line import Run


class MeanToken(nn.Module):
    """A linear function of the mean token of one modality, to a power: the link itself."""

    def __init__(self, power: int) -> None:
        super().__init__()
        self.power = power
        self.linear = nn.Linear(3, 1)

    def forward(self, tokens: dict[str, Tokens], present: Tensor) -> Fused:
        own = tokens["slide"].where_present(present[:, 0])
        mean = (own.values * own.mask[..., None]).sum(1) / own.mask.sum(1, keepdim=True).clamp_min(1)
        return Fused(self.linear(mean) ** self.power)


@dataclass(frozen=True)
class MeanDesign:
    latent_width: int = 0
    power: int = 1

    def fusion(self, shapes: Any, dropout: float = 0.0) -> MeanToken:
        return MeanToken(self.power)


def model_of(power: int = 1) -> FittedModel:
    """A network whose link is linear in the mean token, or in its power, with weights that are known."""
    none = np.zeros(0)
    predictor = NetworkPredictor(
        {"slide": BagEncoder(3)}, {"slide": (3, 0)}, MeanDesign(power=power), "regression", 1, 1.0, 2.0, {}, 4
    )
    network = predictor.untrained(0)
    with torch.no_grad():
        network.state_dict()["fusion.linear.weight"][:] = torch.tensor([[1.0, -2.0, 0.5]])
    response = Response("regression", (), (), 1.5, 0.0, none, none)
    return FittedModel(
        "mean", {"slide": "bag"}, replace(predictor, state=state_of(network)), response, {"kind": "regression"}
    )


@pytest.fixture(scope="module")
def bags() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {f"p{row:02d}": rng.normal(size=(5 + row % 4, 3)).astype(np.float32) for row in range(24)}


@pytest.fixture(scope="module")
def cohort(bags: dict[str, np.ndarray]) -> Cohort:
    order = list(reversed(bags))  # the file's order is not that of the identifiers
    return chiasm.cohort_from_frames(pd.DataFrame(index=order), {"slide": bags}, kinds={"slide": "bag"})


def test_shares_of_a_linear_network_are_its_terms(cohort: Cohort, bags: dict[str, np.ndarray]) -> None:
    found = chiasm.explain_tokens(model_of(), cohort, steps=2)
    assert list(dict.fromkeys(found.table["patient"])) == list(reversed(bags))
    middle = np.concatenate(list(bags.values())).mean(axis=0)
    for patient, rows in found.table.groupby("patient"):
        bag = bags[str(patient)]
        expected = 1.5 * 2 * (bag - middle) @ np.array([1.0, -2.0, 0.5]) / len(bag)
        np.testing.assert_allclose(rows["share"], expected, atol=1e-5)
        assert rows["rank"].iloc[int(np.abs(expected).argmax())] == 1
        assert list(rows["name"]) == [f"token {k + 1}" for k in range(len(bag))]
    assert "not exact" in found.said[0]


def test_shares_sum_to_the_link_less_that_of_the_baseline_and_few_steps_are_told(cohort: Cohort) -> None:
    for steps, most in ((2, 1.0), (64, 1e-4)):
        found = token_shares(model_of(power=5), cohort, steps=steps, baseline="zero")
        assert found.gap.max() < most * np.abs(found.change).max()
    coarse = chiasm.explain_tokens(model_of(power=9), cohort, steps=2, checks=False)
    assert any("more steps" in sentence for sentence in coarse.said)
    link = model_of(power=5).predictor.link(cohort)[:, 0]
    zero = token_shares(model_of(power=5), cohort, steps=2, baseline="zero").change[:, 0]
    np.testing.assert_allclose(zero - zero.mean(), 1.5 * (link - link.mean()), atol=1e-4)


def test_a_patient_has_shares_of_what_he_has_and_the_tokens_of_a_table_have_names() -> None:
    made = chiasm.synthetic_cohort("complementary", 60, missing=0.3, seed=1)
    model = chiasm.fit(made, "healnet:epochs=1,latent_width=8,latents=2,depth=1")
    found = chiasm.explain_tokens(model, made, steps=8)
    has = {patient: set(text.split("+")) for patient, text in zip(made.ids, made.pattern(), strict=True)}
    told = found.table.groupby("patient")["modality"].unique()
    assert all(set(told[patient]) == own for patient, own in has.items())
    assert set(found.table["output"]) == {"p_1"} and {"m1_0", "m2_15"} <= set(found.table["name"])
    assert set(found.checks["check"]) == {"halves", "nothing"} and found.checks["correlation"].notna().all()
    summary = found.summary.query("modality == 'm1'")
    assert len(summary) == 16 and (summary["low"] <= summary["size"]).all() and (summary["patients"] == 42).all()


def test_what_a_network_reads_and_nobody_has_is_not_told(bags: dict[str, np.ndarray]) -> None:
    ids, rng = list(bags), np.random.default_rng(1)
    frames = {
        "slide": bags,
        "t": pd.DataFrame(rng.normal(size=(24, 6)), index=ids),
        "u": pd.DataFrame({"x": rng.normal(size=24)}, index=ids),
    }
    made = chiasm.cohort_from_frames(
        pd.DataFrame({"y": rng.normal(size=24)}, index=ids), frames, chiasm.Regression("y"), kinds={"slide": "bag"}
    )
    model = chiasm.fit(made, "healnet:epochs=1,latent_width=8,latents=2,depth=1")
    found = chiasm.explain_tokens(model, made.with_modalities(["t"]), steps=2)
    assert set(found.table["modality"]) == set(found.summary["modality"]) == set(found.checks["modality"]) == {"t"}
    assert found.checks["correlation"].notna().all() and all(own.endswith(".") for own in found.said)


def test_the_order_of_tiles_is_compared_with_that_of_random_weights(cohort: Cohort) -> None:
    found = chiasm.explain_tokens(model_of(), cohort, steps=2)
    (row,) = found.checks.to_dict("records")
    assert row["check"] == "nothing" and row["low"] <= row["correlation"] <= row["high"] < 1
    assert set(found.summary["name"]) == {"all its tokens", "its foremost token"}


def test_tokens_are_named() -> None:
    frame = pd.DataFrame(np.random.default_rng(0).normal(size=(30, 8)), columns=[f"g{k}" for k in range(8)])
    grouped = OmicsEncoder.with_groups({"b": ["g0", "g1", "g2"], "a": ["g3", "g4", "g5"], "few": ["g6"]}).fit(frame)
    assert token_names(grouped, None) == ("a", "b") and len(token_names(grouped, None)) == grouped.slots
    narrow = grouped.on_columns({"g0", "g1", "g2", "g3"}, grouped)  # of a, one column is left
    assert token_names(narrow, None) == ("a", "b")
    rest = OmicsEncoder.with_groups({"b": ["g0", "g1", "g2"], "few": ["g6"]}).fit(frame)
    assert token_names(rest, None) == ("b", "columns of no set")
    alone = OmicsEncoder(components=6, per_token=4).fit(frame)
    assert token_names(alone, None) == ("components 1 to 4", "components 5 to 6")
    assert token_names(TableEncoder().fit(frame), None)[0] == "g0" and token_names(BagEncoder(3), None) == ()


def test_what_is_no_network_is_refused(cohort: Cohort, monkeypatch: pytest.MonkeyPatch) -> None:
    made = chiasm.synthetic_cohort("complementary", 40, seed=1)
    with pytest.raises(Unsupported, match="'single:m1' is none: ask what columns"):
        chiasm.explain_tokens(chiasm.fit(made, "single:m1"), made)
    with pytest.raises(ValueError, match="the baseline is mean or zero"):
        chiasm.explain_tokens(model_of(), cohort, baseline="blank")
    monkeypatch.setitem(sys.modules, "captum.attr", None)
    with pytest.raises(Unsupported, match=r'pip install "chiasm\[explain\]"'):
        chiasm.explain_tokens(model_of(), cohort)


def test_tiles_with_places_are_drawn_and_those_without_are_listed(tmp_path: Path, bags: dict[str, np.ndarray]) -> None:
    h5py = pytest.importorskip("h5py")
    files = {}
    for name, bag in list(bags.items())[:3]:
        files[name] = tmp_path / f"{name}.h5"
        with h5py.File(files[name], "w") as file:
            file["features"] = bag
            if name != "p00":
                file["coords"] = np.stack([256 * np.arange(len(bag)), 256 * (np.arange(len(bag)) % 2)], axis=1)
    assert bag_places(files["p00"]) is None and bag_places(files["p01"]).shape == (6, 2)  # type: ignore[union-attr]
    cohort = chiasm.cohort_from_frames(pd.DataFrame(index=list(files)), {"slide": files}, kinds={"slide": "bag"})
    found = chiasm.explain_tokens(model_of(), cohort, steps=2, checks=False, draw=tmp_path / "drawn")
    assert [path.name for path in found.drawn] == [f"slide-row-{row}.png" for row in (3, 4)]  # p00 has no places
    assert found.drawn[0].read_bytes().startswith(b"\x89PNG")
    there = chiasm.cohort_from_frames(pd.DataFrame(index=list(bags)), {"slide": bags}, kinds={"slide": "bag"})
    without = chiasm.explain_tokens(model_of(), there, steps=2, checks=False, draw=tmp_path / "none")
    assert not without.drawn and any("listed by number" in sentence for sentence in without.said)


def test_shares_stand_where_their_patches_were_cut() -> None:
    image, heat = np.arange(64.0).reshape(8, 8), np.arange(16.0).reshape(4, 4)
    under = token_maps.over_image(image, heat, "p_1").axes[1]
    assert tuple(under.images[1].get_extent()) == (-0.5, 7.5, 7.5, -0.5)
    np.testing.assert_array_equal(under.images[1].get_array(), heat)
    wide = token_pictures._extent(np.zeros((4, 8)), "pad")
    assert wide == (-0.5, 7.5, 5.5, -2.5)  # a square about the middle
    volume = np.zeros((1, 8, 6, 6))
    cubes = np.zeros((4, 2, 2))
    cubes[2, 1, 0] = -1.0
    drawn = token_pictures._of_volume(volume, cubes, "risk")
    assert "slice 6 of 8" in {ax.get_title(loc="left") for ax in drawn.axes}
    bars = token_pictures._of_slices(np.zeros((9, 1, 5, 5)), np.array([0.1, -0.3, 0.2]), "risk").axes[-1]
    assert [bar.get_height() for bar in bars.patches] == [0.1, -0.3, 0.2]  # type: ignore[attr-defined]


def test_a_slide_is_drawn_by_its_tiles_of_which_every_second_may_have_a_token() -> None:
    class Slide:
        def tiles(self) -> Iterator[tuple[np.ndarray, tuple[int, int]]]:
            for k in range(6):
                yield np.full((32, 32, 3), 40 * k, np.uint8), (k // 3, k % 3)

    drawn = token_pictures._of_slide(Slide(), np.array([1.0, 2.0, 3.0]), "risk")
    assert drawn is not None
    heat = np.ma.filled(drawn.axes[1].images[1].get_array(), np.nan)
    np.testing.assert_array_equal(heat, [[1, np.nan, 2], [np.nan, 3, np.nan]])
    assert token_pictures._of_slide(Slide(), np.ones(5), "risk") is None


def test_the_command_writes_tokens_and_says_how_far_they_miss(two_tables: CohortFolder, run: Run) -> None:
    folder = two_tables.path
    asked = ("explain", folder / "model", folder, "--tokens", folder / "tokens.csv", "--steps", "4")
    fitted = run(
        "fit", folder, "--recipe", "healnet:epochs=1,latent_width=8,latents=2,depth=1", "--out", folder / "model"
    )
    assert fitted.code == 0, fitted.err
    said = run(*asked)
    assert said.code == 0, said.err
    assert "not exact" in said.out and "age" in said.out and "random weights" in said.out
    assert set(pd.read_csv(folder / "tokens.csv")["modality"]) == {"clinical", "rna"}
    (folder / "full").mkdir()
    (folder / "full" / "file").write_text("")
    assert run(*asked, "--force", "--draw", folder / "full").code == 0
    assert run("explain", folder / "model", folder, "--tokens", folder / "t.csv", "--draw", folder / "full").code == 2
    astray = run("explain", folder / "model", folder, "--out", folder / "s.csv", "--steps", "4")
    assert astray.code == 2 and "--steps belongs to --tokens" in astray.err
    assert (
        "--draw belongs to --tokens"
        in run("explain", folder / "model", folder, "--out", folder / "s.csv", "--draw", folder / "d").err
    )
