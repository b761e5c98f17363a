"""A network of sequences: both strands alike bit for bit, nothing of what comes later, pieces as the whole."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from chiasm.artifact import ArtifactError
from chiasm.encoders.sequence.network import SequenceConfig, SequenceNetwork, padded, reversed_within, untrained
from chiasm.encoders.sequence.stacks import CELLS, make_stack
from chiasm.encoders.sequence.stored_network import store_network, stored_network
from chiasm.encoders.weights import seeded
from small_recipes import at_night

BY_DAY = ["mamba", "mamba2", "xlstm"]  # whose blocks are those of mlstm too
EACH = [*BY_DAY, *at_night(*sorted({*CELLS} - {*BY_DAY}))]
DNA = ["ACGTN", "acguuRY" * 11, "A", "GATTACA" * 6]


def batch(network: SequenceNetwork, texts: list[str]) -> tuple[torch.Tensor, torch.Tensor]:
    return padded([network.tokenize(text) for text in texts])


def made(**options: object) -> SequenceNetwork:
    depth = 2 if options.get("cell") == "xlstm" else 1  # the second block of an xlstm is of another kind
    return untrained(SequenceConfig(**{"width": 16, "depth": depth, "heads": 2, **options})).eval()  # type: ignore[arg-type]


@pytest.mark.parametrize("cell", sorted(CELLS))
@torch.no_grad()
def test_both_strands_are_read_alike_bit_for_bit(cell: str) -> None:
    for rc in ("ps", "ph"):
        network = made(cell=cell, rc=rc, bidirectional=True, width=8)
        ids, mask = batch(network, DNA)
        own, turned = network(ids, mask), network.reverse_complement(ids, mask)
        assert torch.equal(network.reverse_complement(turned, mask), ids)
        found, expected = network(turned, mask), reversed_within(own, mask)
        assert torch.equal(found, expected.flip(-1) if rc == "ps" else expected)
        assert not torch.equal(found, own)
    if cell in BY_DAY:
        plain = made(cell=cell, bidirectional=True)
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


PIECES = ((0, 3), (3, 50), (50, 51), (51, 80))


@pytest.mark.parametrize("cell", EACH)
@torch.no_grad()
def test_one_by_one_in_pieces_and_at_once_are_the_same(cell: str) -> None:
    network = made(cell=cell)
    ids = torch.randint(8, 23, (2, 80), generator=torch.Generator().manual_seed(0))
    whole = network(ids, torch.ones_like(ids, dtype=torch.bool))
    for cuts, room in ((PIECES, 5e-5), ([(k, k + 1) for k in range(80)], 1e-4)):
        found, state = [], None
        for start, end in cuts:
            states, state = network.stream(ids[:, start:end], state)
            found.append(states)
        torch.testing.assert_close(torch.cat(found, 1), whole, rtol=0, atol=room)
    assert not torch.allclose(network.stream(ids[:, 3:50])[0], whole[:, 3:50], atol=1e-2), "the state is not read"


@pytest.mark.parametrize("cell", EACH)
@torch.no_grad()
def test_what_comes_later_changes_no_bit_and_padding_next_to_none(cell: str) -> None:
    network = made(cell=cell)
    ids, mask = batch(network, DNA)
    found = network(ids, mask)
    later = ids.clone()
    later[:, 50:] = network.tokenize("C")
    assert torch.equal(network(later, mask)[:, :50], found[:, :50])
    assert not torch.equal(network(later, mask)[1], found[1])
    assert torch.equal(network(torch.where(mask, ids, 9), mask), found), "what the mask hides is read"
    both = made(cell=cell, bidirectional=True)
    for row, text in enumerate(DNA):
        for own in (network, both) if cell == "mamba2" else (network,):
            alone = own(*batch(own, [text]))[0]
            torch.testing.assert_close(own(ids, mask)[row, : len(text)], alone, rtol=0, atol=1e-5)
        assert not found[row, len(text) :].any()


@torch.no_grad()
def test_blocks_of_xlstm_read_as_the_package_does() -> None:
    x = torch.randn(2, 40, 32, generator=torch.Generator().manual_seed(0))
    with seeded(0):
        stack = make_stack("xlstm", 32, 3, 4)
    for parameter in stack.parameters():
        parameter += 0.05 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(stack.scan(x)[0], stack.network(x), rtol=0, atol=1e-5)
    state, found = None, []
    for step in range(40):
        own, state = stack.network.step(x[:, step : step + 1], state)
        found.append(own)
    torch.testing.assert_close(stack.scan(x)[0], torch.cat(found, 1), rtol=0, atol=1e-4)


@pytest.mark.nightly
@pytest.mark.parametrize("cell", ["mamba", "mamba2"])
@torch.no_grad()
def test_state_spaces_have_the_weights_and_the_outputs_of_transformers(cell: str) -> None:
    from transformers import Mamba2Config, Mamba2Model, MambaConfig, MambaModel

    shared = {"vocab_size": 9, "hidden_size": 32, "state_size": 16, "num_hidden_layers": 2, "conv_kernel": 4}
    with seeded(0):
        model = (
            MambaModel(MambaConfig(**shared))
            if cell == "mamba"
            else Mamba2Model(Mamba2Config(**shared, num_heads=4, head_dim=16, n_groups=1, chunk_size=16))
        ).eval()
    stack = make_stack(cell, 32, 2, 4)
    stack.load_state_dict({k: v for k, v in model.state_dict().items() if not k.startswith("embeddings")})
    x = torch.randn(2, 100, 32, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(stack.scan(x)[0], model(inputs_embeds=x).last_hidden_state, rtol=0, atol=1e-5)


@pytest.mark.parametrize("cell", EACH)
def test_every_parameter_of_a_network_learns(cell: str) -> None:
    network = made(cell=cell, rc="ps", bidirectional=True)
    ids, mask = batch(network, DNA[:1])
    network.logits(network.predictive(ids, mask)).square().sum().backward()
    assert all(own.grad is not None for own in network.parameters())


def test_what_cannot_be_is_refused_in_a_sentence() -> None:
    for options, said in (
        ({"cell": "lstm"}, "cell is one of"),
        ({"rc": "both"}, "rc one of"),
        ({"width": 18, "heads": 4}, "divide"),
        ({"alphabet": "protein", "rc": "ps"}, "no complement"),
        ({"alphabet": "klingon"}, "no such alphabet"),
        ({"alphabet": "letters:ABA"}, "once"),
    ):
        with pytest.raises(ValueError, match=said):
            SequenceConfig(**options)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="whole sequence"):
        made(bidirectional=True).stream(torch.zeros(1, 3, dtype=torch.long))
    with pytest.raises(ValueError, match="padded on the right"):
        made()(torch.zeros(1, 3, dtype=torch.long), torch.tensor([[True, False, True]]))
