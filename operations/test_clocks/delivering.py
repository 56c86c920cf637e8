"""Licences and parcels of an account on a clock, at the instant on which it stands: what was answered is written down,
and what is due is asked for. The keeper of licences and parcels leaves it to this while the clock is on its way."""

from __future__ import annotations

from sqlalchemy import Engine

from contracts.connector_call import CallRef, CallStatus
from operations.fulfilment.sending import FulfilledBy, ask, begun
from operations.fulfilment.settling import take_note
from operations.test_clocks.playing import NotClocked
from storage.database import transaction
from storage.test_clocks import account_time

_OPEN = (CallStatus.INTENT, CallStatus.SENT, CallStatus.UNKNOWN)


def deliver(engine: Engine, fulfilled_by: FulfilledBy, account_id: str) -> list[CallRef]:
    """Take note of what the account's calls have come to, and write down those that are due. Those under way: to be
    started, and to be waited for before the account's time goes on; what is parked waits for a person, and time goes
    on without it. Raises NotClocked."""
    with transaction(engine) as connection:
        time = account_time(connection, account_id)
        if time is None:
            raise NotClocked(f"account {account_id} lives by no test clock")
        under_way = begun(connection, account_id, *_OPEN)
        while True:
            take_note(connection, time.clock_at, account_id)
            ask(connection, fulfilled_by, time.clock_at, account_id)
            before, under_way = under_way, begun(connection, account_id, *_OPEN)
            # A call that was answered after the notes were taken is under way no more: it has to be noted too.
            if {each.call_id for each in before} <= {each.call_id for each in under_way}:
                return under_way
