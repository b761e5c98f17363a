"""Public functions to serve fitted models over HTTP."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from chiasm import artifact
from chiasm.api.certainty import conformal
from chiasm.api.models import load_model
from chiasm.cohort.opened import Given
from chiasm.errors import CohortError, Unsupported
from chiasm.language.conversation.talk import Speaker
from chiasm.models.conformal import EVERYONE, PATTERN, Thresholds
from chiasm.protocols import Model
from chiasm.serving.access import access_of, token_of_environment
from chiasm.serving.address import Address, address_of, hosts_of, require_safe
from chiasm.serving.audit import Audit, Verified
from chiasm.serving.audit import verify_audit as verify_audit
from chiasm.serving.loaded import Loaded, open_model
from chiasm.serving.settings import FLAG, REFUSE, SERVE, Limits, Policy
from chiasm.serving.shelf import Shelf, places_of

__all__ = ["TOKEN", "Limits", "Policy", "Talk", "Verified", "serve", "service_of", "serving_app", "verify_audit"]

TOKEN = "CHIASM_SERVE_TOKEN"
"""Environment variable that holds a token, where no file does."""
Told = Callable[..., None]


def silent(event: str, **facts: Any) -> None:
    """Tell nobody."""


def serving_app(models: Iterable[Path | str], **options: Any) -> Any:
    """Return the ASGI application that serves models, for a server of your own; see `serve` for the options.

    Where it listens is that server's: it needs TLS, and tokens here, wherever others reach it.
    """
    from chiasm.serving.application import application

    extensions = _with_hospital(options.pop("extensions", ()), options.pop("hospital", None))
    extensions = _with_talk(extensions, options.pop("talk", None))
    return application(service_of(models, **options), _with_outline(extensions))


def serve(
    models: Iterable[Path | str],
    *,
    listen: str = "127.0.0.1:8000",
    certificate: Path | None = None,
    key: Path | None = None,
    behind_proxy: bool = False,
    watch_seconds: float = 0.0,
    hospital: Path | None = None,
    talk: Talk | None = None,
    extensions: Sequence[Any] = (),
    **options: Any,
) -> None:
    """Serve fitted models over HTTP until SIGTERM or SIGINT; what was begun is finished.

    Args:
        models: model folders, or folders of versions of a model; `name=folder` gives one another name.
        listen: host and port; port 0 takes a free one.
        certificate, key: of TLS, PEM.
        behind_proxy: a proxy encrypts, and is believed on who asks.
        watch_seconds: how often to look for new and replaced models; 0: at SIGHUP and /admin/reload alone.
        hospital: a mapping file: FHIR, CDS Hooks, DICOMweb or HL7 v2 beside it (docs/hospital.md).
        talk: a synthetic patient to talk with, at /talk (docs/language.md).
        extensions: each is called with the FastAPI application and the service, and adds routes.
        options: of `service_of`.

    Raises:
        ValueError: an option is wrong, or the address is reached from elsewhere without tokens or TLS.
        ArtifactError, Unsupported: a model cannot be served.
        OSError: the address or the audit trail cannot be opened.
    """
    address = address_of(listen)
    joined = _with_talk(_with_hospital(extensions, hospital), talk)
    service = service_of(
        models,
        address=address,
        _safe=lambda tokens: require_safe(address, tokens, certificate, key, behind_proxy),
        **options,
    )
    from chiasm.serving.application import application
    from chiasm.serving.server import Listening, run

    listening = Listening(address, certificate, key, behind_proxy, watch_seconds)
    run(application(service, _with_outline(joined)), service, listening)


@dataclass(frozen=True)
class Talk:
    """A synthetic patient that a service lets be talked with.

    Args:
        persona: its file; None: the one that comes with chiasm.
        hears: a folder with a model of faster-whisper; None: only what is written is taken.
        voice: a voice of piper; None: answers are written alone.
        speaker: says what the patient says in words of its own; or who speaks, as for `synthetic_patient`.
    """

    persona: Path | str | None = None
    hears: Path | str | None = None
    voice: Path | str | None = None
    speaker: Speaker | str | None = None


def _with_talk(extensions: Sequence[Any], talk: Talk | None) -> Sequence[Any]:
    """Add the page to talk with a synthetic patient, whose persona and speech are read before a model is loaded."""
    if talk is None:
        return extensions
    from chiasm.api.conversing import synthetic_patient
    from chiasm.language.conversation.speech import piper_voice, whisper_listener
    from chiasm.serving.talk.routes import TalkPage
    from chiasm.serving.talk.talks import Talks

    patient = synthetic_patient(talk.persona, speaker=talk.speaker)
    listener = None if talk.hears is None else whisper_listener(talk.hears)
    voice = None if talk.voice is None else piper_voice(talk.voice)
    return [*extensions, TalkPage(Talks(patient.persona, listener, voice, patient.speaker))]


def _with_outline(extensions: Sequence[Any]) -> Sequence[Any]:
    """Add the page on which label maps are drawn, which any model that draws them has."""
    from chiasm.serving.outline.routes import OutlinePage

    return [*extensions, OutlinePage()]


def _with_hospital(extensions: Sequence[Any], hospital: Path | str | None) -> Sequence[Any]:
    """Add what a mapping file asks for, read before a model is loaded."""
    if hospital is None:
        return extensions
    from chiasm.serving.hospital.joined import Hospital

    return [*extensions, Hospital(Path(hospital))]


def service_of(
    models: Iterable[Path | str],
    *,
    default: str = "",
    tokens: Path | None = None,
    allow_hosts: Sequence[str] = (),
    limits: Limits | None = None,
    policy: Policy | None = None,
    audit: Path | None = None,
    audit_full: str = REFUSE,
    calibrate: Given | None = None,
    coverage: float = 0.95,
    within: str = PATTERN,
    load: Callable[[Path], Model] = load_model,
    trusted: Sequence[artifact.Given] | None = None,
    told: Told = silent,
    replicas: int = 0,
    address: Address | None = None,
    _safe: Callable[[int], None] | None = None,
) -> Any:
    """Return the service that `serve` runs, with its models loaded and tried.

    Args:
        default: name of the model that `/predict` asks; empty: the first.
        tokens: a file with one token, or a table of them with roles; None: the one in $CHIASM_SERVE_TOKEN, if any.
        allow_hosts: further names by which it may be asked.
        limits, policy: what a caller may cost, and what is done with patients unlike those of training.
        audit: file of the audit trail; None: none is kept.
        audit_full: "refuse" what cannot be written down, or "serve".
        calibrate: a cohort of held-out patients, from which each model's sets are taken.
        coverage, within: share of outcomes that a set holds, within each "pattern" or for "everyone" alike.
        load: opens a model folder, where no key is asked for.
        trusted: public keys, as of `load_model`, one of which has to have signed each model, also those loaded later.
        told: is called with (event, **facts): listening, loaded, kept, failed, ...
        replicas: processes of this machine under Ray Serve in which models predict; 0: a thread of this process.

    Raises:
        ValueError, ArtifactError, Unsupported, OSError: as for `serve`.
    """
    try:
        from chiasm.serving.service import Service
    except ImportError as error:
        raise Unsupported(f"a service needs the package '{error.name}': pip install 'chiasm[serve]'") from None
    if audit_full not in (REFUSE, SERVE):
        raise ValueError(f"--audit-full is '{audit_full}', and is one of {REFUSE}, {SERVE}")
    if within not in (PATTERN, EVERYONE):
        raise ValueError(f"sets are made within '{PATTERN}' or for '{EVERYONE}', not '{within}'")
    bounds, ways = limits or Limits(), policy or Policy()
    access = access_of(tokens, token_of_environment(TOKEN))
    if _safe is not None:
        _safe(len(access.tokens))

    def sure(name: str, model: Model) -> Thresholds | None:
        if calibrate is None:
            return None
        try:
            return conformal(model, calibrate, coverage=coverage, within=[within]).thresholds
        except (CohortError, Unsupported) as error:
            raise Unsupported(f"model '{name}' and --calibrate, which has to fit every model: {error}") from None

    read = load if trusted is None else partial(load_model, trusted=trusted)

    def opened(path: Path, name: str, version: str) -> Loaded:
        return open_model(path, name, version, read, ways, bounds, partial(sure, name))

    shelf = Shelf(places_of(models), opened, told, default)
    shelf.refresh(first=True)
    trail = None if audit is None else Audit(audit)
    hosts = hosts_of(address or Address("127.0.0.1", 0), allow_hosts)
    return Service(shelf, access, hosts, bounds, trail, audit_full, told, replicas)


FLAGS = (FLAG, REFUSE)
