"""`federate`: hospitals that share no patient train one model; what a coordinator types, and what a hospital types."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from chiasm import screen
from chiasm.cli.help import PlainCommand
from chiasm.cli.models import require_place
from chiasm.cli.options import CohortPath, Device, Force, Json, Seed, prepared, told_how_to_go_on

TOKEN = "CHIASM_FEDERATION_TOKEN"
Insecure = Annotated[bool, typer.Option("--insecure", help="Without TLS, on this machine alone.")]

app = typer.Typer(
    help="Hospitals that share no patient train one model: new, invite, server; client.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


@app.command(cls=PlainCommand)
def new(
    base: Annotated[Path, typer.Argument(metavar="BASE", help="The model folder that every hospital has.")],
    out: Annotated[Path, typer.Option(help="The folder of the federation.")],
    aggregation: Annotated[str, typer.Option(help="flora, or the controls fedavg and zero-pad.")] = "flora",
    rounds: Annotated[int, typer.Option(min=1)] = 5,
    rank: Annotated[int, typer.Option(min=1, help="Of an adapter, unless a hospital takes another one.")] = 4,
    epochs: Annotated[int, typer.Option(min=1, help="Of a hospital's training in a round.")] = 3,
    weights: Annotated[str, typer.Option(help="Of a hospital: patients, which it then tells, or equal.")] = "patients",
    least: Annotated[int, typer.Option(min=2, help="Hospitals that a round needs.")] = 2,
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """Coordinator: a federation around a model that every hospital has."""
    from chiasm import api

    made = api.new_federation(
        base, out, aggregation=aggregation, rounds=rounds, rank=rank, epochs=epochs, weights=weights, least=least,
        seed=seed,
    )  # fmt: skip
    if json:
        screen.show_json(made)
        return
    screen.show(f"Federation: {out}\nIdentity of the base: {made['base'][:16]}; hospitals compare it with theirs.")
    screen.show(f"Next:  chiasm federate invite {out} hospital-a --out hospital-a.token")


@app.command(cls=PlainCommand)
def invite(
    federation: Annotated[Path, typer.Argument(metavar="FEDERATION", help="The folder of the federation.")],
    name: Annotated[str, typer.Argument(metavar="HOSPITAL", help="Small letters, digits, dashes.")],
    out: Annotated[Path, typer.Option(help="A file for its token: hand it over on another way than this network.")],
) -> None:
    """Coordinator: a token for a hospital.

    A second invitation of the same hospital makes the first one void.
    """
    from chiasm import api

    if out.exists():
        raise FileExistsError(17, "exists already: choose another --out", str(out))
    file = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)  # before a token is made that nothing could hold
    try:
        token = api.invite(federation, name)
    except BaseException:
        os.close(file)
        out.unlink()
        raise
    with os.fdopen(file, "w") as opened:
        opened.write(token + "\n")
    screen.show(f"Token of {name}: {out}")


@app.command(cls=PlainCommand)
def server(
    federation: Annotated[Path, typer.Argument(metavar="FEDERATION", help="The folder of the federation.")],
    listen: Annotated[str, typer.Option(help="host:port; port 0 takes a free one.")] = "127.0.0.1:8443",
    certificate: Annotated[Path | None, typer.Option(help="The server's certificate, PEM.")] = None,
    key: Annotated[Path | None, typer.Option(help="Its key, PEM.")] = None,
    insecure: Insecure = False,
    gather: Annotated[float, typer.Option(help="Seconds to wait for all, then for as many as a round needs.")] = 600.0,
    patience: Annotated[float, typer.Option(help="Seconds that a round waits for an answer.")] = 3600.0,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a federation that has begun.")] = False,
    json: Json = False,
) -> None:
    """Coordinator: wait for the hospitals, add up their adapters, write the model.

    Nothing but adapters is received, and with weights 'patients' the number of training patients of each hospital.
    """
    from chiasm import api

    start = time.monotonic()
    with told_how_to_go_on("add --resume to go on"):
        rounds = api.federation_server(
            federation, listen, certificate=certificate, key=key, insecure=insecure, gather_seconds=gather,
            round_seconds=patience, resume=resume, told=_tell_server,
        )  # fmt: skip
    model = federation / "model"
    if json:
        screen.show_json({"model": str(model), "rounds": rounds, "seconds": round(time.monotonic() - start, 3)})
        return
    columns = ["round", "hospital", "rank", "patients", "weight", "received", "sent"]
    screen.show_table(
        columns, [_row(own["round"], client) for own in rounds for client in own["clients"]], right=columns
    )
    screen.show(f"Model: {model}\nNext:  chiasm predict {model} cohort.toml --out predictions.csv")


@app.command(cls=PlainCommand)
def client(
    base: Annotated[Path, typer.Argument(metavar="BASE", help="The model folder that every hospital has.")],
    cohort: CohortPath,
    server: Annotated[str, typer.Option(help="host:port of the coordinator.")],
    name: Annotated[str, typer.Option(help="This hospital, as the coordinator invited it.")],
    out: Annotated[Path, typer.Option(help="The folder of the final model.")],
    token: Annotated[Path | None, typer.Option(help=f"The file with its token; default: ${TOKEN}.")] = None,
    authority: Annotated[Path | None, typer.Option(help="Who signed the server's certificate, PEM.")] = None,
    insecure: Insecure = False,
    rank: Annotated[int | None, typer.Option(min=1, help="Of this hospital's adapter; default: the plan's.")] = None,
    no_count: Annotated[
        bool, typer.Option("--no-count", help="Take no part rather than tell the number of training patients.")
    ] = False,
    patience: Annotated[float, typer.Option(help="Seconds that a server which is away is tried again.")] = 600.0,
    device: Device = "cpu",
    force: Force = False,
    json: Json = False,
) -> None:
    """Hospital: train on the patients of COHORT, send adapters, keep the final model.

    No row, no identifier and no value leaves this machine. Killed and started again it goes on.
    """
    from chiasm import api

    require_place(out, force)
    api.require_device(device)
    secret = _token(token)
    sent: dict[int, int] = {}

    def tell(event: str, **facts: Any) -> None:
        if event == "sending":
            sent[facts["round"]] = sent.get(facts["round"], 0) + facts["bytes"]
        _tell_client(event, **facts)

    ready = prepared(cohort, model=api.load_model(base))
    with told_how_to_go_on("start the same command again to go on"):
        model = api.federation_client(
            base, ready, server, name, secret, device=device, told=tell, authority=authority,
            insecure=insecure, rank=rank, share_count=not no_count, patience_seconds=patience,
        )  # fmt: skip
    model.save(out)
    if json:
        screen.show_json({"model": str(out), "rounds": len(sent), "bytes_sent": sum(sent.values())})
        return
    screen.show(f"Sent {screen.size(sum(sent.values()))} in {len(sent)} rounds.\nModel: {out}")


def _token(file: Path | None) -> str:
    text = os.environ.get(TOKEN, "") if file is None else file.read_text("utf-8")
    if not text.strip():
        raise ValueError(f"there is no token: give --token with the file that the coordinator handed over, or ${TOKEN}")
    return text.strip()


def _row(number: int, client: dict[str, Any]) -> list[str]:
    patients = "-" if client["patients"] is None else f"{client['patients']:,}"
    sizes = [screen.size(client["bytes_up"]), screen.size(client["bytes_down"])]
    return [str(number), client["client"], str(client["rank"]), patients, f"{client['weight']:.3f}", *sizes]


def _tell_server(event: str, **facts: Any) -> None:
    if event == "listening":
        screen.hint(f"Listening on port {facts['port']}, {'TLS' if facts['tls'] else 'NOT encrypted'}.")
    elif event == "round":
        came = ", ".join(client["client"] for client in facts["clients"])
        screen.hint(f"Round {facts['round']}: {came}; rank {facts['rank']}, {screen.duration(facts['seconds'])}.")
    elif event in ("refused", "lost", "turned-away"):
        screen.hint(f"{facts['client'] or 'somebody'} {event.replace('-', ' ')}: {facts['reason']}")
    elif event in ("joined", "left"):
        screen.hint(f"{facts['client']} {'is there' if event == 'joined' else 'left'}.")


def _tell_client(event: str, **facts: Any) -> None:
    if event == "plan":
        plan = facts["plan"]
        told = f"{facts['patients']:,} training patients, whose number the server is told"
        screen.hint(
            f"{plan.aggregation}, rounds: {plan.rounds}, epochs in each: {plan.epochs}, rank: {facts['rank']}; "
            + (told if plan.weights == "patients" else "equal weights: no count is told")
        )
    elif event == "training":
        screen.hint(f"Round {facts['round']}: training.")
    elif event == "sending":
        screen.hint(f"Round {facts['round']}: {screen.size(facts['bytes'])} sent.")
    elif event == "away":
        screen.hint(f"{facts['server']} does not answer: trying again.")
