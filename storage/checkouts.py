"""The rows of checkouts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any, NamedTuple

from psycopg.types.json import Jsonb
from uuid_utils import uuid7

from storage.database import PgConnection
from storage.storable import storable

# Where listeners are told the id of a checkout whose row has changed.
CHANGED_CHANNEL = "masthead_checkout"
_JSON = frozenset({"cart", "terms", "payment", "quote"})
# A checkout is stuck while something of it is parked.
_STUCK = """
    (select p.id::text from parked p
     where p.workflow_id = 'checkout/' || c.id and p.resolved_at is null order by p.opened_at limit 1)
"""


class CheckoutRow(NamedTuple):
    """A checkout as its row says. park_id: what a person has to decide before it goes on."""

    id: str
    mode: str
    key: str
    fingerprint: bytes
    status: str
    account_id: str
    opens_account: bool
    cart: Any
    terms: Any
    payment: Any
    expected_due: int | None
    connection: str | None
    as_of: datetime | None
    quote: Any
    currency: str | None
    total: int | None
    due: int | None
    invoice_id: str | None
    subscription_ids: list[str]
    gateway_id: str | None
    attempt: int
    next_action_url: str | None
    problem_kind: str | None
    problem: str | None
    created_at: datetime
    ended_at: datetime | None
    version: int
    park_id: str | None


_TEXT = {"id", "account_id", "invoice_id"}
_COLUMNS = ", ".join(
    f"c.{name}::text"
    if name in _TEXT
    else "c.subscription_ids::text[]"
    if name == "subscription_ids"
    else f"c.{name}"
    for name in CheckoutRow._fields[:-1]
)


class Unbegun(NamedTuple):
    """A checkout of which nothing but its order is known."""

    id: str
    account_id: str
    created_at: datetime


def unbegun_checkouts(connection: PgConnection, before: datetime, limit: int) -> list[Unbegun]:
    """Checkouts that were written down before that instant and that nothing has come of, the oldest first."""
    rows = connection.execute(
        "select id::text, account_id::text, created_at from checkout"
        " where ended_at is null and status = 'quoting' and created_at < %s order by created_at limit %s",
        (before, limit),
    )
    return [Unbegun(*row) for row in rows]


class NoSuchCheckout(LookupError):
    """There is no checkout of that id."""


class Person(NamedTuple):
    """Who opens an account."""

    name: str | None
    email: str | None
    address: Any


def insert_checkout(connection: PgConnection, values: Mapping[str, Any]) -> bool:
    """Write a new checkout; False when there is one with its mode and key."""
    names = ", ".join(values)
    done = connection.execute(
        f"insert into checkout ({names}) values ({', '.join(f'%({name})s' for name in values)})"
        " on conflict (mode, key) do nothing".encode(),
        _given(values),
    )
    return done.rowcount == 1


def insert_person(connection: PgConnection, checkout_id: str, person: Person) -> None:
    """Keep who opens the account until the account has it."""
    connection.execute(
        "insert into checkout_person (checkout_id, name, email, address) values (%s, %s, %s, %s)",
        (
            checkout_id,
            *storable(person[:2]),
            None if person.address is None else Jsonb(storable(person.address)),
        ),
    )


def read_person(connection: PgConnection, checkout_id: str) -> Person | None:
    """Who opens the account."""
    row = connection.execute(
        "select name, email, address from checkout_person where checkout_id = %s", (checkout_id,)
    ).fetchone()
    return Person(*row) if row else None


def keep_tax(connection: PgConnection, checkout_id: str, tax: Any) -> None:
    """Keep what a tax engine answered, until the invoice has it."""
    connection.execute(
        "insert into checkout_person (checkout_id, tax) values (%s, %s)"
        " on conflict (checkout_id) do update set tax = excluded.tax",
        (checkout_id, Jsonb(storable(tax))),
    )


def kept_tax(connection: PgConnection, checkout_id: str) -> Any:
    """What a tax engine answered; None where none was asked."""
    row = connection.execute(
        "select tax from checkout_person where checkout_id = %s", (checkout_id,)
    ).fetchone()
    return row[0] if row else None


def forget_person(connection: PgConnection, checkout_id: str) -> None:
    """Remove who it was: the account has it, or nothing came of it."""
    connection.execute("delete from checkout_person where checkout_id = %s", (checkout_id,))


def read_checkout(connection: PgConnection, checkout_id: str, *, lock: bool = False) -> CheckoutRow:
    """The checkout. Raises NoSuchCheckout."""
    row = connection.execute(
        f"select {_COLUMNS}, {_STUCK} from checkout c where c.id = %s{' for update' if lock else ''}".encode(),
        (checkout_id,),
    ).fetchone()
    if row is None:
        raise NoSuchCheckout(f"there is no checkout {checkout_id}")
    return CheckoutRow(*row)


def find_checkout(connection: PgConnection, mode: str, key: str) -> CheckoutRow | None:
    """The checkout of a key."""
    row = connection.execute(
        f"select {_COLUMNS}, {_STUCK} from checkout c where c.mode = %s and c.key = %s".encode(), (mode, key)
    ).fetchone()
    return CheckoutRow(*row) if row else None


def change_checkout(connection: PgConnection, checkout_id: str, changes: Mapping[str, Any]) -> None:
    """Set columns of a locked row by name, and raise its version; whoever listens is told at the commit."""
    sets = ", ".join(f"{name} = %({name})s" for name in changes)
    connection.execute(
        f"with changed as (update checkout set {sets}, version = version + 1 where id = %(checkout)s returning id)"
        f" select pg_notify('{CHANGED_CHANNEL}', id::text) from changed".encode(),
        {**_given(changes), "checkout": checkout_id},
    )


def _given(values: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: Jsonb(storable(value)) if name in _JSON and value is not None else value
        for name, value in values.items()
    }


def await_payment(connection: PgConnection, checkout_id: str, subscription_ids: Sequence[str]) -> None:
    """Note that nobody reads by these subscriptions until their first payment has come in."""
    with connection.cursor() as cursor:
        cursor.executemany(
            "insert into awaiting_payment (subscription_id, checkout_id) values (%s, %s)",
            [(each, checkout_id) for each in subscription_ids],
        )


def payment_came(connection: PgConnection, checkout_id: str) -> list[str]:
    """The subscriptions of a checkout wait no more, and its purchases are paid; which subscriptions waited."""
    connection.execute(
        "update purchase set paid_at = clock_timestamp() where checkout_id = %s and paid_at is null",
        (checkout_id,),
    )
    rows = connection.execute(
        "delete from awaiting_payment where checkout_id = %s returning subscription_id::text", (checkout_id,)
    )
    return [row[0] for row in rows]


def insert_purchase(
    connection: PgConnection,
    *,
    purchase_id: str,
    mode: str,
    account_id: str,
    checkout_id: str,
    plan: str,
    version: int,
    quantity: Decimal,
    bought_on: date,
    invoice_id: str,
) -> None:
    """A plan that was bought once; nothing is given for it until it is paid."""
    connection.execute(
        "insert into purchase (id, mode, account_id, checkout_id, plan_code, plan_version, quantity, bought_on,"
        " invoice_id) values (%s, %s, %s, %s, %s, %s, %s, %s, %s)",
        (purchase_id, mode, account_id, checkout_id, plan, version, quantity, bought_on, invoice_id),
    )


def purchases_of(connection: PgConnection, checkout_id: str) -> list[str]:
    """The ids of what was bought once in a checkout."""
    rows = connection.execute(
        "select id::text from purchase where checkout_id = %s order by id", (checkout_id,)
    )
    return [row[0] for row in rows]


def request_fulfilment(
    connection: PgConnection,
    checkout: CheckoutRow,
    subjects: Sequence[str],
    connections: Mapping[str, str | None],
) -> None:
    """Ask for what follows a sale: for each of `subjects` a row per capability, with the connection that does it."""
    with connection.cursor() as cursor:
        cursor.executemany(
            "insert into fulfilment_request (id, mode, checkout_id, account_id, subject_id, capability, connection)"
            " values (%s, %s, %s, %s, %s, %s, %s) on conflict (checkout_id, subject_id, capability) do nothing",
            [
                (str(uuid7()), checkout.mode, checkout.id, checkout.account_id, subject, capability, to)
                for subject in subjects
                for capability, to in connections.items()
            ],
        )
