"""A server over gRPC, and hospitals that are sound, lie, send garbage, or have no right to be there."""

from __future__ import annotations

import io
import json
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from chiasm import artifact
from chiasm.cli import main
from chiasm.federated.address import client_channel, server_credentials
from chiasm.federated.folder import open_federation
from chiasm.federated.server import Serving
from chiasm.federated.wire import FederationError, to_bytes
from chiasm.recipes.hospitals.federation import SCALING
from federated_hospitals import Certificates, Hospital, at_once, certificates, fitted_base, made, serving


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fitted_base(tmp_path_factory.mktemp("base") / "model")


@pytest.fixture(scope="module")
def pems(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return certificates(tmp_path_factory.mktemp("pems"))


def products(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    downs = [name for name in state if ".lora_A." in name]
    return {name: state[name.replace("lora_A", "lora_B")].double() @ state[name].double() for name in downs}


def test_every_round_is_the_weighted_sum_of_what_came(base: Path, pems: Certificates, tmp_path: Path) -> None:
    """Read from what the server wrote: three hospitals of other ranks and sizes, over TLS."""
    federation, tokens = made(tmp_path / "federation", base, "abc", least=3)
    with serving(federation, pems) as running:
        hospitals = [Hospital(running, name, tokens[name], pems, 3 - k) for k, name in enumerate(tokens)]
        counts = dict(zip(tokens, (50, 30, 20), strict=True))
        calls = [lambda own=own: own.take_part(own.rank, patients=counts[own.name]) for own in hospitals]
        assert at_once(*calls) == [None] * 3
        rounds = running.finished()
    federation = open_federation(federation.path)
    assert [own["rank"] for own in rounds] == [6, 6] and len(federation.updates()) == 2
    for number, update in enumerate(federation.updates(), start=1):
        answers = federation.answers(number)
        assert {name: own.rank for name, own in answers.items()} == {"hospital-a": 3, "hospital-b": 2, "hospital-c": 1}
        found = products(update)
        for site, own in found.items():
            parts = [counts[name] / 100 * SCALING * products(answer.adapter)[site] for name, answer in answers.items()]
            wanted = torch.stack(parts).sum(0)
            assert float((own - wanted).norm() / wanted.norm()) < 1e-6  # adapters travel in single precision
    for own in hospitals:
        assert sorted(own.updates) == [1, 2]
    base_model, final = artifact.load(federation.path / "base"), artifact.load(federation.path / "model")
    for site in found:
        key = site.replace(".lora_A", "")
        wanted = torch.from_numpy(np.array(base_model.predictor.state[key]))
        for update in federation.updates():
            wanted = (wanted.double() + products(update)[site]).float()
        assert torch.equal(torch.from_numpy(np.array(final.predictor.state[key])), wanted)
    sent = {own["client"]: own for own in rounds[1]["clients"]}
    assert (
        sent["hospital-a"]["bytes_up"] == len(to_bytes(answers["hospital-a"].adapter)) > sent["hospital-c"]["bytes_up"]
    )
    assert sent["hospital-a"]["bytes_down"] == len(to_bytes(federation.updates()[0]))


class Payload:
    """Whoever unpickles it writes a file."""

    def __reduce__(self) -> Any:
        return Path("executed").touch, ()


def pickled() -> bytes:
    return pickle.dumps(Payload())


def zipped() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr("../../evil", "x")
    return buffer.getvalue()


def spoilt(hospital: Hospital, how: str) -> bytes:
    """A sound adapter with one thing wrong."""
    state = hospital.adapter(0)
    name = next(iter(state))
    if how == "shape":
        state[name] = torch.zeros(2, 3)
    elif how == "rank":
        state = {key: torch.cat([own, own], 0 if ".lora_A." in key else 1) for key, own in state.items()}
    elif how == "missing":
        del state[name]
    elif how == "unknown":
        state["patient-007"] = torch.zeros(2)
    elif how == "nan":
        state[name][0, 0] = float("nan")
    elif how == "infinite":
        state[name][0, 0] = float("inf")
    elif how == "dtype":
        state[name] = state[name].double()
    elif how == "half":
        state[name] = state[name].to(torch.bfloat16)
    return to_bytes(state)


BAD: dict[str, tuple[Any, str]] = {
    "pickle": (lambda own: pickled(), "no safetensors"),
    "zip": (lambda own: zipped(), "no safetensors"),
    "empty": (lambda own: b"", "no safetensors"),
    "random": (lambda own: np.random.default_rng(0).bytes(500), "no safetensors"),
    "header": (lambda own: (2**62).to_bytes(8, "little") + b"{}", "no safetensors"),
    "truncated": (lambda own: to_bytes(own.adapter(0))[:-7], "no safetensors"),
    "oversized": (lambda own: bytes(3_000_000), "bytes that were agreed"),
    **{
        how: (lambda own, how=how: spoilt(own, how), message)
        for how, message in {
            "shape": "is (2, 3) and must be (2,",
            "rank": "bytes that were agreed|must be (2,",
            "missing": "is missing",
            "unknown": "1 of the tensors belong to no adapter",
            "nan": "not finite",
            "infinite": "not finite",
            "dtype": "float64 and must be float32",
            "half": "bfloat16 and must be float32",
        }.items()
    },
}
FACTS = [
    ({"patients": None}, "'patients' must be a whole number"),
    ({"patients": 0}, "'patients' must be"),
    ({"patients": 10**12}, "'patients' must be"),
    ({"patients": "many"}, "not numbers|'patients' must be"),
    ({"patients": 2.5}, "'patients' must be"),
    ({"rank": 4097}, "'rank' must be"),
    ({"round": -1}, "'round' must be"),
    ({"base": "another"}, "your base is another model"),
    ({"protocol": 99}, "different versions of chiasm"),
]


def test_garbage_is_refused_by_name_and_the_round_goes_on(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One server, one round; each thing that can be wrong comes from a hospital of its own."""
    cases: list[tuple[Any, str]] = [*BAD.values(), *FACTS]
    letters = [f"{chr(97 + k // 26)}{chr(97 + k % 26)}" for k in range(len(cases) + 2)]
    monkeypatch.chdir(tmp_path)
    federation, _ = made(tmp_path / "federation", base, "", rounds=1)
    tokens = {f"hospital-{own}": federation.invite(f"hospital-{own}") for own in letters}
    with serving(federation) as running:
        sound, bad = list(tokens.items())[:2], list(tokens.items())[2:]

        def send_bad(name: str, token: str, what: Any, message: str) -> None:
            own = Hospital(running, name, token)
            assert own.ask()["state"] == "train"
            with pytest.raises(FederationError) as caught:
                if isinstance(what, dict):
                    own.who = {**own.who, **{key: value for key, value in what.items() if key in own.who}}
                    own.send(1, own.adapter(0), **what)
                else:
                    own.send(1, what(own))
            said = str(caught.value)
            assert name in said and any(part in said for part in message.split("|")), (said, message)
            assert "patient-007" not in said

        calls = [lambda n=n, t=t: Hospital(running, n, t).take_part(1) for n, t in sound]
        calls += [lambda n=n, t=t, w=w, m=m: send_bad(n, t, w, m) for (n, t), (w, m) in zip(bad, cases, strict=True)]
        assert at_once(*calls) == [None] * len(calls)
        (only,) = running.finished()
    assert [own["client"] for own in only["clients"]] == ["hospital-aa", "hospital-ab"]
    assert sorted(only["refused"]) == sorted(name for name, _ in bad)
    assert {own["client"] for own in running.events("refused")} == set(only["refused"])
    assert not (tmp_path / "executed").exists()
    written = "".join(file.read_text() for file in federation.path.rglob("*.json*"))
    assert "patient-007" not in written and not any(token in written for token in tokens.values())


def test_a_wrong_token_is_refused_by_name_before_anything_is_changed(
    base: Path, pems: Certificates, tmp_path: Path
) -> None:
    federation, tokens = made(tmp_path / "federation", base)
    _, stolen = made(tmp_path / "other", base)
    void = tokens["hospital-b"]
    tokens["hospital-b"] = federation.invite("hospital-b")
    before = sorted(federation.path.iterdir())
    with serving(federation, pems) as running:
        said: set[str] = set()
        for name, token in (
            ("hospital-a", "wrong"),
            ("hospital-a", ""),
            ("hospital-a", stolen["hospital-a"]),
            ("hospital-a", tokens["hospital-b"]),
            ("hospital-b", void),
            ("hospital-z", tokens["hospital-a"]),
            ("", ""),
        ):
            own = Hospital(running, name, token, pems)
            for call in (lambda own=own: own.ask(), lambda own=own: own.send(1, own.adapter(0))):
                with pytest.raises(FederationError, match="the token is not the one") as caught:
                    call()
                said.add(str(caught.value).replace(repr(name), ""))
        assert len(said) == 1, "an answer tells who is invited"
        assert running.events("joined") == [] and sorted(federation.path.iterdir()) == before
        sound = [Hospital(running, name, token, pems) for name, token in tokens.items()]
        assert at_once(*(own.take_part for own in sound)) == [None, None]
        assert len(running.finished()) == 2
    log = (federation.path / "log.jsonl").read_text()
    turned = [own for own in map(json.loads, log.splitlines()) if own["event"] == "turned-away"]
    # 8 calls of hospital-a, 2 of hospital-b and 4 of nobody: the first of each is told, then the tenth.
    assert [(own["client"], own["times"]) for own in turned] == [("hospital-a", 1), ("hospital-b", 1), (None, 1)]
    assert not any(token in log for token in (*tokens.values(), *stolen.values()))


def test_without_tls_only_on_this_machine_and_only_when_asked(base: Path, tmp_path: Path) -> None:
    for call in (server_credentials, None):
        for address, insecure, message in (
            ("127.0.0.1:1", False, "travel encrypted"),
            ("0.0.0.0:1", True, "this machine alone"),
            ("hospital.example.org:1", True, "this machine alone"),
            ("[::]:1", True, "this machine alone"),
            ("nowhere", True, "no address"),
        ):
            if call is None and not insecure:
                continue  # a client without --insecure speaks TLS
            with pytest.raises(FederationError, match=message):
                call(address, None, None, insecure) if call else client_channel(address, None, insecure, 1000)
    assert server_credentials("127.0.0.1:1", None, None, True) is None
    assert server_credentials("[::1]:1", None, None, True) is None
    with pytest.raises(FederationError, match="both --certificate and --key"):
        server_credentials("127.0.0.1:1", base / "model.json", None, False)
    with pytest.raises(FederationError, match="no PEM file"):
        server_credentials("127.0.0.1:1", base / "model.json", base / "model.json", False)
    federation, _ = made(tmp_path / "federation", base)
    from chiasm.federated.server import Serving, run_server

    with pytest.raises(FederationError, match="travel encrypted"):
        run_server(federation.path, Serving("127.0.0.1:0"))


def test_a_certificate_of_somebody_else_is_told_as_such(base: Path, pems: Certificates, tmp_path: Path) -> None:
    federation, tokens = made(tmp_path / "federation", base)
    stranger = certificates(tmp_path / "stranger")
    with serving(federation, pems, gather_seconds=3.0) as running:
        own = Hospital(running, "hospital-a", tokens["hospital-a"], stranger)
        with pytest.raises(FederationError, match=r"no encrypted connection.*--authority"):
            own.ask()
        with pytest.raises(FederationError, match=r"nobody came in 3 s and a round needs 2.*--resume"):
            running.finished()


@pytest.mark.parametrize("seconds", [float("inf"), float("nan"), -1.0, 1e11])
@pytest.mark.parametrize("which", ["gather_seconds", "round_seconds"])
def test_times_that_no_clock_can_wait_are_refused(which: str, seconds: float) -> None:
    with pytest.raises(FederationError, match="lies between 0 and"):
        Serving("localhost:0", insecure=True, **{which: seconds})


def test_a_key_of_another_certificate_is_told_as_such(pems: Certificates, tmp_path: Path) -> None:
    other = certificates(tmp_path)
    with pytest.raises(FederationError, match="--key: it does not belong to the certificate"):
        server_credentials("localhost:0", pems.certificate, other.key, False)


@pytest.mark.parametrize("aggregation", ["fedavg", "zero-pad"])
def test_the_controls_run_too(base: Path, tmp_path: Path, aggregation: str) -> None:
    federation, tokens = made(tmp_path / "federation", base, aggregation=aggregation, weights="equal")
    ranks = (2, 2) if aggregation == "fedavg" else (1, 3)
    with serving(federation) as running:
        hospitals = [
            Hospital(running, name, token, rank=rank) for (name, token), rank in zip(tokens.items(), ranks, strict=True)
        ]
        assert at_once(*(lambda own=own: own.take_part(patients=None) for own in hospitals)) == [None, None]
        rounds = running.finished()
    assert [own["rank"] for own in rounds] == [max(ranks)] * 2
    assert all(own["patients"] is None and own["weight"] == 0.5 for turn in rounds for own in turn["clients"])
    for number in (1, 2):
        answers = list(federation.answers(number).values())
        name = next(key for key in answers[0].adapter if ".lora_A." in key)
        first = sum(own.adapter[name][0] for own in answers) / 2
        torch.testing.assert_close(federation.updates()[number - 1][name][0], first)


def test_fedavg_refuses_another_rank_by_name(base: Path, tmp_path: Path) -> None:
    federation, tokens = made(tmp_path / "federation", base, "abc", aggregation="fedavg", rounds=1)
    with serving(federation) as running:
        a, b = (Hospital(running, name, tokens[name]) for name in ("hospital-a", "hospital-b"))
        c = Hospital(running, "hospital-c", tokens["hospital-c"], rank=3)
        raised = at_once(a.take_part, b.take_part, c.take_part)
        assert raised[:2] == [None, None]
        assert "'hospital-c' was turned away: fedavg needs equal ranks: this federation's is 2" in str(raised[2])
        running.finished()


def test_a_federation_is_made_once_and_its_base_stays(base: Path, tmp_path: Path) -> None:
    federation, _ = made(tmp_path / "federation", base)
    with pytest.raises(FederationError, match="exists and is not empty"):
        made(tmp_path / "federation", base)
    with pytest.raises(FederationError, match="rank 99: the base has room for ranks from 1 to"):
        made(tmp_path / "other", base, rank=99)
    with pytest.raises(FederationError, match="2 hospitals or more"):
        made(tmp_path / "other", base, least=1)
    with pytest.raises(FederationError, match="inside its base"):
        made(base / "federation", base)
    assert not (base / "federation").exists()
    with pytest.raises(FederationError, match="no hospital can be called 'update'"):
        federation.invite("update")
    for name in ("Hospital A", "../x", "", "a" * 65, "a/b"):
        with pytest.raises(FederationError, match="small letters"):
            federation.invite(name)
    document = json.loads((federation.path / "federation.json").read_text())
    (federation.path / "federation.json").write_text(json.dumps({**document, "base": "0" * 64}))
    with pytest.raises(FederationError, match="another model than the one"):
        open_federation(federation.path)
    with pytest.raises(FederationError, match="is no federation"):
        open_federation(tmp_path)


def test_a_refused_invitation_leaves_no_file(base: Path, tmp_path: Path) -> None:
    federation, _ = made(tmp_path / "federation", base)
    out = tmp_path / "a.token"
    for words in ([str(federation.path), "Hospital A"], [str(tmp_path), "hospital-a"]):
        with pytest.raises(SystemExit) as stopped:
            main(["federate", "invite", *words, "--out", str(out)])
        assert stopped.value.code == 2 and not out.exists()
    with pytest.raises(SystemExit) as stopped:
        main(["federate", "invite", str(federation.path), "hospital-a", "--out", str(out)])
    assert not stopped.value.code
    assert federation.admits("hospital-a", out.read_text().strip())
