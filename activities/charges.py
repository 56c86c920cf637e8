"""Sending the charges of a payment run: concurrent within the gateway's rate, written down in batches.

A batch is on its way by one transaction, then sent, and its answers are stored, with what they mean in the books, by
another. What does not go as usual goes the way of every call (`call_attempt`).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, TypeVar

from sqlalchemy import Engine

from activities.call_attempt import Attempt, OpenConnector, Patience
from connectors.sdk.capabilities.payment import ChargeOrder
from connectors.sdk.config import MissingSecret
from connectors.sdk.connector import Connector
from connectors.sdk.context import traced
from connectors.sdk.errors import DefinitionError, RateLimited, Transient
from connectors.sdk.idempotency import Idempotency, Never, idempotency_of
from connectors.sdk.key import Key
from connectors.sdk.methods import all_methods
from contracts.connector_call import CallOutcome, CallStatus
from operations.billrun.fail_points import fail_point
from operations.charges.begin import CHARGE
from operations.charges.settling import Settled, lock_payers_of, settle, settle_unsent
from operations.tariffs import Tariffs
from storage.calls import CallRow, read_call
from storage.charge_calls import begin_sends, end_sends
from storage.database import transaction
from storage.storable import storable

log = logging.getLogger("masthead.charges")

T = TypeVar("T")

_METHOD = all_methods()[CHARGE]
# So many go out together and are written down together.
BATCH = 50
# How long, in all, one turn waits by itself for a gateway that is away, or in doubt about what it was sent.
ROUNDS = tuple(timedelta(seconds=seconds) for seconds in (0.5, 1, 2, 4))
PATIENCE = Patience(send=timedelta(seconds=60))


@dataclass(slots=True)
class Sent:
    """What became of charges that were sent. `waiting`: not sent, because the gateway is away or takes no more now;
    `again_after` is when it may."""

    settled: list[Settled] = field(default_factory=list)
    waiting: int = 0
    again_after: timedelta = timedelta(seconds=1)

    def counts(self) -> dict[str, int]:
        """Charges by their status."""
        return dict(Counter(each.status.value for each in self.settled))


@dataclass(slots=True)
class _Round:
    """One pass over charges. again: those that may be tried again soon. elsewhere: charges that follow at another
    gateway."""

    again: list[tuple[str, str]] = field(default_factory=list)
    elsewhere: list[tuple[str, str]] = field(default_factory=list)
    unsent: list[tuple[str, str]] = field(default_factory=list)
    after: timedelta = timedelta()


class ChargeSender:
    """Sends charges on the connections of `open_connector`, and writes what they come to into the database."""

    def __init__(
        self,
        engine: Engine,
        open_connector: OpenConnector,
        tariffs: Tariffs,
        patience: Patience = PATIENCE,
        rounds: Sequence[timedelta] = ROUNDS,
    ) -> None:
        self._engine = engine
        self._open = open_connector
        self._tariffs = tariffs
        self._patience = patience
        self._rounds = rounds

    async def send(self, charges: Sequence[tuple[str, str]], now: datetime) -> Sent:
        """Send `charges` (each with its call), those that follow at another gateway too, and write down what each came
        to at the instant `now`. What stays unknown is left to whoever asks the gateway."""
        sent = Sent()
        left = list(charges)
        for pause in (*self._rounds, None):
            done = _Round()
            for first in range(0, len(left), BATCH):
                await self._batch(left[first : first + BATCH], now, sent, done)
            if done.unsent and pause is None:
                await self._send_elsewhere(done, now, sent)
            left = [*done.elsewhere, *done.again, *done.unsent]
            if not left:
                return sent
            if pause is None:
                if done.elsewhere:
                    await self._last_batches(done, now, sent)
                sent.waiting = len(done.unsent)
                sent.again_after = max(done.after, self._rounds[-1] if self._rounds else timedelta(seconds=1))
                return sent
            if not done.elsewhere:
                await asyncio.sleep(max(pause, min(done.after, timedelta(seconds=5))).total_seconds())
        return sent

    async def _last_batches(self, done: _Round, now: datetime, sent: Sent) -> None:
        """Charges that went to another gateway in the last round are sent there as well."""
        over = _Round()
        await self._batch(done.elsewhere, now, sent, over)
        done.unsent += over.unsent

    async def _batch(
        self, charges: Sequence[tuple[str, str]], now: datetime, sent: Sent, done: _Round
    ) -> None:
        by_call = {call: charge for charge, call in charges}
        fail_point("before-sends")
        rows = await self._do(begin_sends, list(by_call))
        fresh = {row.id for row in rows}
        fail_point("after-begin-sends")
        connectors: dict[str, Connector[Any] | Exception] = {}
        for name in {row.connection for row in rows}:
            connectors[name] = await self._opened(name)
        answers: dict[str, Any] = {}
        outcomes: dict[str, CallOutcome | Exception] = {}

        async def one(row: CallRow) -> None:
            connector = connectors[row.connection]
            try:
                found = await self._one(connector, row)
            except Exception as error:
                outcomes[row.id] = error
                return
            if isinstance(found, CallOutcome):
                outcomes[row.id] = found
            else:
                answers[row.id] = found[0]

        async def again(call_id: str) -> None:
            try:
                attempt = Attempt(self._engine, self._patience, _METHOD, call_id, None)
                outcomes[call_id] = await attempt.go(self._open)
            except Exception as error:
                outcomes[call_id] = error

        await asyncio.gather(
            *(one(row) for row in rows), *(again(call) for call in by_call if call not in fresh)
        )
        fail_point("before-settle-charges")
        if answers:
            sent.settled += await self._settled(answers, by_call, now, done)
        fail_point("after-settle-charges")
        for call_id, outcome in outcomes.items():
            await self._odd(by_call[call_id], call_id, outcome, now, sent, done)

    async def _opened(self, name: str) -> Connector[Any] | Exception:
        try:
            return await self._open(name)
        except (DefinitionError, MissingSecret) as error:
            return error

    async def _one(self, connector: Connector[Any] | Exception, row: CallRow) -> CallOutcome | tuple[Any]:
        """The answer as it is stored, in a tuple; the outcome of a send that failed. Raises Transient, RateLimited."""
        attempt = Attempt(self._engine, self._patience, _METHOD, row.id, None)
        began = time.monotonic()
        guard: Idempotency = Never()
        try:
            if isinstance(connector, Exception):
                raise connector
            guard = idempotency_of(connector.charge) or Never()  # type: ignore[attr-defined]
            attempt._check(connector, row)
            with traced(f"call/{row.id}"):
                async with asyncio.timeout(self._patience.send.total_seconds()):
                    answer = await connector.charge(  # type: ignore[attr-defined]
                        ChargeOrder.model_validate(row.request), Key(row.key)
                    )
            return (
                storable(_METHOD.answer.dump_python(_METHOD.answer.validate_python(answer), mode="json")),
            )
        except Exception as error:
            return await attempt.failed(guard, row, error, began=began, doubt=None)

    async def _settled(
        self, answers: dict[str, Any], by_call: dict[str, str], now: datetime, done: _Round
    ) -> list[Settled]:
        def run() -> list[Settled]:
            calls = {by_call[call]: call for call in answers}
            with transaction(self._engine) as connection:
                lock_payers_of(connection, calls)
                end_sends(connection, answers)
                found = settle(connection, self._tariffs.current(connection), calls, now)
                fail_point("before-settle-commit")
                return found

        try:
            settled = await asyncio.to_thread(run)
        except Exception:
            log.exception("a batch of charges is settled charge by charge")
            settled = []
            for call, answer in answers.items():
                settled += await self._settle_one(by_call[call], call, {call: answer}, now)
        self._follow(settled, done)
        return settled

    async def _settle_one(
        self, charge: str, call: str, answers: dict[str, Any], now: datetime
    ) -> list[Settled]:
        """The answer first, by itself: it is a fact whatever becomes of the books."""
        if answers:
            await self._do(end_sends, answers)

        def run() -> list[Settled]:
            with transaction(self._engine) as connection:
                return settle(connection, self._tariffs.current(connection), {charge: call}, now)

        try:
            return await asyncio.to_thread(run)
        except Exception:
            log.exception("charge %s has an answer that the books do not take: it is tried again", charge)
            return []

    async def _odd(
        self,
        charge: str,
        call_id: str,
        outcome: CallOutcome | Exception,
        now: datetime,
        sent: Sent,
        done: _Round,
    ) -> None:
        if isinstance(outcome, Transient | RateLimited):
            after = outcome.after if isinstance(outcome, RateLimited) else None
            done.after = max(done.after, after or timedelta())
            done.unsent.append((charge, call_id))
            return
        if isinstance(outcome, Exception):
            log.error("charge %s was not sent: %s", charge, type(outcome).__name__)
            done.again.append((charge, call_id))
            return
        settled = await self._settle_one(charge, call_id, {}, now)
        sent.settled += [each for each in settled if not each.status.open]
        self._follow(settled, done)
        row = await self._do(read_call, call_id)
        if outcome.status is CallStatus.PARKED and row.first_sent_at is None:
            await self._elsewhere(charge, call_id, now, done, sent)
        elif outcome.status is CallStatus.UNKNOWN:
            wait = (outcome.again_at - row.now) if outcome.again_at else timedelta()
            done.after = max(done.after, wait)
            done.again.append((charge, call_id))

    async def _send_elsewhere(self, done: _Round, now: datetime, sent: Sent) -> None:
        """A gateway that was away for all rounds has not charged: the next of the route is asked, if there is one."""
        left, done.unsent = done.unsent, []
        for charge, call_id in left:
            if not await self._elsewhere(charge, call_id, now, done, sent):
                done.unsent.append((charge, call_id))

    async def _elsewhere(self, charge: str, call_id: str, now: datetime, done: _Round, sent: Sent) -> bool:
        def run() -> Settled | None:
            with transaction(self._engine) as connection:
                return settle_unsent(connection, self._tariffs.current(connection), charge, call_id, now)

        found = await asyncio.to_thread(run)
        if found is None:
            return False
        sent.settled.append(found)
        self._follow([found], done)
        return True

    def _follow(self, settled: Sequence[Settled], done: _Round) -> None:
        for each in settled:
            if each.elsewhere is not None:
                done.elsewhere.append((each.elsewhere.charge_id, each.elsewhere.call.call_id))

    async def _do(self, step: Callable[..., T], *args: Any) -> T:
        def run() -> T:
            with transaction(self._engine) as connection:
                return step(connection, *args)

        return await asyncio.to_thread(run)
