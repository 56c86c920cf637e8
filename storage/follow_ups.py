"""Rows of what changes of subscriptions demand outside."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from uuid_utils import uuid7

from storage.database import PgConnection
from storage.json_text import json_text
from storage.round_trip import TakesStatements, execute_each


class FollowUpRow(NamedTuple):
    """A follow-up that is written down. `about` are dates and plans; `outcome` is None until it is done."""

    id: str
    mode: str
    subscription_id: str
    account_id: str
    kind: str
    key: str
    due_at: datetime
    about: dict[str, Any]
    outcome: str | None


class NewFollowUp(NamedTuple):
    """A follow-up to be written; a subscription has each key once."""

    subscription_id: str
    kind: str
    key: str
    due_at: datetime
    about: dict[str, Any]


_SELECT = (
    "select id::text, mode, subscription_id::text, account_id::text, kind, key, due_at, about, outcome"
    " from follow_up"
)


# Those of all subscriptions of the account %(account)s, as `follow_ups_of` answers them.
ACCOUNT_FOLLOW_UPS = (
    f"{_SELECT} where subscription_id in (select id from subscription where account_id = %(account)s)"
    " order by id"
)


def follow_ups_of(
    connection: PgConnection, subscriptions: Sequence[str], *, lock: bool = False
) -> list[FollowUpRow]:
    """All of the subscriptions, in the order in which they were written."""
    rows = connection.execute(
        f"{_SELECT} where subscription_id = any(%s::uuid[]) order by id{' for update' if lock else ''}".encode(),
        (list(subscriptions),),
    )
    return [FollowUpRow(*row) for row in rows]


def open_follow_ups(connection: PgConnection, account_id: str) -> list[FollowUpRow]:
    """Those of the account's subscriptions that are not done."""
    rows = connection.execute(
        f"{_SELECT} where subscription_id in (select id from subscription where account_id = %s)"
        " and done_at is null order by due_at, id".encode(),
        (account_id,),
    )
    return [FollowUpRow(*row) for row in rows]


def write_follow_ups(
    connection: TakesStatements, mode: str, account_id: str, new: Iterable[NewFollowUp]
) -> None:
    """Write those that are not written yet."""
    execute_each(
        connection,
        "insert into follow_up (id, mode, subscription_id, account_id, kind, key, due_at, about)"
        " values (%s, %s, %s, %s, %s, %s, %s, %s::jsonb) on conflict (subscription_id, key) do nothing",
        [
            (
                str(uuid7()),
                mode,
                each.subscription_id,
                account_id,
                each.kind,
                each.key,
                each.due_at,
                json_text(each.about),
            )
            for each in new
        ],
    )


def finish_follow_ups(connection: TakesStatements, outcomes: Iterable[tuple[str, str]]) -> None:
    """Note what became of follow-ups: (id, outcome). One that is done stays as it is."""
    execute_each(
        connection,
        "update follow_up set done_at = now(), outcome = %s where id = %s and done_at is null",
        [(outcome, own) for own, outcome in outcomes],
    )


def reopen_follow_ups(connection: TakesStatements, ids: Sequence[str], outcome: str) -> None:
    """Open follow-ups again that were ended with `outcome`."""
    connection.execute(
        "update follow_up set done_at = null, outcome = null where id = any(%s::uuid[]) and outcome = %s",
        (list(ids), outcome),
    )
