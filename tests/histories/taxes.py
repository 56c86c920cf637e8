"""The stories of tax documents, as `record` plays them: against AvaTax's stand-in on a real socket."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from sqlalchemy import Engine
from temporalio.client import Client, WorkflowHandle

from activities.tax_documents import TaxDocumentActivities
from connectors.avalara.connector import Avalara
from contracts.names import TASK_QUEUE, tax_documents_id
from contracts.tax import TaxDocumentsOrder
from sandbox.avatax.stand_in import AvaTaxStandIn
from tests.single_invoices import NAME, Shop
from workflows.tax_documents import TaxDocumentsWorkflow

Handle = WorkflowHandle[Any, Any]


class TaxStories:
    """Each method plays one story to its end."""

    def __init__(self, client: Client, engine: Engine, stand_in: AvaTaxStandIn) -> None:
        self._client = client
        self._shop = Shop(engine, Avalara, stand_in)

    def activities(self) -> list[Callable[..., Any]]:
        """What runs on the queue of calls."""
        return TaxDocumentActivities(self._shop.engine, self._shop.open).all()

    async def tax_documents(self) -> Handle:
        """Two invoices are recorded in one turn."""
        for _ in range(2):
            await self._shop.sell(self._shop.account())
        return await self._start()

    async def tax_documents_away(self) -> Handle:
        """The engine is away at first."""
        return await self.away_for(3)

    async def away_for(self, calls: int) -> Handle:
        """An invoice that is sold before the engine leaves so many calls unanswered."""
        await self._shop.sell(self._shop.account())
        self._shop.stand_in.inject("unavailable", times=calls)
        return await self._start()

    async def _start(self) -> Handle:
        return await self._client.start_workflow(
            TaxDocumentsWorkflow.run,
            TaxDocumentsOrder(connection=NAME),
            id=tax_documents_id(NAME),
            task_queue=TASK_QUEUE,
        )

    def stories(self) -> dict[str, Callable[[], Awaitable[Handle]]]:
        """All of them."""
        return {"tax_documents": self.tax_documents, "tax_documents_away": self.tax_documents_away}
