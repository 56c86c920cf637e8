"""Dunning of accounts: its workflows, as others see them, and what those ask of the books."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any, NoReturn

from sqlalchemy import Engine
from temporalio import activity
from temporalio.client import Client
from temporalio.common import (
    SearchAttributePair,
    TypedSearchAttributes,
    WorkflowIDConflictPolicy,
    WorkflowIDReusePolicy,
)
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError, RPCStatusCode

from activities.call_attempt import OpenConnector
from activities.charges import ChargeSender
from activities.errors import Held, as_temporal
from activities.heartbeat import beating, pulse
from contracts.dunning import (
    DUNNING_WORKFLOW,
    LOOK_AGAIN,
    CaseStanding,
    ChargeAgainInput,
    ChargedAgain,
    DunInput,
    DunningRequest,
    DunningSweepInput,
    DunningSweepOutput,
    HoldInput,
    ReleaseInput,
)
from contracts.names import ACCOUNT, TASK_QUEUE, dunning_id
from operations.accounts.commands import CommandRefused, CommandReused, accepted
from operations.charges.begin import Beginning
from operations.charges.retrying import begin_again
from operations.dunning.holding import NoSuchCase, hold, release
from operations.dunning.look import dun, open_overdue_cases
from operations.tariffs import Tariffs
from storage.database import transaction
from storage.write_holds import WritesHeld, check_not_held

RPC_TIMEOUT = timedelta(seconds=10)
DETAILS = (
    "Open while the account owes something that is past due, or a charge of it failed. What is done when stands in the "
    "rule book's dunning policy. The case is a row in Postgres (`masthead dunning show`): ending or deleting this "
    "changes nothing there, and the keeper opens it again when something falls due. Control it with the updates hold "
    "(promise, dispute, pause) and release."
)


class DunningWorkflows:
    """The dunning of accounts, one workflow each."""

    def __init__(self, client: Client, task_queue: str = TASK_QUEUE) -> None:
        self._client = client
        self._task_queue = task_queue

    async def signal(self, account_id: str) -> None:
        """Let the account's dunning look at it again; open it where it is not open."""
        await self._start(account_id, LOOK_AGAIN)

    async def wake(self, account_id: str) -> None:
        """Let it look again if it is open."""
        handle = self._client.get_workflow_handle(dunning_id(account_id))
        try:
            await handle.signal(LOOK_AGAIN, rpc_timeout=RPC_TIMEOUT)
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise

    async def _start(self, account_id: str, signal: str) -> None:
        await self._client.start_workflow(
            DUNNING_WORKFLOW,
            DunningRequest(account_id=account_id),
            id=dunning_id(account_id),
            task_queue=self._task_queue,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
            start_signal=signal,
            search_attributes=TypedSearchAttributes([SearchAttributePair(ACCOUNT, account_id)]),
            static_summary="dunning of one account",
            static_details=DETAILS,
            rpc_timeout=RPC_TIMEOUT,
        )


class DunningActivities:
    """Dunning cases in the database of `engine`; accounts are charged again by the connections of `open_connector`."""

    def __init__(self, engine: Engine, open_connector: OpenConnector, tariffs: Tariffs | None = None) -> None:
        self._engine = engine
        self._tariffs = tariffs or Tariffs(engine)
        self._sender = ChargeSender(engine, open_connector, self._tariffs)

    @activity.defn(name="dun_account", no_thread_cancel_exception=True)
    def dun(self, order: DunInput) -> CaseStanding:
        """Do what dunning has for the account by now, and say where it stands. Not while external writes are held: what
        the account has paid since the backup is not known then, and the activity is tried again."""
        try:
            with pulse(), transaction(self._engine) as connection:
                check_not_held(connection)
                return dun(connection, self._tariffs.current(), order.account_id, order.now)
        except LookupError as error:
            raise ApplicationError(str(error), type="UnknownAccount", non_retryable=True) from error
        except WritesHeld as held:
            raise as_temporal(Held(str(held)), tries=activity.info().attempt, subject="dunning") from None

    @activity.defn(name="charge_dunned_account")
    async def charge_again(self, order: ChargeAgainInput) -> ChargedAgain:
        """Charge the account at once. What stays unknown, and what a dead worker leaves, is asked for later."""
        async with beating():
            beginning = await asyncio.to_thread(self._begin_again, order)
            if not beginning.begun:
                return ChargedAgain(begun=False, why=next((each.why for each in beginning.left), None))
            charges = [(each.charge_id, each.call.call_id) for each in beginning.begun]
            await self._sender.send(charges, order.now)
        return ChargedAgain(begun=True)

    def _begin_again(self, order: ChargeAgainInput) -> Beginning:
        with transaction(self._engine) as connection:
            return begin_again(connection, self._tariffs.current(), order.account_id, order.now)

    @activity.defn(name="hold_dunning", no_thread_cancel_exception=True)
    def hold(self, order: HoldInput) -> None:
        """Hold the account's dunning. A final Refused says why that cannot be."""
        try:
            with pulse(), transaction(self._engine) as connection:
                outcome = hold(connection, self._tariffs.current(), order.account_id, order.hold, order.now)
            accepted(outcome)
        except (NoSuchCase, CommandRefused, CommandReused) as error:
            _refuse(error)

    @activity.defn(name="release_dunning", no_thread_cancel_exception=True)
    def release(self, order: ReleaseInput) -> None:
        """Let the account's dunning go on. A final Refused says why that cannot be."""
        try:
            with pulse(), transaction(self._engine) as connection:
                tariff = self._tariffs.current()
                outcome = release(connection, tariff, order.account_id, order.release, order.now)
            accepted(outcome)
        except (NoSuchCase, CommandRefused, CommandReused) as error:
            _refuse(error)

    @activity.defn(name="open_dunning_cases", no_thread_cancel_exception=True)
    def sweep(self, order: DunningSweepInput) -> DunningSweepOutput:
        """Open cases of accounts with invoices past due, in one transaction."""
        with pulse(), transaction(self._engine) as connection:
            found = open_overdue_cases(connection, self._tariffs.current(), order.as_of, order.limit)
        return DunningSweepOutput(opened=found, more=found == order.limit)

    def all(self) -> list[Callable[..., Any]]:
        """Every activity, for the worker."""
        return [self.dun, self.charge_again, self.hold, self.release, self.sweep]


def _refuse(error: Exception) -> NoReturn:
    raise ApplicationError(str(error), type="Refused", non_retryable=True) from error
