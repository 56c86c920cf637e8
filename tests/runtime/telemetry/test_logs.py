"""Log lines: one JSON object each, whoever logs, with where they belong and without what may not be shown."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import structlog
from fastapi.testclient import TestClient
from temporalio import activity
from temporalio.worker import Worker

from api.security import open_route
from connectors.sdk.context import traced
from connectors.sdk.redaction import learn
from runtime.settings import Settings
from runtime.telemetry.logs import configure_logging
from runtime.telemetry.process import running_telemetry
from runtime.telemetry.sdk_runtime import CORE_LOG
from runtime.temporal import connect
from tests.api.served import client_for
from tests.conftest import PostgresForTests
from tests.names import NAMESPACE
from tests.runtime.telemetry.logging_workflow import MAIL, Logging

log = logging.getLogger("masthead.somewhere")

PASSWORD = "correct-horse-battery"
LEARNT = "tok-9f8e7d6c5b4a"
SECRETS = {
    "mail": MAIL,
    "card": "4242 4242 4242 4242",
    "api key": "mh_Qm9yZWQgcGVvcGxlIHJlYWQgdGhpcw",
    "bearer": "Bearer abcdefghijklmnop",
    "url": f"postgresql://masthead:{PASSWORD}@db.example/masthead",
    "learnt": LEARNT,
}


class Written:
    """What was logged since."""

    def __init__(self, stream: io.StringIO) -> None:
        self._stream = stream

    @property
    def text(self) -> str:
        return self._stream.getvalue()

    @property
    def lines(self) -> list[dict[str, Any]]:
        """Each line, read as JSON."""
        return [json.loads(line) for line in self.text.splitlines()]

    def only(self, event: str) -> dict[str, Any]:
        """The one line that begins with `event`."""
        (line,) = [line for line in self.lines if line["event"].startswith(event)]
        return line


@pytest.fixture
def root() -> Iterator[logging.Logger]:
    """The root logger, as it was afterwards."""
    logger = logging.getLogger()
    handlers, level = logger.handlers[:], logger.level
    yield logger
    logger.handlers[:] = handlers
    logger.setLevel(level)
    logging.captureWarnings(False)
    structlog.reset_defaults()


@pytest.fixture
def written(root: logging.Logger) -> Written:
    """The log of this process as JSON lines."""
    stream = io.StringIO()
    configure_logging("json", "info", to=stream)
    return Written(stream)


def _shows_nothing(text: str) -> None:
    for what, secret in SECRETS.items():
        assert secret not in text, what
    assert PASSWORD not in text
    assert "4242" not in text


def _logs_everything() -> None:
    learn(LEARNT)
    for secret in SECRETS.values():
        log.warning("it went wrong with %s", secret)
        log.warning("beside it", extra={"what": secret, "deep": {"er": [secret]}})
        structlog.get_logger("masthead.structured").warning("structured", what=secret)
        CORE_LOG.warning("core: %s", secret)
        logging.getLogger("uvicorn.error").error("served %s", secret)
        try:
            raise ValueError(f"bad value {secret}")
        except ValueError:
            log.exception("it raised")
    log.warning(
        "by name", extra={"password": "hunter2hunter2", "customer": {"email": "x", "street": "Road 5"}}
    )


def test_what_may_not_be_shown_is_in_no_line(written: Written) -> None:
    _logs_everything()
    _shows_nothing(written.text)
    assert len(written.lines) == 6 * len(SECRETS) + 1
    assert "hunter2" not in written.text
    assert "Road 5" not in written.text
    raised = next(line for line in written.lines if line["event"] == "it raised")
    assert "ValueError: bad value [mail]" in raised["exception"]
    assert {line["logger"] for line in written.lines} == {
        "masthead.somewhere",
        "masthead.structured",
        "temporalio.core",
        "uvicorn.error",
    }
    assert all({"timestamp", "level", "event"} <= line.keys() for line in written.lines)


def test_people_get_lines_without_it_too(root: logging.Logger) -> None:
    stream = io.StringIO()
    configure_logging("console", "warning", to=stream)
    _logs_everything()
    log.info("not said")
    _shows_nothing(stream.getvalue())
    assert "it went wrong with" in stream.getvalue()
    assert "not said" not in stream.getvalue()
    assert not stream.getvalue().startswith("{")


def test_away_from_a_terminal_lines_are_json(root: logging.Logger) -> None:
    stream = io.StringIO()
    configure_logging(to=stream)
    log.info("said")
    assert json.loads(stream.getvalue())["event"] == "said"


@activity.defn(name="logs")
def logs_in_a_thread() -> None:
    """Logs from a thread of the activity executor, while it speaks to a connection."""
    with traced("call/1", "crm"):
        log.warning("in an activity")
    _logs_everything()


async def test_lines_of_workflows_and_activities_say_which(written: Written, temporal_address: str) -> None:
    client = await connect(temporal_address, NAMESPACE)
    queue, own = f"logging-{uuid4()}", f"logging/{uuid4()}"
    with ThreadPoolExecutor(1) as executor:
        async with Worker(
            client,
            task_queue=queue,
            workflows=[Logging],
            activities=[logs_in_a_thread],
            activity_executor=executor,
        ):
            handle = await client.start_workflow(Logging.run, id=own, task_queue=queue)
            await handle.result()
    places = {"workflow_id": own, "run_id": handle.first_execution_run_id}
    line = written.only("in a workflow")
    assert line == {**line, **places, "workflow": "Logging"}
    line = written.only("in an activity")
    assert line == {
        **line,
        **places,
        "activity": "logs",
        "attempt": 1,
        "connection": "crm",
        "trace": "call/1",
    }
    _shows_nothing(written.text)


def test_lines_of_a_request_have_its_id(
    written: Written, pg_server: PostgresForTests, tmp_path: Path
) -> None:
    client = client_for(pg_server.fresh_database("requests"), tmp_path)

    @open_route
    def logs() -> str:
        _logs_everything()
        return "logged"

    client.app.add_api_route("/logs", logs)  # type: ignore[attr-defined]
    with client:
        given = client.get("/logs", headers={"X-Request-ID": "order-17"})
        assert given.headers["x-request-id"] == "order-17"
        ids = {line.get("request_id") for line in written.lines if line["logger"].startswith("masthead.s")}
        assert ids == {"order-17"}
        # What is no id is replaced, and every answer has its own.
        for wrong in ("no id", "x" * 65, ""):
            made = client.get("/health/live", headers={"X-Request-ID": wrong}).headers["x-request-id"]
            assert made != wrong
            assert len(made) == 36
        assert client.get("/health/live").headers["x-request-id"] != made
    _shows_nothing(written.text)


def test_a_failure_has_the_id_of_its_request(
    written: Written, pg_server: PostgresForTests, tmp_path: Path
) -> None:
    client = client_for(pg_server.fresh_database("failing"), tmp_path)

    @open_route
    def fails() -> None:
        raise ValueError(SECRETS["card"])

    client.app.add_api_route("/fails", fails)  # type: ignore[attr-defined]
    quiet = TestClient(client.app, raise_server_exceptions=False)
    with quiet:
        answer = quiet.get("/fails")
    assert answer.status_code == 500
    line = written.only("GET /fails failed")
    assert line["request_id"] == answer.headers["x-request-id"]
    assert "ValueError: [card]" in line["exception"]
    _shows_nothing(written.text + answer.text)


def test_what_settings_hold_is_secret(root: logging.Logger, capsys: pytest.CaptureFixture[str]) -> None:
    settings = Settings(
        DATABASE_URL="postgresql://masthead:s3cr%2Ft-pass@db.example/masthead",
        MASTHEAD_SECRET_KEY="firstkeyfirstkey,secondkeysecondkey",
        MASTHEAD_METRICS_ADDRESS="off",
        MASTHEAD_LOG_FORMAT="json",
    )
    with running_telemetry(settings, "worker"):
        for word in ("s3cr%2Ft-pass", "s3cr/t-pass", "firstkeyfirstkey", "secondkeysecondkey"):
            log.warning("it is %s.", word)
    said = [json.loads(line)["event"] for line in capsys.readouterr().err.splitlines()]
    assert said == ["it is [secret]."] * 4
