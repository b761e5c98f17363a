"""P28 of the service: what names a patient in a request comes out of no answer, log, metric, trail or file."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from served_models import asked, frames

NAME, MAIL, NUMBER, DAY = "Odalys Fairweather", "o.fairweather@moor.example", "MRN 5582-0137", "1951-11-23"
PARTS = ["fairweather", "odalys", "moor.example", "mrn 5582", "5582-0137", "1951-11"]  # none that a hash may hold
WORDS = {"bmi": 25, "stage": "I", "code": "250.00"}
GOOD = {"age": 60} | WORDS
BODIES: list[
    dict[str, Any]
] = [  # in a key, a level, a number, a column, a modality, beside the patients, in what is no object
    {"patients": [{"clinical": GOOD | {"stage": NAME}}]},
    {"patients": [{"clinical": GOOD | {"age": NUMBER}}]},
    {"patients": [{"clinical": GOOD | {NAME: 1}}]},
    {"patients": [{"clinical": GOOD, MAIL: {"x": DAY}}]},
    {"patients": [{"clinical": GOOD, "id": NUMBER}]},
    {"patients": [{"clinical": GOOD}], NAME: NUMBER},
    {"patients": {NAME: {"clinical": GOOD}}},
    {"patients": [NAME]},
    {NAME: MAIL},
    {"patients": [{"clinical": {"upload": NAME}}]},
    {"patients": [{"clinical": GOOD, "rna": {f"G{number}": DAY for number in range(6)}}]},
]


class Lines(logging.Handler):
    """Every line that any logger is given."""

    def __init__(self) -> None:
        super().__init__(0)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(f"{record.getMessage()} {record.exc_info}")


def test_what_names_a_patient_in_a_request_comes_out_nowhere(
    served_folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    events: list[str] = []
    log, root = Lines(), logging.getLogger()
    client_logs = [
        logging.getLogger(name) for name in ("httpx", "httpx2", "httpcore")
    ]  # they are of the test's own client
    levels = [own.level for own in (root, *client_logs)]
    root.addHandler(log)
    root.setLevel(0)
    for own in client_logs:
        own.setLevel(logging.CRITICAL)
    trail, said = tmp_path / "audit.jsonl", []
    try:
        with asked(
            [served_folder], audit=trail, told=lambda event, **facts: events.append(f"{event} {facts}")
        ) as client:
            for body in BODIES:
                for route in ("/predict", "/explain"):
                    answer = client.post(route, json=body)
                    said.append(answer.text + str(dict(answer.headers)))
                    assert answer.status_code in (400, 404, 413, 415, 422), (route, answer.status_code)
            raw = (
                b'{"patients": [' + NAME.encode(),
                NAME.encode(),
                f'{{"patients": [{{"clinical": "{NAME}"}}]'.encode(),
            )
            said += [
                client.post("/predict", content=own, headers={"content-type": "application/json"}).text for own in raw
            ]
            parts = {"request": (None, '{"patients": [{"rna": {"upload": "a"}}]}', "application/json")}
            said.append(client.post("/predict", files=parts | {"a": (f"{NAME}.csv", MAIL.encode())}).text)
            for path in (
                f"/models/{NAME}/predict",
                f"/{NUMBER}",
                f"/models/risk/versions/{MAIL}/schema",
                f"/schema?for={NAME}",
            ):
                said.append(client.get(path).text + client.post(path, json=BODIES[0]).text)
            said += [
                client.get(
                    "/schema", headers={"authorization": f"Bearer {NAME}", "referer": MAIL, "x-request-id": NUMBER}
                ).text
            ]
            good = client.post("/predict", json={"patients": [{"clinical": GOOD}]}, headers={"user-agent": NAME})
            assert good.status_code == 200
            said += [
                good.text,
                *(client.get(path).text for path in ("/metrics", "/models", "/health", "/openapi.json")),
            ]
    finally:
        root.removeHandler(log)
        for own, level in zip((root, *client_logs), levels, strict=True):
            own.setLevel(level)
    shown = capfd.readouterr()
    places = {
        "answers": "".join(said), "logs": "".join(log.lines), "events": "".join(events), "audit": trail.read_text(),
        "screen": shown.out + shown.err,
        "files": "".join(own.read_bytes().decode("latin-1") + own.name for own in tmp_path.rglob("*") if own.is_file()),
    }  # fmt: skip
    assert trail.read_text().count("\n") > 2 * len(BODIES)
    told = {place: [part for part in PARTS if part in text.casefold()] for place, text in places.items()}
    assert told == {place: [] for place in places}
    assert frames(1)[0].index[0] not in places["audit"]
