"""Accounts with the people behind them, as rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from storage.database import PgConnection
from storage.sight import Sight

_SELECT = """
    select a.id::text, a.external_key, a.mode, a.currency, a.time_zone, a.locale, a.bill_cycle_day, a.tax_region,
           a.tax_exempt, a.payment_terms_days, a.version, a.created_at,
           jsonb_build_object('name', h.name, 'email', h.email, 'address', h.address) as person
    from account a left join person h on h.account_id = a.id
"""

Row = dict[str, Any]


def find_account(
    connection: PgConnection, sight: Sight, account_id: str, *, lock: bool = False
) -> Row | None:
    """The account of that id, if `sight` has it."""
    found = _rows(
        connection,
        f"{_SELECT} where {sight.within} and a.id = %(id)s {'for update of a' if lock else ''}",
        {"id": account_id, **sight.parameters},
    )
    return found[0] if found else None


def list_accounts(
    connection: PgConnection, sight: Sight, *, external_key: str | None, after: str | None, limit: int
) -> list[Row]:
    """Up to `limit` accounts, newest first, behind the id `after`."""
    conditions = ""
    if external_key is not None:
        conditions += " and a.external_key = %(external_key)s and a.mode in ('live', 'test')"
    if after is not None:
        conditions += " and a.id < %(after)s"
    return _rows(
        connection,
        f"{_SELECT} where {sight.within}{conditions} order by a.id desc limit %(limit)s",
        {"external_key": external_key, "after": after, "limit": limit, **sight.parameters},
    )


def insert_account(connection: PgConnection, values: Mapping[str, Any]) -> str | None:
    """Write an account with `values` by column; None, and nothing is written, where its key is taken in its mode."""
    names = ", ".join(values)
    given = ", ".join(f"%({name})s" for name in values)
    row = connection.execute(
        f"insert into account ({names}) values ({given}) on conflict (mode, external_key) do nothing"
        " returning id::text".encode(),
        dict(values),
    ).fetchone()
    return str(row[0]) if row else None


def id_of_key(connection: PgConnection, mode: str, external_key: str) -> str | None:
    """The id of the account with that key."""
    row = connection.execute(
        "select id::text from account where mode = %s and external_key = %s", (mode, external_key)
    ).fetchone()
    return str(row[0]) if row else None


def update_account(connection: PgConnection, account_id: str, values: Mapping[str, Any]) -> int:
    """Change columns of an account that is locked, and raise its version, which is answered."""
    sets = "".join(f"{name} = %({name})s, " for name in values)
    row = connection.execute(
        f"update account set {sets}version = version + 1 where id = %(id)s returning version".encode(),
        {**values, "id": account_id},
    ).fetchone()
    if row is None:
        raise LookupError(f"there is no account {account_id}")
    return int(row[0])


def write_person(connection: PgConnection, account_id: str, values: Mapping[str, Any]) -> None:
    """Set columns of the person behind an account; the others stay."""
    given = {name: Jsonb(value) if isinstance(value, dict) else value for name, value in values.items()}
    names = ", ".join(given)
    places = ", ".join(f"%({name})s" for name in given)
    sets = ", ".join(f"{name} = excluded.{name}" for name in given)
    connection.execute(
        f"insert into person (account_id, {names}) values (%(account_id)s, {places})"
        f" on conflict (account_id) do update set {sets}".encode(),
        {**given, "account_id": account_id},
    )


def tax_region_exists(connection: PgConnection, region: str) -> bool:
    """Whether the tax table has rates for `region`."""
    row = connection.execute("select exists (select from tax_rate where region = %s)", (region,)).fetchone()
    return bool(row and row[0])


def _rows(connection: PgConnection, query: str, parameters: Mapping[str, Any]) -> list[Row]:
    with connection.cursor(row_factory=dict_row) as cursor:
        cursor.execute(query.encode(), dict(parameters))
        return cursor.fetchall()


def account_is_known(connection: PgConnection, external_key: str) -> bool:
    """Whether any account, live or test, has that key."""
    row = connection.execute(
        "select exists (select from account where external_key = %s and mode in ('live', 'test'))",
        (external_key,),
    ).fetchone()
    return bool(row and row[0])
