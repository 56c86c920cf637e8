"""The rows of disputes."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

from psycopg.types.json import Jsonb
from uuid_utils import uuid7

from storage.database import PgConnection
from storage.sight import EVERYTHING, Sight

_COLUMNS = """
    d.id::text, d.mode, d.connection, d.gateway_id, d.gateway_payment, d.account_id::text, d.payment_id::text, p.no,
    d.currency, d.amount, d.stage, d.status, d.booked_taken, d.booked_lost, d.fee, d.booked_fee,
    d.evidence, d.opened_at, d.changed_at
"""
_FROM = "from dispute d left join payment p on p.id = d.payment_id left join account a on a.id = d.account_id"


class NoSuchDispute(LookupError):
    """There is no dispute of that id."""


class DisputeRow(NamedTuple):
    """A dispute. amount: the most that was told, minor units; booked_taken, booked_lost, booked_fee: what the ledger
    has of it. fee: what the gateway keeps.
    payment_no: of the account; None while the payment is not known here. evidence: notes, each with at, by, text."""

    id: str
    mode: str
    connection: str
    gateway_id: str
    gateway_payment: str
    account_id: str | None
    payment_id: str | None
    payment_no: int | None
    currency: str
    amount: int
    stage: str
    status: str
    booked_taken: int
    booked_lost: int
    fee: int
    booked_fee: int
    evidence: list[dict[str, str]]
    opened_at: datetime
    changed_at: datetime


def put_dispute(
    connection: PgConnection,
    *,
    mode: str,
    gateway: str,
    gateway_id: str,
    gateway_payment: str,
    reference: str,
    currency: str,
    amount: int,
    stage: str,
) -> DisputeRow:
    """The dispute that a gateway calls `gateway_id`, locked; written as it was told where it is new."""
    connection.execute(
        "insert into dispute (id, mode, connection, gateway_id, gateway_payment, reference, currency, amount, stage,"
        " status) values (%s, %s, %s, %s, %s, %s, %s, %s, %s, 'open') on conflict (mode, connection, gateway_id)"
        " do nothing",
        (str(uuid7()), mode, gateway, gateway_id, gateway_payment, reference, currency, amount, stage),
    )
    return _rows(
        connection,
        "d.mode = %(mode)s and d.connection = %(gateway)s and d.gateway_id = %(own)s",
        {"mode": mode, "gateway": gateway, "own": gateway_id},
        " for update of d",
    )[0]


def read_dispute(connection: PgConnection, dispute_id: str, *, lock: bool = False) -> DisputeRow:
    """The dispute. Raises NoSuchDispute."""
    found = _rows(connection, "d.id = %(id)s", {"id": dispute_id}, " for update of d" if lock else "")
    if not found:
        raise NoSuchDispute(f"there is no dispute {dispute_id}")
    return found[0]


def find_dispute(connection: PgConnection, sight: Sight, dispute_id: str) -> DisputeRow | None:
    """The dispute, if `sight` has its account. One of a payment that is not known here is seen without bounds only."""
    condition = f"d.id = %(id)s and {sight.within}"
    found = _rows(connection, condition, {"id": dispute_id, **sight.parameters})
    return found[0] if found else None


def list_disputes(
    connection: PgConnection,
    sight: Sight = EVERYTHING,
    *,
    status: str | None = None,
    account_id: str | None = None,
    after: str | None = None,
    limit: int = 50,
) -> list[DisputeRow]:
    """Disputes, newest first, behind the id `after`."""
    conditions = [sight.within]
    for name, value in (("status", status), ("account_id", account_id)):
        if value is not None:
            conditions.append(f"d.{name} = %({name})s")
    if after is not None:
        conditions.append("d.id < %(after)s")
    values = {
        "status": status,
        "account_id": account_id,
        "after": after,
        "limit": limit,
        **sight.parameters,
    }
    return _rows(connection, " and ".join(conditions), values, " order by d.id desc limit %(limit)s")


def unattached_disputes(connection: PgConnection, limit: int) -> list[DisputeRow]:
    """Disputes of payments that were not known here when they were told of."""
    return _rows(connection, "d.payment_id is null", {"limit": limit}, " order by d.id limit %(limit)s")


def other_open_disputes(connection: PgConnection, payment_id: str, but: str) -> bool:
    """Whether another dispute than `but` of the payment is open or lost."""
    row = connection.execute(
        "select exists (select from dispute where payment_id = %s and id <> %s and status <> 'won')",
        (payment_id, but),
    ).fetchone()
    return bool(row and row[0])


def change_dispute(connection: PgConnection, dispute_id: str, changes: Mapping[str, Any]) -> None:
    """Set columns of a locked row by name."""
    names = ", ".join(f"{name} = %({name})s" for name in changes)
    connection.execute(
        f"update dispute set {names}, changed_at = now() where id = %(id)s".encode(),
        {**changes, "id": dispute_id},
    )


def add_evidence(connection: PgConnection, dispute_id: str, note: Mapping[str, str]) -> None:
    """Append a note to a dispute."""
    connection.execute(
        "update dispute set evidence = evidence || %s where id = %s", (Jsonb([dict(note)]), dispute_id)
    )


def _rows(
    connection: PgConnection, condition: str, values: Mapping[str, Any], more: str = ""
) -> list[DisputeRow]:
    found = connection.execute(f"select {_COLUMNS} {_FROM} where {condition}{more}".encode(), values)
    return [DisputeRow(*row) for row in found]
