"""What lies in `deploy/` takes away the rights that docs/deploy.md says, and asks the service for what it has."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import click
import pytest
import typer.main

from chiasm.cli import app

yaml = pytest.importorskip("yaml")

DEPLOY = Path(__file__).parents[1] / "deploy"
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
UNIT = (DEPLOY / "systemd" / "chiasm-serve.service").read_text(encoding="utf-8")
DOCS = (DEPLOY.parent / "docs" / "deploy.md").read_text(encoding="utf-8")


def options_of_serve() -> set[str]:
    group = typer.main.get_command(app)
    assert isinstance(group, click.Group)
    return {name for own in group.commands["serve"].params for name in own.opts}


def unit() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in UNIT.splitlines():
        if "=" in line and not line.startswith("#"):
            key, _, value = line.partition("=")
            found.setdefault(key, []).append(value)
    return found


def asked(words: list[str]) -> set[str]:
    return {word.partition("=")[0] for word in words if word.startswith("--")}


def test_every_option_is_one_of_the_service() -> None:
    (command,) = unit()["ExecStart"]
    compose: list[str] = COMPOSE["services"]["chiasm"]["command"]
    for words in (command.split(), compose):
        assert "serve" in words and {"--listen", "--tokens", "--audit"} <= asked(words) <= options_of_serve()
    assert {"--certificate", "--key"} <= asked(command.split())  # it listens beyond this machine
    assert "--behind-proxy" in compose


@pytest.mark.parametrize("name", ["chiasm", "proxy"])
def test_a_container_has_no_right_that_it_does_not_need(name: str) -> None:
    own: dict[str, Any] = COMPOSE["services"][name]
    assert own["read_only"] is True and own["cap_drop"] == ["ALL"]
    assert own["security_opt"] == ["no-new-privileges:true"] and "privileged" not in own
    assert own["mem_limit"] and own["pids_limit"]
    assert all("noexec" in place for place in own["tmpfs"])
    assert [place for place in own["volumes"] if place.startswith(".") and not place.endswith(":ro")] == []
    assert not re.search("token|password|secret", str(own.get("environment", "")), re.IGNORECASE)
    assert set(own["secrets"]) <= set(COMPOSE["secrets"])
    assert all("file" in secret for secret in COMPOSE["secrets"].values())


def test_the_service_is_reached_from_this_machine_alone_unless_a_proxy_encrypts() -> None:
    service = COMPOSE["services"]["chiasm"]
    assert service["ports"] == ["127.0.0.1:8000:8000"]
    assert COMPOSE["services"]["proxy"]["profiles"] == ["proxy"]
    caddy = (DEPLOY / "Caddyfile").read_text(encoding="utf-8")
    assert "protocols tls1.2 tls1.3" in caddy and "auto_https off" in caddy
    assert service["user"] == "10001:10001" and "USER 10001:10001" in (DEPLOY / "Dockerfile").read_text()
    assert service["healthcheck"]["test"][-1].count("/health/ready") == 1


def test_what_was_begun_is_finished_before_it_is_ended() -> None:
    seconds = {"compose": COMPOSE["services"]["chiasm"]["stop_grace_period"], "systemd": unit()["TimeoutStopSec"][0]}
    grace = [int(found) for found in re.findall(r"--grace[= ](\d+)", UNIT + str(COMPOSE["services"]["chiasm"]))]
    assert len(grace) == 2
    assert all(int(own.rstrip("s")) > max(grace) for own in seconds.values())


def test_the_image_has_the_packages_of_the_lock() -> None:
    text = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
    assert '-c constraints.txt ".[serve]"' in text
    for said in ("10001", "4 GB", "256", "8443", "TLS 1.2 and 1.3"):
        assert said in DOCS
    assert COMPOSE["services"]["chiasm"]["mem_limit"] == "4g" and unit()["MemoryMax"] == ["4G"]


def test_systemd_takes_the_unit_and_finds_it_locked_up(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not there")
    own = tmp_path / "chiasm-serve.service"
    own.write_text(UNIT.replace("/opt/chiasm/bin/chiasm", "/bin/true"), encoding="utf-8")
    told = subprocess.run(["systemd-analyze", "verify", "--man=no", str(own)], capture_output=True, text=True)
    assert "chiasm-serve" not in told.stderr, told.stderr
    marks = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--threshold=20", str(own)], capture_output=True, text=True
    )
    assert marks.returncode == 0, marks.stdout[-2000:] + marks.stderr
