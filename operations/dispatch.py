"""Which subscriptions need follow-up: those that events name, and those whose dates come near."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Engine
from uuid_utils import uuid7

from contracts.names import parse_subscription_id, subscription_id
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


FOLLOW_UP = "follow-up"  # the kind of parked work
STUCK_AFTER_SECONDS = 300.0
BEHIND_COUNTED_UP_TO = 1000

# Somebody who changed a subscription waits for the effect, an import of a million does not: neither is held up by the
# other, and imports can go at a slower pace.
IMPORTS = Lane("dispatcher/imports", ("subscription.imported",))
CHANGES = Lane("dispatcher/changes", ("subscription.%",), but=IMPORTS.kinds)


class Refused(NamedTuple):
    """A follow-up that Temporal refuses however often it is tried: the kind of the error, and what was said."""

    ref: EpisodeRef
    error_kind: str
    message: str


class LaneBehind(NamedTuple):
    """How far a lane is behind: events that it can read by now (counted up to
    `BEHIND_COUNTED_UP_TO`), and for how many seconds
    the first of them has been there."""

    name: str
    events: int
    oldest_seconds: float

    @property
    def stuck(self) -> bool:
        """Whether its first event has waited longer than the slowest batch takes (500 imports at 10 a second)."""
        return self.oldest_seconds > STUCK_AFTER_SECONDS


class FollowUps(NamedTuple):
    """The subscriptions that a batch of events names: those with a date or a follow-up within the horizon, which need
    an episode, and the others, for which only an episode that is open has to hear of it."""

    near: list[EpisodeRef]
    quiet: list[EpisodeRef]
    seen: Cursor
    upto: Cursor
    more: bool


def next_follow_ups(connection: PgConnection, lane: Lane, now: datetime, *, limit: int = 500) -> FollowUps:
    """The follow-ups of the next events of `lane`. Writes nothing: call `follow_ups_done` once they are carried out,
    and after a failure in between they come again.

    Test-mode subscriptions are left out: their dates are those of a clock of their own.
    """
    seen = read_cursor(connection, lane.cursor)
    batch = read_batch(connection, seen, limit=limit, kinds=lane.kinds, but=lane.but)
    near, quiet = _near_and_quiet(connection, {event.subject_id for event in batch.events}, now)
    return FollowUps(near, quiet, seen, batch.upto, batch.more)


def _near_and_quiet(
    connection: PgConnection, subscriptions: Collection[str], now: datetime
) -> tuple[list[EpisodeRef], list[EpisodeRef]]:
    near: list[EpisodeRef] = []
    quiet: list[EpisodeRef] = []
    if subscriptions:
        for subscription, account, is_near in connection.execute(
            "select id::text, account_id::text, coalesce(next_due <= %(until)s, false) or exists ("
            " select 1 from follow_up f"
            " where f.subscription_id = s.id and f.done_at is null and f.due_at <= %(until)s)"
            " from subscription s where id = any(%(ids)s::uuid[]) and mode = 'live' order by id",
            {"until": now + HORIZON, "ids": id_array(subscriptions)},
        ):
            (near if is_near else quiet).append(EpisodeRef(subscription, account))
    return near, quiet


def follow_ups_done(connection: PgConnection, lane: Lane, done: FollowUps) -> bool:
    """Move the lane's cursor; False when somebody else moved it meanwhile."""
    return move_cursor(connection, lane.cursor, done.seen, done.upto)


def park_follow_ups(connection: PgConnection, refused: Sequence[Refused]) -> None:
    """Put follow-ups that cannot be carried out among the parked work, once each while they are open there."""
    with connection.cursor() as cursor:
        cursor.executemany(
            """
            insert into parked (id, mode, kind, trace_key, account_id, error_kind, message, remedy)
            values (%s, 'live', %s, %s, %s, %s, %s, %s)
            on conflict (mode, kind, trace_key) where resolved_at is null do update
            set times = parked.times + 1, last_seen_at = now(), error_kind = excluded.error_kind,
                message = excluded.message
            """,
            [
                (
                    str(uuid7()),
                    FOLLOW_UP,
                    subscription_id(each.ref.subscription_id),
                    each.ref.account_id,
                    each.error_kind,
                    each.message,
                    f"Bills do not wait for it. See the workflow {subscription_id(each.ref.subscription_id)} in the "
                    "Temporal UI; terminating it loses nothing. It is tried again every few minutes.",
                )
                for each in refused
            ],
        )


