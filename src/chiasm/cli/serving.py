"""`serve` and `audit`: fitted models over HTTP, and whether the trail of who asked is whole."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from chiasm import screen
from chiasm.cli.options import Json, Trust

MEGABYTE = 1 << 20


def serve(
    models: Annotated[
        list[str],
        typer.Argument(metavar="MODEL...", help="Model folders, or NAME=FOLDER; of versions too."),
    ],
    listen: Annotated[str, typer.Option(help="host:port; port 0 takes a free one.")] = "127.0.0.1:8000",
    default: Annotated[str, typer.Option(help="The model that /predict asks; default: the first.")] = "",
    tokens: Annotated[
        Path | None, typer.Option(help="A file with a token, or a table of them; default: $CHIASM_SERVE_TOKEN.")
    ] = None,
    certificate: Annotated[Path | None, typer.Option("--certificate", "--cert", help="Of TLS, PEM.")] = None,
    key: Annotated[Path | None, typer.Option(help="Its key, PEM.")] = None,
    behind_proxy: Annotated[bool, typer.Option("--behind-proxy", help="A proxy on this network encrypts.")] = False,
    allow_host: Annotated[
        list[str] | None, typer.Option(help="A name by which it may be asked; again for each.")
    ] = None,
    unseen: Annotated[str, typer.Option(metavar="flag|refuse", help="Patterns never seen in training.")] = "flag",
    unfamiliar: Annotated[
        str, typer.Option(metavar="refuse|flag", help="Values far outside of training, unknown levels.")
    ] = "refuse",
    calibrate: Annotated[
        Path | None, typer.Option(help="Held-out patients with outcomes: adds sets or intervals.")
    ] = None,
    coverage: Annotated[float, typer.Option(help="With --calibrate: the share that they hold.")] = 0.95,
    audit: Annotated[
        Path | None, typer.Option(help="A file to which each request is appended, chained by hashes.")
    ] = None,
    audit_full: Annotated[
        str, typer.Option(metavar="refuse|serve", help="When the audit trail cannot be written.")
    ] = "refuse",
    hospital: Annotated[Path | None, typer.Option(help="A mapping file: FHIR, CDS Hooks, DICOMweb, HL7 v2.")] = None,
    talk: Annotated[
        Path | None, typer.Option(help="A synthetic patient's persona, to talk with at /talk; `example` for ours.")
    ] = None,
    hears: Annotated[Path | None, typer.Option(help="With --talk: a folder with a model of faster-whisper.")] = None,
    voice: Annotated[Path | None, typer.Option(help="With --talk: a voice of piper (GPL), .onnx.")] = None,
    speaks: Annotated[
        str | None,
        typer.Option(help="With --talk: who speaks for the patient, as lm:model.gguf; without it the persona."),
    ] = None,
    watch: Annotated[float, typer.Option(min=0, help="Seconds between looks for new models; 0: never.")] = 0.0,
    patients: Annotated[int, typer.Option(min=1, help="Of one request, at most.")] = 256,
    body_mb: Annotated[float, typer.Option(min=0.001, help="MB of a request of JSON.")] = 16.0,
    upload_mb: Annotated[float, typer.Option(min=0.001, help="MB of a request with files.")] = 512.0,
    concurrency: Annotated[int, typer.Option(min=1, help="Requests in work at once.")] = 256,
    per_client: Annotated[int, typer.Option(min=0, help="Of them by one token or address; 0: all.")] = 0,
    seconds: Annotated[float, typer.Option(min=0.1, help="That an answer may take.")] = 30.0,
    wait_ms: Annotated[float, typer.Option(min=0, help="That a request waits for others.")] = 2.0,
    grace: Annotated[float, typer.Option(min=0, help="Seconds to finish what was begun.")] = 20.0,
    replicas: Annotated[
        int, typer.Option(min=0, help="Processes under Ray Serve in which models predict; 0: this one alone.")
    ] = 0,
    trust: Trust = None,
    json: Json = False,
) -> None:
    """Serve models over HTTP: /predict, /explain, /schema; of label maps, the page /outline.

    On this machine alone unless told otherwise; from elsewhere only with tokens and TLS. SIGHUP loads new models,
    SIGTERM finishes what was begun. docs/serving.md tells all of it.
    """
    from chiasm import api

    limits = api.Limits(
        body_bytes=round(body_mb * MEGABYTE), upload_bytes=round(upload_mb * MEGABYTE), patients=patients,
        concurrency=concurrency, per_client=per_client, answer_seconds=seconds, wait_seconds=wait_ms / 1000,
        grace_seconds=grace,
    )  # fmt: skip
    api.serve(
        models, listen=listen, default=default, tokens=tokens, certificate=certificate, key=key,
        behind_proxy=behind_proxy, allow_hosts=allow_host or (), policy=api.Policy(unseen, unfamiliar),
        calibrate=calibrate, coverage=coverage, audit=audit, audit_full=audit_full, watch_seconds=watch, limits=limits,
        trusted=trust, replicas=replicas,
        hospital=hospital, talk=_talk(talk, hears, voice, speaks),
        told=_as_json if json else _as_words,
    )  # fmt: skip


def _talk(persona: Path | None, hears: Path | None, voice: Path | None, speaks: str | None) -> Any:
    from chiasm import api

    if persona is None:
        if hears is not None or voice is not None or speaks is not None:
            raise ValueError("--hears, --voice and --speaks belong to --talk: name a persona, or example")
        return None
    return api.Talk(None if str(persona) == "example" and not persona.exists() else persona, hears, voice, speaks)


def audit(
    trail: Annotated[Path, typer.Argument(metavar="FILE", help="What --audit of chiasm serve wrote.")],
    json: Json = False,
) -> None:
    """Whether an audit trail is whole.

    Exit 1 where a line was changed, taken out or put in.
    """
    from chiasm import api

    found = api.verify_audit(trail)
    if json:
        screen.show_json({"lines": found.lines, "last": found.last, "wrong": found.wrong, "why": found.why})
    elif found.wrong is None:
        lines = "1 line" if found.lines == 1 else f"{found.lines:,} lines"
        screen.show(f"Whole: {lines}; the last hash is {found.last}")
    else:
        screen.show(f"Line {found.wrong:,} is wrong: {found.why}")
    if found.wrong is not None:
        raise typer.Exit(1)


def _as_json(event: str, **facts: Any) -> None:
    import json

    print(json.dumps({"event": event, **facts}), flush=True)


def _as_words(event: str, **facts: Any) -> None:
    if event == "listening":
        host = f"[{facts['host']}]" if ":" in facts["host"] else facts["host"]
        scheme = "https" if facts["tls"] else "http"
        screen.show(f"Serving {', '.join(facts['models'])} on {scheme}://{host}:{facts['port']}")
        who = f"{facts['tokens']} tokens" if facts["tokens"] > 1 else "1 token" if facts["tokens"] else "no token"
        screen.hint(f"{who}; Ctrl-C or SIGTERM stops it, SIGHUP loads new models.")
    elif event == "loaded":
        screen.hint(f"Loaded {facts['model']} {facts['version']}.")
    elif event == "removed":
        screen.hint(f"{facts['model']} {facts['version']} is no longer served: its folder is gone.")
    elif event == "kept":
        before = "the one before goes on" if facts["serving"] else "it is not served"
        screen.hint(f"warning: {facts['model']} cannot be loaded, {before}: {facts['reason']}")
    elif event == "failed":
        screen.hint(f"error: a request failed: {facts['error']} in {facts['module']}, line {facts['line']}")
    elif event == "audit-full":
        does = "nothing is answered" if facts["refusing"] else "answering goes on"
        screen.hint(f"error: {facts['reason']}: {does}")
    elif event == "stopping":
        screen.hint(f"Stopping: what was begun is finished, within {facts['seconds']:g} s.")
    elif event == "hl7":
        screen.hint(f"HL7 v2 messages are taken on port {facts['port']}.")
    elif event == "replicas":
        screen.hint(f"{facts['number']} replicas predict, each in a process of its own.")
    elif event == "asked-again":
        screen.hint("warning: a replica was lost, and what it had in work is asked of another one.")
    elif event == "late":
        screen.hint("warning: what was begun did not finish in time.")
