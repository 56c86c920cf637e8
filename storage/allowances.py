"""Places in metered allowances. A reader's allowance of five has the places 1 to 5, each held by one article while it
counts; a place is taken by the insert or update of its one row, so that two can never have the same."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from domain.media.metering import Counted

VISITOR = "visitor:"  # before the key of a reader who is not logged in

# Parameters: subscriber, feature, mode, the first day of which articles still count.
FIND_COUNTED = (
    "select place, resource, counted_on from allowance_use"
    " where subscriber = %s and feature = %s and mode = %s and counted_on >= %s"
)

# A row when the place was free, none when somebody else has it by now.
# Parameters: subscriber, feature, mode, place, resource, counted on, free on, the first day that still counts.
TAKE_PLACE = (
    "insert into allowance_use as held (subscriber, feature, mode, place, resource, counted_on, free_on)"
    " values (%s, %s, %s, %s, %s, %s, %s) on conflict (subscriber, feature, mode, place) do update set"
    " resource = excluded.resource, counted_on = excluded.counted_on, free_on = excluded.free_on"
    " where held.counted_on < %s returning place"
)

# Rows that have counted no more since before a day. Parameters: the day, how many at most.
FORGET_USES = (
    "delete from allowance_use where ctid = any(array("
    "select ctid from allowance_use where free_on < %s limit %s for update skip locked))"
)

# Parameters: subscriber, mode.
FIND_USED_FEATURES = "select distinct feature from allowance_use where subscriber = %s and mode = %s"

# The time zone of the account by whose grant somebody reads, or whose id the subscriber is.
# Parameters: subscriber, feature, mode, the subscriber as an id or None.
FIND_ZONE = (
    "select time_zone from account where id = coalesce((select account_id from entitlement_grant"
    " where subscriber = %s and feature = %s and mode = %s limit 1), %s::uuid)"
)

# The instant of the test clock by which that account lives; no row where it lives by none. Parameters: the same.
FIND_CLOCK = FIND_ZONE.replace("select time_zone", "select clock_at") + " and clock_at is not null"


def counted_of(rows: Collection[tuple[Any, ...]]) -> frozenset[Counted]:
    """The articles of rows of `FIND_COUNTED`."""
    return frozenset(Counted(resource, day) for _place, resource, day in rows)


def free_place(rows: Collection[tuple[Any, ...]]) -> int:
    """The lowest place that none of the rows of `FIND_COUNTED` holds.

    Always the lowest: two who do not see each other's place want the same one, and only one of them gets it. So
    whoever gets a place has seen all that counted before.
    """
    held = {row[0] for row in rows}
    return next(place for place in range(1, len(held) + 2) if place not in held)
