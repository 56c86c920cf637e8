"""What gateways told of payments, kept as a set: each fact of each delivery once, in whatever order they come."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from psycopg.types.json import Jsonb

from storage.database import PgConnection


class KeptFact(NamedTuple):
    """A fact: the delivery that told it, its place there (from 1), the gateway's id of the payment, our reference, and
    all of it as JSON."""

    delivery_key: str
    no: int
    payment: str
    reference: str
    fact: dict[str, Any]


def lock_payments(connection: PgConnection, gateway: str, payments: Sequence[str]) -> None:
    """Let nobody else take facts of these payments until this transaction ends: whoever judges one sees all that was
    told of it."""
    for payment in sorted(set(payments)):
        connection.execute(
            "select pg_advisory_xact_lock(hashtextextended(%s, 7))", (f"payment {gateway} {payment}",)
        )


def keep_payment_facts(connection: PgConnection, mode: str, gateway: str, facts: Sequence[KeptFact]) -> None:
    """Write facts; those that are there already change nothing."""
    with connection.cursor() as cursor:
        cursor.executemany(
            "insert into payment_fact (mode, connection, delivery_key, no, payment, reference, fact)"
            " values (%s, %s, %s, %s, %s, %s, %s) on conflict do nothing",
            [
                (mode, gateway, each.delivery_key, each.no, each.payment, each.reference, Jsonb(each.fact))
                for each in facts
            ],
        )


def facts_of(connection: PgConnection, gateway: str, payment: str) -> list[KeptFact]:
    """All facts of one payment."""
    rows = connection.execute(
        "select delivery_key, no, payment, reference, fact from payment_fact"
        " where connection = %s and payment = %s order by delivery_key, no",
        (gateway, payment),
    )
    return [KeptFact(*row) for row in rows]
