"""Recording documents at a tax engine: a turn takes those that are due, some hundred at a time, side by side."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any, TypeVar

from sqlalchemy import Engine
from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.call_attempt import Attempt, OpenConnector, Patience, described
from activities.errors import kind_of, pause_after
from activities.heartbeat import beating
from connectors.sdk.capabilities.tax import TaxEngine
from connectors.sdk.config import MissingSecret
from connectors.sdk.connector import Connector
from connectors.sdk.errors import ConnectorError, DefinitionError, RateLimited, Transient
from connectors.sdk.methods import method
from contracts.connector_call import CallOutcome, CallRef, CallStatus
from contracts.names import tax_documents_id
from contracts.tax import SETTLE_TAX_DOCUMENTS, TaxTurn, TaxTurnDone
from operations.billrun.fail_points import fail_point
from operations.tax.away import note_away, note_back
from operations.tax.settle import advance, set_aside
from storage.database import DATABASE_AWAY, transaction
from storage.tax_documents import due_documents, hasten, postpone, unsettled

T = TypeVar("T")

IN_ONE_TURN = 500
SIDE_BY_SIDE = 16
HEALTH_SECONDS = 15.0
# More calls than the engine takes wait for so long for their turn, before the whole turn waits.
IN_LINE_SECONDS = 60.0


class TaxDocumentActivities:
    """Documents of the engines that `open_connector` opens, in the database of `engine`."""

    def __init__(
        self, engine: Engine, open_connector: OpenConnector, patience: Patience | None = None
    ) -> None:
        self._engine = engine
        self._open = open_connector
        self._patience = patience or Patience()

    @activity.defn(name=SETTLE_TAX_DOCUMENTS)
    async def settle(self, turn: TaxTurn) -> TaxTurnDone:
        """Make the calls of documents that are due, as far as the engine answers. Ending it anywhere loses nothing:
        each call stands in its row before it is sent."""
        try:
            async with beating():
                return await _Turn(self._engine, self._open, self._patience, turn).run()
        except Exception as error:
            # As what the database says, this may quote a row; the history shall not.
            raise ApplicationError(described(error), type=type(error).__name__) from None

    def all(self) -> list[Callable[..., Any]]:
        """Every activity, for the worker."""
        return [self.settle]


class _Turn:
    """One turn. away: what was found when the engine could not be reached; from then on no call is begun."""

    def __init__(
        self, engine: Engine, open_connector: OpenConnector, patience: Patience, turn: TaxTurn
    ) -> None:
        self._engine = engine
        self._open = open_connector
        self._patience = patience
        self._turn = turn
        self._away: Exception | None = None
        self._unreachable = ""
        self._settled = 0

    async def run(self) -> TaxTurnDone:
        name = self._turn.connection
        if self._turn.changed:
            await self._do(hasten, self._turn.changed)
        connector: Connector[Any] | None = None
        try:
            connector = await self._open(name)
            if not isinstance(connector, TaxEngine):
                raise DefinitionError(f"{connector.name} is no tax engine")
            if await self._healthy(connector):
                await self._settle_all(connector.records_charged)
        except (ConnectorError, DefinitionError, MissingSecret) as error:
            self._away = error
        finally:
            if connector is not None:
                await connector.aclose()
        left, _ = await self._do(unsettled, name)
        due = len(await self._do(due_documents, name, 1)) if left else 0
        done = TaxTurnDone(settled=self._settled, left=left, due=due)
        if self._away is not None:
            done.away = self._unreachable or kind_of(self._away).replace("_", " ")
            done.after_seconds = pause_after(self._away, 1).total_seconds()
            await self._do(note_away, name, done.away)
        elif self._turn.careful:
            await self._do(note_back, name)
        return done

    async def _healthy(self, connector: Connector[Any]) -> bool:
        """Whether calls may be made. After the engine was away its health is asked for first, since a call that it
        refuses would be parked."""
        if not self._turn.careful:
            return True
        try:
            async with asyncio.timeout(HEALTH_SECONDS):
                health = await connector.health()
        except TimeoutError:
            raise Transient("no answer") from None
        if not health.ok:
            self._away, self._unreachable = Transient(health.detail), "it does not answer as it should"
        return health.ok

    async def _settle_all(self, records_charged: bool) -> None:
        waiting = iter(await self._do(due_documents, self._turn.connection, IN_ONE_TURN))

        async def work() -> None:
            for document in waiting:
                if self._away is not None:
                    return
                try:
                    await self._settle(document, records_charged)
                except DATABASE_AWAY:
                    raise
                except Exception as error:  # whatever is wrong with one document must not stop the others
                    await self._do(set_aside, document, described(error))

        async with asyncio.TaskGroup() as group:
            for _ in range(SIDE_BY_SIDE):
                group.create_task(work())

    async def _settle(self, document: str, records_charged: bool) -> None:
        """One document, through as many calls as it needs."""
        ref: CallRef | None = await self._do(advance, document, records_charged=records_charged)
        while ref is not None:
            fail_point("before-tax-call")
            outcome = await self._called(ref)
            if outcome is None:
                return
            fail_point("after-tax-call")
            if outcome.status is CallStatus.UNKNOWN and outcome.again_at is not None:
                await self._do(postpone, document, outcome.again_at)
                return
            if outcome.error_kind == "unauthorized":
                self._away, self._unreachable = Transient("refused"), "it refuses our credentials"
            ref = await self._do(advance, document, records_charged=records_charged)
        self._settled += 1

    async def _called(self, ref: CallRef) -> CallOutcome | None:
        """One try, once it has its turn; None where the engine is away."""
        workflow_id = tax_documents_id(ref.connection)
        attempt = Attempt(self._engine, self._patience, method(ref.method), ref.call_id, workflow_id)
        since = time.monotonic()
        while True:
            try:
                return await attempt.go(self._open)
            except RateLimited as error:
                pause = pause_after(error, 1).total_seconds()
                if time.monotonic() + pause - since > IN_LINE_SECONDS:
                    self._away = error
                    return None
            except ConnectorError as error:
                self._away = error
                return None
            await asyncio.sleep(pause)

    async def _do(self, step: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        def run() -> T:
            with transaction(self._engine) as connection:
                return step(connection, *args, **kwargs)

        return await asyncio.to_thread(run)
