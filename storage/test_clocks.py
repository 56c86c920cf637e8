"""Rows of test clocks, and of the accounts that live by them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from storage.database import PgConnection


class ClockRow(NamedTuple):
    """A clock; `arrived` counts its accounts that have been played up to its target (or to where it stands)."""

    id: str
    name: str
    status: str
    starts_at: datetime
    frozen_at: datetime
    target: datetime | None
    problem: str | None
    accounts: int
    arrived: int


_SELECT = """
    select c.id::text, c.name, c.status, c.starts_at, c.frozen_at, c.target, c.problem, n.accounts, n.arrived
    from test_clock c cross join lateral (
        select count(*) as accounts, count(*) filter (where a.clock_at >= coalesce(c.target, c.frozen_at)) as arrived
        from account a where a.test_clock_id = c.id) n
"""


def insert_clock(connection: PgConnection, clock_id: str, name: str, at: datetime) -> bool:
    """Write a new clock; False where there is one of that name."""
    found = connection.execute(
        "insert into test_clock (id, name, starts_at, frozen_at) values (%s, %s, %s, %s)"
        " on conflict (name) do nothing",
        (clock_id, name, at, at),
    )
    return found.rowcount == 1


def find_clock(connection: PgConnection, clock_id: str, *, lock: bool = False) -> ClockRow | None:
    """The clock with that id. With `lock` nobody else advances, ends or joins it meanwhile."""
    if lock:
        connection.execute("select 1 from test_clock where id = %s for update", (clock_id,))
    row = connection.execute(f"{_SELECT} where c.id = %s".encode(), (clock_id,)).fetchone()
    return None if row is None else ClockRow(*row)


def find_clock_by_name(connection: PgConnection, name: str) -> ClockRow | None:
    """The clock of that name."""
    row = connection.execute(f"{_SELECT} where c.name = %s".encode(), (name,)).fetchone()
    return None if row is None else ClockRow(*row)


def clocks_page(connection: PgConnection, *, after: str | None, limit: int) -> list[ClockRow]:
    """Clocks, newest first, behind the one with the id `after`."""
    behind = "" if after is None else "where c.id < %(after)s::uuid"
    rows = connection.execute(
        f"{_SELECT} {behind} order by c.id desc limit %(limit)s".encode(), {"after": after, "limit": limit}
    )
    return [ClockRow(*row) for row in rows]


def update_clock(connection: PgConnection, clock_id: str, **columns: Any) -> None:
    """Write `columns` of a clock."""
    sets = ", ".join(f"{name} = %({name})s" for name in columns)
    connection.execute(
        f"update test_clock set {sets}, changed_at = now() where id = %(id)s".encode(),
        {**columns, "id": clock_id},
    )


def accounts_behind(
    connection: PgConnection, clock_id: str, to: datetime, *, after: str, limit: int
) -> list[str]:
    """Ids of accounts of the clock that have not gone beyond `to`, in their order, behind `after`. One that stands at
    `to` may have to follow up and bill the day that begins then; where it has, another step changes nothing."""
    rows = connection.execute(
        "select id::text from account where test_clock_id = %s and clock_at <= %s and id > %s::uuid"
        " order by id limit %s",
        (clock_id, to, after, limit),
    )
    return [own for (own,) in rows]


def accounts_of(
    connection: PgConnection, clock_id: str, *, after: str | None, limit: int
) -> Sequence[tuple[str, str]]:
    """Id and external key of accounts of the clock, oldest first, behind the one with the id `after`."""
    rows = connection.execute(
        "select id::text, external_key from account where test_clock_id = %(clock)s"
        " and (%(after)s::uuid is null or id > %(after)s::uuid) order by id limit %(limit)s",
        {"clock": clock_id, "after": after, "limit": limit},
    )
    return [(own, key) for own, key in rows]


class AccountTime(NamedTuple):
    """Where an account of a clock stands: its clock, the instant it has been played up to, its zone."""

    test_clock_id: str
    clock_at: datetime
    time_zone: str


def account_time(connection: PgConnection, account_id: str) -> AccountTime | None:
    """The time of an account that lives by a clock; None for one that lives by the wall's."""
    row = connection.execute(
        "select test_clock_id::text, clock_at, time_zone from account where id = %s and test_clock_id is not null",
        (account_id,),
    ).fetchone()
    return None if row is None else AccountTime(*row)


def move_account(connection: PgConnection, account_id: str, at: datetime) -> None:
    """Note that the account has been played up to `at`; it never goes back."""
    connection.execute(
        "update account set clock_at = %(at)s where id = %(id)s and clock_at < %(at)s",
        {"id": account_id, "at": at},
    )


def episodes_of(connection: PgConnection, clock_id: str) -> list[str]:
    """Ids of the subscriptions that live by the clock."""
    rows = connection.execute(
        "select s.id::text from subscription s join account a on a.id = s.account_id where a.test_clock_id = %s"
        " order by s.id",
        (clock_id,),
    )
    return [own for (own,) in rows]
