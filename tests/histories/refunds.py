"""The stories of refunds, as `record` plays them: against both gateways' stand-ins on real sockets."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from temporalio.client import WorkflowHandle

from connectors.sdk.connector import Connector
from storage.refunds import RefundRow
from tests.workflows.refunding import Till

Handle = WorkflowHandle[Any, Any]
Open = Callable[[str], Awaitable[Connector[Any]]]


class RefundStories:
    """Each method plays one story to its end. others: who opens the connections of other stories."""

    def __init__(self, till: Till, others: Open) -> None:
        self._till = till
        self._others = others

    async def open(self, name: str, /) -> Connector[Any]:
        """A connection of any story."""
        return await (self._till.open(name) if name in self._till.gateways else self._others(name))

    async def refund(self) -> Handle:
        """The gateway pays at once."""
        _, handle = await self._asked("stripe")
        return handle

    async def refund_told_later(self) -> Handle:
        """The gateway takes it, and tells later that it has paid."""
        row, handle = await self._asked("adyen")
        await self._till.told_of(row)
        return handle

    async def refund_refused(self) -> Handle:
        """The gateway refuses it for good."""
        _, handle = await self._asked("stripe", "rejected")
        return handle

    async def refund_in_doubt(self) -> Handle:
        """Its answer is lost and the second try refused; a person is asked, and then the gateway tells."""
        row, handle = await self._asked("stripe", "drop_after", "rejected")
        await self._till.until("a person is asked", lambda: self._till.row(row).park_id)
        await self._till.tell("stripe")
        return handle

    def stories(self) -> dict[str, Callable[[], Awaitable[Handle]]]:
        """All of them."""
        told = (self.refund, self.refund_told_later, self.refund_refused, self.refund_in_doubt)
        return {story.__name__: story for story in told}

    async def _asked(self, gateway: str, *faults: str) -> tuple[RefundRow, Handle]:
        row = self._till.ask(await self._till.paid(gateway), "1.00")
        for fault in faults:
            self._till.gateways[gateway].inject(fault, path="*refunds*")
        return row, await self._till.start(row)
