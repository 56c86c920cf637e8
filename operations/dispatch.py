"""Which subscriptions need follow-up: those that events name, and those whose dates come near."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Engine

from contracts.subscription import HORIZON, EpisodeRef
from contracts.sweep import SweepPosition
from storage.copying import id_array
from storage.database import PgConnection, transaction
from storage.events import Cursor, Event, move_cursor, read_batch, read_cursor

DISPATCHER = "dispatcher"
FOLLOWED = ("subscription.%",)
# A new subscription has no episode yet that could have to look again.
_BEGINS = frozenset({"subscription.imported"})


class FollowUps(NamedTuple):
    """What a batch of events asks for: `signal` opens an episode or wakes the open one; `wake` is for subscriptions
    with nothing dated near, where only an episode that is open has to hear of it."""

    signal: list[EpisodeRef]
    wake: list[EpisodeRef]
    seen: Cursor
    upto: Cursor
    passed: int


def next_follow_ups(connection: PgConnection, now: datetime, *, limit: int = 1000) -> FollowUps:
    """The follow-ups of the next events in the dispatcher's reading. Writes nothing: call `follow_ups_done` once
    they are carried out, and after a failure in between they come again.

    Test-mode subscriptions are left out: their dates are those of a clock of their own.
    """
    seen = read_cursor(connection, DISPATCHER)
    batch = read_batch(connection, seen, limit=limit, kinds=FOLLOWED)
    subscriptions = list(dict.fromkeys(event.subject_id for event in batch.events))
    signal: list[EpisodeRef] = []
    wake: list[EpisodeRef] = []
    if subscriptions:
        known_before = _known_before(batch.events)
        for subscription_id, account_id, near in connection.execute(
            "select id::text, account_id::text, coalesce(next_due <= %s, false) from subscription"
            " where id = any(%s::uuid[]) and mode = 'live' order by id",
            (now + HORIZON, id_array(subscriptions)),
        ):
            ref = EpisodeRef(subscription_id, account_id)
            if near:
                signal.append(ref)
            elif subscription_id in known_before:
                wake.append(ref)
    return FollowUps(signal, wake, seen, batch.upto, batch.passed)


def follow_ups_done(connection: PgConnection, done: FollowUps) -> bool:
    """Move the dispatcher's cursor; False when somebody else moved it meanwhile."""
    return move_cursor(connection, DISPATCHER, done.seen, done.upto)


def due_page(
    engine: Engine, *, after: SweepPosition | None, until: datetime, limit: int
) -> tuple[list[EpisodeRef], SweepPosition | None]:
    """Up to `limit` live subscriptions whose next date is at or before `until`, in the order of their dates, behind
    `after`; and the position of the last one."""
    condition = "" if after is None else "and (next_due, id) > (%(due)s, %(id)s::uuid)"
    parameters: dict[str, Any] = {"until": until, "limit": limit}
    if after is not None:
        parameters |= {"due": after.due, "id": after.subscription_id}
    with transaction(engine) as connection:
        rows = connection.execute(
            f"select id::text, account_id::text, next_due from subscription where next_due <= %(until)s {condition}"
            " and mode = 'live' order by next_due, id limit %(limit)s".encode(),
            parameters,
        ).fetchall()
    if not rows:
        return [], None
    page = [EpisodeRef(subscription_id, account_id) for subscription_id, account_id, _ in rows]
    return page, SweepPosition(due=rows[-1][2], subscription_id=rows[-1][0])


def _known_before(events: Iterable[Event]) -> set[str]:
    return {event.subject_id for event in events if event.kind not in _BEGINS}
