"""Refunds through both gateways: paid once, failed, told late; two at once; what is promised meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta

import pytest

from contracts.refund import RefundStatus
from operations.accounts.commands import CommandRefused
from operations.refunds.by_hand import CannotDecide, Decision, credit, paid, retry
from runtime.temporal import connect
from sandbox.adyen.stand_in import AdyenStandIn
from sandbox.stripe.stand_in import StripeStandIn
from storage.database import make_engine, transaction
from tests.conftest import PostgresForTests
from tests.names import NAMESPACE
from tests.workflows.refunding import Till

OPS = Decision("ops", "as the customer wished")


@pytest.fixture
def stand_ins() -> Iterator[dict[str, StripeStandIn | AdyenStandIn]]:
    with ExitStack() as stack:
        yield {
            "stripe": stack.enter_context(StripeStandIn()),
            "adyen": stack.enter_context(AdyenStandIn()),
        }


@pytest.fixture
async def till(
    pg_server: PostgresForTests,
    temporal_address: str,
    stand_ins: dict[str, StripeStandIn | AdyenStandIn],
) -> AsyncIterator[Till]:
    """A till with workers in this process; after the test its laws are checked."""
    engine = make_engine(pg_server.fresh_database("refunds"))
    try:
        till = Till(engine, await connect(temporal_address, NAMESPACE), stand_ins)
        async with till.working():
            yield till
        till.check()
    finally:
        engine.dispose()


@pytest.mark.parametrize("gateway", ["stripe", "adyen"])
async def test_a_refund_is_promised_then_paid(till: Till, gateway: str) -> None:
    made = await till.paid(gateway)
    row = till.ask(made, "5.00")
    assert (row.status, row.promise, row.amount) == ("pending", "standing", 500)
    assert till.balance("refunds_payable") == -500
    assert till.rows("select -total from credit_note") == [(500,)]
    handle = await till.start(row)
    await till.told_of(row)
    result = await handle.result()
    assert (result.status, result.promise) == (RefundStatus.SUCCEEDED, "paid")
    assert till.balance("refunds_payable") == 0
    assert till.balance("payments_in_clearing") == made.amount - 500
    assert till.gateways[gateway].count("refund") == 1
    events = till.rows("select kind from event_log where kind like 'refund.%%' order by id")
    assert events == [("refund.promised",), ("refund.succeeded",)]
    assert "late delivery" not in (await handle.fetch_history()).to_json()  # the reason is the customer's


async def test_more_than_was_paid_is_refused_and_nothing_is_written(till: Till) -> None:
    made = await till.paid("stripe")
    with pytest.raises(CommandRefused, match="can be refunded"):
        till.ask(made, "5000.00")
    assert till.rows("select count(*) from refund") == [(0,)]
    assert till.rows("select count(*) from credit_note") == [(0,)]


async def test_two_at_once_refund_once(till: Till) -> None:
    made = await till.paid("stripe")
    outcomes = await asyncio.gather(
        *(asyncio.to_thread(till.ask, made) for _ in range(4)), return_exceptions=True
    )
    (row,) = [each for each in outcomes if not isinstance(each, BaseException)]
    assert {type(each) for each in outcomes if isinstance(each, BaseException)} == {CommandRefused}
    await (await till.start(row)).result()
    assert till.gateways["stripe"].count("refund") == 1
    assert till.rows("select status, refunded from payment") == [("refunded", made.amount)]


async def test_the_same_command_is_the_same_refund(till: Till) -> None:
    made = await till.paid("stripe")
    first, again = till.ask(made, "1.00", command="once"), till.ask(made, "1.00", command="once")
    assert first.id == again.id
    results = [await (await till.start(each)).result() for each in (first, again)]
    assert results[0] == results[1]
    assert till.gateways["stripe"].count("refund") == 1


@pytest.mark.parametrize("gateway", ["stripe", "adyen"])
async def test_a_refund_that_fails_later_becomes_account_credit(till: Till, gateway: str) -> None:
    made = await till.paid(gateway, "refund_fails")
    row = till.ask(made, "5.00")
    await till.start(row)
    await till.told_of(row)
    till.gateways[gateway].clock.advance(timedelta(minutes=2))
    await till.tell(gateway)
    after = till.row(row)
    assert (after.status, after.promise) == ("failed", "credited")
    assert till.balance("account_credit") == -500
    assert till.balance("payments_in_clearing") == made.amount
    # The payment has succeeded once, and is told of as that once.
    assert till.rows("select status, refunded from payment") == [("succeeded", 0)]
    assert till.rows("select count(*) from event_log where kind = 'payment.succeeded'") == [(1,)]
    await till.tell(gateway)
    assert till.row(row) == after
    # What the invoice was credited is not owed twice: the rest can be refunded, and no more.
    with pytest.raises(CommandRefused):
        till.ask(made, f"{made.amount / 100:.2f}")


async def test_a_failed_refund_waits_for_a_person_by_policy(till: Till) -> None:
    till.rules(failed="park")
    made = await till.paid("stripe")
    row = till.ask(made)
    till.gateways["stripe"].inject("rejected", path="/v1/refunds")
    result = await (await till.start(row)).result()
    assert (result.status, result.promise) == (RefundStatus.FAILED, "standing")
    assert till.row(row).park_id is not None
    with transaction(till.engine) as connection:
        tariff = till.tariffs.current(connection)
        again = retry(connection, tariff, row.id, OPS, datetime.now(UTC))
    assert again.key != row.key
    assert (await (await till.start(again)).result()).promise == "paid"
    assert till.row(row).promise == "renewed"
    with transaction(till.engine) as connection, pytest.raises(CannotDecide, match="cannot be credited"):
        credit(connection, tariff, row.id, OPS, datetime.now(UTC))
    assert till.rows("select action, reason from audit") == [("refund.renewed", "as the customer wished")]
    assert till.rows("select resolution from parked where kind = 'refund'") == [("renewed",)]


async def test_a_payment_that_came_through_no_gateway_is_paid_back_by_a_person(till: Till) -> None:
    made = await till.paid("stripe")
    with transaction(till.engine) as connection:
        connection.execute("delete from charge where account_id = %s", (made.account,))
    row = till.ask(made, "2.00")
    assert (row.status, row.connection) == ("by_hand", None)
    assert till.row(row).park_id is not None
    for _ in range(2):
        with transaction(till.engine) as connection:
            tariff = till.tariffs.current(connection)
            done = paid(connection, tariff, row.id, OPS, datetime.now(UTC))
    assert (done.status, done.promise, done.park_id) == ("succeeded", "paid", None)
    assert till.balance("cash") == -200


async def test_the_outcome_of_a_refund_in_doubt_is_told_by_the_gateway(till: Till) -> None:
    """Its answer was lost, and a second try refused: nobody knows, until the webhook comes."""
    made = await till.paid("stripe")
    row = till.ask(made)
    till.gateways["stripe"].inject("drop_after", path="/v1/refunds")
    till.gateways["stripe"].inject("rejected", path="/v1/refunds")
    handle = await till.start(row)
    await till.until("a person is asked", lambda: till.row(row).park_id)
    assert till.row(row).status == "pending"
    await till.tell("stripe")
    assert till.call_status(row) == "skipped"
    assert till.row(row).park_id is None
    assert (await handle.result()).status is RefundStatus.SUCCEEDED
    assert till.gateways["stripe"].count("refund") == 1
