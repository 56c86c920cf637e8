"""Verification reads off the rows that charges are made once (I6) and have their payments (I7), and names what is not
so."""

from __future__ import annotations

import pytest

from operations.verify import verify
from storage.charge_calls import begin_sends, end_sends
from storage.database import make_engine, transaction
from tests.conftest import PostgresForTests
from tests.operations.billed import copied, tamper
from tests.operations.charges.charged import Fleet

DAMAGE = {
    "an open charge whose part is closed": (
        "update charge_part set open = false where open", "I6", "and the charge is not",
    ),
    "a part that is too small": ("update charge_part set amount = amount - 1", "I6", "and its parts come to"),
    "a call that is gone": (
        "delete from connector_call where method = 'payment.charge'", "I6", "no call under its key",
    ),
    "a payment of another amount": (
        "update payment set amount = amount + 1 where id in (select payment_id from charge)", "I7", "not the same",
    ),
    "a payment that was two charges": (
        "update charge set status = 'failed', ended_at = now(), payment_id = (select payment_id from charge"
        " where payment_id is not null limit 1), account_id = (select account_id from charge where payment_id is not"
        " null limit 1), no = 7, amount = (select amount from charge where payment_id is not null limit 1)"
        " where status = 'intent'", "I7", "2 in all",
    ),
    "an answer that was taken for a failure": (
        "update charge set status = 'failed', payment_id = null where status = 'succeeded'", "I7", "answered as paid",
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def good(pg_server: PostgresForTests) -> str:
    """One charge that succeeded, and one that is on its way."""
    url = pg_server.fresh_database("charge_laws")
    engine = make_engine(url)
    fleet = Fleet(engine, 2)
    paid, _ = fleet.begin().begun
    with transaction(engine) as connection:
        begin_sends(connection, [paid.call.call_id])
        end_sends(connection, {paid.call.call_id: {"id": "pi_1", "status": "succeeded"}})
    fleet.tell(paid.charge_id, "succeeded", gateway_id="pi_1")
    fleet.lawful()
    engine.dispose()
    return url


@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_is_named(pg_server: PostgresForTests, good: str, damage: str) -> None:
    statement, law, words = DAMAGE[damage]
    url = copied(pg_server, good)
    tamper(url, statement)
    engine = make_engine(url)
    broken = {result.law: result for result in verify(engine) if not result.ok}
    engine.dispose()
    assert law in broken
    assert any(words in found.what for found in broken[law].violations), broken[law].violations
