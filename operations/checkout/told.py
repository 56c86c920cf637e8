"""What a gateway tells by webhook wakes the checkout that waits for it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from contracts.checkout import CONFIRM
from contracts.names import checkout_id
from operations.webhooks_in.handlers import Outcome, Signal, keep_facts
from storage.database import PgConnection
from storage.inbound_endpoints import InboundEndpoint
from storage.webhook_inbox import StoredDelivery

# Our reference of the payment, wherever a vendor puts it.
_REFERENCE = re.compile(rb"checkout:([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})")


def keep_and_wake(
    connection: PgConnection, endpoint: InboundEndpoint, deliveries: Sequence[StoredDelivery]
) -> list[Outcome]:
    """Record each delivery as a fact, and let the checkouts that it names ask their gateway at once. What is told is a
    hint: a checkout believes what it is answered."""
    return [
        replace(outcome, signals=(*outcome.signals, *_signals(delivery.body)))
        for outcome, delivery in zip(keep_facts(connection, endpoint, deliveries), deliveries, strict=True)
    ]


def _signals(body: bytes) -> list[Signal]:
    named = dict.fromkeys(found.decode() for found in _REFERENCE.findall(body))
    return [Signal(checkout_id(each), CONFIRM) for each in named]
