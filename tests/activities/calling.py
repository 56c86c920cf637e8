"""Calls prepared and tried as a worker does, without a workflow, on a real database."""

from __future__ import annotations

import dataclasses
import uuid
from datetime import timedelta
from typing import Any

from sqlalchemy import Engine
from temporalio.testing import ActivityEnvironment

from activities.call_attempt import Patience
from activities.connectors import ConnectorActivities
from connectors.sdk.methods import method
from contracts.connector_call import CallOutcome, CallRef
from operations.calls.prepare import CallOrder, PreparedCall, prepare_call
from storage.database import transaction
from tests.activities.acme import Opener

# Canaries: none of these may be seen anywhere but in the row of the call and at the vendor.
NAME, MAIL, STREET = "Zenobia Quillfeather", "zenobia@quillfeather.example", "17 Canary Wharf Steps"

CHARGE = {
    "reference": "pay-1",
    "amount": 1290,
    "currency": "USD",
    "method": "pm_1",
    "description": "December",
}
PARCEL = {
    "order": "ship-1",
    "name": NAME,
    "to": {"line1": STREET, "city": "Springfield", "postal_code": "12345", "country": "US"},
    "sender": {"line1": "1 Press Row", "city": "Newton", "country": "US"},
    "weight": 300,
}
LETTER = {
    "sender": "desk@paper.example",
    "to": f"{NAME} <{MAIL}>",
    "subject": "Welcome",
    "text": f"Dear {NAME}",
}
USER = {"external_id": "acct-1", "user_name": MAIL, "family_name": "Quillfeather", "features": ["news"]}

REQUESTS: dict[str, tuple[str, dict[str, Any]]] = {
    "pay": ("payment.charge", CHARGE),
    "ship": ("shipping.buy", PARCEL),
    "mail": ("mail.send", LETTER),
    "users": ("provisioning.put", USER),
}


def prepare(engine: Engine, to: str, key: str | None = None, **more: Any) -> PreparedCall:
    """Write the intent of the usual call of a connection, under a key of its own."""
    name, request = REQUESTS[to]
    fields = {
        name: value for name, value in more.items() if name in ("trace_key", "workflow_id", "account_id")
    }
    changed = {name: value for name, value in more.items() if name not in fields}
    order = CallOrder(to, name, key or f"{to}:{uuid.uuid4()}", request | changed, **fields)
    with transaction(engine) as connection:
        return prepare_call(connection, order)


class Tries:
    """Tries of calls, each as one attempt of its activity."""

    def __init__(self, engine: Engine, url: str, patience: Patience | None = None) -> None:
        self.engine = engine
        self.opener = Opener(url)
        self.activities = ConnectorActivities(engine, self.opener, patience)

    async def once(self, ref: CallRef, *, attempt: int = 1, waited: timedelta = timedelta()) -> CallOutcome:
        """One try; the activity's `attempt`, with `waited` gone by since it was scheduled first."""
        environment = ActivityEnvironment()
        info = environment.info
        environment.info = dataclasses.replace(
            info,
            attempt=attempt,
            current_attempt_scheduled_time=info.scheduled_time + waited,
            heartbeat_timeout=timedelta(seconds=10),
        )
        return await environment.run(self.activities.perform, method(ref.method), ref)
