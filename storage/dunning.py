"""The rows of dunning cases, of live accounts alone: test accounts are dunned by their clock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any, NamedTuple

from psycopg.types.json import Jsonb
from uuid_utils import uuid7

from storage.database import PgConnection
from storage.round_trip import TakesStatements

COLUMNS = """
    id::text, account_id::text, opened_at, opened_by, state, currency, amount, invoices, oldest_due_on, looked_on,
    next_at, retry_at, holds, version, closed_at, outcome
"""

# The open case of an account; read with the account, under whose lock it is written.
ACCOUNT_CASE = f"select {COLUMNS} from dunning_case where account_id = %(account)s and closed_at is null"

# Invoices in a charge whose end is not known, each with the day of the charge.
ACCOUNT_DOUBTS = (
    "select p.invoice_id::text, c.made_on from charge c join charge_part p on p.charge_id = c.id"
    " where c.account_id = %(account)s and c.ended_at is null and p.open"
)


class CaseRow(NamedTuple):
    """A case; see the table. `holds` by why: `state`, `until` (a day as text, or null), `by`, `reason`."""

    id: str
    account_id: str
    opened_at: datetime
    opened_by: str
    state: str
    currency: str
    amount: int
    invoices: int
    oldest_due_on: date | None
    looked_on: date | None
    next_at: datetime | None
    retry_at: datetime | None
    holds: dict[str, dict[str, str | None]]
    version: int
    closed_at: datetime | None
    outcome: str | None


def insert_case(
    connection: TakesStatements, account_id: str, opened_by: str, state: str, currency: str, now: datetime
) -> CaseRow | None:
    """Open a case for the account, to be looked at at once; None when it has one that is open."""
    row = connection.execute(
        f"""
        insert into dunning_case (id, account_id, opened_at, opened_by, state, currency, amount, invoices, next_at)
        values (%s, %s, %s, %s, %s, %s, 0, 0, %s)
        on conflict (account_id) where closed_at is null do nothing returning {COLUMNS}
        """.encode(),
        (str(uuid7()), account_id, now, opened_by, state, currency, now),
    ).fetchone()
    return CaseRow(*row) if row else None


def change_case(connection: TakesStatements, case_id: str, changes: Mapping[str, Any]) -> None:
    """Set columns by name."""
    given = {name: Jsonb(value) if name == "holds" else value for name, value in changes.items()}
    names = ", ".join(f"{name} = %({name})s" for name in given)
    connection.execute(
        f"update dunning_case set {names} where id = %(id)s".encode(), {**given, "id": case_id}
    )


def open_case(connection: PgConnection, account_id: str) -> CaseRow | None:
    """The open case of the account."""
    row = connection.execute(ACCOUNT_CASE.encode(), {"account": account_id}).fetchone()
    return CaseRow(*row) if row else None


def last_case(connection: PgConnection, account_id: str) -> CaseRow | None:
    """The case of the account that is open, or else the last one that was."""
    row = connection.execute(
        f"select {COLUMNS} from dunning_case where account_id = %s"
        " order by closed_at is null desc, closed_at desc limit 1".encode(),
        (account_id,),
    ).fetchone()
    return CaseRow(*row) if row else None


def overdue_accounts(
    connection: PgConnection, as_of: datetime, limit: int
) -> list[tuple[str, str, str | None]]:
    """Live accounts (id, currency, rule book) without a case that have an invoice past due by `as_of` where they
    live, and in no open charge or checkout; in the order of their ids, `limit` at most."""
    return connection.execute(
        """
        select a.id::text, a.currency, a.rule_book from account a
        where a.mode = 'live'
          and not exists (select from dunning_case c where c.account_id = a.id and c.closed_at is null)
          and a.id in (
            select i.account_id from invoice i
            where i.mode = 'live' and i.status = 'open' and i.balance > 0
              and i.due_on < (%(as_of)s::timestamptz at time zone a.time_zone)::date
              and not exists (select from charge_part p where p.invoice_id = i.id and p.open)
              and not exists (select from checkout k where k.account_id = i.account_id and k.invoice_id = i.id
                              and k.ended_at is null))
        order by a.id limit %(limit)s
        """,
        {"as_of": as_of, "limit": limit},
    ).fetchall()


def unattended_cases(connection: PgConnection, until: datetime, after: str, limit: int) -> list[str]:
    """Accounts behind the id `after` whose open case has something to do by `until`."""
    rows = connection.execute(
        "select account_id::text from dunning_case where closed_at is null and next_at <= %s and account_id > %s"
        " order by account_id limit %s",
        (until, after, limit),
    )
    return [row[0] for row in rows]


def cased_accounts(connection: PgConnection, accounts: Sequence[str]) -> list[str]:
    """Those of `accounts` with a case that is open."""
    rows = connection.execute(
        "select account_id::text from dunning_case where closed_at is null and account_id = any(%s::uuid[])"
        " order by account_id",
        (list(accounts),),
    )
    return [row[0] for row in rows]


def retry_accounts(connection: PgConnection, as_of: datetime) -> list[str]:
    """Accounts whose payment method is to be tried again by `as_of`, and is in no charge whose end is not known."""
    rows = connection.execute(
        """
        select c.account_id::text from dunning_case c
        where c.closed_at is null and c.retry_at <= %s
          and not exists (select from charge h where h.account_id = c.account_id and h.ended_at is null)
        order by c.account_id
        """,
        (as_of,),
    )
    return [row[0] for row in rows]


def list_cases(
    connection: PgConnection, limit: int, after: str | None, state: str | None = None
) -> list[CaseRow]:
    """Open cases behind the account `after`, in the order of their accounts; those in `state` alone where one is
    given."""
    rows = connection.execute(
        f"""
        select {COLUMNS} from dunning_case where closed_at is null
          and (%(after)s::uuid is null or account_id > %(after)s)
          and (%(state)s::text is null or state = %(state)s)
        order by account_id limit %(limit)s
        """.encode(),
        {"after": after, "state": state, "limit": limit},
    )
    return [CaseRow(*row) for row in rows]


def account_of_key(connection: PgConnection, key: str) -> str | None:
    """The id of the live account with that id or external key."""
    row = connection.execute(
        "select id::text from account where mode = 'live' and (external_key = %(key)s or id::text = %(key)s)",
        {"key": key},
    ).fetchone()
    return str(row[0]) if row else None
