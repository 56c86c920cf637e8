"""Flows told by webhooks: a webhook of another connection or mode never reaches a flow."""

from __future__ import annotations

from pathlib import Path

import pytest

from activities.sync_flow import ConnectionFlows, InboundFlow
from operations.webhooks_in.apply import apply_batch
from operations.webhooks_in.handlers import WebhookHandlers
from runtime.flow_handlers import handler_of
from runtime.flow_source import read_flow
from runtime.syncs import _take_webhooks
from storage.database import make_engine
from tests.conftest import PostgresForTests
from tests.operations.webhooks_in.inbox import Told, make_endpoint, put, rows
from tests.runtime.test_flow_source import INBOUND


@pytest.mark.parametrize("registered", [True, False], ids=["as workers do", "for everything"])
def test_only_webhooks_of_its_connection_in_its_mode_reach_a_flow(
    pg_server: PostgresForTests, tmp_path: Path, registered: bool
) -> None:
    url = pg_server.fresh_database("flow_handlers")
    file = tmp_path / "flow.yaml"
    file.write_text(INBOUND.strip().replace("from: crm.changes contact", "from: webhook person.made") + "\n")
    flow = read_flow(file)
    assert isinstance(flow, InboundFlow)
    flows = ConnectionFlows("shop", "live", (flow,))
    handlers, engine = WebhookHandlers(), make_engine(url)
    if registered:
        _take_webhooks({"shop": flows}.get, "shop", handlers, engine)
    else:
        handlers.register("*/*", handler_of(flows.plan(flow), flow))
    endpoints = [
        make_endpoint(url, "shop"),
        make_endpoint(url, "shop", "test"),
        make_endpoint(url, "crm"),
        make_endpoint(url, "standard-webhooks"),  # called as the recipe of all of them
    ]
    for endpoint in endpoints:
        put(url, endpoint, [Told(endpoint.id, kind="person.made")])
        apply_batch(engine, endpoint, handlers)
    engine.dispose()
    reached = rows(
        url,
        "select endpoint_id::text from webhook_delivery where effect like %s",
        f"{flow.document.command}: %",
    )
    assert reached == [(endpoints[0].id,)]
    assert rows(url, "select distinct mode, connection from parked") == [("live", "shop")]
