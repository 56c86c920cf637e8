"""Log lines of a process: every library's through one handler, each with where it belongs, redacted in one place.

Code logs through the standard library, as libraries do. What a line belongs to is asked when it is written: the
workflow or activity that is running, the request to the API, the connection that is spoken to. So a line that is not
written costs nothing, and no interceptor stands in the way of those that are not.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from typing import Any, Literal, TextIO, cast

import structlog
from temporalio import activity, workflow

from connectors.sdk.context import current_connection, current_trace
from connectors.sdk.redaction import redact, redact_value

LogFormat = Literal["auto", "console", "json"]

# Of these what is less than a warning is about single requests and statements.
_CHATTY = ("httpx", "httpcore", "urllib3", "asyncio", "alembic", "opentelemetry")
_FIXED = frozenset({"timestamp", "level", "logger", "event"})

Line = MutableMapping[str, Any]


def configure_logging(
    log_format: LogFormat = "auto", level: str = "info", *, to: TextIO | None = None
) -> None:
    """From now on every log record of this process goes to `to` (default: standard error), at least of `level`.

    console: for people, with colours on a terminal; json: one JSON object a line; auto: console on a terminal, else
    JSON.
    """
    stream = to or sys.stderr
    people = log_format == "console" or (log_format == "auto" and stream.isatty())
    handler = logging.StreamHandler(stream)
    handler.setFormatter(_formatter(people=people, colours=stream.isatty()))
    root = logging.getLogger()
    for before in root.handlers[:]:
        root.removeHandler(before)
    root.addHandler(handler)
    root.setLevel(level.upper())
    for name in _CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.captureWarnings(True)
    # For code that likes structlog's own way of logging: it ends in the same handler.
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *_known(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )


def _formatter(*, people: bool, colours: bool) -> logging.Formatter:
    render: structlog.typing.Processor = structlog.processors.JSONRenderer(ensure_ascii=False, default=str)
    if people:
        render = structlog.dev.ConsoleRenderer(colors=colours)
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[structlog.stdlib.ExtraAdder(), *_known()],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.ExceptionRenderer(),
            _redacted,
            render,
        ],
        keep_stack_info=True,
    )


def _known() -> list[structlog.typing.Processor]:
    """What every line says, whoever logged it."""
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _placed,
    ]


def _placed(logger: Any, method: str, line: Line) -> Line:
    """What the line belongs to. A workflow's and an activity's ids hold no personal data (contracts/names.py)."""
    for core in ("temporal_log", "temporal_workflow", "temporal_activity", "color_message"):
        line.pop(core, None)
    if workflow.in_workflow():
        of = workflow.info()
        line.update(workflow_id=of.workflow_id, run_id=of.run_id, workflow=of.workflow_type)
    elif activity.in_activity():
        at = activity.info()
        line.update(
            workflow_id=at.workflow_id,
            run_id=at.workflow_run_id,
            activity=at.activity_type,
            attempt=at.attempt,
        )
    if (name := current_connection()) is not None:
        line.setdefault("connection", name)
    if (trace := current_trace()) is not None:
        line.setdefault("trace", trace)
    return line


def _redacted(logger: Any, method: str, line: Line) -> Line:
    """The line without what may not be shown: by value in every text, by name in what was given beside it."""
    more = {key: value for key, value in line.items() if key not in _FIXED}
    line.update(cast("dict[str, Any]", redact_value(more)))
    line["event"] = redact(str(line["event"]))
    return line
