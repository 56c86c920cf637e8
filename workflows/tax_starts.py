"""How the process that records documents at a tax engine is started."""

from __future__ import annotations

from datetime import timedelta

from temporalio.client import Client
from temporalio.common import (
    SearchAttributePair,
    TypedSearchAttributes,
    WorkflowIDConflictPolicy,
    WorkflowIDReusePolicy,
)

from contracts.names import CONNECTOR, TASK_QUEUE, tax_documents_id
from contracts.tax import TaxDocumentsOrder
from workflows.tax_documents import TaxDocumentsWorkflow

RPC_TIMEOUT = timedelta(seconds=10)


async def start_tax_documents(client: Client, connection: str) -> None:
    """Start it, or leave the one that goes on in peace. Raises temporalio.service.RPCError while Temporal is away."""
    await client.start_workflow(
        TaxDocumentsWorkflow.run,
        TaxDocumentsOrder(connection=connection),
        id=tax_documents_id(connection),
        task_queue=TASK_QUEUE,
        id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
        id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
        search_attributes=TypedSearchAttributes([SearchAttributePair(CONNECTOR, connection)]),
        static_summary=f"Tax documents of {connection}",
        static_details=(
            "Records the documents of posted invoices at the tax engine, some hundred in a turn, and waits while it is "
            "away. Each stands in Postgres with its call, so that ending this loses nothing: it is started again."
        ),
        rpc_timeout=RPC_TIMEOUT,
    )
