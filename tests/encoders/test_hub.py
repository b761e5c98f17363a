"""Hugging Face models from a folder: the laws, the windows of a long text, the model's own preprocessing, refusals."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from chiasm.cohort import Unsupported
from chiasm.encoders.catalogue import make_encoder
from chiasm.encoders.image.pixels import in_unit_range, resized
from chiasm.encoders.text.huggingface import HuggingFace, preprocessing, special_pieces, windows
from chiasm.readers.reading import Image
from chiasm.testing.laws import globals_unchanged
from tiny_models import SIGHT, WORDS, tiny_models

transformers = pytest.importorskip("transformers")

RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of tiny models."""
    return tiny_models(tmp_path_factory.mktemp("models"))


def image(height: int = 40, width: int = 30, channels: int = 3) -> Image:
    values = RNG.integers(0, 256, (channels, height, width)).astype(np.float32)
    return Image(values, tuple("RGB"[:channels]))


TEXTS = ["fever and cough.", "no fever", " ".join(RNG.choice(WORDS[5:], 200))]
PROTEINS = ["MKT", "LAGVSERTIDPKQNFYMHWC" * 10]


@pytest.mark.parametrize(
    ("spec", "kind", "width", "slots"),
    [
        ("vit", "image", 16, 2),
        ("vit,level=token", "image", 16, 17),
        ("vit,level=token,size=64", "image", 16, 65),
        ("dinov2,level=token", "image", 16, 17),
        ("resnet", "image", 12, 1),
        ("resnet,level=token", "image", 12, 16),
        ("clip", "image", 24, 2),
        ("clip,tower=text", "text", 16, 0),
        ("bert", "text", 16, 0),
        ("bert,level=token,most=32,length=20", "text", 16, 0),
        ("t5,length=16", "text", 16, 0),
        ("esm,length=40", "protein", 16, 0),
    ],
)
def test_the_laws(models: Path, spec: str, kind: str, width: int, slots: int) -> None:
    encoder = make_encoder(f"hf:{models}/{spec}", kind)
    raw: list[Any] = {"image": [image(), image(9, 50, 1), image(64, 64)], "text": TEXTS, "protein": PROTEINS}[kind]
    with globals_unchanged("encode"):
        tokens = encoder.encode(raw)
    assert (encoder.width, encoder.slots) == (width, slots)
    assert tokens.values.shape[2] == width and tokens.values.dtype == torch.float32
    assert not slots or tokens.values.shape[1] == slots
    assert bool(tokens.mask.any(1).all()) and bool(torch.isfinite(tokens.values).all())
    for row, value in enumerate(raw):
        own = encoder.encode([value])
        assert torch.equal(own.values[0][own.mask[0]], tokens.values[row][tokens.mask[row]])
    distinct = tokens.values[tokens.mask].unique(dim=0)
    assert len(distinct) == int(tokens.mask.sum()) and float(tokens.values.std()) > 0.01


def test_the_identity_is_of_weights_and_options_and_names_no_path(models: Path, tmp_path: Path) -> None:
    first = HuggingFace(str(models / "bert"))
    shutil.copytree(models / "bert", tmp_path / "elsewhere")
    assert HuggingFace(str(tmp_path / "elsewhere")).identity == first.identity
    others = [HuggingFace(first.name, length=20), HuggingFace(str(models / "esm")), HuggingFace(first.name, most=3)]
    assert len({first.identity, *(encoder.identity for encoder in others)}) == 4
    assert str(models) not in first.identity
    (tmp_path / "elsewhere" / "tokenizer_config.json").write_text("{}")
    assert HuggingFace(str(tmp_path / "elsewhere")).identity != first.identity


def test_a_short_text_has_the_states_that_transformers_gives(models: Path) -> None:
    found = HuggingFace(str(models / "bert"), level="token").encode(["fever and cough."]).values[0]
    model = transformers.AutoModel.from_pretrained(models / "bert").eval()
    with torch.no_grad():
        expected = model(torch.tensor([[2, 5, 8, 6, 9, 3]])).last_hidden_state[0, 1:-1]
    assert torch.allclose(found, expected, atol=1e-6)


@given(st.integers(0, 3000), st.integers(4, 600))
def test_each_piece_belongs_to_one_window_and_lies_inside_it(pieces: int, room: int) -> None:
    found = windows(pieces, room)
    assert [first for _, first, _ in found] == [0, *(last for _, _, last in found[:-1])] and found[-1][2] == pieces
    for start, first, last in found:
        assert 0 <= start <= first <= last <= min(start + room, pieces) and (last > first or not pieces)
        assert start == 0 or start + room <= pieces
    inner = [min(first - start, start + room - last) for start, first, last in found[1:-1]]
    assert not inner or min(inner) >= room // 8


