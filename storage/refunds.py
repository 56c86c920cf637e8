"""The rows of refunds, and which gateway a payment came through."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from psycopg.types.json import Jsonb

from storage.database import PgConnection
from storage.sight import EVERYTHING, Sight

_COLUMNS = """
    r.id::text, r.mode, r.account_id::text, r.payment_id::text, p.no, r.no, r.currency, r.amount, r.reason, r.status,
    r.promise, r.parts, r.connection, r.gateway_payment, r.gateway_id, r.call_id::text, r.command_id, r.code,
    r.begun_at, r.created_at, r.ended_at,
    (select k.id::text from parked k where k.resolved_at is null
       and (k.call_id = r.call_id or (k.kind = 'refund' and k.trace_key = 'refund/' || r.id)) limit 1)
"""
_FROM = "from refund r join payment p on p.id = r.payment_id join account a on a.id = r.account_id"
_KEY = re.compile(r"refund:(?P<payment>[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}):(?P<no>\d{1,4})")


class NoSuchRefund(LookupError):
    """There is no refund of that id."""


class RefundRow(NamedTuple):
    """A refund of the account's payment `payment_no`; amounts in minor units. parts: of which invoices, (id, amount).
    park_id: what of it waits for a person."""

    id: str
    mode: str
    account_id: str
    payment_id: str
    payment_no: int
    no: int
    currency: str
    amount: int
    reason: str
    status: str
    promise: str
    parts: list[tuple[str, int]]
    connection: str | None
    gateway_payment: str | None
    gateway_id: str | None
    call_id: str | None
    command_id: str | None
    code: str | None
    begun_at: datetime | None
    created_at: datetime
    ended_at: datetime | None
    park_id: str | None

    @property
    def key(self) -> str:
        """What the gateway has it under, whatever became of a try."""
        return refund_key(self.payment_id, self.no)


class NewRefund(NamedTuple):
    """A refund to be written, of the account's payment with the id `payment_id`."""

    id: str
    mode: str
    account_id: str
    payment_id: str
    no: int
    currency: str
    amount: int
    reason: str
    status: str
    parts: Sequence[tuple[str, int]]
    connection: str | None = None
    gateway_payment: str | None = None
    call_id: str | None = None
    command_id: str | None = None
    promise: str = "standing"
    ended_at: datetime | None = None


class Origin(NamedTuple):
    """Where a payment came from. connection: the gateway's; None for one that came in by hand."""

    payment_id: str
    connection: str | None
    gateway_id: str | None
    refunds: int


def refund_key(payment_id: str, no: int) -> str:
    """The business key of a payment's refund."""
    return f"refund:{payment_id}:{no}"


def origin_of(connection: PgConnection, account_id: str, payment_no: int) -> Origin:
    """Where the account's payment came from, and how many refunds of it there are."""
    row = connection.execute(
        """
        select p.id::text, coalesce(c.connection, k.connection), coalesce(c.gateway_id, k.gateway_id),
               (select coalesce(max(no), 0) from refund where payment_id = p.id)
        from payment p
        left join charge c on c.account_id = p.account_id and c.payment_id = p.id
        left join checkout k on k.account_id = p.account_id and k.gateway_id = p.gateway_id
        where p.account_id = %s and p.no = %s
        """,
        (account_id, payment_no),
    ).fetchone()
    if row is None:
        raise LookupError(f"account {account_id} has no payment {payment_no}")
    return Origin(*row)


def latest_payment(connection: PgConnection, account_id: str) -> str:
    """The id of the account's latest payment. Raises LookupError where it has none."""
    row = connection.execute(
        "select id::text from payment where account_id = %s order by no desc limit 1", (account_id,)
    ).fetchone()
    if row is None:
        raise LookupError(f"account {account_id} has no payment")
    return str(row[0])


def payment_at(
    connection: PgConnection, mode: str, gateway: str, gateway_id: str
) -> tuple[str, str, int] | None:
    """(id, account, number) of the payment that the gateway behind the connection `gateway` calls `gateway_id`."""
    return connection.execute(
        """
        select p.id::text, p.account_id::text, p.no from payment p
        where p.gateway_id = %(own)s and p.mode = %(mode)s and (
            exists (select from charge c where c.account_id = p.account_id and c.payment_id = p.id
                    and c.connection = %(gateway)s)
            or exists (select from checkout k where k.account_id = p.account_id and k.gateway_id = p.gateway_id
                       and k.connection = %(gateway)s))
        union
        select p.id::text, p.account_id::text, p.no from charge c join payment p on p.id = c.payment_id
        where c.connection = %(gateway)s and c.gateway_id = %(own)s and c.mode = %(mode)s
        limit 1
        """,
        {"own": gateway_id, "mode": mode, "gateway": gateway},
    ).fetchone()


