"""What calls came to behind the back of their charges is written into the books all the same."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

from operations.charges.catching_up import catch_up
from storage.charge_calls import begin_sends, end_sends
from storage.database import make_engine, transaction
from tests.conftest import PostgresForTests
from tests.operations.charges.charged import NOW, Fleet

AT_ONCE = timedelta()


@pytest.fixture(scope="module")
def fleet(pg_server: PostgresForTests) -> Iterator[Fleet]:
    engine = make_engine(pg_server.fresh_database("behind"))
    yield Fleet(engine, 6)
    engine.dispose()


def test_an_answer_that_nobody_wrote_down_is_a_payment(fleet: Fleet) -> None:
    paid, doubted, given_up, waiting = fleet.begin(*fleet.accounts[:4]).begun
    with transaction(fleet.engine) as connection:
        begin_sends(connection, [paid.call.call_id, doubted.call.call_id])
        end_sends(connection, {paid.call.call_id: {"id": "pi_1", "status": "succeeded"}})
    fleet.do("update connector_call set status = 'unknown' where id = %s", doubted.call.call_id)
    fleet.do(
        "update connector_call set status = 'skipped', ended_at = now() where id = %s", given_up.call.call_id
    )
    assert catch_up(fleet.engine, fleet.tariffs, NOW, timedelta(minutes=5))[0].status == "withdrawn"
    came = {each.charge_id: each.status.value for each in catch_up(fleet.engine, fleet.tariffs, NOW, AT_ONCE)}
    assert came == {paid.charge_id: "succeeded", doubted.charge_id: "unknown"}
    assert catch_up(fleet.engine, fleet.tariffs, NOW, AT_ONCE) == []
    assert fleet.invoices(paid.account_id) == [("paid", 0)]
    assert fleet.begin(given_up.account_id).begun[0].amount == given_up.amount
    [(status,)] = fleet.rows("select status from charge where id = %s", waiting.charge_id)
    assert status == "intent"
    fleet.lawful()


def test_what_a_person_found_to_be_done_is_paid(fleet: Fleet) -> None:
    [begun] = fleet.begin(fleet.accounts[4]).begun
    with transaction(fleet.engine) as connection:
        begin_sends(connection, [begun.call.call_id])
    fleet.do(
        "update connector_call set status = 'skipped', error_kind = 'unknown', ended_at = now() where id = %s",
        begun.call.call_id,
    )
    [came] = catch_up(fleet.engine, fleet.tariffs, NOW, AT_ONCE)
    assert came.status == "succeeded"
    assert fleet.payments(begun.account_id) == [("succeeded", begun.amount, None)]


def test_what_a_person_found_not_to_be_done_has_failed(fleet: Fleet) -> None:
    [begun] = fleet.begin(fleet.accounts[5]).begun
    fleet.do(
        "update connector_call set status = 'failed', error_code = 'card_removed', ended_at = now() where id = %s",
        begun.call.call_id,
    )
    [came] = catch_up(fleet.engine, fleet.tariffs, NOW, AT_ONCE)
    assert came.status == "failed"
    assert fleet.payments(begun.account_id) == [("failed", begun.amount, "card_removed")]
