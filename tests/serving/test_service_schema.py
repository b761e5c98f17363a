"""The service does what its OpenAPI document says, whatever is asked; at night."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from served_process import service

OPERATIONS = 31


@pytest.mark.nightly
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_schemathesis_finds_nothing(served_folder: Path, tmp_path: Path) -> None:
    import schemathesis
    from hypothesis import HealthCheck, Phase, given, settings
    from schemathesis.specs.openapi.checks import positive_data_acceptance

    with service(tmp_path, [served_folder]) as process:
        schema = schemathesis.openapi.from_url(f"http://127.0.0.1:{process.port}/openapi.json")
        operations = [own.ok() for own in schema.get_all_operations()]
        for operation in operations:

            @given(case=operation.as_strategy())
            @settings(
                max_examples=40, deadline=None, suppress_health_check=list(HealthCheck), phases=[Phase.generate],
                derandomize=True, database=None,
            )  # fmt: skip
            def holds(case: Any) -> None:
                case.call_and_validate(excluded_checks=[positive_data_acceptance])  # what is read, /schema says

            holds()
        assert not [own for own in process.events if own["event"] == "failed"]
        assert process.ask("GET", "/health/ready")[0] == 200
    assert len(operations) == OPERATIONS