def insert_refund(connection: PgConnection, new: NewRefund) -> None:
    """Write a refund. Raises psycopg.errors.UniqueViolation for a number that the payment has already."""
    values = new._asdict() | {"parts": Jsonb([list(each) for each in new.parts])}
    names = ", ".join(values)
    given = ", ".join(f"%({name})s" for name in values)
    connection.execute(f"insert into refund ({names}) values ({given})".encode(), values)


def read_refund(connection: PgConnection, refund_id: str, *, lock: bool = False) -> RefundRow:
    """The refund. Raises NoSuchRefund."""
    found = _rows(connection, "r.id = %(id)s", {"id": refund_id}, " for update of r" if lock else "")
    if not found:
        raise NoSuchRefund(f"there is no refund {refund_id}")
    return found[0]


def find_refund(connection: PgConnection, sight: Sight, refund_id: str) -> RefundRow | None:
    """The refund, if `sight` has its account."""
    found = _rows(connection, f"{sight.within} and r.id = %(id)s", {"id": refund_id, **sight.parameters})
    return found[0] if found else None


def refund_by_key(connection: PgConnection, mode: str, key: str) -> RefundRow | None:
    """The refund that a gateway has under the reference `key`; None where it is no key of ours."""
    parts = _KEY.fullmatch(key)
    if parts is None:
        return None
    found = _rows(
        connection,
        "r.payment_id = %(payment)s and r.no = %(no)s and r.mode = %(mode)s",
        {"payment": parts["payment"], "no": int(parts["no"]), "mode": mode},
    )
    return found[0] if found else None


def refund_at(connection: PgConnection, mode: str, gateway: str, gateway_id: str) -> RefundRow | None:
    """The refund that a gateway calls `gateway_id`."""
    found = _rows(
        connection,
        "r.connection = %(gateway)s and r.gateway_id = %(own)s and r.mode = %(mode)s",
        {"gateway": gateway, "own": gateway_id, "mode": mode},
    )
    return found[0] if found else None


def refund_of_command(connection: PgConnection, account_id: str, command_id: str) -> RefundRow | None:
    """The refund that a command asked for."""
    found = _rows(
        connection,
        "r.account_id = %(account)s and r.command_id = %(command)s",
        {"account": account_id, "command": command_id},
        " order by r.id limit 1",
    )
    return found[0] if found else None


def list_refunds(
    connection: PgConnection,
    sight: Sight = EVERYTHING,
    *,
    status: str | None = None,
    account_id: str | None = None,
    payment_id: str | None = None,
    standing: bool = False,
    after: str | None = None,
    limit: int = 50,
) -> list[RefundRow]:
    """Refunds, newest first, behind the id `after`. standing: those whose money is promised and not paid."""
    conditions = [sight.within]
    for name, value in (("status", status), ("account_id", account_id), ("payment_id", payment_id)):
        if value is not None:
            conditions.append(f"r.{name} = %({name})s")
    if standing:
        conditions.append("r.promise = 'standing'")
    if after is not None:
        conditions.append("r.id < %(after)s")
    values = {
        "status": status,
        "account_id": account_id,
        "payment_id": payment_id,
        "after": after,
        "limit": limit,
        **sight.parameters,
    }
    return _rows(connection, " and ".join(conditions), values, " order by r.id desc limit %(limit)s")


def unbegun_refunds(connection: PgConnection, before: datetime, limit: int) -> list[RefundRow]:
    """Refunds that a gateway has to pay and whose process has not begun, written before the instant, oldest first."""
    return _rows(
        connection,
        "r.promise = 'standing' and r.status = 'pending' and r.begun_at is null and r.created_at < %(before)s",
        {"before": before, "limit": limit},
        " order by r.created_at limit %(limit)s",
    )


def change_refund(connection: PgConnection, refund_id: str, changes: Mapping[str, Any]) -> None:
    """Set columns of a locked row by name."""
    names = ", ".join(f"{name} = %({name})s" for name in changes)
    connection.execute(f"update refund set {names} where id = %(id)s".encode(), {**changes, "id": refund_id})


def _rows(
    connection: PgConnection, condition: str, values: Mapping[str, Any], more: str = ""
) -> list[RefundRow]:
    found = connection.execute(f"select {_COLUMNS} {_FROM} where {condition}{more}".encode(), values)
    return [RefundRow(*row)._replace(parts=[(own, amount) for own, amount in row[11]]) for row in found]
