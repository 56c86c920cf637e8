"""Calls to other systems, one activity per method of a capability: `payment.charge`, `tax.quote` and so on.

What is sent is written down before, and what came of it after; a try that finds an earlier one without an outcome never
sends blindly again. The names come from the capability classes, so that a new capability needs nothing here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol, TypeVar

from pydantic import ValidationError
from sqlalchemy import Engine
from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.errors import as_temporal, kind_of
from activities.heartbeat import beating, pulse
from connectors.sdk.config import MissingSecret
from connectors.sdk.connector import Connector
from connectors.sdk.context import traced
from connectors.sdk.errors import Broken, ConnectorError, DefinitionError, Transient, Unknown
from connectors.sdk.idempotency import ByFind, Idempotency, Native, idempotency_of
from connectors.sdk.key import Key
from connectors.sdk.methods import Method, all_methods, problems_of
from connectors.sdk.redaction import personal_values, redact
from connectors.sdk.resolution import Find, Park, after_not_found, after_unknown, pause
from contracts.connector_call import CallOutcome, CallRef, CallStatus
from contracts.parked import Action, Decided, Resolve
from operations.calls.sending import (
    Trouble,
    begin_send,
    leave_unknown,
    look,
    park_call,
    put_back,
    succeed,
)
from operations.parked.decide import CannotDecide, Decision, NoSuchPark, decide
from storage.calls import CallRow
from storage.database import transaction

T = TypeVar("T")

LONGEST_MESSAGE = 1000


class OpenConnector(Protocol):
    """Makes the connector of a connection, by name; whoever asked for it closes it."""

    async def __call__(self, name: str, /) -> Connector[Any]:
        """Raises DefinitionError or MissingSecret where the connection cannot be used as it is configured."""
        ...


@dataclass(frozen=True, slots=True)
class Patience:
    """How long tries go on by themselves before a person is asked.

    transient: while the other system is away. unknown: while it is being found out. send: one send at most, after which
    it counts as ended, here and at every other worker.
    """

    transient: timedelta = timedelta(hours=24)
    unknown: timedelta = timedelta(hours=48)
    send: timedelta = timedelta(seconds=90)


class ConnectorActivities:
    """Calls on the connections of `open_connector`, written down in the database of `engine`."""

    def __init__(
        self, engine: Engine, open_connector: OpenConnector, patience: Patience | None = None
    ) -> None:
        self._engine = engine
        self._open = open_connector
        self._patience = patience or Patience()

    async def perform(self, method: Method, ref: CallRef) -> CallOutcome:
        """One try of the call, as an activity. Raises an ApplicationError that is retried while nothing was applied."""
        info = activity.info()
        attempt = _Attempt(self._engine, self._patience, method, ref, info.workflow_id)
        try:
            async with beating():
                return await attempt.go(self._open)
        except ConnectorError as error:
            waited = info.current_attempt_scheduled_time - info.scheduled_time
            if waited >= self._patience.transient:
                return await attempt.give_up(error)
            raise as_temporal(error, tries=info.attempt, subject=f"{ref.method} of {ref.connection}") from None
        except LookupError as error:
            raise ApplicationError(str(error), type="UnknownCall", non_retryable=True) from error

    @activity.defn(name="decide_parked", no_thread_cancel_exception=True)
    def decide(self, order: Resolve) -> Decided:
        """Commit what a person decided about parked work."""
        if order.park_id is None or order.action is Action.EDIT:
            raise ApplicationError("name the parked work; edit it with the API", type="bad_order", non_retryable=True)
        decision = Decision(order.action, order.actor, order.reason, not_applied=order.not_applied)
        try:
            with pulse(), transaction(self._engine) as connection:
                return decide(connection, order.park_id, decision)
        except CannotDecide as error:
            raise ApplicationError(str(error), type=error.kind, non_retryable=True) from error
        except NoSuchPark as error:
            raise ApplicationError(str(error), type="no_such_park", non_retryable=True) from error

    def all(self) -> list[Callable[..., Any]]:
        """Every activity, for the worker: one for each method, and deciding."""
        return [*(self._activity(method) for method in all_methods().values()), self.decide]

    def _activity(self, method: Method) -> Callable[..., Any]:
        @activity.defn(name=method.name)
        async def call(ref: CallRef) -> CallOutcome:
            return await self.perform(method, ref)

        return call


class _Attempt:
    """One try of one call, with the connector that it opens."""

    def __init__(
        self, engine: Engine, patience: Patience, method: Method, ref: CallRef, workflow_id: str | None
    ) -> None:
        self._engine = engine
        self._patience = patience
        self._method = method
        self._ref = ref
        self._workflow_id = workflow_id

    async def go(self, open_connector: OpenConnector) -> CallOutcome:
        """The outcome, where there is one. Raises ConnectorError where nothing was applied and it may be tried again."""
        row, outcome = await self._do(look, self._ref.call_id)
        if outcome.status.settled or outcome.status is CallStatus.PARKED:
            return outcome
        try:
            arguments = self._method.arguments(row.request)
        except ValidationError as error:
            trouble = Trouble("rejected", "the request does not fit the method", "invalid_request", problems_of(error))
            return await self._park(row, trouble)
        try:
            connector = await open_connector(row.connection)
        except (DefinitionError, MissingSecret) as error:
            return await self._park(row, self._trouble(row, error))
        try:
            with traced(f"call/{row.id}"):
                return await _Call(self, connector, row, arguments).resolve_or_send()
        finally:
            await connector.aclose()

    async def give_up(self, error: ConnectorError) -> CallOutcome:
        """Park what has been tried for long enough."""
        row, outcome = await self._do(look, self._ref.call_id)
        if outcome.status in (CallStatus.INTENT, CallStatus.UNKNOWN):
            return await self._park(row, self._trouble(row, error))
        return outcome

    async def _park(self, row: CallRow, trouble: Trouble) -> CallOutcome:
        return await self.park(row, trouble, doubt=row.first_sent_at)

    async def park(self, row: CallRow, trouble: Trouble, *, doubt: datetime | None) -> CallOutcome:
        """Park the call as it was seen; doubt: since when a send may have been applied."""
        return await self._do(park_call, row, trouble, doubt=doubt, workflow_id=self._workflow_id)

    async def _do(self, step: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        def run() -> T:
            with transaction(self._engine) as connection:
                return step(connection, *args, **kwargs)

        # A cancellation must not leave a send without its outcome while the transaction is under way.
        return await asyncio.shield(asyncio.to_thread(run))
