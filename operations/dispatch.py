"""Which subscriptions need follow-up: those that events name, and those whose dates come near."""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Engine

from contracts.subscription import HORIZON, EpisodeRef
from contracts.sweep import SweepPosition
from storage.copying import id_array
from storage.database import PgConnection, transaction
from storage.events import Cursor, move_cursor, read_batch, read_cursor


class Lane(NamedTuple):
    """One of the dispatcher's readings of the event log: its cursor, the kinds it follows up, and those among them
    that it leaves to others."""

    cursor: str
    kinds: tuple[str, ...]
    but: tuple[str, ...] = ()


# Somebody who changed a subscription waits for the effect, an import of a million does not: neither is held up by the
# other, and imports can go at a slower pace.
IMPORTS = Lane("dispatcher/imports", ("subscription.imported",))
CHANGES = Lane("dispatcher/changes", ("subscription.%",), but=IMPORTS.kinds)


class FollowUps(NamedTuple):
    """The subscriptions that a batch of events names: those with a date within the horizon, which need an episode,
    and the others, for which only an episode that is open has to hear of it."""

    near: list[EpisodeRef]
    quiet: list[EpisodeRef]
    seen: Cursor
    upto: Cursor
    passed: int


def next_follow_ups(connection: PgConnection, lane: Lane, now: datetime, *, limit: int = 500) -> FollowUps:
    """The follow-ups of the next events of `lane`. Writes nothing: call `follow_ups_done` once they are carried out,
    and after a failure in between they come again.

    Test-mode subscriptions are left out: their dates are those of a clock of their own.
    """
    seen = read_cursor(connection, lane.cursor)
    batch = read_batch(connection, seen, limit=limit, kinds=lane.kinds, but=lane.but)
    subscriptions = {event.subject_id for event in batch.events}
    near: list[EpisodeRef] = []
    quiet: list[EpisodeRef] = []
    if subscriptions:
        for subscription_id, account_id, is_near in connection.execute(
            "select id::text, account_id::text, coalesce(next_due <= %s, false) from subscription"
            " where id = any(%s::uuid[]) and mode = 'live' order by id",
            (now + HORIZON, id_array(subscriptions)),
        ):
            (near if is_near else quiet).append(EpisodeRef(subscription_id, account_id))
    return FollowUps(near, quiet, seen, batch.upto, batch.passed)


def follow_ups_done(connection: PgConnection, lane: Lane, done: FollowUps) -> bool:
    """Move the lane's cursor; False when somebody else moved it meanwhile."""
    return move_cursor(connection, lane.cursor, done.seen, done.upto)


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
