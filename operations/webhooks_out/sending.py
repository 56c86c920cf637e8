"""One turn of sending to an endpoint: what is due, and afterwards what came of it. The sending itself is between two
transactions and holds none."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import Engine

from operations.webhooks_out.endpoints import switch_off
from operations.webhooks_out.parks import park_endpoint, park_messages
from operations.webhooks_out.payload import bodies, message_name
from operations.webhooks_out.schedule import (
    DOWN_AFTER_FAILURES,
    GIVEN_UP_AFTER,
    is_given_up,
    next_attempt,
    pause_after,
)
from operations.webhooks_out.secrets import active_secrets
from storage.database import PgConnection, transaction
from storage.encryption import Encryption
from storage.webhook_messages import AttemptRow, due_messages, fail_waiting, next_due, record_attempts
from storage.webhooks_out import Destination, lock_destination, read_destination, record_health
from storage.write_holds import open_hold

GONE = 410
ASK_TO_WAIT = frozenset({429, 503})
LONGEST_HOLD = timedelta(hours=1)
# While all external writes are held, after a restore.
HELD_LOOK = timedelta(seconds=30)


class Letter(NamedTuple):
    """A message to send: `name` is its webhook-id, `attempts` and `tries` what it has behind it."""

    message_id: str
    name: str
    body: bytes
    attempts: int
    tries: int

    def __repr__(self) -> str:
        return f"Letter({self.name})"


class Turn(NamedTuple):
    """What to send, where and signed with what; without letters, when to look again (None: nothing waits)."""

    status: str
    url: str = ""
    secrets: tuple[str, ...] = ()
    letters: tuple[Letter, ...] = ()
    next_at: datetime | None = None

    def __repr__(self) -> str:
        return f"Turn({self.status}, {len(self.letters)} letters)"


class Attempt(NamedTuple):
    """What came of sending a letter. status: what was answered, None for no answer; `error_kind` is None for success.
    response: an excerpt that may be shown."""

    letter: Letter
    at: datetime
    status: int | None
    milliseconds: int
    error_kind: str | None
    response: str | None
    retry_after: timedelta | None

    def __repr__(self) -> str:
        return f"Attempt({self.letter.name}, {self.error_kind or 'delivered'})"


def take_turn(
    engine: Engine, encryption: Encryption, endpoint_id: str, now: datetime, signed_at: datetime, limit: int
) -> Turn:
    """Up to `limit` letters that are due at `now`; one only to an endpoint that is down. What waits for an endpoint
    that is switched off is ended as failed, a batch a turn. `signed_at` is the clock's time: which secrets sign.

    Raises SecretKeyError when this process lacks the key.
    """
    with transaction(engine) as connection:
        at = read_destination(connection, endpoint_id)
        if at is None or at.status != "enabled":
            status = "deleted" if at is None else at.status
            ended = fail_waiting(connection, endpoint_id, f"endpoint_{status}")
            return Turn(status, next_at=now if ended else None)
        if at.held_until is not None and at.held_until > now:
            return Turn(at.status, next_at=_next_at(connection, endpoint_id, at.held_until))
        if open_hold(connection) is not None:
            return Turn(at.status, next_at=now + HELD_LOOK)
        due = due_messages(connection, endpoint_id, now, 1 if _is_down(at) else limit)
        if not due:
            return Turn(at.status, next_at=next_due(connection, endpoint_id))
        letters = tuple(
            Letter(message.id, message_name(message.id), body, message.attempts, message.tries)
            for message, body in zip(due, bodies(connection, due), strict=True)
        )
        secrets = active_secrets(encryption, endpoint_id, at, signed_at)
        return Turn(at.status, at.url, secrets, letters, now)


def record_turn(engine: Engine, endpoint_id: str, attempts: Sequence[Attempt]) -> None:
    """Write down what came of the letters of one turn: the attempts, each message's next step, how the endpoint fares,
    and, where that is so, that it is switched off."""
    if not attempts:
        return
    with transaction(engine) as connection:
        at = lock_destination(connection, endpoint_id)
        if at is None:
            return
        rows = [_row(attempt) for attempt in attempts]
        moved = set(record_attempts(connection, rows))
        failed = [row for row in rows if row.becomes == "failed" and row.message_id in moved]
        if at.status != "deleted":  # nobody could do anything about those
            park_messages(connection, at.mode, [(row.message_id, row.error_kind or "") for row in failed])
        _judge(connection, endpoint_id, at, attempts)


def _row(attempt: Attempt) -> AttemptRow:
    letter = attempt.letter
    following = None
    becomes = "delivered"
    if attempt.error_kind is not None:
        following = next_attempt(letter.message_id, letter.tries + 1, attempt.at, _asked_to_wait(attempt))
        becomes = "pending" if following else "failed"
    return AttemptRow(
        message_id=letter.message_id,
        attempts=letter.attempts,
        at=attempt.at,
        status=attempt.status,
        milliseconds=attempt.milliseconds,
        error_kind=attempt.error_kind,
        response=attempt.response,
        becomes=becomes,
        next_attempt_at=following,
    )


def _judge(connection: PgConnection, endpoint_id: str, at: Destination, attempts: Sequence[Attempt]) -> None:
    ordered = sorted(attempts, key=lambda each: each.at)
    last, since = ordered[-1], at.failing_since
    for attempt in ordered:
        since = None if attempt.error_kind is None else since or attempt.at
    failures = 0 if since is None else (at.failures if since == at.failing_since else 0) + 1
    waits = [_asked_to_wait(attempt) or timedelta() for attempt in ordered]
    pause = max(pause_after(failures) or timedelta(), min(max(waits), LONGEST_HOLD))
    held = max(filter(None, (at.held_until, last.at + pause)), default=None) if pause else at.held_until
    record_health(connection, endpoint_id, failures, since, held)
    if at.status != "enabled":
        return
    if any(attempt.status == GONE for attempt in attempts):
        _give_up(connection, endpoint_id, at, "gone", "it answered 410 Gone: it wants no more webhooks")
    elif is_given_up(since, max(attempt.at for attempt in attempts)):
        days = GIVEN_UP_AFTER.days
        _give_up(connection, endpoint_id, at, "failing", f"for {days} days every attempt to reach it failed")


def _give_up(connection: PgConnection, endpoint_id: str, at: Destination, kind: str, why: str) -> None:
    switch_off(connection, endpoint_id, why)
    park_endpoint(
        connection, at.mode, endpoint_id, f"endpoint_{kind}", f"webhooks are off for an endpoint: {why}"
    )


def _asked_to_wait(attempt: Attempt) -> timedelta | None:
    return attempt.retry_after if attempt.status in ASK_TO_WAIT else None


def _is_down(at: Destination) -> bool:
    return at.failures >= DOWN_AFTER_FAILURES


def _next_at(connection: PgConnection, endpoint_id: str, held_until: datetime) -> datetime | None:
    due = next_due(connection, endpoint_id)
    return None if due is None else max(due, held_until)
