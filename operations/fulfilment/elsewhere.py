"""An address that has changed reaches the parcels that are not with the carrier yet."""

from __future__ import annotations

from datetime import datetime

from operations.fulfilment.noting import recall
from storage.database import PgConnection
from storage.fulfilments import note_address_change


def send_elsewhere(connection: PgConnection, account_id: str, now: datetime) -> None:
    """Have parcels sent to the address that the account has now: what was not asked for yet goes there, a call that was
    surely not applied is taken back and written anew, and a label that can still be given back is bought again."""
    for row in note_address_change(connection, account_id, now):
        if row.sent_to != row.digest and row.step == "shipping.buy":
            recall(connection, row, now)
