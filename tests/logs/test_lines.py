"""What a line of the log looks like, and what never is in one."""

from __future__ import annotations

import io
import json
import logging
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jobsvc.logs.about import about, request_id
from jobsvc.logs.private import PRIVATE
from jobsvc.logs.secrets import Censor, known
from jobsvc.logs.setup import configure
from jobsvc.settings import LogFormat, LogLevel, Settings

CELL = "4711-0815-cell"


class Written(io.StringIO):
    """What was written, as the lines of a file or of a terminal."""

    def __init__(self, terminal: bool = False) -> None:
        super().__init__()
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal

    @property
    def lines(self) -> list[str]:
        return self.getvalue().split("\n")[:-1]

    @property
    def objects(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.lines]

    @property
    def only(self) -> dict[str, Any]:
        assert len(self.lines) == 1, self.lines
        return self.objects[0]


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    root, hook = logging.getLogger(), threading.excepthook
    handlers, level = list(root.handlers), root.level
    loggers = [logging.getLogger(name) for name in ("jobsvc", "gunicorn.error", "alembic.runtime.migration")]
    levels = [logger.level for logger in loggers]
    yield
    root.handlers, root.level, threading.excepthook = handlers, level, hook
    for logger, before in zip(loggers, levels, strict=True):
        logger.setLevel(before)
    logging.captureWarnings(False)


def written(terminal: bool = False, **settings: Any) -> Written:
    stream = Written(terminal)
    configure(Settings(**settings), stream)
    return stream


log = logging.getLogger("jobsvc.tests")


def test_a_file_gets_json_and_a_terminal_gets_text_unless_the_setting_says_otherwise() -> None:
    for terminal, wanted, is_json in (
        (False, LogFormat.AUTO, True),
        (True, LogFormat.AUTO, False),
        (True, LogFormat.JSON, True),
        (False, LogFormat.TEXT, False),
    ):
        stream = written(terminal, log_format=wanted)
        log.warning("three %s left", "slots")
        assert stream.lines[0].startswith("{") is is_json
    assert stream.lines[0].endswith(" WARNING tests: three slots left")


def test_a_line_has_what_its_thread_works_for_and_what_it_says_itself() -> None:
    stream = written()
    with about(job="ann-1", attempt=2, user=None), about(request_id="r-1"):
        log.info("done", extra={"bytes": 7})
        assert request_id() == "r-1"
    line = stream.only
    assert line.pop("time").endswith("Z")
    assert line == {
        "level": "info",
        "logger": "jobsvc.tests",
        "message": "done",
        "job": "ann-1",
        "attempt": 2,
        "request_id": "r-1",
        "bytes": 7,
    }
    log.info("later")
    assert "job" not in stream.objects[1]
    assert request_id() is None


def test_text_shows_the_same_fields() -> None:
    stream = written(terminal=True)
    with about(job="ann-1"):
        log.info("done", extra={"why": "no reason", "status": 3})
    assert stream.lines[0].endswith("tests: done  job=ann-1 why='no reason' status=3")


ODD = "a\nb\r\x1b[31m\x00\x85\u2028\u202e{}"


@pytest.mark.parametrize("terminal", [False, True])
def test_one_event_is_one_line_whatever_is_in_it(terminal: bool) -> None:
    stream = written(terminal)
    forged = f"{ODD}\n2026-01-01T00:00:00.000Z ERROR jobsvc: forged"
    with about(job=forged):
        log.info("file %s", forged, extra={"filename_given": forged})
    assert len(stream.lines) == 1
    assert len(stream.getvalue().splitlines()) == 1
    assert all(letter.isprintable() for letter in stream.lines[0])
    if not terminal:
        assert stream.only["message"] == f"file {forged}"


def test_a_traceback_in_text_is_indented_so_that_its_text_passes_for_no_line() -> None:
    stream = written(terminal=True)
    try:
        raise OSError("broken\n2026-01-01T00:00:00.000Z ERROR jobsvc: forged")
    except OSError:
        log.exception("no")
    assert "OSError: broken" in stream.getvalue()
    assert all(line.startswith("    ") for line in stream.lines[1:])


@pytest.mark.parametrize("terminal", [False, True])
def test_an_error_that_may_quote_a_row_is_told_without_its_text(terminal: bool) -> None:
    stream = written(terminal)
    try:
        try:
            int(CELL)
        except ValueError as error:
            error.add_note(CELL)
            raise RuntimeError(CELL) from error
    except RuntimeError as error:
        log.error("the job failed", exc_info=error, extra=PRIVATE)
    said = stream.getvalue()
    assert CELL not in said
    assert "ValueError" in said
    assert "RuntimeError" in said
    assert "test_lines.py" in said
    assert '"private"' not in said


