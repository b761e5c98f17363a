"""Parsers are heard by nobody, and leave warnings and loggers as they found them."""

from __future__ import annotations

import logging
import threading
import warnings

import pytest

from chiasm.cohort import Unsupported
from chiasm.readers import LIMITS, ReadError
from chiasm.readers.guard import OWN_HANDLERS, TALKATIVE, files_of, guarded

LOGGERS = [*TALKATIVE, *OWN_HANDLERS, "PIL.TiffImagePlugin", "pydicom.made.meanwhile"]


def state():
    loggers = [logging.getLogger(name) for name in LOGGERS]
    return [(log.propagate, list(log.handlers), list(log.filters), log.level, log.disabled) for log in loggers]


class Heard(logging.Handler):
    """What the root, and a logger that hands it nothing on, are told."""

    def __init__(self, logger: logging.Logger) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []
        self.places = [logging.getLogger(), *([] if logger.propagate else [logger])]

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)

    def __enter__(self) -> list[logging.LogRecord]:
        for place in self.places:
            place.addHandler(self)
        self.before = self.places[0].level
        self.places[0].setLevel(0)
        return self.records

    def __exit__(self, *_: object) -> None:
        self.places[0].setLevel(self.before)
        for place in self.places:
            place.removeHandler(self)


@pytest.mark.parametrize("name", LOGGERS)
def test_nothing_is_heard_inside_and_everything_outside(name):
    logger = logging.getLogger(name)
    with Heard(logger) as records, warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        with guarded("a file"):
            logger.warning("Quartermain")
            logging.getLogger(name + ".deeper").error("Quartermain")
            warnings.warn("Quartermain", stacklevel=1)
        assert not records and not warned
        logger.warning("after")
        assert len(records) == 1


def test_every_error_but_ours_loses_its_words():
    for fault in (
        KeyError("Quartermain"),
        RecursionError("Quartermain"),
        MemoryError(),
        UnicodeDecodeError("a", b"", 0, 1, ""),
    ):
        with pytest.raises(ReadError) as caught, guarded("a file"):
            raise fault
        assert "Quartermain" not in str(caught.value) and caught.value.__suppress_context__
    for ours in (ReadError("what", "fix"), Unsupported("this")):
        with pytest.raises(type(ours), match=str(ours)), guarded("a file"):
            raise ours
    with pytest.raises(KeyboardInterrupt), guarded("a file"):
        raise KeyboardInterrupt


def test_threads_leave_no_trace():
    before, filters = state(), list(warnings.filters)
    start = threading.Barrier(8)

    def work():
        start.wait()
        for _ in range(50):
            with guarded("a file"), guarded("another"):
                pass

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert state() == before and warnings.filters == filters


def test_hidden_files_and_links_within_the_folder(tmp_path):
    for name in ("a", ".hidden", ".folder/b", "deep/c"):
        (tmp_path / "scan" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "scan" / name).write_text("x")
    (tmp_path / "scan" / "d").symlink_to(tmp_path / "scan" / "a")
    (tmp_path / "link").symlink_to(tmp_path / "scan")
    for folder in (tmp_path / "scan", tmp_path / "link"):
        assert [file.relative_to(folder).as_posix() for file in files_of(folder, LIMITS)] == ["a", "d", "deep/c"]
