"""Asking another system what has changed there, and carrying it out as commands."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple

from activities.sync_flow import InboundFlow
from connectors.sdk.connector import Connector
from connectors.sdk.errors import Broken
from connectors.sdk.mapping import Drift
from operations.sync.batch import Plan
from operations.sync.inbound import Applied, Told, account_key_of, apply_page, inbound_cursor
from storage.database import PgConnection

RunInThread = Callable[..., Awaitable[Any]]


class PageRead(NamedTuple):
    """What came of a page. more: there was something, and there may be more right now."""

    applied: Applied
    more: bool


async def read_page(
    run: RunInThread,
    session: PgConnection,
    plan: Plan,
    flow: InboundFlow,
    connector: Connector[Any],
    written_by: Sequence[str],
) -> PageRead:
    """Ask for what has changed since the flow's cursor, apply it, and move the cursor with it.

    Raises ConnectorError.
    """
    if flow.pull is None:
        raise TypeError("the flow is told by webhooks")
    seen = await run(inbound_cursor, session, plan)
    page = await getattr(connector, flow.pull.function)(*flow.arguments, seen)
    if page.next is not None and page.next == seen and page.items:
        raise Broken("the other system answers changes with the cursor that it was asked with")
    if page.next is not None and "\0" in page.next:
        raise Broken(
            "the other system answers changes with a cursor that cannot be kept: it has a NUL character"
        )

    def apply() -> Applied:
        with session.transaction():
            told = [
                _told(session, plan, flow, item.model_dump(mode="json"), written_by) for item in page.items
            ]
            return apply_page(session, plan, flow.command, told, seen=seen, to=page.next)

    applied: Applied = await run(apply)
    return PageRead(applied, more=bool(page.items) and page.next is not None)


def _told(
    session: PgConnection, plan: Plan, flow: InboundFlow, item: dict[str, Any], written_by: Sequence[str]
) -> Told:
    vendor_id = str(item.get("vendor_id") or "")
    if not item.get("key") and vendor_id:
        item["key"] = account_key_of(session, plan, written_by, vendor_id)
    mapped = flow.mapping.apply(item)
    key = vendor_id or str(item.get("key") or "")
    if isinstance(mapped, Drift):
        return Told(key, None, str(mapped))
    return Told(key, dict(mapped))
