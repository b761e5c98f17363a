"""A signed model folder: every byte of it is covered, and only a trusted key's word counts."""

from __future__ import annotations

import base64
import json
import os
import shutil
import stat
import time
from pathlib import Path
from typing import Any

import pytest

import chiasm
from archived import ARCHIVE
from chiasm import api, artifact
from chiasm.artifact import ArtifactError

MODEL = ARCHIVE / "0.1.0" / "models" / "03-single-survival"
PASSPHRASE = b"correct horse"


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> tuple[api.KeyPair, api.KeyPair]:
    """Ours, and somebody else's."""
    place = tmp_path_factory.mktemp("keys")
    return chiasm.new_keys(place / "ours"), chiasm.new_keys(place / "theirs")


@pytest.fixture
def signed(keys: tuple[api.KeyPair, api.KeyPair], tmp_path: Path) -> Path:
    """A signed folder with a card."""
    folder = tmp_path / "model"
    shutil.copytree(MODEL, folder)
    (folder / "card.md").write_text("A card.")
    chiasm.sign_model(folder, keys[0].private)
    return folder


def refused(folder: Path, *words: str, trusted: Any = None) -> None:
    with pytest.raises(ArtifactError) as caught:
        chiasm.load_model(folder, trusted)
    message = str(caught.value)
    assert all(word in message for word in words), message
    assert "\n" not in message and len(message) < 300


def flipped(path: Path, at: int) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


def test_a_signed_model_opens_for_whom_trusts_its_key(signed: Path, keys: tuple[api.KeyPair, api.KeyPair]) -> None:
    ours, theirs = keys
    for trusted in ([ours.public], [str(ours.public)], [ours.public.read_bytes()], [theirs.public, ours.public]):
        assert chiasm.load_model(signed, trusted).recipe == "single:clinical"  # type: ignore[attr-defined]
    assert chiasm.load_model(signed)
    refused(signed, f"signed by the key {ours.fingerprint}", "not among the 1 trusted", trusted=[theirs.public])


@pytest.mark.parametrize("name", ["model.json", "weights.safetensors", "card.md"])
def test_a_changed_byte_of_any_file_is_refused(signed: Path, keys: tuple[api.KeyPair, api.KeyPair], name: str) -> None:
    """With trust and without: the hashes that the signature names are compared in any case."""
    flipped(signed / name, -1)
    for trusted in ([keys[0].public], None):
        refused(signed, name, trusted=trusted)


def test_a_file_more_or_less_is_refused(signed: Path, keys: tuple[api.KeyPair, api.KeyPair]) -> None:
    (signed / "card.md").rename(signed.parent / "card.md")
    refused(signed, "'model/card.md' is missing after the model was signed", trusted=[keys[0].public])
    chiasm.sign_model(signed, keys[0].private)
    (signed.parent / "card.md").rename(signed / "card.md")
    refused(signed, "'model/card.md' was added after the model was signed", trusted=[keys[0].public])
    (signed / "more.bin").write_bytes(b"")
    refused(signed, "holds 'more.bin', which is no file of a model", trusted=[keys[0].public])


def test_a_stripped_signature_is_refused_where_trust_is_asked(
    signed: Path, keys: tuple[api.KeyPair, api.KeyPair]
) -> None:
    (signed / "signature.json").unlink()
    refused(signed, "'model' is not signed", trusted=[keys[0].public])
    assert chiasm.load_model(signed)


def test_what_the_holder_of_the_key_did_not_sign_is_refused(
    signed: Path, keys: tuple[api.KeyPair, api.KeyPair]
) -> None:
    """The hashes made to agree, another time, another key's name on it, and one of the other folder."""
    file = signed / "signature.json"
    sound = json.loads(file.read_text())
    ours = [keys[0].public]
    later = {**sound, "signed": {**sound["signed"], "at": "2030-01-01T00:00:00+00:00"}}
    flipped(signed / "card.md", 0)
    hashes = {**sound["signed"]["files"], "card.md": artifact.files.sha256(signed / "card.md")}
    for changed in (later, {**sound, "signed": {**sound["signed"], "files": hashes}}):
        (signed / "card.md").write_text("A card.") if changed is later else flipped(signed / "card.md", 0)
        file.write_text(json.dumps(changed))
        refused(signed, "was not made by the key that it names", trusted=ours)
        assert chiasm.load_model(signed)  # who asks for no trust is told of damage alone
    (signed / "card.md").write_text("A card.")
    named = artifact.keys.trusted_keys([keys[1].public])
    for own in named:
        file.write_text(json.dumps({**sound, "public_key": base64.b64encode(own).decode()}))
    refused(signed, "was not made by the key that it names", trusted=[keys[1].public])
    other = signed.parent / "other"
    shutil.copytree(ARCHIVE / "0.1.0" / "models" / "02-single-regression", other)
    chiasm.sign_model(other, keys[0].private)
    shutil.copy(other / "signature.json", file)
    for trusted in (ours, None):
        refused(signed, "after the model was signed", trusted=trusted)


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d.update(algorithm="none"),
        lambda d: d.update(schema=True),
        lambda d: d.update(extra=1),
        lambda d: d.update(signature=""),
        lambda d: d.update(public_key="AAAA"),
        lambda d: d["signed"].update(at="yesterday"),
        lambda d: d["signed"].update(at=7),
        lambda d: d["signed"].update(files={}),
        lambda d: d["signed"]["files"].update({"../../etc/passwd": "0" * 64}),
        lambda d: d["signed"]["files"].update({"card.md": "0" * 63 + "G"}),
        lambda d: d["signed"]["files"].update({"card.md": 1}),
    ],
)
def test_what_is_no_signature_is_refused(signed: Path, change: Any) -> None:
    document = json.loads((signed / "signature.json").read_text())
    change(document)
    (signed / "signature.json").write_text(json.dumps(document))
    refused(signed, "'model/signature.json' is not a signature of chiasm")


