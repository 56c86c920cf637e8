"""Grants written with the account that they follow from."""

from __future__ import annotations

from datetime import datetime

from domain.entitlements import AccessFacts, Plans, grants_of
from domain.policy import AccessPolicy
from storage.database import PgConnection
from storage.entitlements import put_grants
from storage.events import NewEvent, append_events


def save_grants(
    connection: PgConnection,
    account_id: str,
    mode: str,
    facts: AccessFacts,
    plans: Plans,
    policy: AccessPolicy,
    *,
    now: datetime,
) -> list[NewEvent]:
    """Bring the account's grants to what `facts` give, with their events, in the caller's transaction, which holds the
    account's row. Answers the events, which are appended already."""
    events = put_grants(connection, account_id, mode, grants_of(facts, plans, policy), now=now)
    append_events(connection, events)
    return events