def parked_follow_ups(
    connection: PgConnection, now: datetime, *, limit: int = 500
) -> tuple[list[EpisodeRef], list[EpisodeRef]]:
    """The follow-ups that are parked, those not seen for longest first: as in FollowUps, the near and the quiet."""
    rows = connection.execute(
        "select trace_key from parked where kind = %s and resolved_at is null order by last_seen_at limit %s",
        (FOLLOW_UP, limit),
    )
    return _near_and_quiet(connection, [parse_subscription_id(key) for (key,) in rows], now)


def follow_ups_carried_out(connection: PgConnection, refs: Sequence[EpisodeRef]) -> None:
    """Close the parks of follow-ups that have been carried out after all."""
    connection.execute(
        "update parked set resolved_at = now(), resolution = 'carried out' where mode = 'live' and kind = %s"
        " and resolved_at is null and trace_key = any(%s)",
        (FOLLOW_UP, [subscription_id(ref.subscription_id) for ref in refs]),
    )


def lanes_behind(connection: PgConnection) -> list[LaneBehind]:
    """How far each of the dispatcher's lanes is behind. Events that nobody can read yet, because an older transaction
    is open, are not counted (`reader_lag` tells of those)."""
    found = []
    for lane in (CHANGES, IMPORTS):
        seen = read_cursor(connection, lane.cursor)
        batch = read_batch(connection, seen, limit=BEHIND_COUNTED_UP_TO)
        first = seen if seen.epoch == batch.upto.epoch else Cursor(batch.upto.epoch, 0, 0)
        row = connection.execute(
            "select extract(epoch from clock_timestamp() - at)::float8 from event_log"
            " where epoch = %s and (xid, id) > (%s::text::xid8, %s) order by xid, id limit 1",
            first,
        ).fetchone()
        waiting = len(batch.events)
        found.append(LaneBehind(lane.cursor, waiting, float(row[0]) if row and waiting else 0.0))
    return found


def due_page(
    engine: Engine, *, after: SweepPosition | None, until: datetime, limit: int
) -> tuple[list[EpisodeRef], SweepPosition | None]:
    """Up to `limit` live subscriptions whose next date, or a follow-up that is not done, is at or before `until`, in
    the order of their dates, behind `after`; and the position of the last one. One may come for each of its dates."""
    condition = "" if after is None else "and ({due}, {id}) > (%(due)s, %(id)s::uuid)"
    parameters: dict[str, Any] = {"until": until, "limit": limit}
    if after is not None:
        parameters |= {"due": after.due, "id": after.subscription_id}
    dates = condition.format(due="next_due", id="id")
    follow_ups = condition.format(due="due_at", id="subscription_id")
    with transaction(engine) as connection:
        rows = connection.execute(
            f"""
            select id::text, account_id::text, due from (
                (select id, account_id, next_due as due from subscription
                 where next_due <= %(until)s {dates} and mode = 'live' order by next_due, id limit %(limit)s)
                union
                (select subscription_id, account_id, due_at from follow_up
                 where done_at is null and due_at <= %(until)s {follow_ups} and mode = 'live'
                 order by due_at, subscription_id limit %(limit)s)
            ) d order by due, d.id limit %(limit)s
            """.encode(),
            parameters,
        ).fetchall()
    if not rows:
        return [], None
    page = [EpisodeRef(subscription, account) for subscription, account, _ in rows]
    return page, SweepPosition(due=rows[-1][2], subscription_id=rows[-1][0])
