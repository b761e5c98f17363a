"""A model goes to the Hub and comes back as it was; what is not what was listed is refused, and nothing of it stays."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

import chiasm
from chiasm.cli import main
from chiasm.sharing.hub_place import HubError
from hub_server import Hub, hub_on_loopback
from lighter_trials import only_ridges

NAME = "ward/late"
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=<...>' to upload:DeprecationWarning")  # huggingface_hub's


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hub") / "model"
    with only_ridges():
        chiasm.fit(chiasm.synthetic_cohort("complementary", n=60, seed=0), "late-fusion").save(folder)
    return folder


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)  # a protocol of its own, which this Hub does not speak
    with hub_on_loopback() as server:
        monkeypatch.setenv("HF_ENDPOINT", server.endpoint)
        monkeypatch.setenv("HF_TOKEN", "hf_secret")
        yield server


def filled(hub: Hub, model: Path, **more: bytes) -> str:
    """A repository that holds the model; returns its revision."""
    from hub_server import Repository

    files = {file.name: file.read_bytes() for file in model.iterdir()}
    hub.repositories[NAME] = Repository(True)
    return hub.repositories[NAME].add({"README.md": b"---\n---\n", **files, **more})


def test_there_and_back_byte_for_byte(hub: Hub, model: Path, tmp_path: Path) -> None:
    done = chiasm.push(model, NAME, licence="cc-by-nc-4.0")
    repository = hub.repositories[NAME]
    assert repository.private and done.private and done.revision == repository.newest
    there = repository.revisions[done.revision]
    assert set(there) == {".gitattributes", "README.md", "model.json", "weights.safetensors", "card.md"}
    card = there["README.md"].decode()
    assert card.startswith("---\nlicense: cc-by-nc-4.0\nlibrary_name: chiasm\n")
    assert card.endswith((model / "card.md").read_text(encoding="utf-8"))
    back = chiasm.pull(f"{NAME}@{done.revision}", tmp_path / "back")
    assert {file.name: file.read_bytes() for file in back.folder.iterdir()} == {
        file.name: file.read_bytes() for file in model.iterdir()
    }
    assert all(file.stat().st_mode & 0o777 == 0o600 for file in back.folder.iterdir()) or os.name == "nt"


def test_a_branch_is_refused_with_the_hash_that_it_stands_for(
    hub: Hub, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    revision = filled(hub, model)
    for asked in (NAME, f"{NAME}@main"):
        with pytest.raises(SystemExit) as stopped:
            main(["pull", asked, "--out", str(tmp_path / "back")])
        assert stopped.value.code == 2
        assert f"pull {NAME}@{revision}" in capsys.readouterr().err
    with pytest.raises(HubError, match="does not show"):
        chiasm.pull(f"{NAME}@{revision[:12]}", tmp_path / "back")
    assert not (tmp_path / "back").exists()
    assert not [path for _, path, _ in hub.asked if "/resolve/" in path]


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("truncated", "cannot be asked for|of .* bytes"),
        ("shorter", "of .* bytes"),
        ("changed", "another content"),
        ("too large", "more than"),
        ("broken", "answers 500"),
        ("round", "redirects .* more than"),
        ("another revision", "another revision"),
        ("huge", "bytes there"),
        ("twice", "each once"),
        ("endless listing", "more than"),
    ],
)
def test_what_is_not_what_was_listed_leaves_nothing(
    hub: Hub, model: Path, tmp_path: Path, fault: str, said: str
) -> None:
    revision = filled(hub, model)
    hub.fault = fault
    with pytest.raises(HubError, match=said):
        chiasm.pull(f"{NAME}@{revision}", tmp_path / "back")
    assert list(tmp_path.iterdir()) == []


def test_a_redirect_without_tls_is_not_followed(hub: Hub, model: Path, tmp_path: Path) -> None:
    revision = filled(hub, model)
    with hub_on_loopback() as other:
        hub.fault, hub.elsewhere = "elsewhere", f"{other.endpoint}/take"
        with pytest.raises(HubError, match="without TLS"):
            chiasm.pull(f"{NAME}@{revision}", tmp_path / "back")
        assert other.asked == []  # nor is it told the token
    assert {authorization for _, _, authorization in hub.asked} == {"Bearer hf_secret"}


@pytest.mark.parametrize("name", ["run.py", "weights.bin", "../model.json", "sub/model.json", "Model.json"])
def test_a_file_that_no_model_has_is_refused_before_any_is_fetched(
    hub: Hub, model: Path, tmp_path: Path, name: str
) -> None:
    revision = filled(hub, model, **{name: b"import os"})
    with pytest.raises(HubError, match="no model of chiasm has"):
        chiasm.pull(f"{NAME}@{revision}", tmp_path / "back")
    assert not [path for _, path, _ in hub.asked if "/resolve/" in path]


def test_a_model_that_was_changed_at_its_source_is_refused(hub: Hub, model: Path, tmp_path: Path) -> None:
    revision = filled(hub, model, **{"model.json": (model / "model.json").read_bytes().replace(b"m1", b"m9")})
    with pytest.raises(chiasm.ArtifactError):
        chiasm.pull(f"{NAME}@{revision}", tmp_path / "back")
    assert list(tmp_path.iterdir()) == []


def test_rows_of_training_patients_are_not_sent_unasked(hub: Hub, tmp_path: Path) -> None:
    folder = tmp_path / "kernel"
    chiasm.fit(chiasm.synthetic_cohort("complementary", n=60, seed=0), "kron-rls").save(folder)
    with pytest.raises(HubError, match="rows of training patients"):
        chiasm.push(folder, NAME, licence="other")
    assert hub.asked == []
    assert chiasm.push(folder, NAME, licence="other", with_training_rows=True).private


def test_what_is_there_is_neither_public_nor_another_project_s(hub: Hub, model: Path) -> None:
    filled(hub, model)
    hub.repositories[NAME].private = False
    with pytest.raises(HubError, match="is public"):
        chiasm.push(model, NAME, licence="other")
    before = filled(hub, model, **{"data.csv": b"1"})
    with pytest.raises(HubError, match="of something else"):
        chiasm.push(model, NAME, licence="other")
    assert hub.repositories[NAME].newest == before
    with pytest.raises(HubError, match="licence"):
        chiasm.push(model, NAME, licence="Mine, all mine")
    with pytest.raises(HubError, match="owner/name"):
        chiasm.push(model, "../late", licence="other")


def test_an_older_signature_does_not_stay_beside_a_new_model(hub: Hub, model: Path) -> None:
    filled(hub, model, **{"signature.json": b"{}"})
    done = chiasm.push(model, NAME, licence="other")
    assert "signature.json" not in hub.repositories[NAME].revisions[done.revision]


def test_a_token_is_never_sent_in_the_clear(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://hub.example.org")
    with pytest.raises(HubError, match="no https address"):
        chiasm.push(model, NAME, licence="other")