def test_another_error_keeps_its_text() -> None:
    stream = written()
    try:
        raise OSError("no such device")
    except OSError:
        log.exception("no")
    assert stream.only["traceback"].endswith("OSError: no such device")


SECRET = "s3cr3t-p4ssw0rd/+"


def test_passwords_and_keys_that_the_process_knows_are_in_no_line() -> None:
    url = "postgresql://ann:s3cr3t-p4ssw0rd%2F%2B@db/jobsvc"
    environ = {"AWS_SECRET_ACCESS_KEY": "aws-" + SECRET, "PGPASSWORD": "pg-" + SECRET, "PATH": "/usr/bin"}
    environ |= {"OTEL_EXPORTER_OTLP_HEADERS": "authorization=Key%20otel-4711-0815,api-key=otel-0815-4711"}
    environ |= {"JOBSVC_API_KEYS": "ann:anns-key-0123456789:operator, bob:bobs-key-0123456789"}
    secrets = known(Settings(database_url=url, webhook_secret="whsec_" + "A" * 32), environ)
    texts = [SECRET, "s3cr3t-p4ssw0rd%2F%2B", "aws-" + SECRET, "pg-" + SECRET, "whsec_" + "A" * 32, "A" * 32]
    texts += ["Key otel-4711-0815", "Key%20otel-4711-0815", "otel-4711-0815", "otel-0815-4711"]
    texts += ["anns-key-0123456789", "bobs-key-0123456789"]
    for text in texts:
        assert Censor(secrets).clean(f"it is {text}, they say") == "it is …, they say"
    assert Censor(secrets).clean("/usr/bin, operator") == "/usr/bin, operator"


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("https://ann:xyzzy@hooks.example/x failed", "https://…@hooks.example/x failed"),
        ("s3://KEY:xyzzy@bucket", "s3://…@bucket"),
        ("Authorization: Bearer xyzzy-xyzzy", "Authorization: Bearer …"),
        ("BASIC eHl6enk6eHl6enk=", "BASIC …"),
        ("mail ann@example.org, see https://example.org/@ann", "mail ann@example.org, see https://example.org/@ann"),
        ("a basic error", "a basic error"),
        (f"DELETE /keys/jobsvc_abcdefgh_{'s' * 43}", "DELETE /keys/jobsvc_abcdefgh_…"),
    ],
)
def test_credentials_are_in_no_line_whoever_prints_them(said: str, shown: str) -> None:
    assert Censor().clean(said) == shown


def test_secrets_in_the_file_of_settings_are_known_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text(f"JOBSVC_API_KEYS=ann:{SECRET}\n")
    assert Censor(known(Settings())).clean(SECRET) == "…"


def test_a_short_password_or_the_name_of_a_logger_is_left_as_it_is() -> None:
    stream = written(database_url="postgresql://jobsvc:jobsvc.tests@db/jobsvc")
    log.info("a word like jobsvc")
    assert (stream.only["logger"], stream.only["message"]) == ("jobsvc.tests", "a word like jobsvc")


def test_the_level_holds_for_the_service_and_libraries_never_tell_what_is_for_debugging() -> None:
    stream = written(log_level=LogLevel.DEBUG)
    log.debug("ours")
    for name in ("botocore.auth", "httpx2", "procrastinate.worker", "somebody.elses"):
        logging.getLogger(name).debug("Authorization: AWS4-HMAC-SHA256")
    logging.getLogger("procrastinate.worker").warning("theirs")
    assert [line["message"] for line in stream.objects] == ["ours", "theirs"]
    stream = written(log_level=LogLevel.ERROR)
    log.warning("ours")
    logging.getLogger("somebody.elses").warning("theirs")
    logging.getLogger("gunicorn.error").info("theirs")
    assert stream.lines == []


def test_the_process_has_one_handler_however_often_it_is_set_up() -> None:
    written()
    stream = written()
    log.info("once")
    assert len(stream.lines) == 1


def test_a_long_text_is_cut_and_says_so() -> None:
    stream = written()
    log.info("x" * 100_000)
    assert stream.only["message"].endswith("x… (83616 characters left out)")


def test_a_thread_that_breaks_off_leaves_a_line_without_its_error_s_text() -> None:
    stream = written()

    def breaks() -> None:
        raise ValueError(CELL)

    thread = threading.Thread(target=breaks, name="somebody's")
    thread.start()
    thread.join()
    assert stream.only["message"] == "a thread has broken off: somebody's"
    assert "ValueError" in stream.only["traceback"]
    assert CELL not in stream.getvalue()


def test_alembic_tells_of_upgrades_and_nothing_else() -> None:
    stream = written()
    alembic = logging.getLogger("alembic.runtime.migration")
    alembic.info("Context impl %s.", "SQLiteImpl")
    alembic.info("Running upgrade %s -> %s", "1", "2")
    assert [line["message"] for line in stream.objects] == ["Running upgrade 1 -> 2"]
