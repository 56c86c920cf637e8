"""The event log for callers of the API: events with their instant, without those of accounts they may not see."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from storage.database import PgConnection
from storage.events import Cursor, read_batch
from storage.sight import Sight


class FedEvent(NamedTuple):
    """An event with the instant at which its transaction began."""

    place: Cursor
    kind: str
    account_id: str | None
    subject_id: str
    version: int
    at: datetime


class Feed(NamedTuple):
    """Events in order; `upto` is where to go on, and `more` whether anything may be there already."""

    events: list[FedEvent]
    upto: Cursor
    more: bool


def read_feed(connection: PgConnection, sight: Sight, after: Cursor, limit: int, kinds: list[str]) -> Feed:
    """Up to `limit` events of `kinds` (LIKE patterns) behind `after`: none that commits late is passed over. Events
    that are about no account are for everybody who is not bound to one."""
    batch = read_batch(connection, after, limit=limit, kinds=kinds)
    if not batch.events:
        return Feed([], batch.upto, batch.upto != after)
    rows = connection.execute(
        """
        select e.xid::text::bigint, e.id, e.at
        from unnest(%(xids)s::text[], %(ids)s::bigint[]) as wanted(xid, id)
        join event_log e on e.xid = wanted.xid::xid8 and e.id = wanted.id
        left join account a on a.id = e.account_id
        where (%(sight_mode)s::text is null or a.mode is null or a.mode = %(sight_mode)s)
          and (%(sight_account)s::uuid is null or e.account_id = %(sight_account)s::uuid)
          and (e.account_id is null or a.id is not null)
        """,
        {
            "xids": [str(event.at.xid) for event in batch.events],
            "ids": [event.at.id for event in batch.events],
            **sight.parameters,
        },
    )
    seen = {(xid, number): at for xid, number, at in rows}
    events = [
        FedEvent(*event, at=seen[event.at.xid, event.at.id])
        for event in batch.events
        if (event.at.xid, event.at.id) in seen
    ]
    return Feed(events, batch.upto, more=True)
