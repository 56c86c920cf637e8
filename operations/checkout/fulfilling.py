"""What follows a sale outside: licences, parcels, and access in the identity system."""

from __future__ import annotations

from datetime import datetime

from contracts.checkout import Fulfilled
from contracts.connector_call import CallStatus
from operations.calls.prepare import ref_of
from operations.checkout.books import provisioning_key
from operations.fulfilment.sending import FulfilledBy, ask, begun
from storage.calls import calls_of_key
from storage.checkouts import read_checkout
from storage.database import PgConnection
from storage.fulfilments import unconnected


def fulfil(connection: PgConnection, checkout_id: str, now: datetime, fulfilled_by: FulfilledBy) -> Fulfilled:
    """Write down the calls that the sale brings, in the caller's transaction; those that were written down before and
    not sent yet are answered again."""
    row = read_checkout(connection, checkout_id)
    ask(connection, fulfilled_by, now, row.account_id)
    calls = begun(connection, row.account_id, CallStatus.INTENT)
    calls += [
        ref_of(each)
        for each in calls_of_key(connection, row.mode, "provisioning.put", provisioning_key(row.id))
        if each.status == CallStatus.INTENT
    ]
    return Fulfilled(calls=calls, unconnected=unconnected(connection, row.account_id))
