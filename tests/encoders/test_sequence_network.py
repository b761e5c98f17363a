"""A network of sequences: both strands alike bit for bit, nothing of what comes later, pieces as the whole."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from chiasm.artifact import ArtifactError
from chiasm.encoders.sequence.network import SequenceConfig, SequenceNetwork, padded, reversed_within, untrained
from chiasm.encoders.sequence.stacks import CELLS
from chiasm.encoders.sequence.stored_network import store_network, stored_network

DNA = ["ACGTN", "acguuRY" * 21, "A", "GATTACA" * 10]


def batch(network: SequenceNetwork, texts: list[str]) -> tuple[torch.Tensor, torch.Tensor]:
    return padded([network.tokenize(text) for text in texts])


def made(**options: object) -> SequenceNetwork:
    return untrained(SequenceConfig(**{"width": 16, **options})).eval()  # type: ignore[arg-type]


@pytest.mark.parametrize("cell", sorted(CELLS))
@torch.no_grad()
def test_both_strands_are_read_alike_bit_for_bit(cell: str) -> None:
    for rc in ("ps", "ph"):
        network = made(cell=cell, rc=rc, bidirectional=True, heads=2)
        ids, mask = batch(network, DNA)
        found = network(network.reverse_complement(ids, mask), mask)
        expected = reversed_within(network(ids, mask), mask)
        assert torch.equal(found, expected.flip(-1) if rc == "ps" else expected)
        assert not torch.equal(found, network(ids, mask))
        plain = made(cell=cell, bidirectional=True, heads=2)
        turned = plain(network.reverse_complement(ids, mask), mask)
        assert not torch.allclose(turned, reversed_within(plain(ids, mask), mask), atol=1e-3), "both strands always are"


@torch.no_grad()
def test_logits_of_the_other_strand_are_those_of_the_complements() -> None:
    network = made(rc="ps")
    ids, mask = batch(network, DNA)
    own = network.logits(network.predictive(ids, mask))
    other = network.logits(network.predictive(network.reverse_complement(ids, mask), mask))
    expected = reversed_within(own, mask)[..., network.complements]
    assert torch.equal(other[mask], expected[mask])


def test_a_folder_gives_back_the_network(tmp_path: Path) -> None:
    network = made(rc="ps")
    store_network(tmp_path / "net", network, "causal", {"sequences": 4, "loss": [1.5, 1.2]})
    found = stored_network(tmp_path / "net")
    ids, mask = batch(network, DNA)
    assert torch.equal(found.network()(ids, mask), network(ids, mask))
    assert (found.method, found.facts["sequences"]) == ("causal", 4)
    with pytest.raises(ArtifactError):
        stored_network(tmp_path)