def test_images_are_prepared_as_the_models_own_processor_does(models: Path) -> None:
    processor = pytest.importorskip("PIL") and transformers.ViTImageProcessorPil(
        **{**SIGHT, "size": {"height": 32, "width": 32}}
    )
    smooth = np.linspace(0, 255, 3 * 90 * 70).reshape(3, 90, 70).round().astype(np.float32)
    expected = processor(smooth.transpose(1, 2, 0).astype(np.uint8), return_tensors="pt")["pixel_values"][0]
    own = preprocessing(models / "vit")
    found = resized(in_unit_range(torch.from_numpy(smooth), 255), own.side, mode=own.mode)
    found = (found - own.mean) / own.deviation
    assert float((found - expected).abs().max()) < 1.5 / 255 / 0.2  # the processor rounds to whole numbers


def test_special_pieces_are_found() -> None:
    class Read:
        def __call__(self, text: str, add_special_tokens: bool = True) -> dict[str, list[int]]:
            return {"input_ids": [0, 7, 2] if add_special_tokens else [7]}

    assert special_pieces(Read()) == ([0], [2])


def test_what_a_model_does_not_read_is_refused(models: Path) -> None:
    with pytest.raises(ValueError, match="reads images"):
        HuggingFace(str(models / "vit")).encode(["fever"])
    with pytest.raises(ValueError, match="reads text"):
        HuggingFace(str(models / "bert")).encode([image()])
    bright = Image(np.full((1, 9, 9), 4000, np.float32), ("grey",))
    with pytest.raises(ValueError, match="high="):
        HuggingFace(str(models / "vit")).encode([bright])
    assert HuggingFace(str(models / "vit"), high=4095).encode([bright]).values.shape == (1, 2, 16)


def without(name: str) -> Any:
    return lambda folder: (folder / name).unlink()


def swap(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def written(name: str, text: str) -> Any:
    return lambda folder: (folder / name).write_text(text)


@pytest.mark.parametrize(
    ("model", "spoil", "said"),
    [
        ("vit", lambda folder: (folder / "model.safetensors").rename(folder / "pytorch_model.bin"), "pickled.*NEW"),
        ("vit", without("model.safetensors"), "no safetensors"),
        ("vit", written("model.safetensors.index.json", '{"weight_map": {"a": "../b.safetensors"}}'), "outside"),
        ("vit", without("config.json"), "no config.json"),
        ("vit", written("config.json", '{"model_type": "of my own", "auto_map": {"AutoModel": "mine.Mine"}}'), "code"),
        ("vit", written("config.json", "{"), "damaged"),
        ("vit", written("model.safetensors", "0" * 64), "damaged"),
        ("vit", without("preprocessor_config.json"), "preprocessor_config"),
        ("vit", written("preprocessor_config.json", '{"size": 1000000}'), "preprocessor_config"),
        ("mae", lambda folder: None, "hides patches at random"),
        ("bert", lambda folder: swap(folder / "config.json", '_layers": 2', '_layers": 3'), "weights lack"),
    ],
)
def test_a_folder_that_is_not_safe_or_not_whole_is_refused(
    models: Path, tmp_path: Path, model: str, spoil: Any, said: str
) -> None:
    folder = tmp_path / "john-doe"
    shutil.copytree(models / model, folder)
    (folder / "mine.py").write_text("raise SystemExit('ran')")
    spoil(folder)
    with pytest.raises(ValueError, match=re.compile(said)) as caught:
        HuggingFace(str(folder)).encode(["fever"] if model == "bert" else [image()])
    assert "john-doe" not in str(caught.value) and caught.value.__cause__ is None


def test_a_model_on_the_hub_needs_a_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    for spec in ("owner/name", "owner/name@main", "owner/name@v1.0,level=token"):
        with pytest.raises(Unsupported, match="commit"):
            HuggingFace.from_text(spec).width  # noqa: B018
    import huggingface_hub

    def offline(*given: Any, **options: Any) -> None:
        raise OSError("no route to a host with a long name")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", offline)
    with pytest.raises(Unsupported, match="copy its folder here") as caught:
        HuggingFace.from_text("owner/name@" + "0" * 40).width  # noqa: B018
    assert "long name" not in str(caught.value)


def test_the_text_after_hf_is_a_model_and_options(tmp_path: Path) -> None:
    assert HuggingFace.from_text("owner/name@abc,most=8") == HuggingFace("owner/name", "abc", most=8)
    (tmp_path / "with@sign").mkdir()
    assert HuggingFace.from_text(f"{tmp_path}/with@sign") == HuggingFace(f"{tmp_path}/with@sign")
    for wrong in ("", ",level=token", "x,colour=red", "x,level=word", "x,length=2"):
        with pytest.raises(ValueError, match=r"needs a model|no option|level is|length is"):
            HuggingFace.from_text(wrong)