def test_a_signature_is_refused_before_the_model_is_parsed(signed: Path, keys: tuple[api.KeyPair, api.KeyPair]) -> None:
    (signed / "model.json").write_text("no JSON")
    words = "'model/model.json' was changed after the model was signed"
    refused(signed, words, trusted=[keys[0].public])
    with pytest.raises(ArtifactError, match=words):
        chiasm.inspect_model(signed, [keys[0].public])


def test_each_file_is_opened_once_and_its_own_hash_is_told(
    signed: Path, keys: tuple[api.KeyPair, api.KeyPair], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Read twice, a file could be another one the second time: what is shown is what the signature covers."""
    names: list[str] = []
    opened = artifact.opening.opened_file

    def counted(path: Path, most: int, name: str | None = None, folder: int | None = None) -> Any:
        names.append(name or "")
        return opened(path, most, name, folder)

    monkeypatch.setattr(artifact.opening, "opened_file", counted)
    trusted = [keys[0].public.read_bytes()]
    for way in (chiasm.load_model, chiasm.inspect_model):
        names.clear()
        way(signed, trusted)
        assert sorted(names) == sorted(artifact.FILES)
    told = chiasm.inspect_model(signed).document["files"]
    assert {name: own["sha256"] for name, own in told.items()} == {
        name: artifact.files.sha256(signed / name) for name in artifact.FILES if name != "signature.json"
    }


def test_a_damaged_model_is_not_signed(signed: Path, keys: tuple[api.KeyPair, api.KeyPair]) -> None:
    flipped(signed / "weights.safetensors", -1)
    before = (signed / "signature.json").read_bytes()
    with pytest.raises(ArtifactError, match="does not have the hash"):
        chiasm.sign_model(signed, keys[0].private)
    assert (signed / "signature.json").read_bytes() == before


def test_a_model_saved_anew_has_no_signature(signed: Path) -> None:
    model: Any = chiasm.load_model(signed)
    model.save(signed)
    assert sorted(file.name for file in signed.iterdir()) == ["card.md", "model.json", "weights.safetensors"]


def test_keys_are_their_owners_alone_and_never_replaced(tmp_path: Path) -> None:
    made = chiasm.new_keys(tmp_path / "Schlüssel.v1.pem", PASSPHRASE)
    assert (made.private.name, made.public.name) == ("Schlüssel.v1.pem", "Schlüssel.v1.pub.pem")
    assert stat.S_IMODE(made.private.stat().st_mode) == 0o600
    assert b"ENCRYPTED" in made.private.read_bytes() and PASSPHRASE not in made.private.read_bytes()
    for name in ("Schlüssel.v1", "Schlüssel.v1.pem"):
        with pytest.raises(FileExistsError, match="never replaced"):
            chiasm.new_keys(tmp_path / name)
    folder = tmp_path / "model"
    shutil.copytree(MODEL, folder)
    for wrong, words in ((None, "is encrypted"), (b"wrong", "does not open with this passphrase")):
        with pytest.raises(ValueError, match=words):
            chiasm.sign_model(folder, made.private, wrong)
    assert chiasm.sign_model(folder, made.private, PASSPHRASE) == made.fingerprint
    made.private.chmod(0o644)
    with pytest.raises(ValueError, match="may be read by others"):
        chiasm.sign_model(folder, made.private, PASSPHRASE)


def test_what_is_no_trusted_key_is_refused(signed: Path, keys: tuple[api.KeyPair, api.KeyPair]) -> None:
    ours, _ = keys
    place = signed.parent
    (place / "none.pem").write_text("no key")
    (place / "empty").mkdir()
    (place / "trusted").mkdir()
    shutil.copy(ours.public, place / "trusted")
    assert chiasm.load_model(signed, [place / "trusted"])
    cases: list[tuple[Any, str]] = [
        ([place / "none.pem"], "'none.pem' is no public key"),
        ([place / "empty"], r"has no key \(\*.pem\)"),
        ([ours.private], "is a private key"),
        ([], "no trusted key is named"),
        (ours.public, "are a list"),
        ([b"\0"], "is no public key"),
    ]
    for trusted, words in cases:
        with pytest.raises(ValueError, match=words):
            chiasm.load_model(signed, trusted)
    with pytest.raises(FileNotFoundError):
        chiasm.load_model(signed, [place / "nowhere.pem"])
    if hasattr(os, "mkfifo"):
        os.mkfifo(place / "trusted" / "pipe.pem")
        began = time.monotonic()
        with pytest.raises(ValueError, match="no file"):
            chiasm.load_model(signed, [place / "trusted"])
        assert time.monotonic() - began < 2
