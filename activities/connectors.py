"""Calls to other systems, one activity per method of a capability: `payment.charge`, `tax.quote` and so on.

The names come from the capability classes, so that a new capability needs nothing here. In and out go ids, statuses
and amounts only: what is sent and answered lies in the call's row.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import Engine
from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.call_attempt import Attempt, OpenConnector, Patience, described
from activities.errors import Held, as_temporal
from activities.heartbeat import beating
from connectors.sdk.errors import ConnectorError
from connectors.sdk.methods import Method, all_methods
from contracts.connector_call import CallOutcome, CallRef
from storage.calls import NoSuchCall


class ConnectorActivities:
    """Calls on the connections of `open_connector`, written down in the database of `engine`."""

    def __init__(
        self, engine: Engine, open_connector: OpenConnector, patience: Patience | None = None
    ) -> None:
        self._engine = engine
        self._open = open_connector
        self._patience = patience or Patience()

    async def perform(self, method: Method, ref: CallRef) -> CallOutcome:
        """One try of the call. Raises an ApplicationError that Temporal tries again while nothing was applied; after
        `Patience.transient` the call is parked instead."""
        info = activity.info()
        attempt = Attempt(self._engine, self._patience, method, ref.call_id, info.workflow_id)
        try:
            async with beating():
                return await attempt.go(self._open)
        except ConnectorError as error:
            tried_for = info.current_attempt_scheduled_time - info.scheduled_time
            if tried_for >= self._patience.transient and not isinstance(error, Held):
                return await attempt.give_up(error)
            raise as_temporal(
                error, tries=info.attempt, subject=f"{ref.method} of {ref.connection}"
            ) from None
        except NoSuchCall as error:
            raise ApplicationError(str(error), type="UnknownCall", non_retryable=True) from None
        except Exception as error:
            # As what the database says, this may quote a row; the history shall not.
            raise ApplicationError(described(error), type=type(error).__name__) from None

    def all(self) -> list[Callable[..., Any]]:
        """Every activity, for the worker: one for each method."""
        return [self._activity(method) for method in all_methods().values()]

    def _activity(self, method: Method) -> Callable[..., Any]:
        @activity.defn(name=method.name)
        async def call(ref: CallRef) -> CallOutcome:
            return await self.perform(method, ref)

        return call
