"""Who gets which delivery: what changes accounts is never reached by another connection or the other mode."""

from __future__ import annotations

from operations.webhooks_in.apply import TRIES
from operations.webhooks_in.handlers import Outcome, WebhookHandlers, each
from storage.database import PgConnection, make_engine
from storage.inbound_endpoints import InboundEndpoint
from storage.webhook_inbox import StoredDelivery
from tests.conftest import PostgresForTests
from tests.operations.webhooks_in.inbox import Told, make_endpoint, put
from tests.operations.webhooks_in.test_apply import counted, drain, hurry, parks


def test_a_handler_for_one_connection_gets_no_other_connection_and_no_other_mode(
    pg_server: PostgresForTests,
) -> None:
    url = pg_server.fresh_database("handlers")
    engine = make_engine(url)
    mine = make_endpoint(url, "shop")
    test, other = make_endpoint(url, "shop", "test"), make_endpoint(url, "standard-webhooks")
    seen: list[str] = []

    @each
    def take(_: PgConnection, delivery: StoredDelivery, __: InboundEndpoint) -> Outcome:
        seen.append(delivery.key)
        return Outcome("taken")

    handlers = WebhookHandlers()
    handlers.register_for("shop", "live", "person.*", take)
    handlers.register_for(
        "standard-webhooks", "test", "person.*", take
    )  # as the recipe of all three is called
    for endpoint in (mine, test, other):
        put(url, endpoint, [Told(endpoint.id, kind="person.made"), Told(f"{endpoint.id}!", kind="plan.made")])
    for _ in range(TRIES):
        for endpoint in (mine, test, other):
            drain(engine, endpoint, handlers)
        hurry(url)
    assert seen == [mine.id]
    assert counted(url, mine) == {"done": 2}
    assert counted(url, test) == counted(url, other) == {"done": 1, "parked": 1}
    assert any(f"endpoint {test.id} is in test mode" in park["message"] for park in parks(engine))
    engine.dispose()
