"""The rows of charges at payment gateways: what may be charged, what is being charged, and what each came to.

Whoever writes a charge holds the lock of its account's row first; that alone keeps numbers and parts apart.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Any, NamedTuple

from storage.database import PgConnection

_CHARGE = """
    id::text, mode, account_id::text, no, collection_id::text, run_id::text, made_on, currency, amount, connection,
    method, customer, status, gateway_id, code, technical, next_action_url, present, act_until, payment_id::text, looks,
    next_look_at, sent_at, ended_at
"""


class NoSuchCharge(LookupError):
    """There is no charge of that id."""


class Payer(NamedTuple):
    """An account as charging looks at it. whole: its credit, dunning or failed charges have to be looked at as well.
    clock_at: the instant of its test clock, None for one that lives by the real one."""

    id: str
    mode: str
    currency: str
    time_zone: str
    auto_pay: bool
    rule_book: str | None
    whole: bool
    clock_at: datetime | None
    settled_on: date | None


class OpenInvoice(NamedTuple):
    """An invoice with something open on it, minor units. charging: it is in a charge or a checkout whose end is not
    known."""

    account_id: str
    id: str
    issued_on: date
    due_on: date
    open: int
    charging: bool


class Method(NamedTuple):
    """A payment method that may be charged."""

    account_id: str
    connection: str
    method: str
    customer: str | None
    brand: str | None


class NewCharge(NamedTuple):
    """A charge to write. parts: (invoice, minor units) of what it is for; they sum to `amount`. return_url: the
    customer is there, and comes back to it from what the bank asks for."""

    id: str
    mode: str
    account_id: str
    no: int
    collection_id: str
    run_id: str | None
    made_on: date
    currency: str
    amount: int
    connection: str
    method: str
    customer: str | None
    parts: Sequence[tuple[str, int]]
    return_url: str | None = None

    @property
    def present(self) -> bool:
        """Whether the customer is there."""
        return self.return_url is not None


class ChargeRow(NamedTuple):
    """A charge; see the table."""

    id: str
    mode: str
    account_id: str
    no: int
    collection_id: str
    run_id: str | None
    made_on: date
    currency: str
    amount: int
    connection: str
    method: str
    customer: str | None
    status: str
    gateway_id: str | None
    code: str | None
    technical: bool
    next_action_url: str | None
    present: bool
    act_until: datetime | None
    payment_id: str | None
    looks: int
    next_look_at: datetime | None
    sent_at: datetime | None
    ended_at: datetime | None


def charge_key(account_id: str, no: int) -> str:
    """The key of a charge at the gateway, and its reference there: the same for every try, at most 64 characters."""
    return f"charge:{account_id}:{no}"


def charge_of_key(key: str) -> tuple[str, int] | None:
    """(account, number) of a charge's key or reference; None for what is the key of something else."""
    kind, _, rest = key.partition(":")
    account_id, _, no = rest.partition(":")
    return (account_id, int(no)) if kind == "charge" and len(account_id) == 36 and no.isdecimal() else None


def lock_payers(connection: PgConnection, accounts: Sequence[str]) -> list[Payer]:
    """Those of `accounts` that there are, in the order of their ids, their rows locked."""
    rows = connection.execute(
        "select id::text, mode, currency, time_zone, auto_pay, rule_book, billed_whole, clock_at, settled_on"
        " from account where id = any(%s::uuid[]) order by id for update",
        (list(accounts),),
    )
    return [Payer(*row) for row in rows]


def open_invoices(connection: PgConnection, accounts: Sequence[str]) -> dict[str, list[OpenInvoice]]:
    """The open invoices by account, the oldest due first."""
    found: dict[str, list[OpenInvoice]] = {}
    for row in connection.execute(
        """
        select i.account_id::text, i.id::text, i.issued_on, i.due_on, i.balance,
               exists (select from charge_part p where p.invoice_id = i.id and p.open)
               or exists (select from checkout k where k.account_id = i.account_id and k.invoice_id = i.id
                          and k.ended_at is null)
        from invoice i where i.account_id = any(%s::uuid[]) and i.status = 'open'
        order by i.account_id, i.due_on, i.number
        """,
        (list(accounts),),
    ):
        invoice = OpenInvoice(*row)
        found.setdefault(invoice.account_id, []).append(invoice)
    return found


