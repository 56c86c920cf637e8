"""One try of one call: resolve what an earlier try left open, send, and write down how it went.

Each step of the way is committed before the next: that it is sent, and what came of it. A try that finds a send without
an outcome, because a worker died or an answer was lost, goes by what the write declares about being sent twice.
"""

from __future__ import annotations

import asyncio
import json
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol, TypeVar

from pydantic import ValidationError
from sqlalchemy import Engine

from activities.errors import Held, kind_of
from connectors.sdk.config import MissingSecret
from connectors.sdk.connector import Connector
from connectors.sdk.context import traced
from connectors.sdk.errors import Broken, ConnectorError, DefinitionError, Transient, Unknown
from connectors.sdk.idempotency import ByFind, Idempotency, Native, Never, idempotency_of
from connectors.sdk.key import Key
from connectors.sdk.methods import Method, problems_of
from connectors.sdk.redaction import personal_values, redact
from connectors.sdk.resolution import Find, Park, after_not_found, after_unknown, pause
from contracts.connector_call import CallOutcome, CallStatus
from operations.calls.sending import (
    Trouble,
    begin_send,
    leave_unknown,
    look,
    park_call,
    put_back,
    succeed,
)
from storage.calls import CallRow
from storage.database import DATABASE_AWAY, transaction
from storage.storable import storable
from storage.write_holds import WritesHeld

T = TypeVar("T")

LONGEST_MESSAGE = 1000
_CANNOT_RESEND = (
    "the other system may have forgotten the key by now, so that sending it again could do it twice; "
    "look there whether it was done"
)


class OpenConnector(Protocol):
    """Makes the connector of a connection, by name; whoever asked for it closes it."""

    async def __call__(self, name: str, /) -> Connector[Any]:
        """Raises DefinitionError or MissingSecret where the connection cannot be used as it is configured."""
        ...


# How long an answer is held that the database cannot take at the moment.
HELD_TRIES, HELD_PAUSE_SECONDS = 10, 0.5


@dataclass(frozen=True, slots=True)
class Patience:
    """How long tries go on by themselves before a person is asked.

    transient: while the other system is away. unknown, sends: while nobody knows whether it was applied. send: one
    send at most; after that it counts as ended, at this worker and for all others.
    """

    transient: timedelta = timedelta(hours=24)
    unknown: timedelta = timedelta(hours=48)
    sends: int = 12
    send: timedelta = timedelta(seconds=90)


