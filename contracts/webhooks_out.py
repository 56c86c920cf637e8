"""The delivery of webhooks to one subscriber's endpoint, across process borders. Instants are UTC; ids are opaque."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel

from contracts.names import WEBHOOK_QUEUE

WEBHOOK_DELIVERY_WORKFLOW = "WebhookDelivery"
LOOK_AGAIN = "look_again"


class DeliveryRequest(BaseModel):
    """Deliver what waits for one endpoint until nothing does. The counts go on through continue-as-new; `queue` is
    where the sending activities run."""

    endpoint_id: str
    queue: str = WEBHOOK_QUEUE
    delivered: int = 0
    failed: int = 0


class DeliverInput(BaseModel):
    """Send what is due at `now` to the endpoint, for a few seconds at most."""

    endpoint_id: str
    now: datetime


class DeliverOutput(BaseModel):
    """What one turn of sending came to.

    delivered, failed: attempts by how they ended. next_at: when the endpoint is to be looked at again, at once when it
    is not after the turn's `now`; None when nothing waits for it. status: the endpoint's.
    """

    status: str
    delivered: int = 0
    failed: int = 0
    next_at: datetime | None = None


class DeliveryResult(BaseModel):
    """Nothing waits for the endpoint any more: attempts by how they ended, since the workflow was opened."""

    endpoint_id: str
    status: str
    delivered: int
    failed: int
