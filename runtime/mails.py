"""Mails to customers, in each worker; one of them leads: it records what events tell of, and sends what waits.

A mail is a row, then a call on a mail connection, and no workflow. Wherever the process dies, the next leader goes on
from the rows: what was surely not sent is sent, and what may have been sent goes by what the connector declares (over
SMTP, a mail of unknown outcome is parked and not sent twice).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, ParamSpec, TypeVar

import psycopg
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from activities.call_attempt import Attempt, Patience
from activities.errors import pause_after
from connectors.sdk.capabilities.mail import Mailer
from connectors.sdk.errors import ConnectorError
from connectors.sdk.methods import method
from documents.shelf import Shelf, TemplateError
from domain.invoice_document import DocumentDoesNotAdd
from operations.mails.compose import NO_CONNECTION, Composed, Composer, Unsent
from operations.mails.record import AT_ONCE as RECORDED_AT_ONCE
from operations.mails.record import record_next
from operations.mails.sending import (
    METHOD,
    go_out,
    look_at,
    park_template,
    put_off,
    take_decisions,
    take_outcome,
    template_works,
)
from runtime.connections import Connections
from runtime.leading import CANDIDATE_SECONDS, Complaints, Lead
from storage.calls import read_call
from storage.database import PgConnection, transaction
from storage.mails import MailRow, due_mails

log = logging.getLogger("masthead.mails")

ROLE = 0x6D61696C  # any number, as long as it is the same everywhere
MODES = ("live", "test")
SENT_AT_ONCE = 8
IDLE_SECONDS = 0.5
# Without a connection nobody waits, and what records must not be felt by a bill run.
RECORD_PAUSE_SECONDS = 1.0
DECISIONS_EVERY_SECONDS = 5.0
TEMPLATE_PAUSE = timedelta(minutes=5)
LONGEST_HOLD_SECONDS = 60.0
# Beyond the time that a send may take, until another leader looks at what was on its way.
MARGIN = timedelta(seconds=10)

_P = ParamSpec("_P")
_T = TypeVar("_T")


class MailConnections:
    """The connections that mails go by: enabled, of a connector that sends mail, by mode."""

    def __init__(self, connections: Connections) -> None:
        self._names: dict[str, list[str]] = {mode: [] for mode in MODES}
        for spec in connections.of_capability(Mailer):
            self._names[spec.mode].append(spec.name)

    def of(self, mode: str, wanted: str | None) -> str | None:
        """The connection of `mode` called `wanted`; the first one where none is. Never one of the other mode."""
        names = self._names[mode]
        return wanted if wanted in names else next(iter(names), None)

    @property
    def unsent(self) -> dict[str, str]:
        """The modes without a connection, with the reason that their mails end with."""
        return {mode: NO_CONNECTION for mode in MODES if not self._names[mode]}


@asynccontextmanager
async def running_mails(
    engine: Engine, connections: Connections, shelf: Shelf, patience: Patience | None = None
) -> AsyncIterator[None]:
    """Mails of this process, for as long as the block runs."""
    task = asyncio.create_task(
        _keep_sending(engine, connections, shelf, patience or Patience()), name="mails"
    )
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _keep_sending(engine: Engine, connections: Connections, shelf: Shelf, patience: Patience) -> None:
    """Lead or stand by until canceled; a lost database costs the leadership."""
    complaints, composer = Complaints(log), Composer(shelf)
    while True:
        try:
            async with Lead(engine, ROLE, "mails") as lead:
                await MailTerm(lead, engine, connections, composer, patience, complaints).serve()
        except* (psycopg.Error, SQLAlchemyError) as errors:
            complaints.tell("the database is away", errors.exceptions[0])
        except* Exception:
            log.exception("mails cannot be sent; it is tried again")
        await asyncio.sleep(CANDIDATE_SECONDS)


class MailTerm:
    """What the leader does."""

    def __init__(
        self,
        lead: Lead,
        engine: Engine,
        connections: Connections,
        composer: Composer,
        patience: Patience,
        complaints: Complaints,
    ) -> None:
        self._lead = lead
        self._engine = engine
        self._connections = connections
        self._by = MailConnections(connections)
        self._composer = composer
        self._patience = patience
        self._complaints = complaints
        self._holds = {mode: _Hold() for mode in MODES}
        self._working: set[tuple[str, str]] = set()

    async def serve(self) -> None:
        """Wait for leadership, then lead until the session breaks (psycopg.Error)."""
        session = await self._lead.won()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._record(session))
            tasks.create_task(self._send())
            tasks.create_task(self._decisions())

    async def _record(self, session: PgConnection) -> None:
        unsent = self._by.unsent

        def record() -> int:
            with session.transaction():
                return record_next(session, unsent)

        while True:
            passed = await self._lead.run(record)
            if len(unsent) == len(MODES) or passed < RECORDED_AT_ONCE:
                await asyncio.sleep(RECORD_PAUSE_SECONDS if passed else IDLE_SECONDS)

    async def _send(self) -> None:
        while True:
            if not await self.send_due():
                await asyncio.sleep(IDLE_SECONDS)

    async def send_due(self) -> int:
        """Send a batch of what is due, side by side; how many were looked at. While a mail server is away, one mail at
        a time finds out whether it is back."""
        done = 0
        for mode in MODES:
            hold = self._holds[mode]
            if not hold.over:
                continue
            due = await self._do(due_mails, [mode], 1 if hold.seconds else SENT_AT_ONCE * 4)
            gate = asyncio.Semaphore(SENT_AT_ONCE)

            async def one(mail_id: str, gate: asyncio.Semaphore = gate) -> bool | None:
                async with gate:
                    return await self._one(mail_id)

            went = [each for each in await asyncio.gather(*map(one, due)) if each is not None]
            if went and not any(went):
                hold.longer()
            elif went:
                hold.end()
            done += len(due)
        return done

    async def _one(self, mail_id: str) -> bool | None:
        """Send one mail; whether the mail server was there, None where it was not asked."""
        known = await self._do(look_at, mail_id)
        if known is None:
            return None
        composed: Composed | Unsent | None = None
        if not isinstance(known, MailRow):
            try:
                composed = await asyncio.to_thread(self._composer.compose, known)
            except (TemplateError, DocumentDoesNotAdd) as error:
                self._complaints.tell(f"mails of the template {known.row.template} wait", error)
                self._working.discard((known.row.mode, known.row.template))
                await self._do(park_template, known.row, str(error), TEMPLATE_PAUSE)
                return None
            await self._note_working(known.row)
        within = self._patience.send + MARGIN
        out = await self._do(go_out, mail_id, composed, self._by.of, within)
        return None if out is None else await self._try(*out)

    async def _try(self, row: MailRow, call_id: str) -> bool:
        attempt = Attempt(self._engine, self._patience, method(METHOD), call_id, None)
        reached = True
        try:
            outcome = await attempt.go(self._connections.open)
        except ConnectorError as error:
            call = await self._do(read_call, call_id)
            if call.now - call.created_at < self._patience.transient:
                self._complaints.tell("a mail could not be sent", error)
                await self._do(put_off, row.id, pause_after(error, row.tries + 1))
                return False
            outcome, reached = await attempt.give_up(error), False
        wait = max(outcome.again_at - row.now, timedelta(seconds=1)) if outcome.again_at else MARGIN
        status = await self._do(take_outcome, row.id, outcome, now_in=wait)
        if status == "parked":
            log.warning("a mail is parked (%s): masthead errors", outcome.error_kind)
        return reached

    async def _note_working(self, row: MailRow) -> None:
        if (row.mode, row.template) not in self._working:
            await self._do(template_works, row.mode, row.template)
            self._working.add((row.mode, row.template))

    async def _decisions(self) -> None:
        while True:
            await self._do(take_decisions, self._patience.send + MARGIN)
            await asyncio.sleep(DECISIONS_EVERY_SECONDS)

    async def _do(self, step: Callable[..., _T], *args: Any, **kwargs: Any) -> _T:
        def run() -> _T:
            with transaction(self._engine) as connection:
                return step(connection, *args, **kwargs)

        return await asyncio.to_thread(run)


class _Hold:
    """How long nothing is sent after nothing could be: longer and longer, a minute at most."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._until = 0.0

    @property
    def over(self) -> bool:
        return time.monotonic() >= self._until

    def longer(self) -> None:
        self.seconds = min(max(self.seconds * 2, 1.0), LONGEST_HOLD_SECONDS)
        self._until = time.monotonic() + self.seconds

    def end(self) -> None:
        self.seconds = self._until = 0.0
