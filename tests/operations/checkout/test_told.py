"""What a gateway tells by webhook wakes the checkout that it names, and is kept as a fact."""

from __future__ import annotations

import json

from operations.checkout.told import keep_and_wake
from operations.webhooks_in.apply import apply_batch
from operations.webhooks_in.handlers import Signal, WebhookHandlers
from storage.database import make_engine
from tests.conftest import PostgresForTests
from tests.operations.webhooks_in.inbox import Told, make_endpoint, put, rows

OWN = "01a205bd-0000-7000-8000-000000000001"


def test_only_the_checkout_that_is_named_is_woken(pg_server: PostgresForTests) -> None:
    url = pg_server.fresh_database("told")
    engine = make_engine(url)
    endpoint = make_endpoint(url, "cards")
    # Wherever a vendor puts our reference, and however often.
    deep = {"data": {"object": {"metadata": {"any_name": f"checkout:{OWN}"}, "also": f"checkout:{OWN}"}}}
    put(
        url,
        endpoint,
        [
            Told("a", about="pi_1", body=json.dumps(deep).encode()),
            Told("b", about="pi_2", body=b'{"reference": "pay-1", "note": "checkout:no-id"}'),
        ],
    )
    applied = apply_batch(engine, endpoint, WebhookHandlers(keep_and_wake))
    engine.dispose()
    assert list(applied.signals) == [Signal(f"checkout/{OWN}", "confirm")]
    assert rows(url, "select count(*) from vendor_fact") == [(2,)]
