"""Charges of which nobody knows how they ended: asked for at the gateway until it is known."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import timedelta

import pytest
from psycopg.types.json import Jsonb

from connectors.sdk.capabilities.payment import ChargeOrder
from connectors.sdk.connector import Connector
from connectors.sdk.key import Key
from connectors.stripe.connector import Stripe
from operations.charges.begin import Begun, Why
from operations.charges.looks import (
    PAUSES,
    CannotResolve,
    InDoubt,
    Verdict,
    due_looks,
    in_doubt,
    pause_after,
    resolve,
)
from operations.dunning.look import dun, open_overdue_cases
from runtime.charge_looks import ChargeLooks
from runtime.leading import Complaints
from sandbox.stripe.stand_in import StripeStandIn
from storage.database import make_engine, transaction
from tests.conftest import PostgresForTests
from tests.operations.charges.charged import NOW, Fleet
from tests.workflows.paying import CARDS, opened

LATER = NOW + timedelta(minutes=2)


@pytest.fixture(scope="module")
def fleet(pg_server: PostgresForTests) -> Iterator[Fleet]:
    engine = make_engine(pg_server.fresh_database("looks"))
    yield Fleet(engine, 10)
    engine.dispose()


@pytest.fixture
def stripe() -> Iterator[StripeStandIn]:
    with StripeStandIn() as stand_in:
        yield stand_in


@pytest.fixture
def looks(fleet: Fleet, stripe: StripeStandIn) -> ChargeLooks:
    async def connect(name: str, /) -> Connector[object]:
        return opened(name, stripe.url, timeout=5)

    return ChargeLooks(fleet.engine, connect, Complaints(logging.getLogger("test")))


def in_the_dark(fleet: Fleet) -> tuple[str, Begun]:
    """An account whose charge was sent and had no answer."""
    account = fleet.accounts.pop()
    [begun] = fleet.begin(account).begun
    fleet.do(
        "update connector_call set status = 'unknown', first_sent_at = now(), last_sent_at = now() where id = %s",
        begun.call.call_id,
    )
    fleet.tell(begun.charge_id, "unknown")
    return account, begun


async def charged_there(stripe: StripeStandIn, begun: Begun, method: str = "pm_card_visa") -> None:
    """What was sent had arrived."""
    connector = opened(CARDS, stripe.url, timeout=5)
    assert isinstance(connector, Stripe)
    order = ChargeOrder(reference=begun.call.key, amount=begun.amount, currency=begun.currency, method=method)
    await connector.charge(order, Key(begun.call.key))
    await connector.aclose()


def charge(fleet: Fleet, begun: Begun) -> tuple[str, int]:
    [(status, asked)] = fleet.rows("select status, looks from charge where id = %s", begun.charge_id)
    return status, asked


@pytest.mark.parametrize(
    ("method", "status", "invoice"),
    [("pm_card_visa", "succeeded", "paid"), ("pm_card_visa_chargeDeclined", "failed", "open")],
)
async def test_a_charge_that_had_arrived_is_found_at_the_gateway(
    fleet: Fleet, stripe: StripeStandIn, looks: ChargeLooks, method: str, status: str, invoice: str
) -> None:
    account, begun = in_the_dark(fleet)
    await charged_there(stripe, begun, method)
    assert await looks.look(NOW) == 0  # not before its time
    assert await looks.look(LATER) == 1
    assert charge(fleet, begun) == (status, 1)
    assert fleet.invoices(account)[0][0] == invoice
    assert fleet.rows("select status from connector_call where id = %s", begun.call.call_id) == [
        ("succeeded",)
    ]
    assert await looks.look(LATER + timedelta(days=2)) == 0


async def test_a_debit_in_flight_whose_webhook_is_lost_is_found_the_next_day(
    fleet: Fleet, stripe: StripeStandIn, looks: ChargeLooks
) -> None:
    account = fleet.accounts.pop()
    [begun] = fleet.begin(account).begun
    await charged_there(stripe, begun)
    fleet.do(
        "update connector_call set status = 'succeeded', first_sent_at = now(), answer = %s where id = %s",
        Jsonb({"id": "pi", "status": "processing"}), begun.call.call_id,
    )  # fmt: skip
    fleet.tell(begun.charge_id, "processing", gateway_id="pi")
    assert await looks.look(NOW + timedelta(hours=23)) == 0
    assert await looks.look(NOW + timedelta(days=1)) == 1
    assert charge(fleet, begun) == ("succeeded", 1)
    assert fleet.invoices(account)[0][0] == "paid"


async def test_one_that_is_nowhere_stays_in_doubt_and_is_asked_for_ever_less_often(
    fleet: Fleet, looks: ChargeLooks
) -> None:
    account, begun = in_the_dark(fleet)
    now, asked = LATER, 0
    while asked < len(PAUSES) + 1:
        assert await looks.look(now) == 1
        assert await looks.look(now) == 0
        asked += 1
        now += pause_after(asked)
    assert charge(fleet, begun) == ("unknown", asked)
    # Neither charged again, nor dunned, however late it gets.
    assert [each.why for each in fleet.begin(account, now=now).left] == [Why.IN_FLIGHT]
    with transaction(fleet.engine) as connection:
        open_overdue_cases(connection, fleet.tariffs.current(), now, 100)
        standing = dun(connection, fleet.tariffs.current(), account, now)
    assert (standing.open, standing.state) == (False, "current")
    [shown] = [each for each in _doubts(fleet) if each.id == begun.charge_id]
    assert (shown.looks, shown.reference, shown.since) == (asked, begun.call.key, NOW)
    _resolve(fleet, begun, Verdict.NOT_CHARGED)
    [again] = fleet.begin(account, now=now).begun
    assert again.call.key != begun.call.key
    fleet.tell(again.charge_id, "withdrawn")


def test_a_worker_that_dies_on_the_way_costs_one_pause(fleet: Fleet) -> None:
    _, begun = in_the_dark(fleet)
    with transaction(fleet.engine) as connection:
        assert [each.charge_id for each in due_looks(connection, LATER)] == [begun.charge_id]
    with transaction(fleet.engine) as connection:
        assert due_looks(connection, LATER) == []
        assert [each.charge_id for each in due_looks(connection, LATER + pause_after(1))] == [begun.charge_id]
    _resolve(fleet, begun, Verdict.NOT_CHARGED)


def test_a_person_says_how_it_ended_once_and_with_a_reason(fleet: Fleet) -> None:
    account, begun = in_the_dark(fleet)
    assert _resolve(fleet, begun, Verdict.CHARGED)
    assert not _resolve(fleet, begun, Verdict.CHARGED)
    with pytest.raises(CannotResolve, match="not in doubt"):
        _resolve(fleet, begun, Verdict.NOT_CHARGED)
    assert fleet.invoices(account)[0][0] == "paid"
    assert len(fleet.payments(account)) == 1
    assert fleet.rows("select action, reason from audit where subject = %s", f"charge/{begun.charge_id}") == [
        ("payment.charged", "seen in the dashboard")
    ]
    assert begun.charge_id not in [each.id for each in _doubts(fleet)]
    fleet.lawful()


async def test_a_gateway_that_is_away_is_asked_again(
    fleet: Fleet, stripe: StripeStandIn, looks: ChargeLooks
) -> None:
    account, begun = in_the_dark(fleet)
    await charged_there(stripe, begun)
    away = ChargeLooks(fleet.engine, _gone, Complaints(logging.getLogger("test")))
    assert await away.look(LATER) == 1
    assert charge(fleet, begun) == ("unknown", 1)
    assert await looks.look(LATER + pause_after(1)) == 1
    assert fleet.invoices(account)[0][0] == "paid"


async def _gone(name: str, /) -> Connector[object]:
    return opened(name, "http://127.0.0.1:1")


def _resolve(fleet: Fleet, begun: Begun, verdict: Verdict) -> bool:
    with transaction(fleet.engine) as connection:
        return resolve(
            connection, fleet.tariffs.current(), begun.charge_id, verdict,
            actor="anna", reason="seen in the dashboard", now=LATER,
        ).changed  # fmt: skip


def _doubts(fleet: Fleet) -> list[InDoubt]:
    with transaction(fleet.engine) as connection:
        return in_doubt(connection)
