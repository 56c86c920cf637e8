"""Mails to customers. One worker leads and records what events tell of; every worker sends what waits.

A mail is a row, then a call on a mail connection, and no workflow. Wherever a process dies, another one goes on from
the rows: what was surely not sent is sent, and what may have been sent goes by what the connector declares (over
SMTP, a mail of unknown outcome is parked and not sent twice).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from typing import Any, TypeVar

import psycopg
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from activities.call_attempt import Attempt, Patience, described
from activities.errors import Held, pause_after
from connectors.sdk.capabilities.mail import Mailer
from connectors.sdk.errors import ConnectorError
from connectors.sdk.methods import method
from documents.shelf import Shelf, TemplateError
from domain.invoice_document import DocumentDoesNotAdd
from operations.mails.compose import NO_CONNECTION, Composed, Composer, Unsent, read_known
from operations.mails.record import Recorded, record_next
from operations.mails.sending import (
    METHOD,
    go_out,
    park_template,
    put_off,
    take_decisions,
    take_outcome,
    template_works,
)
from runtime.connections import Connections
from runtime.leading import CANDIDATE_SECONDS, Complaints, Lead
from storage.calls import read_call
from storage.database import transaction
from storage.mails import MailRow, claim_mails
from storage.write_holds import open_hold

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
# Beyond the time that a send may take, until another worker looks at what was on its way.
MARGIN = timedelta(seconds=10)

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
    sending = MailSender(engine, connections, Composer(shelf), patience or Patience())
    tasks = [
        asyncio.create_task(_kept_up(partial(lead_mails, engine, sending)), name="mails: leading"),
        asyncio.create_task(_kept_up(sending.serve), name="mails: sending"),
    ]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _kept_up(work: Callable[[], Awaitable[None]]) -> None:
    """Do `work`, and again after what it met, until canceled."""
    complaints = Complaints(log)
    while True:
        try:
            await work()
        except* (psycopg.Error, SQLAlchemyError) as errors:
            complaints.tell("the database is away", errors.exceptions[0])
        except* Exception:
            log.exception("mails cannot be sent; it is tried again")
        await asyncio.sleep(CANDIDATE_SECONDS)


async def lead_mails(engine: Engine, sender: MailSender) -> None:
    """Wait for leadership, then record mails and what is decided about them, until the session breaks."""
    async with Lead(engine, ROLE, "mails") as lead:
        session = await lead.won()
        unsent = sender.by.unsent

        def record() -> Recorded:
            with session.transaction():
                return record_next(session, unsent)

        def decided() -> int:
            with session.transaction():
                return take_decisions(session, sender.within)

        look_at = 0.0
        while True:
            recorded = await lead.run(record)
            if time.monotonic() >= look_at:
                await lead.run(decided)
                look_at = time.monotonic() + DECISIONS_EVERY_SECONDS
            if len(unsent) == len(MODES) and recorded.moved:
                await asyncio.sleep(RECORD_PAUSE_SECONDS)
            elif not recorded.more:
                await asyncio.sleep(IDLE_SECONDS)


class MailSender:
    """Sends mails that are due, beside the senders of other workers."""

    def __init__(
        self, engine: Engine, connections: Connections, composer: Composer, patience: Patience
    ) -> None:
        self._engine = engine
        self._connections = connections
        self.by = MailConnections(connections)
        self.within = patience.send + MARGIN
        self._composer = composer
        self._patience = patience
        self._complaints = Complaints(log)
        self._holds = {mode: _Hold() for mode in MODES}
        self._working: set[tuple[str, str]] = set()

    async def serve(self) -> None:
        """Send until canceled. Raises what the database raises."""
        while True:
            if not await self.send_due():
                await asyncio.sleep(IDLE_SECONDS)

    async def send_due(self) -> int:
        """Send a batch of what is due, side by side; how many were looked at. While a mail server is away, one mail at
        a time finds out whether it is back."""
        done = 0
        if await self._do(open_hold) is not None:
            return 0
        for mode in MODES:
            hold = self._holds[mode]
            if not hold.over:
                continue
            most = 1 if hold.seconds else SENT_AT_ONCE * 4
            due = await self._do(claim_mails, [mode], most, self.within)
            gate = asyncio.Semaphore(SENT_AT_ONCE)

            async def one(row: MailRow, gate: asyncio.Semaphore = gate) -> bool | None:
                async with gate:
                    return await self._one(row)

            went = [each for each in await asyncio.gather(*map(one, due)) if each is not None]
            if went and not any(went):
                hold.longer()
            elif went:
                hold.end()
            done += len(due)
        return done

    async def _one(self, row: MailRow) -> bool | None:
        """Send one mail; whether the mail server was there, None where it was not asked."""
        composed: Composed | Unsent | None = None
        if row.call_id is None:
            try:
                known = await self._do(read_known, row)
                composed = await asyncio.to_thread(self._composer.compose, known)
            except (psycopg.Error, SQLAlchemyError):
                raise
            except Exception as error:
                # What nobody foresaw may quote anything: only its type and place are told.
                foreseen = isinstance(error, TemplateError | DocumentDoesNotAdd)
                told = str(error) if foreseen else described(error)
                log.warning("mails of the template %s wait: %s", row.template, told)
                self._working.discard((row.mode, row.template))
                await self._do(park_template, row, told, TEMPLATE_PAUSE)
                return None
            await self._note_working(row)
        call_id = await self._do(go_out, row, composed, self.by.of, self.within)
        return None if call_id is None else await self._try(row, call_id)

    async def _try(self, row: MailRow, call_id: str) -> bool:
        attempt = Attempt(self._engine, self._patience, method(METHOD), call_id, None)
        reached = True
        try:
            outcome = await attempt.go(self._connections.open)
        except ConnectorError as error:
            call = await self._do(read_call, call_id)
            if isinstance(error, Held) or call.now - call.created_at < self._patience.transient:
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
