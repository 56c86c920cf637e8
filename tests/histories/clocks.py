"""The stories of a test clock, as `record` plays them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

from sqlalchemy import Engine
from temporalio.client import Client, WorkflowHandle

from contracts.names import subscription_id, test_clock_id
from contracts.test_clock import ClockResult, ClockStatus
from domain.account.commands import Subscribe
from domain.account.terms import AccountTerms
from operations.accounts.commands import AccountCommands
from operations.test_clocks.clocks import ClockAccount, attach_accounts, create_clock
from storage.database import transaction
from workflows.clock_starts import advance_clock

BEGINS = datetime(2026, 1, 5, tzinfo=UTC)

Handle = WorkflowHandle[Any, Any]


class ClockStories:
    """Each method plays one story to its end."""

    def __init__(self, client: Client, engine: Engine) -> None:
        self._client = client
        self._engine = engine

    async def test_clock(self) -> Handle:
        """Forty days of one account, whose subscription begins and ends in them."""
        clock_id, _ = await asyncio.to_thread(self._open, "recorded clock")
        await advance_clock(self._client, clock_id, BEGINS + timedelta(days=40))
        return self._client.get_workflow_handle(test_clock_id(clock_id))

    async def subscription_on_a_clock(self) -> Handle:
        """The episode of that subscription: it begins, is waited for by the clock's time, and ends."""
        clock_id, own = await asyncio.to_thread(self._open, "recorded episode's clock")
        await advance_clock(self._client, clock_id, BEGINS + timedelta(days=40))
        await self._client.get_workflow_handle(test_clock_id(clock_id)).result()
        return self._client.get_workflow_handle(subscription_id(own))

    async def test_clock_failed(self) -> Handle:
        """An account cannot go on, and with it the clock."""
        clock_id, own = await asyncio.to_thread(self._open, "recorded clock that fails")
        with transaction(self._engine) as connection:
            connection.execute(
                "update account set currency = 'EUR' from subscription s where s.account_id = account.id and s.id = %s",
                (own,),
            )
        await advance_clock(self._client, clock_id, BEGINS + timedelta(days=40))
        handle = self._client.get_workflow_handle(test_clock_id(clock_id), result_type=ClockResult)
        if (await handle.result()).status is not ClockStatus.FAILED:
            raise AssertionError("the clock went on")
        return handle

    def stories(self) -> dict[str, Callable[[], Awaitable[Handle]]]:
        """All of them."""
        told = (self.test_clock, self.subscription_on_a_clock, self.test_clock_failed)
        return {story.__name__: story for story in told}

    def _open(self, name: str) -> tuple[str, str]:
        """A clock with an account that has a subscription; the ids of the clock and of the subscription."""
        clock = create_clock(self._engine, name, BEGINS)
        account = ClockAccount(external_key=name, terms=AccountTerms(currency="USD"))
        [account_id] = attach_accounts(self._engine, clock.id, [account])
        step = Subscribe(at=BEGINS.date(), do="subscribe", name=name, plan="daily", ends_on=date(2026, 1, 25))
        done = AccountCommands(self._engine).carry_out(account_id, name, step, BEGINS)
        return clock.id, done.answer["subscription"]["id"]