def chargeable_methods(connection: PgConnection, accounts: Sequence[str]) -> dict[str, list[Method]]:
    """The default payment method at each gateway by account, the account's own default first."""
    found: dict[str, list[Method]] = {}
    for row in connection.execute(
        """
        select m.account_id::text, m.connection, m.method, m.customer, m.brand
        from payment_method m join account a on a.id = m.account_id
        where m.account_id = any(%s::uuid[]) and m.is_default and m.retired_at is null
        order by m.account_id, (m.method = a.payment_method) is true desc, m.added_at desc, m.id desc
        """,
        (list(accounts),),
    ):
        method = Method(*row)
        found.setdefault(method.account_id, []).append(method)
    return found


def last_numbers(connection: PgConnection, accounts: Sequence[str]) -> dict[str, int]:
    """The number of the last charge by account; those that never had one are left out."""
    return dict(
        connection.execute(
            "select account_id::text, max(no) from charge where account_id = any(%s::uuid[]) group by 1",
            (list(accounts),),
        ).fetchall()
    )


def insert_charges(connection: PgConnection, charges: Sequence[NewCharge]) -> None:
    """Write charges as intents, with their parts. Raises psycopg's UniqueViolation where an invoice of one is in an
    open charge already."""
    if not charges:
        return
    columns = (
        "id", "mode", "account_id", "no", "collection_id", "run_id", "made_on", "currency", "amount", "connection",
        "method", "customer", "present",
    )  # fmt: skip
    types = (
        "uuid", "text", "uuid", "int", "uuid", "uuid", "date", "text", "bigint", "text", "text", "text", "boolean",
    )  # fmt: skip
    places = ", ".join(f"%s::{each}[]" for each in types)
    connection.execute(
        f"insert into charge ({', '.join(columns)}) select * from unnest({places})".encode(),
        [[getattr(each, name) for each in charges] for name in columns],
    )
    parts = [(each.id, invoice, amount) for each in charges for invoice, amount in each.parts]
    connection.execute(
        "insert into charge_part (charge_id, invoice_id, amount)"
        " select * from unnest(%s::uuid[], %s::uuid[], %s::bigint[])",
        [[each[place] for each in parts] for place in range(3)],
    )


def read_charge(connection: PgConnection, charge_id: str) -> ChargeRow:
    """The charge. Raises NoSuchCharge."""
    row = connection.execute(f"select {_CHARGE} from charge where id = %s".encode(), (charge_id,)).fetchone()
    if row is None:
        raise NoSuchCharge(f"there is no charge {charge_id}")
    return ChargeRow(*row)


def read_charges(connection: PgConnection, charges: Sequence[str]) -> list[ChargeRow]:
    """Those of `charges` that there are."""
    rows = connection.execute(
        f"select {_CHARGE} from charge where id = any(%s::uuid[])".encode(), (list(charges),)
    )
    return [ChargeRow(*row) for row in rows]


def find_charge(connection: PgConnection, account_id: str, no: int) -> ChargeRow | None:
    """The account's charge of that number."""
    row = connection.execute(
        f"select {_CHARGE} from charge where account_id = %s and no = %s".encode(), (account_id, no)
    ).fetchone()
    return ChargeRow(*row) if row else None


def charge_at_gateway(connection: PgConnection, gateway: str, gateway_id: str) -> ChargeRow | None:
    """The charge that the connection `gateway` calls `gateway_id`."""
    row = connection.execute(
        f"select {_CHARGE} from charge where connection = %s and gateway_id = %s order by id limit 1".encode(),
        (gateway, gateway_id),
    ).fetchone()
    return ChargeRow(*row) if row else None


def parts_of(connection: PgConnection, charge_id: str) -> list[tuple[str, int]]:
    """(invoice, minor units) of what the charge is for, in the order of the invoices."""
    return connection.execute(
        "select p.invoice_id::text, p.amount from charge_part p join invoice i on i.id = p.invoice_id"
        " where p.charge_id = %s order by i.due_on, i.number",
        (charge_id,),
    ).fetchall()


def collection_of(connection: PgConnection, collection_id: str) -> list[ChargeRow]:
    """The charges of one collection, in their order."""
    rows = connection.execute(
        f"select {_CHARGE} from charge where collection_id = %s order by no".encode(), (collection_id,)
    )
    return [ChargeRow(*row) for row in rows]


def change_charge(connection: PgConnection, charge_id: str, changes: Mapping[str, Any]) -> None:
    """Set columns by name."""
    names = ", ".join(f"{name} = %({name})s" for name in changes)
    connection.execute(f"update charge set {names} where id = %(id)s".encode(), {**changes, "id": charge_id})


def close_parts(connection: PgConnection, charges: Iterable[str]) -> None:
    """The end of `charges` is known: their invoices may be charged again."""
    connection.execute(
        "update charge_part set open = false where charge_id = any(%s::uuid[]) and open", (list(charges),)
    )