class Attempt:
    """One try of the call with the id `call_id`, for the workflow that waits for it."""

    def __init__(
        self, engine: Engine, patience: Patience, method: Method, call_id: str, workflow_id: str | None
    ) -> None:
        self._engine = engine
        self._patience = patience
        self._method = method
        self._call_id = call_id
        self._workflow_id = workflow_id

    async def go(self, open_connector: OpenConnector) -> CallOutcome:
        """Where the call then stands. Raises Transient where it may be tried again, NoSuchCall."""
        row, outcome = await self._do(look, self._call_id)
        if outcome.status.settled or outcome.status is CallStatus.PARKED:
            return outcome
        try:
            arguments = self._method.arguments(row.request)
            if self._method.write:
                # An edited request is another one to a system that remembers keys with what came with them.
                version = f"+{row.request_version}" if row.request_version > 1 else ""
                arguments.append(Key(row.key + version))
        except ValidationError as error:
            wrong = Trouble(
                "rejected", "what shall be sent does not fit", "invalid_request", problems_of(error)
            )
            return await self._park(row, wrong, doubt=self._doubt(row))
        except ValueError as error:
            return await self._park(row, Trouble("definition", str(error)), doubt=self._doubt(row))
        try:
            connector = await open_connector(row.connection)
            self._check(connector, row)
        except (DefinitionError, MissingSecret) as error:
            return await self._park(row, _trouble(row, error), doubt=self._doubt(row))
        try:
            with traced(f"call/{row.id}", row.connection):
                return await self._resolve_or_send(connector, row, arguments)
        finally:
            await connector.aclose()

    def _check(self, connector: Connector[Any], row: CallRow) -> None:
        if not isinstance(connector, self._method.capability):
            raise DefinitionError(
                f"{connector.name}, the connector of {row.connection}, has no {self._method.name}"
            )
        if row.mode == "test" and connector.context.mode != "test":
            raise DefinitionError(
                f"what is played on a test clock goes to no live system, and {row.connection} is one"
            )

    async def give_up(self, error: ConnectorError) -> CallOutcome:
        """Park what was tried for long enough."""
        row, outcome = await self._do(look, self._call_id)
        if outcome.status in (CallStatus.INTENT, CallStatus.UNKNOWN):
            return await self._park(row, _trouble(row, error), doubt=self._doubt(row))
        return outcome

    async def _resolve_or_send(
        self, connector: Connector[Any], row: CallRow, arguments: list[Any]
    ) -> CallOutcome:
        guard = idempotency_of(getattr(connector, self._method.function)) or Never()
        found_out = None
        if self._doubt(row) is not None:
            found_out = await self._resolve(connector, guard, row, arguments)
        if found_out is not None:
            return found_out
        # Looked up and not found: the doubt is over, and a new one begins with the next send.
        return await self._send(connector, guard, row, arguments, anew=isinstance(guard, ByFind))

    async def _resolve(
        self, connector: Connector[Any], guard: Idempotency, row: CallRow, arguments: list[Any]
    ) -> CallOutcome | None:
        """What became of an earlier send; None when it may be sent again."""
        doubt = self._doubt(row)
        if doubt is None or row.last_sent_at is None:
            return None
        if isinstance(guard, Native):
            if guard.resend_for is None or row.now < doubt + guard.resend_for:
                return None
            return await self._park(row, Trouble("unknown", _CANNOT_RESEND), doubt=doubt)
        if isinstance(guard, ByFind):
            return await self._find(connector, guard, row, arguments, doubt)
        words = "it was sent, no outcome is known, and it cannot be sent again without risk"
        return await self._park(row, Trouble("unknown", words), doubt=doubt)

    async def _find(
        self,
        connector: Connector[Any],
        guard: ByFind,
        row: CallRow,
        arguments: list[Any],
        doubt: datetime,
    ) -> CallOutcome | None:
        try:
            async with asyncio.timeout(self._patience.send.total_seconds()):
                answer = await getattr(connector, guard.find)(*arguments)
            found = None if answer is None else self._readable(answer)
        except (Transient, TimeoutError, Unknown) as error:
            raise error if isinstance(error, Transient) else Transient("the look-up had no answer") from error
        except Exception as error:
            return await self._park(row, _trouble(row, error), doubt=doubt)
        if found is not None:
            return await self._succeed(row, found)
        # A send whose worker was lost may still be on its way for as long as a send may take.
        on_its_way = self._patience.send if row.status == CallStatus.SENT else timedelta()
        ended = (row.last_sent_at or doubt) + on_its_way
        step = after_not_found(guard, last_sent_at=ended, now=row.now, tries=row.attempts)
        if not isinstance(step, Find):
            return None
        trouble = Trouble("unknown", "it was sent, and is not found there yet")
        again = row.now + max(step.after, timedelta(seconds=1))
        return await self._do(leave_unknown, row, trouble, ended_at=ended, again_at=again)

    async def _send(
        self, connector: Connector[Any], guard: Idempotency, row: CallRow, arguments: list[Any], *, anew: bool
    ) -> CallOutcome:
        try:
            sent = await self._do(
                begin_send, row, workflow_id=self._workflow_id, anew=anew, write=self._method.write
            )
        except WritesHeld as held:
            raise Held(str(held)) from None
        if sent is None:
            raise Transient("another try of the same call is under way")
        if CallStatus(sent.status).settled:
            return (await self._do(look, sent.id))[1]
        doubt = None if anew else self._doubt(row)
        sending = asyncio.create_task(self._sent(connector, guard, sent, arguments, doubt))
        try:
            return await asyncio.shield(sending)
        except asyncio.CancelledError:
            # What is on its way cannot be called back: its outcome is written down all the same.
            await sending
            raise

    async def _sent(
        self,
        connector: Connector[Any],
        guard: Idempotency,
        sent: CallRow,
        arguments: list[Any],
        doubt: datetime | None,
    ) -> CallOutcome:
        began = time.monotonic()
        try:
            async with asyncio.timeout(self._patience.send.total_seconds()):
                answer = await getattr(connector, self._method.function)(*arguments)
            found = self._readable(answer)
        except Exception as error:
            return await self.failed(guard, sent, error, began=began, doubt=doubt)
        return await self._succeed(sent, found)

    async def failed(
        self, guard: Idempotency, sent: CallRow, caught: Exception, *, began: float, doubt: datetime | None
    ) -> CallOutcome:
        """Write down that the send of a call that was `sent` ended with the exception `caught`. began: when, by the
        monotonic clock. doubt: since when an earlier send may have been applied. Raises Transient and RateLimited."""
        error: ConnectorError
        try:
            raise caught
        except ConnectorError as known:
            error = known
        except (DefinitionError, MissingSecret) as wrong:
            # A secret is resolved when the request is made: nothing has left yet. A wrong map may be found later.
            since = doubt if isinstance(wrong, MissingSecret) else self._doubt(sent)
            return await self._park(sent, _trouble(sent, wrong), doubt=since)
        except TimeoutError:
            error = Unknown(f"no outcome within {self._patience.send.total_seconds():g} s")
        except Exception as failure:
            error = Broken(described(failure))
            doubt = self._doubt(sent)
        trouble = _trouble(sent, error)
        if isinstance(error, Unknown) and self._method.write:
            now = sent.now + timedelta(seconds=time.monotonic() - began)
            return await self._left_unknown(guard, sent, trouble, now)
        if isinstance(error, Transient | Unknown):
            await self._do(put_back, sent, trouble, doubt=doubt)
            raise error if isinstance(error, Transient) else Transient(error.message) from error
        if isinstance(error, Broken):
            doubt = self._doubt(sent)
        return await self._park(sent, trouble, doubt=doubt)

    async def _left_unknown(
        self, guard: Idempotency, sent: CallRow, trouble: Trouble, now: datetime
    ) -> CallOutcome:
        first = sent.first_sent_at or sent.now
        step = after_unknown(guard, first_sent_at=first, last_sent_at=now, now=now, tries=sent.attempts)
        tired = now - first > self._patience.unknown or sent.attempts >= self._patience.sends
        if isinstance(step, Park) or tired:
            reason = step.reason if isinstance(step, Park) else "it stays unknown however often it is tried"
            told = Trouble("unknown", f"{reason} ({trouble.message})", trouble.code)
            return await self._park(sent, told, doubt=first)
        again = now + (max(step.after, pause(sent.attempts)) if isinstance(step, Find) else step.after)
        return await self._do(leave_unknown, sent, trouble, ended_at=now, again_at=again)

    def _readable(self, answer: Any) -> Any:
        """The answer as it is stored. Raises ValidationError for one that the method may not give."""
        shape = self._method.answer
        return storable(shape.dump_python(shape.validate_python(answer), mode="json"))

    async def _succeed(self, row: CallRow, found: Any) -> CallOutcome:
        """Store what was answered. While the database is away the answer is held for some seconds; then the try ends,
        and the next one, which finds the call sent, resolves it as its write declares."""
        for _ in range(HELD_TRIES):
            try:
                return await self._do(succeed, row.id, found)
            except DATABASE_AWAY:
                await asyncio.sleep(HELD_PAUSE_SECONDS)
        return await self._do(succeed, row.id, found)

    async def _park(self, row: CallRow, trouble: Trouble, *, doubt: datetime | None) -> CallOutcome:
        return await self._do(park_call, row, trouble, doubt=doubt, workflow_id=self._workflow_id)

    def _doubt(self, row: CallRow) -> datetime | None:
        """Since when a send may have been applied; a read never applies anything."""
        return row.first_sent_at if self._method.write else None

    async def _do(self, step: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        def run() -> T:
            with transaction(self._engine) as connection:
                return step(connection, *args, **kwargs)

        return await asyncio.to_thread(run)


def _trouble(row: CallRow, error: Exception) -> Trouble:
    """What went wrong, as it may be stored: without secrets, and without what the request holds of a person."""
    personal = personal_values(json.dumps(row.request).encode(), "application/json")

    def clean(text: str) -> str:
        return redact(text, personal).replace("\0", "")[:LONGEST_MESSAGE]

    known = isinstance(error, ConnectorError | DefinitionError | MissingSecret)
    fields: dict[str, str] = getattr(error, "fields", {})
    code = error.code if isinstance(error, ConnectorError) else None
    return Trouble(
        kind_of(error),
        clean(str(error) if known else described(error)),
        code and clean(code),
        {name: clean(text) for name, text in fields.items()},
    )


def described(error: Exception) -> str:
    """A failure that nobody foresaw: its type and place. Its text may hold anything, and is not repeated."""
    last = traceback.extract_tb(error.__traceback__)[-1:]
    place = f" in {last[0].name}, line {last[0].lineno}" if last else ""
    return f"it failed with {type(error).__name__}{place}"
